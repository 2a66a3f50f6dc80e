"""Rules that move entries without looking at them: shapes, orders of axes, copies along new axes."""

from __future__ import annotations

from math import prod

from qecompile.verify.atoms import Atom, uniform
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.types import Type
from qecompile.verify.unify import melt, split_atom


@rule(
    "same value", "clone contiguous detach alias lift_fresh_copy lift_fresh positive resolve_conj resolve_neg"
)
def same(call: Call) -> Type:
    """T is kept."""
    return call.type()


@rule("dropout", "dropout alpha_dropout feature_dropout")
def dropout(call: Call) -> Type:
    """T is kept outside of training; random numbers obey no law."""
    if call.get("train", False):
        raise Refused("dropout in training mode is random", "call `.eval()`")
    return call.type("input")


@rule("regroup", "view reshape _unsafe_view flatten unflatten view_as reshape_as _reshape_copy")
def regroup(call: Call) -> Type:
    """The row-major product of atoms is cut at other places; an atom on which g acts is never cut."""
    if call.get("dtype") is not None:
        raise Refused("the bits of numbers are read as numbers of another kind")
    return regroup_type(call.type(), call.op.shape)


def regroup_type(t: Type, shape: tuple[int, ...]) -> Type:
    """The type of a value reshaped to `shape`."""
    rest = [a for dim in t.dims for a in dim if a.size > 1]
    dims: list[list[Atom]] = []
    for size in shape:
        dim: list[Atom] = []
        while (left := size // prod(a.size for a in dim)) > 1:
            if max(left, rest[0].size) % min(left, rest[0].size):
                melt(t, rest)
            first = rest.pop(0)
            if first.size > left:
                first, back = split_atom(t, first, left)
                rest.insert(0, back)
            if left % first.size:
                raise Refused(
                    f"an axis of {size} would hold a part of `{first.name}`",
                    "an axis on which the group acts can be reshaped as a whole only",
                )
            dim.append(first)
        dims.append(dim)
    for atom, d, k in reversed(_places_of_ones(t, shape, dims)):
        dims[d].insert(k, atom)
    return with_dims(t, dims)


def _places_of_ones(t: Type, shape: tuple[int, ...], dims: list[list[Atom]]) -> list[tuple[Atom, int, int]]:
    """Where vector axes of size 1 go in a new shape: the dimension, and the place among its atoms.

    Their group multiplies by one number, wherever they stand; so any place is right, and the one is taken
    that keeps their order among axes of size 1. The larger atoms before them are told by the product of
    their sizes.
    """
    before: dict[int, list[Atom | None]] = {}  # what has size 1, by the size of all before it
    size = 1
    for dim in t.dims:
        for atom in dim or (None,):
            if atom is None or atom.size == 1:
                before.setdefault(size, []).append(atom)
            else:
                size *= atom.size
    found = []
    for start, ones in before.items():
        if any(ones):
            room = _room_at(start, shape, dims)
            while len(ones) > len(room) and None in ones:
                del ones[-1 - ones[::-1].index(None)]
            last = room[-1:] * (len(ones) - len(room))  # several may share a place
            found += [(a, *at) for a, at in zip(ones, [*room, *last], strict=False) if a is not None]
    return found


def _room_at(start: int, shape: tuple[int, ...], dims: list[list[Atom]]) -> list[tuple[int, int]]:
    """Dimensions of size 1 behind that many entries, or else a place between larger atoms."""
    ones, between = [], []
    size = 1
    for d, dim in enumerate(dims):
        if size == start and shape[d] == 1:
            ones.append((d, 0))
        for k, atom in enumerate(dim):
            if size == start:
                between.append((d, k))
            size *= atom.size
        if size == start and dim:
            between.insert(0, (d, len(dim)))
    if not ones and not between:
        raise Refused(
            "a vector axis of size 1 has no place in the new shape", "use `unsqueeze` and `squeeze`"
        )
    return ones or between[:1]


@rule("unsqueeze", "unsqueeze")
def unsqueeze(call: Call) -> Type:
    """An axis of size 1 is added."""
    t = call.type()
    at = call.integer("dim") % (len(t.dims) + 1)
    return with_dims(t, [*t.dims[:at], (), *t.dims[at:]])


@rule("squeeze", "squeeze")
def squeeze(call: Call) -> Type:
    """Axes of size 1 are dropped; a vector axis of size 1 is not."""
    t = call.type()
    over = [d for d in call.dims() if t.shape[d] == 1]
    if any(t.dims[d] for d in over):
        raise Refused("a vector axis of size 1 is squeezed")
    return with_dims(t, [dim for d, dim in enumerate(t.dims) if d not in over])


@rule("permute", "permute transpose t movedim moveaxis swapaxes swapdims numpy_T mT adjoint matrix_H")
def permute(call: Call) -> Type:
    """Axes change their order; atoms keep their laws."""
    t = call.type()
    return with_dims(t, [t.dims[d] for d in new_order(call, len(t.dims))])


def new_order(call: Call, rank: int) -> list[int]:
    """Where each dimension of the result stood before."""
    order = list(range(rank))
    match call.name:
        case "permute":
            return [d % rank for d in call.ints("dims")]
        case "movedim" | "moveaxis":
            source, target = ([d % rank for d in call.ints(name)] for name in ("source", "destination"))
            left = iter(d for d in order if d not in source)
            placed = dict(zip(target, source, strict=True))
            return [placed[d] if d in placed else next(left) for d in order]
        case "numpy_T":
            return order[::-1]
        case "t" | "mT" | "adjoint" | "matrix_H":
            return order if rank < 2 else [*order[:-2], order[-1], order[-2]]
    names = ("axis0", "axis1") if call.name == "swapaxes" else ("dim0", "dim1")
    if not order:
        return order
    one, other = (call.integer(name) % rank for name in names)
    order[one], order[other] = order[other], order[one]
    return order


@rule("expand", "expand expand_as broadcast_to")
def expand(call: Call) -> Type:
    """A new or size-1 axis made large is uniform."""
    return expand_type(call.type(), call.op.shape)


def expand_type(t: Type, shape: tuple[int, ...]) -> Type:
    """The type of a value broadcast to `shape`."""
    dims = [()] * (len(shape) - len(t.dims)) + list(t.dims)
    for d, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        if prod(a.size for a in dim) != size:
            if dim:
                raise Refused("a vector axis of size 1 is expanded")
            dims[d] = (uniform(size),)
    return with_dims(t, dims)


@rule("repeat", "repeat tile")
def repeat(call: Call) -> Type:
    """An axis repeated r times is (uniform r) x itself."""
    t = call.type()
    times = call.ints("repeats") if call.name == "repeat" else call.ints("dims")
    rank = max(len(times), len(t.dims))
    dims = [()] * (rank - len(t.dims)) + list(t.dims)
    counts = [1] * (rank - len(times)) + list(times)
    return with_dims(
        t, [((uniform(r), *dim) if r != 1 else dim) for r, dim in zip(counts, dims, strict=True)]
    )


@rule("repeat interleave", "repeat_interleave")
def repeat_interleave(call: Call) -> Type:
    """An axis with each entry r times is itself x (uniform r)."""
    t, r = call.type(), call.integer("repeats")
    if call.get("dim") is None:
        dims = [tuple(a for dim in t.dims for a in dim)]
        return with_dims(t, [(*dims[0], uniform(r))])
    at = call.dim()
    return with_dims(t, [(*dim, uniform(r)) if d == at else dim for d, dim in enumerate(t.dims)])


RULES: tuple[Rule, ...] = (
    same,
    dropout,
    regroup,
    unsqueeze,
    squeeze,
    permute,
    expand,
    repeat,
    repeat_interleave,
)
