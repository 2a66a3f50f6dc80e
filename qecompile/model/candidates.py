"""Discrete symmetries that a spec leaves out: index values that could change places, signs that could flip.

Takes a `Network`, gives `Candidate`s. For every index space that is not permuted, two of its index values
change places in all parameters that have the space: all pairs if there are few, else neighbours, at most
`MOST_PAIRS`. For every index space without `sign`, one index value is negated in each subset of the axes of
the space (of many axes: in all, and in all but one), at the first and at the last index value; axes along
which that alone does nothing are left out. Under `rotate` a reflection is tried. What keeps the function at
two generic points is a candidate: a test that can be wrong only where a difference is within rounding. What
needs two spaces to move at once, or other subsets, is not found.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from qecompile.group_action import transform
from qecompile.group_elements import Part, identity_part
from qecompile.groups import Group
from qecompile.model.network import Network, Weights
from qecompile.model.points import Point
from qecompile.nesting import ancestors, copy_shapes, lineage
from qecompile.spec import Space, Spec

MOST_PAIRS = 32
MOST_AXES = 8
Position = tuple[str, int]
"""A parameter and the number of one of its axes."""


@dataclass(frozen=True)
class Candidate:
    """A word that the space could have, and what was seen."""

    space: str
    word: str
    text: str


def find_candidates(network: Network, points: Sequence[Point]) -> tuple[Candidate, ...]:
    """What keeps the function at all points, space by space."""
    found: list[Candidate] = []
    for s in network.spec.spaces:
        positions = positions_of(network.spec, s.name)
        if not positions:
            continue
        if s.vector is None and not s.permuted and s.size > 1:
            found += _exchanges(network, s, points)
        signed = "sign" in {c.word for c in s.characters} or _holds_vectors(network.spec, s)
        if not s.is_vector and not signed:
            found += _signs(network, s, positions, points)
        if s.vector == "rotate" and s.size > 1:
            found += _reflection(network, s, points)
    return tuple(found)


def positions_of(spec: Spec, space: str) -> list[Position]:
    """Every axis of a space, in all parameters."""
    return [(p.name, k) for p in spec.parameters for k, a in enumerate(p.axes) if a.space == space]


def _holds_vectors(spec: Spec, s: Space) -> bool:
    """Whether a matrix group acts inside of each index value, which -1 is in or near."""
    return any(t.vector and s.name in ancestors(spec, t.name) for t in spec.spaces)


def _keeps(network: Network, points: Sequence[Point], moved: Sequence[Weights]) -> bool:
    return all(p.error(network, theta) <= p.tolerance for p, theta in zip(points, moved, strict=True))


# Exchanges


def _exchanges(network: Network, s: Space, points: Sequence[Point]) -> Iterator[Candidate]:
    pairs = [*combinations(range(s.size), 2)]
    if len(pairs) > MOST_PAIRS:
        neighbours = [(i, i + 1) for i in range(s.size - 1)]
        pairs = neighbours[:: math.ceil(len(neighbours) / MOST_PAIRS)]
    kept = [
        pair for pair in pairs if _keeps(network, points, [_swapped(network, s, pair, p) for p in points])
    ]
    if not kept:
        return
    shown = ", ".join(f"{i} and {j}" for i, j in kept[:4]) + (", ..." if len(kept) > 4 else "")
    which = "any two index values" if len(kept) == len(pairs) else f"the index values {shown}"
    text = f"{which} of `{s.name}` can change places ({len(kept)} of {len(pairs)} pairs tried)"
    yield Candidate(s.name, "permute", text)


def _swapped(network: Network, s: Space, pair: tuple[int, int], point: Point) -> Weights:
    order = torch.arange(s.size)
    order[list(pair)] = order[list(reversed(pair))]
    copies = copy_shapes(network.spec)[s.name]
    identity = identity_part(s, copies)
    part = Part(order.expand(*copies, s.size), identity.matrix, identity.characters)
    return _moved_by(network, s, part, point)


def _moved_by(network: Network, s: Space, part: Part, point: Point) -> Weights:
    spec = network.spec
    parts = Group(spec).with_parts({s.name: part}).parts
    return {
        name: transform(spec.space, parts, spec.params[name].axes, t.unsqueeze(-1)).squeeze(-1)
        for name, t in point.theta.items()
    }


# Signs


def _signs(
    network: Network, s: Space, positions: Sequence[Position], points: Sequence[Point]
) -> Iterator[Candidate]:
    def keeps(chosen: Sequence[Position], factor: float = -1.0) -> bool:
        return all(
            _keeps(network, points, [multiplied(network, chosen, i, factor, p.theta) for p in points])
            for i in {0, s.size - 1}
        )

    alone = [q for q in positions if keeps([q])]
    even = [q for q in alone if not keeps([q], 2.0)]  # the others have no influence
    for chosen in [*((q,) for q in even), *_subsets([q for q in positions if q not in alone])]:
        if keeps(chosen):
            named = ", ".join(dict.fromkeys(f"`{name}`" for name, _ in chosen))
            text = f"an index value of `{s.name}` can change its sign, in {named}"
            yield Candidate(s.name, "sign", text)
            return


def _subsets(positions: Sequence[Position]) -> Iterator[tuple[Position, ...]]:
    """All at first, then the others, largest first."""
    if len(positions) < 2:
        return
    sizes = range(len(positions), 1, -1)
    for size in sizes if len(positions) <= MOST_AXES else (len(positions), len(positions) - 1):
        yield from combinations(positions, size)


def multiplied(
    network: Network, chosen: Sequence[Position], value: int, factor: float, theta: Weights
) -> Weights:
    """The weights with one index value multiplied along some axes, in the first copy of the space."""
    moved = dict(theta)
    for name, k in chosen:
        moved[name] = moved[name].clone()
        moved[name][slice_at(network.spec, (name, k), value)] *= factor
    return moved


def slice_at(spec: Spec, position: Position, value: int) -> tuple[int | slice, ...]:
    """Where an axis has an index value, in the first copy of its space."""
    name, k = position
    axes = spec.params[name].axes
    around = lineage(axes, k)
    return tuple(value if i == k else 0 if i in around else slice(None) for i in range(len(axes)))


def _reflection(network: Network, s: Space, points: Sequence[Point]) -> Iterator[Candidate]:
    copies = copy_shapes(network.spec)[s.name]
    matrix = torch.eye(s.size, dtype=torch.float64).expand(*copies, s.size, s.size).clone()
    matrix[..., 0, 0] = -1
    part = Part(None, matrix, identity_part(s, copies).characters)
    if _keeps(network, points, [_moved_by(network, s, part, p) for p in points]):
        text = f"`{s.name}` can be reflected, not only rotated"
        yield Candidate(s.name, "orthogonal", text)
