"""Rules for entries picked by tensors of places, which are known, or computed and then read from a table."""

from __future__ import annotations

from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.diagonals import diagonal_type
from qecompile.verify.rules.looking_up import looked_up
from qecompile.verify.rules.movement import regroup_type
from qecompile.verify.rules.picking import pick
from qecompile.verify.types import Type

Places = tuple[tuple[int, ...], tuple[int, ...]]  # the places, row by row, and the shape they stand in


def _places(call: Call, name: str, number: int | None = None) -> Places:
    """An argument that is a tensor of known whole numbers."""
    found = call.values.get(name if number is None else f"{name} {number}")
    if found is None:
        raise Refused(
            "entries are picked by numbers that are computed from the weights",
            "pick by constant places, or weigh all entries, as in a softmax",
        )
    return found


@rule("index by places", "index_select embedding")
def index_select(call: Call) -> Type:
    """X[places]: places of a fixed axis."""
    if call.name == "embedding":
        if "indices" not in call.values:
            return looked_up(call.type("weight"), 0, call.type("indices"))
        places, shape = _places(call, "indices")
        found = pick(call.type("weight"), 0, places)
        return regroup_type(found, (*shape, *call.op.shape[len(shape) :]))
    t, d = call.type(), call.dim()
    return pick(t, d, [p % t.shape[d] for p in _places(call, "index")[0]])


@rule("index by tensors", "index _unsafe_index")
def index(call: Call) -> Type:
    """X[places] along one fixed axis; x[range, range] is a diagonal."""
    t, given = call.type(), call.get("indices")
    if not isinstance(given, tuple):
        raise Refused("the indices are no list")
    used = [d for d, part in enumerate(given) if part is not None]
    if len(used) == 1 and f"indices {used[0]}" not in call.values:
        return looked_up(t, used[0], call.type(f"indices {used[0]}"))
    known = {d: _places(call, "indices", d) for d in used}
    if len(used) == 1:
        d = used[0]
        places, shape = known[d]
        found = pick(t, d, [p % t.shape[d] for p in places])
        return regroup_type(found, (*t.shape[:d], *shape, *t.shape[d + 1 :])) if len(shape) != 1 else found
    if (
        len(used) == 2
        and all(_is_range(known[d], t.shape[d]) for d in used)
        and t.shape[used[0]] == t.shape[used[1]]
    ):
        found = diagonal_type(t, *used)
        at = used[0] if used[1] == used[0] + 1 else 0
        *rest, last = found.dims
        return with_dims(found, [*rest[:at], last, *rest[at:]])
    return _index_several(t, used, known, call)


def _is_range(known: Places, n: int) -> bool:
    return known == (tuple(range(n)), (n,))


def _index_several(t: Type, used: list[int], known: dict[int, Places], call: Call) -> Type:
    """Several tensors of places at neighbouring axes, of one shape: places in the product of these axes."""
    first, shape = used[0], known[used[0]][1]
    if used != list(range(first, first + len(used))) or any(known[d][1] != shape for d in used):
        raise Refused("indices at axes apart, or of several shapes, have no rule", "index one axis at a time")
    flat = [0] * len(known[first][0])
    for d in used:
        n = t.shape[d]
        flat = [n * one + p % n for one, p in zip(flat, known[d][0], strict=True)]
    merged = tuple(a for d in used for a in t.dims[d])
    joined = with_dims(t, [*t.dims[:first], merged, *t.dims[first + len(used) :]])
    found = pick(joined, first, flat)
    return regroup_type(found, call.op.shape) if len(shape) != 1 else found


RULES: tuple[Rule, ...] = (index_select, index)
