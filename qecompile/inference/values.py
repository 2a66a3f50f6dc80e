"""What flows through the graph: a value is the axes of one tensor; and how axes of several meet.

Takes and gives axes of `atoms.py`. Axes are aligned from the right, as torch broadcasts; one of size 1
stands beside any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from qecompile.inference.atoms import Atoms, Dim

Value = tuple[Dim, ...]
"""The axes of one tensor."""


class NotUnderstood(Exception):
    """An operator has no rule, or not for this use of it."""


class Flow:
    """The values of a graph so far.

    Attributes:
        atoms: all atoms.
        values: by node; a tuple of values where an operator gives several.
        selected: atoms along which single positions were taken.
    """

    def __init__(self) -> None:
        self.atoms = Atoms()
        self.values: dict[Node, Any] = {}
        self.selected: list[int] = []

    def of(self, node: object) -> Value:
        """The axes of an argument; none for a number."""
        if not isinstance(node, Node):
            return ()
        found = self.values[node]
        if found and not all(
            isinstance(dim, tuple) and all(isinstance(a, int) for a in dim) for dim in found
        ):
            raise NotUnderstood
        return tuple(found)

    def settled(self, node: object) -> Value:
        """The same; what was stacked and not yet chosen from becomes one."""
        value = self.of(node)
        for dim in value:
            self.atoms.settle(dim)
        return value

    def fresh(self, shape: Sequence[int], why: str | None = None) -> Value:
        """Axes of their own."""
        return tuple(self.atoms.dim(int(n), why) for n in shape)

    def meet(self, values: Iterable[Value]) -> Value:
        """The axes of a value computed entry by entry from others."""
        given = [v for v in values if v]
        rank = max(map(len, given), default=0)
        result = list[Dim]()
        for k in range(-rank, 0):
            present = [v[k] for v in given if len(v) >= -k]
            wide = [d for d in present if self.atoms.size(d) > 1] or present
            for dim in wide[1:]:
                self.atoms.unify(wide[0], dim)
            result.append(wide[0])
        return tuple(result)


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of a node that gives one tensor."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise NotUnderstood
    return tuple(int(n) for n in value.shape)


def shapes_of(node: Node) -> list[tuple[int, ...]]:
    """The shapes of all tensors that a node gives."""
    value = node.meta.get("val")
    given = value if isinstance(value, (tuple, list)) else [value]
    return [tuple(int(n) for n in v.shape) for v in given if isinstance(v, Tensor)]


def tensors_in(node: Node) -> Iterator[Node]:
    """The tensors that a node reads."""
    for given in node.all_input_nodes:
        value = given.meta.get("val")
        if isinstance(value, (Tensor, torch.SymInt, tuple, list)):
            yield given
