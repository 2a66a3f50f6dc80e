"""Nonlinearities: ones that the group forbids, and numbers that are added or cut off."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change
from .base import calls, operator, receiver, text_of, values


def _functions(m: Module) -> Iterator[tuple[str, ast.Call, str]]:
    """Every nonlinearity: the call and its argument."""
    for name in ("relu", "silu", "tanh", "asinh", "sigmoid"):
        for scope, call in calls(m, name):
            if m.is_feature(call):
                inner = call.args[0] if call.args else receiver(call)
                yield scope, call, text_of(m, inner)


@operator("another activation")
def another_activation(m: Module) -> Iterator[Change]:
    """Another function, which the type may forbid: a scale lets no tanh through, a sign no relu."""
    for scope, call, inner in _functions(m):
        for function in ("F.relu", "torch.tanh", "torch.sigmoid", "F.softplus"):
            if not m.segment(call).startswith(function):
                yield m.change(scope, call, f"{function}({inner})")


@operator("drop an activation")
def drop_activation(m: Module) -> Iterator[Change]:
    """A nonlinearity is forgotten."""
    for scope, call, inner in _functions(m):
        yield m.change(scope, call, inner)


@operator("activation before the group's mean")
def early_activation(m: Module) -> Iterator[Change]:
    """A pointwise function of a tensor that has vector axes or charges, next to its gate or instead of it."""
    for scope, node in m.nodes(ast.Dict):
        if scope.split(".")[0] in ("activate", "Activation"):
            for value in node.values:
                yield m.change(scope, value, f"F.relu({m.segment(value)})")
                yield m.change(scope, value, f"torch.tanh({m.segment(value)})")


@operator("add a constant")
def add_constant(m: Module) -> Iterator[Change]:
    """A number is added to entries that change with the group."""
    for scope, node in values(m):
        yield m.change(scope, node, f"{text_of(m, node)} + 0.5")


@operator("clamp")
def clamp(m: Module) -> Iterator[Change]:
    """Entries are cut off at fixed numbers."""
    for scope, node in values(m):
        yield m.change(scope, node, f"{text_of(m, node)}.clamp(-1.0, 1.0)")
        yield m.change(scope, node, f"torch.where({text_of(m, node)} > 0.3, {m.segment(node)}, 0.0)")


@operator("change the degree")
def degree(m: Module) -> Iterator[Change]:
    """A square, an absolute value, a sign or an exponential of a tensor in its place."""
    for scope, node in values(m):
        for method in ("square", "abs", "sign", "exp"):
            yield m.change(scope, node, f"{text_of(m, node)}.{method}()")


@operator("normalise channels")
def normalise(m: Module) -> Iterator[Change]:
    """Every position is divided by the norm of its channels."""
    for scope, node in values(m):
        yield m.change(scope, node, f"F.normalize({m.segment(node)}, dim=-1)")


@operator("centre an axis")
def centre(m: Module) -> Iterator[Change]:
    """The mean over an axis is subtracted, or a softmax taken along it, as a norm layer would."""
    for scope, node in values(m):
        for k in m.axes(node):
            yield m.change(scope, node, f"{text_of(m, node)} - {text_of(m, node)}.mean({k}, keepdim=True)")
            yield m.change(scope, node, f"{text_of(m, node)}.softmax({k})")


@operator("round")
def round_entries(m: Module) -> Iterator[Change]:
    """Entries are rounded to whole numbers, as for a coarse quantisation."""
    for scope, node in values(m):
        yield m.change(scope, node, f"(4 * {text_of(m, node)}).round() / 4")


@operator("random noise")
def noise(m: Module) -> Iterator[Change]:
    """Dropout or noise is left switched on."""
    for scope, node in values(m):
        yield m.change(scope, node, f"F.dropout({m.segment(node)}, 0.5, training=True)")
        yield m.change(scope, node, f"{text_of(m, node)} + torch.randn_like({m.segment(node)})")


@operator("wrong gate")
def wrong_gate(m: Module) -> Iterator[Change]:
    """A gate is computed from a tensor's own entries, in the place of invariants."""
    for scope, node in m.nodes(ast.BinOp):
        if scope == "Activation.forward" and isinstance(node.op, ast.Mult) and m.axes(node.left):
            yield m.change(scope, node, f"{m.segment(node.left)} * {text_of(m, node.left)}.sigmoid()")
            if len(m.axes(node.left)):
                k = m.axes(node.left)[-1]
                part = f"{text_of(m, node.left)}.mean({k}, keepdim=True)"
                yield m.change(scope, node, f"{m.segment(node.left)} * {part}.sigmoid()")
