"""What a schedule costs: entries moved and products made by each operation, and the time that predicts.

*Model.* One thread, nothing overlaps. An operation moves the values that it reads and writes through memory
at the speed of a large copy, whatever their size; views are free. A matrix product takes its multiplications
at the speed of one full-size product, in which its own traffic is contained. So a prediction needs two
measured numbers, and is a bound from above for what fits a cache. The *floor* of a layer reads every input
and writes every output once, and makes no product.

Backward, an operation reads the gradient of what it gives and adds to the gradients of what it read; a
product makes two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    Schedule,
    Sum,
    Value,
    walk,
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is at run time."""

    batch: int
    in_channels: int
    out_channels: int
    bytes_per_entry: int = 4

    def entries(self, value: Value) -> int:
        """The number of entries of a value."""
        return self.batch * value.entries * (self.in_channels if value.base == "C" else self.out_channels)


@dataclass(frozen=True, slots=True)
class Work:
    """Entries moved besides those of products, entries that products move, and operations of products."""

    moved: int = 0
    in_products: int = 0
    flops: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.moved + other.moved, self.in_products + other.in_products, self.flops + other.flops)

    @property
    def entries(self) -> int:
        """All entries that are read or written."""
        return self.moved + self.in_products


@dataclass(frozen=True, slots=True)
class Machine:
    """Two speeds, each of a full-size run: bytes that a copy reads and writes, operations of a product."""

    bytes_per_second: float
    flops_per_second: float

    def seconds(self, work: Work, sizes: Sizes) -> float:
        """The predicted time."""
        moving = work.moved * sizes.bytes_per_entry / self.bytes_per_second
        return moving + work.flops / self.flops_per_second


@dataclass(frozen=True, slots=True)
class Cost:
    """An operation with its work, forward and backward."""

    op: Op
    forward: Work
    backward: Work


def costs(s: Schedule, sizes: Sizes) -> tuple[Cost, ...]:
    """The work of every operation of a schedule."""
    found: list[Cost] = []
    for stage in (s.reduce, s.expand):
        known = {op.out.name: op.out for op in s.reduce if isinstance(op, Gather)}
        for op in stage:
            found.append(Cost(op, *_work(op, known, sizes)))
            known[op.out.name] = op.out
    return tuple(found)


def total(found: tuple[Cost, ...], *, backward: bool = False) -> Work:
    """The work of a layer: forward, or forward and backward."""
    work = Work()
    for cost in found:
        work += cost.forward + (cost.backward if backward else Work())
    return work


def floor(s: Schedule, sizes: Sizes, *, backward: bool = False) -> Work:
    """The least traffic: inputs read and outputs written once; backward, both read and gradients written."""
    inputs = sum(sizes.entries(op.out) for op in s.reduce if isinstance(op, Load))
    outputs = sum(sizes.entries(op.out) for op in s.expand if isinstance(op, Sum))
    return Work(inputs + outputs + (2 * inputs + outputs if backward else 0))


def _work(op: Op, known: Mapping[str, Value], sizes: Sizes) -> tuple[Work, Work]:
    """The work of one operation, forward and backward."""
    out = sizes.entries(op.out)
    match op:
        case Load():
            return Work(), Work()
        case Contract(source=source, pairs=pairs, epsilons=epsilons):
            read = sizes.entries(known[source]) if pairs or epsilons else out
            return Work(read + out), Work(out + 2 * sizes.entries(known[source]))
        case Encode(source=source, dim=k):
            read = sizes.entries(known[source])
            flops = 2 * read * op.out.dims[k].size
            return Work(0, read + out, flops), Work(2 * read, out + read, flops)
        case Mean(on_the_way=True):
            return Work(out), Work(out)
        case Mean(source=source, joins=joins):
            read = sizes.entries(known[source])
            return Work(out if joins else read + out), Work(2 * read + out)  # the gradient is a view, added
        case Gather(rows=rows):
            moves = len(rows) > 1 or any(r.spread and list(r.order) != sorted(r.order) for r in rows)
            return (Work(2 * out), Work(2 * out)) if moves else (Work(), Work())
        case Mix(source=source):
            return _product(sizes, known[source], op) if source else (Work(out), Work())
        case Decode(slice=piece, dim=k):
            flops = 2 * out * piece.dims[k].size
            return Work(0, out, flops), Work(0, out, flops)
        case Insert():
            return Work(2 * out), Work(2 * out)
        case Sum():
            return _sum(op, known, sizes)


def _product(sizes: Sizes, source: Value, op: Mix) -> tuple[Work, Work]:
    read, out = sizes.entries(source), sizes.entries(op.out)
    flops = 2 * read * op.out.count * sizes.out_channels
    return Work(0, read + out, flops), Work(0, 2 * (read + out), 2 * flops)


def _sum(op: Sum, known: Mapping[str, Value], sizes: Sizes) -> tuple[Work, Work]:
    """Full passes over a target; parts inside parts move their own entries."""
    out = sizes.entries(op.out)
    inner = [p for part in op.parts for p in walk(part) if p is not part]
    small = 3 * sum(sizes.entries(_part_value(p.slice.dims)) for p in inner)
    diagonal = 3 * sum(sizes.entries(_part_value(d.slice.dims)) for d in op.diagonals)
    if op.product is not None:
        read = sizes.entries(known[op.product.source])
        flops = 2 * read * sizes.out_channels
        if op.deferred:  # backward: its input is made again, its output's gradient read, one gradient written
            return Work(small, read + out, flops), Work(small, 2 * read + out, 2 * flops)
        written = Work(out + small + diagonal, read + out, flops)
        return written, Work(out + small + diagonal, 2 * (read + out), 2 * flops)
    additions = max(len(op.parts) - 1, 0)
    per_addition = 2 * out
    moved = (additions * per_addition if op.in_place else additions * 3 * out) + small + diagonal
    if not op.covers:
        moved += out
    return Work(moved), Work(out * additions + small + diagonal)


def _part_value(dims: tuple[Dim, ...]) -> Value:
    return Value("", dims, 1, "n")
