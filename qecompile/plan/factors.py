"""The continuous factors of a group, and how each acts on the axes of every parameter.

Takes a `Spec`, gives frozen values. A factor is one `scale` or `dilate` character of a space, or its
matrices: a number or a matrix for every copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from qecompile.alpha import has_alpha
from qecompile.nesting import ancestors
from qecompile.plan.gauge import axes_along
from qecompile.spec import Space, Spec

MOST_COEFFICIENTS = 32


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
    def is_turn(self) -> bool:
        """Whether the elements are rotations of a plane, which commute."""
        return self.word == "rotate" and self.size == 2

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
