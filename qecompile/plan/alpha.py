"""How a network computes its alpha-map: the continuous factors of the group, and what each is made from.

Takes a `Spec`, an `alpha` clause and the plan of its invariants; gives an `AlphaPlan`. `alpha.py` says which
group elements are reached, and why they are group elements.

*Raw* families (`shared`, `independent`): gamma is any continuous function of theta. A small network turns
statistics of every tensor into a few coefficients per factor, and cosines of the position spread them over
copies, index values and matrix entries, so that its size does not grow with the group.

*Covariant*: alpha(g . theta) = g alpha(theta) g^-1. A scale, a dilation or a rotation of a plane commutes
with the rest of its copy, so any number that is permuted with the copies will do: gamma comes from the
gauge-fixed features of the type whose axes are the indices that the factor depends on, or is a constant if
there is no such type. A matrix group needs a matrix that transforms by conjugation, made from features:

    linear        E = P Q^T for P covariant and Q contravariant, contracted over all other axes, divided by
                  sqrt(1 + |Q^T P|^2): the nonzero eigenvalues of P Q^T are those of Q^T P, at most |Q^T P|;
    rotate,       K = S R - R S for the second moments S, R of two vectors, each over its norm and 1: the
    orthogonal    commutator of symmetric matrices is skew. Under reflections K turns like the rest.

Both are continuous, and 0 where the features are; Q^T P and |S| are invariants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from qecompile.alpha import has_alpha
from qecompile.nesting import ancestors
from qecompile.plan.gauge import axes_along
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.spec import Alpha, Space, Spec

EPSILON = 0.1
STATISTICS = ("mean", "var", "q25", "q50", "q75")
HIDDEN = (16, 8, 4, 2)
COVARIANT_HIDDEN = 4
MOST_COEFFICIENTS = 32
MOST_CONTRACTED = 512
SHARE = 0.04


@dataclass(frozen=True, slots=True)
class Move:
    """How a factor acts on one axis of a parameter: by a power, or by its matrix.

    `contra` says that the inverse transpose of the matrix acts.
    `along` are the axes that say which copy acts, those of the factor's lineage, outermost first.
    """

    param: str
    axis: int
    along: tuple[int, ...]
    charge: int = 0
    contra: bool = False


@dataclass(frozen=True, slots=True)
class Factor:
    """A continuous factor of the group: one character of a space, or its matrices (`character` is None).

    There is one number or matrix for every index value of the spaces in `lineage`.
    """

    label: str
    space: str
    word: str
    character: int | None
    size: int
    lineage: tuple[str, ...]
    copies: tuple[int, ...]
    moves: tuple[Move, ...]

    @property
    def is_matrix(self) -> bool:
        """Whether the elements are matrices."""
        return self.character is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the numbers that parametrise it."""
        return (*self.copies, self.size, self.size) if self.is_matrix else self.copies

    @property
    def ranks(self) -> tuple[int, ...]:
        """How many cosines of the position each axis of `shape` gets, within `MOST_COEFFICIENTS` together."""
        for rank in (4, 3, 2):
            ranks = tuple(min(n, rank) for n in self.shape)
            if prod(ranks) <= MOST_COEFFICIENTS:
                return ranks
        return tuple(min(n, 2) if k < 5 else 1 for k, n in enumerate(self.shape))


@dataclass(frozen=True, slots=True)
class Endomorphism:
    """Two types that contract to a matrix over all but vector axis `strand` of `left` and what it meets.

    Axis k of `left` meets axis `match[k]` of `right`; the first `parents` are the indices of the copies.
    """

    left: PlanType
    right: PlanType
    match: tuple[int, ...]
    strand: int
    parents: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CovariantMap:
    """How a covariant alpha is computed on one factor; `features` is None if gamma is a constant.

    `order` says where in the axes of `features` those of the lineage stand; `constants` is the shape of the
    constant, with 1 for a space that is permuted.
    """

    factor: Factor
    features: PlanType | None
    order: tuple[int, ...]
    matrix: Endomorphism | None
    constants: tuple[int, ...]


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
    def reads(self) -> frozenset[str]:
        """The names of the types whose gauge-fixed features are read."""
        found = {m.features.name for m in self.maps if m.features is not None}
        pairs = [m.matrix for m in self.maps if m.matrix is not None]
        return frozenset(found | {t.name for e in pairs for t in (e.left, e.right)})

    def weights(self, channels: int) -> int:
        """The number of parameters of one alpha-map on so many channels."""
        h = self.hidden
        if self.family == "covariant":
            return sum(_covariant_weights(m, channels, h) for m in self.maps) + self.codes
        return (self.inputs + 1) * h + sum((h + 1) * prod(f.ranks) for f in self.factors)


def continuous_factors(spec: Spec) -> tuple[Factor, ...]:
    """The continuous factors of the group that act on some parameter, in order of declaration."""
    found = [f for s in spec.spaces if has_alpha(s) for f in _factors(spec, s)]
    return tuple(f for f in found if f.moves)


def _factors(spec: Spec, s: Space) -> Iterator[Factor]:
    above = ancestors(spec, s.name)
    words: list[tuple[str, int | None]] = []
    if s.vector == "linear" or (s.vector is not None and s.size > 1):
        words.append((s.vector, None))
    words += [(c.word, k) for k, c in enumerate(s.characters) if c.word != "sign"]
    for word, character in words:
        lineage = (*above, s.name) if word == "scale" else above
        name = word if character is None else s.characters[character].name
        yield Factor(
            s.name if len(words) == 1 else f"{s.name}.{name}",
            s.name,
            word,
            character,
            s.size,
            lineage,
            tuple(spec.space[name].size for name in lineage),
            tuple(_moves(spec, s, character)),
        )


def _moves(spec: Spec, s: Space, character: int | None) -> Iterator[Move]:
    for p in spec.parameters:
        for k, axis in enumerate(p.axes):
            if axis.space != s.name:
                continue
            if character is None:
                yield Move(p.name, k, axes_along(spec, p, k), contra=axis.dual and s.vector == "linear")
            elif axis.charges[character]:
                yield Move(p.name, k, axes_along(spec, p, k), charge=axis.charges[character])


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


# Covariant maps


def covariant_map(spec: Spec, layer: Plan, inv: InvariantPlan, f: Factor) -> CovariantMap | None:
    """How a covariant alpha is computed on a factor; None if no features give a matrix for it."""
    features = next((t for t in inv.neutral if _lies_on(t, f.lineage)), None)
    order: tuple[int, ...] = ()
    if features is not None:
        spaces = [a.space for a in features.axes]
        order = tuple(spaces.index(name) for name in f.lineage)
    constants = tuple(1 if spec.space[s].permuted else spec.space[s].size for s in f.lineage)
    if not f.is_matrix or (f.word == "rotate" and f.size == 2):
        return CovariantMap(f, features, order, None, constants)
    found = _products(spec, inv, f) if f.word == "linear" else _moments(spec, layer, inv, f)
    richest = max(found, key=lambda e: (_contracted(e), e.left.name), default=None)
    return None if richest is None else CovariantMap(f, features, order, richest, constants)


def _lies_on(t: PlanType, lineage: tuple[str, ...]) -> bool:
    """Whether the axes of a type are the indices of the lineage, each once."""
    return sorted(a.space for a in t.axes) == sorted(lineage)


def _products(spec: Spec, inv: InvariantPlan, f: Factor) -> Iterator[Endomorphism]:
    """The pairs of dual types with one axis of the factor's space, the covariant one first."""
    for pair in inv.pairs:
        found = _strand(spec, pair.left, f)
        if found is None:
            continue
        strand, parents = found
        e = Endomorphism(pair.left, pair.right, pair.match, strand, parents)
        e = e if not pair.left.axes[strand].contra else _turned(e)
        if _contracted(e) <= MOST_CONTRACTED:
            yield e


def _turned(e: Endomorphism) -> Endomorphism:
    """The same two types in the other order."""
    match = tuple(e.match.index(k) for k in range(len(e.match)))
    return Endomorphism(e.right, e.left, match, e.match[e.strand], tuple(e.match[k] for k in e.parents))


def _moments(spec: Spec, layer: Plan, inv: InvariantPlan, f: Factor) -> Iterator[Endomorphism]:
    """The types without charges with one axis of the factor's space, which have two vectors to offer."""
    for t in inv.read:
        found = _strand(spec, t, f)
        if found is not None and not _is_charged(t) and _count_features(layer, t, f.lineage) > 1:
            yield Endomorphism(t, t, tuple(range(len(t.axes))), *found)


def _is_charged(t: PlanType) -> bool:
    """Whether a character acts on the features of a type."""
    return any(any(kind.charges) for _, kind in t.key) or not all(a.neutral for a in t.axes)


def _strand(spec: Spec, t: PlanType, f: Factor) -> tuple[int, tuple[int, ...]] | None:
    """The one axis of a type on the factor's space and its ancestors, if norms over the others make sense.

    They do where no charge and no `linear` matrix acts on any of them.
    """
    strands = [k for k, a in enumerate(t.axes) if a.space == f.space]
    if len(strands) != 1:
        return None
    parents: list[int] = []
    k = t.axes[strands[0]].parent
    while k >= 0:
        parents.insert(0, k)
        k = t.axes[k].parent
    for k, a in enumerate(t.axes):
        if k not in (*strands, *parents) and (not a.neutral or spec.space[a.space].vector == "linear"):
            return None
    return strands[0], tuple(parents)


def _contracted(e: Endomorphism) -> int:
    """How many entries the two types are contracted over."""
    return prod(a.size for k, a in enumerate(e.left.axes) if k != e.strand and k not in e.parents)


def _count_features(layer: Plan, t: PlanType, copies: tuple[str, ...]) -> int:
    """How many independent features of a type a layer computes, up to the scales that the gauge removes.

    Each is a row of the layer, expanded to a parameter and reduced to the type; two that keep the same axes
    of the same parameter are one. `copies` are the spaces whose indices are kept apart anyway.
    """
    found: dict[object, int] = {}
    for row in t.rows:
        for source in layer.types:
            for column in (c for c in source.columns if c.param == row.param):
                own = prod(source.axes[k].size for k in source.own if source.axes[k].space not in copies)
                for first in source.rows:
                    count = first.multiplicity * row.multiplicity * own
                    found[_composite(first, column, row)] = count
    return sum(found.values())


def _composite(first: Side, column: Side, row: Side) -> object:
    """What is left of a parameter after a row of the layer, a column, and a row of a type."""
    carried = []
    for group in row.through:
        inner = [k for k, through in enumerate(column.through) if set(through) & set(group)]
        carried.append(tuple(sorted(p for k in inner for p in first.through[k])))
    return first.param, tuple(carried), first.spread, row.spread, first.pairs, first.epsilons


def _covariant_weights(m: CovariantMap, channels: int, hidden: int) -> int:
    """Parameters of the map of one factor on so many channels."""
    count = prod(m.constants) * channels
    if m.features is not None:
        count = m.features.height * hidden + 2 * hidden * channels
    if m.matrix is not None:
        count += (m.matrix.left.height + m.matrix.right.height + 1) * channels
    return count
