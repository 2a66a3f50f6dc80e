"""Types of traced values: how a tensor changes when the group acts on the weights it was computed from.

Takes specs and shapes, gives types. Does not know operations.

*What a type says.* Let v be a tensor computed from parameters theta, and let every entry b of the batch be
acted on by a group element g_b of its own. A type T names, for each dimension of v, the *atoms* it is a
row-major product of, and charges; together they fix a representation rho_T, and T holds of v if

    v(g . theta) = rho_T(g) v(theta)    for all g and theta.

By kind of atom, rho_T(g) acts on v
    batch    by reading g: entry b is moved by g_b;
    free     not at all: channels, axes of fixed spaces, dimensions of weights;
    index    by the permutation of an index space, that of the copy named by the atom's owner;
    vector   by the matrix of a vector space (its inverse transpose if `dual`), that of the owner's copy;
and at each entry by the product of character ** power over `charges`, each read at its subject. Four kinds
say more than a law, and serve where a law is asked for:
    equal    v does not change if the index is permuted in all atoms of one group at once; alone in its group
             it is *uniform*: v is constant along it. All-ones tensors, identity matrices, masks;
    epsilon  along the n atoms of the group, v is a multiple of the Levi-Civita tensor;
    turn     along the two atoms of the group, of size 2, v is a I + b J, with J a quarter turn;
    pair     v is the diagonal of a value with two dual vector atoms of the same copy: it may be summed.
`links` say that v is 0 unless linked atoms have the same index (diag_embed); `zero`, that v is 0: then every
law holds. A `Guard` says that v's law holds only where a condition is true or false.

An owner or subject is an atom (by its number) or `At(k, owner)`, the k-th value of an index that is gone: a
place picked from a fixed axis, or the only value of a space of size 1, which the group cannot move. The owner
of a root axis is the batch. Numbers of atoms mean something inside one type only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import count
from math import prod
from typing import Literal

from qecompile.spec import Param, Spec

Kind = Literal["batch", "free", "index", "vector", "pair", "equal", "epsilon", "turn"]


@dataclass(frozen=True, slots=True)
class At:
    """The `place`-th value of an index that is no axis of the value."""

    place: int
    owner: Owner


Owner = int | At | None


@dataclass(frozen=True, slots=True)
class Frame:
    """An invertible raw matrix, by the name of what computes it, one for each index in `along`."""

    name: str
    along: tuple[Owner, ...]


@dataclass(frozen=True, slots=True)
class Atom:
    """One factor of a dimension.

    Attributes:
        id: its number in the type.
        kind: see above.
        size: how many values its index has.
        space: of an index, vector or pair atom.
        owner: of an index, vector or pair atom, and of a free atom that charges or other atoms refer to.
        word: `linear`, `orthogonal` or `rotate`, for vector and pair atoms.
        dual: whether M^-T acts in place of M; false where they are equal.
        frame: the raw matrices that have moved a vector atom, the first one first; none in the strict case.
        group: which atoms are equal or epsilon together.
        places: which places of a fixed axis the entries are; None if all of them, in order.
        parts: of a joint space, the atoms of each part (`joint.py`).
    """

    id: int
    kind: Kind
    size: int
    space: str = ""
    owner: Owner = None
    word: str = ""
    dual: bool = False
    frame: tuple[Frame, ...] = ()
    group: int = 0
    places: tuple[int, ...] | None = None
    parts: tuple[tuple[Atom, ...], ...] = ()

    @property
    def name(self) -> str:
        """How messages call it."""
        match self.kind:
            case "batch":
                return "batch"
            case "free":
                return f"free {self.size}"
            case "index":
                return self.space
            case "vector":
                moved = f" moved by {', '.join(f.name for f in self.frame)}" if self.frame else ""
                return f"{self.space}{'*' if self.dual else ''}{moved}"
            case "pair":
                return f"pair of {self.space}"
            case "equal":
                return f"equal {self.size}"
            case "epsilon":
                return f"epsilon {self.size}"
            case "turn":
                return "turn"


@dataclass(frozen=True, slots=True, order=True)
class Character:
    """A character of a space, or (`raw`) positive numbers that obey no law, named by what computes them."""

    space: str
    name: str
    word: Literal["scale", "sign", "dilate", "raw"]

    @property
    def positive(self) -> bool:
        """Whether it multiplies by positive numbers; a sign does not."""
        return self.word != "sign"


@dataclass(frozen=True, slots=True)
class Charge:
    """`character ** power`, read at the indices named by `subject`."""

    character: Character
    subject: tuple[Owner, ...]
    power: Fraction


@dataclass(frozen=True, slots=True)
class Guard:
    """The law of a value holds where `condition`, read at the atoms in `along`, is `true`."""

    condition: str
    true: bool
    along: tuple[Owner, ...]


Dims = tuple[tuple[Atom, ...], ...]
_numbers = count(1)


def fresh() -> int:
    """A number that no atom and no group has yet."""
    return next(_numbers)


@dataclass(frozen=True)
class Type:
    """The type of one tensor; built by `make`, which brings it into its canonical form."""

    dims: Dims
    charges: tuple[Charge, ...] = ()
    links: tuple[frozenset[int], ...] = ()
    guards: tuple[Guard, ...] = ()
    zero: bool = False

    @cached_property
    def atoms(self) -> Mapping[int, Atom]:
        """The atoms by number, in order."""
        return {atom.id: atom for dim in self.dims for atom in dim}

    @cached_property
    def anchored(self) -> frozenset[int]:
        """The atoms that something refers to."""
        return frozenset(a for a in self.atoms if any(self.dependents(a)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the dimensions."""
        return tuple(prod(atom.size for atom in dim) for dim in self.dims)

    def group(self, atom: Atom) -> tuple[Atom, ...]:
        """The atoms that are equal, or epsilon, together with this one."""
        return tuple(a for a in self.atoms.values() if a.group == atom.group and a.kind == atom.kind)

    def is_uniform(self, atom: Atom) -> bool:
        """Whether the value is constant along the atom."""
        return atom.kind == "equal" and len(self.group(atom)) == 1

    def depends(self, owner: Owner, atom: int) -> bool:
        """Whether a reference leads to this atom, directly or through owners."""
        match owner:
            case None:
                return False
            case At(owner=above):
                return self.depends(above, atom)
            case found:
                above = self.atoms[found].owner if found in self.atoms else None
                return found == atom or self.depends(above, atom)

    def dependents(self, atom: int) -> Iterator[str]:
        """What refers to an atom, in words: charges, atoms that it owns, guards."""
        for charge in self.charges:
            if any(self.depends(s, atom) for s in charge.subject):
                yield show_charge(charge)
        for other in self.atoms.values():
            if other.id != atom and self.depends(other.owner, atom):
                yield f"axis {other.name}"
            if any(self.depends(s, atom) for f in other.frame for s in f.along):
                yield f"the frame of {other.name}"
        for guard in self.guards:
            if any(self.depends(s, atom) for s in guard.along):
                yield "the condition of a `where`"

    def linked(self, atom: int) -> frozenset[int]:
        """The atoms that an atom is linked to, itself included."""
        return next((link for link in self.links if atom in link), frozenset((atom,)))

    @property
    def is_invariant(self) -> bool:
        """Whether nothing acts on the value at all."""
        still = all(a.kind in ("batch", "free") or self.is_uniform(a) for a in self.atoms.values())
        return self.zero or (still and not self.charges and not self.guards)

    def __str__(self) -> str:
        return show(self)


# --- canonical form -------------------------------------------------------------------------------------


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


# --- making types ---------------------------------------------------------------------------------------


def uniform(size: int) -> Atom:
    """A new atom along which a value is constant."""
    return Atom(fresh(), "equal", size, group=fresh())


def free(size: int) -> Atom:
    """A new atom on which nothing acts."""
    return Atom(fresh(), "free", size)


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
        kind: Kind = "vector" if space.vector else "index" if space.permuted else "free"
        dual = axis.dual and space.vector == "linear"
        atoms.append(Atom(numbers[k], kind, space.size, space.name, above(k), space.vector or "", dual))
    axes, extra = [(a,) for a in atoms], [(free(n),) for n in channels]
    return make([(first,), *(axes + extra if channels_last else extra + axes)], charges)


# --- printing -------------------------------------------------------------------------------------------


def show_charge(charge: Charge) -> str:
    """`scale: 1` and the like."""
    return f"{charge.character.name}: {charge.power}"


def show_law(charges: Iterable[Charge]) -> str:
    """The characters and powers of charges, or `charge 0`."""
    return ", ".join(f"{c.character.space} {show_charge(c)}".strip() for c in charges) or "charge 0"


def show(t: Type) -> str:
    """A type in one line: `[batch, a1^{scale: 1}, free 16]`."""
    if t.zero:
        return f"[zero {' x '.join(map(str, t.shape))}]" if t.dims else "[zero]"
    at: dict[int, list[str]] = {}
    rest = []
    for c in t.charges:
        own = [s for s in c.subject if isinstance(s, int) and s in t.atoms]
        if len(c.subject) == len(own) == 1 and t.atoms[own[0]].kind != "batch":
            at.setdefault(own[0], []).append(show_charge(c))
        else:
            where = ", ".join(_show_owner(t, s) for s in c.subject)
            rest.append(f"{show_charge(c)} at {where}")
    seen: dict[int, str] = {}
    for a in t.atoms.values():
        again = sum(other.name == a.name and a.kind != "free" for k, other in t.atoms.items() if k in seen)
        seen[a.id] = _show_atom(t, a, again, at.get(a.id, []))
    dims = [
        "(" + " ".join(seen[a.id] for a in d) + ")" if len(d) > 1 else seen[d[0].id] if d else "1"
        for d in t.dims
    ]
    rest += [f"zero unless {' = '.join(seen[a].split('^')[0] for a in sorted(link))}" for link in t.links]
    rest += ["only where a condition holds"] if t.guards else []
    return f"[{', '.join(dims)}]" + (f" ({'; '.join(rest)})" if rest else "")


def _show_atom(t: Type, atom: Atom, again: int, charges: list[str]) -> str:
    name = atom.name
    if atom.kind == "free" and charges and atom.space:
        name = atom.space
    if atom.kind == "equal" and t.is_uniform(atom):
        name = f"uniform {atom.size}"
    return name + "'" * again + (f"^{{{', '.join(charges)}}}" if charges else "")


def _show_owner(t: Type, owner: Owner) -> str:
    match owner:
        case None:
            return "?"
        case At(place=k, owner=above):
            return f"{_show_owner(t, above)}[{k}]"
        case found:
            return t.atoms[found].name if found in t.atoms else "?"
