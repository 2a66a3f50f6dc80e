"""References to atoms: renaming them, leading them elsewhere, and reducing over atoms.

Takes types, gives types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from qecompile.verify.atoms import At, Atom, Charge, Dims, Guard, Owner, show_charge
from qecompile.verify.canonical import add_up, make
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type

Names = Mapping[int, Owner]
APART = "an alpha that differs along an axis must stay apart there: nothing may mix that axis after it"


def rename_owner(owner: Owner, names: Names) -> Owner:
    """The same reference after atoms got other numbers, or became places."""
    match owner:
        case None:
            return None
        case At(place=k, owner=above):
            return At(k, rename_owner(above, names))
    return names.get(owner, owner)


def rename_charges(charges: Iterable[Charge], names: Names) -> tuple[Charge, ...]:
    """Charges at other subjects."""
    return tuple(replace(c, subject=tuple(rename_owner(s, names) for s in c.subject)) for c in charges)


def rename_guards(guards: Iterable[Guard], names: Names) -> tuple[Guard, ...]:
    """Guards along other atoms."""
    return tuple(replace(g, along=tuple(rename_owner(s, names) for s in g.along)) for g in guards)


def rename_links(links: Iterable[frozenset[int]], names: Names) -> tuple[frozenset[int], ...]:
    """Links between other atoms."""
    renamed = (frozenset(names.get(a, a) for a in link) for link in links)
    return tuple(frozenset(a for a in link if isinstance(a, int)) for link in renamed)


def rename_atom(atom: Atom, names: Names) -> Atom:
    """The same atom with other references; its own number stays."""
    frame = tuple(replace(f, along=tuple(rename_owner(s, names) for s in f.along)) for f in atom.frame)
    return replace(atom, owner=rename_owner(atom.owner, names), frame=frame)


def redirect(t: Type, names: Names) -> Type:
    """The type with references to some atoms led elsewhere; the atoms themselves stay."""
    return replace(
        t,
        dims=tuple(tuple(rename_atom(a, names) for a in dim) for dim in t.dims),
        charges=rename_charges(t.charges, names),
        guards=rename_guards(t.guards, names),
    )


def with_dims(t: Type, dims: Iterable[Iterable[Atom]]) -> Type:
    """The type with the same law and other dimensions, made of the same atoms or of new ones."""
    return make(dims, t.charges, t.links, t.guards, t.zero)


def reduce_dims(t: Type, dims: Iterable[int], keep: bool = False, linear: bool = True) -> Type:
    """The type after a symmetric reduction over whole dimensions (kept with size 1, if `keep`)."""
    over = {d % len(t.dims) for d in dims} if t.dims else set()
    reduced = reduce_atoms(t, {a.id for d in over for a in t.dims[d]}, linear)
    return with_dims(reduced, [dim for d, dim in enumerate(reduced.dims) if keep or d not in over])


def reduce_atoms(t: Type, gone: set[int], linear: bool = True) -> Type:
    """The type after a reduction over some atoms that does not see their order (a sum, if `linear`).

    Nothing that stays may depend on an atom that goes: terms that scale differently, or that belong to
    different copies, cannot be told apart in the result. Where an atom that goes is linked to one that
    stays, only the terms with equal indices are not 0, and what depended on the first depends on the second.
    """
    if linear:
        stay = {a: min(t.linked(a) - gone, default=None) for a in gone}
        t = redirect(t, {a: b for a, b in stay.items() if b is not None})
        staying = [rest for link in t.links if (rest := link - gone)]
        t = replace(t, charges=add_up(t.charges, staying, t.atoms))
    for a in t.atoms.values():
        if a.id in gone:
            _check_reducible(t, a, gone, linear)
    dims: Dims = tuple(tuple(a for a in dim if a.id not in gone) for dim in t.dims)
    return with_dims(t, dims)


def _check_reducible(t: Type, atom: Atom, gone: set[int], linear: bool) -> None:
    called = "the batch" if atom.kind == "batch" else f"`{atom.space or atom.name}`"
    if atom.kind == "vector":
        raise Refused(
            f"the vector axis `{atom.name}` cannot be reduced on its own",
            f"contract it with a dual axis of {atom.space} in the same copy, or take a norm of it",
        )
    if atom.kind == "pair" and not linear:
        raise Refused(f"a {atom.name} may be summed over, and nothing else")
    for c in t.charges:
        if any(t.depends(s, atom.id) for s in c.subject):
            if c.character.word == "raw":
                raise Refused(
                    f"entries along {called} have been multiplied by different numbers of an alpha, "
                    f"`{c.character.name}`",
                    APART,
                )
            raise Refused(
                f"entries along {called} are multiplied by different numbers: {show_charge(c)} is not 0",
                "cancel the charge first: multiply by a tensor of the opposite charge, or divide",
            )
    for other in t.atoms.values():
        if other.id not in gone and any(t.depends(s, atom.id) for f in other.frame for s in f.along):
            raise Refused(
                f"`{other.space}` has been moved by another matrix for each index of {called}",
                APART,
            )
        if other.id not in gone and t.depends(other.owner, atom.id):
            raise Refused(
                f"every index of {called} has its own copy of `{other.space or other.name}`, an axis that is "
                "still there",
                f"reduce or contract `{other.space or other.name}` first",
            )
    if any(t.depends(s, atom.id) for g in t.guards for s in g.along):
        raise Refused(f"the value has a law only where a condition holds, and that varies along {called}")
