"""Which parameter of a spec is typed wrongly, if one is.

Takes a group element that changes the function, gives a sentence: the function stays if one parameter does
not move, or moves another way. Each is tried at several points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qecompile.group_elements import Element, Part
from qecompile.model.moves import Word
from qecompile.model.network import Network
from qecompile.model.points import Point
from qecompile.spec import Axis


def blame(network: Network, g: Element, points: Sequence[Point], moves: Sequence[str]) -> str | None:
    """The one parameter that makes the function stay if it moves in another way, at all points."""
    others = {
        "stays as it is (charge 0, or another space)": network.group.identity(),
        "moves the other way (its dual)": _altered(g, dual=True),
        "moves twice as much (twice the charge)": _altered(g, dual=False),
    }
    for way, other in others.items():
        for name in moves:
            if all(_stays(network, g, other, point, name) for point in points):
                return f"it does not if `{name}` {way}"
    return None


def blame_still(
    network: Network, g: Element, points: Sequence[Point], word: Word, moves: Sequence[str]
) -> str | None:
    """The one parameter that makes the function stay if it moves, which it does not."""
    spec = network.spec
    for p in spec.parameters:
        if word.character is None or p.name in moves or all(a.space != word.space for a in p.axes):
            continue
        for charge in (1, -1, 2):
            axes = [_charged(a, word, charge) for a in p.axes]
            moved = [network.group.act_on(g, axes, point.theta[p.name]) for point in points]
            acted = [{**network.act(g, q.theta), p.name: t} for q, t in zip(points, moved, strict=True)]
            if all(q.error(network, t, g) <= q.tolerance for q, t in zip(points, acted, strict=True)):
                return f"it does not if `{p.name}` has charge {charge} there"
    return None


def _charged(axis: Axis, word: Word, charge: int) -> Axis:
    """The axis with another charge of the character of a word, if it is one of its space."""
    k = word.character
    if axis.space != word.space or k is None:
        return axis
    return axis.model_copy(update={"charges": (*axis.charges[:k], charge, *axis.charges[k + 1 :])})


def _stays(network: Network, g: Element, other: Element, point: Point, name: str) -> bool:
    """Whether the function stays if one parameter moves by another element."""
    mixed = {**network.act(g, point.theta), **network.group.act(other, {name: point.theta[name]})}
    return point.error(network, mixed, g) <= point.tolerance


def _altered(g: Element, *, dual: bool) -> Element:
    """The element with inverse characters and the inverse transposes of its matrices; or both squared."""
    power = -1 if dual else 2
    return Element(
        {
            name: Part(
                part.source,
                None if part.matrix is None else _powered(part.matrix, power),
                tuple(c**power for c in part.characters),
            )
            for name, part in g.parts.items()
        }
    )


def _powered(matrix: Tensor, power: int) -> Tensor:
    result: Tensor = torch.linalg.inv(matrix).mT if power < 0 else matrix @ matrix
    return result
