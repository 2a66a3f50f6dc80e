"""Atoms, the factors of dimensions, and what refers to them: charges, frames, guards.

Takes nothing, gives the vocabulary of types; `types.py` says what the words mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Literal

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


def uniform(size: int) -> Atom:
    """A new atom along which a value is constant."""
    return Atom(fresh(), "equal", size, group=fresh())


def free(size: int) -> Atom:
    """A new atom on which nothing acts."""
    return Atom(fresh(), "free", size)


def show_charge(charge: Charge) -> str:
    """`scale: 1` and the like."""
    return f"{charge.character.name}: {charge.power}"


def show_law(charges: Iterable[Charge]) -> str:
    """The characters and powers of charges, or `charge 0`."""
    return ", ".join(f"{c.character.space} {show_charge(c)}".strip() for c in charges) or "charge 0"
