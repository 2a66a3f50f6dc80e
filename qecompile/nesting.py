"""Which copy of a nested space an axis, or a group element, speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qecompile.spec import Axis, Spec


def lineage(axes: Sequence[Axis], k: int) -> tuple[int, ...]:
    """The positions of the axes that axis `k` belongs to, outermost first, ending with `k` itself.

    >>> lineage((Axis(space="q", parent=1), Axis(space="h")), 0)
    (1, 0)
    """
    parent = axes[k].parent
    return (*(() if parent is None else lineage(axes, parent)), k)


def ancestors(spec: Spec, space: str) -> tuple[str, ...]:
    """The spaces that a space is nested in, outermost first."""
    parent = spec.space[space].parent
    return () if parent is None else (*ancestors(spec, parent), parent)


def copy_shapes(spec: Spec) -> Mapping[str, tuple[int, ...]]:
    """For every space the sizes of the spaces it is nested in: one copy of it per tuple of index values."""
    return {s.name: tuple(spec.space[a].size for a in ancestors(spec, s.name)) for s in spec.spaces}
