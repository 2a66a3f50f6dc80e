"""Obligation (c): the diagrams span, as the dimension agrees with a nullity (`nullity.py`).

Takes a case (a pair of types under one root, `pairs.py`), gives the dimension of its maps at the declared
sizes, from nullities at small sizes alone. Two facts carry it from small sizes to the declared ones; k is the
number of axes of a space in target and source together:

* *Stability.* On a permuted space dim Hom counts neutral partitions into at most n blocks, so it is
  constant for n >= k; under GL(n) and O(n) it is constant for 2n >= k, under SO(n) for n > k as well (no
  Levi-Civita tensor fits). A size above its threshold may be replaced by the threshold; one below it is
  kept as it is.
* *Interpolation.* On a fixed space the tensors split by the tuple of index values, and what acts on the
  part of a tuple depends only on which of its entries are equal. With c_p the dimension for pattern p,
  dim = sum over p of c_p n (n-1) ... (n-|p|+1): a polynomial in n of degree at most k that vanishes at
  n = 0 (for k > 0). Its values at n = 1, ..., k determine it. With several fixed spaces, in each variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod

from qecompile.spec import Space
from qecompile.verify.generators import pair_slots
from qecompile.verify.nullity import fixed_dim
from qecompile.verify.pairs import TARGET, Case

MOST_ENTRIES = 100_000
Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """The dimension of a case at its own sizes, and the nullities it follows from, by size."""

    dim: int
    nullities: tuple[tuple[Sizes, int], ...]


def threshold(space: Space, legs: int) -> int:
    """The size from which on the number of diagrams no longer changes (see above)."""
    match space.vector:
        case "linear" | "orthogonal":
            return max(1, (legs + 1) // 2)
        case "rotate":
            return legs + 1
        case _:
            return max(1, legs)


def settle(case: Case) -> Settled | None:
    """The dimension of a case from nullities; None if that would take more than `MOST_ENTRIES` unknowns."""
    grid = _grid(case)
    if not affordable(case, stable_sizes(case)):
        return None
    found = {}
    for choice in product(*grid.values()):
        sizes = tuple(zip(grid, choice, strict=True))
        found[sizes] = nullity(case, sizes)
    dim = sum(
        (value * prod(_weight(case, grid, name, n) for name, n in sizes) for sizes, value in found.items()),
        Fraction(0),
    )
    if dim.denominator != 1:
        raise ArithmeticError(f"the dimensions {found} do not interpolate to an integer")
    return Settled(int(dim), tuple(found.items()))


@cache
def nullity(case: Case, sizes: Sizes) -> int:
    """The nullity of a case at the given sizes."""
    spec = case.spec(dict(sizes))
    return fixed_dim(spec, pair_slots(spec, TARGET, case.source_name))


def stable_sizes(case: Case) -> dict[str, int]:
    """The smallest sizes at which the case has the diagrams that it has at its own."""
    return {name: max(sizes) for name, sizes in _grid(case).items()}


def affordable(case: Case, sizes: Mapping[str, int]) -> bool:
    """Whether the nullity at the given sizes is within reach."""
    return _entries(case, sizes) <= MOST_ENTRIES


def _grid(case: Case) -> dict[str, range]:
    """The sizes to solve at, by space; those of a space without axes do not matter."""
    legs = case.legs()
    grid = {}
    for s in case.forest:
        top = min(s.size, threshold(s, legs[s.name])) if legs[s.name] else 1
        grid[s.name] = range(1 if _interpolates(s, legs[s.name]) else top, top + 1)
    return grid


def _interpolates(space: Space, legs: int) -> bool:
    return legs > 0 and not space.permuted and space.vector is None and space.size > threshold(space, legs)


def _weight(case: Case, grid: Mapping[str, range], name: str, n: int) -> Fraction:
    """What the value at size n counts for at the declared size: a Lagrange polynomial with a node at 0."""
    space = next(s for s in case.forest if s.name == name)
    value = Fraction(1)
    if _interpolates(space, case.legs()[name]):
        for m in (0, *grid[name]):
            if m != n:
                value *= Fraction(space.size - m, n - m)
    return value


def _entries(case: Case, sizes: Mapping[str, int]) -> int:
    return prod(sizes[name] ** count for name, count in case.legs().items())
