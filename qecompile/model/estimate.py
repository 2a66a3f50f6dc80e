"""The kernel of the differential against the orbit, for many parameters: by conjugate gradients.

Takes a `Network`, gives a `Maximality`. What is left of random directions orthogonal to the orbit
(`unseen.py`) tells how much is missing. Very little left shows, with the stated probability, that nothing is;
in between nothing is decided, and the rest is an upper estimate. If anything may be missing, the forms of
`directions.py` are tried: one that is found is missing for certain, up to rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qecompile.model.directions import Oracle, columns_of, name_directions
from qecompile.model.kernel import Weights
from qecompile.model.maximality import Maximality, mask, rescaled, shares_of
from qecompile.model.network import Network
from qecompile.model.rows import combinations_within
from qecompile.model.tangent import Tangent, flatten, project_off
from qecompile.model.unseen import Rest, Sample, push_forward, remove_seen, sampled_differential

PROBES = 3

STEPS = 400

PASSES = 40_000
"""Runs of the network, forward and backward, that conjugate gradients may take for one probe."""

SEEN = 1e-3

FEW_ENTRIES, FEWEST_INPUTS = 32, 16

CHANCE = 1e-3
"""A rest that hides a missing direction with less than this chance shows that none is missing."""


def estimated_maximality(
    network: Network, declared: int, count: int, generator: torch.Generator
) -> Maximality:
    """The kernel estimated at one random point, and what is missing in words.

    Args:
        network: the network.
        declared: dimension of the orbit.
        count: how many parameters there are.
        generator: where numbers come from.
    """
    theta = network.other_weights(generator)
    tangent = Tangent(network.spec, theta)
    sample = sampled_differential(network, theta, 2 * count, generator)
    passes = len(sample.inputs)
    steps = max(10, min(STEPS, PASSES // (2 * passes)))
    rests = []
    for _ in range(PROBES):
        z = torch.randn(count, generator=generator, dtype=torch.float64)
        z = project_off(
            lambda x: tangent.apply(x) * sample.lengths, lambda u: tangent.adjoint(u * sample.lengths), z
        )
        rests.append(remove_seen(sample, z, steps))
    left = sum(r.square for r in rests) / PROBES
    seen = max(r.seen for r in rests)
    missing = round(left)
    shares = (
        shares_of(theta, torch.stack([r.direction / sample.lengths for r in rests], dim=1)) if missing else {}
    )
    chance = math.prod(min(1.0, math.sqrt(2 * r.square / math.pi)) for r in rests)
    decided = chance < CHANCE

    def orbit(free: frozenset[str]) -> Oracle:
        return _in_orbit(tangent, theta, free)

    kernel = _unseen(network, theta, sample)
    directions = name_directions(network.spec, theta, kernel, orbit, FEW_ENTRIES) if missing else ()
    return Maximality(
        declared + missing, declared, decided or bool(directions), "conjugate gradients",
        _told(rests, left, seen, sample, count, chance, bool(directions)), shares, directions,
    )  # fmt: skip


def _told(
    rests: list[Rest], left: float, seen: float, sample: Sample, count: int, chance: float, named: bool
) -> str:
    steps = max(r.steps for r in rests)
    text = (
        f"{PROBES} random directions orthogonal to the orbit, {steps} steps of conjugate gradients on "
        f"{count} parameters and {sample.rows} outputs: a square of {left:.3g} is left in the mean"
    )
    if chance < CHANCE:  # chi-square of one degree of freedom is below r with a chance below (2 r / pi)^(1/2)
        return (
            f"{text}, so nothing is missing (were it, so little would be left with a chance of {chance:.0e})"
        )
    if named:
        return f"{text}: an upper estimate of what is missing; the directions named below are exact"
    if seen < SEEN:
        return (
            f"{text}, which the function does not see at all (by {seen:.0e}): an estimate of what is missing"
        )
    return f"{text}: an upper estimate; the function still sees it (by {seen:.0e}), so nothing is decided"


def _unseen(network: Network, theta: Weights, sample: Sample) -> Oracle:
    """Combinations that the differential does not see, at inputs with four times as many outputs."""
    each = max(1, sample.rows // len(sample.inputs))
    typical = float(push_forward(network, theta, sample.inputs[0], _some(theta)).norm())

    def oracle(directions: list[Weights]) -> Tensor:
        columns = columns_of(directions, theta)
        lengths = columns.norm(dim=0).clamp_min(1e-300)
        inputs = sample.inputs[: max(FEWEST_INPUTS, 4 * len(directions) // each + 1)]
        images = [
            torch.cat([push_forward(network, theta, x, c) for x in inputs])
            for c in (columns / lengths).unbind(1)
        ]
        return rescaled(combinations_within(torch.stack(images, dim=1) / typical, 1e-7), lengths)

    return oracle


def _some(theta: Weights) -> Tensor:
    u = torch.randn(flatten(theta).shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    direction: Tensor = u / u.norm()
    return direction


def _in_orbit(tangent: Tangent, theta: Weights, free: frozenset[str]) -> Oracle:
    """Combinations in the tangent space, up to movements of free parameters."""
    kept = mask(theta, free)

    def apply(x: Tensor) -> Tensor:
        return tangent.apply(x) * kept

    def adjoint(u: Tensor) -> Tensor:
        return tangent.adjoint(u * kept)

    def oracle(directions: list[Weights]) -> Tensor:
        columns = columns_of(directions, theta) * kept[:, None]
        lengths = columns.norm(dim=0).clamp_min(1e-300)
        rests = [project_off(apply, adjoint, c) for c in (columns / lengths).unbind(1)]
        return rescaled(combinations_within(torch.stack(rests, dim=1), 1e-6), lengths)

    return oracle
