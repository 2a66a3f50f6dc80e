"""Whether the declared group leaves the function of the user's network alone: f(x; g.theta) = f(x; theta).

Takes a `Network`, gives a `Preservation`. For several theta and x, in float64: first every word of every
space by itself, at all its places at once; then all of the group together. A word that fails is tried at
single places, so that the failure names one generator, and with single parameters held back or moved the
other way, so that it can say which type is wrong.

What it can show: a generic theta and generic g refute a group that is too large with probability 1 (f
analytic or piecewise analytic: the g.theta that keep f are a null set). It is a sample, not a proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from qecompile.group_elements import Element
from qecompile.model.blame import blame, blame_still
from qecompile.model.moves import Move, Word, broad_move, single_moves, words
from qecompile.model.network import Network
from qecompile.model.points import Point, make_point

THETAS = 3
EPSILON_SIZED = 1e-3
"""Below this a difference may come from an epsilon, as norms have it."""


@dataclass(frozen=True)
class Failure:
    """A generator that changes the function.

    Attributes:
        space: whose word it is.
        word: the word, as in `scale(pre)`.
        where: the place, as in `index value 3`; empty if it takes all of them.
        error: how much the function changes, relative to its variation.
        moves: the parameters that it moves.
        hint: what would mend it, if that was found.
    """

    space: str
    word: str
    where: str
    error: float
    moves: tuple[str, ...]
    hint: str | None

    def __str__(self) -> str:
        at = f" at {self.where}" if self.where else ""
        named = ", ".join(f"`{name}`" for name in self.moves[:6]) + (", ..." if len(self.moves) > 6 else "")
        which = f"`{self.word}` of `{self.space}`{at}, which moves {named},"
        text = f"{which} changes the function by {self.error:.1e}"
        return f"{text}: {self.hint}" if self.hint else text


@dataclass(frozen=True)
class Preservation:
    """What was found: the largest difference, what rounding explains, how much was tried, what failed."""

    max_error: float
    tolerance: float
    condition: float
    words: int
    elements: int
    thetas: int
    failures: tuple[Failure, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing changed the function."""
        return not self.failures


def check_preserved(network: Network, seed: int = 0) -> Preservation:
    """Try every generator of the group of the spec on its network.

    Raises:
        SymError: the network cannot be run, is not deterministic, or does not depend on its weights.
    """
    generator = torch.Generator().manual_seed(seed)
    kinds = [*words(network.spec)]
    worst = tolerance = condition = 0.0
    elements, failed = 0, dict[Word, Failure]()
    for number in range(THETAS):
        point = make_point(network, generator, own=number == 0)
        condition, tolerance = max(condition, point.condition), max(tolerance, point.tolerance)
        for word, g in _elements(network, kinds, generator):
            elements += 1
            error = point.error(network, network.act(g, point.theta, word.space if word else None), g)
            worst = max(worst, error)
            if error > point.tolerance and word is not None and word not in failed:
                failed[word] = _locate(network, word, point, error, generator)
            if error > point.tolerance and word is None and not failed:
                moved = tuple(network.spec.params)
                failed[Word("", "")] = Failure("all spaces", "all words", "", error, moved, None)
    return Preservation(worst, tolerance, condition, len(kinds), elements, THETAS, tuple(failed.values()))


def _elements(
    network: Network, kinds: Sequence[Word], generator: torch.Generator
) -> Iterator[tuple[Word | None, Element]]:
    for word in kinds:
        yield word, broad_move(network.spec, word, generator).element
    yield None, network.group.sample(generator)


def _locate(network: Network, word: Word, point: Point, error: float, generator: torch.Generator) -> Failure:
    """The first single place at which the word changes the function, and which parameter is to blame."""
    found: Move | None = None
    for move in single_moves(network.spec, word, generator):
        there = point.error(network, network.act(move.element, point.theta, word.space), move.element)
        if there > point.tolerance:
            found, error = move, there
            break
    everywhere = broad_move(network.spec, word, generator).element
    acted = network.act(found.element if found else everywhere, point.theta, word.space)
    moves = tuple(n for n, t in acted.items() if not torch.equal(t, point.theta[n]))
    points = [point, make_point(network, generator)]
    hint = blame(network, everywhere, points, moves)
    hint = hint or blame_still(network, everywhere, points, word, moves)
    if hint is None and error < EPSILON_SIZED:
        hint = "so little that an epsilon, as norms have it, may be behind it"
    return Failure(word.space, word.text, found.where if found else "", error, moves, hint)
