"""The Lie algebra of a spec, cut into the pieces that `orbit.py` reasons about.

Takes a `Spec`, gives frozen values. One piece stands for all copies of a space at once, because copies are
exchanged by relabelling index values and a generic point stays generic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qecompile.nesting import ancestors, lineage
from qecompile.spec import Axis, Param, Spec


@dataclass(frozen=True, slots=True)
class Variable:
    """A family of commuting one-dimensional pieces: one number per index value, or per vector space copy.

    `character` counts the characters of the space; None is the centre of gl(n), the multiples of the
    identity matrix, which acts as a `dilate` with charge 1 on a plain axis and -1 on a dual one.
    """

    space: str
    character: int | None

    def charge(self, axis: Axis) -> int:
        """The weight with which the variable acts along an axis."""
        if axis.space != self.space:
            return 0
        if self.character is None:
            return -1 if axis.dual else 1
        return axis.charges[self.character]


@dataclass(frozen=True, slots=True)
class Algebra:
    """A sum of pieces of the Lie algebra, each for all copies of its space.

    Attributes:
        linear: spaces with gl(n), n >= 2.
        compact: spaces with so(n), n >= 2.
        torus: the families of scalars.
    """

    linear: tuple[str, ...] = ()
    compact: tuple[str, ...] = ()
    torus: tuple[Variable, ...] = ()

    def acting(self, p: Param) -> Algebra:
        """The pieces that act on some axis of a parameter."""
        return Algebra(
            tuple(s for s in self.linear if any(a.space == s for a in p.axes)),
            tuple(s for s in self.compact if any(a.space == s for a in p.axes)),
            tuple(v for v in self.torus if any(v.charge(a) for a in p.axes)),
        )

    @property
    def spaces(self) -> tuple[str, ...]:
        """The names of the spaces with a piece, without repetition."""
        return tuple(dict.fromkeys((*self.linear, *self.compact, *(v.space for v in self.torus))))


def algebra_of(spec: Spec) -> Algebra:
    """The whole Lie algebra; gl(1) is its own centre, so(1) is zero."""
    wide = [s for s in spec.spaces if s.size > 1]
    torus = [Variable(s.name, None) for s in spec.spaces if s.vector == "linear" and s.size == 1]
    for s in spec.spaces:
        torus += [Variable(s.name, k) for k, c in enumerate(s.characters) if c.word != "sign"]
    return Algebra(
        tuple(s.name for s in wide if s.vector == "linear"),
        tuple(s.name for s in wide if s.vector in ("orthogonal", "rotate")),
        tuple(torus),
    )


def count_copies(spec: Spec, space: str) -> int:
    """How many copies of a space there are."""
    return math.prod(spec.space[a].size for a in ancestors(spec, space))


def count_columns(p: Param, k: int) -> int:
    """How many vectors of one copy of the space of axis `k` a parameter holds along that axis.

    An axis of a nested space meets one copy for each value of the axes it belongs to, so these are not
    counted: the entries of all the other axes are.
    """
    return math.prod(p.shape) // math.prod(p.shape[i] for i in lineage(p.axes, k))
