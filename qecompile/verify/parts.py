"""Joint axes as such: one atom of kind `index` for several parts, its name, what two of them have in common.

Takes atoms, gives atoms. The atoms of a part are numbered from 0; their owners are other atoms of the part,
or open, which stands for the owner of the joint atom. A part of one atom of kind `equal` says that the value
is constant there, so that it obeys whatever law the entries of that part may have: where another value has
entries of a space, it has too (`refined`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import prod

from qecompile.verify.atoms import At, Atom, Owner, fresh
from qecompile.verify.refused import Refused

Part = tuple[Atom, ...]


def joint_atom(parts: Sequence[Part], owner: Owner) -> Atom:
    """The atom of all parts."""
    size = sum(map(part_size, parts))
    return Atom(fresh(), "index", size, joint_name(parts), owner, parts=tuple(parts))


def joint_name(parts: Sequence[Part]) -> str:
    """Equal for parts on which g acts equally: `3 | h | g h`."""
    return " | ".join(" ".join(map(_told, part)) or "1" for part in parts)


def _told(atom: Atom) -> str:
    match atom.kind:
        case "equal":
            return f"~{atom.size}"
        case "index":
            return f"{atom.space}{_told_owner(atom.owner)}"
    return (
        str(atom.size) if atom.places is None else f"{atom.space}{list(atom.places)}{_told_owner(atom.owner)}"
    )


def _told_owner(owner: Owner) -> str:
    match owner:
        case None:
            return ""
        case At(place=k, owner=above):
            return f"[{k}]{_told_owner(above)}"
    return f"@{owner}"


def part_size(part: Part) -> int:
    """How many entries a part has."""
    return prod(atom.size for atom in part)


def is_constant(part: Part) -> bool:
    """Whether the value is constant along a part."""
    return len(part) == 1 and part[0].kind == "equal"


def constant(size: int) -> Part:
    """A part along which the value is constant."""
    return (Atom(0, "equal", size),)


def borders(parts: Sequence[Part]) -> list[int]:
    """Where each part begins, and where the last one ends."""
    return [0, *accumulate(map(part_size, parts))]


def refined(atoms: Sequence[Atom], owner: Owner) -> Atom:
    """The joint axis of values that are combined entry by entry; where nothing acts, they may vary freely.

    Raises:
        Refused: entries of different spaces are aligned.
    """
    placed: dict[tuple[int, int], Part] = {}
    for atom in atoms:
        for ends, part in zip(pairwise(borders(atom.parts)), atom.parts, strict=True):
            if not is_constant(part) and placed.setdefault(ends, part) != part:
                raise _unlike(atoms)
    for (first, last), part in placed.items():
        if any(first < end < last for a in atoms for end in borders(a.parts) if _acted_on(part)):
            raise Refused(
                "a value that differs within entries of one space meets them",
                "it must be the same for all entries that the group permutes",
            )
    return joint_atom(_between(placed, atoms), owner)


def _acted_on(part: Part) -> bool:
    return any(atom.kind == "index" or atom.places is not None for atom in part)


def _between(placed: dict[tuple[int, int], Part], atoms: Sequence[Atom]) -> list[Part]:
    """The parts, with constant ones in between that end where one of the values does."""
    ends = sorted({end for a in atoms for end in borders(a.parts)})
    gaps = {(a, b): constant(b - a) for a, b in pairwise(ends) if not any(s < b and a < e for s, e in placed)}
    return filled({**placed, **gaps}, atoms[0].size)


def filled(placed: dict[tuple[int, int], Part], size: int) -> list[Part]:
    """Parts by where they begin and end, with constant ones in between.

    Raises:
        Refused: two of them overlap.
    """
    found: list[Part] = []
    end = 0
    for (start, stop), part in sorted(placed.items(), key=lambda item: item[0]):
        if start < end:
            raise Refused("entries that stand side by side are divided at different places")
        found += [constant(start - end)] * (start > end) + [part]
        end = stop
    return [*found, *[constant(size - end)] * (size > end)]


def _unlike(atoms: Iterable[Atom]) -> Refused:
    shown = " and ".join(f"`{a.space}`" for a in atoms)
    return Refused(f"axes of different spaces are aligned: {shown}", "put the parts in the same order")
