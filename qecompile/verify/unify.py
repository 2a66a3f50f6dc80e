"""Putting several types over common axes, for operations that combine tensors entry by entry.

Takes types with a label for each dimension, gives one type over all labels. Dimensions with one label are
one axis; `meet.py` says which atoms may share one. In mode `product` the values are multiplied: charges add.
In mode `sum` they are added, chosen from, or put side by side: they must obey one law, and what comes out
obeys it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from qecompile.verify.atoms import Atom, Owner, free, fresh, uniform
from qecompile.verify.canonical import add_up, is_loose, merge_links
from qecompile.verify.meet import Mode, Seat, meet
from qecompile.verify.references import (
    reduce_atoms,
    rename_atom,
    rename_charges,
    rename_guards,
    rename_links,
    with_dims,
)
from qecompile.verify.refused import Refused
from qecompile.verify.summands import common_law
from qecompile.verify.types import Type

Label = str | int
Operand = tuple[Type, Sequence[Label]]
Column = list[tuple[int, Atom]]


def multiply(*types: Type) -> Type:
    """The product of values that broadcast with each other."""
    return _elementwise(types, "product")


def add(*types: Type) -> Type:
    """The sum of values that broadcast with each other and obey one law."""
    return _elementwise(types, "sum")


def product(operands: Sequence[Operand], out: Sequence[Label]) -> Type:
    """The product of values, summed over the labels that are not in `out`: what an einsum computes."""
    joint = merge(operands, "product")
    gone = {a.id for label, atoms in joint.axes.items() if label not in out for a in atoms}
    return Merged(reduce_atoms(joint.type, gone), joint.axes, ()).arranged(out)


def _elementwise(types: Sequence[Type], mode: Mode) -> Type:
    rank = max(len(t.dims) for t in types)
    return merge(broadcast(*types), mode).arranged(range(rank))


def broadcast(*types: Type) -> list[Operand]:
    """Labels for dimensions that are aligned from the back."""
    rank = max(len(t.dims) for t in types)
    return [(t, range(rank - len(t.dims), rank)) for t in types]


@dataclass(frozen=True)
class Merged:
    """Types put together.

    Attributes:
        type: over all labels, not yet in canonical form.
        axes: the atoms at each label.
        names: for each operand, which atom of `type` each of its atoms became.
    """

    type: Type
    axes: Mapping[Label, tuple[Atom, ...]]
    names: tuple[Mapping[int, Owner], ...]

    def arranged(self, labels: Iterable[Label]) -> Type:
        """The type with the dimensions at these labels, in this order."""
        return with_dims(self.type, [self.axes.get(label, ()) for label in labels])


def merge(operands: Sequence[Operand], mode: Mode) -> Merged:
    """One type over all labels."""
    if mode == "sum":
        operands = _with_identities(operands)
    columns = {
        label: _line_up(
            [
                (k, t, t.dims[d])
                for k, (t, given) in enumerate(operands)
                for d, x in enumerate(given)
                if x == label
            ]
        )
        for label in dict.fromkeys(x for _, given in operands for x in given)
    }
    numbers = {label: [fresh() for _ in found] for label, found in columns.items()}
    names: list[dict[int, Owner]] = [{} for _ in operands]
    for label, found in columns.items():
        for number, column in zip(numbers[label], found, strict=True):
            for k, atom in column:
                names[k][atom.id] = number
    seats = [
        Seat(
            k,
            number,
            rename_atom(atom, names[k]),
            atom.id in operands[k][0].anchored,
        )
        for label, found in columns.items()
        for number, column in zip(numbers[label], found, strict=True)
        for k, atom in column
    ]
    links = [rename_links(t.links, names[k]) for k, (t, _) in enumerate(operands)]
    alive = [k for k, (t, _) in enumerate(operands) if mode == "product" or not t.zero]
    atoms = meet(seats, links, alive, mode)
    axes = {label: tuple(atoms[n] for n in found) for label, found in numbers.items()}
    charges = [rename_charges(t.charges, names[k]) for k, (t, _) in enumerate(operands)]
    guards = [g for k, (t, _) in enumerate(operands) for g in rename_guards(t.guards, names[k])]
    order = [a.id for found in axes.values() for a in found]
    if mode == "product":
        linkable = {a.id for found in axes.values() for a in found if a.kind not in ("vector", "pair")}
        standing = {a.id: a for found in axes.values() for a in found}
        common = _at_one_place(merge_links([link for some in links for link in some], linkable), standing)
        law = add_up([c for some in charges for c in some], common, order)
    else:
        law, common = common_law([(charges[k], merge_links(links[k], set(order))) for k in alive], order)
    zero = not alive or (mode == "product" and any(t.zero for t, _ in operands))
    return Merged(Type(tuple(axes.values()), law, common, tuple(guards), zero), axes, tuple(names))


def _with_identities(operands: Sequence[Operand]) -> list[Operand]:
    """Summands without the vector axes of size 1 that others have: for them 1 is the identity matrix."""
    vectors = {
        label: dim[0]
        for t, given in operands
        for label, dim in zip(given, t.dims, strict=True)
        if len(dim) == 1 and dim[0].kind == "vector" and dim[0].size == 1
    }
    return [(t, given) if t.zero else _with_identity(t, given, vectors) for t, given in operands]


def _with_identity(t: Type, given: Sequence[Label], vectors: Mapping[Label, Atom]) -> Operand:
    """One summand with axes of an identity matrix for each pair of dual vector axes that it lacks."""
    has = {label for label, dim in zip(given, t.dims, strict=True) if dim}
    lacks = [label for label in vectors if label not in has]
    placed: dict[Label, Atom] = {}
    links = []
    while lacks:
        one = lacks.pop(0)
        partner = next((o for o in lacks if _are_dual(vectors[one], vectors[o])), None)
        if partner is None:
            continue
        lacks.remove(partner)
        a, group = uniform(1), fresh()
        pair = [replace(a, id=fresh(), group=group) for _ in range(2)]
        placed |= {one: pair[0], partner: pair[1]}
        links.append(frozenset(atom.id for atom in pair))
    if not placed:
        return t, given
    labels = [*given, *(label for label in placed if label not in given)]
    dims = [*t.dims, *(() for _ in labels[len(t.dims) :])]
    filled = tuple((placed[x],) if x in placed else dim for x, dim in zip(labels, dims, strict=True))
    return replace(t, dims=filled, links=(*t.links, *links)), labels


def _are_dual(a: Atom, b: Atom) -> bool:
    same = (a.space, a.owner, a.frame) == (b.space, b.owner, b.frame)
    return same and (a.word != "linear" or a.dual != b.dual)


# --- lining up --------------------------------------------------------------------------------------------


def _line_up(dims: list[tuple[int, Type, tuple[Atom, ...]]]) -> list[Column]:
    """Cut the dimensions at one label into columns, one atom from each; free and uniform atoms may be split.

    Dimensions of size 1 broadcast and take no part.
    """
    rests = [(k, t, list(dim)) for k, t, dim in dims if dim]
    if len({prod(a.size for a in dim) for _, _, dim in rests} - {1}) > 1:
        raise Refused(f"axes do not line up: {' against '.join(_product(dim) for _, _, dim in rests)}")
    columns: list[Column] = []
    while rests:
        size = min(rest[0].size for _, _, rest in rests)
        if any(rest[0].size % size if size else rest[0].size for _, _, rest in rests):  # 0: nothing there
            if [rest for _, t, rest in rests if melt(t, rest)]:
                continue
            raise Refused(f"axes do not line up: {' against '.join(_product(rest) for _, _, rest in rests)}")
        if size == 1 and any(rest[0].size > 1 for _, _, rest in rests):
            raise Refused("a vector axis of size 1 is broadcast")
        columns.append([(k, _cut(t, rest, size)) for k, t, rest in rests])
        rests = [(k, t, rest) for k, t, rest in rests if rest]
    return columns


def _cut(t: Type, rest: list[Atom], size: int) -> Atom:
    """Take an atom of that size from the front of a dimension."""
    first = rest.pop(0)
    if first.size == size:
        return first
    front, back = split_atom(t, first, size)
    rest.insert(0, back)
    return front


def melt(t: Type, rest: list[Atom]) -> bool:
    """Make one free atom of the free and uniform ones in front, to be cut elsewhere; false if none are."""
    k = next((k for k, atom in enumerate(rest) if not is_loose(t, atom)), len(rest))
    if k < 2:
        return False
    rest[:k] = [free(prod(atom.size for atom in rest[:k]))]
    return True


def split_atom(t: Type, atom: Atom, size: int) -> tuple[Atom, Atom]:
    """An atom as the product of two, the first of that size; possible where nothing acts."""
    if not is_loose(t, atom) or atom.size % size:
        raise Refused(
            f"the axis `{atom.name}` would be cut into {size} x {atom.size / size:g}",
            "an axis on which the group acts can be reshaped as a whole only",
        )
    make_atom = uniform if atom.kind == "equal" else free
    return make_atom(size), make_atom(atom.size // size)


def _product(atoms: Iterable[Atom]) -> str:
    return "(" + " ".join(a.name for a in atoms) + ")"


def _at_one_place(
    links: Iterable[frozenset[int]], standing: Mapping[int, Atom]
) -> tuple[frozenset[int], ...]:
    """The links between atoms of one copy whose entries are the same places: equal indices mean equal."""
    parts: dict[tuple[int, object], set[int]] = {}
    for k, link in enumerate(links):
        for a in link:
            atom = standing[a]
            key = (atom.space, atom.owner, atom.places or tuple(range(atom.size))) if atom.space else ()
            parts.setdefault((k, key), set()).add(a)
    return tuple(frozenset(part) for part in parts.values() if len(part) > 1)
