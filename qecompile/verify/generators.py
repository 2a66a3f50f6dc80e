"""Elements of the group of a spec, modulo a prime, and how they act on a basis tensor.

Takes a `Spec`, gives generators of a dense subgroup of its group as matrices of integers modulo P, and their
action on tensors whose axes are *slots*. Written from the definition of the group alone: it knows nothing
of diagrams, of bases, or of `groups.py`.

**The representation.** A space stands for one copy of its local group per *address*, the tuple of index
values of the spaces around it; a root has the one address (). A group element picks, for each space and
address, a `Local` factor: a matrix (a permutation matrix, a linear one, the identity) and one multiplier
per character and index value. An axis is acted on by the factor at the address which the values of its
parent axes spell, so a permuted parent carries copy i to copy sigma(i): the wreath product at any depth.
A source axis is acted on by the inverse transpose of its whole factor, because M in
rho_q(g) M rho_p(g)^-1 has p's axes dualised.

**Generators**, each an honest element of G (so extra ones never do harm):

* for every copy of S(n), a transposition and an n-cycle; for every {+1, -1}, the element -1; for every
  copy of O(n), a reflection. Copies that a permuted parent exchanges are conjugate, so one is enough.
* random elements of the torus: multipliers for `scale` and `dilate`, a diagonal matrix in each GL(n);
* random elements of the product of all GL(n) and SO(n), the latter as Cayley transforms;
* signed permutation matrices inside GL(n), O(n) and SO(n): redundant, but with the others above they are
  *monomial* matrices, whose common fixed vectors are found orbit by orbit, without any linear algebra.
  Only the few vectors that survive meet the random dense matrices.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from qecompile.spec import Axis, Space, Spec
from qecompile.verify.modular import Ints, P, inverse, multiply

Address = tuple[int, ...]


@dataclass(frozen=True)
class Local:
    """What one copy of a space's group does: a matrix, and a multiplier per character and index value."""

    matrix: Ints
    multipliers: tuple[tuple[int, ...], ...]


Element = dict[tuple[str, Address], Local]  # the identity wherever nothing is said


@dataclass(frozen=True)
class Slot:
    """One axis of the unknown tensor: a space, how it is acted on, and the slots its address is read from."""

    space: Space
    axis: Axis
    inverse_transpose: bool
    ancestors: tuple[int, ...]


def slots_of(spec: Spec, name: str, offset: int = 0, inverse_transpose: bool = False) -> list[Slot]:
    """The axes of a parameter as slots `offset`, `offset + 1`, ... of an unknown tensor."""
    axes = spec.params[name].axes

    def ancestors(axis: Axis) -> tuple[int, ...]:
        return () if axis.parent is None else (*ancestors(axes[axis.parent]), axis.parent + offset)

    return [Slot(spec.space[a.space], a, inverse_transpose, ancestors(a)) for a in axes]


def pair_slots(spec: Spec, target: str, source: str | None) -> list[Slot]:
    """The axes of a target and then those of a source, dualised; without a source, of the target alone."""
    slots = slots_of(spec, target)
    return slots if source is None else slots + slots_of(spec, source, len(slots), inverse_transpose=True)


def addresses(spec: Spec, space: Space, one_per_orbit: bool = False) -> Iterator[Address]:
    """The addresses of the copies of a space; optionally only one of those that permutations exchange."""
    sizes: list[int] = []
    while space.parent is not None:
        space = spec.space[space.parent]
        sizes.insert(0, 1 if one_per_orbit and space.permuted else space.size)
    return product(*map(range, sizes))


def local(space: Space, matrix: npt.ArrayLike | None = None, **multipliers: Iterable[int]) -> Local:
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


def permutation_matrix(images: Iterable[int], sign: int = 1) -> Ints:
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


def random_matrix(space: Space, rng: random.Random) -> Ints:
    """A random matrix, or the Cayley transform (1 - A)(1 + A)^-1 of a random skew-symmetric A."""
    n = space.size
    matrix = np.array([[rng.randrange(P) for _ in range(n)] for _ in range(n)], dtype=np.int64)
    if space.vector == "linear":
        return matrix
    skew = np.triu(matrix, 1) - np.triu(matrix, 1).T
    one = np.eye(n, dtype=np.int64)
    return multiply((one - skew) % P, inverse((one + skew) % P))


# --- how they act -------------------------------------------------------------------------------------


def axis_matrix(factor: Local, slot: Slot) -> Ints:
    """The matrix by which a factor acts on an axis: its matrix, dualised if it must be, times charges."""
    matrix = inverse(factor.matrix).T if slot.axis.dual else factor.matrix
    diagonal = [1] * slot.space.size
    for values, charge in zip(factor.multipliers, slot.axis.charges, strict=True):
        diagonal = [d * pow(v, charge, P) % P for d, v in zip(diagonal, values, strict=True)]
    matrix = matrix * np.array(diagonal, dtype=np.int64) % P
    return inverse(matrix).T if slot.inverse_transpose else matrix


def monomial_action(g: Element, slots: Sequence[Slot]) -> tuple[Ints, Ints]:
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
    flat = np.zeros_like(coefficient)
    for size, image in zip(shape, images, strict=True):
        flat = flat * size + image
    return flat, coefficient


def dense_action(g: Element, slots: Sequence[Slot], vectors: Ints) -> Ints:
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
