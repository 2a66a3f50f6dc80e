"""The verdict on the alpha-maps of a spec's networks, as commands and expectations ask for it.

Takes a spec and the name of a `metanet` block; designs the network and applies `liveness.py` to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qecompile.alpha import AlphaFactor, alpha_factors, check_mixing, mixing_map
from qecompile.codegen.emit import Design, design
from qecompile.errors import Diagnostic
from qecompile.liveness import Verdict, judge_alpha, readout_text
from qecompile.spec import Alpha, MetaNet, Spec

FAMILIES = ("shared", "covariant", "independent")


@dataclass(frozen=True, slots=True)
class Judged:
    """A network with the alpha-maps of its group, and the verdict on the one that it declares."""

    net: MetaNet
    factors: tuple[AlphaFactor, ...]
    verdict: Verdict


def judge_network(spec: Spec, metanet: str | None = None) -> Judged:
    """The alpha-maps of a network; without an alpha clause the verdict says what each family would do.

    Raises:
        SymError: the network cannot be designed; see `codegen.emit.design`.
    """
    d = design(spec, metanet)
    family = "shared" if d.net.alpha is None else d.net.alpha.family
    return Judged(d.net, alpha_factors(spec, family), _judge_design(d))


def _judge(spec: Spec, net: MetaNet) -> Verdict:
    return _judge_design(design(spec.model_copy(update={"metanets": (net,)})))


def _judge_design(d: Design) -> Verdict:
    spec, net = d.spec, d.net
    found = judge_alpha(spec, net, d.plan, d.invariants, d.alpha)
    if net.alpha is not None:
        return found
    would = {family: _would(spec, net, family) for family in FAMILIES}
    return replace(found, why="; ".join([found.why, *(f"`{f}` would be {w}" for f, w in would.items())]))


def _would(spec: Spec, net: MetaNet, family: str) -> str:
    """What would become of a network with an alpha of a family."""
    other = _with_family(net, family)
    if check_mixing(spec.spaces, other) is not None:
        return f"refused ({mixing_map(net)})"
    verdict = _judge(spec, other)
    return f"{'live' if verdict.live else 'dead'} ({verdict.why})"


def _with_family(net: MetaNet, family: str) -> MetaNet:
    alpha = Alpha.model_validate({"family": family})
    return net.model_copy(update={"alpha": alpha})


def is_alpha_live(spec: Spec) -> bool:
    """Whether some network of a spec has a live alpha-map."""
    return any(net.alpha is not None and _judge(spec, net).live for net in spec.metanets)


def warn_of_dead_alpha(spec: Spec, metanet: str | None = None) -> tuple[Diagnostic, ...]:
    """A warning if the alpha-map that a network declares can change nothing that it computes."""
    if not any(net.alpha for net in spec.metanets):
        return ()
    judged = judge_network(spec, metanet)
    net = judged.net
    if net.alpha is None or judged.verdict.live:
        return ()
    other = _with_family(net, "covariant")
    covariant = net.alpha.family != "covariant" and _judge(spec, other).live
    help = "write `alpha none`" + (", or `alpha covariant(...)`, which would be live" if covariant else "")
    message = f"`alpha {net.alpha.family}` is dead before `{readout_text(net)}`: {judged.verdict.why}"
    place = dict(spec.metanet_places).get(net.name)
    return (Diagnostic("QE707", message, place, help=help, severity="warning"),)
