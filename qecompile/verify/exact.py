"""Group elements that act on integer-valued float64 features without rounding.

Takes a `Spec`, gives random elements and their action. Permutations, signs, powers of two for `scale` and
`dilate`; unimodular integer matrices, with the inverse written down beside them, for GL(n); signed
permutation matrices for O(n), those of determinant 1 for SO(n). A map that commutes with them exactly on
integers need not commute with the whole group: that is what the typed derivation shows. Written apart from
`groups.py`, whose inverses round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qecompile.spec import Axis, Param, Space, Spec


@dataclass(frozen=True)
class Part:
    """One space's part, for every copy [*sizes of the spaces around it]: what is absent is the identity.

    `source` [..., n]: the index value that arrives at i. `characters` [..., n], or [...] for `dilate`:
    powers of two and signs. `matrix`, `dual` [..., n, n]: M and its inverse transpose.
    """

    source: Tensor | None = None
    characters: tuple[Tensor, ...] = ()
    matrix: Tensor | None = None
    dual: Tensor | None = None


Element = Mapping[str, Part]


def draw_element(spec: Spec, rng: np.random.Generator) -> Element:
    """A random element, another one in every copy of every space."""
    return {s.name: _draw_part(s, _copies(spec, s), rng) for s in spec.spaces}


def _copies(spec: Spec, space: Space) -> tuple[int, ...]:
    if space.parent is None:
        return ()
    owner = spec.space[space.parent]
    return (*_copies(spec, owner), owner.size)


def _draw_part(space: Space, copies: tuple[int, ...], rng: np.random.Generator) -> Part:
    n, source, matrix, dual = space.size, None, None, None
    if space.permuted:
        source = torch.from_numpy(rng.permuted(np.broadcast_to(np.arange(n), (*copies, n)).copy(), axis=-1))
    if space.vector is not None:
        draw = _unimodular if space.vector == "linear" else _signed_permutation
        pairs = [draw(space, rng) for _ in range(int(np.prod(copies, dtype=int)))]
        matrix, dual = (
            torch.from_numpy(np.stack(side).reshape(*copies, n, n)) for side in zip(*pairs, strict=True)
        )
    characters = []
    for c in space.characters:
        shape = copies if c.word == "dilate" else (*copies, n)
        if c.word == "sign":
            drawn = 1.0 - 2.0 * rng.integers(0, 2, size=shape)
        else:
            drawn = 2.0 ** rng.integers(-1, 2, size=shape)
        characters.append(torch.as_tensor(drawn, dtype=torch.float64))
    return Part(source, tuple(characters), matrix, dual)


def _unimodular(space: Space, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """M = (1 + A)(1 + B) P with A above, B below the diagonal in blocks, and M^-T.

    A and B map one half of the axes to the other, so that (1 + A)^-1 = 1 - A; a row has one entry of 1 or -1.
    """
    n = space.size
    one, half = np.eye(n), n // 2
    a, b = np.zeros((n, n)), np.zeros((n, n))
    if half:
        a[np.arange(half), half + rng.permutation(n - half)[:half]] = rng.choice([-1.0, 1.0], half)
        b[half + rng.permutation(n - half)[:half], np.arange(half)] = rng.choice([-1.0, 1.0], half)
    p = one[rng.permutation(n)]
    matrix = (one + a) @ (one + b) @ p
    inverse = p.T @ (one - b) @ (one - a)
    return matrix, np.ascontiguousarray(inverse.T)


def _signed_permutation(space: Space, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A signed permutation matrix, of determinant 1 under `rotate`; it is its own inverse transpose."""
    matrix = np.eye(space.size)[rng.permutation(space.size)] * rng.choice([-1.0, 1.0], space.size)
    if space.vector == "rotate" and np.linalg.det(matrix) < 0:
        matrix[:, 0] *= -1
    return matrix, matrix.copy()


def act(spec: Spec, g: Element, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The action on features [B, *shape, C] by parameter name."""
    return {name: _act_on(spec, g, spec.params[name], value) for name, value in x.items()}


def _act_on(spec: Spec, g: Element, param: Param, x: Tensor) -> Tensor:
    """Nested axes first: a copy acts where it stands, and then its parent carries it away."""
    depth = {k: len(_ancestors(param.axes, k)) for k in range(len(param.axes))}
    for k in sorted(depth, key=lambda k: -depth[k]):
        axis = param.axes[k]
        space, part = spec.space[axis.space], g[axis.space]
        around = _ancestors(param.axes, k)
        if part.matrix is not None and part.dual is not None:
            x = _multiply(part.dual if axis.dual else part.matrix, x, around, k)
        for values, charge in zip(part.characters, axis.charges, strict=True):
            dims = around if space.is_vector else (*around, k)
            x = x * _placed(values**charge, dims, x.dim())
        if part.source is not None:
            index = _placed(part.source, (*around, k), x.dim())
            x = torch.take_along_dim(x, index, dim=k + 1)
    return x


def _ancestors(axes: Sequence[Axis], k: int) -> tuple[int, ...]:
    """The axes that an axis is nested in, outermost first."""
    parent = axes[k].parent
    return () if parent is None else (*_ancestors(axes, parent), parent)


def _placed(values: Tensor, axes: tuple[int, ...], dims: int) -> Tensor:
    """Values by axis as a tensor that broadcasts against features of so many dims."""
    order = sorted(range(len(axes)), key=lambda i: axes[i])
    shape = [1] * dims
    for i in order:
        shape[axes[i] + 1] = values.shape[i]
    return values.permute(order).reshape(shape)


def _multiply(matrices: Tensor, x: Tensor, around: tuple[int, ...], k: int) -> Tensor:
    """Each copy's matrix times its vectors, along axis k."""
    letters = "abcdefghijklmnopqrstuvw"
    dims = list(letters[: x.dim()])
    copies = "".join(dims[i + 1] for i in around)
    out = dims.copy()
    out[k + 1] = "z"
    return torch.einsum(f"{copies}z{dims[k + 1]},{''.join(dims)}->{''.join(out)}", matrices, x)
