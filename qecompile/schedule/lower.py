"""From a plan to operations, one by one: every row by itself from its parameter, every column by itself.

Takes a `Plan`, gives a `Schedule` that computes it in the plainest way; `passes.py` makes it fast. Values
are called `%1`, `%2`, ... until the last pass names them; inputs and outputs of types have their names
from the start.
"""

from __future__ import annotations

from collections.abc import Sequence

from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.schedule.nodes import (
    Contract,
    Decode,
    Dim,
    Encode,
    ExpandOp,
    Gather,
    Group,
    Insert,
    Load,
    Mean,
    Mix,
    OnDiagonal,
    Part,
    ReduceOp,
    Row,
    Schedule,
    Slice,
    Sum,
    Value,
)
from qecompile.spec import Param, Spec


def lower(plan: Plan, spec: Spec) -> Schedule:
    """The schedule of a whole layer."""
    return Schedule(_Reduce(plan, spec).ops(plan.types), _Expand(plan, spec).ops(), plan.codes)


def lower_reduce(plan: Plan, spec: Spec) -> Schedule:
    """The reductions of a plan only: what its types read."""
    return Schedule(_Reduce(plan, spec).ops(plan.types), (), plan.codes)


class _Stage:
    """The operations of one stage so far."""

    def __init__(self, plan: Plan, spec: Spec) -> None:
        self.plan, self.spec = plan, spec
        self.ranks = {c.space: c.rank for c in plan.codes}
        self.count = 0

    def fresh(self) -> str:
        """A name that nothing has."""
        self.count += 1
        return f"%{self.count}"

    def axis(self, p: Param, group: Group) -> Dim:
        """The dimension of some axes of a parameter."""
        return Dim("axes", group, p.axes[group[0]].space, p.shape[group[0]])

    def code(self, p: Param, group: Group) -> Dim:
        """The dimension of the codes of an axis."""
        space = p.axes[group[0]].space
        return Dim("code", group, space, self.ranks[space])


def type_dims(t: PlanType) -> tuple[Dim, ...]:
    """The dimensions of a type's input and output."""
    return tuple(Dim("type", (k,), a.space, a.size) for k, a in enumerate(t.axes))


class _Reduce(_Stage):
    """Every row from its parameter."""

    def ops(self, types: Sequence[PlanType]) -> tuple[ReduceOp, ...]:
        found: list[ReduceOp] = []
        rows: dict[tuple[str, Side], Row] = {}
        by_param: dict[str, list[tuple[PlanType, Side]]] = {}
        for t in types:
            for row in t.rows:
                by_param.setdefault(row.param, []).append((t, row))
        for p in self.spec.parameters:
            mine = by_param.get(p.name, [])
            if mine:
                dims = tuple(self.axis(p, (k,)) for k in range(len(p.axes)))
                load = Load(Value(self.fresh(), dims, 1, "C"), p.name)
                found.append(load)
                for t, row in sorted(mine, key=lambda item: len(item[1].pooled)):
                    rows[t.name, row] = self._row(found, p, load.out, row)
        for t in types:
            if t.rows:
                out = Value(f"x_{t.name}", type_dims(t), t.height, "C")
                found.append(Gather(out, tuple(rows[t.name, row] for row in t.rows)))
        return tuple(found)

    def _row(self, found: list[ReduceOp], p: Param, value: Value, row: Side) -> Row:
        groups = (*row.through, *row.pooled, *(s.axes for s in row.spread))
        diagonals = tuple(sorted(g for g in groups if len(g) > 1))
        if diagonals or row.pairs or row.epsilons:
            gone = {k for pair in row.pairs for k in pair} | {k for e in row.epsilons for k in e.axes}
            dims = [self.axis(p, g) for g in sorted(g for g in groups if g and not gone & set(g))]
            sizes = {k: p.shape[e.axes[0]] for e in row.epsilons for k in e.type_axes}
            dims += [
                Dim("type", (k,), p.axes[e.axes[0]].space, sizes[k])
                for e in row.epsilons
                for k in e.type_axes
            ]
            out = Value(self.fresh(), tuple(dims), 1, "C")
            found.append(Contract(out, value.name, p.name, diagonals, row.pairs, row.epsilons))
            value = out
        for spread in row.spread:
            if spread.coded:
                k = value.place("axes", spread.axes)
                dims = [*value.dims[:k], self.code(p, spread.axes), *value.dims[k + 1 :]]
                found.append(Encode(Value(self.fresh(), tuple(dims), 1, "C"), value.name, p.name, k))
                value = found[-1].out
        if row.pooled:
            over = tuple(sorted(value.place("axes", g) for g in row.pooled))
            left = tuple(d for k, d in enumerate(value.dims) if k not in over)
            found.append(Mean(Value(self.fresh(), left, 1, "C"), value.name, p.name, over))
            value = found[-1].out
        order = [
            value.place("axes", g) if g else value.place("type", (k,)) for k, g in enumerate(row.through)
        ]
        order += [value.place("code" if s.coded else "axes", s.axes) for s in row.spread]
        return Row(value.name, tuple(order), len(row.spread))


class _Expand(_Stage):
    """Every column to its parameter."""

    def __init__(self, plan: Plan, spec: Spec) -> None:
        super().__init__(plan, spec)
        self.widths = {t.name: t.width for t in plan.types}

    def ops(self) -> tuple[ExpandOp, ...]:
        found: list[ExpandOp] = [self._mix(t) for t in self.plan.types]
        by_param: dict[str, list[tuple[PlanType, Side, int]]] = {}
        for t in self.plan.types:
            offset = 0
            for column in t.columns:
                by_param.setdefault(column.param, []).append((t, column, offset))
                offset += column.multiplicity
        for p in self.spec.parameters:
            parts: list[Part] = []
            diagonals: list[OnDiagonal] = []
            everything = tuple((k,) for k in range(len(p.axes)))
            for t, column, offset in by_param.get(p.name, []):
                piece = self._column(found, p, t, column, offset)
                groups = (*piece.groups, *column.pooled, *column.pairs)
                on = tuple(sorted(g for g in groups if len(g) > 1))
                if on:
                    diagonals.append(OnDiagonal(piece, on))
                else:
                    parts.append(Part(piece, (), everything))
            dims = tuple(self.axis(p, g) for g in everything)
            found.append(Sum(Value(self.fresh(), dims, 1, "n"), p.name, tuple(parts), tuple(diagonals)))
        return tuple(found)

    def _mix(self, t: PlanType) -> Mix:
        rank = self.plan.context_rank if self.plan.is_factorised(t) else None
        source = f"x_{t.name}" if t.rows else None
        out = Value(f"y_{t.name}", type_dims(t), t.width, "n")
        return Mix(out, source, t, t.key == () and bool(self.plan.affine), rank)

    def _column(self, found: list[ExpandOp], p: Param, t: PlanType, column: Side, offset: int) -> Slice:
        """The slice of a type's output for a column, decoded, with its dimensions named."""
        dims = [
            self.axis(p, g) if g else Dim("type", (k,), t.axes[k].space, t.axes[k].size)
            for k, g in enumerate(column.through)
        ]
        dims += [self.code(p, s.axes) if s.coded else self.axis(p, s.axes) for s in column.spread]
        last, whole = offset + column.multiplicity, column.multiplicity == self.widths[t.name]
        split = tuple(s.size for s in column.spread)
        piece = Slice(f"y_{t.name}", offset, last, whole, split, tuple(dims))
        for s in column.spread:
            if s.coded:
                k = next(k for k, d in enumerate(piece.dims) if (d.kind, d.at) == ("code", s.axes))
                dims = [*piece.dims[:k], self.axis(p, s.axes), *piece.dims[k + 1 :]]
                found.append(Decode(Value(self.fresh(), tuple(dims), 1, "n"), piece, p.name, k))
                piece = _whole(found[-1].out)
        for e in column.epsilons:
            inside = {("type", (k,)) for k in e.type_axes}
            dims = [d for d in piece.dims if (d.kind, d.at) not in inside]
            dims += [self.axis(p, (k,)) for k in e.axes]
            found.append(Insert(Value(self.fresh(), tuple(dims), 1, "n"), piece, p.name, e))
            piece = _whole(found[-1].out)
        return piece


def _whole(value: Value) -> Slice:
    return Slice(value.name, 0, 1, True, (), value.dims)
