"""Three rules that make a Lie algebra smaller without changing the stabiliser of a generic point.

Takes a `Spec` and an `Algebra`, gives a smaller `Algebra`. The stabiliser is the X of the algebra with
X theta = 0; a rule finds that a piece vanishes on it, or is a multiple of the identity, whatever the rest of
the algebra is. It looks only at parameters on which few pieces act, and there at one copy of a space.

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
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from qecompile import orbit_torus
from qecompile.nesting import lineage
from qecompile.orbit_algebra import Algebra, Variable, count_columns
from qecompile.spec import Param, Spec


def reduce_algebra(spec: Spec, algebra: Algebra) -> Algebra:
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
        first, *others = positions(p, space)
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
    seen = [c for p in spec.parameters if (c := content_of(spec, algebra, p, space))]
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


def content_of(spec: Spec, algebra: Algebra, p: Param, space: str) -> Content | None:
    """The content of a parameter; None if gl(n) is not alone or acts in another way."""
    acting = algebra.acting(p)
    if acting.linear != (space,) or acting.compact:
        return None
    first, *others = at = positions(p, space)
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


def positions(p: Param, space: str) -> list[int]:
    """Where the axes of a space stand in a parameter."""
    return [k for k, axis in enumerate(p.axes) if axis.space == space]
