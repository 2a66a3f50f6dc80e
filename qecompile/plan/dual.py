"""Which intermediate types pair to an invariant.

A type and its dual contract to one: charges cancel, M meets M^-T, orthogonal axes meet themselves. Where
a type has no dual (B : out <- rank meets A : rank <- in, over different spaces), its *second moment* in a
single `linear` axis may have: x (x) x averaged over all axes but the vector axis and its ancestors
transforms by M (x) M there, and meets the second moment of a type with that axis dualised. For B and A this
is the trace of (B^T B)(A A^T), a sum of squares of the product B A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from qecompile.factor import LocalType, TypeAxis
from qecompile.plan.nodes import Plan, PlanType, TypeKey
from qecompile.signature import Node, preorder


class Pairing(NamedTuple):
    """Two types whose axes correspond: axis k of `left` meets axis `match[k]` of `right`."""

    left: PlanType
    right: PlanType
    match: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A type with one vector axis: the axis, and its ancestors from the outermost."""

    type: PlanType
    strand: int
    parents: tuple[int, ...]


class MomentPairing(NamedTuple):
    """Two types whose second moments in a vector axis are dual."""

    left: Moment
    right: Moment


def pairings(plan: Plan, roots: Mapping[str, Node]) -> tuple[Pairing, ...]:
    """The pairs of non-neutral types that are dual to each other, each once, a self-dual type with itself."""
    by_key = {t.key: t for t in plan.types if t.rows}
    found = []
    for t in plan.types:
        if t.is_neutral or not t.rows:
            continue
        key, places = _dual(t.key, roots)
        other = by_key.get(key)
        if other is not None and t.key <= key:
            canonical = [places[k] for k in t.order]
            found.append(Pairing(t, other, tuple(other.order.index(k) for k in canonical)))
    return tuple(found)


def moment_pairings(plan: Plan, pairs: tuple[Pairing, ...]) -> tuple[MomentPairing, ...]:
    """The pairs of second moments for types that have no dual; each such type meets the first that fits."""
    paired = {t.key for p in pairs for t in (p.left, p.right)}
    moments = [m for t in plan.types if (m := _moment(t)) is not None]
    found: dict[tuple[TypeKey, TypeKey], MomentPairing] = {}
    for mine in moments:
        if mine.type.key in paired:
            continue
        other = next((m for m in moments if _fit(mine, m)), None)
        if other is not None:
            left, right = (mine, other) if mine.type.key <= other.type.key else (other, mine)
            found.setdefault((left.type.key, right.type.key), MomentPairing(left, right))
    return tuple(found.values())


def _moment(t: PlanType) -> Moment | None:
    """The second moment of a type, if it has exactly one vector axis, a `linear` one, and no charges."""
    strands = [k for k, a in enumerate(t.axes) if a.role == "strand"]
    if len(strands) != 1 or not t.rows or any(any(kind.charges) for _, kind in t.key):
        return None
    if not all(a.neutral for a in t.axes):
        return None
    parents: list[int] = []
    k = t.axes[strands[0]].parent
    while k >= 0:
        parents.insert(0, k)
        k = t.axes[k].parent
    return Moment(t, strands[0], tuple(parents))


def _fit(a: Moment, b: Moment) -> bool:
    """Whether the vector axes are dual to each other and belong to axes of the same spaces."""
    mine, theirs = a.type.axes[a.strand], b.type.axes[b.strand]
    spaces = [[m.type.axes[k].space for k in m.parents] for m in (a, b)]
    return mine.space == theirs.space and mine.contra != theirs.contra and spaces[0] == spaces[1]


def _dual(key: TypeKey, roots: Mapping[str, Node]) -> tuple[TypeKey, list[int]]:
    """The key of the dual type, and where each axis of the type stands in it."""
    dual: list[tuple[str, LocalType]] = []
    places: list[int] = []
    for root, kind in key:
        nodes = {n.number: n for n in preorder(roots[root])}
        offset = len(places)
        at: dict[int, int] = {-1: -1}
        axes: list[TypeAxis] = []
        for number in sorted({a.node for a in kind.axes}):
            members = [k for k, a in enumerate(kind.axes) if a.node == number]
            turned = [(_turn(kind.axes[k], nodes[number], at), k) for k in members]
            for axis, k in sorted(turned):
                at[k] = len(axes)
                axes.append(axis)
        charges = _negated(nodes[min(nodes)], kind.charges)
        dual.append((root, LocalType(tuple(axes), charges)))
        places += [offset + at[k] for k in range(len(kind.axes))]
    return tuple(dual), places


def _turn(axis: TypeAxis, node: Node, at: Mapping[int, int]) -> TypeAxis:
    vectors = [child for child in node.children if child.is_vector]
    return replace(
        axis,
        parent=at[axis.parent],
        charges=_negated(node, axis.charges),
        fibre=tuple(_negated(child, c) for child, c in zip(vectors, axis.fibre, strict=True)),
        contra=not axis.contra if node.vector == "linear" else axis.contra,
    )


def _negated(node: Node, charges: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(c % 2 if w == "sign" else -c for w, c in zip(node.words, charges, strict=bool(charges)))
