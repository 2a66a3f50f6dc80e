"""Dimensions of the continuous group of a spec and of its orbits.

Takes a `Spec`, gives integers. Exact; no torch.

The orbit of the connected group at theta has the dimension of the group less that of the *stabiliser*, the
X in the Lie algebra with X theta = 0. For generic theta the stabiliser is found by discarding pieces of the
algebra that must vanish on it, or shrink to scalars, whatever the rest of the algebra is:

1. *Compact and torus part ways.* On a parameter without gl, X = A + t with A skew for the standard inner
   product and t a weight on each entry block: 0 = <(A + t) theta, theta> = t |theta|^2, so t = 0 and
   A theta = 0 separately. The torus then obeys linear equations (`orbit_torus.py`).
2. *so(n)* vanishes if, where it acts alone up to a torus and without gl, it meets n - 1 vectors (they span a
   hyperplane, and A skew with A = 0 there is 0), or two axes of one copy: contracting T with itself over all
   axes but one of them gives a symmetric matrix with distinct eigenvalues, which A commutes with; A is then
   diagonal and skew in its eigenbasis.
3. *gl(n)* shrinks to its centre if, where it acts alone up to a torus, one of these is generic in one copy:
   n vectors of one orientation and one weight (X = -t on a basis); n + 1 vectors of one orientation (all are
   eigenvectors of X, and the last has no zero coordinate in the basis of the others); two n x n* matrices,
   or one and a vector (the trace of [X, T] = -t T gives t = 0; two generic matrices generate all; with one,
   X = q(T), and T-cyclic v with q(T) v = -t v makes q constant). The centre joins the torus.

What is left is cut into components that share no parameter. One gl(n) with m vectors and m' covectors fixes
max(n - m, 0) max(n - m', 0) dimensions, with a single n x n* matrix n, one so(n) with m vectors those of
so(n - m); anything else goes to `orbit_rank.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from qecompile import orbit_rank, orbit_torus
from qecompile.nesting import lineage
from qecompile.orbit_algebra import Algebra, Variable, algebra_of, count_columns, count_copies
from qecompile.spec import Param, Space, Spec


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
        "linear": s.size**2,
        "orthogonal": s.size * (s.size - 1) // 2,
        "rotate": s.size * (s.size - 1) // 2,
    }
    return (matrix[s.vector] if s.vector else 0) + s.size * words.count("scale") + words.count("dilate")


def orbit_dim(spec: Spec) -> int:
    """Dimension of the orbit of the connected group at a generic theta.

    It is the largest over all theta, so a lower bound to the kernel of the differential of any function of
    theta that the group preserves.

    >>> from qecompile.spec import Axis, Character
    >>> h = Space(name="h", size=3, permuted=True, characters=(Character(name="scale", word="scale"),))
    >>> b = Param(name="b", axes=(Axis(space="h", charges=(1,)),), shape=(3,))
    >>> orbit_dim(Spec(name="s", spaces=(h,), parameters=(b,)))
    3

    Raises:
        ValueError: actions of matrix groups are coupled at sizes beyond `orbit_rank.LIMIT`.
    """
    return continuous_dim(spec) - _stabiliser_dim(spec)


def _stabiliser_dim(spec: Spec) -> int:
    algebra = _reduce(spec, algebra_of(spec))
    torus: list[Variable] = []
    fixed = 0
    for component in _components(spec, algebra):
        if component.linear or component.compact:
            fixed += _component_stabiliser(spec, component)
        else:
            torus += component.torus
    return fixed + orbit_torus.stabiliser_dim(spec, torus, spec.parameters)


# --- discarding pieces --------------------------------------------------------------------------------


def _reduce(spec: Spec, algebra: Algebra) -> Algebra:
    """The algebra with smaller pieces, and the same stabiliser: rules 1 to 3 until none applies."""
    while True:
        smaller = _shrink_linear(spec, _drop_compact(spec, _drop_torus(spec, algebra)))
        if smaller == algebra:
            return algebra
        algebra = smaller


def _drop_torus(spec: Spec, algebra: Algebra) -> Algebra:
    """Rule 1: without the scalars that the parameters without gl determine to be zero."""
    params = [p for p in spec.parameters if not algebra.acting(p).linear]
    zero = orbit_torus.determined(spec, algebra.torus, params)
    return replace(algebra, torus=tuple(v for v in algebra.torus if v not in zero))


def _drop_compact(spec: Spec, algebra: Algebra) -> Algebra:
    """Rule 2."""
    return replace(algebra, compact=tuple(s for s in algebra.compact if not _is_rigid(spec, algebra, s)))


def _is_rigid(spec: Spec, algebra: Algebra, space: str) -> bool:
    """Whether so(n) vanishes on the stabiliser by rule 2."""
    vectors = 0
    for p in spec.parameters:
        acting = algebra.acting(p)
        if acting.linear or acting.compact != (space,):
            continue
        first, *others = _positions(p, space)
        if others:
            return True
        vectors += count_columns(p, first)
    return vectors >= spec.space[space].size - 1


def _shrink_linear(spec: Spec, algebra: Algebra) -> Algebra:
    """Rule 3."""
    shrunk = tuple(s for s in algebra.linear if _is_central(spec, algebra, s))
    return replace(
        algebra,
        linear=tuple(s for s in algebra.linear if s not in shrunk),
        torus=(*algebra.torus, *(Variable(s, None) for s in shrunk)),
    )


def _is_central(spec: Spec, algebra: Algebra, space: str) -> bool:
    """Whether gl(n) is scalar on the stabiliser by rule 3."""
    n = spec.space[space].size
    seen = [c for p in spec.parameters if (c := _content(spec, algebra, p, space))]
    vectors, covectors, matrices = (sum(c.counts[k] for c in seen) for k in range(3))
    weightless = [sum(c.counts[k] for c in seen if c.weights == "none") for k in range(2)]
    of_one_weight = max((max(c.counts[:2]) for c in seen if c.weights == "one"), default=0)
    return (
        matrices >= 2
        or (matrices == 1 and vectors + covectors >= 1)
        or max(vectors, covectors) >= n + 1
        or max(*weightless, of_one_weight) >= n
    )


@dataclass(frozen=True, slots=True)
class Content:
    """What a parameter holds for one copy of gl(n) that, up to a torus, acts on it alone.

    Attributes:
        counts: how many vectors, covectors and n x n* matrices.
        weights: whether the torus acts on these not at all, by one weight, or by several.
    """

    counts: tuple[int, int, int]
    weights: Literal["none", "one", "many"]


def _content(spec: Spec, algebra: Algebra, p: Param, space: str) -> Content | None:
    """The content of a parameter; None if gl(n) is not alone or acts in another way."""
    acting = algebra.acting(p)
    if acting.linear != (space,) or acting.compact:
        return None
    first, *others = at = _positions(p, space)
    columns = count_columns(p, first)
    weights = _weights(spec, acting, p, first)
    if not others:
        return Content((0, columns, 0) if p.axes[first].dual else (columns, 0, 0), weights)
    a, b = p.axes[at[0]], p.axes[at[1]]
    if len(at) == 2 and a.dual != b.dual and a.parent == b.parent:
        return Content((0, 0, columns // spec.space[space].size), weights)
    return None


def _weights(spec: Spec, acting: Algebra, p: Param, k: int) -> Literal["none", "one", "many"]:
    """The weights of the torus on the vectors along axis `k` for one copy of its space."""
    if not acting.torus:
        return "none"
    here = lineage(p.axes, k)
    for i, axis in enumerate(p.axes):
        line = lineage(p.axes, i)
        depends = line[:-1] if spec.space[axis.space].is_vector else line
        if any(v.charge(axis) for v in acting.torus) and not set(depends) <= set(here):
            return "many"
    return "one"


def _positions(p: Param, space: str) -> list[int]:
    return [k for k, axis in enumerate(p.axes) if axis.space == space]


# --- what is left -------------------------------------------------------------------------------------


def _components(spec: Spec, algebra: Algebra) -> Iterator[Algebra]:
    """The finest cut of the algebra such that the equations of no parameter mix two components."""
    pieces: list[Piece] = [*_pieces(algebra)]
    group = {piece: {piece} for piece in pieces}
    for p in spec.parameters:
        acting = algebra.acting(p)
        apart = [acting] if acting.linear else [Algebra(compact=acting.compact), Algebra(torus=acting.torus)]
        for part in apart:
            joined = set[Piece]().union(*(group[piece] for piece in _pieces(part)))
            group.update(dict.fromkeys(joined, joined))
    seen: set[Piece] = set()
    for piece in pieces:
        if piece not in seen:
            seen |= group[piece]
            yield _restrict(algebra, group[piece])


Piece = tuple[str, str | Variable]


def _pieces(algebra: Algebra) -> Iterator[Piece]:
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
    contents = [_content(spec, component, p, space) for p in spec.parameters if _positions(p, space)]
    found = [c.counts for c in contents if c]
    if len(found) < len(contents):
        return None
    vectors, covectors, matrices = (sum(counts[k] for counts in found) for k in range(3))
    if matrices == 0:
        return count_copies(spec, space) * max(n - vectors, 0) * max(n - covectors, 0)
    return count_copies(spec, space) * n if (vectors, covectors, matrices) == (0, 0, 1) else None


def _compact_stabiliser(spec: Spec, space: str) -> int:
    """All copies of one so(n) that meets fewer than n - 1 vectors, and no other matrix group."""
    vectors = sum(count_columns(p, k) for p in spec.parameters for k in _positions(p, space))
    return count_copies(spec, space) * math.comb(spec.space[space].size - vectors, 2)
