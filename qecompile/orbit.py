"""Dimensions of the continuous group of a spec and of its orbits.

Takes a `Spec`, gives integers. Exact; no torch.

The orbit of the connected group at theta has the dimension of the group less that of the *stabiliser*, the
X in the Lie algebra with X theta = 0. For generic theta it is found in two steps. First pieces of the algebra
are discarded that must vanish on it, or shrink to scalars (`orbit_rules.py`). What is left is cut into
components whose equations do not mix: a torus (`orbit_torus.py`); one gl(n) with m vectors and m' covectors,
which keeps max(n - m, 0) max(n - m', 0) dimensions, or with a single n x n* matrix, which keeps n; one so(n)
with m vectors, which keeps so(n - m); anything else goes to `orbit_rank.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from qecompile import orbit_rank, orbit_torus
from qecompile.orbit_algebra import Algebra, Variable, algebra_of, count_columns, count_copies
from qecompile.orbit_rules import content_of, positions, reduce_algebra
from qecompile.spec import Space, Spec

Piece = tuple[str, str | Variable]


@dataclass(frozen=True, slots=True)
class Factor:
    """What one space contributes to the group.

    Attributes:
        space: name of the space.
        group: its group as the user writes it.
        copies: how many copies of the space there are: the product of the sizes of those it is nested in.
        dim: dimension, as a Lie group, of one copy.
    """

    space: str
    group: str
    copies: int
    dim: int

    @property
    def total(self) -> int:
        """Dimension of all copies together."""
        return self.copies * self.dim


def factors(spec: Spec) -> tuple[Factor, ...]:
    """One factor per space, in order of declaration.

    >>> h = Space(name="h", size=3, permuted=True)
    >>> q = Space(name="q", size=4, vector="linear", parent="h")
    >>> factors(Spec(name="s", spaces=(h, q), parameters=()))
    (Factor(space='h', group='permute', copies=1, dim=0), Factor(space='q', group='linear', copies=3, dim=16))
    """
    return tuple(Factor(s.name, s.group, count_copies(spec, s.name), _dim(s)) for s in spec.spaces)


def continuous_dim(spec: Spec) -> int:
    """Dimension of the group as a Lie group.

    >>> continuous_dim(Spec(name="s", spaces=(Space(name="d", size=4, vector="rotate"),), parameters=()))
    6
    """
    return sum(f.total for f in factors(spec))


def _dim(s: Space) -> int:
    """Dimension of one copy of the group of one space."""
    words = [c.word for c in s.characters]
    matrix = {
        None: 0,
        "linear": s.size**2,
        "orthogonal": math.comb(s.size, 2),
        "rotate": math.comb(s.size, 2),
    }
    return matrix[s.vector] + s.size * words.count("scale") + words.count("dilate")


def orbit_dim(spec: Spec) -> int:
    """Dimension of the orbit of the connected group at a generic theta.

    It is the largest over all theta, so a lower bound to the kernel of the differential of any function of
    theta that the group preserves.

    >>> from qecompile.spec import Axis, Character, Param
    >>> h = Space(name="h", size=3, permuted=True, characters=(Character(name="scale", word="scale"),))
    >>> b = Param(name="b", axes=(Axis(space="h", charges=(1,)),), shape=(3,))
    >>> orbit_dim(Spec(name="s", spaces=(h,), parameters=(b,)))
    3

    Raises:
        ValueError: actions of matrix groups are coupled at sizes beyond `orbit_rank.LIMIT`.
    """
    return continuous_dim(spec) - _stabiliser_dim(spec)


def _stabiliser_dim(spec: Spec) -> int:
    algebra = reduce_algebra(spec, algebra_of(spec))
    torus: list[Variable] = []
    fixed = 0
    for component in _components(spec, algebra):
        if component.linear or component.compact:
            fixed += _component_stabiliser(spec, component)
        else:
            torus += component.torus
    return fixed + orbit_torus.stabiliser_dim(spec, torus, spec.parameters)


def _components(spec: Spec, algebra: Algebra) -> Iterator[Algebra]:
    """The finest cut of the algebra such that the equations of no parameter mix two components."""
    pieces = [*_pieces(algebra)]
    group = {piece: {piece} for piece in pieces}
    for p in spec.parameters:
        acting = algebra.acting(p)
        apart = [acting] if acting.linear else [Algebra(compact=acting.compact), Algebra(torus=acting.torus)]
        for part in apart:
            joined = set[Piece]().union(*(group[piece] for piece in _pieces(part)))
            group.update(dict.fromkeys(joined, joined))
    seen = set[Piece]()
    for piece in pieces:
        if piece not in seen:
            seen |= group[piece]
            yield _restrict(algebra, group[piece])


def _pieces(algebra: Algebra) -> Iterator[Piece]:
    """The pieces of an algebra, each with a word for its kind."""
    yield from (("linear", s) for s in algebra.linear)
    yield from (("compact", s) for s in algebra.compact)
    yield from (("torus", v) for v in algebra.torus)


def _restrict(algebra: Algebra, pieces: set[Piece]) -> Algebra:
    return Algebra(
        tuple(s for s in algebra.linear if ("linear", s) in pieces),
        tuple(s for s in algebra.compact if ("compact", s) in pieces),
        tuple(v for v in algebra.torus if ("torus", v) in pieces),
    )


def _component_stabiliser(spec: Spec, component: Algebra) -> int:
    """Dimension of the stabiliser in a component with matrix groups."""
    match component:
        case Algebra(linear=(space,), compact=(), torus=()):
            known = _linear_stabiliser(spec, component, space)
        case Algebra(linear=(), compact=(space,), torus=()):
            known = _compact_stabiliser(spec, space)
        case _:
            known = None
    return orbit_rank.stabiliser_dim(spec, component) if known is None else known


def _linear_stabiliser(spec: Spec, component: Algebra, space: str) -> int | None:
    """All copies of one gl(n) that meets nothing else; None where there is no closed form."""
    n = spec.space[space].size
    contents = [content_of(spec, component, p, space) for p in spec.parameters if positions(p, space)]
    found = [c.counts for c in contents if c]
    if len(found) < len(contents):
        return None
    vectors, covectors, matrices = (sum(counts[k] for counts in found) for k in range(3))
    if matrices == 0:
        return count_copies(spec, space) * max(n - vectors, 0) * max(n - covectors, 0)
    return count_copies(spec, space) * n if (vectors, covectors, matrices) == (0, 0, 1) else None


def _compact_stabiliser(spec: Spec, space: str) -> int:
    """All copies of one so(n) that meets fewer than n - 1 vectors, and no other matrix group."""
    vectors = sum(count_columns(p, k) for p in spec.parameters for k in positions(p, space))
    return count_copies(spec, space) * math.comb(spec.space[space].size - vectors, 2)
