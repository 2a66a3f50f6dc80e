"""Which intermediate types pair to an invariant: a type and its dual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from qecompile.factor import LocalType, TypeAxis
from qecompile.plan.nodes import Plan, PlanType, TypeKey
from qecompile.signature import Node


class Pairing(NamedTuple):
    """Two types whose axes correspond: axis k of `left` meets axis `match[k]` of `right`."""

    left: PlanType
    right: PlanType
    match: tuple[int, ...]


def pairings(plan: Plan, roots: Mapping[str, Node]) -> tuple[Pairing, ...]:
    """The pairs of non-neutral types that are dual to each other, each once, a self-dual type with itself.

    Contracting them is invariant: charges cancel, M meets M^-T, orthogonal axes meet themselves.
    """
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


def _dual(key: TypeKey, roots: Mapping[str, Node]) -> tuple[TypeKey, list[int]]:
    """The key of the dual type, and where each axis of the type stands in it."""
    dual: list[tuple[str, LocalType]] = []
    places: list[int] = []
    for root, kind in key:
        nodes = {n.number: n for n in _preorder(roots[root])}
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


def _preorder(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in _preorder(child))]


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
