"""Tensors that are put together block by block: zeros, of which slices are overwritten.

An adjacency matrix of all neurons is made that way: `e[:, 3:7, :3] = W1`. Operation by operation this is a
chain of `slice` and `slice_scatter`, of which no link alone has a law: only with all its blocks does a row
know which space it belongs to. So the chain is read back into blocks, and the type is that of all of them:
along a dimension that they divide, a joint axis (`joint.py`) of their parts, constant where no block is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qecompile.verify.atoms import Atom, Owner
from qecompile.verify.joint import part_of
from qecompile.verify.parts import Part, filled, joint_atom
from qecompile.verify.references import rename_owner, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type
from qecompile.verify.unify import merge

Box = tuple[tuple[int, int], ...]  # for each dimension, from where to where


@dataclass(frozen=True)
class Block:
    """A value, and where it stands."""

    box: Box
    type: Type


def assembled(call: Call) -> Type:
    """The type of a chain of writes to zeros.

    Raises:
        Refused: it is none, or blocks overlap or do not fit together.
    """
    blocks = _written(call)
    if not blocks:
        raise Refused("what is overwritten is neither a fixed axis nor zero")
    shape = call.op.shape
    cut = [d for d, n in enumerate(shape) if any(b.box[d] != (0, n) for b in blocks)]
    rests = [
        with_dims(b.type, [() if d in cut else dim for d, dim in enumerate(b.type.dims)]) for b in blocks
    ]
    rank = range(len(shape))
    joined = merge([(rest, rank) for rest in rests], "sum")
    dims = [joined.axes.get(d, ()) for d in rank]
    for d in cut:
        dims[d] = (_axis(blocks, joined.names, d, shape[d]),)
    return with_dims(joined.type, dims)


def _axis(blocks: Sequence[Block], names: Sequence[Mapping[int, Owner]], d: int, size: int) -> Atom:
    """The joint axis along one dimension; where there is no block, the value is constant."""
    parts: dict[tuple[int, int], Part] = {}
    owners: set[Owner] = set()
    for block, named in zip(blocks, names, strict=True):
        part, owner = part_of(block.type, block.type.dims[d])
        if owner is not None:
            owners.add(rename_owner(owner, named))
        if parts.setdefault(block.box[d], part) != part:
            raise Refused("rows of one name hold blocks of different spaces")
    if len(owners) > 1:
        raise Refused("blocks along one axis belong to different copies")
    return joint_atom(filled(parts, size), next(iter(owners), None))


# --- reading back -----------------------------------------------------------------------------------------


def _written(call: Call) -> list[Block]:
    """The blocks of a value that a chain of writes made of zeros."""
    match call.name:
        case "slice_scatter" | "select_scatter":
            box = _window(call)
            kept = list(_apart(_argument(call, "self"), box))
            part = call.type("src")
            if call.name == "select_scatter":
                d = call.dim(default=0)
                part = with_dims(part, [*part.dims[:d], (), *part.dims[d:]])
                return [*kept, Block(box, part)]
            inner = _argument(call, "src")
            return [*kept, *(_shifted(b, box) for b in inner)]
        case "slice":
            return list(_inside(_argument(call, "self"), _window(call)))
        case "clone" | "alias":
            return _argument(call, "self")
    raise Refused("a slice of something else than zeros is overwritten")


def _argument(call: Call, name: str) -> list[Block]:
    """The blocks of an argument: of a chain of writes, or one, or none if it is zero."""
    t, origin = call.type(name), call.origins.get(name)
    if t.zero:
        return []
    if origin is not None and origin.name in ("slice_scatter", "select_scatter", "slice"):
        try:
            return _written(origin)
        except Refused:
            pass
    if name == "self":
        raise Refused("a slice of something else than zeros is overwritten")
    return [Block(tuple((0, n) for n in t.shape), t)]


def _window(call: Call) -> Box:
    """What a slice reads or overwrites."""
    shape = list(call.type().shape)
    d = call.dim(default=0)
    if call.name == "select_scatter":
        k = call.integer("index") % shape[d]
        places = range(k, k + 1)
    else:
        places = range(shape[d])[call.window()]
    if not places or places.step != 1:
        raise Refused("every other entry is overwritten")
    box = [(0, n) for n in shape]
    box[d] = (places[0], places[-1] + 1)
    return tuple(box)


def _apart(blocks: Sequence[Block], box: Box) -> Iterator[Block]:
    """The blocks outside of a box; those inside are overwritten."""
    for block in blocks:
        pairs = list(zip(block.box, box, strict=True))
        if any(b <= c or d <= a for (a, b), (c, d) in pairs):
            yield block
        elif not all(c <= a and b <= d for (a, b), (c, d) in pairs):
            raise Refused("a part of a block is overwritten")


def _inside(blocks: Sequence[Block], box: Box) -> Iterator[Block]:
    """The blocks inside of a box, counted from its corner."""
    for block in blocks:
        pairs = list(zip(block.box, box, strict=True))
        if all(c <= a and b <= d for (a, b), (c, d) in pairs):
            yield replace(block, box=tuple((a - c, b - c) for (a, b), (c, _) in pairs))
        elif not any(b <= c or d <= a for (a, b), (c, d) in pairs):
            raise Refused("a part of a block is read")


def _shifted(block: Block, box: Box) -> Block:
    return replace(block, box=tuple((a + c, b + c) for (a, b), (c, _) in zip(block.box, box, strict=True)))
