"""Axes whose order is used: only those on which nothing acts have one."""

from __future__ import annotations

from qecompile.verify.atoms import free
from qecompile.verify.references import reduce_atoms, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type


def ordered(t: Type, d: int, size: int, what: str) -> Type:
    """The type with a new fixed axis of `size` places in place of a dimension, whose order was used."""
    for a in t.dims[d]:
        if a.kind != "free" and not t.is_uniform(a):
            raise Refused(f"{what} along `{a.space or a.name}`", "an axis under the group has no order")
    reduce_atoms(t, {a.id for a in t.dims[d]}, linear=False)
    return with_dims(t, [*t.dims[:d], (free(size),), *t.dims[d + 1 :]])
