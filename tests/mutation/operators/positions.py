"""Order along an axis: what no permuted axis has, and no vector axis keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from ..shapes import Module
from ..source import Change
from .base import operator, ramp, text_of, values


def _along(name: str, text: Callable[[str, int, int, int], str], mistake: str) -> None:
    """Register an operator that changes a tensor along one of its axes."""

    def propose(m: Module) -> Iterator[Change]:
        for scope, node in values(m):
            shape = m.shape(node)
            for k in m.axes(node):
                yield m.change(scope, node, text(text_of(m, node), k, shape[k], len(shape)))

    propose.__doc__ = mistake
    operator(name)(propose)


_along("roll an axis", lambda x, k, n, r: f"{x}.roll(1, {k})", "Entries move on to the next index.")
_along("flip an axis", lambda x, k, n, r: f"{x}.flip({k})", "An axis is read backwards.")
_along("sort an axis", lambda x, k, n, r: f"{x}.sort({k}).values", "Entries are sorted along an axis.")
_along("running sum", lambda x, k, n, r: f"{x}.cumsum({k})", "Sums run along an axis.")
_along("ramp along an axis", lambda x, k, n, r: f"{x} * {ramp(n, k, r)}", "Entries are weighted by place.")
_along(
    "position code",
    lambda x, k, n, r: f"{x} + {ramp(n, k, r)}",
    "A code of the position is added, as for an axis whose order matters.",
)
_along(
    "first entry for all",
    lambda x, k, n, r: f"{x}.narrow({k}, 0, 1).expand_as({x})",
    "One index value stands for all of them.",
)
_along(
    "mask the first entry",
    lambda x, k, n, r: f"{x} * ({ramp(n, k, r)} > 1.5)",
    "One index value is masked out.",
)
_along(
    "neighbours meet",
    lambda x, k, n, r: f"{x} + {x}.roll(1, {k})",
    "Neighbouring indices are added up, as in a convolution.",
)


_along(
    "index as a value",
    lambda x, k, n, r: f"{x} + 0.1 * {x}.argmax({k}, keepdim=True)",
    "The index of the largest entry is used as a number.",
)
_along(
    "mean for all",
    lambda x, k, n, r: f"{x} + {x}.mean({k}, keepdim=True)",
    "The mean over an axis is added to all its entries, as a layer on sets does.",
)
_along(
    "gate by a length",
    lambda x, k, n, r: f"{x} / (1 + {x}.square().sum({k}, keepdim=True)).sqrt()",
    "Entries are divided by a length, which only rotations keep.",
)


@operator("add an identity")
def add_identity(m: Module) -> Iterator[Change]:
    """The identity matrix is added to a square block, which only some pairs of axes allow."""
    for scope, node in values(m):
        shape = m.shape(node)
        for i, j in combinations(m.axes(node), 2):
            if shape[i] == shape[j]:
                same = f"({ramp(shape[i], i, len(shape))} == {ramp(shape[j], j, len(shape))})"
                yield m.change(scope, node, f"{text_of(m, node)} + {same}")


@operator("triangle")
def triangle(m: Module) -> Iterator[Change]:
    """A square block is masked above its diagonal, as for causal attention."""
    for scope, node in values(m):
        shape = m.shape(node)
        for i, j in combinations(m.axes(node), 2):
            if shape[i] == shape[j]:
                mask = f"({ramp(shape[i], i, len(shape))} >= {ramp(shape[j], j, len(shape))})"
                yield m.change(scope, node, f"{text_of(m, node)} * {mask}")


@operator("keep the diagonal only")
def only_diagonal(m: Module) -> Iterator[Change]:
    """A square block is reduced to its diagonal, which means nothing for axes of two kinds."""
    for scope, node in values(m):
        shape = m.shape(node)
        for i, j in combinations(m.axes(node), 2):
            if shape[i] == shape[j]:
                mask = f"({ramp(shape[i], i, len(shape))} == {ramp(shape[j], j, len(shape))})"
                yield m.change(scope, node, f"{text_of(m, node)} * {mask}")
