"""The tangent space of an orbit: how the parameters move under the Lie algebra of the declared group.

Takes a spec and weights, gives the linear map X -> X.theta and its transpose, neither as a matrix. An element
X has a number for every value of a `scale` or `dilate` character and n x n numbers for every copy of a vector
space: all of gl(n) under `linear`, A - A^T of so(n) under `orthogonal` and `rotate` (so the map has a kernel
there, which does no harm).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from qecompile.group_action import transform
from qecompile.group_elements import Part, identity_part
from qecompile.nesting import copy_shapes
from qecompile.spec import Space, Spec

Weights = Mapping[str, Tensor]


def flatten(theta: Weights) -> Tensor:
    """All numbers of some weights in one row."""
    return torch.cat([t.reshape(-1) for t in theta.values()]) if theta else torch.zeros(0)


def unflatten(flat: Tensor, like: Weights) -> dict[str, Tensor]:
    """A row cut into weights of the shapes of others."""
    found, start = {}, 0
    for name, t in like.items():
        found[name] = flat[start : start + t.numel()].view(t.shape)
        start += t.numel()
    return found


class Tangent:
    """The map X -> X.theta at one theta; `size` counts the numbers of X."""

    def __init__(self, spec: Spec, theta: Weights) -> None:
        self.spec, self.theta = spec, theta
        self._copies = copy_shapes(spec)
        self.size = sum(_size(s, self._copies[s.name]) for s in spec.spaces)

    def _moved(self, x: Tensor) -> Tensor:
        """exp(X).theta to first order in X: the action of 1 + X."""
        parts, start = {}, 0
        for s in self.spec.spaces:
            size = _size(s, self._copies[s.name])
            parts[s.name] = _part(s, self._copies[s.name], x[start : start + size])
            start += size
        moved = {
            name: transform(self.spec.space, parts, self.spec.params[name].axes, t.unsqueeze(-1)).squeeze(-1)
            for name, t in self.theta.items()
        }
        return flatten(moved)

    def apply(self, x: Tensor) -> Tensor:
        """X.theta, in one row."""
        moved: Tensor = torch.func.jvp(self._moved, (torch.zeros_like(x),), (x,))[1]
        return moved

    def adjoint(self, u: Tensor) -> Tensor:
        """The transpose: u in the space of weights to the numbers <u, X.theta> of each X."""
        if not self.size:
            return torch.zeros(0, dtype=torch.float64)
        x = torch.zeros(self.size, dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self._moved(x) @ u, x, allow_unused=True, materialize_grads=True)
        return found

    def basis(self) -> Tensor:
        """An orthonormal basis of the tangent space, as columns; for small theta."""
        if not self.size:
            return torch.zeros(flatten(self.theta).numel(), 0, dtype=torch.float64)
        zero = torch.zeros(self.size, dtype=torch.float64)
        return orthonormal(torch.func.jacfwd(self._moved)(zero))


def orthonormal(columns: Tensor, tolerance: float = 1e-9) -> Tensor:
    """An orthonormal basis of the span of some columns, of which those that depend on others are dropped."""
    u, s, _ = torch.linalg.svd(columns, full_matrices=False)
    basis: Tensor = u[:, : int((s > tolerance * s[:1].clamp_min(1e-300)).sum())]
    return basis


def project_off(apply: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """`u` less its part in the image of a linear map, by conjugate gradients on the normal equations."""
    rest, direction = u.clone(), adjoint(u)
    if not direction.numel():
        return rest
    gradient, square = direction, float(direction @ direction)
    first = square
    for _ in range(2 * direction.numel() + 20):
        if square <= 1e-26 * first or not square:
            break
        image = apply(direction)
        rest = rest - (square / float(image @ image)) * image
        gradient = adjoint(rest)
        square, before = float(gradient @ gradient), square
        direction = gradient + (square / before) * direction
    return rest


def _size(s: Space, copies: tuple[int, ...]) -> int:
    continuous = sum(c.word != "sign" for c in s.characters)
    each = s.size**2 if s.vector else 0
    return math.prod(copies) * (each + continuous * (1 if s.is_vector else s.size))


def _part(s: Space, copies: tuple[int, ...], x: Tensor) -> Part:
    """1 + X for one space, X given by the numbers of it; permutations and signs are left out."""
    identity = identity_part(s, copies)
    matrix, start = None, 0
    if identity.matrix is not None:
        start = identity.matrix.numel()
        a = x[:start].view(identity.matrix.shape)
        matrix = identity.matrix + (a if s.vector == "linear" else a - a.mT)
    characters = []
    for character, ones in zip(s.characters, identity.characters, strict=True):
        if character.word == "sign":
            characters.append(ones)
        else:
            characters.append(ones + x[start : start + ones.numel()].view(ones.shape))
            start += ones.numel()
    return Part(None, matrix, tuple(characters))
