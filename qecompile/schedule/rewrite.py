"""The rewrites of a schedule, each a pure function from schedule to schedule.

None changes what is computed, up to rounding: `interpret.py` is exact and the tests compare before and
after. `passes.py` runs them in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from qecompile.identifiers import Names
from qecompile.schedule.nodes import (
    Contract,
    Decode,
    Encode,
    ExpandOp,
    Gather,
    Insert,
    Load,
    Mean,
    Mix,
    Op,
    Part,
    Product,
    ReduceOp,
    Row,
    Schedule,
    Slice,
    Sum,
    walk,
)

WORTH_BLOCKS = 1 << 10
"""Entries of a parameter, for one channel, from which on it is worth a lowering of its own."""

AnyOp = TypeVar("AnyOp", ReduceOp, ExpandOp)
Reader = TypeVar("Reader", Row, Slice, Contract, Encode, Mean)


def merge_equal_ops(s: Schedule) -> Schedule:
    """Compute equal values once.

    %2 = mean %1 over a; ...; %5 = mean %1 over a   becomes   %2 = mean %1 over a, read in both places.
    """
    return replace(
        s, reduce=tuple(_merged(s.reduce, _read_instead)), expand=tuple(_merged(s.expand, _expand_instead))
    )


def _merged(ops: Sequence[AnyOp], renamed: Callable[[AnyOp, Mapping[str, str]], AnyOp]) -> list[AnyOp]:
    same: dict[str, str] = {}
    known: dict[Op, str] = {}
    found: list[AnyOp] = []
    for op in ops:
        op = renamed(op, same)
        key = replace(op, out=replace(op.out, name=""))
        if key in known:
            same[op.out.name] = known[key]
        else:
            if not isinstance(op, (Load, Gather, Mix, Sum)):  # inputs and outputs keep their names
                known[key] = op.out.name
            found.append(op)
    return found


def _read_instead(op: ReduceOp, names: Mapping[str, str]) -> ReduceOp:
    """The operation, reading other names."""
    match op:
        case Load():
            return op
        case Gather(rows=rows):
            return replace(op, rows=tuple(_renamed(r, names) for r in rows))
        case Contract():
            return _renamed(op, names)
        case Encode():
            return _renamed(op, names)
        case Mean():
            return _renamed(op, names)


def _expand_instead(op: ExpandOp, names: Mapping[str, str]) -> ExpandOp:
    match op:
        case Mix():
            return op
        case Decode() | Insert():
            return replace(op, slice=_renamed(op.slice, names))
        case Sum():
            return replace(
                op,
                parts=tuple(_rename_part(p, names) for p in op.parts),
                diagonals=tuple(replace(d, slice=_renamed(d.slice, names)) for d in op.diagonals),
            )


def _rename_part(p: Part, names: Mapping[str, str]) -> Part:
    return replace(
        p, slice=_renamed(p.slice, names), inner=tuple(_rename_part(inner, names) for inner in p.inner)
    )


def _renamed(reader: Reader, names: Mapping[str, str]) -> Reader:
    return replace(reader, source=names.get(reader.source, reader.source))


def take_means_of_means(s: Schedule) -> Schedule:
    """Start a mean over several dimensions from one over fewer, which is smaller to read.

    %2 = mean %1 over a; %3 = mean %1 over a, b   becomes   %2 = mean %1 over a; %3 = mean %2 over b.
    """
    means: dict[str, list[Mean]] = {}
    found: list[ReduceOp] = []
    for op in s.reduce:
        if isinstance(op, Mean):
            start: Mean | None = None
            known = means.setdefault(op.source, [])
            for other in known:
                done = set(start.over) if start else set()
                if done < set(other.over) < set(op.over):
                    start = other
            known.append(op)
            if start is not None:
                left = [k for k in range(len(op.out.dims) + len(op.over)) if k not in start.over]
                op = replace(
                    op, source=start.out.name, over=tuple(k for k, old in enumerate(left) if old in op.over)
                )
        found.append(op)
    return replace(s, reduce=tuple(found))


def fold_small_parts(s: Schedule) -> Schedule:
    """Add parts that vary along few axes to larger ones first, so that a full pass adds as much as possible.

    W = full + row{a} + col{b} + total{}   becomes   W = full + (row + total{a}){a} + col{b}.
    The largest part stays alone; the others are added to the smallest that varies along all their axes.
    """
    return replace(
        s, expand=tuple(replace(op, parts=_fold(op)) if isinstance(op, Sum) else op for op in s.expand)
    )


def _fold(op: Sum) -> tuple[Part, ...]:
    parts = sorted(op.parts, key=lambda p: -len(p.slice.groups))
    count = len(op.out.dims)
    alive = [True] * len(parts)
    inner: list[list[Part]] = [[] for _ in parts]
    for k in range(len(parts) - 1, 0, -1):
        for j in range(k - 1, 0, -1):
            theirs = set(parts[j].slice.groups)
            if set(parts[k].slice.groups) <= theirs and len(theirs) < count:
                inner[j].append(Part(parts[k].slice, tuple(inner[k]), tuple(sorted(theirs))))
                alive[k] = False
                break
    return tuple(Part(p.slice, tuple(inner[k]), p.onto) for k, p in enumerate(parts) if alive[k])


def accumulate_in_place(s: Schedule) -> Schedule:
    """Add to memory that is already there: one full-size value a target, however many parts."""
    return replace(
        s, expand=tuple(replace(op, in_place=True) if isinstance(op, Sum) else op for op in s.expand)
    )


def multiply_onto_sums(s: Schedule) -> Schedule:
    """Let the matrix product of a full-size type be accumulated onto the other parts of its targets.

    y_a_b = mix x_a_b; W = y_a_b + row{a} + col{b}   becomes   W = x_a_b @ weight + row{a} + col{b}:
    the product is never stored by itself, and the small parts are written while a tile is in cache. Done
    where every reader of the type's output is such a sum, of a large target; a target that has no other
    parts is the product.
    """
    mixes = {op.out.name: op for op in s.expand if isinstance(op, Mix)}
    readers: dict[str, list[Sum | None]] = {name: [] for name in mixes}
    for op in s.expand:
        for name, fits in _reads(op, mixes):
            readers[name].append(op if fits and isinstance(op, Sum) else None)
    fused = {
        name
        for name, found in readers.items()
        if found and None not in found and _is_dense(mixes[name]) and len(set(found)) == len(found)
    }
    expand: list[ExpandOp] = []
    for op in s.expand:
        if isinstance(op, Sum):
            op = _with_product(op, fused, mixes)
        if not (isinstance(op, Mix) and op.out.name in fused):
            expand.append(op)
    return replace(s, expand=tuple(expand))


def _reads(op: ExpandOp, mixes: Mapping[str, Mix]) -> list[tuple[str, bool]]:
    """The types' outputs that an operation reads, each with whether it could be a product instead."""
    match op:
        case Mix():
            return []
        case Decode(slice=piece) | Insert(slice=piece):
            return [(piece.source, False)] if piece.source in mixes else []
        case Sum(parts=parts, diagonals=diagonals):
            found = [(d.slice.source, False) for d in diagonals]
            outer = [p for p in parts if _is_full(op, p) and not p.inner and p.slice.source in mixes]
            alone = len(outer) == 1
            for part in parts:
                found += [(p.slice.source, alone and p is outer[0]) for p in walk(part)]
            return [(name, fits) for name, fits in found if name in mixes]


def _is_full(op: Sum, p: Part) -> bool:
    """Whether a part is a whole type's output and varies along every axis."""
    covers = p.slice.whole and not p.slice.split and len(p.slice.groups) == len(op.out.dims)
    return covers and op.out.entries >= WORTH_BLOCKS


def _is_dense(mix: Mix) -> bool:
    """Whether the matrix is one plain product for every entry."""
    return not (mix.bias or mix.rank or mix.type.mask or mix.type.own or mix.source is None)


def _with_product(op: Sum, fused: set[str], mixes: Mapping[str, Mix]) -> Sum:
    full = next((p for p in op.parts if _is_full(op, p) and p.slice.source in fused), None)
    if full is None:
        return op
    mix = mixes[full.slice.source]
    groups = full.slice.groups
    order = tuple(sorted(range(len(groups)), key=lambda k: groups[k]))
    product = Product(mix.source or "", order, mix.type)
    return replace(op, parts=tuple(p for p in op.parts if p is not full), product=product)


def stream_large_products(s: Schedule) -> Schedule:
    """Multiply at the speed of memory where a large value meets one matrix and is stored by itself."""
    return replace(
        s,
        expand=tuple(
            replace(op, streams=True)
            if isinstance(op, Mix) and _is_dense(op) and op.out.entries >= WORTH_BLOCKS
            else op
            for op in s.expand
        ),
    )


def stream_large_means(s: Schedule) -> Schedule:
    """Read large parameters at the speed of memory where a mean over one of their axes is taken."""
    large = {op.out.name for op in s.reduce if isinstance(op, Load) and op.out.entries >= WORTH_BLOCKS}
    return replace(
        s,
        reduce=tuple(
            replace(op, streams=True)
            if isinstance(op, Mean) and op.source in large and len(op.over) == 1
            else op
            for op in s.reduce
        ),
    )


def join_streams(s: Schedule) -> Schedule:
    """Take all means of a large parameter as it is read once.

    %2 = mean %1 over a in one stream; ...; %5 = mean %1 over b in one stream   becomes
    %2 = mean %1 over a in one stream; %5 = mean %1 over b in that stream; ...
    """
    streams: dict[str, list[Mean]] = {}
    for op in s.reduce:
        if isinstance(op, Mean) and op.streams:
            known = streams.setdefault(op.source, [])
            known.append(replace(op, joins=bool(known)))
    found: list[ReduceOp] = []
    for op in s.reduce:
        if isinstance(op, Mean) and op.streams:
            found += streams.pop(op.source, [])
        else:
            found.append(op)
    return replace(s, reduce=tuple(found))


def name_values(
    s: Schedule, of: Mapping[str, str], short: Mapping[str, str], taken: tuple[str, ...] = ()
) -> Schedule:
    """Name every value after its parameter and the spaces that are left of it.

    %7 = mean %3 over a1   becomes   W1_by_a0 = mean W1 over a1. `of` names parameters, `short` spaces.
    """
    names: dict[str, str] = {}
    fresh = Names(("x", "n", "torch", *taken, *(op.out.name for op in s.reduce if isinstance(op, Gather))))
    reduce: list[ReduceOp] = []
    for op in s.reduce:
        op = _read_instead(op, names)
        if not isinstance(op, Gather):
            names[op.out.name] = fresh.fresh(_reduced_name(op, of, short))
            op = replace(op, out=replace(op.out, name=names[op.out.name]))
        reduce.append(op)
    fresh, names = Names(tuple(of.values())), {}
    expand: list[ExpandOp] = []
    types: dict[str, str] = {}
    for step in s.expand:
        read = _expand_instead(step, names)
        match read:
            case Mix(out=out, type=t):
                types[out.name] = t.name
            case Decode(out=out, slice=piece) | Insert(out=out, slice=piece):
                types[out.name] = types[piece.source]
                names[out.name] = fresh.fresh(f"{of[read.param]}_from_{types[out.name]}")
                types[names[out.name]] = types[out.name]
                read = replace(read, out=replace(out, name=names[out.name]))
            case Sum(out=out, param=param):
                read = replace(read, out=replace(out, name=of[param]))
        expand.append(read)
    return replace(s, reduce=tuple(reduce), expand=tuple(expand))


def _reduced_name(op: ReduceOp, of: Mapping[str, str], short: Mapping[str, str]) -> str:
    if isinstance(op, Load) or isinstance(op, Gather):
        return of[op.param] if isinstance(op, Load) else op.out.name
    kept = [short[d.space] for d in op.out.dims if d.kind != "type"]
    return f"{of[op.param]}_by_{'_'.join(kept)}" if kept else f"{of[op.param]}_mean"
