"""Values that are constant piece by piece along an axis: codes of layers, masks of blocks.

Takes known tensors and operations, gives types. Where the neurons of all layers stand side by side
(`joint.py`), a weight may not vary among those of one layer, but may differ from layer to layer, as in
`nodes + code[layer_of]`. Such a value has two types, both true: with a fixed axis, along which it varies, and
with a joint axis of parts along which it is constant. Rules see the first; the second is tried where that is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from qecompile.verify.atoms import Atom
from qecompile.verify.canonical import is_loose, make
from qecompile.verify.facts import LARGEST, constant_type
from qecompile.verify.parts import constant, joint_atom
from qecompile.verify.references import with_dims
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type
from qecompile.verify.unify import merge


def of_constant(value: Tensor) -> Type | None:
    """The type of a known tensor by pieces; None if it has none of more than one entry."""
    if value.numel() > LARGEST or not value.numel():
        return None
    found = t = constant_type(value)
    for d, n in enumerate(value.shape):
        if n > 2 and not all(map(t.is_uniform, t.dims[d])):
            same = [torch.equal(value.select(d, k), value.select(d, k + 1)) for k in range(n - 1)]
            sizes = _runs([sum(not s for s in same[:k]) for k in range(n)])
            found = _cut(found, d, sizes) or found
    return None if found is t else found


def made_of_pieces(call: Call, t: Type) -> Type | None:
    """The type by pieces of a result of type `t`: entries picked several times, or constants side by side."""
    match call.name:
        case "embedding" | "index_select" | "index":
            name = {"embedding": "indices", "index_select": "index"}.get(call.name)
            places = [
                (n, v) for n, v in call.values.items() if n == name or (not name and n.startswith("indices "))
            ]
            if len(places) != 1 or len(places[0][1][1]) != 1:
                return None
            given, (row, _) = places[0]
            d = 0 if name == "indices" else call.dim() if name else int(given.split()[1])
            return _cut(t, d, _runs(row))
        case "cat":
            types, d = call.types(), call.integer("dim", 0) % len(t.dims)
            if not all(
                x.shape[d:] and all(x.is_uniform(a) and is_loose(x, a) for a in x.dims[d]) for x in types
            ):
                return None
            rank = range(len(t.dims))
            rests = [(with_dims(x, [*x.dims[:d], (), *x.dims[d + 1 :]]), rank) for x in types]
            joined = merge(rests, "sum").arranged(rank)
            atom = joint_atom([constant(x.shape[d]) for x in types], None)
            return with_dims(joined, [*joined.dims[:d], (atom,), *joined.dims[d + 1 :]])
    return None


def _runs(row: Sequence[int]) -> list[int]:
    """How many neighbours are equal, one number for each run of them."""
    return [len(list(run)) for _, run in groupby(row)]


def _cut(t: Type, d: int, sizes: Sequence[int]) -> Type | None:
    """The type with a joint axis of constant parts at one dimension; None if all parts are single entries."""
    if max(sizes) == 1 or len(sizes) == 1 or not all(_is_apart(t, a) for a in t.dims[d]):
        return None
    dims = [*t.dims[:d], (joint_atom([constant(n) for n in sizes], None),), *t.dims[d + 1 :]]
    gone = {a.id for a in t.dims[d]}
    return make(dims, t.charges, [link for link in t.links if not link & gone], t.guards)


def _is_apart(t: Type, atom: Atom) -> bool:
    """Whether nothing is said of an atom together with others."""
    return atom.id not in t.anchored and (atom.kind == "free" or t.is_uniform(atom))
