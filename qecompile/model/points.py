"""Weights and inputs at which differences of the network's function are judged.

Takes a `Network`, gives `Point`s.

*Tolerance.* Differences are relative to `scale`: how much f varies when theta does, or its largest number
where that is smaller. Rounding moves a number by 2^-53 of itself, and f by that times its condition: so the
condition is measured, as the change of f under random relative changes of theta by 1e-8, at theta and at
g.theta, and a difference counts if it is more than 2^-52 * 2^12 * (condition + largest/scale). The factor
2^12 is for sums over up to about 2^24 roundings (they add up like a random walk). A wrong charge, a wrong
dual or a permutation that is none give differences of the order of 1: the space between is reported as
`tolerance` against `max_error`. If the tolerance is above 1e-4, nothing is decided, and that is an error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.group_elements import Element
from qecompile.model.finding import refuse
from qecompile.model.network import Drawn, Network, Weights, typical_size

MARGIN = 2.0**12 * 2.0**-52

WORST_TOLERANCE = 1e-4

STEP = 1e-8


@dataclass(frozen=True)
class Point:
    """Weights, inputs, what the network gives, how much that varies, and what rounding may change of it."""

    theta: Weights
    inputs: Drawn
    output: Tensor
    scale: float
    condition: float

    @property
    def tolerance(self) -> float:
        """The largest difference that rounding explains, relative to `scale`."""
        return MARGIN * (self.condition + float(self.output.abs().max()) / self.scale)

    def error(self, network: Network, theta: Weights, g: Element | None = None) -> float:
        """How far other weights take the output, relative to `scale`; the largest float if to no number.

        Args:
            network: the network.
            theta: the weights.
            g: the element that moves the output along, if it has an axis that does.
        """
        with torch.no_grad():
            other = network(theta, self.inputs)
        if other.shape != self.output.shape or not bool(other.isfinite().all()):
            return sys.float_info.max
        return float((other - network.follow(g, self.output)).abs().max()) / self.scale


def make_point(network: Network, generator: torch.Generator, *, own: bool = False) -> Point:
    """Weights and inputs with what is needed to judge differences there.

    Args:
        network: the network.
        generator: where numbers come from.
        own: take the weights of the network as it was made, not those near it.

    Raises:
        SymError: two calls differ, the output does not vary with the weights, or it cannot be judged.
    """
    model = network.model
    theta = network.weights if own else network.other_weights(generator)
    inputs = network.draw(generator)
    y, again = network.values(theta, inputs), network.values(theta, inputs)
    if y.shape != again.shape or float((y - again).abs().max()) > 1e-12 * float(y.abs().max()):
        help = "a model gives the same for the same weights and inputs: no dropout, no noise, no memory"
        refuse("QE306", model, f"two calls of `{model.target}` with the same input differ", help)
    other = network.values(network.other_weights(generator), inputs)
    varied = float((other - y).abs().max()) if other.shape == y.shape else float(y.abs().max())
    largest = float(y.abs().max())
    if not varied:
        help = "see that the `from` clauses name the weights that the model uses"
        refuse(
            "QE307", model, f"what `{model.target}` gives does not depend on the parameters of the spec", help
        )
    scale = min(varied, largest) if largest else varied
    moved = network.act(network.group.sample(generator), theta)
    condition = _condition(network, theta, inputs, scale, generator)
    with torch.no_grad():
        finite = bool(network(moved, inputs).isfinite().all())
    if finite:  # else the group does not preserve the function, which is found soon
        condition = max(condition, _condition(network, moved, inputs, scale, generator))
    point = Point(theta, inputs, y, scale, condition)
    if point.tolerance > WORST_TOLERANCE:
        help = "the network is too sensitive at these weights: draw smaller inputs, or name a checkpoint"
        refuse("QE308", model, f"rounding changes what `{model.target}` gives by {point.tolerance:.0e}", help)
    return point


def _condition(
    network: Network, theta: Weights, inputs: Drawn, scale: float, generator: torch.Generator
) -> float:
    """How much the output changes, relative to `scale`, for a relative change of the weights.

    A float64 function is straight at this distance. One that goes in steps has float32 or less inside, where
    differences as small as the tolerance mean nothing.
    """
    along = {
        n: torch.randn(t.shape, generator=generator, dtype=t.dtype).sign() * (t.abs() + typical_size(t)) / 2
        for n, t in theta.items()
    }

    def at(step: float) -> Tensor:
        return network.values({n: t + step * along[n] for n, t in theta.items()}, inputs)

    before, middle, after = at(-STEP), at(0.0), at(STEP)
    if not before.shape == middle.shape == after.shape:
        return 0.0
    change = float((after - before).abs().max())
    if float((after - 2 * middle + before).abs().max()) > 0.1 * change or not change:
        model = network.model
        help = "in float64 it would change evenly: see whether it computes in float32 somewhere, or rounds"
        refuse("QE308", model, f"`{model.target}` goes in steps when its weights change by {STEP:.0e}", help)
    return change / (2 * STEP * scale)
