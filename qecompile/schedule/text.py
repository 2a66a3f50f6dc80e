"""Schedules as text: one readable line an operation.

    W1_by_a0 = mean W1 over dim 0
    y_a1     = x_a1 @ weight_a1
    W1       = x_a1_a0 @ weight_a1_a0 + y_a0 along 1 + (y_a1[0:1] + y_scalar[0:1] along none) along 0

`y_a1[0:1]` are channels 0 to 1 of y_a1, in multiples of n; `along 1` says that a summand varies only along
axis 1 of its target and is broadcast along the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from qecompile.schedule.nodes import (
    Contract,
    Decode,
    Dim,
    Encode,
    Gather,
    Insert,
    Load,
    Mean,
    Mix,
    Op,
    Part,
    Row,
    Schedule,
    Slice,
    Sum,
    Value,
)


def show(op: Op) -> str:
    """One operation, without the dimensions of what it gives."""
    return f"{op.out.name} = {show_operation(op)}"


def show_value(value: Value) -> str:
    """The dimensions of a value, as in `[a1, a0, 2 C]`."""
    channels = value.base if value.count == 1 else f"{value.count} {value.base}"
    return f"[{', '.join([*map(_dim, value.dims), channels])}]"


def show_schedule(s: Schedule) -> str:
    """All operations, in columns, by stage."""
    lines: list[str] = []
    for title, ops in (("reduce", s.reduce), ("expand", s.expand)):
        if ops:
            width = max(len(op.out.name) for op in ops)
            lines += [f"{title}", *(f"  {op.out.name:{width}} = {show_operation(op)}" for op in ops)]
    return "\n".join(lines)


def show_operation(op: Op) -> str:
    """What one operation computes."""
    match op:
        case Load(param=param):
            return f"load {param}"
        case Contract(source=s, diagonals=diagonals, pairs=pairs, epsilons=epsilons):
            words = [f"diagonal {_numbers(g)}" for g in diagonals] + [f"trace {_numbers(p)}" for p in pairs]
            words += [f"epsilon {_numbers(e.axes)}" for e in epsilons]
            return f"contract {s} by {', '.join(words)}"
        case Encode(source=s, out=out, dim=k):
            return f"encode {s} over {out.dims[k].space} by {out.dims[k].size} codes"
        case Mean(source=s, over=over, streams=streams, joins=joins, on_the_way=on_the_way):
            dims = ", ".join(map(str, over))
            stream = " in that stream" if joins else " in one stream" if streams else ""
            how = " on the way" if on_the_way else stream
            return f"mean {s} over dim {dims}{how}"
        case Gather(rows=rows):
            return f"gather {' | '.join(_row(r) for r in rows)}"
        case Mix(source=s, type=t, bias=bias, rank=rank, streams=streams):
            matrix = f"weight_{t.name}" if rank is None else f"left_{t.name} @ right_{t.name}"
            stream = " in one stream" if streams else ""
            return " + ".join(filter(None, [s and f"{s} @ {matrix}{stream}", "bias" if bias else ""])) or "0"
        case Decode(slice=piece, dim=k):
            return f"decode {_slice(piece)} over {piece.dims[k].space}"
        case Insert(slice=piece, epsilon=e):
            return f"insert epsilon {_numbers(e.axes)} into {_slice(piece)}"
        case Sum():
            return _sum(op)


def _sum(op: Sum) -> str:
    terms = [_part(p, len(op.out.dims)) for p in op.parts]
    if op.product is not None:
        order = op.product.order
        moved = "" if list(order) == sorted(order) else f".permute({', '.join(map(str, order))})"
        terms.insert(0, f"{op.product.source}{moved} @ weight_{op.product.type.name}")
    terms += [f"{_slice(d.slice)} on diagonal {' '.join(map(_numbers, d.groups))}" for d in op.diagonals]
    how = ", handed on in parts" if op.deferred else "" if op.in_place else ", in new memory"
    return " + ".join(terms) + how


def _part(part: Part, count: int) -> str:
    mine = part.slice.groups
    text = " + ".join([_slice(part.slice), *(_part(inner, len(mine)) for inner in part.inner)])
    axes = "" if len(mine) == count else f" along {_numbers(sorted(k for g in mine for k in g)) or 'none'}"
    return f"({text}){axes}" if part.inner else text + axes


def _slice(piece: Slice) -> str:
    cut = "" if piece.whole else f"[{piece.first}:{piece.last}]"
    split = f".split({', '.join(map(str, piece.split))})" if piece.split else ""
    return f"{piece.source}{cut}{split}"


def _row(row: Row) -> str:
    moved = "" if list(row.order) == sorted(row.order) else f".permute({', '.join(map(str, row.order))})"
    return row.source + moved + (f".merge({row.spread})" if row.spread else "")


def _dim(d: Dim) -> str:
    return f"{d.space}*" if d.kind == "code" else d.space


def _numbers(group: Iterable[int]) -> str:
    return " ".join(str(k) for k in group)
