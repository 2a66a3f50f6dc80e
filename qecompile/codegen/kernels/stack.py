"""Layers in a stack: which sums need not be written, and the kernels that take them on, as text.

Takes the schedule of a layer. A layer gives y = full + p1 + p2 + ... with parts that are broadcast, then
comes a pointwise f, then the next layer, which multiplies f(y) by a matrix and takes means of it. Where these
are all the uses of f(y), the sum is not written: `full` and the parts are handed on, and one pass over `full`
gives

    x = f(full + p1 + ...),    next = x @ w,    m_k = sums of x over some axes,

one read and one write of the large tensor for a layer. The backward makes x again and needs one pass, too:

    dx = dnext @ w.T + dm_k,    dfull = dx f'(full + ...),    dp = sums of dfull,    dw = x.T dnext.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qecompile.activations import Function
from qecompile.codegen.kernels.form import Axes, Form, merge
from qecompile.codegen.kernels.tiles import (
    box_sum,
    digit,
    label,
    offset,
    row,
    tile_size,
    write_slot,
    write_tile,
)
from qecompile.codegen.writer import Variables, Writer
from qecompile.schedule.defer import defer_broadcasts, means_on_the_way
from qecompile.schedule.nodes import Schedule, Sum

MOST_CHANNELS = 32
"""Of a layer whose products still fit a program's registers, with all channels of a tile at once."""

FUNCTIONS = {
    "identity": ("u", "1.0", "torch.ones_like(u)"),
    "relu": ("tl.where(u <= 0, 0.0, u)", "tl.where(u > 0, 1.0, 0.0)", "(u > 0).to(u.dtype)"),
    "leaky_relu": (
        "tl.where(u <= 0, 0.01 * u, u)",
        "tl.where(u > 0, 1.0, 0.01)",
        "torch.where(u > 0, 1.0, 0.01)",
    ),
    "abs": ("tl.abs(u)", "tl.where(u > 0, 1.0, tl.where(u < 0, -1.0, 0.0))", "u.sign()"),
    "sigmoid": ("tl.sigmoid(u)", "x * (1 - x)", "x * (1 - x)"),
    "tanh": ("2 * tl.sigmoid(2 * u) - 1", "1 - x * x", "1 - x * x"),
    "silu": ("u * tl.sigmoid(u)", "tl.sigmoid(u) * (1 + u - x)", "u.sigmoid() * (1 + u - x)"),
}
"""Functions of u that kernels know, and their derivatives, of u and x = f(u), for kernels and for torch."""


@dataclass(frozen=True, slots=True)
class Stacked:
    """A parameter whose sums stay apart: the form of its sum, its means, the type of its product, f.

    `means` are the merged groups that each mean keeps, `dims` the dimensions that it is over, as the plain
    text calls them; groups are merged so that all parts and means treat their axes alike.
    """

    param: str
    form: Form
    means: tuple[Axes, ...]
    dims: tuple[Axes, ...]
    type: str
    function: Function

    @property
    def kernel(self) -> tuple[object, ...]:
        """What a kernel depends on."""
        return len(self.form.merged), self.form.spans, self.means, self.function.name


def pointwise(functions: Mapping[str, Function | None]) -> tuple[str, ...]:
    """The parameters whose features go through a function that kernels know."""
    return tuple(name for name, f in functions.items() if f is not None and f.name in FUNCTIONS)


def stacked(
    s: Schedule, variables: Variables, functions: Mapping[str, Function | None]
) -> tuple[Stacked, ...]:
    """The parameters whose sums need not be written between layers."""
    s = defer_broadcasts(s, pointwise(functions))
    return tuple(
        _stack_of(op, s, variables, functions[op.param])
        for op in s.expand
        if isinstance(op, Sum) and op.deferred
    )


def _stack_of(op: Sum, s: Schedule, variables: Variables, f: Function | None) -> Stacked:
    assert op.product is not None
    assert f is not None
    dims = tuple(tuple(k + 1 for k in over) for over in means_on_the_way(s, op.param))
    axes = set(range(len(op.out.dims) + 1))
    parts = [{0, *(group[0] + 1 for group in part.slice.groups)} for part in op.parts]
    form, kept = merge(op, variables, parts, [axes - set(over) for over in dims])
    return Stacked(op.param, form, kept, dims, op.product.type.name, f)


def write_stack_kernels(w: Writer, entry: Stacked, users: list[str]) -> None:
    """Both kernels of a kind of sum, with the targets that use them."""
    _write_forward(w, entry, users)
    _write_backward(w, entry)


def _parts(entry: Stacked) -> list[tuple[str, Axes]]:
    return [(f"p{k + 1}", span) for k, span in enumerate(entry.form.spans)]


def _means(entry: Stacked) -> list[tuple[str, Axes]]:
    return [(f"m{k + 1}", span) for k, span in enumerate(entry.means)]


def _sizes(entry: Stacked) -> list[str]:
    names = entry.form.names
    steps = [f"{part}_{names[k]}" for part, span in _parts(entry) for k in span]
    sizes = [*(f"size_{name}" for name in names), *steps, "C: tl.constexpr", "N: tl.constexpr"]
    constants = [*(f"TILE_{name}" for name in names), "STEPS", "BLOCK_C", "BLOCK_N", "DEFERRED"]
    return [*sizes, *(f"{name}: tl.constexpr" for name in constants)]


def _write_forward(w: Writer, entry: Stacked, users: list[str]) -> None:
    names = entry.form.names
    shown = ", ".join(users) if len(users) <= 6 else f"{', '.join(users[:5])} and {len(users) - 5} more"
    w.line()
    w.line()
    tensors = ["full", "w", *(p for p, _ in _parts(entry)), "y", *(m for m, _ in _means(entry))]
    w.filled(f"def _advance_{entry.form.owner}(", [*tensors, *_sizes(entry), "PRECISION: tl.constexpr"], "):")
    with w.indent():
        parts = " + ".join(["full", *(f"{p}{label(names, span)}" for p, span in _parts(entry))])
        w.line(f'"""x = {entry.function.name}({parts}); y = x @ w; sums of x, over [{", ".join(names)}].')
        w.line()
        w.line(f"For {shown}. Without DEFERRED x is full. One program: STEPS tiles along {names[-1]}.")
        w.line('"""')
        write_tile(w, names)
        _write_matrix(w)
        kept = [(m, span) for m, span in _means(entry) if len(names) - 1 not in span]
        for m, span in kept:
            w.line(f"sum_{m} = tl.zeros(({tile_size(names, span)}, BLOCK_C), tl.float32)")
        w.line("for step in range(STEPS):")
        with w.indent():
            _write_features(w, entry)
            w.line("product = tl.dot(x, matrix, input_precision=PRECISION)")
            w.line("at_y = y + row[:, None] * N + n")
            w.line("tl.store(at_y, product.to(y.dtype.element_ty), mask=inside & (n < N))")
            _write_box_sums(w, entry, "x", _means(entry), "")
        for m, span in kept:
            write_slot(w, names, m, span, f"sum_{m}", ("c", "C"))


def _write_matrix(w: Writer) -> None:
    w.line("c, n = tl.arange(0, BLOCK_C), tl.arange(0, BLOCK_N)")
    w.line("in_w = (c[:, None] < C) & (n < N)")
    w.line("at_w = c[:, None] * N + n")
    w.line("matrix = tl.load(w + at_w, mask=in_w, other=0.0).to(tl.float32)")


def _write_features(w: Writer, entry: Stacked) -> None:
    """The rows of this step, and x there."""
    names = entry.form.names
    everything, last = tuple(range(len(names))), names[-1]
    w.line(f"start = (tile_{last}.to(tl.int64) * STEPS + step) * TILE_{last}")
    w.line(f"i_{last} = start + {digit('r', names, everything, len(names) - 1)}")
    bounds = " & ".join(f"(i_{name} < size_{name})" for name in names)
    w.line(f"inside = ({bounds})[:, None]")
    w.line(f"row = {row('i', names, everything)}")
    w.line("in_x = inside & (c < C)")
    w.line("x = tl.load(full + row[:, None] * C + c, mask=in_x, other=0.0).to(tl.float32)")
    w.line("if DEFERRED:")
    with w.indent():
        w.line("u = x")
        for part, span in _parts(entry):
            w.commented(f"at_part = {part} + {offset(part, names, span)} + c", label(names, span))
            w.line("u += tl.load(at_part, mask=in_x, other=0.0).to(tl.float32)")
        w.line(f"x = tl.where(in_x, {FUNCTIONS[entry.function.name][0]}, 0.0)")


def _write_box_sums(w: Writer, entry: Stacked, value: str, sums: list[tuple[str, Axes]], prefix: str) -> None:
    """Sums of a tile over some of its axes: kept, or stored where they run along the axis that is walked."""
    names = entry.form.names
    if sums:
        w.line(f"box = tl.reshape({value}, ({', '.join(f'TILE_{name}' for name in names)}, BLOCK_C))")
    for tensor, span in sums:
        found = box_sum(names, span, "BLOCK_C")
        if len(names) - 1 in span:
            write_slot(w, names, prefix + tensor, span, found, ("c", "C"))
        else:
            w.commented(f"sum_{tensor} += {found}", label(names, span))


def _write_backward(w: Writer, entry: Stacked) -> None:
    names = entry.form.names
    w.line()
    w.line()
    tensors = ["full", "w", *(p for p, _ in _parts(entry)), "dy", *(f"d{m}" for m, _ in _means(entry))]
    tensors += ["dfull", "dw", *(f"d{p}" for p, _ in _parts(entry))]
    flags = [f"{name}: tl.constexpr" for name in ("NEED_X", "NEED_W", "PRECISION")]
    w.filled(f"def _advance_{entry.form.owner}_backward(", [*tensors, *_sizes(entry), *flags], "):")
    with w.indent():
        w.line(f'"""Gradients of `_advance_{entry.form.owner}`; x is made again."""')
        write_tile(w, names)
        _write_matrix(w)
        w.line("sum_w = tl.zeros((BLOCK_C, BLOCK_N), tl.float32)")
        kept = [(p, span) for p, span in _parts(entry) if len(names) - 1 not in span]
        for p, span in kept:
            w.line(f"sum_{p} = tl.zeros(({tile_size(names, span)}, BLOCK_C), tl.float32)")
        w.line("for step in range(STEPS):")
        with w.indent():
            _write_features(w, entry)
            w.line("at_dy = dy + row[:, None] * N + n")
            w.line("change = tl.load(at_dy, mask=inside & (n < N), other=0.0).to(tl.float32)")
            w.line("if NEED_W:")
            w.line("    sum_w = tl.dot(tl.trans(x), change, sum_w, input_precision=PRECISION)")
            w.line("if NEED_X:")
            with w.indent():
                w.line("dx = tl.dot(change, tl.trans(matrix), input_precision=PRECISION)")
                for m, span in _means(entry):
                    w.commented(f"place = {row('i', names, span)}", label(names, span))
                    w.line(f"dx += tl.load(d{m} + place[:, None] * C + c, mask=in_x, other=0.0)")
                w.line("if DEFERRED:")
                w.line(f"    dx = tl.where(in_x, dx * ({FUNCTIONS[entry.function.name][1]}), 0.0)")
                w.line("at_x = dfull + row[:, None] * C + c")
                w.line("tl.store(at_x, dx.to(dfull.dtype.element_ty), mask=in_x)")
                if entry.form.spans:
                    w.line("if DEFERRED:")
                    with w.indent():
                        _write_box_sums(w, entry, "dx", _parts(entry), "d")
        w.line("if NEED_W:")
        w.line("    slot = tl.program_id(0).to(tl.int64) * C * N")
        w.line("    tl.store(dw + slot + at_w, sum_w, mask=in_w)")
        if kept:
            w.line("if NEED_X and DEFERRED:")
            with w.indent():
                for p, span in kept:
                    write_slot(w, names, f"d{p}", span, f"sum_{p}", ("c", "C"))
