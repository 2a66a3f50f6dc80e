"""Other functions of torch that do the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..operators.base import calls, integer, receiver, text_of
from ..shapes import Module
from ..source import Change
from .base import everywhere


@everywhere("transpose for permute")
def transpose_for_permute(m: Module) -> Iterator[Change]:
    """An exchange of two axes is written with `transpose`, any other order with positive axes."""
    for scope, call in calls(m, "permute"):
        rank = len(m.shape(receiver(call)) or ())
        order = [integer(a) for a in call.args]
        if not rank or None in order:
            continue
        order = [k % rank for k in order]
        moved = [k for k in range(rank) if order[k] != k]
        base = text_of(m, receiver(call))
        if len(moved) == 2:
            yield m.change(scope, call, f"{base}.transpose({moved[0]}, {moved[1]})")
        else:
            yield m.change(scope, call, f"torch.permute({base}, {tuple(order)})")


@everywhere("reshape for flatten")
def reshape_for_flatten(m: Module) -> Iterator[Change]:
    """`flatten` and `unflatten` are written with `reshape`."""
    for scope, call in calls(m, "flatten"):
        if m.is_feature(call) and len(call.args) == 1:
            base = text_of(m, receiver(call))
            yield m.change(scope, call, f"{base}.reshape(*{base}.shape[:{m.segment(call.args[0])}], -1)")
    for scope, call in calls(m, "unflatten"):
        if m.is_feature(call):
            base = text_of(m, receiver(call))
            yield m.change(scope, call, f"{base}.reshape(*{base}.shape[:-1], *{m.segment(call.args[1])})")


@everywhere("narrow for slice")
def narrow_for_slice(m: Module) -> Iterator[Change]:
    """A slice of channels is written with `narrow`."""
    for scope, node in m.nodes(ast.Subscript):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        if len(items) == 2 and m.segment(items[0]) == "..." and isinstance(items[1], ast.Slice):
            low = m.segment(items[1].lower) if items[1].lower else "0"
            high = m.segment(items[1].upper) if items[1].upper else f"{m.segment(node.value)}.shape[-1]"
            yield m.change(scope, node, f"{text_of(m, node.value)}.narrow(-1, {low}, ({high}) - ({low}))")


@everywhere("other words")
def other_words(m: Module) -> Iterator[Change]:
    """Functions for methods and methods for functions: `torch.mean`, `x.relu()`, `pow`, `x * sigmoid(x)`."""
    for scope, call in calls(m, "mean"):
        if m.is_feature(call) and call.args and not call.keywords:
            text = f"torch.mean({m.segment(receiver(call))}, dim={m.segment(call.args[0])})"
            yield m.change(scope, call, text)
    for scope, call in calls(m, "relu"):
        yield m.change(scope, call, f"{text_of(m, call.args[0])}.relu()")
    for scope, call in calls(m, "tanh"):
        yield m.change(scope, call, f"torch.tanh({m.segment(receiver(call))})")
    for scope, call in calls(m, "silu"):
        x = text_of(m, call.args[0])
        yield m.change(scope, call, f"{x} * torch.sigmoid({x})")
    for scope, call in calls(m, "square"):
        yield m.change(scope, call, f"{text_of(m, receiver(call))}.pow(2)")


@everywhere("copies")
def copies(m: Module) -> Iterator[Change]:
    """Tensors are copied, or made contiguous, on the way."""
    for i, (scope, node) in enumerate(m.nodes(ast.Assign)):
        if m.axes(node.value):
            yield m.change(scope, node.value, f"{text_of(m, node.value)}.{('clone', 'contiguous')[i % 2]}()")


@everywhere("there and back")
def there_and_back(m: Module) -> Iterator[Change]:
    """Axes are exchanged and exchanged back, a term is added and taken away, a factor is 1."""
    for i, (scope, node) in enumerate(m.nodes(ast.Assign)):
        x = text_of(m, node.value)
        if len(m.axes(node.value)) >= 2:
            i, j = m.axes(node.value)[:2]
            yield m.change(scope, node.value, f"{x}.transpose({i}, {j}).transpose({i}, {j})")
        elif m.axes(node.value):
            yield m.change(scope, node.value, (f"{x} * 1.0", f"{x} + 0.0 * {x}", f"-(-{x})")[i % 3])
