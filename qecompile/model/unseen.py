"""Directions that the differential of the network does not see, without a matrix: for many parameters.

Takes a `Network`, gives what conjugate gradients leave of a direction. With z random and orthogonal to the
orbit, they take away what of z is seen in J, and leave the part in the kernel alone: after any number of
steps the square of what is left is, in the mean over z, at least the number of missing dimensions
(Hutchinson).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from qecompile.model.kernel import FLOOR, NULL, Weights, pull_back
from qecompile.model.network import Drawn, Network
from qecompile.model.running import running
from qecompile.model.tangent import flatten, unflatten

FEWEST_INPUTS = 16
SETTLING = 50
"""Steps of conjugate gradients in which the rest must become shorter by 0.2 %."""


@dataclass(frozen=True)
class Sample:
    """Inputs, and the differential at them as a linear map and its transpose.

    Outputs are weighed so that all inputs count alike, and a direction v stands for v / lengths, which makes
    the columns about equally long: conjugate gradients need fewer steps then.
    """

    inputs: tuple[Drawn, ...]
    apply: Callable[[Tensor], Tensor]
    adjoint: Callable[[Tensor], Tensor]
    rows: int
    lengths: Tensor


def sampled_differential(network: Network, theta: Weights, rows: int, generator: torch.Generator) -> Sample:
    """J at so many inputs, at least `FEWEST_INPUTS`, that it has at least `rows` rows."""
    drawn: list[Drawn] = []
    weights: list[float] = []
    count = 0
    squares = torch.zeros(flatten(theta).numel(), dtype=torch.float64)
    while count < rows or len(drawn) < FEWEST_INPUTS:
        drawn.append(network.draw(generator, wide=True))
        row = pull_back(network, theta, drawn[-1], generator)
        size = network.values(theta, drawn[-1]).numel()
        weights.append(size**0.5 / max(float(row.norm()), 1e-300))
        squares += (row * weights[-1]).square()
        count += size
    lengths = squares.sqrt()
    lengths = torch.where(lengths > FLOOR * lengths.max(), lengths, 1.0)

    def apply(v: Tensor) -> Tensor:
        pairs = zip(drawn, weights, strict=True)
        return torch.cat([w * push_forward(network, theta, x, v / lengths) for x, w in pairs])

    def adjoint(u: Tensor) -> Tensor:
        total, start = torch.zeros_like(lengths), 0
        for x, w in zip(drawn, weights, strict=True):
            y, pull = torch.func.vjp(partial(network, inputs=x), dict(theta))[:2]
            (found,) = pull(w * u[start : start + y.numel()])
            total += flatten({name: found[name] for name in theta})
            start += y.numel()
        return total / lengths

    return Sample(tuple(drawn), apply, adjoint, count, lengths)


def push_forward(network: Network, theta: Weights, inputs: Drawn, v: Tensor) -> Tensor:
    """df(theta, x) v: forward, or where an operator has no forward derivative, backward twice."""
    tangents = unflatten(v, theta)
    try:
        pushed = torch.func.jvp(lambda t: network(t, inputs), (dict(theta),), (tangents,))
        found: Tensor = pushed[1]
        return found
    except Exception:
        return _twice_backward(network, theta, inputs, tangents)


def _twice_backward(network: Network, theta: Weights, inputs: Drawn, tangents: Weights) -> Tensor:
    leaves = {name: t.detach().clone().requires_grad_() for name, t in theta.items()}
    with torch.enable_grad(), running():
        y = network(leaves, inputs)
        w = torch.zeros_like(y, requires_grad=True)
        back = torch.autograd.grad(
            y, list(leaves.values()), w, create_graph=True, allow_unused=True, materialize_grads=True
        )
        along = sum(((b * tangents[n]).sum() for n, b in zip(leaves, back, strict=True)), torch.zeros(()))
        (found,) = torch.autograd.grad(along, w, allow_unused=True, materialize_grads=True)
    return found


@dataclass(frozen=True)
class Rest:
    """What conjugate gradients leave of a random direction.

    Attributes:
        direction: the rest.
        square: its squared length, where z had one of the dimension of the space in the mean.
        seen: |J rest| over |rest| and the largest singular value of J met.
        steps: how many there were.
    """

    direction: Tensor
    square: float
    seen: float
    steps: int


def remove_seen(sample: Sample, z: Tensor, steps: int, enough: float = 1e-3) -> Rest:
    """Take from `z` what J sees, by conjugate gradients for min |J y - J z| over y."""
    rest, residual = z.clone(), sample.apply(z)
    gradient = sample.adjoint(residual)
    direction, square = gradient, float(gradient @ gradient)
    largest, done, before_length = 1e-300, 0, float("inf")
    for _ in range(steps):
        if not square:
            break
        image = sample.apply(direction)
        stretch = float(image @ image)
        if stretch <= 0:
            break
        largest = max(largest, stretch / float(direction @ direction))
        done += 1
        rest = rest - (square / stretch) * direction
        residual = residual - (square / stretch) * image
        gradient = sample.adjoint(residual)
        square, before = float(gradient @ gradient), square
        direction = gradient + (square / before) * direction
        length = float(rest @ rest)
        settled = done % SETTLING == 0 and length > 0.998 * before_length
        before_length = length if done % SETTLING == 0 else before_length
        if length < enough or settled or float(residual @ residual) <= (NULL**2) * largest * length:
            break
    length = float(rest @ rest)
    seen = float(sample.apply(rest).norm()) / (largest * max(length, 1e-300)) ** 0.5
    return Rest(rest, length, seen, done)
