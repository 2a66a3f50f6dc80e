"""Rules about diagonals: taking them, making a tensor of them, writing to them, triangles."""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.atoms import Atom, free, fresh
from qecompile.verify.canonical import make
from qecompile.verify.parts import is_constant
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.movement import expand_type
from qecompile.verify.types import Type
from qecompile.verify.unify import add, product

BLOCKS = "a diagonal pairs equal indices: both axes must be of one space and one copy"


def diagonal_type(t: Type, one: int, other: int, offset: int = 0) -> Type:
    """x[..., i, i]: charges of both axes add up; a vector and a dual one leave a pair."""
    rank = len(t.dims)
    one, other = one % rank, other % rank
    if one == other:
        raise Refused("a diagonal of one axis")
    rest = [d for d in range(rank) if d not in (one, other)]
    if offset or t.shape[one] != t.shape[other]:
        if not all(_is_still(t, a) for d in (one, other) for a in t.dims[d]):
            raise Refused(f"the diagonal at offset {offset} shifts an index", BLOCKS)
        return with_dims(t, [*(t.dims[d] for d in rest), (free(_length(t, one, other, offset)),)])
    labels = ["both" if d in (one, other) else d for d in range(rank)]
    return product([(t, labels)], [*rest, "both"])


def _length(t: Type, one: int, other: int, offset: int) -> int:
    rows, columns = t.shape[one] + min(offset, 0), t.shape[other] - max(offset, 0)
    return max(min(rows, columns), 0)


def _is_still(t: Type, atom: Atom) -> bool:
    return (atom.kind == "free" and atom.id not in t.anchored) or t.is_uniform(atom)


@rule("diagonal", "diagonal linalg_diagonal")
def diagonal(call: Call) -> Type:
    """X[.., i, i]: one atom for both axes, charges add; (v, v*) leaves a pair."""
    ends = (-2, -1) if call.name == "linalg_diagonal" else (0, 1)
    return diagonal_type(
        call.type(), call.integer("dim1", ends[0]), call.integer("dim2", ends[1]), call.integer("offset", 0)
    )


@rule("trace", "trace")
def trace(call: Call) -> Type:
    """Sum_i x[i, i]."""
    return product([(call.type(), ["both", "both"])], [])


@rule("diagonal matrix", "diag_embed")
def diag_embed(call: Call) -> Type:
    """Delta_ij x[.., i]: an axis of the same space and copy, linked to the first."""
    return embed_diagonal(
        call.type(), call.integer("dim1", -2), call.integer("dim2", -1), call.integer("offset", 0)
    )


@rule("vector and matrix", "diag")
def diag(call: Call) -> Type:
    """Of a matrix the diagonal, of a vector the diagonal matrix."""
    t, offset = call.type(), call.integer("diagonal", 0)
    return embed_diagonal(t, 0, 1, offset) if len(t.dims) == 1 else diagonal_type(t, 0, 1, offset)


def embed_diagonal(t: Type, one: int, other: int, offset: int = 0) -> Type:
    """delta_ij x[..., i], with i and j at dimensions `one` and `other` of the result."""
    rank = len(t.dims) + 1
    one, other = one % rank, other % rank
    *rest, last = t.dims
    if offset:
        if not all(_is_still(t, a) for a in last):
            raise Refused(f"the diagonal at offset {offset} shifts an index", BLOCKS)
        size = t.shape[-1] + abs(offset)
        placed: dict[int, tuple[Atom, ...]] = {one: (free(size),), other: (free(size),)}
        links: list[frozenset[int]] = []
    else:
        if bad := next((a for a in last if a.kind in ("vector", "pair", "batch")), None):
            raise Refused(f"a diagonal matrix is made along `{bad.name}`", BLOCKS)
        if any(is_constant(part) for a in last for part in a.parts):
            raise Refused("a diagonal matrix is made of entries that have no space yet")
        again = tuple(replace(a, id=fresh()) for a in last)
        placed = {one: last, other: again}
        links = [frozenset((a.id, b.id)) for a, b in zip(last, again, strict=True)]
    left = iter(rest)
    dims = [placed[d] if d in placed else next(left) for d in range(rank)]
    return make(dims, t.charges, (*t.links, *links), t.guards, t.zero)


@rule("write to the diagonal", "diagonal_scatter")
def diagonal_scatter(call: Call) -> Type:
    """Y = x off the diagonal and s on it; if s = diagonal(x) + u then y = x + diag_embed(u)."""
    t, part, at = call.type(), call.type("src"), _ends(call)
    if (added := _added(call, "src", call.numbers.get("self"), at)) is not None:
        return add(t, embed_diagonal(added, *at))
    on = diagonal_type(t, *at)
    if any(a.kind == "pair" for dim in on.dims for a in dim):
        raise Refused(
            "the diagonal of a matrix under a change of basis is overwritten",
            "only adding a multiple of the identity keeps its law",
        )
    add(on, part)
    return add(t, embed_diagonal(part, *at))


def _ends(call: Call) -> tuple[int, int, int]:
    return call.integer("dim1", 0), call.integer("dim2", 1), call.integer("offset", 0)


def _added(call: Call, argument: str, matrix: str | None, at: tuple[int, int, int]) -> Type | None:
    """u, if the argument is diagonal(matrix) + u; itself written to a diagonal, perhaps."""
    origin = call.origins.get(argument)
    if origin is None or matrix is None:
        return None
    if origin.name == "add" and origin.get("alpha", 1) == 1:
        for one, other in (("self", "other"), ("other", "self")):
            if _is_diagonal(origin.origins.get(one), matrix, at):
                return expand_type(origin.type(other), origin.op.shape)
    if origin.name == "diagonal_scatter" and _is_diagonal(origin.origins.get("self"), matrix, at):
        inner = _added(origin, "src", origin.numbers.get("self"), _ends(origin))
        return None if inner is None else embed_diagonal(inner, *_ends(origin))
    return None


def _is_diagonal(origin: Call | None, matrix: str, at: tuple[int, int, int]) -> bool:
    return (
        origin is not None
        and origin.name == "diagonal"
        and origin.numbers.get("self") == matrix
        and _ends(origin) == at
    )


@rule("triangle", "tril triu")
def triangle(call: Call) -> Type:
    """X[i, j] for j <= i: along axes on which nothing acts."""
    t = call.type()
    for dim in t.dims[-2:]:
        for a in dim:
            if a.kind != "free" and not t.is_uniform(a):
                raise Refused(
                    f"a triangle compares places along `{a.name}`", "only places of fixed axes have an order"
                )
    loose = [[free(a.size) if t.is_uniform(a) else a for a in dim] for dim in t.dims[-2:]]
    return with_dims(t, [*t.dims[:-2], *loose])


RULES: tuple[Rule, ...] = (diagonal, trace, diag_embed, diag, diagonal_scatter, triangle)
