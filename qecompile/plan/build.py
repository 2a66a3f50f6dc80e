"""From signatures to a plan: collect rows and columns by intermediate type.

The cost grows with the number of parameters, not of pairs: reductions and expansions are listed per
root space and per distinct half (`factor.py`), and multiplied out for each parameter by itself. That
any row may meet any column of its type is checked per root; only where it fails is a mask computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from qecompile.errors import Note, SymError, too_large, too_many_ways, with_note
from qecompile.factor import Arm, LocalType, Mask, triples
from qecompile.identifiers import Names
from qecompile.plan.layout import Legs, draft_side, layout, reordered, spread_size, type_axes
from qecompile.plan.mask import MOST_ENTRIES, Condition, block_mask, entry_mask
from qecompile.plan.nodes import Code, Plan, PlanType, TypeKey
from qecompile.signature import Half, Placed, Signatures

MOST_WAYS = 1000


class Piece(NamedTuple):
    """What one root contributes to a row or column: the half, and its arm."""

    half: Half | None
    arm: Arm


ABSENT = Piece(None, Arm())


class Draft(NamedTuple):
    """A row or column before its type has a layout: its pieces by root."""

    param: str
    pieces: Mapping[str, Piece]
    placed: Mapping[str, Placed]


class Table:
    """All reductions and expansions of one root, by half, and which of them make a diagram."""

    def __init__(self, halves: Sequence[Half]) -> None:
        self.rows: dict[Half, dict[tuple[Arm, LocalType], None]] = {h: {} for h in halves}
        self.columns: dict[Half, dict[tuple[Arm, LocalType], None]] = {h: {} for h in halves}
        self.allowed: dict[tuple[Piece, Piece, LocalType], tuple[Mask, ...]] = {
            (ABSENT, ABSENT, LocalType()): ()
        }
        for target, source in product([None, *halves], repeat=2):
            if target or source:
                self._enter(target, source)

    def _enter(self, target: Half | None, source: Half | None) -> None:
        for t in triples(target, source):
            kind = LocalType() if t.type.is_trivial else t.type
            if source:
                self.rows[source].setdefault((t.source, kind))
            if target:
                self.columns[target].setdefault((t.target, kind))
            self.allowed[Piece(source, t.source), Piece(target, t.target), kind] = t.masks


Tables = Mapping[str, Table]


def build_plan(signatures: Signatures, codes: tuple[Code, ...] = (), context_rank: int | None = None) -> Plan:
    """The plan of the complete layer, or of the coded family where `codes` are given."""
    tables = _tables(signatures)
    rows: dict[TypeKey, list[Draft]] = {}
    columns: dict[TypeKey, list[Draft]] = {}
    for param, placed in signatures.halves.items():
        for key, draft in _drafts(param, placed, tables, source=True):
            rows.setdefault(key, []).append(draft)
        for key, draft in _drafts(param, placed, tables, source=False):
            columns.setdefault(key, []).append(draft)
    names = Names()
    types = []
    affine: tuple[int, ...] = ()
    for key in sorted(columns, key=lambda k: (len(k), k)):
        kept = _meeting(key, rows.get(key, []), columns[key], tables)
        if kept is None:
            continue
        builder = _TypeBuilder(key, *kept, tables, signatures)
        built = builder.build(names)
        if key == ():
            affine = builder.affine(built)
        types.append(built)
    plan = Plan(tuple(types), affine, codes)
    context = plan.invariant
    if context_rank is None or context is None or context_rank >= min(context.height, context.width):
        return plan  # as many features as rows or columns say no less than the matrix itself
    return replace(plan, context_rank=context_rank)


def estimate_weights(signatures: Signatures) -> int:
    """Weights of the layer for one pair of channels, or a little more: masks are not looked at."""
    tables = _tables(signatures)
    heights: dict[TypeKey, int] = {}
    widths: dict[TypeKey, int] = {}
    for param, placed in signatures.halves.items():
        for found, source in ((heights, True), (widths, False)):
            for key, draft in _drafts(param, placed, tables, source=source):
                arms = {root: (piece.arm, placed[root].positions) for root, piece in draft.pieces.items()}
                size = spread_size(Legs(param, arms, {}), signatures)
                found[key] = found.get(key, 0) + size
    total = 0
    for key, height in heights.items():
        axes, _ = type_axes(key, signatures)
        own = prod(a.size for a in axes if a.role == "each")
        total += own * height * widths.get(key, 0)
    return total


def _tables(signatures: Signatures) -> dict[str, Table]:
    halves: dict[str, dict[Half, None]] = {root: {} for root in signatures.roots}
    for placed in signatures.halves.values():
        for root, p in placed.items():
            halves[root].setdefault(p.half)
    return {root: _table(root, list(found), signatures) for root, found in halves.items()}


def _table(root: str, halves: list[Half], signatures: Signatures) -> Table:
    try:
        return Table(halves)
    except SymError as refused:
        spec = signatures.spec
        placed = {name: p[root].half.size for name, p in signatures.halves.items() if root in p}
        name = max(placed, key=lambda n: placed[n])
        what = f"`{name}` has the most axes under the space `{root}`: {placed[name]}"
        raise with_note(refused, Note(what, dict(spec.places).get(name))) from None


def _drafts(
    param: str, placed: Mapping[str, Placed], tables: Tables, *, source: bool
) -> Iterator[tuple[TypeKey, Draft]]:
    """Every row (or column) of one parameter, with the type it belongs to."""
    options = []
    for root, p in placed.items():
        table = tables[root]
        options.append(list((table.rows if source else table.columns)[p.half]))
    if (ways := prod(len(option) for option in options)) > MOST_WAYS:
        raise SymError([too_many_ways(param, ways, MOST_WAYS)])
    for choice in product(*options):
        key = tuple(
            (root, kind) for root, (_, kind) in zip(placed, choice, strict=True) if kind != LocalType()
        )
        pieces = {
            root: Piece(p.half, arm) for (root, p), (arm, _) in zip(placed.items(), choice, strict=True)
        }
        yield key, Draft(param, pieces, placed)


def _meeting(
    key: TypeKey, rows: list[Draft], columns: list[Draft], tables: Tables
) -> tuple[list[Draft], list[Draft]] | None:
    """The rows and columns that take part in some diagram; for the invariant type, in a bias too."""
    if _is_dense(key, rows, columns, tables):
        return (rows, columns) if rows or key == () else None
    meets = [[_meet(key, r, c, tables) is not None for c in columns] for r in rows]
    biased = [key == () and _meet(key, None, c, tables) is not None for c in columns]
    kept_rows = [r for r, line in zip(rows, meets, strict=True) if any(line)]
    kept_columns = [c for k, c in enumerate(columns) if biased[k] or any(line[k] for line in meets)]
    return (kept_rows, kept_columns) if kept_columns else None


def _is_dense(key: TypeKey, rows: list[Draft], columns: list[Draft], tables: Tables) -> bool:
    """Whether every row meets every column (and the bias every column), checked root by root."""
    kinds = dict(key)
    sources, targets = _pieces(rows), _pieces(columns)
    for root in sources.keys() | targets.keys():
        table, kind = tables[root], kinds.get(root, LocalType())
        here = sources.get(root, {ABSENT} if rows else set()) | ({ABSENT} if key == () else set())
        there = targets.get(root, {ABSENT} if columns else set())
        if any(table.allowed.get((s, t, kind)) != () for s, t in product(here, there)):
            return False
    return True


def _pieces(drafts: list[Draft]) -> dict[str, set[Piece]]:
    """The pieces that some sides have under each root; among them `ABSENT` if not all have one."""
    found: dict[str, set[Piece]] = {}
    count = Counter(root for d in drafts for root in d.pieces)
    for d in drafts:
        for root, piece in d.pieces.items():
            found.setdefault(root, set()).add(piece)
    for root, pieces in found.items():
        if count[root] < len(drafts):
            pieces.add(ABSENT)
    return found


def _meet(key: TypeKey, row: Draft | None, column: Draft, tables: Tables) -> list[tuple[str, Mask]] | None:
    """The supports under which a row and a column make a diagram, by root; None if they make none."""
    kinds = dict(key)
    found: list[tuple[str, Mask]] = []
    pieces = row.pieces if row else {}
    for root in sorted(pieces.keys() | column.pieces.keys()):
        at = (pieces.get(root, ABSENT), column.pieces.get(root, ABSENT), kinds.get(root, LocalType()))
        masks = tables[root].allowed.get(at)
        if masks is None:
            return None
        found += [(root, m) for m in masks]
    return found


class _TypeBuilder:
    """Makes one intermediate type: its layout, its sides, and its mask if it needs one."""

    def __init__(
        self,
        key: TypeKey,
        rows: list[Draft],
        columns: list[Draft],
        tables: Tables,
        signatures: Signatures,
    ) -> None:
        self.key, self.rows, self.columns = key, rows, columns
        self.tables, self.signatures = tables, signatures
        self.axes, self.offsets = type_axes(key, signatures)
        self.row_legs = [self._legs(d) for d in rows]
        self.column_legs = [self._legs(d) for d in columns]

    def build(self, names: Names) -> PlanType:
        """The type, named after the spaces of its axes."""
        sides = [draft_side(legs, self.axes, self.signatures) for legs in (*self.row_legs, *self.column_legs)]
        rows, columns = sides[: len(self.rows)], sides[len(self.rows) :]
        self.order = layout(len(self.axes), [*columns, *rows])
        built = PlanType(
            names.fresh("_".join(self.axes[k].space for k in self.order) or "scalar"),
            self.key,
            tuple(replace(self.axes[k], parent=_place(self.axes[k].parent, self.order)) for k in self.order),
            self.order,
            tuple(reordered(s, self.order) for s in rows),
            tuple(reordered(s, self.order) for s in columns),
            None,
        )
        if _is_dense(self.key, self.rows, self.columns, self.tables):
            return built
        return replace(built, mask=entry_mask(built, self._conditions))

    def affine(self, built: PlanType) -> tuple[int, ...]:
        """The positions among the type's columns that an invariant of the target occupies."""
        if built.width > MOST_ENTRIES:
            widths = {d.param: side.multiplicity for d, side in zip(self.columns, built.columns, strict=True)}
            name = max(widths, key=lambda n: widths[n])
            spec = self.signatures.spec
            note = Note(f"`{name}` alone has {widths[name]}", dict(spec.places).get(name))
            raise with_note(SymError([too_large("invariants", built.width, MOST_ENTRIES)]), note)
        found: list[int] = []
        left = 0
        for c, side in enumerate(built.columns):
            masks = _meet(self.key, None, self.columns[c], self.tables)
            if masks is not None:
                conditions = [self._translate(root, m, None, c) for root, m in masks]
                allowed = block_mask(built, None, side, conditions).reshape(-1)
                found += [left + int(k) for k in np.flatnonzero(allowed)]
            left += side.multiplicity
        return tuple(found)

    def _legs(self, draft: Draft) -> Legs:
        arms = {root: (piece.arm, draft.placed[root].positions) for root, piece in draft.pieces.items()}
        return Legs(draft.param, arms, self.offsets)

    def _conditions(self, row: int, column: int) -> list[Condition] | None:
        masks = _meet(self.key, self.rows[row], self.columns[column], self.tables)
        if masks is None:
            return None
        return [self._translate(root, m, row, column) for root, m in masks]

    def _translate(self, root: str, mask: Mask, row: int | None, column: int) -> Condition:
        """A support in terms of the type's axes and of the spreads of a row and a column."""
        indices = []
        for kind, k in mask.blocks:
            if kind == "type":
                indices.append(("type", self.order.index(self.offsets[root] + k)))
            else:
                legs = self.column_legs[column] if kind == "target" else self.row_legs[row or 0]
                indices.append((kind, legs.spread_of(root, k)))
        return Condition(tuple(indices), mask.patterns)


def _place(parent: int, order: tuple[int, ...]) -> int:
    return order.index(parent) if parent >= 0 else -1
