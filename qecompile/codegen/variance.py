"""Initial variances: every output tensor keeps about the variance of the inputs.

*Statement.* Let input entries have variance 1. The *main* entries of a target's matrix are those from
sources that meet the type of the target's own shape without averaging; they see inputs of variance 1,
whatever the sizes. All other entries see means or traces, of variance between 1/n (independent entries)
and 1 (equal ones). The main entries together get the share `MAIN` of the output's variance, the others
the rest, counted as if their inputs had variance 1. So for independent entries the variance of every
output lies between MAIN and 1, at every width; no other choice of fixed shares does better for both
extremes at once. A target that has only main entries gives them all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import factorial

from qecompile.codegen.reduce import epsilon_size
from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.spec import Spec

MAIN = Fraction(4, 5)


@dataclass(frozen=True, slots=True)
class Variances:
    """For a type: rows as (multiplicity, plain), columns as (multiplicity, main, other variance).

    A weight has the `main` variance where row and column are plain and `other` elsewhere, both divided
    by the number of input channels.
    """

    rows: tuple[tuple[int, bool], ...]
    columns: tuple[tuple[int, Fraction, Fraction], ...]


Fans = dict[str, tuple[Fraction, Fraction]]


def variances(t: PlanType, fans: Fans) -> Variances:
    """The initial variances of one type's matrix."""
    columns = []
    for column in t.columns:
        main, other = fans[column.param]
        share = MAIN if other else Fraction(1)
        columns.append(
            (
                column.multiplicity,
                share / main if main and column.is_plain else Fraction(0),
                ((1 - share) if main else Fraction(1)) / other if other else Fraction(0),
            )
        )
    return Variances(tuple((r.multiplicity, r.is_plain) for r in t.rows), tuple(columns))


def fan_table(plan: Plan, spec: Spec) -> Fans:
    """For every target, the number of main and of other entries that add up in one of its entries."""
    found: Fans = {}
    for t in plan.types:
        plain = Fraction(sum(r.multiplicity for r in t.rows if r.is_plain))
        averaged = sum((r.multiplicity * _gain(r) for r in t.rows if not r.is_plain), Fraction(0))
        for c, column in enumerate(t.columns):
            if t.mask is not None:
                plain = sum((_entries(t, r, c) for r, row in enumerate(t.rows) if row.is_plain), Fraction(0))
                averaged = sum(
                    (_entries(t, r, c) * _gain(row) for r, row in enumerate(t.rows) if not row.is_plain),
                    Fraction(0),
                )
            main, other = found.get(column.param, (Fraction(0), Fraction(0)))
            covered = _coverage(column, spec)
            if column.is_plain:
                found[column.param] = (main + plain * covered, other + averaged * covered)
            else:
                found[column.param] = (main, other + (plain + averaged) * covered)
    return found


def _entries(t: PlanType, r: int, c: int) -> Fraction:
    """How many entries of row r feed one entry of column c, on average over the column."""
    if t.mask is None:
        return Fraction(t.rows[r].multiplicity)
    batches, height, width = t.mask.shape
    top = sum(row.multiplicity for row in t.rows[:r])
    left = sum(column.multiplicity for column in t.columns[:c])
    rows = range(top, top + t.rows[r].multiplicity)
    columns = range(left, left + t.columns[c].multiplicity)
    inside = sum(1 for e in t.mask.entries if e // width % height in rows and e % width in columns)
    return Fraction(inside, batches * len(columns))


def _gain(row: Side) -> Fraction:
    """The variance of a reduction of independent entries of variance 1, where it can exceed 1."""
    gain = Fraction(1)
    for e in row.epsilons:
        n = epsilon_size(e)
        gain *= Fraction(factorial(n), n ** len(e.type_axes))
    return gain


def _coverage(column: Side, spec: Spec) -> Fraction:
    """Mean square, over a target's entries, of what an expansion multiplies its input by."""
    shape = spec.params[column.param].shape
    covered = Fraction(1)
    groups = [*column.through, *column.pooled, *column.pairs, *(s.axes for s in column.spread)]
    for group in groups:
        for k in group[1:]:
            covered /= shape[k]
    for e in column.epsilons:
        n = epsilon_size(e)
        covered *= Fraction(factorial(n), n ** len(e.axes))
    for spread in column.spread:
        covered *= spread.size if spread.coded else 1
    return covered
