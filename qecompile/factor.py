"""Every diagram as expand . mix . reduce, under one root space.

Takes the diagrams of `invariants.py`, gives triples: how the source is reduced, the *intermediate type*
it is reduced to, how that is expanded to the target. Two diagrams share a reduction when the triples
say so, which is what lets a layer read each tensor once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from qecompile.basis import joint_invariants
from qecompile.invariants import Block, Diagram, Support
from qecompile.signature import Half, Leg, Node

AxisRole = Literal["sum", "each", "code", "strand"]


@dataclass(frozen=True, slots=True, order=True)
class TypeAxis:
    """One axis of an intermediate type: an index value or a vector axis that passes through.

    `node` is the preorder number of its space, `parent` the axis that it belongs to. `charges` are what
    acts on it, `fibre` the dilate charges of the vector spaces nested in it; `contra` marks M^-T.
    """

    node: int
    parent: int
    role: AxisRole
    charges: tuple[int, ...]
    fibre: tuple[tuple[int, ...], ...]
    contra: bool


@dataclass(frozen=True, slots=True, order=True)
class LocalType:
    """The part of an intermediate type that lies under one root; `charges` act on all of it."""

    axes: tuple[TypeAxis, ...] = ()
    charges: tuple[int, ...] = ()

    @property
    def is_trivial(self) -> bool:
        """Whether nothing of this root passes through."""
        return not self.axes and not any(self.charges)


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One side of a diagram: what happens to the axes of the source, or of the target.

    `through`: axes that carry an axis of the type (several: its diagonal). `pooled`: axes summed over,
    or broadcast along. `free`: axes of one free multiplicity. `coded`: pooled against position codes.
    `pairs`: traced, or filled with an identity. `epsilons`: axes and type axes on a Levi-Civita tensor.
    """

    through: tuple[tuple[tuple[int, ...], int], ...] = ()
    pooled: tuple[tuple[int, ...], ...] = ()
    free: tuple[tuple[int, ...], ...] = ()
    coded: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    epsilons: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Mask:
    """A support, said in terms of a triple: each block is a type axis or a free multiplicity of a side."""

    blocks: tuple[tuple[Literal["type", "source", "target"], int], ...]
    patterns: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Triple:
    """A diagram, taken apart."""

    source: Arm
    type: LocalType
    target: Arm
    masks: tuple[Mask, ...]


@lru_cache(maxsize=65536)
def triples(target: Half | None, source: Half | None) -> tuple[Triple, ...]:
    """The basis of Hom between two halves, each diagram taken apart."""
    found = joint_invariants(target, source)
    forest = _Forest(target, source)
    return tuple(_take_apart(d, forest) for d in found)


class _Forest:
    """The legs of both sides by key, each with its node and the key of the leg it belongs to."""

    def __init__(self, target: Half | None, source: Half | None) -> None:
        self.shift = target.size if target else 0
        self.leg: dict[int, Leg] = {}
        self.node: dict[int, Node] = {}
        self.parent: dict[int, int] = {}
        root = target or source
        self.root = root.node if root else None
        for leg in target.legs if target else ():
            self._enter(leg, self.root, -1)
        for leg in source.legs if source else ():
            self._enter(leg.dualised(self.shift), self.root, -1)

    def _enter(self, leg: Leg, node: Node | None, parent: int) -> None:
        assert node is not None
        self.leg[leg.key], self.node[leg.key], self.parent[leg.key] = leg, node, parent
        for child, group in zip(node.children, leg.nested, strict=True):
            for nested in group:
                self._enter(nested, child, leg.key)

    def sides(self, legs: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The target's and the source's legs, each in its own numbering."""
        return (
            tuple(k for k in legs if k < self.shift),
            tuple(k - self.shift for k in legs if k >= self.shift),
        )

    def charges(self, node: Node, legs: tuple[int, ...]) -> tuple[int, ...]:
        """What acts on the target's legs together, sign charges modulo 2."""
        mine = [self.leg[k].charges for k in legs if k < self.shift and self.node[k] == node]
        sums = [sum(column) for column in zip(*mine, strict=True)] or [0] * len(node.words)
        return tuple(c % 2 if w == "sign" else c for w, c in zip(node.words, sums, strict=True))

    def fibre(self, block: tuple[int, ...], node: Node) -> tuple[tuple[int, ...], ...]:
        """The charges of the vector spaces nested in a block."""
        return tuple(
            self.charges(child, tuple(k for k, p in self.parent.items() if p in block))
            for child in node.children
            if child.is_vector
        )


@dataclass(frozen=True, slots=True)
class _Crossing:
    """Something that passes from the source to the target, before it has a place in the type."""

    node: Node
    role: AxisRole
    target: tuple[int, ...]
    source: tuple[int, ...]
    order: int


def _crossings(d: Diagram, forest: _Forest) -> Iterator[_Crossing]:
    for block in d.blocks:
        target, source = forest.sides(block.legs)
        if target and source:
            yield _Crossing(forest.node[block.legs[0]], block.role, target, source, target[0])
    for pair in d.pairs:
        target, source = forest.sides(pair)
        if target and source:
            yield _Crossing(forest.node[pair[0]], "strand", target, source, target[0])
    for legs in d.epsilons:
        target, source = forest.sides(legs)
        node = forest.node[legs[0]]
        if len(source) >= len(target):
            yield from (_Crossing(node, "strand", (k,), (), k) for k in target)
        else:
            yield from (_Crossing(node, "strand", (), (k,), forest.shift + k) for k in source)


def _take_apart(d: Diagram, forest: _Forest) -> Triple:
    """Order the crossings into a type (parents first, then by what acts, then as the target has them)."""
    axes: list[TypeAxis] = []
    placed: list[_Crossing] = []
    at: dict[int, int] = {-1: -1}
    crossings = list(_crossings(d, forest))
    for number in sorted({c.node.number for c in crossings}):
        described = []
        for c in crossings:
            if c.node.number == number:
                described.append((_describe(c, forest, at), c.order, c))
        for axis, _, c in sorted(described, key=lambda item: item[:2]):
            for k in (*c.target, *(k + forest.shift for k in c.source)):
                at[k] = len(axes)
            axes.append(axis)
            placed.append(c)
    root = forest.root
    everything = tuple(forest.leg)
    charges = forest.charges(root, everything) if root is not None and root.is_vector else ()
    source, target = _arms(d, forest, placed, at)
    masks = tuple(_mask(s, d, forest, at, source, target) for s in d.supports)
    return Triple(source, LocalType(tuple(axes), charges), target, masks)


def _describe(c: _Crossing, forest: _Forest, at: dict[int, int]) -> TypeAxis:
    legs = (*c.target, *(k + forest.shift for k in c.source))
    parent = at[forest.parent[legs[0]]]
    if c.role == "strand":
        first = forest.leg[legs[0]]
        contra = c.node.vector == "linear" and (first.contra if c.target else not first.contra)
        return TypeAxis(c.node.number, parent, "strand", (), (), contra)
    return TypeAxis(
        c.node.number, parent, c.role, forest.charges(c.node, legs), forest.fibre(legs, c.node), False
    )


def _arms(d: Diagram, forest: _Forest, placed: list[_Crossing], at: dict[int, int]) -> tuple[Arm, Arm]:
    """The source's and the target's part of a diagram."""
    epsilons: tuple[list[tuple[tuple[int, ...], tuple[int, ...]]], ...] = ([], [])
    for legs in d.epsilons:
        target, source = forest.sides(legs)
        if len(source) >= len(target):
            epsilons[1].append((source, tuple(at[k] for k in target)))
        else:
            epsilons[0].append((target, tuple(at[k + forest.shift] for k in source)))
    arms = []
    for side in (0, 1):
        through = [(c.source if side else c.target, k) for k, c in enumerate(placed)]
        arms.append(
            Arm(
                through=tuple(sorted((legs, k) for legs, k in through if legs)),
                pooled=_one_sided(d.blocks, "sum", forest, side),
                free=tuple(
                    sorted(
                        _one_sided(d.blocks, "each", forest, side)
                        + tuple((k,) for k in forest.sides(d.free)[side])
                    )
                ),
                coded=tuple(legs[0] for legs in _one_sided(d.blocks, "code", forest, side)),
                pairs=tuple(
                    sorted((s[0], s[1]) for s in (forest.sides(p)[side] for p in d.pairs) if len(s) == 2)
                ),
                epsilons=tuple(sorted(epsilons[side])),
            )
        )
    return arms[1], arms[0]


def _one_sided(
    blocks: tuple[Block, ...], role: str, forest: _Forest, side: int
) -> tuple[tuple[int, ...], ...]:
    """The blocks of one role that lie wholly on one side."""
    sides = [forest.sides(b.legs) for b in blocks if b.role == role]
    return tuple(sorted(s[side] for s in sides if not s[1 - side]))


def _mask(
    support: Support, d: Diagram, forest: _Forest, at: dict[int, int], source: Arm, target: Arm
) -> Mask:
    blocks: list[tuple[Literal["type", "source", "target"], int]] = []
    for head in support.blocks:
        block = next(b for b in d.blocks if head in b.legs)
        mine, theirs = forest.sides(block.legs)
        if mine and theirs:
            blocks.append(("type", at[head]))
        elif mine:
            blocks.append(("target", target.free.index(mine)))
        else:
            blocks.append(("source", source.free.index(theirs)))
    return Mask(tuple(blocks), support.patterns)
