"""Axes of different spaces side by side on one dimension, as of all neurons of all layers in one list.

Takes types, gives types. Let dimension d of v_1, ..., v_k be products of index and fixed axes. Put side
by side they make one dimension, and g permutes it: the entries of each part among themselves, by the
permutations of that part's axes. So there is one atom of kind `index` for all of it, of a *joint space* with
a name of its own, which rules treat as they treat every permuted axis: they reduce over it, align it with
itself, let nothing single out an entry. No rule uses that all permutations occur. What stood side by side can
be taken apart again, since the atom remembers its parts.

Conditions: no charge, no other axis and no frame refers to an axis that goes into the joint one, so that g
only permutes there, and all permutations depend on one copy (the batch, for axes of root spaces).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import prod

from qecompile.verify.references import rename_owner, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.types import At, Atom, Owner, Type, fresh
from qecompile.verify.unify import merge

Part = tuple[Atom, ...]  # atoms numbered from 0; an owner that is no number is that of the joint atom


def join_spaces(types: Sequence[Type], d: int) -> Type:
    """The type of values side by side along dimension `d`, each with axes of its own there.

    Raises:
        Refused: a condition above does not hold, or the values obey different laws otherwise.
    """
    parts, outside = zip(*(_part(t, t.dims[d]) for t in types), strict=True)
    rank = len(types[0].dims)
    rests = [with_dims(t, [*t.dims[:d], (), *t.dims[d + 1 :]]) for t in types]
    joined = merge([(rest, range(rank)) for rest in rests], "sum")
    owners = {rename_owner(o, names) for o, names in zip(outside, joined.names, strict=True) if o is not None}
    if len(owners) != 1:
        raise Refused("axes of different copies stand side by side: they belong to different axes")
    size = sum(_size(part) for part in parts)
    atom = Atom(fresh(), "index", size, joint_name(parts), owners.pop(), parts=tuple(parts))
    dims = [joined.axes.get(k, ()) for k in range(rank)]
    return with_dims(joined.type, [*dims[:d], (atom,), *dims[d + 1 :]])


def joint_name(parts: Sequence[Part]) -> str:
    """Equal for parts on which g acts equally: `3 | h | g h`."""
    return " | ".join(" ".join(_told(atom) for atom in part) or "1" for part in parts)


def _told(atom: Atom) -> str:
    if atom.kind != "index":
        return str(atom.size) if atom.places is None else f"{atom.space}{list(atom.places)}"
    return f"{atom.space}{_told_owner(atom.owner)}"


def _told_owner(owner: Owner) -> str:
    match owner:
        case None:
            return ""
        case At(place=k, owner=above):
            return f"[{k}]{_told_owner(above)}"
        case found:
            return f"@{found}"


def _size(part: Part) -> int:
    return prod(atom.size for atom in part)


def _part(t: Type, dim: Sequence[Atom]) -> tuple[Part, Owner]:
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
    owners = {root for atom in dim if atom.kind == "index" for root in [_outside(atom.owner, inside)]}
    if len(owners - {None}) > 1:
        raise Refused("axes of different copies stand side by side: they belong to different axes")
    part = tuple(
        Atom(k, "index", a.size, a.space, _inside(a.owner, inside))
        if a.kind == "index"
        else Atom(k, "free", a.size, a.space, _inside(a.owner, inside), places=_places(t, a))
        for k, a in enumerate(dim)
    )
    return part, next(iter(owners - {None}), None)


def _places(t: Type, atom: Atom) -> tuple[int, ...] | None:
    """The places of a fixed axis that others belong to."""
    return (atom.places or tuple(range(atom.size))) if atom.id in t.anchored else None


def _check_free_of(t: Type, atom: Atom, inside: Mapping[int, int]) -> None:
    """Refuse if anything outside of the dimension refers to one of its atoms."""
    if any(t.depends(s, atom.id) for c in t.charges for s in c.subject):
        raise Refused(
            f"entries along `{atom.space or atom.name}` are multiplied by different numbers, and stand "
            "beside others",
            "divide by norms of the same charges before",
        )
    for other in t.atoms.values():
        refers = [other.owner] if other.id not in inside else []
        if any(t.depends(s, atom.id) for s in (*refers, *(s for f in other.frame for s in f.along))):
            raise Refused(
                f"each `{atom.space or atom.name}` has its own copy of `{other.space or other.name}`, and "
                "stands beside others",
                f"reduce or contract `{other.space or other.name}` first",
            )
    if any(t.depends(s, atom.id) for g in t.guards for s in g.along):
        raise Refused("the value has a law only where a condition holds")


def _outside(owner: Owner, inside: Mapping[int, int]) -> Owner:
    """The first owner that is no atom of the part, nor a place of one."""
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
    """The type of neighbouring parts of a joint axis, which is all of dimension `d`; None if it is none.

    Raises:
        Refused: the places are no whole parts.
    """
    (atom,) = t.dims[d]
    if atom.id in t.anchored:
        return None
    borders = [0, *accumulate(map(_size, atom.parts))]
    first, last = places[0], places[-1] + 1
    if list(places) != list(range(first, last)) or first not in borders or last not in borders:
        return None
    kept = atom.parts[borders.index(first) : borders.index(last)]
    if len(kept) > 1:
        found: Part = (replace(atom, id=fresh(), size=len(places), space=joint_name(kept), parts=kept),)
    else:
        numbers = {k: fresh() for k in range(len(kept[0]))}
        found = tuple(replace(a, id=numbers[a.id], owner=_open(a, numbers, atom.owner)) for a in kept[0])
    return with_dims(t, [*t.dims[:d], found, *t.dims[d + 1 :]])


def holding_part(atom: Atom, places: Sequence[int]) -> tuple[int, int] | None:
    """Where the part begins and ends that holds all of these places."""
    borders = [0, *accumulate(map(_size, atom.parts))]
    return next(((a, b) for a, b in pairwise(borders) if all(a <= p < b for p in places)), None)


def _open(atom: Atom, numbers: Mapping[int, int], outer: Owner) -> Owner:
    """The owner of an atom that is taken out of its part."""
    if atom.kind == "free" and atom.owner is None and atom.places is None:
        return None

    def opened(owner: Owner) -> Owner:
        match owner:
            case None:
                return outer
            case At(place=k, owner=above):
                return At(k, opened(above))
        return numbers[owner]

    return opened(atom.owner)
