"""The kernel of the differential against the orbit, for few parameters: by singular values.

Takes a `Network`, gives a `Maximality`: the dimensions, and the missing directions as shares of the
parameters and in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.model.directions import Direction, Oracle, columns_of, name_directions
from qecompile.model.kernel import Weights, dense_kernel
from qecompile.model.network import Network
from qecompile.model.rows import combinations_within
from qecompile.model.tangent import Tangent, flatten, orthonormal, unflatten

MOST_POINTS, SMALL = 8, 300
"""Weights that are tried where kernels differ, and up to how many parameters."""


@dataclass(frozen=True)
class Maximality:
    """The kernel against the orbit.

    Attributes:
        kernel_dim: dimension of the kernel; an estimate where `method` is not `dense`.
        orbit_dim: dimension of the orbit.
        decided: whether the numbers can be relied on.
        method: `dense`, or `conjugate gradients`.
        detail: what was done, with figures, and what it shows.
        shares: for each parameter, its part of the missing directions (they add up to 1).
        directions: missing directions in words.
    """

    kernel_dim: int
    orbit_dim: int
    decided: bool
    method: str
    detail: str
    shares: Mapping[str, float]
    directions: tuple[Direction, ...]

    @property
    def ok(self) -> bool | None:
        """Whether there is nothing beyond the orbit; None where that was not decided."""
        if not self.decided:
            return None
        return self.kernel_dim == self.orbit_dim


def dense_maximality(network: Network, declared: int, generator: torch.Generator) -> Maximality:
    """The kernel at several random points, of which the smallest counts.

    Args:
        network: the network.
        declared: dimension of the orbit.
        generator: where numbers come from.
    """
    kernels = [dense_kernel(network, network.other_weights(generator), generator) for _ in range(2)]
    most = MOST_POINTS if sum(t.numel() for t in network.weights.values()) <= SMALL else 3
    while len(kernels) < most and _is_alone(min(dims := [k.dim for k in kernels]), dims, declared):
        kernels.append(dense_kernel(network, network.other_weights(generator), generator))
    best = min(kernels, key=lambda k: (k.dim, -k.gap))
    tangent = Tangent(network.spec, best.theta).basis()
    outside = tangent - best.basis @ (best.basis.mT @ tangent)
    leak = float(outside.abs().max()) if outside.numel() else 0.0
    beyond = best.basis - tangent @ (tangent.mT @ best.basis)
    u, s, _ = torch.linalg.svd(beyond, full_matrices=False)
    missing = u[:, s > 1e-4]
    shares = shares_of(best.theta, missing)
    listed = ", ".join(str(k.dim) for k in kernels)
    detail = (
        f"singular values at {len(kernels)} random weights, {best.basis.shape[0]} parameters: kernels of "
        f"dimension {listed}; its singular values are {best.gap:.1e} times smaller than the next"
    )
    decided = best.clear
    if not best.clear:
        detail += ", which is too little to tell the rank"
    elif leak > 1e-4:
        detail += f"; the declared group leaves the kernel (by {leak:.1e}): it does not preserve the network"

    def orbit(free: frozenset[str]) -> Oracle:
        return _inside(best.theta, tangent, free)

    kernel = _inside(best.theta, best.basis)
    named = missing.shape[1] and decided
    directions = name_directions(network.spec, best.theta, kernel, orbit) if named else ()
    return Maximality(best.dim, declared, decided, "dense", detail, shares, directions)


def _is_alone(least: int, dims: Sequence[int], declared: int) -> bool:
    """Whether the smallest kernel was met once only, and could be smaller."""
    return dims.count(least) == 1 and least > declared


def _inside(theta: Weights, basis: Tensor, free: frozenset[str] = frozenset()) -> Oracle:
    """Combinations that lie in the span of an orthonormal basis, up to movements of free parameters."""
    kept = mask(theta, free)[:, None]
    basis = orthonormal(basis * kept) if free else basis

    def oracle(directions: list[Weights]) -> Tensor:
        columns = columns_of(directions, theta) * kept
        lengths = columns.norm(dim=0).clamp_min(1e-300)
        columns = columns / lengths
        found = combinations_within(columns - basis @ (basis.mT @ columns))
        return rescaled(found, lengths)

    return oracle


def mask(theta: Weights, free: frozenset[str]) -> Tensor:
    """1 for the entries of all parameters but the free ones."""
    return flatten({n: torch.full_like(t, 0.0 if n in free else 1.0) for n, t in theta.items()})


def rescaled(combinations: Tensor, lengths: Tensor) -> Tensor:
    """Combinations of columns of length 1 as combinations of the columns as they were, orthonormal again."""
    scaled = combinations / lengths[:, None]
    basis: Tensor = torch.linalg.qr(scaled)[0] if scaled.shape[1] else scaled
    return basis


def shares_of(theta: Weights, missing: Tensor) -> dict[str, float]:
    """The parts that the parameters have in some directions, as shares of 1."""
    squares = missing.square().sum(dim=1)
    total = float(squares.sum())
    if not total:
        return {}
    parts = unflatten(squares, theta)
    return {name: float(part.sum()) / total for name, part in parts.items()}
