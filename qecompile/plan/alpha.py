"""How a network computes its alpha-map: its factors, its statistics, and how wide it is.

Takes a `Spec`, an `alpha` clause and the plans of a network; gives an `AlphaPlan`. `qecompile/alpha.py` says
which group elements are reached and why they are such; `covariant.py`, how the covariant family gets there.

*Raw* families (`shared`, `independent`): gamma is any continuous function of theta. A small network turns
statistics of every tensor into a few coefficients per factor, and cosines of the position spread them over
copies, index values and matrix entries, so that its size does not grow with the group.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from qecompile.plan.covariant import CovariantMap, LowRank, covariant_map
from qecompile.plan.factors import Factor, continuous_factors
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import Plan
from qecompile.spec import Alpha, Spec

EPSILON = 0.1
STATISTICS = ("mean", "var", "q25", "q50", "q75")
HIDDEN = (16, 8, 4, 2)
COVARIANT_HIDDEN = 4
SHARE = 0.04


@dataclass(frozen=True, slots=True)
class AlphaPlan:
    """An alpha clause, decided: its numbers, and the factors that it moves.

    `maps` has one entry per factor in the covariant family, and none otherwise. `idle` are the labels of the
    continuous factors that stay the identity, for want of a covariant map; `inputs` is the number of
    statistics, and `codes` that of learned code values that a covariant alpha has of its own.
    """

    family: Literal["shared", "covariant", "independent"]
    epsilon: float
    statistics: tuple[str, ...]
    hidden: int
    factors: tuple[Factor, ...]
    maps: tuple[CovariantMap, ...]
    idle: tuple[str, ...]
    inputs: int
    codes: int

    @property
    def low_rank(self) -> dict[str, LowRank]:
        """The factors, by label, whose matrices are I + t P Q^T and kept in these parts."""
        return {m.factor.label: m.matrix for m in self.maps if isinstance(m.matrix, LowRank)}

    @property
    def identities(self) -> tuple[int, ...]:
        """The sizes of the identity matrices that are needed."""
        sizes = {f.size for f in self.factors if f.is_matrix}
        return tuple(sorted(sizes | {r.columns for r in self.low_rank.values()}))

    @property
    def reads(self) -> frozenset[str]:
        """The names of the types whose gauge-fixed features are read."""
        return frozenset(t.name for m in self.maps for t in m.reads)

    def weights(self, channels: int) -> int:
        """The number of parameters of one alpha-map on so many channels."""
        h = self.hidden
        if self.family == "covariant":
            return sum(m.weights(channels, h) for m in self.maps) + self.codes
        return (self.inputs + 1) * h + sum((h + 1) * prod(f.ranks) for f in self.factors)


def plan_alpha(
    spec: Spec, alpha: Alpha, layer: Plan, inv: InvariantPlan, layer_weights: int, layers: int
) -> AlphaPlan:
    """Decide an alpha-map; `layer_weights` are those of all `layers`, of which it takes a small share."""
    options = dict(alpha.options)
    factors = continuous_factors(spec)
    maps: tuple[CovariantMap, ...] = ()
    if alpha.family == "covariant":
        maps = tuple(m for f in factors if (m := covariant_map(spec, layer, inv, f)) is not None)
    moved = tuple(m.factor for m in maps) if alpha.family == "covariant" else factors
    idle = tuple(f.label for f in factors if f not in moved)
    statistics = _statistics(options.get("stats", STATISTICS))
    epsilon = options.get("epsilon", default_epsilon(factors, alpha.family))
    inputs = len(statistics) * len(spec.parameters)
    plan = AlphaPlan(alpha.family, _number(epsilon), statistics, 0, moved, maps, idle, inputs, codes=0)
    if plan.reads:
        plan = replace(plan, codes=sum(c.size * c.rank for c in inv.plan.codes if c.mode == "lowrank"))
    return _sized(plan, options.get("hidden"), layer_weights, layers)


def _sized(plan: AlphaPlan, hidden: object, layer_weights: int, layers: int) -> AlphaPlan:
    """The plan with the width of its network: what the clause says, or the largest within its share."""
    if hidden is not None:
        return replace(plan, hidden=int(_number(hidden)))
    if plan.family == "covariant":
        return replace(plan, hidden=COVARIANT_HIDDEN)
    sized = [replace(plan, hidden=h) for h in HIDDEN]
    return next((p for p in sized if p.weights(1) * layers <= SHARE * layer_weights), sized[-1])


def default_epsilon(factors: tuple[Factor, ...], family: str) -> float:
    """A tenth, or half the bound of the largest `linear` space where that is less."""
    sizes = [f.size for f in factors if f.word == "linear"]
    if family == "covariant" or not sizes:
        return EPSILON
    return min(EPSILON, 0.5 / max(sizes))


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _statistics(value: object) -> tuple[str, ...]:
    assert isinstance(value, tuple)
    return tuple(dict.fromkeys(value))
