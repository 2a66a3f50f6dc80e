"""Whether two sets of tensors lie in one orbit of the identity component of the group.

A quasi-equivariant network moves its output along the orbit: F(g.theta) = h.g.F(theta) with h in the
identity component, as alpha has its values there. Such an h is looked for, by Gauss-Newton steps in the Lie
algebra: logarithms of scales, matrices for GL, skew ones for O and SO. If one is found, the outputs are shown
to lie in one orbit, to rounding; if none is found from several g, they are said not to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .elements import Draws, Element, Features
from .nullity import Factor

MOST_UNKNOWNS, MOST_WORK, MOST_ROWS = 600, 100_000_000, 2000
STEPS, CLOSE = 40, 1e-8


class Algebra:
    """The Lie algebra of the group of a spec, as one vector."""

    def __init__(self, draws: Draws) -> None:
        self.draws, self.shapes = draws, dict[tuple[str, str], tuple[int, ...]]()
        for s in draws.spec.spaces.values():
            copies = draws.copies(s)
            for name, word in s.characters:
                if word != "sign":
                    self.shapes[s.name, name] = (*copies, 1 if word == "dilate" else s.size)
            if s.vector:
                self.shapes[s.name, ""] = (*copies, s.size, s.size)
        self.size = sum(map(math.prod, self.shapes.values()))

    def element(self, vector: Tensor) -> Element:
        """The exponential of a vector."""
        parts = torch.split(vector, [math.prod(shape) for shape in self.shapes.values()])
        values = {key: p.view(self.shapes[key]) for key, p in zip(self.shapes, parts, strict=True)}
        found: dict[str, Factor] = {}
        for s in self.draws.spec.spaces.values():
            one = torch.ones(*self.draws.copies(s), s.size, dtype=torch.float64)
            multipliers = [
                values[s.name, name].exp() * one if word != "sign" else one for name, word in s.characters
            ]
            straight = inverse = None
            if s.vector:
                a = values[s.name, ""]
                a = a if s.vector == "linear" else a - a.mT
                straight, inverse = torch.matrix_exp(a), torch.matrix_exp(-a).mT
            found[s.name] = straight, inverse, multipliers
        return found


def affordable(draws: Draws, entries: int) -> bool:
    """Whether the search is within reach."""
    size = Algebra(draws).size
    return size <= MOST_UNKNOWNS and size * entries <= MOST_WORK


def one_orbit(draws: Draws, start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> bool:
    """Whether some h in the identity component takes `start` to `end`, both of batch size 1."""
    algebra = Algebra(draws)
    scale = {k: t.abs().max().clamp(min=1e-300) for k, t in end.items()}
    total = sum(t.numel() for t in end.values())
    rows = torch.randperm(total, generator=draws.generator)[:MOST_ROWS]

    def gap(vector: Tensor) -> Tensor:
        moved: Features = draws.act(algebra.element(vector), start, channels=False)
        return torch.cat([((moved[k] - end[k]) / scale[k]).flatten() for k in end])

    vector, error, before = torch.zeros(algebra.size, dtype=torch.float64), math.inf, math.inf
    for _ in range(STEPS):
        here = gap(vector)
        before, error = error, float(here.norm())
        if error < CLOSE or error > 0.99 * before:
            break
        slopes = torch.func.jacrev(lambda v: gap(v)[rows], chunk_size=32)(vector)
        step = torch.linalg.lstsq(slopes, -here[rows, None], driver="gelsd").solution[:, 0]
        shorter = (step / 2**k for k in range(8))
        vector = vector + next((s for s in shorter if float(gap(vector + s).norm()) < error), 0 * step)
    return error < CLOSE
