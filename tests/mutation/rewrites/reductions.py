"""Means and traces, by other formulas."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from math import prod

from ..operators.base import calls, integer, receiver, text_of
from ..shapes import Module
from ..source import Change
from .base import everywhere

LETTERS = "abdefghij"


def _means(m: Module) -> Iterator[tuple[str, ast.Call, list[int], tuple[int, ...]]]:
    for scope, call in calls(m, "mean"):
        shape = m.shape(receiver(call))
        if call.args and shape and not call.keywords:
            first = call.args[0]
            axes = [integer(a) for a in (first.elts if isinstance(first, ast.Tuple) else [first])]
            if None not in axes and all(shape[k] for k in axes):
                yield scope, call, axes, shape


@everywhere("sum over size")
def sum_over_size(m: Module) -> Iterator[Change]:
    """A mean is written as a sum, divided by the number of entries."""
    for scope, call, axes, shape in _means(m):
        count = prod(shape[k] for k in axes)
        text = f"{text_of(m, receiver(call))}.sum({m.segment(call.args[0])}) / {count}"
        yield m.change(scope, call, text)


@everywhere("einsum for mean")
def einsum_for_mean(m: Module) -> Iterator[Change]:
    """A mean is written as an einsum, divided by the number of entries."""
    for scope, call, axes, shape in _means(m):
        letters = LETTERS[: len(shape)]
        kept = "".join(c for k, c in enumerate(letters) if k not in axes)
        base, count = m.segment(receiver(call)), prod(shape[k] for k in axes)
        yield m.change(scope, call, f'torch.einsum("{letters}->{kept}", {base}) / {count}')


@everywhere("one axis at a time")
def one_axis_at_a_time(m: Module) -> Iterator[Change]:
    """A mean over several axes is taken over one after the other; one axis is kept first and dropped then."""
    for scope, call, axes, _ in _means(m):
        text = text_of(m, receiver(call))
        if len(axes) > 1:
            steps = "".join(f".mean({k})" for k in sorted(axes, reverse=True))
            yield m.change(scope, call, f"{text}{steps}")
        else:
            yield m.change(scope, call, f"{text}.mean({axes[0]}, keepdim=True).squeeze({axes[0]})")


@everywhere("mean for einsum")
def mean_for_einsum(m: Module) -> Iterator[Change]:
    """A trace or diagonal that is an einsum is written with `diagonal`."""
    for scope, call in calls(m, "einsum"):
        operands, result = call.args[0].value.split("->")
        twice = [c for c in set(operands) if operands.count(c) == 2]
        if "," in operands or len(twice) != 1:
            continue
        i, j = operands.index(twice[0]), operands.rindex(twice[0])
        rest = [c for c in operands if c != twice[0]] + [twice[0]]
        seen = f"{text_of(m, call.args[1])}.diagonal(0, {i}, {j})"
        if gone := [k for k, c in enumerate(rest) if c not in result]:
            seen += f".sum({tuple(gone)})"
        kept = [c for c in rest if c in result]
        order = ", ".join(str(kept.index(c)) for c in result)
        yield m.change(scope, call, f"{seen}.permute({order})")
