"""What a parameter looks like to one factor of the group: trees of axes, without names.

Takes a `Spec`, gives for every parameter its *legs* under every root space it touches. The group is a
product over root spaces, so Hom_G(V_p, V_q) is the tensor product over roots of invariants of q's legs
and p's dualised legs, and equal trees need only be solved once (thousands of parameters, few trees).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from qecompile.spec import Param, Space, Spec


@dataclass(frozen=True, slots=True)
class Node:
    """A space and the spaces nested in it, without names; `number` is its place in preorder.

    `code` is None for the group as declared. An emitted network may treat a fixed space as *coded*:
    its index passes through unchanged or is pooled against `code` position codes (see `plan/codes.py`).
    """

    number: int
    size: int
    permuted: bool
    vector: str | None
    words: tuple[str, ...]
    children: tuple[Node, ...]
    code: int | None = None

    @property
    def is_free(self) -> bool:
        """Whether nothing acts, here or below, so that axes are a free multiplicity."""
        if self.code is not None or self.vector is not None or self.permuted or self.words:
            return False
        return all(child.is_free for child in self.children)

    @property
    def is_vector(self) -> bool:
        """Whether a vector word acts on the space."""
        return self.vector is not None or "dilate" in self.words


def preorder(node: Node) -> tuple[Node, ...]:
    """A node and everything below it, parents first."""
    return (node, *(below for child in node.children for below in preorder(child)))


@dataclass(frozen=True, slots=True)
class Leg:
    """One axis of a combined tensor, with the axes that belong to it, by child space of its node.

    `key` numbers the axes of the combined tensor: those of the target first, then those of the source.
    `charges` are those in the combined tensor, so a source leg has the negatives of its axis.
    """

    key: int
    is_source: bool
    charges: tuple[int, ...]
    contra: bool
    nested: tuple[tuple[Leg, ...], ...] = ()

    def dualised(self, shift: int) -> Leg:
        """The same leg on the source side, its keys shifted past those of the target."""
        return Leg(
            self.key + shift,
            True,
            tuple(-c for c in self.charges),
            not self.contra,
            tuple(tuple(leg.dualised(shift) for leg in group) for group in self.nested),
        )


@dataclass(frozen=True, slots=True)
class Half:
    """The legs of one parameter under one root; keys count from 0 in the order of its axes."""

    node: Node
    legs: tuple[Leg, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A `Half` and the positions of its legs among the axes of the parameter."""

    half: Half
    positions: tuple[int, ...]


class Signatures:
    """The halves of every parameter of a spec, by root space.

    `codes` maps the name of a fixed space to the number of its position codes; leave it out for the
    group as declared. `drop` names characters (space, index) to ignore, for gauge-fixed features.
    """

    def __init__(
        self,
        spec: Spec,
        codes: Mapping[str, int] | None = None,
        drop: frozenset[tuple[str, int]] = frozenset(),
    ) -> None:
        self.spec = spec
        self._codes = dict(codes or {})
        self._drop = drop
        self.roots: dict[str, Node] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        self.root_of: dict[str, str] = {}
        for root in spec.children[None]:
            names: list[str] = []
            self.roots[root.name] = self._node(root, names)
            self.names[root.name] = tuple(names)
            self.root_of |= dict.fromkeys(names, root.name)
        self._order = {root: k for k, root in enumerate(self.roots)}
        self.halves: dict[str, dict[str, Placed]] = {p.name: self._split(p) for p in spec.parameters}

    def kept_characters(self, space: Space) -> tuple[int, ...]:
        """The positions of the characters of a space that are not dropped."""
        return tuple(k for k in range(len(space.characters)) if (space.name, k) not in self._drop)

    def code_of(self, space: str) -> int:
        """The number of position codes of a coded space."""
        return self._codes[space]

    def _node(self, space: Space, names: list[str]) -> Node:
        number = len(names)
        names.append(space.name)
        children = tuple(self._node(child, names) for child in self.spec.children[space.name])
        words = tuple(space.characters[k].word for k in self.kept_characters(space))
        node = Node(number, space.size, space.permuted, space.vector, words, children)
        return replace(node, code=self._codes[space.name]) if space.name in self._codes else node

    def _split(self, param: Param) -> dict[str, Placed]:
        touched: dict[str, list[int]] = {}
        for k, axis in enumerate(param.axes):
            touched.setdefault(self.root_of[axis.space], []).append(k)
        split: dict[str, Placed] = {}
        for root in sorted(touched, key=self._order.__getitem__):
            positions = tuple(touched[root])
            key = {position: k for k, position in enumerate(positions)}
            tops = tuple(k for k in positions if param.axes[k].parent is None)
            legs = tuple(self._leg(param, k, key) for k in tops)
            split[root] = Placed(Half(self.roots[root], legs, len(positions)), positions)
        return split

    def _leg(self, param: Param, position: int, key: Mapping[int, int]) -> Leg:
        axis = param.axes[position]
        space = self.spec.space[axis.space]
        nested = tuple(
            tuple(
                self._leg(param, k, key)
                for k, a in enumerate(param.axes)
                if a.parent == position and a.space == child.name
            )
            for child in self.spec.children[space.name]
        )
        charges = tuple(axis.charges[k] for k in self.kept_characters(space))
        return Leg(key[position], False, charges, axis.dual, nested)
