"""Rules that put values side by side, and that write some entries of one value into another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from qecompile.verify.atoms import Atom, free, uniform
from qecompile.verify.canonical import is_loose
from qecompile.verify.joint import join_spaces
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.assembling import assembled
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.movement import expand_type
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import add, merge


@rule("cat", "cat concat concatenate")
def cat(call: Call) -> Type:
    """Parts of one law side by side along a fixed axis, the channels for one."""
    types = call.types()
    kept = [t for t in types if t.shape != (0,)]
    return join(kept, call.integer("dim", 0) % len(kept[0].dims))


@rule("stack", "stack")
def stack(call: Call) -> Type:
    """Values of one law side by side along a new axis."""
    types = call.types()
    d = call.integer("dim", 0) % (len(types[0].dims) + 1)
    return join([with_dims(t, [*t.dims[:d], (), *t.dims[d:]]) for t in types], d)


def join(types: Sequence[Type], d: int) -> Type:
    """The type of values side by side along dimension `d`.

    There, each is a fixed axis times a rest that all have in common.
    """
    if len(types) == 1:
        return types[0]
    cut = [_leading(t, t.dims[d]) for t in types]
    rests = {
        tuple((a.space, a.size) for a in rest) for t, (_, rest) in zip(types, cut, strict=True) if not t.zero
    }
    common = prod(size for _, size in next(iter(rests), ()))
    if len(rests) > 1 or any(t.shape[d] % common for t in types):
        return join_spaces(types, d)
    cut = [
        ((uniform(t.shape[d] // common),), (uniform(common),)) if t.zero else parts
        for t, parts in zip(types, cut, strict=True)
    ]
    total = sum(prod(a.size for a in lead) for lead, _ in cut)
    anchored = _places(types, [rest for _, rest in cut])
    if len({a.places or tuple(range(a.size)) for a in anchored}) > 1:  # else all, one behind the other
        if any(prod(a.size for a in lead) > 1 for lead, _ in cut):
            raise Refused("a place of a fixed axis comes twice", "repeat values only where nothing acts")
        return _join_places(types, d, anchored)
    operands = []
    for k, (t, (lead, rest)) in enumerate(zip(types, cut, strict=True)):
        spread = with_dims(t, [*t.dims[:d], lead, rest, *t.dims[d + 1 :]])
        operands.append((spread, [*range(d), f"lead {k}", "rest", *range(d + 1, len(t.dims))]))
    joint = merge(operands, "sum")
    dims = [joint.axes[label] for label in (*range(d), "rest", *range(d + 1, len(types[0].dims)))]
    dims[d] = (free(total), *dims[d])
    return with_dims(joint.type, dims)


def _leading(t: Type, dim: tuple[Atom, ...]) -> tuple[tuple[Atom, ...], tuple[Atom, ...]]:
    """A dimension as a fixed part in front and the rest."""
    k = next((k for k, a in enumerate(dim) if not is_loose(t, a)), len(dim))
    return dim[:k], dim[k:]


def _places(types: Sequence[Type], rests: Sequence[tuple[Atom, ...]]) -> list[Atom]:
    """The atoms to join where all parts are places of one fixed axis with charges or copies of its own."""
    if all(
        len(rest) == 1 and rest[0].kind == "free" and rest[0].id in t.anchored
        for t, rest in zip(types, rests, strict=True)
    ):
        return [rest[0] for rest in rests]
    return []


def _join_places(types: Sequence[Type], d: int, atoms: Sequence[Atom]) -> Type:
    """Join by places: for the law it does not matter how many there are."""
    places = tuple(p for a in atoms for p in a.places or range(a.size))
    if len(set(places)) < len(places):
        raise Refused("a place of a fixed axis comes twice", "repeat values only where nothing acts")
    widened = []
    for t, atom in zip(types, atoms, strict=True):
        wide = replace(atom, size=len(places), places=places)
        widened.append(replace(t, dims=(*t.dims[:d], (wide,), *t.dims[d + 1 :])))
    return add(*widened)


@rule("write", "select_scatter slice_scatter")
def write(call: Call) -> Type:
    """Some places of a fixed axis are replaced by values of the same law."""
    t, part, d = call.type(), call.type("src"), call.dim(default=0)
    if call.name == "select_scatter":
        part = with_dims(part, [*part.dims[:d], (), *part.dims[d:]])
        places = [call.integer("index") % t.shape[d]]
    else:
        places = list(range(t.shape[d])[call.window()])
    n = t.shape[d]
    if len(places) == n:
        return part
    if any(_leading(x, x.dims[d])[1] for x in (t, part) if not x.zero):
        return assembled(call)
    try:
        return join([with_dims(t, [*t.dims[:d], (free(n - len(places)),), *t.dims[d + 1 :]]), part], d)
    except Refused:
        return assembled(call)


@rule("assignment", "copy")
def assign(call: Call) -> Type:
    """Y[...] = x: the law of x, at the shape and in the dtype of y."""
    found, dtype = expand_type(call.type("src"), call.op.shape), call.op.dtype
    if dtype is None or dtype.is_floating_point or dtype.is_complex:
        return found
    return apply_function(found, Function(keeps_zero=True), "a cast")


RULES: tuple[Rule, ...] = (cat, stack, write, assign)
