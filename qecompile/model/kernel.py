"""The kernel of the differential of theta -> f(.; theta): which directions leave the function alone.

Takes a `Network`, gives a `Kernel`. At a generic theta, which has the largest rank, this kernel is the
tangent space of the fibre of all theta' with the same function (constant rank theorem), and contains that of
the orbit of any group that preserves f. What it has beyond the declared group's orbit is missing from the
declaration, or is no linear action (shifts, weights without influence).

Rows w . df(x)/dtheta for independent random x and w, 32 more rows
than parameters, so that the rank is that over all inputs of the declared distribution with probability 1;
singular values in float64, after rows and columns are brought to length 1. The rank is where the largest step
between neighbouring singular values is, below 1e-10 of the first; the step is reported, and one below 10^3
decides nothing. Two theta are tried: the smaller kernel counts, since a special theta, or a unit that is
never active, has a larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.model.network import Drawn, Network

MOST_DENSE = 2000
EXTRA_ROWS = 32
NULL = 1e-10
FLOOR = 1e-15
CLEAR = 1e3

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Kernel:
    """The kernel at one theta.

    Attributes:
        theta: the weights.
        basis: orthonormal directions that leave the function alone, as columns.
        gap: how many times smaller the largest singular value of the kernel is than the next.
    """

    theta: Weights
    basis: Tensor
    gap: float

    @property
    def dim(self) -> int:
        """How many directions there are."""
        return self.basis.shape[1]

    @property
    def clear(self) -> bool:
        """Whether rounding cannot be mistaken for rank."""
        return self.gap >= CLEAR


def differential_rows(network: Network, theta: Weights, rows: int, generator: torch.Generator) -> Tensor:
    """[rows, parameters]: gradients of random functionals of the output, each at inputs of its own."""
    return torch.stack(
        [pull_back(network, theta, network.draw(generator, wide=True), generator) for _ in range(rows)]
    )


def pull_back(network: Network, theta: Weights, inputs: Drawn, generator: torch.Generator) -> Tensor:
    """The gradient of w . f(theta, x) for a random w, in one row."""
    leaves = {name: t.detach().clone().requires_grad_() for name, t in theta.items()}
    with torch.enable_grad():
        y = network(leaves, inputs)
        w = torch.randn(y.shape, generator=generator, dtype=y.dtype)
        if not y.requires_grad:
            return torch.zeros(sum(t.numel() for t in theta.values()), dtype=y.dtype)
        found = torch.autograd.grad(y @ w, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return torch.cat([g.reshape(-1) for g in found])


def dense_kernel(network: Network, theta: Weights, generator: torch.Generator) -> Kernel:
    """The kernel by singular values, for few parameters."""
    count = sum(t.numel() for t in theta.values())
    rows = differential_rows(network, theta, count + EXTRA_ROWS, generator)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
    lengths = rows.norm(dim=0)
    lengths = torch.where(lengths > FLOOR * lengths.max(), lengths, 1.0)
    _, s, vh = torch.linalg.svd(rows / lengths, full_matrices=False)
    rank, gap = _rank(s)
    directions = (vh[rank:] / lengths).mT
    basis = torch.linalg.qr(directions)[0] if directions.shape[1] else directions
    return Kernel(theta, basis, gap)


def _rank(s: Tensor) -> tuple[int, float]:
    """Where singular values, largest first, fall off to rounding, and by what factor.

    >>> _rank(torch.tensor([1.0, 1e-3, 1e-14]))[0], _rank(torch.tensor([1.0, 0.5]))[0]
    (2, 2)
    """
    relative = (s / s[0].clamp_min(1e-300)).tolist()
    ends = [*relative, FLOOR]
    steps = {r: ends[r - 1] / max(ends[r], FLOOR) for r in range(1, len(ends)) if ends[r] <= NULL}
    rank = max(steps, key=lambda r: steps[r])
    return rank, steps[rank]
