"""Where the axes of a type stand, and what a row or column looks like in terms of tensor positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from qecompile.factor import Arm, TypeAxis
from qecompile.plan.nodes import Epsilon, PlanAxis, Side, Spread, TypeKey
from qecompile.signature import Signatures, preorder


@dataclass(frozen=True, slots=True)
class Legs:
    """The arms of a row or column by root, with the positions of their legs in the parameter."""

    param: str
    arms: Mapping[str, tuple[Arm, tuple[int, ...]]]
    offsets: Mapping[str, int]

    def groups(self) -> list[tuple[tuple[int, ...], bool]]:
        """The axes of every multiplicity, coded or not, in the order in which they are laid out."""
        found = [
            (tuple(positions[k] for k in legs), False)
            for arm, positions in self.arms.values()
            for legs in arm.free
        ]
        found += [((positions[k],), True) for arm, positions in self.arms.values() for k in arm.coded]
        return sorted(found)

    def spread_of(self, root: str, free: int) -> int:
        """The place of a root's free block among the multiplicities."""
        arm, positions = self.arms[root]
        return self.groups().index((tuple(positions[k] for k in arm.free[free]), False))


def type_axes(key: TypeKey, signatures: Signatures) -> tuple[list[PlanAxis], dict[str, int]]:
    """The axes of a type in canonical order, and the number of the first axis of each root."""
    axes: list[PlanAxis] = []
    offsets: dict[str, int] = {}
    for root, kind in key:
        offsets[root] = len(axes)
        nodes = {node.number: node for node in preorder(signatures.roots[root])}
        for axis in kind.axes:
            space = signatures.names[root][axis.node]
            parent = axis.parent + offsets[root] if axis.parent >= 0 else -1
            size = nodes[axis.node].size
            axes.append(PlanAxis(space, size, axis.role, parent, _is_neutral(axis), axis.contra))
    return axes, offsets


def _is_neutral(axis: TypeAxis) -> bool:
    return not any(axis.charges) and not any(any(c) for c in axis.fibre)


def draft_side(legs: Legs, axes: Sequence[PlanAxis], signatures: Signatures) -> Side:
    """A row or column by positions, its type axes in canonical order."""
    through: list[tuple[int, ...]] = [()] * len(axes)
    pooled, pairs, epsilons = [], [], []
    for root, (arm, positions) in legs.arms.items():
        offset = legs.offsets.get(root, 0)
        for group, k in arm.through:
            through[offset + k] = tuple(positions[j] for j in group)
        pooled += [tuple(positions[j] for j in group) for group in arm.pooled]
        pairs += [(positions[i], positions[j]) for i, j in arm.pairs]
        epsilons += [
            Epsilon(tuple(positions[j] for j in group), tuple(offset + k for k in type_axes))
            for group, type_axes in arm.epsilons
        ]
    spread = _spreads(legs, signatures)
    return Side(
        legs.param, tuple(through), tuple(sorted(pooled)), spread, tuple(sorted(pairs)), tuple(epsilons)
    )


def _spreads(legs: Legs, signatures: Signatures) -> tuple[Spread, ...]:
    param = signatures.spec.params[legs.param]
    return tuple(
        Spread(
            group,
            signatures.code_of(param.axes[group[0]].space) if coded else param.shape[group[0]],
            coded,
        )
        for group, coded in legs.groups()
    )


def spread_size(legs: Legs, signatures: Signatures) -> int:
    """The multiplicity of a row or column: how many channels it makes of one."""
    return prod(s.size for s in _spreads(legs, signatures))


def layout(count: int, sides: Sequence[Side]) -> tuple[int, ...]:
    """An order of the type's axes that leaves the tensors that are only viewed as they lie in memory."""
    plain = [s for s in sides if s.is_plain]
    if not plain:
        return tuple(range(count))
    widest = max(plain, key=lambda s: (not s.spread, -sides.index(s)))
    return tuple(sorted(range(count), key=lambda k: widest.through[k]))


def reordered(side: Side, order: tuple[int, ...]) -> Side:
    """The same row or column with the type's axes in another order."""
    place = {k: position for position, k in enumerate(order)}
    return replace(
        side,
        through=tuple(side.through[k] for k in order),
        epsilons=tuple(Epsilon(e.axes, tuple(place[k] for k in e.type_axes)) for e in side.epsilons),
    )
