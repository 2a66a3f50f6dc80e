"""The listing of a basis, taken apart root by root into *pieces*.

Takes a `Basis` as it answers, gives for every case (`pairs.py`) the diagrams under that root. The list of a
pair of parameters must be exactly the product of the lists of its cases: then what is shown of the pieces
holds of all products, by the lemma of `pairs.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from qecompile.basis import Basis
from qecompile.invariants import Block, Diagram, Support
from qecompile.spec import Spec
from qecompile.verify.pairs import TARGET, Case, Cases
from qecompile.verify.tensors import members, typed

Pieces = tuple[Diagram, ...]


class ListingError(Exception):
    """The listing of a pair is not a product of lists under each root."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a basis lists, taken apart: the pieces of every case that some non-empty list needs."""

    pieces: dict[Case, Pieces]
    counts: dict[tuple[str, str | None], tuple[int, int]]  # (target, source): dimension, diagrams

    @property
    def pairs(self) -> int:
        """The number of ordered pairs with a map."""
        return sum(source is not None and count > 0 for (_, source), (_, count) in self.counts.items())

    @property
    def affine(self) -> int:
        """The number of diagrams of invariants."""
        return sum(count for (_, source), (_, count) in self.counts.items() if source is None)

    @property
    def diagrams(self) -> int:
        """The number of diagrams of maps."""
        return sum(count for (_, source), (_, count) in self.counts.items() if source is not None)


def take_apart(spec: Spec, basis: Basis, cases: Cases) -> Listing:
    """The pieces of every diagram that a basis lists.

    Raises:
        ListingError: a list is no product of lists under each root, or two parameters that look alike under
            a root have different lists.
    """
    reader = _Reader(cases)
    names = [p.name for p in spec.parameters]
    counts: dict[tuple[str, str | None], tuple[int, int]] = {}
    for target, source in product(names, [None, *names]):
        if source is None:
            found, dim = basis.invariant_diagrams(target), basis.invariants(target)
        else:
            dim = basis.dim(source, target)
            found = basis.diagrams(source, target) if dim else ()
        if dim != sum(d.count for d in found):
            raise ListingError(f"{pair_name(target, source)}: dimension {dim} differs from its list")
        counts[target, source] = dim, len(found)
        if found:
            reader.read(target, source, found)
    return Listing(reader.pieces, counts)


class _Reader:
    """Splits lists of diagrams and remembers the pieces of each case."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.pieces: dict[Case, Pieces] = {}
        self._unnumbered: dict[Case, Pieces] = {}
        self._split: dict[tuple[Pieces, tuple[int, ...]], tuple[Diagram, ...]] = {}

    def read(self, target: str, source: str | None, found: Pieces) -> None:
        """Split one list, and compare its pieces with those of pairs that look alike."""
        where = pair_name(target, source)
        shift = len(self.cases.spec.params[target].axes)
        factors = []
        for root, case in self.cases.pair(target, source).items():
            mine = self.cases.parts[target].get(root)
            theirs = self.cases.parts[source].get(root) if source is not None else None
            places = mine.positions if mine else ()
            places += tuple(k + shift for k in theirs.positions) if theirs else ()
            pieces = self._pieces(found, places, where)
            if case not in self._unnumbered:
                self._unnumbered[case] = pieces
                self.pieces[case] = _counted(case, pieces)
            elif self._unnumbered[case] != pieces:
                raise ListingError(f"{where}: its diagrams under {root} differ from those of a pair like it")
            factors.append(len(pieces))
        if len(set(found)) != len(found) or len(found) != prod(factors):
            raise ListingError(f"{where}: its {len(found)} diagrams are not all choices of {factors} pieces")

    def _pieces(self, found: Pieces, places: tuple[int, ...], where: str) -> Pieces:
        if (found, places) not in self._split:
            try:
                self._split[found, places] = tuple(sorted({restrict(d, places) for d in found}))
            except KeyError:
                raise ListingError(f"{where}: a diagram joins axes of different roots") from None
        return self._split[found, places]


def _counted(case: Case, pieces: Pieces) -> Pieces:
    """The pieces with the number of tensors that each stands for."""
    axes = typed(case.spec(), TARGET, case.source_name)
    return tuple(replace(d, count=members(d, axes)) for d in pieces)


def pair_name(target: str, source: str | None) -> str:
    """A pair of parameters as people write it."""
    return f"invariants of {target}" if source is None else f"{source} -> {target}"


def restrict(d: Diagram, places: Sequence[int]) -> Diagram:
    """The part of a diagram on some axes, renumbered; its count is not known yet.

    Raises:
        KeyError: a block, pair, epsilon or support lies partly on other axes.
    """
    new = {leg: k for k, leg in enumerate(places)}

    def inside(groups: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(new[leg] for leg in g) for g in groups if any(leg in new for leg in g))

    blocks = [b for b in d.blocks if any(leg in new for leg in b.legs)]
    supports = [s for s in d.supports if any(leg in new for leg in s.blocks)]
    return Diagram(
        tuple(Block(tuple(new[k] for k in b.legs), b.role) for b in blocks),
        inside(d.pairs),
        inside(d.epsilons),
        tuple(new[k] for k in d.free if k in new),
        tuple(Support(tuple(new[k] for k in s.blocks), s.patterns) for s in supports),
    )
