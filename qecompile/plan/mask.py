"""Which entries of a type's matrix are basis elements, where some combinations are not.

Below the stability thresholds, with Levi-Civita terms, and where supports of fixed spaces overlap, a
row and a column of one type need not make a (new) diagram. Here that is worked out entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qecompile.errors import SymError, too_large
from qecompile.plan.nodes import Mask, PlanType, Side

Index = tuple[str, int]

MOST_ENTRIES = 1 << 21


class Condition(NamedTuple):
    """Index values that must show one of the listed equality patterns.

    `indices` are ("type", axis of the type), ("source", spread of the row) or ("target", spread of the
    column).
    """

    indices: tuple[Index, ...]
    patterns: tuple[tuple[int, ...], ...]


Meet = Callable[[int, int], Sequence[Condition] | None]


def entry_mask(built: PlanType, meet: Meet) -> Mask:
    """The mask of a type; `meet(row, column)` gives the conditions, or None if they make no diagram."""
    own = [built.axes[k].size for k in built.own]
    entries = prod(own) * built.height * built.width
    if entries > MOST_ENTRIES:
        raise SymError([too_large(f"entries of the type {built.name}", entries, MOST_ENTRIES)])
    whole = np.zeros((*own, built.height, built.width), dtype=bool)
    top = 0
    for r, row in enumerate(built.rows):
        left = 0
        for c, column in enumerate(built.columns):
            conditions = meet(r, c)
            if conditions is not None:
                block = block_mask(built, row, column, conditions)
                shape = (*own, row.multiplicity, column.multiplicity)
                rows = slice(top, top + row.multiplicity)
                whole[..., rows, left : left + column.multiplicity] = block.reshape(shape)
            left += column.multiplicity
        top += row.multiplicity
    batches = int(np.prod(own, dtype=np.int64))
    return Mask(
        (batches, built.height, built.width), tuple(int(k) for k in np.flatnonzero(whole.reshape(-1)))
    )


def block_mask(
    built: PlanType, row: Side | None, column: Side, conditions: Sequence[Condition]
) -> NDArray[np.bool_]:
    """The allowed index values: axes of the type with their own weights, spreads of row and column."""
    labels: list[Index] = [("type", k) for k in built.own]
    sizes = [built.axes[k].size for k in built.own]
    for side, name in ((row, "source"), (column, "target")):
        for k, spread in enumerate(side.spread if side else ()):
            labels.append((name, k))
            sizes.append(spread.size)
    allowed = np.ones(sizes, dtype=bool)
    grid = np.indices(sizes, sparse=True)
    for condition in conditions:
        values = [grid[labels.index(index)] for index in condition.indices]
        matches = np.zeros(sizes, dtype=bool)
        for pattern in condition.patterns:
            matches |= _shows(pattern, values, sizes)
        allowed &= matches
    return allowed


def _shows(
    pattern: tuple[int, ...], values: Sequence[NDArray[np.int_]], sizes: Sequence[int]
) -> NDArray[np.bool_]:
    """Where exactly the index values with equal labels are equal."""
    shown = np.ones(sizes, dtype=bool)
    for j in range(len(pattern)):
        for i in range(j):
            shown &= (values[i] == values[j]) == (pattern[i] == pattern[j])
    return shown
