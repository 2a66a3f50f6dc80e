"""The layouts of `from` clauses: which numbers of a stored tensor are a parameter, and in which order.

Takes a parameter and the shape of a stored tensor, gives a `Placement`. A layout such as `(part head qk) D`
has one group per stored axis; a group is a product of factors, the last of which varies fastest. A factor is
an axis of the parameter, or a slice (`at part = 0`), whose size is what the stored shape leaves for it. Works
on shapes and touches no tensor.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qecompile.errors import IRError
from qecompile.spec import Param

_GROUP = re.compile(r"\(([^()]*)\)|(\S+)")


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a stored axis: an axis of the parameter, or else one value of a slice."""

    name: str
    axis: int | None = None
    size: int | None = None
    value: int = 0


Layout = tuple[tuple[Factor, ...], ...]
"""One group of factors per stored axis; a slice has no size of its own."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a parameter stands in a stored tensor.

    Attributes:
        shape: the stored shape with every factor as an axis of its own.
        index: for every axis of `shape` the value of a slice, or None for an axis of the parameter.
        order: for every axis of the parameter its place among the axes that are no slices.
        teeth: for every stored axis the index values that belong to the parameter.
    """

    shape: tuple[int, ...]
    index: tuple[int | None, ...]
    order: tuple[int, ...]
    teeth: tuple[Comb, ...]

    def overlaps(self, other: Placement) -> bool:
        """Whether two parameters have a number of the stored tensor in common."""
        return all(a.meets(b) for a, b in zip(self.teeth, other.teeth, strict=True))


@dataclass(frozen=True, slots=True)
class Comb:
    """The index values i of one stored axis with first <= i mod period < first + length.

    The size of the axis is a multiple of the period.
    """

    period: int
    first: int
    length: int

    def meets(self, other: Comb) -> bool:
        """Whether two combs of one axis share an index value.

        i = x (mod p) and i = y (mod q) have a common solution iff gcd(p, q) divides x - y, and both periods
        divide the size of the axis: so a multiple of the gcd must lie among the differences.

        >>> Comb(6, 0, 2).meets(Comb(6, 2, 2)), Comb(6, 0, 2).meets(Comb(4, 2, 2))
        (False, True)
        """
        step = math.gcd(self.period, other.period)
        lowest = other.first - (self.first + self.length - 1)
        highest = other.first + other.length - 1 - self.first
        return highest // step * step >= lowest


def read_layout(param: Param) -> Layout:
    """The layout of a parameter with a `from` clause; without `as`, its own axes in order.

    >>> from qecompile.spec import Axis, Entry
    >>> source = Entry(key="in", layout="(part h) D", at=(("part", 1),))
    >>> W = Param(name="W", axes=(Axis(space="D"), Axis(space="h")), shape=(3, 2), source=source)
    >>> print(layout_text(read_layout(W)))
    (part h) D

    Raises:
        IRError: the layout does not name the axes of the parameter, which the resolver promises.
    """
    names = [a.space for a in param.axes]
    written = param.source.layout if param.source else None
    if written is None:
        return tuple((Factor(name, k, param.shape[k]),) for k, name in enumerate(names))
    slices = dict(param.source.at) if param.source else {}
    left = list(range(len(names)))
    groups = []
    for match in _GROUP.finditer(written):
        words = (match[2] or match[1] or "").split()
        groups.append(tuple(_take(word, names, left, slices, param) for word in words if word != "1"))
    if left or slices:
        raise IRError(f"{param.name}: the layout `{written}` leaves something out")
    return tuple(groups)


def _take(word: str, names: list[str], left: list[int], slices: dict[str, int], param: Param) -> Factor:
    """The factor that a word of a layout means; it is taken from `left` or `slices`."""
    if word in slices:
        return Factor(word, value=slices.pop(word))
    for axis in left:
        if names[axis] == word:
            left.remove(axis)
            return Factor(word, axis, param.shape[axis])
    raise IRError(f"{param.name}: its layout names `{word}`, which is no axis of it")


def layout_text(layout: Layout, names: Sequence[str] | None = None) -> str:
    """The layout as a spec would write it; `names` are names for the axes, in the order of the parameter."""
    return " ".join(_group_text(group, names) for group in layout)


def _group_text(group: tuple[Factor, ...], names: Sequence[str] | None) -> str:
    words = [f.name if names is None or f.axis is None else names[f.axis] for f in group]
    return words[0] if len(words) == 1 else f"({' '.join(words)})" if words else "1"


def expected_shape(layout: Layout) -> tuple[int | str, ...]:
    """The stored shape that a layout asks for; an axis with a slice is given as a text.

    >>> expected_shape(((Factor("part"), Factor("h", 0, 8)), (Factor("D", 1, 5),)))
    ('part * 8', 5)
    """
    return tuple(_expected_size(group) for group in layout)


def _expected_size(group: tuple[Factor, ...]) -> int | str:
    known = _known_size(group)
    words = [f.name for f in group if f.size is None]
    return " * ".join([*words, str(known)]) if words else known


def _known_size(group: tuple[Factor, ...]) -> int:
    return math.prod(f.size for f in group if f.size is not None)


def fit(layout: Layout, shape: Sequence[int]) -> Placement | None:
    """The placement in a stored tensor of this shape; None if the layout does not fit it."""
    if len(layout) != len(shape):
        return None
    factors: list[tuple[Factor, int]] = []
    teeth = []
    for group, size in zip(layout, shape, strict=True):
        sizes = factor_sizes(group, size)
        if sizes is None:
            return None
        teeth.append(_comb(group, sizes, size))
        factors += zip(group, sizes, strict=True)
    kept = [f.axis for f, _ in factors if f.axis is not None]
    return Placement(
        shape=tuple(size for _, size in factors),
        index=tuple(f.value if f.axis is None else None for f, _ in factors),
        order=tuple(kept.index(k) for k in range(len(kept))),
        teeth=tuple(teeth),
    )


def factor_sizes(group: tuple[Factor, ...], size: int) -> list[int] | None:
    """The size of every factor of a stored axis; None if they do not make up its size.

    Raises:
        IRError: the axis has two slices, whose sizes nobody can tell, which the resolver refuses.
    """
    slices = [f for f in group if f.size is None]
    if len(slices) > 1:
        raise IRError(f"the sizes of {[f.name for f in slices]} cannot be told apart")
    known = _known_size(group)
    if size % known or (not slices and size != known) or any(f.value >= size // known for f in slices):
        return None
    return [size // known if f.size is None else f.size for f in group]


def _comb(group: tuple[Factor, ...], sizes: list[int], size: int) -> Comb:
    for k, factor in enumerate(group):
        if factor.axis is None:
            inner = math.prod(sizes[k + 1 :])
            return Comb(sizes[k] * inner, factor.value * inner, inner)
    return Comb(max(size, 1), 0, size)


def slice_counts(layout: Layout, shape: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """The slices that a stored shape has too few of: name, value asked for, and how many there are."""
    for group, size in zip(layout, shape, strict=False):
        known = _known_size(group)
        for factor in group:
            if factor.size is None and size and size % known == 0 and factor.value >= size // known:
                yield factor.name, factor.value, size // known
