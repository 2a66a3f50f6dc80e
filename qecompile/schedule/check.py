"""Is a schedule well formed?

Every name is defined once and before it is read, and every value has the dimensions and channels that its
operation gives.

Takes a schedule; raises an `IRError` that names the pass and prints the operation. It does not check that
the schedule computes the plan: `interpret.py` and the tests do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from qecompile.errors import IRError
from qecompile.schedule.lower import type_dims
from qecompile.schedule.nodes import (
    Contract,
    Decode,
    Encode,
    Gather,
    Insert,
    Load,
    Mean,
    Mix,
    Op,
    Part,
    Product,
    Row,
    Schedule,
    Slice,
    Sum,
    Value,
    sources,
)
from qecompile.schedule.text import show


def check(s: Schedule, *, after: str) -> None:
    """Raise unless the schedule is well formed.

    Raises:
        IRError: it is not; the message names the pass before.
    """
    known: dict[str, Value] = {}
    _check_stage(s.reduce, known, after)
    inputs = {op.out.name: op.out for op in s.reduce if isinstance(op, Gather)}
    _check_stage(s.expand, dict(inputs), after)
    targets = [op.param for op in s.expand if isinstance(op, Sum)]
    if len(set(targets)) < len(targets):
        raise IRError(f"after `{after}`: a target is computed twice: {targets}")


def _check_stage(ops: tuple[Op, ...], known: dict[str, Value], after: str) -> None:
    for before, op in zip((None, *ops), ops, strict=False):
        missing = [name for name in sources(op) if name not in known]
        problem = f"reads {', '.join(missing)}, which nothing defines" if missing else _problem(op, known)
        if op.out.name in known:
            problem = "defines a name twice"
        if isinstance(op, Mean) and op.joins and not _streams_from(before, op.source):
            problem = "joins a stream that is not there"
        if problem:
            raise IRError(f"after `{after}`: {show(op)}: {problem}")
        known[op.out.name] = op.out


def _streams_from(op: Op | None, source: str) -> bool:
    """Whether an operation is a mean whose stream reads a source, so that the next may join it."""
    return isinstance(op, Mean) and op.streams and op.source == source


def _problem(op: Op, known: Mapping[str, Value]) -> str | None:
    """What is wrong with one operation, given what it reads."""
    out = op.out
    match op:
        case Load():
            ok = all(d.kind == "axes" for d in out.dims) and (out.count, out.base) == (1, "C")
        case Contract(source=s, diagonals=diagonals, pairs=pairs, epsilons=epsilons):
            ok = _contracts(known[s], out, diagonals, pairs, {k for e in epsilons for k in e.axes})
        case Encode(source=s, dim=k):
            ok = _swapped(known[s], out, k, "axes", "code")
        case Mean(source=s, over=over):
            left = tuple(d for k, d in enumerate(known[s].dims) if k not in over)
            ok = bool(over) and out.dims == left and len(out.dims) + len(over) == len(known[s].dims)
        case Gather(rows=rows):
            ok = sum(_row(r, known[r.source], out) for r in rows) == out.count
        case Mix(source=s, type=t):
            ok = out.dims == type_dims(t) and out.count == t.width
            ok = ok and (s is None or (known[s].dims == out.dims and known[s].count == t.height))
        case Decode(slice=piece, dim=k):
            coded = Value(piece.source, piece.dims, 1, "n")
            ok = _cuts(piece, known) and _swapped(coded, out, k, "code", "axes")
        case Insert(slice=piece, epsilon=e):
            gone = len(piece.dims) - len(e.type_axes)
            ok = _cuts(piece, known) and len(out.dims) == gone + len(e.axes)
        case Sum(parts=parts, diagonals=diagonals, product=product):
            everything = tuple(d.at for d in out.dims)
            ok = all(_part(p, everything, known) for p in parts)
            ok = ok and all(_cuts(d.slice, known) and d.groups for d in diagonals)
            ok = ok and (product is None or _multiplies(product, known, out))
            ok = ok and bool(parts or diagonals or product)
    return None if ok else "the dimensions do not fit"


def _contracts(
    source: Value,
    out: Value,
    diagonals: tuple[tuple[int, ...], ...],
    pairs: tuple[tuple[int, int], ...],
    gone: set[int],
) -> bool:
    sizes = {d.at[0]: d.size for d in source.dims}
    equal = all(len({sizes[k] for k in group}) == 1 for group in (*diagonals, *pairs))
    used = Counter(k for d in out.dims if d.kind == "axes" for k in d.at)
    used += Counter(k for pair in pairs for k in pair) + Counter(gone)
    return equal and used == Counter(list(sizes))


def _swapped(source: Value, out: Value, k: int, before: str, after: str) -> bool:
    """Whether `out` is `source` with dimension k of another kind."""
    others = source.dims[:k] + source.dims[k + 1 :] == out.dims[:k] + out.dims[k + 1 :]
    mine, theirs = source.dims[k], out.dims[k]
    return others and (mine.kind, theirs.kind, mine.at) == (before, after, theirs.at)


def _row(row: Row, source: Value, out: Value) -> int:
    """The multiplicity of a row; -1 if it does not have the dimensions of the type."""
    if sorted(row.order) != list(range(len(source.dims))):
        return -1
    kept = row.order[: len(row.order) - row.spread]
    fits = [source.dims[k].size for k in kept] == [d.size for d in out.dims]
    count = 1
    for k in row.order[len(kept) :]:
        count *= source.dims[k].size
    return count if fits else -1


def _cuts(piece: Slice, known: Mapping[str, Value]) -> bool:
    source = known[piece.source]
    count = 1
    for size in piece.split:
        count *= size
    sizes = (*(d.size for d in source.dims), *piece.split)
    inside = 0 <= piece.first < piece.last <= source.count and piece.last - piece.first == count
    return inside and piece.whole == (count == source.count) and sizes == tuple(d.size for d in piece.dims)


def _part(part: Part, onto: tuple[tuple[int, ...], ...], known: Mapping[str, Value]) -> bool:
    mine = set(part.slice.groups)
    return (
        part.onto == onto
        and mine <= set(onto)
        and len(mine) == len(part.slice.dims)
        and _cuts(part.slice, known)
        and all(_part(inner, tuple(sorted(mine)), known) for inner in part.inner)
    )


def _multiplies(product: Product, known: Mapping[str, Value], out: Value) -> bool:
    source = known[product.source]
    dims = tuple(source.dims[k].size for k in product.order)
    return dims == tuple(d.size for d in out.dims) and product.type.width == 1
