"""What an operator is, and how operators find the expressions that they change."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..shapes import Module
from ..source import Change, atom

Propose = Callable[[Module], Iterator[Change]]


@dataclass(frozen=True)
class Operator:
    """A kind of mistake: its name, what it stands for, and the changes of a module that make it."""

    name: str
    mistake: str
    propose: Propose


OPERATORS: list[Operator] = []


def operator(name: str) -> Callable[[Propose], Propose]:
    """Register a function that proposes changes; its docstring says which mistake they stand for."""

    def register(propose: Propose) -> Propose:
        assert propose.__doc__, name
        OPERATORS.append(Operator(name, " ".join(propose.__doc__.split()), propose))
        return propose

    return register


def values(m: Module) -> Iterator[tuple[str, ast.expr]]:
    """Tensors with axes that are assigned, returned in a dict, collected, or entries of a `cat`."""
    for scope, node in m.nodes(ast.Assign):
        if m.axes(node.value):
            yield scope, node.value
    for scope, node in m.nodes(ast.Dict):
        yield from ((scope, value) for value in node.values if m.axes(value))
    for scope, call in calls(m, "cat"):
        if isinstance(call.args[0], ast.Tuple):
            yield from ((scope, entry) for entry in call.args[0].elts if m.axes(entry))
    for scope, call in calls(m, "append"):
        inner = [node for node in ast.walk(call.args[0]) if isinstance(node, ast.Call) and m.axes(node)]
        yield from ((scope, node) for node in inner)


def calls(m: Module, name: str) -> Iterator[tuple[str, ast.Call]]:
    """Calls of a method or function of a name, as in `x.mean(1)`, `torch.cat(..)`, `_divide(..)`."""
    for scope, node in m.nodes(ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called == name:
            yield scope, node


def receiver(call: ast.Call) -> ast.expr:
    """The `x` of `x.mean(1)`."""
    assert isinstance(call.func, ast.Attribute)
    return call.func.value


def text_of(m: Module, node: ast.AST) -> str:
    """An expression's text, ready to be indexed, called or multiplied."""
    return atom(m.segment(node))


def sums(m: Module) -> Iterator[tuple[str, ast.BinOp]]:
    """The sums of two tensors with a batch."""
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.Add) and m.is_feature(node) and m.shape(node.left) and m.shape(node.right):
            yield scope, node


def along(k: int, rank: int, values: str) -> str:
    """A list of numbers as a tensor that lies along axis k of a tensor."""
    behind = rank - k - 1
    return f"{values}.view(-1{', 1' * behind})"


def ramp(size: int, k: int, rank: int) -> str:
    """1, 2, 3, ... along axis k."""
    return along(k, rank, f"torch.arange(1.0, {size + 1}.0)")


def integer(node: ast.AST) -> int | None:
    """The number that a literal stands for, negative ones included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = integer(node.operand)
        return None if inner is None else -inner
    known = isinstance(node, ast.Constant) and type(node.value) is int
    return node.value if known else None
