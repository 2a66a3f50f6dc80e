"""The complete basis of equivariant linear maps between every two parameters of a spec.

Takes a `Spec`, gives a `Basis`: dimensions and diagrams for any ordered pair, computed when asked and
shared between pairs that look alike. The mathematics is in `invariants.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from qecompile.errors import Note, SymError, suggest, too_many_pairs, with_note
from qecompile.invariants import UNIT, Diagram, invariants
from qecompile.signature import Half, Placed, Signatures
from qecompile.spec import Spec

MOST_PAIRS = 2_000_000
MOST_NAMED = 12


class Pair(NamedTuple):
    """One line of the listing: an ordered pair of parameters, its dimension and number of diagrams."""

    source: str
    target: str
    dim: int
    diagrams: int


@lru_cache(maxsize=65536)
def joint_invariants(target: Half | None, source: Half | None) -> tuple[Diagram, ...]:
    """The basis of Hom between two halves under one root; a missing half is the trivial one."""
    if target is None and source is None:
        return (UNIT,)
    shift = target.size if target else 0
    legs = target.legs if target else ()
    legs += tuple(leg.dualised(shift) for leg in source.legs) if source else ()
    node = (target or source).node  # type: ignore[union-attr]
    return invariants(node, legs)


class Basis:
    """The basis of Hom_G(V_p, V_q) for all parameters p, q, and of the invariants of each V_q.

    Two numbers describe a space of maps: `dim` is its dimension; the number of diagrams counts axes of
    fixed spaces once, however many coefficients they carry.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self._halves = Signatures(spec).halves

    def dim(self, source: str, target: str) -> int:
        """The dimension of the space of equivariant linear maps from `source` to `target`.

        Raises:
            KeyError: the spec has no such parameter.
        """
        return self._count(target, source)[0]

    def diagrams(self, source: str, target: str) -> tuple[Diagram, ...]:
        """The diagrams from `source` to `target`; legs are target axes, then source axes.

        Raises:
            KeyError: the spec has no such parameter.
        """
        return tuple(self._listing(target, source))

    def invariants(self, name: str) -> int:
        """The dimension of the invariants of one parameter: its affine part, or its linear readouts.

        Raises:
            KeyError: the spec has no such parameter.
        """
        return self._count(name, None)[0]

    def invariant_diagrams(self, name: str) -> tuple[Diagram, ...]:
        """The diagrams of the invariants of one parameter."""
        return tuple(self._listing(name, None))

    def pairs(self) -> Iterator[Pair]:
        """Every ordered pair of parameters with a map between them, in order of declaration.

        Raises:
            SymError: there are more than `MOST_PAIRS` pairs.
        """
        if len(self._halves) ** 2 > MOST_PAIRS:
            raise SymError([too_many_pairs(len(self._halves), MOST_PAIRS)])
        for source in self._halves:
            for target in self._halves:
                dim, diagrams = self._count(target, source)
                if dim:
                    yield Pair(source, target, dim, diagrams)

    def _count(self, target: str, source: str | None) -> tuple[int, int]:
        """Dimension and number of diagrams, multiplied over the roots that either parameter touches."""
        q = self._half_of(target)
        p = self._half_of(source) if source is not None else {}
        dim = diagrams = 1
        for root in sorted(q.keys() | p.keys()):
            try:
                a, b = _counted(_half(q.get(root)), _half(p.get(root)))
            except SymError as refused:
                raise with_note(refused, self._about(target, source, root)) from None
            dim, diagrams = dim * a, diagrams * b
        return dim, diagrams

    def _half_of(self, name: str) -> Mapping[str, Placed]:
        """The halves of a parameter by root."""
        if name not in self._halves:
            some = ", ".join(f"`{n}`" for n in [*self._halves][:MOST_NAMED]) or "none"
            more = len(self._halves) - MOST_NAMED
            known = f"its parameters: {some}" + (f" and {more} more" if more > 0 else "")
            near = suggest(name, self._halves)
            problem = f"spec `{self.spec.name}` has no parameter `{name}`"
            raise KeyError("; ".join(filter(None, [problem, near, known])))
        return self._halves[name]

    def _about(self, target: str, source: str | None, root: str) -> Note:
        """Which pair a limit is about."""
        what = (
            f"the invariants of `{target}`" if source is None else f"the maps from `{source}` to `{target}`"
        )
        return Note(
            f"these are {what}, under the space `{root}`", dict(self.spec.places).get(source or target)
        )

    def _listing(self, target: str, source: str | None) -> Iterator[Diagram]:
        q = self._half_of(target)
        p = self._half_of(source) if source is not None else {}
        shift = len(self.spec.params[target].axes)
        per_root = []
        for root in sorted(q.keys() | p.keys()):
            names = _positions(q.get(root), 0) + _positions(p.get(root), shift)
            try:
                found = joint_invariants(_half(q.get(root)), _half(p.get(root)))
            except SymError as refused:
                raise with_note(refused, self._about(target, source, root)) from None
            per_root.append([d.relabelled(names) for d in found])
        for factors in product(*per_root):
            whole = UNIT
            for factor in factors:
                whole = whole.times(factor)
            yield whole


@lru_cache(maxsize=65536)
def _counted(target: Half | None, source: Half | None) -> tuple[int, int]:
    found = joint_invariants(target, source)
    return sum(d.count for d in found), len(found)


def _half(placed: Placed | None) -> Half | None:
    return placed.half if placed else None


def _positions(placed: Placed | None, shift: int) -> tuple[int, ...]:
    return tuple(k + shift for k in placed.positions) if placed else ()


def derive(spec: Spec) -> Basis:
    """The complete basis of a spec; quick, since diagrams are only listed when asked for."""
    return Basis(spec)


def total_dim(basis: Basis) -> int:
    """The number of basis elements over all ordered pairs: weights per channel pair of a full layer."""
    return sum(pair.dim for pair in basis.pairs())


def total_affine(basis: Basis) -> int:
    """The number of invariants over all parameters: bias values per channel of a full layer."""
    return sum(basis.invariants(name) for name in basis.spec.params)


__all__ = ["Basis", "Pair", "derive", "joint_invariants", "total_affine", "total_dim"]
