"""Rules that pick entries of an axis by constant places: slices, single entries, reorderings, splits.

A place means something along an axis on which nothing acts. Along a permuted axis only the whole of it does,
and along an axis where the value is constant every choice is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from qecompile.verify.atoms import At, Atom, free, uniform
from qecompile.verify.canonical import is_loose
from qecompile.verify.joint import holding_part, take_part
from qecompile.verify.references import redirect, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.types import Type

WHOLE = "only a whole axis keeps its law; pool over it, or pick along a fixed axis"


def pick(t: Type, d: int, places: Sequence[int], drop: bool = False) -> Type:
    """The type of the entries at `places` along dimension `d`; with `drop`, of the only one, without it."""
    dim = t.dims[d]
    n = t.shape[d]
    if list(places) == list(range(n)) and not drop:
        return t
    if n > 1 and len(places) % n == 0 and places:  # the whole axis several times
        copies = uniform(len(places) // n)
        if list(places) == [*range(n)] * copies.size:
            return _with_dim(t, d, (copies, *dim), drop)
        if list(places) == [k for k in range(n) for _ in range(copies.size)]:
            return _with_dim(t, d, (*dim, copies), drop)
    if len(dim) > 1:
        try:
            return _pick_in_product(t, d, places, drop)
        except Refused:
            if all(is_loose(t, atom) for atom in dim):
                return _with_dim(t, d, (free(len(places)),), drop)
            raise
    if not dim:
        return _with_dim(t, d, () if len(places) == 1 else (uniform(len(places)),), drop)
    return _pick_atom(t, d, places, drop)


def _pick_atom(t: Type, d: int, places: Sequence[int], drop: bool) -> Type:
    """Pick along a dimension of one atom."""
    atom = t.dims[d][0]
    if t.is_uniform(atom):
        return _with_dim(t, d, (uniform(len(places)),), drop)
    if atom.kind in ("equal", "epsilon", "turn"):
        t, atom = _loosened(t, atom), replace(atom, kind="free", group=0)
    if atom.kind == "batch" and atom.id in t.anchored:
        raise Refused(f"entries of the batch are picked ({_brief(places)}): each is moved by a g of its own")
    if atom.parts and (found := _pick_part(t, d, places, drop)) is not None:
        return found
    if atom.kind in ("index", "vector", "pair"):
        what = "a permuted axis" if atom.kind == "index" else "a vector axis"
        raise Refused(f"entries {_brief(places)} of `{atom.name}`, {what}, are picked", WHOLE)
    if atom.id not in t.anchored:
        return _with_dim(t, d, (free(len(places)),), drop)
    kept = tuple(atom.places[k] if atom.places else k for k in places)
    if len(kept) == 1:
        return _with_dim(redirect(t, {atom.id: At(kept[0], atom.owner)}), d, (), drop)
    if len(set(kept)) < len(kept):
        raise Refused(f"entries of `{atom.name}` are picked more than once: {_brief(places)}")
    t = with_dims(t, t.dims)
    t = replace(t, links=tuple(link - {atom.id} for link in t.links))  # equal places have other indices now
    return _with_dim(t, d, (replace(atom, size=len(kept), places=kept),), drop)


def _pick_part(t: Type, d: int, places: Sequence[int], drop: bool) -> Type | None:
    """Pick whole parts of a joint axis, or places within one of them; None if they are neither."""
    around = holding_part(t.dims[d][0], places)
    if around is None:
        return take_part(t, d, places)
    part = take_part(t, d, range(*around))
    return None if part is None else pick(part, d, [p - around[0] for p in places], drop)


def _pick_in_product(t: Type, d: int, places: Sequence[int], drop: bool) -> Type:
    """Pick along a product of atoms: whole blocks of the first one, or entries within one block."""
    first, *rest = t.dims[d]
    block = prod(a.size for a in rest)
    blocks = [p // block for p in places[::block]]
    whole = [b * block + k for b in blocks for k in range(block)]
    alone = with_dims(t, [*t.dims[:d], (first,), tuple(rest), *t.dims[d + 1 :]])
    if list(places) == whole:
        found = pick(alone, d, blocks)
    elif len({p // block for p in places}) == 1:
        inner = pick(alone, d, [places[0] // block])
        found = pick(inner, d + 1, [p % block for p in places])
    else:
        shown = " ".join(a.name for a in t.dims[d])
        raise Refused(f"entries {_brief(places)} of the merged axis ({shown}) are picked", WHOLE)
    merged = (*found.dims[d], *found.dims[d + 1])
    return _with_dim(found, d, merged, drop, width=2)


def _with_dim(t: Type, d: int, dim: Sequence[Atom], drop: bool, width: int = 1) -> Type:
    """Replace one dimension (or the `width` ones from there on), or drop it."""
    return with_dims(t, [*t.dims[:d], *([] if drop else [dim]), *t.dims[d + width :]])


def _loosened(t: Type, atom: Atom) -> Type:
    """The type with a group of atoms made free; what they are linked to is forgotten."""
    group = {a.id for a in t.group(atom)}
    dims = [[replace(a, kind="free", group=0) if a.id in group else a for a in dim] for dim in t.dims]
    return replace(with_dims(t, t.dims), dims=tuple(tuple(dim) for dim in dims), links=())


def _brief(places: Sequence[int]) -> str:
    shown = ", ".join(map(str, places[:4]))
    return f"{shown}, ..." if len(places) > 4 else shown


# --- rules ------------------------------------------------------------------------------------------------


@rule("select", "select")
def select(call: Call) -> Type:
    """X[k]: a place of a fixed axis; charges and owners there become those of place k."""
    t, d = call.type(), call.dim()
    return pick(t, d, [call.integer("index") % t.shape[d]], drop=True)


@rule("slice", "slice narrow")
def slice_rule(call: Call) -> Type:
    """X[a:b]: places of a fixed axis; the whole of any axis."""
    t, d = call.type(), call.dim(default=0)
    n = t.shape[d]
    if call.name == "narrow":
        start = call.integer("start") % max(n, 1)
        return pick(t, d, range(start, start + call.integer("length")))
    return pick(t, d, range(n)[call.window()])


@rule("split", "split split_with_sizes chunk tensor_split unsafe_split unsafe_chunk")
def split(call: Call) -> tuple[Type, ...]:
    """X[a:b] for each part."""
    t, d = call.type(), call.dim(default=0)
    found, start = [], 0
    for shape in call.op.parts:
        found.append(pick(t, d, range(start, start + shape[d])))
        start += shape[d]
    return tuple(found)


@rule("unbind", "unbind")
def unbind(call: Call) -> tuple[Type, ...]:
    """X[k] for each place of a fixed axis."""
    t, d = call.type(), call.dim(default=0)
    return tuple(pick(t, d, [k], drop=True) for k in range(t.shape[d]))


@rule("flip", "flip")
def flip(call: Call) -> Type:
    """Places of fixed axes in reverse order."""
    t = call.type()
    for d in call.dims("dims"):
        t = pick(t, d, range(t.shape[d])[::-1])
    return t


@rule("roll", "roll")
def roll(call: Call) -> Type:
    """Places of fixed axes, moved around."""
    t = call.type()
    if not call.ints("dims", ()):
        raise Refused("all axes are rolled as one", "name the axis to roll")
    for d, shift in zip(call.dims("dims"), call.ints("shifts"), strict=True):
        n = t.shape[d]
        t = pick(t, d, [(k - shift) % n for k in range(n)])
    return t


RULES: tuple[Rule, ...] = (select, slice_rule, split, unbind, flip, roll)
