"""Covariant alpha-maps: what a group element that is conjugated along with the weights is made from.

Takes a factor and the plans of a network; gives a `CovariantMap`, or None if no features give one.

*Statement.* alpha(g . theta) = g alpha(theta) g^-1. A scale, a dilation or a rotation of a plane commutes
with the rest of its copy, so any number that is permuted with the copies will do: gamma comes from the
gauge-fixed features of the type whose axes are the indices that the factor depends on, or is a constant if
there is no such type. A matrix group needs a matrix that is conjugated:

    linear        I + t P Q^T for P covariant and Q contravariant, r columns each, divided by a root of
                  1 + |Q^T P|^2 together: the nonzero eigenvalues of P Q^T are then those of Q^T P, below 1;
    rotate,       K = S R - R S for the second moments S, R of two vectors, each over its norm and 1: the
    orthogonal    commutator of symmetric matrices is skew. Under reflections K turns like the rest.

All are continuous, and 0 where the features are; Q^T P and |S| are invariants. For `linear` no n x n matrix
is made or inverted: (I + t P Q^T)^-1 = I - t P (I + t Q^T P)^-1 Q^T. A change of basis of condition number k
that meets P Q^T costs a factor k^2 in rounding; P and Q one after the other cost k, as much as the network
itself whose weights they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from qecompile.plan.factors import Factor
from qecompile.plan.invariants import InvariantPlan
from qecompile.plan.nodes import Plan, PlanType, Side
from qecompile.spec import Spec

COLUMNS = 4
MOST_COLUMNS = 64


@dataclass(frozen=True, slots=True)
class Strand:
    """One vector axis of a type, the axes of its copies (outermost first), and the other axes."""

    type: PlanType
    axis: int
    parents: tuple[int, ...]
    rest: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LowRank:
    """P from one type and Q from its dual; their columns are the one other axis of both, or mixtures."""

    p: Strand
    q: Strand

    @property
    def columns(self) -> int:
        """How many columns P and Q have."""
        return self.p.type.axes[self.p.rest[0]].size if self.p.rest else COLUMNS

    def weights(self, channels: int) -> int:
        """Parameters that mix channels to P and Q."""
        height = self.p.type.height + self.q.type.height
        return height * channels * (1 if self.p.rest else COLUMNS)


@dataclass(frozen=True, slots=True)
class Commutator:
    """S and R, second moments of one type, summed over its other axes."""

    of: Strand

    def weights(self, channels: int) -> int:
        """Parameters that mix channels to the two vectors."""
        return 2 * self.of.type.height * channels


@dataclass(frozen=True, slots=True)
class CovariantMap:
    """How a covariant alpha is computed on one factor; `features` is None if gamma is a constant.

    `order` says where in the axes of `features` those of the lineage stand; `constants` is the shape of the
    constant, with 1 for a space that is permuted. `matrix` is None for numbers, and for turns of the plane.
    """

    factor: Factor
    features: PlanType | None
    order: tuple[int, ...]
    constants: tuple[int, ...]
    matrix: LowRank | Commutator | None = None

    @property
    def reads(self) -> tuple[PlanType, ...]:
        """The types whose features are read."""
        found = () if self.features is None else (self.features,)
        match self.matrix:
            case LowRank(p=p, q=q):
                return (*found, p.type, q.type)
            case Commutator(of=of):
                return (*found, of.type)
            case None:
                return found

    def weights(self, channels: int, hidden: int) -> int:
        """The number of parameters on so many channels."""
        count = prod(self.constants) * channels
        if self.features is not None:
            count = self.features.height * hidden + 2 * hidden * channels
        return count if self.matrix is None else count + channels + self.matrix.weights(channels)


def covariant_map(spec: Spec, layer: Plan, inv: InvariantPlan, f: Factor) -> CovariantMap | None:
    """How a covariant alpha is computed on a factor; None if no features give a matrix for it."""
    features = next((t for t in inv.neutral if _lies_on(t, f.lineage)), None)
    order: tuple[int, ...] = ()
    if features is not None:
        spaces = [a.space for a in features.axes]
        order = tuple(spaces.index(name) for name in f.lineage)
    constants = tuple(1 if spec.space[s].permuted else spec.space[s].size for s in f.lineage)
    plain = CovariantMap(f, features, order, constants)
    if not f.is_matrix or f.is_turn:
        return plain
    if f.word == "linear":
        products = sorted(_products(spec, inv, f), key=lambda m: (-len(m.p.rest), -m.columns, m.p.type.name))
        return replace(plain, matrix=products[0]) if products else None
    moments = sorted(_moments(spec, layer, inv, f), key=lambda m: (-_size(m.of), m.of.type.name))
    return replace(plain, matrix=moments[0]) if moments else None


def _lies_on(t: PlanType, lineage: tuple[str, ...]) -> bool:
    """Whether the axes of a type are the indices of the lineage, each once."""
    return sorted(a.space for a in t.axes) == sorted(lineage)


def _products(spec: Spec, inv: InvariantPlan, f: Factor) -> Iterator[LowRank]:
    """The pairs of dual types with one axis of the factor's space, the covariant one first."""
    for pair in inv.pairs:
        left, right = _strand(spec, pair.left, f), _strand(spec, pair.right, f)
        if left is None or right is None or len(left.rest) > 1 or _size(left) > MOST_COLUMNS:
            continue
        if not (left.rest and _size(left) == 1):
            yield LowRank(right, left) if pair.left.axes[left.axis].contra else LowRank(left, right)


def _moments(spec: Spec, layer: Plan, inv: InvariantPlan, f: Factor) -> Iterator[Commutator]:
    """The types without charges with one axis of the factor's space, which have two vectors to offer."""
    for t in inv.read:
        found = _strand(spec, t, f)
        if found is not None and not _is_charged(t) and _count_features(layer, t, f.lineage) > 1:
            yield Commutator(found)


def _is_charged(t: PlanType) -> bool:
    """Whether a character acts on the features of a type."""
    return any(any(kind.charges) for _, kind in t.key) or not all(a.neutral for a in t.axes)


def _strand(spec: Spec, t: PlanType, f: Factor) -> Strand | None:
    """The one axis of a type on the factor's space, if norms over the axes beside it make sense.

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
    rest = tuple(k for k in range(len(t.axes)) if k not in (*strands, *parents))
    if any(not t.axes[k].neutral or spec.space[t.axes[k].space].vector == "linear" for k in rest):
        return None
    return Strand(t, strands[0], tuple(parents), rest)


def _size(s: Strand) -> int:
    """How many entries the axes beside the vector axis and its copies have."""
    return prod(s.type.axes[k].size for k in s.rest)


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
