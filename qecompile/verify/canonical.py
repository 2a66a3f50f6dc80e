"""Making types: the canonical form of a type, and the types of parameters and weights.

Takes dimensions and facts, or specs and shapes; gives types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import prod

from qecompile.spec import Param, Spec
from qecompile.verify.atoms import (
    At,
    Atom,
    Character,
    Charge,
    Guard,
    Kind,
    Owner,
    free,
    fresh,
    uniform,
)
from qecompile.verify.types import Type


def make(
    dims: Iterable[Iterable[Atom]],
    charges: Iterable[Charge] = (),
    links: Iterable[frozenset[int]] = (),
    guards: Iterable[Guard] = (),
    zero: bool = False,
) -> Type:
    """The type in canonical form.

    Charges at one subject are added up, signs modulo 2, and where atoms are linked they stand at the first
    one. Atoms of size 1 are gone (but for vectors). A free atom to which nothing refers has no owner and no
    places, and neighbours of that kind, or both uniform, are one atom. What is left of a group of epsilon
    atoms is free. A value that is zero is uniform and has no law of its own.
    """
    kept = tuple(tuple(a for a in dim if a.size != 1 or a.kind in ("vector", "pair")) for dim in dims)
    if zero:
        sizes = [prod(a.size for a in dim) for dim in kept]
        return Type(tuple((uniform(n),) if n != 1 else () for n in sizes), zero=True)
    order = [a.id for dim in kept for a in dim]
    linkable = {a.id for dim in kept for a in dim if a.kind not in ("vector", "pair")}
    merged = merge_links(links, linkable)
    t = Type(kept, add_up(charges, merged, order), merged, tuple(dict.fromkeys(guards)))
    t = replace(t, dims=tuple(tuple(_settle(t, a) for a in dim) for dim in kept))
    return replace(t, dims=tuple(_fuse(t, dim) for dim in t.dims))


def merge_links(links: Iterable[frozenset[int]], present: set[int]) -> tuple[frozenset[int], ...]:
    """Links among the atoms that are there, those with a common atom made one."""
    found: list[frozenset[int]] = []
    for link in links:
        link &= present
        touching = [other for other in found if other & link]
        found = [other for other in found if not other & link]
        found.append(link.union(*touching))
    return tuple(sorted((link for link in found if len(link) > 1), key=sorted))


def add_up(
    charges: Iterable[Charge], links: Iterable[frozenset[int]], order: Iterable[int]
) -> tuple[Charge, ...]:
    """Charges with one entry for each subject, at the first of linked atoms, and none of power 0."""
    first = {a: b for link in links for b in [next(b for b in order if b in link)] for a in link}
    total: dict[tuple[Character, tuple[Owner, ...]], Fraction] = {}
    for c in charges:
        subject = tuple(first.get(s, s) if isinstance(s, int) else s for s in c.subject)
        total[c.character, subject] = total.get((c.character, subject), Fraction(0)) + c.power
    found = [Charge(c, s, p if c.positive else p % 2) for (c, s), p in total.items()]
    return tuple(c for c in sorted(found, key=lambda c: (c.character, repr(c.subject))) if c.power)


def _settle(t: Type, atom: Atom) -> Atom:
    if atom.kind in ("epsilon", "turn") and len(t.group(atom)) != atom.size:
        return replace(atom, kind="free", group=0)
    if atom.kind == "free" and atom.id not in t.anchored:
        return replace(atom, owner=None, places=None)
    return atom


def _fuse(t: Type, dim: tuple[Atom, ...]) -> tuple[Atom, ...]:
    """Make one atom of neighbours that are both free, or both uniform, and that nothing refers to."""
    found: list[Atom] = []
    for atom in dim:
        if found and found[-1].kind == atom.kind and all(is_loose(t, a) for a in (found[-1], atom)):
            before = found.pop()
            atom = Atom(fresh(), atom.kind, before.size * atom.size, group=fresh())
        found.append(atom)
    return tuple(found)


def is_loose(t: Type, atom: Atom) -> bool:
    """Whether an atom may be split, or joined with its neighbours."""
    if atom.group and atom.id not in t.atoms:  # made by `_fuse` itself
        return True
    flat = atom.kind == "free" or t.is_uniform(atom)
    return flat and atom.id not in t.anchored and len(t.linked(atom.id)) == 1


# --- parameters and weights -------------------------------------------------------------------------------


def weight_type(shape: Iterable[int]) -> Type:
    """The type of a tensor that does not depend on theta and of which nothing else is known."""
    return make(tuple((free(n),) for n in shape))


def param_type(
    spec: Spec, param: Param, batch: int, channels: tuple[int, ...] = (), channels_last: bool = True
) -> Type:
    """The type of a parameter's tensor: [batch, *axes, *channels] or [batch, *channels, *axes]."""
    first = Atom(fresh(), "batch", batch)
    numbers = [fresh() for _ in param.axes]

    def above(k: int) -> Owner:
        """What an axis belongs to; the parent may stand on its right."""
        parent = param.axes[k].parent
        return first.id if parent is None else place(parent)

    def place(k: int) -> Owner:
        """What stands for the index value of an axis; a space of size 1 has but one."""
        space = spec.space[param.axes[k].space]
        return At(0, above(k)) if space.size == 1 and not space.is_vector else numbers[k]

    atoms: list[Atom] = []
    charges: list[Charge] = []
    for k, axis in enumerate(param.axes):
        space = spec.space[axis.space]
        for character, power in zip(space.characters, axis.charges, strict=True):
            subject = above(k) if space.is_vector else place(k)
            named = Character(space.name, character.name, character.word)
            charges.append(Charge(named, (subject,), Fraction(power)))
        word = "" if space.vector == "rotate" and space.size == 1 else space.vector or ""  # SO(1) is trivial
        kind: Kind = "vector" if word else "index" if space.permuted else "free"
        dual = axis.dual and word == "linear"
        atoms.append(Atom(numbers[k], kind, space.size, space.name, above(k), word, dual))
    axes, extra = [(a,) for a in atoms], [(free(n),) for n in channels]
    return make([(first,), *(axes + extra if channels_last else extra + axes)], charges)
