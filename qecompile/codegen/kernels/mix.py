"""The kernels of a product with broadcast parts, as text: one pair for each way that parts lie in a target.

Takes a `Form`, writes two functions. Forward, a program gives ROWS rows of y and some of its channels,

    y[i, :] = x[i, :] @ w + p1[i restricted to S_1, :] + ...,

in one pass over x and y; parts are small and come from the cache. Backward, a program sweeps STEPS tiles
along the last axis and reads x and dy once,

    dx[i, :] = dy[i, :] @ w.T,    dw = sum over i of x[i, :].T dy[i, :],
    dp[s, :] = sum over the i that are s on S of dy[i, :];

for a part that runs along all axes that is dy itself, and no work of the kernel.

Sums over rows that belong to several programs are written to a slot for each and added later, in the order of
the slots: equal inputs give equal bits. Products and sums are taken in float32.
"""

from __future__ import annotations

from qecompile.codegen.kernels.form import Axes, Form
from qecompile.codegen.kernels.tiles import box_sum, digit, offset, row, tile_size, write_slot, write_tile
from qecompile.codegen.writer import Writer

SIZES = ("C: tl.constexpr", "N: tl.constexpr")


def write_mix_kernels(w: Writer, form: Form, users: list[str]) -> None:
    """Both kernels of a form, with the targets that use them."""
    _write_forward(w, form, users)
    _write_backward(w, form)


def _parts(form: Form) -> list[tuple[str, Axes]]:
    return [(f"p{k + 1}", span) for k, span in enumerate(form.spans)]


def _summed(form: Form) -> list[tuple[str, Axes]]:
    """The parts whose gradients are sums."""
    return [(part, span) for part, span in _parts(form) if len(span) < len(form.names)]


def _equation(form: Form) -> str:
    summands = [f"{name}{form.label(span)}" for name, span in _parts(form)]
    return " + ".join(["x @ w", *summands])


def _write_forward(w: Writer, form: Form, users: list[str]) -> None:
    steps = [f"x_{name}" for name in form.names]
    steps += [f"{part}_{form.names[k]}" for part, span in _parts(form) for k in span]
    w.line()
    w.line()
    w.filled(
        f"def _mix_{form.owner}(",
        [
            *("x", "w", "y", *(part for part, _ in _parts(form))),
            *("rows", *(f"size_{name}" for name in form.names[1:]), *steps),
            *SIZES,
            *(f"{name}: tl.constexpr" for name in ("ROWS", "BLOCK_C", "BLOCK_N", "PRECISION")),
        ],
        "):",
    )
    with w.indent():
        shown = ", ".join(users) if len(users) <= 6 else f"{', '.join(users[:5])} and {len(users) - 5} more"
        w.line(f'"""y{form.label(tuple(range(len(form.names))))} = {_equation(form)}')
        w.line()
        w.line(f"For {shown}. One program: ROWS rows, BLOCK_N channels.")
        w.line('"""')
        w.line("row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)")
        w.line("n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)")
        divisor: list[str] = []
        for name in reversed(form.names[1:]):
            start = " // ".join(["row", *divisor])
            w.line(f"i_{name} = ({start} % size_{name}).to(tl.int64)")
            divisor.append(f"size_{name}")
        w.line(f"i_{form.names[0]} = ({' // '.join(['row', *divisor])}).to(tl.int64)")
        w.line("inside = (row < rows)[:, None]")
        w.line(f"x += {offset('x', form.names, tuple(range(len(form.names))))}")
        w.line("total = tl.zeros((ROWS, BLOCK_N), tl.float32)")
        w.line("for start in range(0, C, BLOCK_C):")
        with w.indent():
            w.line("c = start + tl.arange(0, BLOCK_C)")
            w.line("features = tl.load(x + c, mask=inside & (c < C), other=0.0).to(tl.float32)")
            w.line("matrix = tl.load(w + c[:, None] * N + n, mask=(c[:, None] < C) & (n < N), other=0.0)")
            w.line("total = tl.dot(features, matrix.to(tl.float32), total, input_precision=PRECISION)")
        w.line("inside = inside & (n < N)")
        for part, span in _parts(form):
            w.commented(f"{part} += {offset(part, form.names, span)} + n", form.label(span))
            w.line(f"total += tl.load({part}, mask=inside, other=0.0).to(tl.float32)")
        w.line("y += row.to(tl.int64)[:, None] * N + n")
        w.line("tl.store(y, total.to(y.dtype.element_ty), mask=inside)")


def _write_backward(w: Writer, form: Form) -> None:
    names = form.names
    w.line()
    w.line()
    w.filled(
        f"def _mix_{form.owner}_backward(",
        [
            *("x", "w", "dy", "dx", "dw", *(f"d{part}" for part, _ in _summed(form))),
            *(f"size_{name}" for name in names),
            *(f"x_{name}" for name in names),
            *(f"dx_{name}" for name in names),
            *SIZES,
            *(f"TILE_{name}: tl.constexpr" for name in names),
            *(f"{name}: tl.constexpr" for name in ("STEPS", "BLOCK_C", "BLOCK_N")),
            *(f"{name}: tl.constexpr" for name in ("NEED_X", "NEED_W", "NEED_PARTS", "PRECISION")),
        ],
        "):",
    )
    with w.indent():
        w.line(f'"""Gradients of `_mix_{form.owner}`. One program: STEPS tiles along {names[-1]}."""')
        write_tile(w, form.names)
        w.line("c, n = tl.arange(0, BLOCK_C), tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)")
        w.line("in_w = (c[:, None] < C) & (n < N)")
        w.line("at_w = c[:, None] * N + n")
        w.line("if NEED_X:")
        w.line("    matrix = tl.load(w + at_w, mask=in_w, other=0.0).to(tl.float32)")
        w.line("sum_w = tl.zeros((BLOCK_C, BLOCK_N), tl.float32)")
        kept = [(part, span) for part, span in _summed(form) if len(names) - 1 not in span]
        for part, span in kept:
            w.line(f"sum_{part} = tl.zeros(({tile_size(form.names, span)}, BLOCK_N), tl.float32)")
        w.line("for step in range(STEPS):")
        with w.indent():
            _write_step(w, form)
        w.line("if NEED_W:")
        w.line("    slot = tl.program_id(0).to(tl.int64) * C * N")
        w.line("    tl.store(dw + slot + at_w, sum_w, mask=in_w)")
        if kept:
            w.line("if NEED_PARTS:")
            with w.indent():
                for part, span in kept:
                    write_slot(w, form.names, f"d{part}", span, f"sum_{part}", ("n", "N"))


def _write_step(w: Writer, form: Form) -> None:
    last = len(form.names) - 1
    name = form.names[last]
    everything = tuple(range(last + 1))
    w.line(f"start = (tile_{name}.to(tl.int64) * STEPS + step) * TILE_{name}")
    w.line(f"i_{name} = start + {digit('r', form.names, everything, last)}")
    bounds = " & ".join(f"(i_{n} < size_{n})" for n in form.names)
    w.line(f"inside = ({bounds})[:, None]")
    w.line(f"row = {row('i', form.names, everything)}")
    w.line("at_dy = dy + row[:, None] * N + n")
    w.line("change = tl.load(at_dy, mask=inside & (n < N), other=0.0).to(tl.float32)")
    w.line("if NEED_X:")
    with w.indent():
        w.line("at_dx = " + offset("dx", form.names, everything) + " + c")
        w.line("found = tl.dot(change, tl.trans(matrix), input_precision=PRECISION)")
        w.line("tl.store(dx + at_dx, found.to(dx.dtype.element_ty), mask=inside & (c < C))")
    w.line("if NEED_W:")
    with w.indent():
        w.line("at_x = " + offset("x", form.names, everything) + " + c")
        w.line("features = tl.load(x + at_x, mask=inside & (c < C), other=0.0).to(tl.float32)")
        w.line("sum_w = tl.dot(tl.trans(features), change, sum_w, input_precision=PRECISION)")
    if not _summed(form):
        return
    w.line("if NEED_PARTS:")
    with w.indent():
        shape = ", ".join(f"TILE_{n}" for n in form.names)
        w.line(f"box = tl.reshape(change, ({shape}, BLOCK_N))")
        for part, span in _summed(form):
            if last in span:
                write_slot(w, form.names, f"d{part}", span, box_sum(form.names, span), ("n", "N"))
            else:
                w.commented(f"sum_{part} += {box_sum(form.names, span)}", form.label(span))
