"""The operations of a layer, as values. A plan says what is computed, a schedule how: op by op.

A value has a batch axis first, then its dimensions, then channels: a multiple of the C input channels before
the matrices of the types, of the n output channels behind them. Names belong to one stage: the `reduce`
stage reads features and gives the inputs of the types (`x_...`), which the `expand` stage reads.

    reduce   Load, Contract, Encode, Mean -> Gather
    expand   Mix, Decode, Insert -> Sum
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal

from qecompile.plan.nodes import Code, Epsilon, PlanType

Group = tuple[int, ...]
Base = Literal["C", "n"]


@dataclass(frozen=True, slots=True, order=True)
class Dim:
    """One dimension of a value: axes of its parameter (several: their diagonal), codes, or an axis of a type.

    `at` are positions among the axes of the parameter, or the number of the type's axis.
    """

    kind: Literal["axes", "code", "type"]
    at: Group
    space: str
    size: int


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor [batch, *dims, channels]; channels are `count` times C or n."""

    name: str
    dims: tuple[Dim, ...]
    count: int
    base: Base

    def place(self, kind: str, at: Group) -> int:
        """The position of a dimension."""
        return next(k for k, d in enumerate(self.dims) if (d.kind, d.at) == (kind, at))

    @property
    def entries(self) -> int:
        """The number of entries for one batch entry and one channel of the base."""
        return prod(d.size for d in self.dims) * self.count


@dataclass(frozen=True, slots=True)
class Load:
    """Fetch the features of a parameter."""

    out: Value
    param: str


@dataclass(frozen=True, slots=True)
class Contract:
    """Take diagonals of `source`, average its traces over `pairs`, apply Levi-Civita tensors."""

    out: Value
    source: str
    param: str
    diagonals: tuple[Group, ...]
    pairs: tuple[tuple[int, int], ...]
    epsilons: tuple[Epsilon, ...]


@dataclass(frozen=True, slots=True)
class Encode:
    """The mean over dimension `dim` of `source` times each of its position codes."""

    out: Value
    source: str
    param: str
    dim: int


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `source` over the dimensions `over`; the others keep their order.

    `streams` says that the source is larger than a cache, and is to be read at the speed of memory; `joins`
    that the stream of the mean before, of the same source, takes this one too; `on_the_way` that the product
    of the source takes the mean as it reads.
    """

    out: Value
    source: str
    param: str
    over: tuple[int, ...]
    streams: bool = False
    joins: bool = False
    on_the_way: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`source` with its dimensions in `order`, the last `spread` of them merged with the channels."""

    source: str
    order: tuple[int, ...]
    spread: int


@dataclass(frozen=True, slots=True)
class Gather:
    """The input of a type: its rows side by side in the channels."""

    out: Value
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """`source` times the matrix of a type; the invariant type has no source if nothing is invariant.

    `bias` says that the bias is added; `rank` that the matrix is a product through so many features;
    `streams` that it is one product for every entry of something large, to be taken at the speed of memory.
    """

    out: Value
    source: str | None
    type: PlanType
    bias: bool
    rank: int | None
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """Channels `first` to `last` (in multiples of n) of `source`, with multiplicities as dimensions.

    `split` are the sizes of the multiplicities, `dims` all dimensions that this gives, in their order.
    """

    source: str
    first: int
    last: int
    whole: bool
    split: tuple[int, ...]
    dims: tuple[Dim, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """The axes of the target that each dimension runs along."""
        return tuple(d.at for d in self.dims if d.kind == "axes")


@dataclass(frozen=True, slots=True)
class Decode:
    """A slice with dimension `dim`, codes, turned into index values."""

    out: Value
    slice: Slice
    param: str
    dim: int


@dataclass(frozen=True, slots=True)
class Insert:
    """A slice contracted with a Levi-Civita tensor whose other indices are axes of the target."""

    out: Value
    slice: Slice
    param: str
    epsilon: Epsilon


@dataclass(frozen=True, slots=True)
class Part:
    """A slice, plus the parts in `inner` (which vary along no more axes), broadcast to the axes `onto`."""

    slice: Slice
    inner: tuple[Part, ...]
    onto: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class OnDiagonal:
    """A slice that lives where the axes of each group are equal."""

    slice: Slice
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """`source`, its dimensions in `order`, times the matrix of a type: a summand that is never stored."""

    source: str
    order: tuple[int, ...]
    type: PlanType


@dataclass(frozen=True, slots=True)
class Sum:
    """A target: the sum of its parts, of a product, and of what lives on its diagonals.

    With `in_place` all but the first two are added to memory that is already there; `deferred` says that the
    product is written alone, and whoever reads the target adds the parts.
    """

    out: Value
    param: str
    parts: tuple[Part, ...]
    diagonals: tuple[OnDiagonal, ...]
    product: Product | None = None
    in_place: bool = False
    deferred: bool = False

    @property
    def covers(self) -> bool:
        """Whether some summand varies along every axis of the target."""
        count = len(self.out.dims)
        return self.product is not None or any(len(p.slice.groups) == count for p in self.parts)


ReduceOp = Load | Contract | Encode | Mean | Gather
ExpandOp = Mix | Decode | Insert | Sum
Op = ReduceOp | ExpandOp


@dataclass(frozen=True, slots=True)
class Schedule:
    """All operations of a layer, in order; without `expand`, only its reductions."""

    reduce: tuple[ReduceOp, ...]
    expand: tuple[ExpandOp, ...]
    codes: tuple[Code, ...] = ()

    @property
    def ops(self) -> tuple[Op, ...]:
        """Both stages."""
        return (*self.reduce, *self.expand)


def sources(op: Op) -> tuple[str, ...]:
    """The names that an operation reads, in order, each as often as it is read."""
    match op:
        case Load():
            return ()
        case Contract(source=s) | Encode(source=s) | Mean(source=s):
            return (s,)
        case Gather(rows=rows):
            return tuple(r.source for r in rows)
        case Mix(source=s):
            return () if s is None else (s,)
        case Decode(slice=s) | Insert(slice=s):
            return (s.source,)
        case Sum(parts=parts, diagonals=diagonals, product=product):
            found = [p.slice.source for part in parts for p in walk(part)]
            found += [d.slice.source for d in diagonals]
            return tuple([product.source, *found] if product else found)


def walk(part: Part) -> Iterator[Part]:
    """A part and all parts inside it."""
    yield part
    for inner in part.inner:
        yield from walk(inner)
