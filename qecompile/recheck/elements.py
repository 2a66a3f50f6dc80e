"""Random inputs and group elements in float64, for running emitted modules.

*Exact* elements map numbers with few binary digits to such numbers: permutations, signs, powers of two,
unimodular integer and signed permutation matrices. With integer inputs, of which every mean is an integer
too, a correct layer commutes with them without any rounding. *General* elements are drawn from all the group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .nullity import Factor, act
from .spec import Elaborated, Space

Features = dict[str, Tensor]
Element = Mapping[str, Factor]


class Draws:
    """Random numbers, group elements and inputs for one spec."""

    def __init__(self, spec: Elaborated, seed: int) -> None:
        self.spec, self.generator = spec, torch.Generator().manual_seed(seed)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Random integers, `high` included."""
        return torch.randint(low, high + 1, shape, generator=self.generator).double()

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def signs(self, *shape: int) -> Tensor:
        """Random signs."""
        return 2 * self.integers(0, 1, *shape) - 1

    def inputs(self, batch: int, *channels: int, exact: bool) -> Features:
        """Tensors [batch, *shape, *channels]: integers that every mean divides, or normal numbers."""
        found = {}
        for name in self.spec.params:
            shape = self.spec.shape(name)
            whole = (batch, *shape, *channels)
            found[name] = self.integers(-4, 4, *whole) * math.prod(shape) if exact else self.normal(*whole)
        return found

    def element(self, exact: bool, decades: float = 0.5) -> Element:
        """An exact element of the group, or a general one with scales of up to so many decades."""
        return {s.name: self.factor(s, exact, decades) for s in self.spec.spaces.values()}

    def copies(self, s: Space) -> tuple[int, ...]:
        """The sizes of the spaces around a space."""
        parent = self.spec.spaces[s.parent] if s.parent else None
        return (*self.copies(parent), parent.size) if parent else ()

    def factor(self, s: Space, exact: bool, decades: float) -> Factor:
        """What the copies of one space do."""
        copies, multipliers = self.copies(s), []
        for _, word in s.characters:
            shape = (*copies, 1 if word == "dilate" else s.size)
            if word == "sign":
                drawn = self.signs(*shape)
            elif exact:
                drawn = 2.0 ** self.integers(-3, 3, *shape)
            else:
                drawn = 10.0 ** (decades * (self.integers(-1000, 1000, *shape) / 1000))
            multipliers.append(drawn.expand(*copies, s.size))
        if not (s.permuted or s.vector):
            return None, None, multipliers
        pairs = [self.matrix(s, exact) for _ in range(math.prod(copies))]
        straight, inverse = (torch.stack(m).view(*copies, s.size, s.size) for m in zip(*pairs, strict=True))
        return straight, inverse, multipliers

    def matrix(self, s: Space, exact: bool) -> tuple[Tensor, Tensor]:
        """A matrix of the group of an axis, and its inverse transpose."""
        n, eye = s.size, torch.eye(s.size, dtype=torch.float64)
        order = eye[torch.randperm(n, generator=self.generator)]
        if s.permuted:
            return order, order
        if s.vector == "linear":
            return self.unimodular(order) if exact else self.general(n)
        q = order * self.signs(n) if exact else torch.linalg.qr(self.normal(n, n))[0]
        if s.vector == "rotate" and torch.linalg.det(q) < 0:
            q[0] = -q[0]
        return q, q

    def unimodular(self, order: Tensor) -> tuple[Tensor, Tensor]:
        """Some row operations on a permutation matrix, times a power of two and a sign."""
        straight, inverse, n = order.clone(), order.clone(), len(order)
        for _ in range(3 if n > 1 else 0):
            i, j = torch.randperm(n, generator=self.generator)[:2].tolist()
            sign = self.signs()
            straight[i] += sign * straight[j]
            inverse[j] -= sign * inverse[i]
        scale = self.signs() * 2.0 ** self.integers(-2, 2)
        return scale * straight, inverse / scale

    def general(self, n: int) -> tuple[Tensor, Tensor]:
        """An invertible matrix of condition 10."""
        left, right = (torch.linalg.qr(self.normal(n, n))[0] for _ in range(2))
        spread = 10.0 ** torch.linspace(-0.5, 0.5, n, dtype=torch.float64)
        return left * spread @ right, left / spread @ right

    def act(self, g: Element, x: Mapping[str, Tensor], channels: bool) -> Features:
        """G . x for tensors [batch, *shape], or [batch, *shape, channels]."""
        moved = {}
        for name, t in x.items():
            axes, t = self.spec.params[name], t.movedim(-1, 0) if channels else t
            t = act(axes, g, t, torch.einsum, torch.pow, lambda y: y)
            moved[name] = t.movedim(0, -1) if channels else t
        return moved


def worst(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest difference of tensors, as a share of the entry and of a millionth of the largest one."""
    shares = [0.0]
    for x, y in zip(a, b, strict=True):
        if x.shape != y.shape or not bool(torch.isfinite(x).all()):
            return math.inf
        if y.numel():
            size = y.abs() + 1e-6 * y.abs().max() + 1e-300
            shares.append(float(((x - y).abs() / size).max()))
    return max(shares)
