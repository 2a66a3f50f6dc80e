"""Rules for entries picked by numbers that are computed: `x.gather(2, places)`, `table[places]`.

Where a place means the same for every element of the group, along a fixed axis on which nothing acts, picking
is a function of two values, place by place: of what is picked from, which keeps its law, and of the places,
which must be of charge 0. Along a permuted axis the place of an entry moves with it; what is picked by places
that have been sorted out there (`argmax`, `argsort`, `topk`) depends on their order where two are equal.
"""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type
from qecompile.verify.unify import Label, product

PICKED = "entries are picked by places that are computed"


def as_places(t: Type) -> Type:
    """The type of numbers that are used as places: a place 0 is a place like others, and charges are gone."""
    found = apply_function(replace(t, links=(), zero=False), Function(), "a place")
    return replace(found, links=())


def looked_up(table: Type, d: int, places: Type) -> Type:
    """table[.., places, ..] at dimension `d`; the table has no batch axis, so all rows are one table's."""
    if any(a.kind == "batch" for a in table.atoms.values()):
        raise Refused(
            f"{PICKED}, from a tensor with a batch axis",
            "use `gather`, which picks for every entry of the batch",
        )
    rest = ordered(table, d, 1, PICKED)
    rest = with_dims(rest, [dim for k, dim in enumerate(rest.dims) if k != d])
    inner: list[Label] = [f"place {k}" for k in range(len(places.dims))]
    outer: list[Label] = list(range(len(rest.dims)))
    return product([(rest, outer), (as_places(places), inner)], [*outer[:d], *inner, *outer[d:]])


@rule("gather", "gather")
def gather(call: Call) -> Type:
    """X[.., places[.., k, ..], ..] along a fixed axis, row by row."""
    t, places, d = call.type(), call.type("index"), call.dim()
    sizes = [shape[:d] + shape[d + 1 :] for shape in (t.shape, places.shape)]
    if sizes[0] != sizes[1]:
        raise Refused("`gather` takes a part of every axis", "give the places the shape of the tensor")
    labels: list[Label] = list(range(len(t.dims)))
    rest = ordered(t, d, 1, PICKED)
    return product([(rest, labels), (as_places(places), labels)], labels)


RULES: tuple[Rule, ...] = (gather,)
