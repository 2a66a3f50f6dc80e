"""Axes of different spaces side by side on one dimension, as of all neurons of all layers in one list.

Takes types, gives types. Let dimension d of v_1, ..., v_k be products of index and fixed axes. Put side
by side they make one dimension, and g permutes it: the entries of each part among themselves, by the
permutations of that part's axes. So there is one atom of kind `index` for all of it, of a *joint space* with
a name of its own, which rules treat as they treat every permuted axis: they reduce over it, align it with
itself, let nothing single out an entry. No rule uses that all permutations occur. What stood side by side can
be taken apart again, since the atom remembers its parts (`parts.py`).

Conditions: no charge, no other axis and no frame refers to an axis that goes into the joint one, so that g
only permutes there, and all permutations depend on one copy (the batch, for axes of root spaces).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from qecompile.verify.atoms import At, Atom, Owner, fresh, uniform
from qecompile.verify.parts import Part, borders, is_constant, joint_atom
from qecompile.verify.references import rename_owner, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type
from qecompile.verify.unify import merge

COPIES = "axes of different copies stand side by side: they belong to different axes"


def join_spaces(types: Sequence[Type], d: int) -> Type:
    """The type of values side by side along dimension `d`, each with axes of its own there.

    Raises:
        Refused: a condition above does not hold, or the values obey different laws otherwise.
    """
    parts, outside = zip(*(part_of(t, t.dims[d]) for t in types), strict=True)
    rank = len(types[0].dims)
    rests = [with_dims(t, [*t.dims[:d], (), *t.dims[d + 1 :]]) for t in types]
    joined = merge([(rest, range(rank)) for rest in rests], "sum")
    owners = {rename_owner(o, names) for o, names in zip(outside, joined.names, strict=True) if o is not None}
    if len(owners) != 1:
        raise Refused(COPIES)
    dims = [joined.axes.get(k, ()) for k in range(rank)]
    dims[d] = (joint_atom(parts, owners.pop()),)
    return with_dims(joined.type, dims)


def part_of(t: Type, dim: Sequence[Atom]) -> tuple[Part, Owner]:
    """The atoms of a dimension as a part, and the owner outside of it that they depend on, if any."""
    inside = {atom.id: k for k, atom in enumerate(dim)}
    for atom in dim:
        if atom.kind not in ("index", "free") and not t.is_uniform(atom):
            raise Refused(
                f"`{atom.name}` stands beside axes of other spaces",
                "put only permuted and fixed axes side by side",
            )
        if atom.parts:
            raise Refused(
                "axes that stand side by side are put beside others", "use one `cat` for all of them"
            )
        _check_free_of(t, atom, inside)
    owners = {_outside(atom.owner, inside) for atom in dim if atom.kind == "index"} - {None}
    if len(owners) > 1:
        raise Refused(COPIES)
    return tuple(_template(t, atom, inside) for atom in dim), next(iter(owners), None)


def _template(t: Type, atom: Atom, inside: Mapping[int, int]) -> Atom:
    """An atom as it stands in a part; the places of a fixed axis matter if others belong to it."""
    number = inside[atom.id]
    if atom.kind == "index":
        return Atom(number, "index", atom.size, atom.space, _inside(atom.owner, inside))
    if atom.id not in t.anchored:
        return Atom(number, "free", atom.size)
    places = atom.places or tuple(range(atom.size))
    return Atom(number, "free", atom.size, atom.space, _inside(atom.owner, inside), places=places)


def _check_free_of(t: Type, atom: Atom, inside: Mapping[int, int]) -> None:
    """Refuse if anything outside of the dimension refers to one of its atoms."""
    called = f"`{atom.space or atom.name}`"
    if any(t.depends(s, atom.id) for c in t.charges for s in c.subject):
        raise Refused(
            f"entries along {called} are multiplied by different numbers, and stand beside others",
            "divide by norms of the same charges before",
        )
    for other in t.atoms.values():
        refers = [other.owner] if other.id not in inside else []
        if any(t.depends(s, atom.id) for s in (*refers, *(s for f in other.frame for s in f.along))):
            raise Refused(
                f"each {called} has its own copy of `{other.space or other.name}`, and stands beside others",
                f"reduce or contract `{other.space or other.name}` first",
            )
    if any(t.depends(s, atom.id) for g in t.guards for s in g.along):
        raise Refused("the value has a law only where a condition holds")


def _outside(owner: Owner, inside: Mapping[int, int]) -> Owner:
    """The first owner that is no atom of the part, nor a place of one.

    A place of an axis outside has the owner of that axis; the place itself stays in the part.
    """
    if isinstance(owner, At):
        return _outside(owner.owner, inside)
    return None if owner in inside else owner


def _inside(owner: Owner, inside: Mapping[int, int]) -> Owner:
    """The same owner, by numbers in the part; what is outside is left open."""
    match owner:
        case At(place=k, owner=above):
            return At(k, _inside(above, inside))
        case int():
            return inside.get(owner)
    return None


# --- taking apart -----------------------------------------------------------------------------------------


def take_part(t: Type, d: int, places: Sequence[int]) -> Type | None:
    """The type of neighbouring parts of a joint axis, all of dimension `d`; None if they are none."""
    (atom,) = t.dims[d]
    ends = borders(atom.parts)
    first, last = places[0], places[-1] + 1
    whole = list(places) == list(range(first, last)) and {first, last} <= set(ends)
    if atom.id in t.anchored or not whole:
        return None
    kept = atom.parts[ends.index(first) : ends.index(last)]
    if len(kept) > 1:
        found: Part = (joint_atom(kept, atom.owner),)
    elif is_constant(kept[0]):
        found = (uniform(len(places)),)
    else:
        numbers = {a.id: fresh() for a in kept[0]}
        found = tuple(
            replace(a, id=numbers[a.id], owner=_opened(a, a.owner, numbers, atom.owner)) for a in kept[0]
        )
    return with_dims(t, [*t.dims[:d], found, *t.dims[d + 1 :]])


def _opened(atom: Atom, owner: Owner, numbers: Mapping[int, int], outer: Owner) -> Owner:
    """The owner of an atom that is taken out of its part; an axis to which nothing belongs has none."""
    if atom.kind == "free" and atom.places is None:
        return None
    match owner:
        case None:
            return outer
        case At(place=k, owner=above):
            return At(k, _opened(atom, above, numbers, outer))
    return numbers[owner]


def holding_part(atom: Atom, places: Sequence[int]) -> tuple[int, int] | None:
    """Where the part begins and ends that holds all of these places."""
    ends = pairwise(borders(atom.parts))
    return next(((a, b) for a, b in ends if all(a <= p < b for p in places)), None)
