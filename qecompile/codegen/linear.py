"""`EquivariantLinear`: reduce, one matrix per intermediate type, expand."""

from __future__ import annotations

from collections.abc import Sequence

from qecompile.codegen.blocks import BLOCKS, BY_BLOCKS, MIX, PRODUCT
from qecompile.codegen.expand import write_expand
from qecompile.codegen.initialise import repeated, write_reset
from qecompile.codegen.reduce import epsilon_names, labels, reduce_constants
from qecompile.codegen.writer import LETTERS, Variables, Writer, times_c
from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.schedule.nodes import ExpandOp, Mix, Sum
from qecompile.schedule.passes import schedule_layer


def write_linear(w: Writer, plan: Plan, variables: Variables) -> None:
    """The class, its initialisation and its forward."""
    ops = schedule_layer(plan, variables.spec, labels(plan, variables)).expand
    if any(isinstance(op, Sum) and op.product and op.parts for op in ops):
        for helper in (BY_BLOCKS, BLOCKS, MIX):
            w.helper(helper)
    elif any((isinstance(op, Sum) and op.product) or (isinstance(op, Mix) and op.streams) for op in ops):
        w.helper(PRODUCT)
    for t in plan.types:
        _write_mask(w, t)
    w.line()
    w.line()
    w.line("class EquivariantLinear(nn.Module):")
    with w.indent():
        most = "The most general" if plan.is_complete else "An"
        w.line(f'"""{most} equivariant affine map between feature tensors [B, *shape, C].')
        w.line()
        w.line(
            f"It has {plan.weights:,} weights for every pair of channels; the bias, which `bias=False` leaves"
        )
        w.line(f"out, has {len(plan.affine):,} for every output channel.")
        w.line('"""')
        _write_init(w, plan, variables)
        write_reset(w, plan, variables)
        w.line()
        w.line("def extra_repr(self) -> str:")
        w.line('    """What `print` shows."""')
        w.line('    return f"{self.in_channels}, {self.out_channels}, bias={self.bias is not None}"')
        _write_forward(w, plan, ops, variables)


def _write_mask(w: Writer, t: PlanType) -> None:
    if t.mask is None:
        return
    batches, height, width = t.mask.shape
    allowed = set(t.mask.entries)
    w.line()
    w.line()
    w.line(f"# Which rows meet which columns in type {t.name}; the others would repeat a map, or are none.")
    marks = (
        "".join("x" if row * width + k in allowed else "." for k in range(width))
        for row in range(batches * height)
    )
    w.filled(f"ALLOWED_{t.name} = [", repeated([f'"{row}"' for row in marks]), "]")


def _write_init(w: Writer, plan: Plan, variables: Variables) -> None:
    with w.init("in_channels: int", "out_channels: int", "bias: bool = True"):
        w.line("self.in_channels, self.out_channels = in_channels, out_channels")
        w.line('options = {"device": device, "dtype": dtype}')
        for t in plan.types:
            if t.rows:
                w.line(f"# {describe(t, variables)}")
            if plan.is_factorised(t):
                inner = _product(plan.context_rank or 1, "out_channels")
                height, width = _product(t.height, "in_channels"), _product(t.width, "out_channels")
                w.line(f"self.left_{t.name} = nn.Parameter(torch.empty({height}, {inner}, **options))")
                w.line(f"self.right_{t.name} = nn.Parameter(torch.empty({inner}, {width}, **options))")
            elif t.rows:
                w.line(_parameter(t))
                if t.mask is not None:
                    numbers = f"_numbered(ALLOWED_{t.name}, device)"
                    w.line(f'self.register_buffer("index_{t.name}", {numbers})')
        if plan.affine:
            w.line(f"values = torch.empty({len(plan.affine)}, out_channels, **options)")
            w.line("self.bias = nn.Parameter(values) if bias else None")
        else:
            w.line("self.bias = None  # no parameter has an invariant")
        if _scattered_bias(plan):
            w.line(f'self.register_buffer("bias_index", {_bias_index(plan)})')
        write_constants(w, plan, variables, ("encode", "decode"))
        w.line("self.reset_parameters()")


def describe(t: PlanType, variables: Variables) -> str:
    """What a type connects, as in `W averaged, b -> W broadcast, b`; counts where that is too long."""
    rows = [variables.of[r.param] + _manner(r, "averaged") for r in t.rows]
    columns = [variables.of[c.param] + _manner(c, "broadcast") for c in t.columns]
    text = f"{', '.join(rows)} -> {', '.join(columns)}"
    return text if len(text) < 88 else f"{len(rows)} reductions -> {len(columns)} expansions"


def _manner(side: Side, pooled: str) -> str:
    """How a tensor is reduced or expanded, in words; nothing if it is only viewed."""
    coded = any(s.coded for s in side.spread)
    groups = [*side.through, *side.pooled, *(s.axes for s in side.spread)]
    words = [pooled] if side.pooled else []
    words += ["coded"] if coded else []
    words += ["on diagonals"] if any(len(g) > 1 for g in groups) else []
    words += ["by identities" if pooled == "broadcast" else "traced"] if side.pairs else []
    words += ["by epsilon"] if side.epsilons else []
    words += ["permuted"] if list(side.through) != sorted(side.through) else []
    return "".join(f" {word}" for word in words)


def _parameter(t: PlanType) -> str:
    if t.mask is not None:
        shape = f"{len(t.mask.entries)}, in_channels, out_channels"
    else:
        sizes = [str(t.axes[k].size) for k in t.own]
        shape = ", ".join([*sizes, _product(t.height, "in_channels"), _product(t.width, "out_channels")])
    return f"self.weight_{t.name} = nn.Parameter(torch.empty({shape}, **options))"


def _product(count: int, name: str) -> str:
    return name if count == 1 else f"{count} * {name}"


def _scattered_bias(plan: Plan) -> bool:
    return bool(plan.affine) and plan.invariant is not None and len(plan.affine) != plan.invariant.width


def _bias_index(plan: Plan) -> str:
    assert plan.invariant is not None
    place = {k: position for position, k in enumerate(plan.affine)}
    index = [place.get(k, len(plan.affine)) for k in range(plan.invariant.width)]
    return f"torch.tensor({index}, device=device)"


def write_constants(w: Writer, plan: Plan, variables: Variables, sides: tuple[str, ...]) -> None:
    """Position codes and Levi-Civita tensors, as buffers or (learned codes) as parameters."""
    for code in plan.codes:
        short = variables.short[code.space]
        for side in sides:
            if code.mode == "encode":
                made = f"_cosines({code.size}, {code.rank}, **options)"
                w.line(f'self.register_buffer("{side}_{short}", {made})')
            else:
                made = f"torch.empty({code.size}, {code.rank}, **options)"
                w.line(f"self.{side}_{short} = nn.Parameter({made})")
    for name in epsilon_names(s for t in plan.types for s in (*t.rows, *t.columns)):
        made = f"_levi_civita({name.removeprefix('epsilon_')}, **options)"
        w.line(f'self.register_buffer("{name}", {made})')


def _write_forward(w: Writer, plan: Plan, ops: Sequence[ExpandOp], variables: Variables) -> None:
    w.line()
    w.line("def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:")
    with w.indent():
        w.line('"""Map features [B, *shape, in_channels] to [B, *shape, out_channels], by parameter name."""')
        first = next(_matrix(t, plan) for t in plan.types if t.rows)
        w.line(f"x = _check(x, self.in_channels, {first})")
        w.line("n = self.out_channels")
        names = [f"x_{t.name}" for t in plan.types if t.rows]
        arguments = ["x", *(f"self.{c}" for c in reduce_constants(plan, variables))]
        write_unpacked(w, names, f"reduce_features({', '.join(arguments)})")
        w.line()
        for op in ops:
            if isinstance(op, Mix):
                _write_mix(w, op, plan, variables)
        results = write_expand(w, ops, variables)
        pairs = [f'"{name}": {variable}' for name, variable in results.items()]
        w.call("return {", pairs, "}")


def write_unpacked(w: Writer, names: list[str], call: str) -> None:
    """Assign a tuple to names."""
    bare = f"{', '.join(names)}{',' if len(names) == 1 else ''} = {call}"
    if w.fits(bare):
        w.line(bare)
    else:
        w.filled("(", names, f") = {call}")


def _write_mix(w: Writer, op: Mix, plan: Plan, variables: Variables) -> None:
    """The one matrix product of a type; the bias enters at the invariant type."""
    t = op.type
    axes = [variables.short[a.space] for a in t.axes]
    comment = f"[{', '.join(['B', *axes, times_c(t.width, 'n')])}]"
    bias = "self.bias.flatten()"
    if _scattered_bias(plan):
        bias = "torch.cat((self.bias, self.bias.new_zeros(1, n)))[self.bias_index].flatten()"
    if op.source is None:
        source = next(iter(variables.spec.params))
        w.line(f'{op.out.name} = x["{source}"].new_zeros(x["{source}"].shape[0], {_product(t.width, "n")})')
    else:
        w.commented(f"{op.out.name} = {_matmul(op, plan)}", comment)
    if op.bias:
        w.line("if self.bias is not None:")
        with w.indent():
            w.line(f"{op.out.name} = {op.out.name} + {bias}")


def _matrix(t: PlanType, plan: Plan) -> str:
    return f"self.{'left' if plan.is_factorised(t) else 'weight'}_{t.name}"


def _matmul(op: Mix, plan: Plan) -> str:
    t = op.type
    if op.streams:
        return f"_mix(x_{t.name}, {_matrix(t, plan)})"
    if plan.is_factorised(t):
        return f"x_{t.name} @ self.left_{t.name} @ self.right_{t.name}"
    weight = _matrix(t, plan)
    if t.mask is not None:
        sizes = ", ".join(str(t.axes[k].size) for k in t.own)
        shape = f"({sizes}{',' if len(t.own) == 1 else ''})"
        weight = f"_assemble({weight}, self.index_{t.name}, {shape}, {t.height}, {t.width})"
    if not t.own:
        return f"x_{t.name} @ {weight}"
    letters = LETTERS[: len(t.axes)]
    own = "".join(letters[k] for k in t.own)
    return f'torch.einsum("b{letters}c,{own}cz->b{letters}z", x_{t.name}, {weight})'
