"""Weights: shared ones untied, the wrong ones, and masks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change, Edit
from .base import calls, operator, ramp, receiver, sums, text_of


@operator("untie a weight")
def untie(m: Module) -> Iterator[Change]:
    """Every index value of an axis has a weight of its own: 1, 2, 3, ... times the shared one."""
    for scope, node in _products(m):
        shape = m.shape(node)
        for k in m.axes(node):
            yield m.change(scope, node, f"({m.segment(node)}) * {ramp(shape[k], k, len(shape))}")


@operator("untie by a parameter")
def untie_by_parameter(m: Module) -> Iterator[Change]:
    """A layer learns one more number for every index value of an axis."""
    for scope, node in _products(m):
        shape, owner = m.shape(node), scope.partition(".")[0]
        for k in m.axes(node):
            ones = ", ".join(str(n if i == k else 1) for i, n in enumerate(shape) if i >= k)
            made = _at_end_of_init(m, owner, f"self.untied = nn.Parameter(torch.randn({ones}, **options))")
            if made:
                yield m.change(scope, node, f"({m.segment(node)}) * self.untied", made)


@operator("untie a broadcast")
def untie_broadcast(m: Module) -> Iterator[Change]:
    """What is the same for all index values of an axis, a bias among others, is made to depend on them."""
    for scope, whole, part in _added(m):
        for k in range(1, len(whole) - 1):
            if len(part[1]) == len(whole) and part[1][k] == 1 < whole[k]:
                yield m.change(scope, part[0], f"{text_of(m, part[0])} * {ramp(whole[k], k, len(whole))}")
    for scope, call in calls(m, "add_"):
        diagonal, part = receiver(call), m.shape(call.args[0])
        if isinstance(diagonal, ast.Call) and part and m.shape(diagonal)[-1] > 1:
            text = f"{text_of(m, call.args[0])} * torch.arange(1.0, {m.shape(diagonal)[-1] + 1}.0)"
            yield m.change(scope, call.args[0], text)


@operator("broadcast to one index only")
def broadcast_to_one(m: Module) -> Iterator[Change]:
    """What should reach all index values of an axis reaches the first one: the broadcast is missing."""
    for scope, whole, part in _added(m):
        for k in range(1, len(whole) - 1):
            if len(part[1]) == len(whole) and part[1][k] == 1 < whole[k]:
                first = f"({ramp(whole[k], k, len(whole))} == 1)"
                yield m.change(scope, part[0], f"{text_of(m, part[0])} * {first}")


def _added(m: Module) -> Iterator[tuple[str, tuple[int, ...], tuple[ast.expr, tuple[int, ...]]]]:
    """Everything that is added to a tensor: the shape of the sum, the term and its shape."""
    for scope, node in sums(m):
        yield from ((scope, m.shape(node), (part, m.shape(part))) for part in (node.left, node.right))
    for scope, call in calls(m, "add_"):
        if m.shape(receiver(call)) and m.shape(call.args[0]):
            yield scope, m.shape(receiver(call)), (call.args[0], m.shape(call.args[0]))


@operator("wrong weight")
def wrong_weight(m: Module) -> Iterator[Change]:
    """A layer uses a weight twice, and another of the same shape not at all."""
    found = [(s, n) for s, n in m.nodes(ast.Attribute) if _is_own(n) and m.shape(n) and not m.is_feature(n)]
    for scope, node in found:
        others = {n.attr for s, n in found if s == scope and m.same(n, node) and n.attr != node.attr}
        yield from (m.change(scope, node, f"self.{name}") for name in sorted(others))


@operator("bias out of order")
def reorder_bias(m: Module) -> Iterator[Change]:
    """The biases of different tensors change places."""
    for scope, call in calls(m, "flatten"):
        if m.segment(call) == "self.bias.flatten()":
            yield m.change(scope, call, "self.bias.flatten().flip(0)")
            yield m.change(scope, call, "self.bias.T.flatten()")


@operator("wrong mask")
def wrong_mask(m: Module) -> Iterator[Change]:
    """A type's mask lets another pair of a row and a column through."""
    for node in ast.walk(m.tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").startswith("ALLOWED"):
            for row in [n for n in ast.walk(node.value) if isinstance(getattr(n, "value", None), str)]:
                marks = row.value
                for i in range(len(marks) - 1):
                    swapped = marks[:i] + marks[i + 1] + marks[i] + marks[i + 2 :]
                    if swapped != marks:
                        yield m.change("module", row, f'"{swapped}"')


@operator("double a weight")
def double_weight(m: Module) -> Iterator[Change]:
    """A product with a weight gets a factor, or the weight's square, in the place of the weight."""
    for scope, node in _products(m):
        if not isinstance(node, ast.BinOp):
            continue
        yield m.change(scope, node, f"2 * ({m.segment(node)})")
        yield m.change(scope, node.right, f"{m.segment(node.right)}.square()")


def _products(m: Module) -> Iterator[tuple[str, ast.expr]]:
    """Products of features with a weight: `x @ self.weight`, or an `einsum` with one."""
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.MatMult) and m.is_feature(node):
            yield scope, node
    for scope, call in calls(m, "einsum"):
        if m.is_feature(call) and any(_is_own(a) for a in call.args):
            yield scope, call


def _is_own(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _at_end_of_init(m: Module, owner: str, line: str) -> Edit | None:
    init = m.functions.get(f"{owner}.__init__")
    last = init.body[-1] if init else None
    if last is None or "options = " not in m.segment(init):
        return None
    return Edit(m.span(last)[0], m.span(last)[0], f"{line}\n        ")
