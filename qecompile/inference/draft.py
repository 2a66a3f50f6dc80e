"""A spec in the making: spaces, and the parts of stored tensors over them.

Takes the axes that `flow.py` found, gives a `Draft`. A free atom becomes a `permute` space; one that only
occurs together with the atom that it was split off from is nested in it, so that every copy has its own.
Fixed atoms that stand side by side become one `fixed` space, and those of one kind and size are one. A
stored axis that is a sum of equal parts makes one parameter of each part; other sums cannot be written,
and fix their axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from qecompile.inference.atoms import Atoms, Dim
from qecompile.inference.flow import Found

KINDS = {
    "it is an input": "x",
    "it is an output": "y",
    "the offsets of a convolution": "k",
    "a table is looked up in": "token",
    "it is a place in an image": "place",
}


@dataclass
class Place:
    """A space of the draft.

    Attributes:
        key: its atom, or kind and size of a fixed one.
        size: how many index values.
        parent: the space around it.
        permuted: whether it is permuted.
        vector: `linear` or `orthogonal`, if a matrix acts.
        characters: words, as in `scale`.
        notes: what to say of it.
        name: base name, and index in a family.
    """

    key: tuple[str, int]
    size: int
    parent: Place | None = None
    permuted: bool = False
    vector: str | None = None
    characters: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    base: str = ""
    index: int | None = None

    @property
    def name(self) -> str:
        """As it stands in the spec."""
        return self.base if self.index is None else f"{self.base}[{self.index}]"

    @property
    def words(self) -> list[str]:
        """The words of its group; characters of one word are numbered."""
        many = {w for w in self.characters if self.characters.count(w) > 1}
        named = [f"{w}({n})" if w in many else w for w, n in zip(self.characters, self.labels, strict=True)]
        first = ["permute"] if self.permuted else [self.vector] if self.vector else []
        return [*first, *named] or ["fixed"]

    @property
    def labels(self) -> list[str]:
        """What its characters are called where charges are given."""
        many = {w for w in self.characters if self.characters.count(w) > 1}
        letters = {"scale": "s", "sign": "e"}
        return [
            f"{letters[w]}{self.characters[: k + 1].count(w)}" if w in many else w
            for k, w in enumerate(self.characters)
        ]


@dataclass
class Leg:
    """One axis of a parameter: its space, the stored axis that it is in, charges, and whether it is dual."""

    place: Place
    stored: int
    charges: tuple[int, ...] = ()
    dual: bool = False


@dataclass
class Piece:
    """A parameter: the stored tensor, which part of which stored axis, its axes."""

    key: str
    shape: tuple[int, ...]
    legs: list[Leg]
    packed: tuple[int, int, int] | None = None  # the stored axis, which part, of how many
    base: str = ""
    index: int | None = None
    slot: int = 0

    @property
    def name(self) -> str:
        """As it stands in the spec."""
        return self.base if self.index is None else f"{self.base}[{self.index}]"


@dataclass
class Draft:
    """All of it."""

    spaces: list[Place]
    pieces: list[Piece]
    unknown: tuple[tuple[str, str], ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def pieces_in_order(self) -> list[Piece]:
        """The parameters, families together."""
        first = {p.base: k for k, p in reversed([*enumerate(self.pieces)])}
        return sorted(self.pieces, key=lambda p: (first[p.base], p.index or 0))

    def legs(self, place: Place) -> Iterator[tuple[Piece, int]]:
        """Where a space stands: parameters, and numbers of axes."""
        for piece in self.pieces:
            yield from ((piece, k) for k, leg in enumerate(piece.legs) if leg.place is place)


def make_draft(found: Found, tensors: Mapping[str, Tensor]) -> Draft:
    """The draft of the permutations of a network."""
    atoms = found.atoms
    axes = {name: found.axes[name] for name in tensors if name in found.axes}
    while any(_fix_unequal(atoms, dim) for value in axes.values() for dim in value):
        pass
    while any([_fix_several(atoms, value) for value in axes.values()]):
        pass
    places: dict[tuple[str, int], Place] = {}
    pieces = list[Piece]()
    for name, value in axes.items():
        shape = tuple(tensors[name].shape)
        where = next((k for k, d in enumerate(value) if _parts(atoms, d)), None)
        count = 1 if where is None else len(_parts(atoms, value[where]))
        for k in range(count):
            dims = [_parts(atoms, d)[k] if i == where else d for i, d in enumerate(value)]
            legs = [leg for i, d in enumerate(dims) for leg in _legs(atoms, d, i, places)]
            pieces.append(Piece(name, shape, legs, None if where is None else (where, k, count)))
    for place in places.values():  # of one index value, at one place: nothing can be said of it
        at = [(p, leg) for p in pieces for leg in p.legs if leg.place is place]
        if place.size == 1 and len(at) == 1 and len(at[0][0].legs) > 1:
            at[0][0].legs.remove(at[0][1])
    _nest(atoms, places, pieces)
    used = [p for p in places.values() if any(leg.place is p for piece in pieces for leg in piece.legs)]
    return Draft(used, pieces, found.unknown)


def _parts(atoms: Atoms, dim: Dim) -> tuple[Dim, ...]:
    """The equal parts of an axis; none if it is no sum, or all of it is fixed."""
    leaves = atoms.leaves(dim)
    if len(leaves) != 1:
        return ()
    parts = atoms.all[leaves[0]].parts or ()
    if all(atoms.is_fixed(a) for part in parts for a in atoms.leaves(part)):
        return ()
    return parts


def _fix_unequal(atoms: Atoms, dim: Dim) -> bool:
    """Fix a sum that cannot be written; say whether something changed."""
    changed, leaves = False, atoms.leaves(dim)
    for leaf in leaves:
        parts = atoms.all[leaf].parts
        if parts is None or not _free(atoms, (leaf,)):
            continue
        inner = any(atoms.all[a].parts is not None for part in parts for a in atoms.leaves(part))
        if len(leaves) > 1 or inner or len({atoms.size(p) for p in parts}) > 1:
            atoms.fix((leaf,), "parts of unequal size, one behind the other, have no form in a spec")
            changed = True
    return changed


def _fix_several(atoms: Atoms, value: tuple[Dim, ...]) -> bool:
    """Two axes of one tensor that are both in parts: the later ones are fixed."""
    several = [d for d in value if _parts(atoms, d)]
    for dim in several[1:]:
        atoms.fix(dim, "two axes of one tensor are in parts")
    return len(several) > 1


def _free(atoms: Atoms, dim: Dim) -> bool:
    """Whether some atom, or one inside of a sum, is not fixed."""
    for leaf in atoms.leaves(dim):
        parts = atoms.all[leaf].parts
        if any(_free(atoms, part) for part in parts) if parts is not None else not atoms.is_fixed(leaf):
            return True
    return False


def _legs(atoms: Atoms, dim: Dim, stored: int, places: dict[tuple[str, int], Place]) -> Iterator[Leg]:
    """The axes of the spec that one stored axis is."""
    pending: list[int] = []
    for leaf in atoms.leaves(dim):
        if atoms.is_fixed(leaf) or atoms.all[leaf].parts is not None:
            pending.append(leaf)
            continue
        yield from _fixed_leg(atoms, pending, stored, places)
        pending = []
        if atoms.all[leaf].size > 1 or atoms.all[leaf].before is None:
            key = ("", leaf)
            place = places.setdefault(key, Place(key, atoms.all[leaf].size, permuted=True))
            yield Leg(place, stored)
    yield from _fixed_leg(atoms, pending, stored, places)


def _fixed_leg(
    atoms: Atoms, pending: list[int], stored: int, places: dict[tuple[str, int], Place]
) -> Iterator[Leg]:
    size = atoms.size(tuple(pending))
    if size > 1:
        why = atoms.all[pending[0]].why or ""
        key = (KINDS.get(why, "n"), size)
        place = places.setdefault(key, Place(key, size))
        if key[0] == "n" and why:
            place.notes = list(dict.fromkeys([*place.notes, why]))
        yield Leg(place, stored)


def _nest(atoms: Atoms, places: Mapping[tuple[str, int], Place], pieces: list[Piece]) -> None:
    for (kind, atom), place in places.items():
        before = None if kind else atoms.all[atom].before
        parent = None if before is None else places.get(("", atoms.root(before)))
        if parent is None or parent is place or not parent.permuted:
            continue
        around = parent.parent
        while around not in (None, place):
            around = around.parent if around else None
        holders = [p for p in pieces if any(leg.place is place for leg in p.legs)]
        counts = [[leg.place is parent for leg in p.legs].count(True) for p in holders]
        if around is None and all(counts):
            place.parent = parent
