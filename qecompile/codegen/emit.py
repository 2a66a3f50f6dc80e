"""One file from a spec: header, helpers, layer, activations, readouts, network.

Takes a `Spec`, gives text. The same spec gives the same bytes. The header says what the file comes from:
`provenance.parse_header` reads spec, arguments and network back from its text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from qecompile.alpha import check_epsilon, check_mixing
from qecompile.codegen import runtime
from qecompile.codegen.alpha import describe, write_alpha
from qecompile.codegen.invariant import write_invariants
from qecompile.codegen.kernels.write import kernel_section
from qecompile.codegen.linear import write_linear
from qecompile.codegen.network import (
    HEAD_WIDTH,
    Activations,
    choose_activations,
    require_invariants,
    write_activation,
    write_metanet,
    write_readouts,
)
from qecompile.codegen.reduce import epsilon_names, write_reduce
from qecompile.codegen.writer import Variables, Writer
from qecompile.errors import Diagnostic, SymError
from qecompile.plan.alpha import AlphaPlan, plan_alpha
from qecompile.plan.build import build_plan
from qecompile.plan.codes import choose_codes
from qecompile.plan.factors import continuous_factors
from qecompile.plan.invariants import InvariantPlan, plan_invariants
from qecompile.plan.nodes import Plan, PlanType
from qecompile.provenance import provenance
from qecompile.signature import Signatures
from qecompile.spec import MetaNet, Spec
from qecompile.version import __version__

MANY_ROWS = 64
KERNELS_BELOW = "# At the end: Triton kernels for large tensors on a GPU. `lowering(x)` says what serves x."
DEFAULT_NET = MetaNet(name="default")


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that is decided before a line is written."""

    spec: Spec
    net: MetaNet
    plan: Plan
    invariants: InvariantPlan
    activations: Activations
    alpha: AlphaPlan | None


def design(spec: Spec, metanet: str | None = None) -> Design:
    """Decide how a network of a spec is built: that of a `metanet` block, or a default one without any.

    A spec with several blocks needs the name of one.

    Raises:
        SymError: the block asks for something that the group forbids or that is not built yet.
    """
    if not spec.parameters:
        raise SymError(
            [Diagnostic("QE706", f"spec `{spec.name}` has no parameter to read", help="add a `param`")]
        )
    net = _choose_net(spec, metanet)
    _require_alpha(spec, net)
    codes = choose_codes(spec, net)
    plan = build_plan(Signatures(spec, {c.space: c.rank for c in codes}), codes, net.context_rank)
    invariants = plan_invariants(spec, codes, plan)
    if net.alpha is not None and net.alpha.family == "independent" and continuous_factors(spec):
        invariants = replace(invariants, channelwise=True)
    activations = choose_activations(spec, net, has_invariants=invariants.count > 0)
    if net.outputs:
        require_invariants(invariants, "an invariant readout")
    if net.activation == "gate":
        require_invariants(invariants, "the activation `gate`")
    found = Design(spec, net, plan, invariants, activations, None)
    return replace(found, alpha=_design_alpha(found))


def _require_alpha(spec: Spec, net: MetaNet) -> None:
    """Refuse an alpha-map that leaves the group, or that breaks functional identity.

    Raises:
        SymError: epsilon is out of its range, or channels that an independent alpha moved apart are mixed.
    """
    if net.alpha is not None:
        found = [check_epsilon(spec.spaces, net.alpha), check_mixing(spec.spaces, net)]
        if any(found):
            raise SymError([d for d in found if d is not None])


def _design_alpha(d: Design) -> AlphaPlan | None:
    """The alpha-map that the block asks for; None if it would be the identity, or has no layer to follow."""
    if d.net.alpha is None or len(d.net.channels) < 2:
        return None
    counts = part_counts(d)
    layers = sum(count for part, count in counts.items() if part != "readout")
    alpha = plan_alpha(d.spec, d.net.alpha, d.plan, d.invariants, layers, len(d.net.channels) - 1)
    return alpha if alpha.factors else None


def _choose_net(spec: Spec, name: str | None) -> MetaNet:
    """The `metanet` block of a name, or the only one, or a default."""
    known = {net.name: net for net in spec.metanets}
    if name is None and len(known) <= 1:
        return next(iter(known.values()), DEFAULT_NET)
    if name in known:
        return known[name]
    names = ", ".join(f"`{n}`" for n in known) or "none"
    problem = f"spec `{spec.name}` declares {len(known)} networks; which one is to be built?"
    if name is not None:
        problem = f"spec `{spec.name}` declares no network `{name}`"
    raise SymError(
        [Diagnostic("QE708", problem, help=f"its `metanet` blocks: {names}; choose with --metanet")]
    )


def emit_source(spec: Spec, metanet: str | None = None, *, kernels: bool = False) -> str:
    """The text of the emitted module; with `kernels`, Triton kernels follow it.

    Raises:
        SymError: see `design`.
    """
    d = design(spec, metanet)
    variables = Variables(spec)
    w = Writer()
    _write_header(w, d)
    w.block(runtime.CHECK)
    _write_helpers(w, d)
    write_reduce(w, "reduce_features", d.plan, variables)
    write_linear(w, d.plan, variables)
    if d.invariants.count:
        write_invariants(w, d.invariants, variables)
    if d.alpha is not None:
        write_alpha(w, d.alpha, d.invariants, variables)
    write_activation(w, spec, d.activations)
    write_readouts(w, d.invariants)
    write_metanet(w, d.net, d.activations, alpha=d.alpha is not None)
    text = w.text()
    if not kernels:
        return text
    section = kernel_section(text, d.plan, variables, d.net, d.activations, alpha=d.alpha is not None)
    if "triton" in section:
        text = text.replace("\n# MetaNet: ", f"\n{KERNELS_BELOW}\n# MetaNet: ", 1)
    return text + section


def _write_header(w: Writer, d: Design) -> None:
    spec = d.spec
    origin = provenance(spec, d.net.name)
    name = origin.quoted_file
    w.line(f"# Generated by qecompile {__version__} from {name} (sha256 {spec.digest[:12]}). Do not edit.")
    w.line("#")
    w.line(str(origin))
    w.line("# The group is, space by space,")
    for s in spec.spaces:
        inside = f" in each index of {s.parent}" if s.parent else ""
        w.line(f"#   {s.name} = {s.size} : {s.group}{inside}")
    complete = "the complete basis" if d.plan.is_complete else "part of the complete basis"
    w.line(f"# EquivariantLinear: {complete}, {d.plan.weights:,} weights for every pair of channels")
    w.line(f"# and {len(d.plan.affine):,} in the bias for every output channel.")
    for code in d.plan.codes:
        how = "cosines of the position" if code.mode == "encode" else "learned codes"
        w.line(
            f"#   mix {code.space} {code.mode}({code.rank}): {code.size} values through {code.rank} {how}."
        )
    _write_context(w, d.plan)
    _write_unread(w, d)
    if spec.features:
        names = ", ".join(f.name for f in spec.features)
        w.line(
            f"#   The features {names} are not used: this version emits maps that are linear in the weights."
        )
    _write_alpha(w, d)
    w.line(f"# MetaNet: {sum(part_counts(d).values()):,} parameters.")
    w.line("")
    w.line("from __future__ import annotations")
    w.line("")
    if _uses_epsilon(d):
        w.line("import itertools")
    if _uses_cosines(d):
        w.line("import math")
    if w.text().endswith(("itertools\n", "math\n")):
        w.line("")
    w.lines(
        ["import torch", "import torch.fx", "import torch.nn.functional as F", "from torch import Tensor, nn"]
    )
    w.line("")
    w.line("SHAPES: dict[str, tuple[int, ...]] = {")
    with w.indent():
        for p in spec.parameters:
            w.line(f'"{p.name}": {p.shape},')
    w.line("}")


def _write_alpha(w: Writer, d: Design) -> None:
    """Say what the alpha-map is on every factor of the group, and what it costs."""
    if d.net.alpha is None:
        return
    if d.alpha is None:
        why = "it would be the identity"
        if len(d.net.channels) < 2:
            why = "there is no layer that it could follow"
        w.line(f"# Alpha: none, though `{d.net.alpha.family}` is asked for: {why}.")
        return
    counts = part_counts(d)
    alpha = sum(count for part, count in counts.items() if part.startswith("alpha"))
    share = alpha / sum(n for part, n in counts.items() if part.startswith(("linear", "activation")))
    w.line(f"# Alpha: {d.alpha.family}, behind every layer, with {share:.1%} of the weights of the layers.")
    for line in describe(d.alpha):
        w.line(f"#   {line}")


def _write_context(w: Writer, plan: Plan) -> None:
    """Say how the fully pooled features are mixed, where that is not obvious."""
    t = plan.invariant
    if plan.context_rank is not None:
        w.line(f"#   context lowrank({plan.context_rank}): means of all tensors meet in so many features.")
    elif t is not None and len(t.rows) > MANY_ROWS:
        w.line(
            f"#   {t.weights:,} of them let the means of all tensors meet; `context lowrank(r)` needs fewer."
        )


def _write_unread(w: Writer, d: Design) -> None:
    """Say which parameters cannot reach a readout or a gate."""
    if d.invariants.unread and (d.net.outputs or d.activations.gated):
        names = d.invariants.unread
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        w.line(f"#   No invariant of degree one or two sees {shown}.")


def _uses_cosines(d: Design) -> bool:
    return any(c.mode == "encode" for c in d.plan.codes) or (
        d.alpha is not None and d.alpha.family != "covariant"
    )


def _uses_epsilon(d: Design) -> bool:
    sides = [s for p in (d.plan, d.invariants.plan) for t in p.types for s in (*t.rows, *t.columns)]
    return bool(epsilon_names(sides))


def _write_helpers(w: Writer, d: Design) -> None:
    w.block(runtime.FILL)
    if any(t.mask is not None for t in d.plan.types):
        w.block(runtime.MASKED)
    if _uses_cosines(d):
        w.block(runtime.COSINES)
    if _uses_epsilon(d):
        w.block(runtime.LEVI_CIVITA)


def parameter_counts(spec: Spec, metanet: str | None = None) -> dict[str, int]:
    """The number of parameters of `MetaNet` and of each of its parts, before anything is allocated.

    Raises:
        SymError: see `design`.
    """
    counts = part_counts(design(spec, metanet))
    return {"MetaNet": sum(counts.values()), **counts}


def part_counts(d: Design) -> dict[str, int]:
    """The number of parameters of each part of the network."""
    counts: dict[str, int] = {}
    for k, (a, b) in enumerate(zip(d.net.channels, d.net.channels[1:], strict=False)):
        counts[f"linear{k + 1}"] = d.plan.layer_weights(a, b)
        if d.alpha is not None:
            counts[f"alpha{k + 1}"] = d.alpha.weights(b)
        if d.activations.gated:
            inputs, gates = _invariant_inputs(d, b), len(d.activations.gated) * b
            counts[f"activation{k + 1}"] = _invariant_count(d, b) + (inputs + 1) * gates
    last = d.net.channels[-1]
    if d.net.outputs:
        inputs = _invariant_inputs(d, last)
        head = (inputs + 1) * HEAD_WIDTH + (HEAD_WIDTH + 1) * d.net.outputs
        counts["readout"] = _invariant_count(d, last) + head
    else:
        counts["readout"] = d.plan.layer_weights(last, 1)
    return counts


def _invariant_inputs(d: Design, channels: int) -> int:
    return d.invariants.count * channels


def _invariant_count(d: Design, channels: int) -> int:
    """Weights of `Invariants(channels, channels)`."""
    contracted = [t for p in d.invariants.pairs for t in (p.left, p.right)] + [*d.invariants.moment_types]
    mixed = 1 if d.invariants.channelwise else channels
    matrices = sum(_rows(t) * channels * channels for t in d.invariants.neutral)
    matrices += sum(_rows(t) * mixed * channels for t in contracted)
    learned = sum(c.size * c.rank for c in d.plan.codes if c.mode == "lowrank")
    return matrices + len(d.invariants.neutral) * channels + learned


def _rows(t: PlanType) -> int:
    """The rows of a type's matrices for one channel, over all index values with a matrix of their own."""
    return t.height * prod(t.axes[k].size for k in t.own)
