"""Means over an axis: of another axis, or another number in their place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from ..shapes import Module
from ..source import Change
from .base import calls, integer, operator, ramp, receiver, text_of


def _means(m: Module) -> Iterator[tuple[str, ast.Call, list[int]]]:
    """Every `x.mean(axes)` with its axes."""
    for scope, call in calls(m, "mean"):
        if not call.args or call.keywords or not m.is_feature(receiver(call)):
            continue
        first = call.args[0]
        axes = [integer(a) for a in (first.elts if isinstance(first, ast.Tuple) else [first])]
        if None not in axes:
            yield scope, call, axes


@operator("wrong reduction axis")
def wrong_axis(m: Module) -> Iterator[Change]:
    """A mean is taken over another axis of the same size."""
    for scope, call, axes in _means(m):
        shape = m.shape(receiver(call))
        for old in axes:
            for new in m.axes(receiver(call)):
                if new not in axes and shape[new] == shape[old]:
                    chosen = ", ".join(str(new if k == old else k) for k in axes)
                    chosen = f"({chosen})" if len(axes) > 1 else chosen
                    yield m.change(scope, call, f"{text_of(m, receiver(call))}.mean({chosen})")


@operator("wrong reduction axis, moved")
def moved_axis(m: Module) -> Iterator[Change]:
    """A mean is taken over another axis, and the axis that is left over stands in its place, cut to size."""
    for scope, call, axes in _means(m):
        shape, base = m.shape(receiver(call)), text_of(m, receiver(call))
        if len(axes) != 1:
            continue
        for new in m.axes(receiver(call)):
            if new != axes[0] and shape[new] < shape[axes[0]]:
                cut = f"{base}.narrow({axes[0]}, 0, {shape[new]})"
                yield m.change(scope, call, f"{cut}.transpose({axes[0]}, {new}).mean({axes[0]})")


def _instead(name: str, single: bool, text: Callable[[str, str, int, int, int], str], mistake: str) -> None:
    """Register an operator that computes something else in the place of a mean."""

    def propose(m: Module) -> Iterator[Change]:
        for scope, call, axes in _means(m):
            base, shape = text_of(m, receiver(call)), m.shape(receiver(call))
            if (len(axes) == 1 or not single) and all(0 < k < len(shape) and shape[k] > 1 for k in axes):
                given, k = m.segment(call.args[0]), axes[0]
                yield m.change(scope, call, text(base, given, k, shape[k], len(shape)))

    propose.__doc__ = mistake
    operator(name)(propose)


_instead("sum for mean", False, lambda x, a, k, n, r: f"{x}.sum({a})", "A sum is not divided by its count.")
_instead("max for mean", False, lambda x, a, k, n, r: f"{x}.amax({a})", "The largest entry is taken.")
_instead("min for mean", False, lambda x, a, k, n, r: f"{x}.amin({a})", "The smallest entry is taken.")
_instead("spread for mean", False, lambda x, a, k, n, r: f"{x}.std({a})", "The standard deviation is taken.")
_instead(
    "median for mean", True, lambda x, a, k, n, r: f"{x}.median({a}).values", "The middle entry is taken."
)
_instead("first for mean", True, lambda x, a, k, n, r: f"{x}.select({k}, 0)", "The first entry is taken.")
_instead(
    "short mean",
    True,
    lambda x, a, k, n, r: f"{x}.narrow({k}, 1, {n - 1}).mean({a})",
    "A mean starts one entry late.",
)
_instead(
    "weighted mean",
    False,
    lambda x, a, k, n, r: f"({x} * {ramp(n, k, r)}).mean({a})",
    "The entries of a mean have weights that depend on their place.",
)
_instead(
    "attention for mean",
    True,
    lambda x, a, k, n, r: f"({x}.softmax({k}) * {x}).sum({a})",
    "The entries of a mean have weights that grow with their values.",
)
_instead(
    "alternating mean",
    True,
    lambda x, a, k, n, r: f"{x}.unflatten({k}, (1, {n})).diff(dim={k + 1}).mean(({k}, {k + 1}))",
    "Differences of neighbours are averaged, as in a finite difference.",
)


@operator("mean of the batch too")
def mean_of_batch(m: Module) -> Iterator[Change]:
    """A mean runs over the batch as well: one network sees the others."""
    for scope, call, _ in _means(m):
        yield m.change(scope, call, f"{m.segment(call)}.mean(0, keepdim=True).expand_as({m.segment(call)})")
