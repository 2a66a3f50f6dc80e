"""How one group element transforms one tensor: gather, multiply, contract.

Takes a type (axes over the spaces of a spec), the parts of an element and a tensor; gives the tensor
transformed by the formula (g x)[J] = w_g(J) x[sigma_g(J)] of `groups.py`. Checks shapes, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import EllipsisType

import torch
from torch import Tensor

from qecompile.group_elements import Part, invert_matrix
from qecompile.nesting import lineage
from qecompile.spec import Axis, Space


def transform(
    spaces: Mapping[str, Space], parts: Mapping[str, Part], axes: Sequence[Axis], x: Tensor
) -> Tensor:
    """The action on a tensor with a channel axis.

    Args:
        spaces: the spaces by name.
        parts: the parts of the element by space.
        axes: the type of the tensor.
        x: [batch..., *shape, C].

    Returns:
        [batch..., *shape, C], in the dtype and on the device of `x`.
    """
    y = _gather(spaces, parts, axes, x)
    y = _multiply(spaces, parts, axes, y)
    for k, axis in enumerate(axes):
        matrix = parts[axis.space].matrix
        if matrix is not None:
            if axis.dual:  # Q^-T = Q
                matrix = invert_matrix(matrix, spaces[axis.space]).mT
            y = _contract(matrix.to(y), lineage(axes, k), len(axes), y)
    return y


def spread(t: Tensor, positions: Sequence[int], rank: int) -> Tensor:
    """A view of `t`, whose dims stand at `positions` of a tensor of `rank` axes, that broadcasts with it.

    >>> spread(torch.zeros(2, 3), (2, 0), rank=3).shape
    torch.Size([3, 1, 2])
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    shape = [1] * rank
    for i in order:
        shape[positions[i]] = t.shape[i]
    return t.permute(order).reshape(shape)


def _gather(
    spaces: Mapping[str, Space], parts: Mapping[str, Part], axes: Sequence[Axis], x: Tensor
) -> Tensor:
    """x[sigma_g(J)], by one indexing operation whose indices broadcast over the axes."""
    if all(parts[a.space].source is None for a in axes):
        return x
    index: list[Tensor | slice | EllipsisType] = [...]
    for k, axis in enumerate(axes):
        source = parts[axis.space].source
        if source is None:
            index.append(spread(torch.arange(spaces[axis.space].size, device=x.device), (k,), len(axes)))
        else:
            index.append(spread(source.to(x.device), lineage(axes, k), len(axes)))
    return x[(*index, slice(None))]


def _multiply(
    spaces: Mapping[str, Space], parts: Mapping[str, Part], axes: Sequence[Axis], y: Tensor
) -> Tensor:
    """The product of all characters to the power of their charges, times y."""
    weight: Tensor | None = None
    for k, axis in enumerate(axes):
        at = lineage(axes, k)[:-1] if spaces[axis.space].is_vector else lineage(axes, k)
        for character, charge in zip(parts[axis.space].characters, axis.charges, strict=True):
            if charge:
                factor = spread(character**charge, at, len(axes))
                weight = factor if weight is None else weight * factor
    return y if weight is None else y * weight.to(y).unsqueeze(-1)


def _contract(matrix: Tensor, at: Sequence[int], rank: int, y: Tensor) -> Tensor:
    """Apply a matrix to the last axis of `at`, one matrix per value of the axes before it in `at`.

    Args:
        matrix: [copies, n, n].
        at: positions of the axes, among the `rank` axes of the type.
        rank: number of axes of the type.
        y: [batch..., *shape, C].
    """
    k, row, channel = at[-1], rank, rank + 1
    before = [*range(rank), channel]
    after = [row if i == k else i for i in before]
    return torch.einsum(matrix, [*at[:-1], row, k], y, [..., *before], [..., *after])
