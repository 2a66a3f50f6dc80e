"""Axes of a network's values as products of *atoms*, and which atoms are one.

Takes equalities between axes, gives a partition of atoms. An axis is a product of atoms, outermost first.
Two axes whose entries meet one by one are one (`unify`): equal sizes become the same atom, a larger atom
is split where the smaller one divides it (factor matching: a row-major view of n = p q is p blocks of q).
An atom may also be a *sum*, when slices take it apart or a concatenation makes it: its parts then live by
themselves. An atom is `fixed` when something treats its positions differently; what cannot be matched is
fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Dim = tuple[int, ...]
"""An axis: atoms by number, outermost first; () has size 1."""


@dataclass
class Atom:
    """What is known of one atom.

    Attributes:
        size: how many positions.
        why: what fixes it; None if free.
        same: the atom that it turned out to be.
        factors: the product that it turned out to be.
        parts: the sum that it is, part by part.
        chosen: for an atom that depends on the position along another one: that one, and what it is at each.
        before: the atom that it was split off, directly behind.
        tied: operations that made others the same.
    """

    size: int
    why: str | None = None
    same: int | None = None
    factors: Dim | None = None
    parts: tuple[Dim, ...] | None = None
    chosen: tuple[int, tuple[Dim, ...]] | None = None
    before: int | None = None
    tied: list[str] = field(default_factory=list)


class Atoms:
    """All atoms of a network; `now` is the operation under way, for comments."""

    def __init__(self) -> None:
        self.all: list[Atom] = []
        self.now = ""

    def new(self, size: int, why: str | None = None) -> int:
        """An atom of its own."""
        self.all.append(Atom(size, why))
        return len(self.all) - 1

    def dim(self, size: int, why: str | None = None) -> Dim:
        """An axis of its own."""
        return (self.new(size, why),)

    def sum(self, parts: Sequence[Dim]) -> Dim:
        """The axis that several axes make, one behind the other."""
        if len(parts) == 1:
            return parts[0]
        atom = self.new(sum(map(self.size, parts)))
        self.all[atom].parts = tuple(parts)
        return (atom,)

    def size(self, dim: Dim) -> int:
        """How many positions an axis has."""
        return math.prod(self.all[a].size for a in dim)

    def root(self, atom: int) -> int:
        """The atom that stands for it."""
        while (same := self.all[atom].same) is not None:
            atom = same
        return atom

    def leaves(self, dim: Dim) -> Dim:
        """The same axis in the finest atoms known; sums stay whole."""
        found: list[int] = []
        for atom in map(self.root, dim):
            factors = self.all[atom].factors
            found += (atom,) if factors is None else self.leaves(factors)
        return tuple(found)

    def is_fixed(self, atom: int) -> bool:
        """Whether the positions of an atom are told apart."""
        return self.all[self.root(atom)].why is not None

    def fix(self, dim: Dim, why: str | None = None) -> None:
        """The positions of an axis are told apart."""
        for atom in self.leaves(dim):
            found = self.all[atom]
            if found.parts is not None:
                for part in found.parts:
                    self.fix(part, why)
            if found.chosen is not None:
                for part in found.chosen[1]:
                    self.fix(part, why)
            found.why = found.why or why or self.now or "an operation"

    # --- equal axes -----------------------------------------------------------------------------------

    def unify(self, one: Dim, other: Dim) -> None:
        """Two axes are one, position by position."""
        a, b = list(self.leaves(one)), list(self.leaves(other))
        if self.size(one) != self.size(other):
            self.fix(one)
            self.fix(other)
            return
        if self.size(one) == 1:
            if a and b:
                self._merge(a[0], b[0])
            return
        while True:
            a = [x for x in self.leaves(tuple(a)) if self.all[x].size > 1]
            b = [x for x in self.leaves(tuple(b)) if self.all[x].size > 1]
            if not a or not b:
                return
            m, n = self.all[a[0]].size, self.all[b[0]].size
            if m == n:
                self._merge(a.pop(0), b.pop(0))
            elif max(m, n) % min(m, n) or not self.split(
                (a if m > n else b)[0], (min(m, n), max(m, n) // min(m, n))
            ):
                self.fix(tuple(a))
                self.fix(tuple(b))
                return

    def _merge(self, one: int, other: int) -> None:
        one, other = self.root(one), self.root(other)
        if one == other:
            return
        a, b = self.all[one], self.all[other]
        if a.parts is not None and b.parts is not None:
            if [*map(self.size, a.parts)] == [*map(self.size, b.parts)]:
                for p, q in zip(a.parts, b.parts, strict=True):
                    self.unify(p, q)
            else:
                self.fix((one, other))
        why = a.why or b.why
        if a.parts is None and b.parts is not None:
            one, other, a, b = other, one, b, a
        b.same = one
        a.before = b.before if a.before is None else a.before
        a.tied += [*b.tied, self.now]
        if why is not None:
            self.fix((one,), why)

    def split(self, atom: int, sizes: tuple[int, int]) -> bool:
        """Make an atom a product of two; False, and it is fixed, if that cannot be."""
        atom = self.root(atom)
        found = self.all[atom]
        if found.parts is not None:
            same = {self.size(part) for part in found.parts} == {sizes[1]} and len(found.parts) == sizes[0]
            if not same:
                self.fix((atom,))
                return False
            for part in found.parts[1:]:
                self.unify(found.parts[0], part)
            found.factors = (self.new(sizes[0], "it numbers parts"), *found.parts[0])
            return True
        outer, inner = (self.new(size, found.why) for size in sizes)
        self.all[inner].before = outer
        found.factors = (outer, inner)
        return True

    # --- parts ----------------------------------------------------------------------------------------

    def cut(self, dim: Dim, start: int, stop: int) -> Dim:
        """The positions from `start` to before `stop` of an axis, as an axis."""
        leaves, size = self.leaves(dim), self.size(dim)
        if (start, stop) == (0, size):
            return dim
        if len(leaves) == 1:
            return self._cut_atom(leaves[0], start, stop)
        inner = self.size(leaves[1:])
        if not leaves or start % inner or stop % inner:
            self.fix(dim)
            return self.dim(stop - start, self.now)
        return (*self.cut(leaves[:1], start // inner, stop // inner), *leaves[1:])

    def _cut_atom(self, atom: int, start: int, stop: int) -> Dim:
        found = self.all[atom]
        if found.why is not None and found.parts is None:
            return self.dim(stop - start, found.why)
        if found.parts is None:
            ends = sorted({0, start, stop, found.size})
            found.parts = tuple(self.dim(j - i, found.why) for i, j in pairwise(ends))
        taken, at = list[Dim](), 0
        refined = list[Dim]()
        for part in found.parts:
            n = self.size(part)
            low, high = max(start - at, 0), min(stop - at, n)
            if low >= high or (low, high) == (0, n):
                refined.append(part)
                taken += [part] if low < high else []
            else:
                pieces = [(0, low), (low, high), (high, n)]
                mine = [self.cut(part, i, j) for i, j in pieces if i < j]
                refined += mine
                taken.append(mine[1 if low else 0])
            at += n
        found.parts = tuple(refined)
        return self.sum(taken)

    def choose(self, atom: int, k: int) -> dict[int, Dim] | None:
        """What depends on the position along an atom, at position k; None if nothing does."""
        found = {i: a.chosen[1][k] for i, a in enumerate(self.all) if a.chosen and a.chosen[0] == atom}
        return found or None

    def dependent(self, by: int, parts: tuple[Dim, ...]) -> Dim:
        """An axis that is another one at each position of `by`."""
        (atom,) = self.dim(self.size(parts[0]))
        self.all[atom].chosen = (by, parts)
        return (atom,)

    def settle(self, dim: Dim) -> None:
        """No choice is to come any more: what depends on a position is one axis at all of them."""
        for atom in self.leaves(dim):
            for a in [a for a in self.all if a.chosen and (a is self.all[atom] or a.chosen[0] == atom)]:
                parts = a.chosen[1] if a.chosen else ()
                a.chosen = None
                for part in parts[1:]:
                    self.unify(parts[0], part)
                a.factors = parts[0]
