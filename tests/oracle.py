"""Dimensions of spaces of equivariant maps, by linear algebra from the definition of the group.

`hom_dim` counts the matrices M with rho_q(g) M rho_p(g)^-1 = M, for g in a set of group elements that
generates a dense subgroup, with exact arithmetic modulo the prime P = 2^31 - 1. It knows nothing of
diagrams, partitions, matchings or charges being neutral: it only knows how a group element acts on a
basis tensor. It is the second opinion that `qecompile.basis` is compared with.

**The representation.** A space stands for one copy of its local group per *address*, the tuple of index
values of the spaces around it; a root has the one address (). A group element picks, for each space and
address, a `Local` factor: a matrix (a permutation matrix, a linear one, the identity) and one multiplier
per character and index value. An axis is acted on by the factor at the address which the values of its
parent axes spell, so a permuted parent carries copy i to copy sigma(i): the wreath product at any depth.
A source axis is acted on by the inverse transpose of its whole factor, because M has p's axes dualised.

**Generators**, each an honest element of G (so extra ones never do harm):

* for every copy of S(n), a transposition and an n-cycle; for every {+1, -1}, the element -1; for every
  copy of O(n), a reflection. Copies that a permuted parent exchanges are conjugate, so one is enough.
* random elements of the torus: multipliers for `scale` and `dilate`, a diagonal matrix in each GL(n);
* random elements of the product of all GL(n) and SO(n), the latter as Cayley transforms;
* signed permutation matrices inside GL(n), O(n) and SO(n): redundant, but with the others above they are
  *monomial* matrices, whose common fixed vectors are found orbit by orbit, without any linear algebra.
  Only the few vectors that survive meet the random dense matrices.

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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from flint import nmod_mat

from qecompile.spec import Axis, Space, Spec

P = 2**31 - 1
Address = tuple[int, ...]


@dataclass(frozen=True)
class Local:
    """What one copy of a space's group does: a matrix, and a multiplier per character and index value."""

    matrix: np.ndarray
    multipliers: tuple[tuple[int, ...], ...]


Element = dict[tuple[str, Address], Local]  # the identity wherever nothing is said


@dataclass(frozen=True)
class Slot:
    """One axis of the unknown tensor: a space, how it is acted on, and the slots its address is read from."""

    space: Space
    axis: Axis
    inverse_transpose: bool
    ancestors: tuple[int, ...]


def hom_dim(spec: Spec, source: str, target: str) -> int:
    """The dimension of the space of equivariant linear maps from one parameter to another."""
    target_slots = slots_of(spec, target)
    return fixed_dim(spec, target_slots + slots_of(spec, source, len(target_slots), inverse_transpose=True))


def invariant_dim(spec: Spec, name: str) -> int:
    """The dimension of the space of tensors of a parameter's type that the group fixes."""
    return fixed_dim(spec, slots_of(spec, name))


def slots_of(spec: Spec, name: str, offset: int = 0, inverse_transpose: bool = False) -> list[Slot]:
    """The axes of a parameter as slots `offset`, `offset + 1`, ... of an unknown tensor."""
    axes = spec.params[name].axes

    def ancestors(axis: Axis) -> tuple[int, ...]:
        return () if axis.parent is None else (*ancestors(axes[axis.parent]), axis.parent + offset)

    return [Slot(spec.space[a.space], a, inverse_transpose, ancestors(a)) for a in axes]


def fixed_dim(spec: Spec, slots: list[Slot]) -> int:
    """The dimension of the common fixed space of all generators on the tensor product of the slots."""
    rng = random.Random(20231)
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


# --- group elements -----------------------------------------------------------------------------------


def addresses(spec: Spec, space: Space, one_per_orbit: bool = False) -> Iterator[Address]:
    """The addresses of the copies of a space; optionally only one of those that permutations exchange."""
    sizes: list[int] = []
    while space.parent is not None:
        space = spec.space[space.parent]
        sizes.insert(0, 1 if one_per_orbit and space.permuted else space.size)
    return product(*map(range, sizes))


def local(space: Space, matrix: Iterable | None = None, **multipliers: Iterable[int]) -> Local:
    """A factor that is the identity except where told; multipliers are given by the name of a character."""
    ones = (1,) * space.size
    matrix = np.eye(space.size, dtype=np.int64) if matrix is None else np.array(matrix, dtype=np.int64) % P
    return Local(matrix, tuple(tuple(multipliers.get(c.name, ones)) for c in space.characters))


def monomial_generators(spec: Spec, spaces: Iterable[Space], rng: random.Random) -> Iterator[Element]:
    """Generators of the finite part of the group, random torus elements, permutations in matrix groups."""
    for _ in range(2):
        yield {(s.name, a): torus_element(s, rng) for s in spaces for a in addresses(spec, s)}
    for s in spaces:
        for a in addresses(spec, s, one_per_orbit=True):
            yield from ({(s.name, a): factor} for factor in finite_factors(s))


def torus_element(space: Space, rng: random.Random) -> Local:
    """Random positive multipliers (one for the whole axis under `dilate`), and a diagonal matrix in GL(n)."""
    characters = {}
    for c in space.characters:
        if c.word == "scale":
            characters[c.name] = [rng.randrange(1, P) for _ in range(space.size)]
        elif c.word == "dilate":
            characters[c.name] = [rng.randrange(1, P)] * space.size
    diagonal = [rng.randrange(1, P) if space.vector == "linear" else 1 for _ in range(space.size)]
    return local(space, np.diag(diagonal), **characters)


def finite_factors(space: Space) -> Iterator[Local]:
    """Generators of S(n) and of the signs; signed permutation matrices that lie in GL(n), O(n), SO(n)."""
    n = space.size
    if space.permuted or space.vector:
        special = space.vector == "rotate"  # then make the determinant 1
        if n > 1:
            yield local(space, permutation_matrix([1, 0, *range(2, n)], sign=-1 if special else 1))
            odd = n % 2 == 0
            yield local(space, permutation_matrix([*range(1, n), 0], sign=-1 if special and odd else 1))
    if space.vector == "orthogonal":
        yield local(space, permutation_matrix(range(n), sign=-1))
    for c in space.characters:
        if c.word == "sign":
            for i in range(1 if space.permuted else n):
                yield local(space, **{c.name: [-1 if j == i else 1 for j in range(n)]})


def permutation_matrix(images: Iterable[int], sign: int = 1) -> np.ndarray:
    """The matrix that sends e_i to e_images[i], with `sign` in its first column."""
    columns = list(images)
    matrix = np.zeros((len(columns), len(columns)), dtype=np.int64)
    matrix[columns, range(len(columns))] = 1
    matrix[:, 0] *= sign
    return matrix


def dense_generators(spec: Spec, spaces: Iterable[Space], rng: random.Random) -> Iterator[Element]:
    """Random elements of the product, over all copies of all vector spaces, of GL(n) or SO(n)."""
    vectors = [s for s in spaces if s.vector]
    for _ in range(3):
        yield {(s.name, a): local(s, random_matrix(s, rng)) for s in vectors for a in addresses(spec, s)}


def random_matrix(space: Space, rng: random.Random) -> np.ndarray:
    """A random matrix, or the Cayley transform (1 - A)(1 + A)^-1 of a random skew-symmetric A."""
    n = space.size
    matrix = np.array([[rng.randrange(P) for _ in range(n)] for _ in range(n)], dtype=np.int64)
    if space.vector == "linear":
        return matrix
    skew = np.triu(matrix, 1) - np.triu(matrix, 1).T
    one = np.eye(n, dtype=np.int64)
    return multiply((one - skew) % P, inverse((one + skew) % P))


# --- how they act -------------------------------------------------------------------------------------


def axis_matrix(factor: Local, slot: Slot) -> np.ndarray:
    """The matrix by which a factor acts on an axis: its matrix, dualised if it must be, times charges."""
    matrix = inverse(factor.matrix).T if slot.axis.dual else factor.matrix
    diagonal = [1] * slot.space.size
    for values, charge in zip(factor.multipliers, slot.axis.charges, strict=True):
        diagonal = [d * pow(v, charge, P) % P for d, v in zip(diagonal, values, strict=True)]
    matrix = matrix * np.array(diagonal, dtype=np.int64) % P
    return inverse(matrix).T if slot.inverse_transpose else matrix


def monomial_action(g: Element, slots: list[Slot]) -> tuple[list[int], list[int]]:
    """The image of each basis tensor (by flat position) and its coefficient, for a monomial element."""
    shape = [s.space.size for s in slots]
    values = np.indices(shape).reshape(len(shape), math.prod(shape))
    images, coefficient = values.copy(), np.ones(values.shape[1], dtype=np.int64)
    for k, slot in enumerate(slots):
        for (space, address), factor in g.items():
            if space != slot.space.name:
                continue
            matrix = axis_matrix(factor, slot)
            row = np.array([np.flatnonzero(column).item() for column in matrix.T])  # one entry a column
            entry = matrix[row, range(len(row))]
            here = np.all([values[i] == v for i, v in zip(slot.ancestors, address, strict=True)], axis=0)
            here = np.broadcast_to(here, coefficient.shape)  # a root axis is acted on everywhere
            images[k, here] = row[values[k, here]]
            coefficient[here] = coefficient[here] * entry[values[k, here]] % P
    flat = np.ravel_multi_index(images, shape) if shape else np.zeros(1, dtype=int)
    return flat.tolist(), coefficient.tolist()


def dense_action(g: Element, slots: list[Slot], vectors: np.ndarray) -> np.ndarray:
    """The images of some vectors, one a row, under an element that permutes no index."""
    tensor = vectors.reshape(-1, *(s.space.size for s in slots)).copy()
    for k, slot in enumerate(slots):
        for (space, address), factor in g.items():
            if space != slot.space.name:
                continue
            slab: list[int | slice] = [slice(None)] * tensor.ndim
            for i, v in zip(slot.ancestors, address, strict=True):
                slab[i + 1] = slice(v, v + 1)
            part = np.moveaxis(tensor[tuple(slab)], k + 1, 0)
            moved = multiply(axis_matrix(factor, slot), part.reshape(len(part), -1)).reshape(part.shape)
            tensor[tuple(slab)] = np.moveaxis(moved, 0, k + 1)
    return tensor.reshape(vectors.shape)


# --- linear algebra modulo P --------------------------------------------------------------------------


def fixed_orbits(actions: list[tuple[list[int], list[int]]]) -> Iterator[dict[int, int]]:
    """A basis of the common fixed vectors of monomial matrices, as {position: entry}, disjointly supported.

    A fixed vector has entry(image of x) = coefficient * entry(x), so one entry decides those of its whole
    orbit; the orbit carries a fixed vector unless this leads to two values for one entry.
    """
    seen: set[int] = set()
    for start in range(len(actions[0][0])):
        if start in seen:
            continue
        orbit, stack, consistent = {start: 1}, [start], True
        while stack:
            x = stack.pop()
            for image, coefficient in actions:
                y, entry = image[x], orbit[x] * coefficient[x] % P
                if y not in orbit:
                    stack.append(y)
                consistent &= orbit.setdefault(y, entry) == entry
        seen.update(orbit)
        if consistent:
            yield orbit


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices modulo P, in halves of 16 bits so that no int64 overflows."""
    high, low = a >> 16, a & 0xFFFF
    return (((high @ b % P) << 16) + low @ b) % P


def inverse(a: np.ndarray) -> np.ndarray:
    """The inverse of a matrix modulo P."""
    inverted = nmod_mat(*a.shape, a.ravel().tolist(), P).inv()
    return np.array([int(x) for x in inverted.entries()], dtype=np.int64).reshape(a.shape)


def left_kernel(a: np.ndarray) -> np.ndarray:
    """A basis, in rows, of the vectors x with x a = 0 modulo P."""
    columns = a[:, a.any(axis=0)]  # the other columns ask nothing
    rows, width = columns.shape
    kernel, nullity = nmod_mat(width, rows, columns.T.ravel().tolist(), P).nullspace()
    basis = np.array([int(x) for x in kernel.entries()], dtype=np.int64).reshape(rows, rows)
    return np.ascontiguousarray(basis[:, :nullity].T)
