"""Obligations (a), (b) and (c): the basis of a spec is invariant, independent and complete.

Takes a spec and a `Basis` as it answers, gives three obligations. What is shown of the pieces of each case
holds of all pairs of parameters (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from qecompile.basis import Basis
from qecompile.invariants import Diagram
from qecompile.spec import Spec
from qecompile.verify.diagrams import acted_on, broken_rule, moved_by
from qecompile.verify.dimensions import Settled, affordable, settle, stable_sizes
from qecompile.verify.gram import MOST_DIAGRAMS, dependent
from qecompile.verify.listing import Listing, ListingError, Pieces, pair_name, take_apart
from qecompile.verify.modular import Ints, P, rank
from qecompile.verify.obligations import Obligation, fails, holds, open_question
from qecompile.verify.pairs import TARGET, Case, Cases
from qecompile.verify.tensors import Typed, allowed, dense, labels, typed

MOST_DENSE = 400_000  # entries of all tensors of one case


@dataclass(frozen=True)
class BasisProof:
    """The three obligations, and the dimension of every case that follows from nullities alone."""

    obligations: tuple[Obligation, ...]
    cases: Cases
    listing: Listing | None
    settled: dict[Case, Settled | None]

    @property
    def ok(self) -> bool:
        """Whether nothing was refuted."""
        return all(o.ok is not False for o in self.obligations)

    def dim(self, target: str, source: str | None) -> int | None:
        """The dimension of a pair from nullities alone; None if it is out of reach."""
        return self._table.dim(target, source)

    @cached_property
    def _table(self) -> _CaseTable:
        return _CaseTable(self.cases, self.settled)


def prove_basis(spec: Spec, basis: Basis) -> BasisProof:
    """Show that the basis is invariant, independent and complete, or say where it is not."""
    cases = Cases(spec)
    settled = {case: settle(case) for case in cases.distinct()}
    try:
        listing = take_apart(spec, basis, cases)
    except ListingError as wrong:
        return BasisProof((fails("invariance", str(wrong)),), cases, None, settled)
    obligations = (
        _invariance(listing),
        _independence(listing),
        _dimension(listing, cases, settled),
    )
    return BasisProof(obligations, cases, listing, settled)


def _invariance(listing: Listing) -> Obligation:
    tensors = 0
    for case, pieces in listing.pieces.items():
        spec = case.spec()
        axes = typed(spec, TARGET, case.source_name)
        acts = acted_on(spec.spaces)
        for d in pieces:
            if reason := broken_rule(d, axes, acts):
                return fails("invariance", f"{_shown(case, d, axes)}: {reason}")
        small = _small(case)
        if small is not None:
            small_spec, small_axes = small
            moved = moved_by(small_spec, TARGET, case.source_name, pieces, small_axes)
            if moved:
                return fails("invariance", f"{moved} diagrams of {_case_name(case)} are moved by the group")
            tensors += len(pieces)
    return holds(
        "invariance",
        diagrams=listing.diagrams,
        pairs=listing.pairs,
        affine=listing.affine,
        pieces=sum(map(len, listing.pieces.values())),
        tensors=tensors,
        prime=P,
    )


def _independence(listing: Listing) -> Obligation:
    dense_cases = 0
    for case, pieces in listing.pieces.items():
        axes = typed(case.spec(), TARGET, case.source_name)
        if len(pieces) > MOST_DIAGRAMS:
            why = f"{_case_name(case)} has {len(pieces)} diagrams, more than {MOST_DIAGRAMS} to rank"
            return open_question("independence", why)
        if short := dependent(pieces, axes):
            return fails("independence", f"{short} diagrams of {_case_name(case)} depend on the others")
        small = _small(case)
        rows = _rows(pieces, small[1]) if small else None
        if rows is not None:
            dense_cases += 1
            if rank(rows) < len(rows):
                why = f"the {len(rows)} tensors of {_case_name(case)} have rank {rank(rows)} at small sizes"
                return fails("independence", why)
    return holds(
        "independence",
        pieces=sum(map(len, listing.pieces.values())),
        cases=len(listing.pieces),
        most=max(map(len, listing.pieces.values()), default=0),
        dense=dense_cases,
    )


def _dimension(listing: Listing, cases: Cases, settled: dict[Case, Settled | None]) -> Obligation:
    table = _CaseTable(cases, settled)
    for (target, source), (dim, _) in listing.counts.items():
        expected = table.dim(target, source)
        if expected is not None and expected != dim:
            where = pair_name(target, source)
            why = f"{where}: the basis has {dim} maps, the nullity of the defining equations gives {expected}"
            return fails("dimension", why)
    unsolved = sum(s is None for s in settled.values())
    if unsolved:
        why = f"{unsolved} of {len(settled)} cases have too many unknowns to solve; the others agree"
        return open_question("dimension", why)
    maps = [dim for (_, source), (dim, _) in listing.counts.items() if source is not None]
    return holds(
        "dimension",
        pairs=listing.pairs,
        zero=len(maps) - listing.pairs,
        nullities=sum(len(s.nullities) for s in settled.values() if s),
        total=sum(maps),
        invariants=sum(dim for (_, source), (dim, _) in listing.counts.items() if source is None),
        prime=P,
    )


class _CaseTable:
    """The dimension of any pair of parameters, as a product over roots."""

    def __init__(self, cases: Cases, settled: dict[Case, Settled | None]) -> None:
        self._cases, self._settled = cases, settled
        self._known: dict[tuple[str | int | None, ...], int | None] = {}

    def dim(self, target: str, source: str | None) -> int | None:
        """The dimension of the maps; None if a case was not solved and no other is 0."""
        mine, theirs = self._cases.parts[target], self._cases.parts[source] if source is not None else {}
        found = [self._root(root, target, source) for root in dict.fromkeys([*mine, *theirs])]
        if 0 in found:
            return 0
        return prod(d for d in found if d is not None) if None not in found else None

    def _root(self, root: str, target: str, source: str | None) -> int | None:
        parts = self._cases.parts
        sides = (parts[target].get(root), parts[source].get(root) if source is not None else None)
        key = (root, *(None if part is None else part.kind for part in sides))
        if key not in self._known:
            solved = self._settled[self._cases.pair(target, source)[root]]
            self._known[key] = solved.dim if solved else None
        return self._known[key]


def _small(case: Case) -> tuple[Spec, Typed] | None:
    """The case at the sizes from which on nothing changes, if its tensors are within reach."""
    sizes = stable_sizes(case)
    if not affordable(case, sizes):
        return None
    spec = case.spec(sizes)
    return spec, typed(spec, TARGET, case.source_name)


def _rows(pieces: Pieces, axes: Typed) -> Ints | None:
    """Every tensor that the pieces stand for, one a row; None if they are too many."""
    sizes = [s.size for s in axes.spaces]
    places = [allowed(labels(d, axes), sizes) for d in pieces]
    count = sum(map(len, places))
    if count * prod(sizes) > MOST_DENSE:
        return None
    rows = np.zeros((count, prod(sizes)), dtype=np.int64)
    row = 0
    for d, here in zip(pieces, places, strict=True):
        for one in np.eye(len(here), dtype=np.int64):
            rows[row] = dense(d, axes, one).reshape(-1)
            row += 1
    return rows


def _shown(case: Case, d: Diagram, axes: Typed) -> str:
    return f"{d.render(axes.shift)} of {_case_name(case)}"


def _case_name(case: Case) -> str:
    """A case in one line: the groups of the axes of its source and target."""
    groups = {s.name: s.group for s in case.forest}
    sides: Iterator[str] = (
        " ".join(f"[{groups[a.space]}]" for a in axes or ()) or "1" for axes in (case.source, case.target)
    )
    return " -> ".join(sides)
