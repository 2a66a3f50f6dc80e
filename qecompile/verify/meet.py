"""Which atoms may stand on one axis when values are combined, and what atom stands there then.

Takes the atoms of several operands, seated in columns (the axes of the result); gives one atom for each
column. Charges are none of its business.

*Why it is sound.* A value that is constant along an axis obeys the law of every index axis. A tensor that
does not change if the index is permuted in several axes at once obeys the law of as many axes of one copy of
a permuted space. A multiple of the identity is unchanged by M (x) M^-T, a multiple of the Levi-Civita tensor
by Q (x) ... (x) Q with det Q = 1, a multiple of a rotation of the plane by Q (x) Q. A weight that varies
along an axis obeys the law of a fixed axis, and never that of a permuted one. The product of a vector and a
dual vector, entry by entry, is the diagonal of their tensor product: a `pair`. A value that is constant along
a pair is the diagonal of a multiple of the identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from qecompile.verify.atoms import Atom, Kind, Owner, fresh
from qecompile.verify.parts import is_constant, refined
from qecompile.verify.refused import Refused

Mode = Literal["product", "sum"]
PINNED = (
    "a weight or constant must not vary along a permuted axis: use one value for all of it, or pool first"
)


@dataclass(frozen=True, slots=True)
class Seat:
    """An atom of an operand in a column; its owner is a column. `anchored`: something refers to it."""

    operand: int
    column: int
    atom: Atom
    anchored: bool = False


Shared = Literal["equal", "identity", "epsilon", "turn"]
IN_PLANE = ("identity", "epsilon", "turn")  # over two axes of size 2: of the form a I + b J


@dataclass(frozen=True, slots=True)
class Cluster:
    """The columns over which an operand is equal, a multiple of the identity or of epsilon, or a turn."""

    operand: int
    columns: tuple[int, ...]
    kind: Shared


def meet(
    seats: Sequence[Seat], links: Sequence[tuple[frozenset[int], ...]], alive: Sequence[int], mode: Mode
) -> Mapping[int, Atom]:
    """The atom of each column.

    Args:
        seats: the atoms.
        links: the columns that are linked, by operand.
        alive: the operands that are not zero (in a product, all); the others only give sizes.
        mode: whether the operands are multiplied or added.

    Raises:
        Refused: two atoms in a column do not agree.
    """
    size = {s.column: s.atom.size for s in seats}
    living = [s for s in seats if s.operand in alive]
    sure, open_clusters = _settle(living, _clusters(living, links), mode)
    joined = _join(open_clusters, size, alive, mode)
    found: dict[int, Atom] = {}
    for column, n in size.items():
        here = [s for s in sure if s.column == column]
        if here:
            found[column] = replace(_agree(_led_together(here, links), alive, mode), id=column)
        else:
            kind, group = joined.get(column, ("equal", fresh()))
            found[column] = Atom(column, kind, n, group=group)
    return found


# --- clusters ---------------------------------------------------------------------------------------------


def _clusters(seats: Sequence[Seat], links: Sequence[tuple[frozenset[int], ...]]) -> list[Cluster]:
    """The groups that keep an axis each; on fewer columns they are constant, or 0, along all of them."""
    groups: dict[tuple[int, int], list[Seat]] = {}
    for s in seats:
        if s.atom.kind in ("equal", "epsilon", "turn"):
            groups.setdefault((s.operand, s.atom.group), []).append(s)
    found = []
    for (k, _), members in groups.items():
        columns, kind = tuple(dict.fromkeys(s.column for s in members)), members[0].atom.kind
        whole = len(columns) == len(members) > 1
        if kind == "equal" and len(columns) > 1:
            is_identity = whole and len(columns) == 2 and any(set(columns) <= link for link in links[k])
            found.append(Cluster(k, columns, "identity" if is_identity else "equal"))
        elif whole:
            found.append(Cluster(k, columns, "epsilon" if kind == "epsilon" else "turn"))
    return found


def _settle(seats: Sequence[Seat], clusters: list[Cluster], mode: Mode) -> tuple[list[Seat], list[Cluster]]:
    """Give clusters the kinds that their columns ask for; what is left stays a cluster."""
    sure = [s for s in seats if s.atom.kind not in ("equal", "epsilon", "turn")]
    left = list(clusters)
    while True:
        asked = ((c, s) for c in left for s in sure if s.column in c.columns)
        cluster, seat = next(asked, (None, None))
        if cluster is None or seat is None:
            return sure, left
        sure += _as_asked(cluster, seat, mode)
        left.remove(cluster)


def _as_asked(cluster: Cluster, asked: Seat, mode: Mode) -> list[Seat]:
    """The atoms of a cluster where one of its columns holds the atom `asked`."""
    atom = asked.atom
    match atom.kind, cluster.kind:
        case "index", "equal" | "identity" if not any(map(is_constant, atom.parts)):
            return [Seat(cluster.operand, c, atom) for c in cluster.columns]
        case "vector", "identity":
            dual = atom.word == "linear" and not atom.dual
            here, there = (dual, atom.dual) if mode == "product" else (atom.dual, dual)
            duals = {c: here if c == asked.column else there for c in cluster.columns}
            return [Seat(cluster.operand, c, replace(atom, dual=d)) for c, d in duals.items()]
        case "vector", "epsilon" | "turn" if atom.word == "rotate":
            return [Seat(cluster.operand, c, atom) for c in cluster.columns]
    return [Seat(cluster.operand, c, Atom(c, "free", atom.size)) for c in cluster.columns]


def _join(
    clusters: list[Cluster], sizes: Mapping[int, int], alive: Sequence[int], mode: Mode
) -> dict[int, tuple[Kind, int]]:
    """What columns are that only clusters hold, with the number of the group that they form."""
    groups: list[list[Cluster]] = []
    for cluster in clusters:
        touching = [g for g in groups if any(set(c.columns) & set(cluster.columns) for c in g)]
        groups = [g for g in groups if g not in touching] + [[cluster, *(c for g in touching for c in g)]]
    found: dict[int, tuple[Kind, int]] = {}
    for group in groups:
        columns = {c for cluster in group for c in cluster.columns}
        kind, number = _joint_kind(group, columns, sizes, alive, mode), fresh()
        found |= {column: (kind, number) for column in columns}
    return found


def _joint_kind(
    group: list[Cluster], columns: set[int], sizes: Mapping[int, int], alive: Sequence[int], mode: Mode
) -> Kind:
    kinds = {c.kind for c in group}
    if kinds <= {"equal", "identity"}:
        return "equal"
    if mode == "product":
        return ("turn" if kinds == {"turn"} else "epsilon") if len(group) == 1 else "free"
    if any(set(c.columns) != columns for c in group) or {c.operand for c in group} != set(alive):
        return "free"
    if kinds == {"epsilon"}:
        return "epsilon"
    in_plane = kinds <= set(IN_PLANE) and len(columns) == 2 and all(sizes[c] == 2 for c in columns)
    return "turn" if in_plane else "free"


def _led_together(seats: list[Seat], links: Sequence[tuple[frozenset[int], ...]]) -> list[Seat]:
    """The atoms of a column with one owner, where links allow it.

    A value that is 0 unless i = j takes the matrix of copy i as well as that of copy j: with the diagonal of
    X[i, p, j, q] written anew, q belongs to i or to j.
    """

    def known_as(s: Seat) -> set[Owner]:
        return {s.atom.owner}.union(*(link for link in links[s.operand] if s.atom.owner in link))

    common = set.intersection(*map(known_as, seats))
    if len({s.atom.owner for s in seats}) == 1 or not common:
        return seats
    owner = min(o for o in common if isinstance(o, int))
    return [replace(s, atom=replace(s.atom, owner=owner)) for s in seats]


# --- one column -------------------------------------------------------------------------------------------


def _agree(seats: Sequence[Seat], alive: Sequence[int], mode: Mode) -> Atom:
    """The atom that stands for all atoms in a column."""
    kinds = {s.atom.kind for s in seats}
    atoms = [s.atom for s in seats]
    if kinds == {"batch"}:
        return atoms[0]
    if kinds == {"free"}:
        return _agree_free(seats)
    if kinds == {"index"}:
        return _agree_index(atoms)
    if kinds == {"vector"}:
        return _agree_vectors(seats, alive, mode)
    if kinds == {"pair"} and (mode == "sum" or len(seats) == 1):
        _same_copy(atoms)
        return atoms[0]
    named = sorted({a.name for a in atoms if a.kind != "free"})
    if "free" in kinds:
        kept = "a permuted axis" if "index" in kinds else "the batch" if "batch" in kinds else "a vector axis"
        raise Refused(
            f"a value that varies freely along an axis meets `{named[0]}` there",
            PINNED if "index" in kinds else f"a weight or constant must not vary along {kept}",
        )
    raise Refused(f"axes that differ are aligned: {' and '.join(f'`{n}`' for n in named)}")


def _agree_free(seats: Sequence[Seat]) -> Atom:
    held = [s.atom for s in seats if s.anchored]
    if not held:
        return seats[0].atom
    if len({(a.owner, a.places or tuple(range(a.size))) for a in held}) > 1:
        raise Refused("different places, or different copies, of fixed axes are aligned")
    return held[0]


def _agree_index(atoms: Sequence[Atom]) -> Atom:
    spaces = sorted({a.space for a in atoms})
    owners = {a.owner for a in atoms if not all(map(is_constant, a.parts)) or not a.parts}
    if len(spaces) > 1 and all(a.parts for a in atoms) and len({a.size for a in atoms}) == 1 >= len(owners):
        return refined(atoms, next(iter(owners), None))
    if len(spaces) > 1:
        raise Refused(
            f"axes of different spaces are aligned: {' and '.join(f'`{s}`' for s in spaces)}",
            "equal sizes are not enough: the group permutes them independently",
        )
    _same_copy(atoms)
    return atoms[0]


def _same_copy(atoms: Iterable[Atom]) -> None:
    if len({(a.space, a.owner, a.frame) for a in atoms}) > 1:
        name = next(iter(atoms)).space
        raise Refused(
            f"axes of different copies of `{name}` are aligned: they belong to different axes, or frames"
        )


def _agree_vectors(seats: Sequence[Seat], alive: Sequence[int], mode: Mode) -> Atom:
    atoms = [s.atom for s in seats]
    spaces = sorted({a.space for a in atoms})
    if len(spaces) > 1:
        raise Refused(
            f"vector axes of different spaces are aligned: {' and '.join(f'`{s}`' for s in spaces)}"
        )
    _same_copy(atoms)
    first = atoms[0]
    if mode == "sum":
        if {s.operand for s in seats} != set(alive):
            raise Refused(
                f"something is added along the vector axis `{first.name}` that is no vector",
                "only zero, and vectors of the same copy, can be added to a vector",
            )
        if len({a.dual for a in atoms}) > 1:
            raise Refused(f"a vector of `{first.space}` is added to a dual one")
        return first
    if len(atoms) == 1:
        return first
    if len(atoms) == 2 and (first.word != "linear" or atoms[0].dual != atoms[1].dual):
        return replace(first, kind="pair", dual=False, frame=())
    raise Refused(
        f"{len(atoms)} axes `{first.name}` are multiplied entry by entry",
        "only a vector and a dual one can be contracted",
    )
