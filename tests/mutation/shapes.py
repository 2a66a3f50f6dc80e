"""The shape of every expression of an emitted module, found by running it once.

Operators need to know which axes a tensor has. The module runs with every expression wrapped in a call that
notes the shape of its value; batch and channels get numbers that no space has, so both can be told apart.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

import torch
from torch import Tensor

from .loading import execute, parts_of
from .source import Source

BATCH, IN, OUT = 11, 13, 17
SEEN = (ast.Name, ast.Call, ast.BinOp, ast.Subscript, ast.Attribute)


class Module(Source):
    """An emitted module that knows the shapes of its expressions."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._shapes = observe(self)

    def shape(self, node: ast.AST) -> tuple[int, ...] | None:
        """The shape of a value, if it is always the same up to channels; `None` for what is no tensor."""
        return self._shapes.get(node)

    def is_feature(self, node: ast.AST) -> bool:
        """Whether a value is a tensor with a batch axis."""
        shape = self.shape(node)
        return bool(shape) and shape[0] == BATCH

    def axes(self, node: ast.AST, at_least: int = 2) -> list[int]:
        """The axes between batch and channels that have some length: where a group can act."""
        shape = self.shape(node) if self.is_feature(node) else None
        return [k for k in range(1, len(shape or ()) - 1) if shape[k] >= at_least]

    def same(self, a: ast.AST, b: ast.AST) -> bool:
        """Whether two tensors have one shape, channels included."""
        return self.shape(a) is not None and self.shape(a) == self.shape(b)


def observe(source: Source) -> dict[ast.AST, tuple[int, ...]]:
    """The shapes of the expressions inside computing functions; 0 for an axis whose length changes."""
    nodes = [node for f in source.scopes.values() for s in f.body for node in ast.walk(s)]
    twin = copy.deepcopy(source.tree)
    twins = Source.__new__(Source)
    twins.tree = twin
    copies = [node for f in twins.scopes.values() for s in f.body for node in ast.walk(s)]
    number = {id(node): i for i, node in enumerate(copies)}
    for function in twins.scopes.values():
        function.body = [_Wrap(number).visit(statement) for statement in function.body]
    seen: dict[int, tuple[int, ...] | None] = {}

    def see(i: int, value: Any) -> Any:
        if isinstance(value, Tensor):
            shape = tuple(value.shape)
            seen[i] = _merge(seen[i], shape) if i in seen else shape
        return value

    module = execute(compile(ast.fix_missing_locations(twin), "<observed>", "exec"), _see=see)
    for part in parts_of(module, IN, OUT):
        with torch.no_grad():
            part.run(part.inputs(BATCH, seed=0))
    return {nodes[i]: shape for i, shape in seen.items() if shape is not None}


def _merge(a: tuple[int, ...] | None, b: tuple[int, ...]) -> tuple[int, ...] | None:
    if a is None or len(a) != len(b):
        return None
    return tuple(m if m == n else 0 for m, n in zip(a, b, strict=True))


class _Wrap(ast.NodeTransformer):
    """Wraps every expression that is read in `_see(number, expression)`."""

    def __init__(self, number: dict[int, int]) -> None:
        self.number = number

    def visit(self, node: ast.AST) -> ast.AST:
        i = self.number.get(id(node))
        node = self.generic_visit(node)
        read = isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if i is None or not isinstance(node, SEEN) or not read:
            return node
        return ast.Call(ast.Name("_see", ast.Load()), [ast.Constant(i), node], [])
