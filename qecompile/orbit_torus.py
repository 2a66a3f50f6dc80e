"""Torus actions: the kernel of a lattice of weights, at any size, from one small matrix per space.

A torus acts on each entry of theta by a weight, so at a point without zero entries x in its Lie algebra
fixes theta iff all weights vanish on x: linear equations E with integer coefficients.

*Statement.* E is stable under relabelling the index values of every copy of every space: under W, an
iterated wreath product of symmetric groups. The numbers x_s of one family, one per index value in every
copy of s, are as a representation of W the sum of the trivial one and, for s itself and every space u
around it with n_u >= 2, of

    rho_u = functions on the index values of u in all its copies that sum to zero in every copy,

irreducible over R (induced from the standard representation of one S(n_u)), of dimension copies(u) (n_u - 1),
and pairwise not isomorphic: rho_u is the only one on which the S(n_u) act and those inside u do not. (A
family on a *vector* space has one number per copy, so only the spaces around it count.) By Schur's lemma

    dim ker E = m_1 + sum over u of m_u copies(u) (n_u - 1),

where m_u is the dimension of the v, one number v_s per family in which rho_u occurs, such that v (x) rho_u
solves E. For the trivial representation this is one equation per parameter: the sum over its axes of charge
times v is 0. For rho_u, take the function +1, -1 at two index values in one copy of u: a parameter gives
sum over its axes b of u of c_b (+1, -1 or 0) = 0, c_b the sum of charge times v over b and the axes nested
in b. All the signs may be flipped one by one, hence c_b = 0 for every b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flint import fmpz_mat

from qecompile.nesting import ancestors, lineage
from qecompile.orbit_algebra import Variable, count_copies
from qecompile.spec import Param, Spec


@dataclass(frozen=True, slots=True)
class Isotype:
    """The equations for one irreducible representation: `rows` over the families in `variables`."""

    dim: int
    variables: tuple[Variable, ...]
    rows: tuple[tuple[int, ...], ...]

    @property
    def determined(self) -> frozenset[Variable]:
        """The families that the equations force to be zero."""
        if not (self.rows and self.variables):
            return frozenset()
        reduced, _, rank = fmpz_mat([list(row) for row in self.rows]).rref()
        supports = ([k for k in range(len(self.variables)) if reduced[i, k]] for i in range(rank))
        return frozenset(self.variables[s[0]] for s in supports if len(s) == 1)

    @property
    def kernel_dim(self) -> int:
        """Dimension of the solutions, the copies of the representation counted with its dimension."""
        rank = fmpz_mat([list(row) for row in self.rows]).rank() if self.rows and self.variables else 0
        return self.dim * (len(self.variables) - rank)


def stabiliser_dim(spec: Spec, variables: Sequence[Variable], params: Sequence[Param]) -> int:
    """Dimension of the subalgebra of a torus that fixes generic values of some parameters."""
    return sum(isotype.kernel_dim for isotype in isotypes(spec, variables, params))


def determined(spec: Spec, variables: Sequence[Variable], params: Sequence[Param]) -> frozenset[Variable]:
    """The families that vanish on that subalgebra."""
    free: set[Variable] = set()
    for isotype in isotypes(spec, variables, params):
        free |= set(isotype.variables) - isotype.determined
    return frozenset(variables) - free


def isotypes(spec: Spec, variables: Sequence[Variable], params: Sequence[Param]) -> Iterator[Isotype]:
    """The equations E, cut into irreducible representations of W; see the module's statement."""
    trivial = (_row(p, range(len(p.axes)), variables) for p in params)
    yield Isotype(1, tuple(variables), _distinct(trivial))
    for u in spec.spaces:
        if u.size == 1 or u.is_vector:
            continue
        inside = tuple(v for v in variables if u.name in (*ancestors(spec, v.space), v.space))
        if inside:
            rows = (
                _row(p, [k for k in range(len(p.axes)) if b in lineage(p.axes, k)], inside)
                for p in params
                for b, axis in enumerate(p.axes)
                if axis.space == u.name
            )
            yield Isotype(count_copies(spec, u.name) * (u.size - 1), inside, _distinct(rows))


def _row(p: Param, positions: Sequence[int], variables: Sequence[Variable]) -> tuple[int, ...]:
    return tuple(sum(v.charge(p.axes[k]) for k in positions) for v in variables)


def _distinct(rows: Iterator[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    return tuple(row for row in dict.fromkeys(rows) if any(row))
