"""Can an alpha-map change what a network computes? The liveness theorem, as code.

Takes a spec, a `metanet` block and the plans of its network; gives a verdict with its reason.

*Statement* (theory.md, section 3). Write a network as R . F_L ... F_1 with F_k(x) = alpha_k(x) . beta_k(x),
where beta_k is equivariant and R invariant.
  - *shared*: alpha_k is one group element for all channels. beta(a . x) = a . beta(x) carries it through
    every layer, mixing of channels included, and R(a . x) = R(x): R . F_L ... F_1 = R . beta_L ... beta_1,
    exactly. If the output is weights, alpha moves them as a whole: another point of their orbit, with their
    function.
  - *independent*: the same, channel by channel, for maps that do not mix channels; others are refused.
  - *covariant*: alpha_c differs per channel, and the map is equivariant again. It changes the output if
    channels that were moved apart are mixed afterwards: by the next layer, by an equivariant readout, or by
    the matrices of the invariants, which mix channels before they contract them. What comes first there is
    the gauge, for every channel by itself: a scale or dilation that it removes is cancelled, so it is dead
    in front of the readout.

Mixing brings nothing new where the mixture lies in the orbit that the channels come from (`scalings.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.plan.alpha import AlphaPlan
from qecompile.plan.factors import Factor, continuous_factors
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.scalings import idle_factors
from qecompile.spec import MetaNet, Param, Spec


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an alpha-map can change a network's output, or the function of the weights it puts out."""

    live: bool
    why: str


def judge_alpha(
    spec: Spec, net: MetaNet, layer: Plan, inv: InvariantPlan, alpha: AlphaPlan | None
) -> Verdict:
    """The verdict on the alpha-map of a network, declared and planned as given."""
    if net.alpha is None:
        return Verdict(False, "no alpha-map is declared")
    if len(net.channels) < 2:
        return Verdict(False, "there is no layer that alpha could follow")
    if not continuous_factors(spec):
        return Verdict(False, "no continuous factor of the group acts on a parameter: alpha is the identity")
    if alpha is None:
        return Verdict(False, "no continuous factor has a covariant map here: alpha is the identity")
    if alpha.family != "covariant":
        return Verdict(False, _why_raw(net))
    return _judge_covariant(spec, net, layer, inv, alpha)


def readout_text(net: MetaNet) -> str:
    """The readout as the user writes it."""
    return f"readout invariant -> {net.outputs}" if net.outputs else "readout equivariant"


def _why_raw(net: MetaNet) -> str:
    assert net.alpha is not None
    carried = {
        "shared": "all channels take one group element, and every later layer passes it on",
        "independent": "the group element of each channel stays with its channel",
    }[net.alpha.family]
    if net.outputs:
        return f"{carried}, and `{readout_text(net)}` is the same for a tensor and the tensor moved"
    return f"{carried}, and `{readout_text(net)}` gives weights moved as a whole, of the same function"


def _judge_covariant(spec: Spec, net: MetaNet, layer: Plan, inv: InvariantPlan, alpha: AlphaPlan) -> Verdict:
    last = len(net.channels) - 1
    idle = idle_factors(spec, net, layer, inv, alpha)
    moving = [f for f in alpha.factors if f.label not in idle]
    read = inv.read
    seen = [f for f in moving if not net.outputs or _is_read(spec, read, f)]
    for k in range(1, len(net.channels)):
        if net.channels[k] == 1:
            continue
        if k < last and seen:
            return Verdict(True, _why_live(f"`linear{k + 1}`", net.channels[k], seen))
        if k == last and not net.outputs and seen:
            return Verdict(True, _why_live("`readout equivariant`", net.channels[k], seen))
        at_once = [f for f in seen if not _is_cancelled(inv, f)]
        if k == last and at_once:
            return Verdict(True, _why_live(f"`{readout_text(net)}`", net.channels[k], at_once))
    mixed = any(c > 1 for c in net.channels[1 : last if net.outputs else last + 1])
    signs = (
        "; a mixture of channels may still change its sign, which has no gradient" if idle and mixed else ""
    )
    return Verdict(False, _why_dead(net, moving, seen) + signs)


def _why_live(mixer: str, channels: int, factors: list[Factor]) -> str:
    names = ", ".join(f"`{f.label}`" for f in factors[:4]) + (" and others" if len(factors) > 4 else "")
    return f"{mixer} mixes {channels} channels after alpha has moved each by its own elements of {names}"


def _why_dead(net: MetaNet, moving: list[Factor], seen: list[Factor]) -> str:
    if not moving:
        return "channels that alpha moves apart are mixed to points of the orbit that they come from"
    if not seen:
        return f"`{readout_text(net)}` reads no parameter on which alpha acts"
    if all(c == 1 for c in net.channels[1:]):
        return (
            f"there is one channel, so nothing mixes before `{readout_text(net)}` removes its group element"
        )
    return (
        f"`{readout_text(net)}` divides every channel by norms of its own, which cancels the scales of "
        "alpha, and nothing mixes channels before"
    )


# What a readout sees


def _is_read(spec: Spec, read: tuple[PlanType, ...], f: Factor) -> bool:
    """Whether some invariant is made from a reduction on which the factor acts."""
    moved = {m.param for m in f.moves}
    return any(
        row.param in moved and _acts_on(spec.params[row.param], row, f) for t in read for row in t.rows
    )


def _acts_on(p: Param, row: Side, f: Factor) -> bool:
    """Whether a factor acts on a reduction of a parameter, or cancels in its diagonals and traces."""
    mine = {m.axis: m.charge for m in f.moves if m.param == p.name}
    if f.is_matrix:
        return any(k in mine for group in row.through for k in group)
    owner = {k: k if f.word == "scale" else p.axes[k].parent for k in mine}
    groups = [*row.through, *row.pooled, *(s.axes for s in row.spread), *((k,) for k in range(len(p.axes)))]
    place = {k: n for n, group in reversed(list(enumerate(groups))) for k in group}
    totals: dict[int, int] = {}
    for k, charge in mine.items():
        at = owner[k]
        block = -1 if at is None else place[at]
        totals[block] = totals.get(block, 0) + charge
    return any(totals.values())


def _is_cancelled(inv: InvariantPlan, f: Factor) -> bool:
    """Whether the gauge removes the factor from every channel before the channels are mixed."""
    return any((s.space, s.character) == (f.space, f.character) for s in inv.gauge)
