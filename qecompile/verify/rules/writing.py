"""Rules for writing by tensors of places, or where a condition holds: `x[:, i, i] = y`, `x[mask] = 0`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from qecompile.verify.canonical import is_loose
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.choosing import choose_by
from qecompile.verify.rules.diagonals import diagonal_type, embed_diagonal
from qecompile.verify.rules.movement import expand_type, regroup_type
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type
from qecompile.verify.unify import add


@rule("write by tensors", "index_put")
def index_put(call: Call) -> Type:
    """X[places] = y along a fixed axis; x[range, range] = y on a diagonal; x[condition] = c as in where."""
    given = call.get("indices")
    if not isinstance(given, tuple):
        raise Refused("the indices are no list")
    used = [d for d, part in enumerate(given) if part is not None]
    added = bool(call.get("accumulate", False))
    if len(used) == 1 and f"indices {used[0]}" in call.masks:
        return _where(call, used[0], added)
    known = {d: call.values.get(f"indices {d}") for d in used}
    t = call.type()
    if len(used) == 2 and all(known[d] == (tuple(range(t.shape[d])), (t.shape[d],)) for d in used):
        return _on_diagonal(call, used[0], used[1], added)
    if len(used) == 1 and known[used[0]] is not None:
        return (_added_at if added else _at_places)(call, used[0])
    raise Refused(
        "entries are written at places that are computed, or along several axes",
        "write along one fixed axis, on a diagonal, or by `torch.where`",
    )


def _where(call: Call, d: int, added: bool) -> Type:
    """One number where a condition holds, which stands at dimension `d` and those behind it."""
    t, mask, value = call.type(), call.type(f"indices {d}"), call.type("values")
    if value.dims or added:
        raise Refused("a list of numbers is written where a condition holds", "use `torch.where`")
    behind = len(t.dims) - d - len(mask.dims)
    condition = with_dims(mask, [*mask.dims, *[()] * behind])
    return choose_by(call, f"indices {d}", condition, value, t)


def _on_diagonal(call: Call, one: int, other: int, added: bool) -> Type:
    """Entries x[.., i, i]: read, they stand in front, or at `one` if the axes are neighbours."""
    t = call.type()
    if t.shape[one] != t.shape[other]:
        raise Refused("a diagonal of a matrix that is not square")
    at = one if other == one + 1 else 0
    rest = [n for d, n in enumerate(t.shape) if d not in (one, other)]
    part = expand_type(call.type("values"), (*rest[:at], t.shape[one], *rest[at:]))
    on = diagonal_type(t, one, other)
    moved = with_dims(part, [*(dim for d, dim in enumerate(part.dims) if d != at), part.dims[at]])
    if not added:
        if any(a.kind == "pair" for dim in on.dims for a in dim):
            raise Refused("the diagonal of a matrix under a change of basis is overwritten")
        add(on, moved)
    return add(t, embed_diagonal(moved, one, other))


def _at_places(call: Call, d: int) -> Type:
    """Places of a fixed axis."""
    t = call.type()
    if not all(is_loose(t, a) for a in t.dims[d]):
        shown = " ".join(a.name for a in t.dims[d])
        raise Refused(
            f"entries of the axis ({shown}) are overwritten one by one", "write along fixed axes only"
        )
    places, shape = call.values[f"indices {d}"]
    if len(shape) != 1:
        raise Refused("places in several rows have no rule", "flatten them")
    part = expand_type(call.type("values"), (*t.shape[:d], len(places), *t.shape[d + 1 :]))
    sides = [ordered(x, d, t.shape[d], "places are overwritten") for x in (t, part) if not x.zero]
    return add(*sides) if sides else replace(t, zero=True)


def _added_at(call: Call, d: int) -> Type:
    """X with entries of y added at places along an axis; several may go to one place."""
    places, shape = call.values[f"indices {d}"]
    if len(shape) != 1:
        raise Refused("places in several rows have no rule", "flatten them")
    t = call.type()
    part = expand_type(call.type("values"), (*t.shape[:d], len(places), *t.shape[d + 1 :]))
    return add(t, _gathered_at(part, d, places, t.shape[d]))


def _gathered_at(part: Type, d: int, places: Sequence[int], size: int) -> Type:
    """The sums of the entries that go to each of `size` places of a new axis.

    Along an axis under the group that is a law only if all entries go to one place, or all entries with
    equal index in one factor of the axis do.
    """
    if len(set(places)) == 1:
        one = reduce_dims(part, (d,), keep=True)
        return ordered(one, d, size, "sums are placed")
    if list(places) == list(range(size)):
        return part
    copies, rest = divmod(len(places), size)
    if not rest and list(places) == [k for k in range(size) for _ in range(copies)]:
        split, gone = (size, copies), d + 1
    elif not rest and list(places) == [*range(size)] * copies:
        split, gone = (copies, size), d
    else:
        return ordered(part, d, size, "entries are added at places")
    return reduce_dims(regroup_type(part, (*part.shape[:d], *split, *part.shape[d + 1 :])), (gone,))


@rule("sums at places", "scatter_add scatter_reduce")
def scatter_add(call: Call) -> Type:
    """X[.., places[k], ..] += y[.., k, ..]: the places are known, and equal in all rows."""
    if call.name == "scatter_reduce" and (
        call.get("reduce") != "sum" or call.get("include_self") is not True
    ):
        raise Refused("`scatter_reduce` has a rule for sums only", "regroup the axis, and reduce it")
    t, part, d = call.type(), call.type("src"), call.dim()
    places, shape = call.values.get("index", ((), ()))
    inner = prod(shape[d + 1 :])
    row = places[: inner * shape[d] : inner] if shape else ()
    if not shape or any(p != row[k // inner % shape[d]] for k, p in enumerate(places)):
        raise Refused("entries are added at places that are computed, or differ from row to row")
    if shape != part.shape or any(
        n != m for k, (n, m) in enumerate(zip(shape, t.shape, strict=True)) if k != d
    ):
        raise Refused("`scatter_add` takes a part of every axis", "give the places the shape of the tensor")
    return add(t, _gathered_at(part, d, row, t.shape[d]))


RULES: tuple[Rule, ...] = (index_put, scatter_add)
