"""Dimensions of spaces of equivariant maps, by linear algebra from the definition of the group.

`hom_dim` counts the matrices M with rho_q(g) M rho_p(g)^-1 = M, for g in a set of group elements that
generates a dense subgroup (`generators.py`), with exact arithmetic modulo the prime P = 2^31 - 1. It shares
no code with the basis: it knows nothing of diagrams, partitions, matchings or charges being neutral, only
how a group element acts on a basis tensor. It is the second opinion that `qecompile.basis` is compared with.

**Why the nullity over F_p is the dimension over the reals.** The identity component of G is Zariski dense
in a connected reductive group K, a product of GL(n), SO(n) and multiplicative groups. The powers of a
generic element of a torus are dense in it, and a generic pair generates a dense subgroup of a connected
reductive group; with the finite generators, one for each component, the closure is the closure of G. Thus
over Q(t), t the entries of the random factors, the nullity is dim Hom_G, and some minor of that rank is a
non-zero rational function. Reduced modulo p and evaluated at a random point of F_p its rank can only
drop: the answer is **never too small**, and it is too large only if p divides all coefficients of the
minor (p is far above any factorial in sight) or the point is a root of it, with probability at most
degree/p by Schwartz-Zippel (below 1e-4 for the sizes here, in practice near 1/p). Two torus elements and
three dense ones make it the power of that. The seed is fixed, so the answer is deterministic.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import numpy as np

from qecompile.spec import Spec
from qecompile.verify.generators import (
    Slot,
    dense_action,
    dense_generators,
    monomial_action,
    monomial_generators,
    pair_slots,
)
from qecompile.verify.modular import Ints, P, left_kernel, multiply

SEED = 20231


def hom_dim(spec: Spec, source: str, target: str) -> int:
    """The dimension of the space of equivariant linear maps from one parameter to another."""
    return fixed_dim(spec, pair_slots(spec, target, source))


def invariant_dim(spec: Spec, name: str) -> int:
    """The dimension of the space of tensors of a parameter's type that the group fixes."""
    return fixed_dim(spec, pair_slots(spec, name, None))


def fixed_dim(spec: Spec, slots: Sequence[Slot]) -> int:
    """The dimension of the common fixed space of all generators on the tensor product of the slots."""
    rng = random.Random(SEED)
    spaces = {s.space.name: s.space for s in slots}.values()
    orbits = list(fixed_orbits([monomial_action(g, slots) for g in monomial_generators(spec, spaces, rng)]))
    if not orbits or not any(s.vector and s.size > 1 for s in spaces):
        return len(orbits)
    vectors = np.zeros((len(orbits), math.prod(s.space.size for s in slots)), dtype=np.int64)
    for row, orbit in enumerate(orbits):
        vectors[row, list(orbit)] = list(orbit.values())
    for g in dense_generators(spec, spaces, rng):
        moved = (dense_action(g, slots, vectors) - vectors) % P
        vectors = multiply(left_kernel(moved), vectors)
    return len(vectors)


def fixed_orbits(actions: Sequence[tuple[Ints, Ints]]) -> Iterator[dict[int, int]]:
    """A basis of the common fixed vectors of monomial matrices, as {position: entry}, disjointly supported.

    A fixed vector has entry(image of x) = coefficient * entry(x), so one entry decides those of its whole
    orbit; the orbit carries a fixed vector unless this leads to two values for one entry.
    """
    moves = [(images.tolist(), coefficients.tolist()) for images, coefficients in actions]
    seen: set[int] = set()
    for start in range(len(moves[0][0])):
        if start in seen:
            continue
        orbit, stack, consistent = {start: 1}, [start], True
        while stack:
            x = stack.pop()
            for image, coefficient in moves:
                y, entry = image[x], orbit[x] * coefficient[x] % P
                if y not in orbit:
                    stack.append(y)
                consistent &= orbit.setdefault(y, entry) == entry
        seen.update(orbit)
        if consistent:
            yield orbit
