"""The kernel of the differential against the orbit, for many parameters: by conjugate gradients.

Takes a `Network`, gives a `Maximality`. What is left of random directions orthogonal to the orbit
(`unseen.py`) tells how much is missing. Very little left shows, with the stated probability, that nothing is;
in between nothing is decided, and the rest is an upper estimate. If anything may be missing, the forms of
`directions.py` are tried: one that is found is missing for certain, up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from qecompile.model.directions import Direction, Oracle, columns_of, name_directions
from qecompile.model.kernel import Weights
from qecompile.model.maximality import Maximality, mask, rescaled, shares_of
from qecompile.model.network import Drawn, Network
from qecompile.model.rows import combinations_within
from qecompile.model.tangent import Tangent, flatten, project_off
from qecompile.model.unseen import Rest, Sample, push_forward, remove_seen, sampled_differential

PROBES = 3

STEPS = 400

PASSES = 40_000
"""Runs of the network, forward and backward, that conjugate gradients may take for one probe."""

SEEN = 1e-3

FEWEST = 50
"""Steps with fewer of which conjugate gradients are not tried: only known forms are."""

WORK = 10**9
"""Parameters times inputs times steps, for one probe: half an hour at the most."""

FEW_ENTRIES, LEAST_OUTPUTS, MOST_OUTPUTS, MOST_INPUTS = 32, 128, 8192, 256

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
    outputs = network.values(theta, network.draw(generator)).numel()
    inputs = -(-2 * count // outputs)
    steps = min(STEPS, PASSES // (2 * inputs), WORK // (inputs * count))
    rows = 2 * count if steps >= FEWEST else min(2 * count, MOST_INPUTS * outputs, MOST_OUTPUTS)
    sample = sampled_differential(network, theta, rows, generator)
    rests = [_rest(tangent, sample, steps, generator) for _ in range(PROBES if steps >= FEWEST else 0)]
    chance = math.prod(min(1.0, math.sqrt(2 * r.square / math.pi)) for r in rests)
    missing = round(sum(r.square for r in rests) / PROBES)

    def orbit(free: frozenset[str]) -> Oracle:
        return _in_orbit(tangent, theta, free)

    directions: tuple[Direction, ...] = ()
    if missing or not rests:
        kernel = _unseen(network, theta, sample)
        directions = name_directions(network.spec, theta, kernel, orbit, FEW_ENTRIES)
    if not rests:
        return _named_only(declared, count, directions)
    left = torch.stack([r.direction / sample.lengths for r in rests], dim=1)
    return Maximality(
        declared + missing,
        declared,
        chance < CHANCE or bool(directions),
        "conjugate gradients",
        _told(rests, sample, count, chance, bool(directions)),
        shares_of(theta, left) if missing else {},
        directions,
    )


def _rest(tangent: Tangent, sample: Sample, steps: int, generator: torch.Generator) -> Rest:
    """What is left of a random direction orthogonal to the orbit."""
    z = torch.randn(sample.lengths.shape, generator=generator, dtype=torch.float64)

    def apply(x: Tensor) -> Tensor:
        return tangent.apply(x) * sample.lengths

    def adjoint(u: Tensor) -> Tensor:
        return tangent.adjoint(u * sample.lengths)

    return remove_seen(sample, project_off(apply, adjoint, z), steps)


def _named_only(declared: int, count: int, directions: tuple[Direction, ...]) -> Maximality:
    """What is found without an estimate: at least the largest family of directions that has a name."""
    least = max((d.dims for d in directions), default=0)
    detail = f"{count} parameters are too many to estimate the kernel: only known forms were tried"
    detail += f", of which one family has {least} dimensions" if directions else ", and none is missing"
    return Maximality(declared + least, declared, bool(directions), "known forms", detail, {}, directions)


def _told(rests: list[Rest], sample: Sample, count: int, chance: float, named: bool) -> str:
    left = sum(r.square for r in rests) / PROBES
    seen = max(r.seen for r in rests)
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
    """Combinations that the differential does not see: few inputs refute most, all of them the others."""
    each = max(1, sample.rows // len(sample.inputs))
    typical = float(push_forward(network, theta, sample.inputs[0], _some(theta)).norm())

    def images(columns: Iterable[Tensor], inputs: Sequence[Drawn]) -> Tensor:
        found = [torch.cat([push_forward(network, theta, x, c) for x in inputs]) for c in columns]
        return torch.stack(found, dim=1) / typical

    def oracle(directions: list[Weights]) -> Tensor:
        lengths = torch.stack([columns_of([d], theta).norm() for d in directions]).clamp_min(1e-300)

        def columns() -> Iterator[Tensor]:
            return (columns_of([d], theta)[:, 0] / n for d, n in zip(directions, lengths, strict=True))

        if sample.rows < 2 * len(directions):
            return torch.zeros(len(directions), 0, dtype=torch.float64)  # too little to tell
        few = max(2, -(-(4 * len(directions) + LEAST_OUTPUTS) // each))
        found = combinations_within(images(columns(), sample.inputs[:few]), 1e-7)
        others = sample.inputs[few : few + MOST_INPUTS]
        if found.shape[1] and others:
            combined = torch.stack([c[:, None] * found[k] for k, c in enumerate(columns())]).sum(0)
            found = found @ combinations_within(images(combined.unbind(1), others), 1e-7)
        return rescaled(found, lengths)

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
