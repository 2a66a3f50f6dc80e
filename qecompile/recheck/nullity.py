"""The dimension of what a group fixes, by linear algebra modulo a prime: no diagram is used.

Takes a `Problem`, the axes of a tensor under one root space, and sizes; gives the dimension. It knows how a
group element acts on a basis tensor, and no more. Diagonal elements (scales, signs, and those inside matrix
groups) leave only some basis tensors; permutations, those of every nested copy included, join them in orbits;
then random matrices act on the sums over orbits. Each is an element of the group, so the answer is never too
small. It is too large only where random elements happen to fix more than generic ones do: by Schwartz-Zippel
with a probability of about degree / P, below 1e-5. The seed is fixed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
from flint import nmod_mat
from numpy.typing import NDArray

P = 536_870_909  # a prime below 2**29: sums of 32 products fit 64 bits
MOST_ENTRIES = 40_000_000
Array = NDArray[np.int64]
Factor = tuple[Any, Any, Sequence[Any]]
"""For every copy of a space: matrices and inverse transposes (or None), and multipliers by character."""


class Wrong(Exception):
    """What the certificate says does not hold, or cannot be confirmed."""


@dataclass(frozen=True)
class Site:
    """A space without its name; `free` says that nothing acts on it or below it."""

    size: int
    permuted: bool
    vector: str | None
    words: tuple[str, ...]
    parent: int | None
    free: bool

    @property
    def is_index(self) -> bool:
        """Whether blocks join its axes."""
        return not (self.free or self.vector or "dilate" in self.words)


@dataclass(frozen=True)
class Leg:
    """An axis of a `Problem`; `parent` is the leg it belongs to."""

    space: int
    dual: bool
    charges: tuple[int, ...]
    parent: int | None


@dataclass(frozen=True)
class Problem:
    """The invariants of one root's group in the tensor product of some legs."""

    sites: tuple[Site, ...]
    legs: tuple[Leg, ...]


@cache
def nullity(problem: Problem, sizes: tuple[int, ...]) -> int:
    """The dimension of the fixed space of the group, at some sizes of its spaces."""
    shape = tuple(sizes[leg.space] for leg in problem.legs)
    entries = math.prod(shape)
    if entries > MOST_ENTRIES // 8:
        raise Wrong(f"a tensor of {entries} entries is beyond what is re-checked")
    group = Elements(problem, sizes)
    alive, places = np.ones(entries, dtype=bool), np.arange(entries).reshape(shape)
    for element in group.diagonal():
        alive &= group.act(element, np.ones(shape, dtype=np.int64)).ravel() == 1
    labels = np.arange(entries)
    moves = [group.act(element, places).ravel() for element in group.permutations()]
    while any((labels[move] != labels).any() for move in moves):
        for move in moves:
            labels = np.minimum(labels, labels[move])
            labels[move] = np.minimum(labels, labels[move])
    kinds = np.unique(labels[alive])
    if not any(problem.sites[leg.space].vector and sizes[leg.space] > 1 for leg in problem.legs):
        return len(kinds)
    if len(kinds) * entries > MOST_ENTRIES:
        raise Wrong(f"a system of {len(kinds)} x {entries} is beyond what is re-checked")
    vectors = ((labels == kinds[:, None]) & alive).astype(np.int64)
    for _ in range(3 if len(kinds) else 0):
        moved = group.act(group.dense(), vectors.reshape(-1, *shape)).reshape(vectors.shape)
        vectors = multiply(left_kernel((moved - vectors) % P), vectors)
    return len(vectors)


class Elements:
    """Group elements of one problem, as factors by site; what is left out acts as the identity."""

    def __init__(self, problem: Problem, sizes: Sequence[int]) -> None:
        self.problem, self.sizes, self.random = problem, sizes, random.Random(7)
        self.sites = [k for k in range(len(sizes)) if any(leg.space == k for leg in problem.legs)]

    def copies(self, number: int) -> tuple[int, ...]:
        """The sizes of the spaces around a space: one copy for every tuple of their index values."""
        parent = self.problem.sites[number].parent
        return () if parent is None else (*self.copies(parent), self.sizes[parent])

    def numbers(self, *shape: int) -> Array:
        """Random numbers other than 0."""
        drawn = [self.random.randrange(1, P) for _ in range(math.prod(shape))]
        return np.array(drawn, dtype=np.int64).reshape(shape)

    def identity(self, number: int) -> tuple[Array, list[Array]]:
        """The matrices and multipliers of the identity, for every copy."""
        copies, n = self.copies(number), self.sizes[number]
        ones = [np.ones((*copies, n), dtype=np.int64) for _ in self.problem.sites[number].words]
        return np.broadcast_to(np.eye(n, dtype=np.int64), (*copies, n, n)).copy(), ones

    def multipliers(self, word: str, copies: tuple[int, ...], n: int) -> Array:
        """Random multipliers of one character: one for every index value, under `dilate` for every copy."""
        if word == "sign":
            return np.ones((*copies, n), dtype=np.int64)
        return np.broadcast_to(self.numbers(*copies, n if word == "scale" else 1), (*copies, n))

    def diagonal(self) -> Iterator[Mapping[int, Factor]]:
        """Random elements of all tori, then each sign."""
        for k in self.sites:
            site, n, copies = self.problem.sites[k], self.sizes[k], self.copies(k)
            one, ones = self.identity(k)
            for _ in range(2):
                torus = self.multipliers("scale" if site.vector == "linear" else "sign", copies, n)
                matrices = one * torus[..., None], one * powers(torus, -1)[..., None]
                yield {k: (*matrices, [self.multipliers(word, copies, n) for word in site.words])}
            for copy, i in product(product(*map(range, copies)), range(n)):
                for c, word in enumerate(site.words):
                    if word == "sign":
                        signs = [o.copy() for o in ones]
                        signs[c][(*copy, i)] = P - 1
                        yield {k: (None, None, signs)}
                flip, others = one.copy(), {i} if site.vector == "orthogonal" else {i, (i + 1) % n}
                for j in others:
                    flip[(*copy, j, j)] = P - 1
                if site.vector == "orthogonal" or (site.vector == "rotate" and n > 1):
                    yield {k: (flip, flip, ones)}

    def permutations(self) -> Iterator[Mapping[int, Factor]]:
        """A transposition and a cycle of every copy."""
        for k in self.sites:
            n = self.sizes[k]
            one, ones = self.identity(k)
            if self.problem.sites[k].permuted and n > 1:
                for copy in product(*map(range, self.copies(k))):
                    for order in ([1, 0, *range(2, n)], [*range(1, n), 0]):
                        moved = one.copy()
                        moved[copy] = np.eye(n, dtype=np.int64)[order]
                        yield {k: (moved, moved, ones)}

    def dense(self) -> Mapping[int, Factor]:
        """Random matrices, one for every copy of every matrix space; of determinant 1 outside of GL."""
        found: dict[int, Factor] = {}
        for k in self.sites:
            n, vector = self.sizes[k], self.problem.sites[k].vector
            straight, ones = self.identity(k)
            inverse, eye = straight.copy(), np.eye(n, dtype=np.int64)
            for copy in product(*map(range, self.copies(k))) if vector else ():
                a = self.numbers(n, n)
                if vector != "linear":  # Cayley: (1 - A) (1 + A)^-1 with A + A^T = 0
                    skew = np.triu(a, 1) - np.triu(a, 1).T
                    a = multiply((eye - skew) % P, inverted(eye + skew))
                straight[copy], inverse[copy] = a, inverted(a).T
            found[k] = straight, inverse, ones
        return found

    def act(self, element: Mapping[int, Factor], tensor: Array) -> Array:
        """The image of tensors [..., *shape]."""
        return act(self.problem.legs, element, tensor, np.einsum, powers, lambda x: x % P)  # type: ignore[no-any-return]


def act(
    axes: Sequence[Any],
    element: Mapping[Any, Factor],
    tensor: Any,
    einsum: Callable[..., Any],
    power: Callable[[Any, int], Any],
    reduce: Callable[[Any], Any],
) -> Any:
    """The image of tensors [..., *shape] under a group element: every axis by the copy that its parents name.

    Nested axes move first, while their parents' axes still say which copy is theirs.
    """
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY"[: len(axes)]
    lineage = [ancestors(axes, k) for k in range(len(axes))]
    for k in sorted(range(len(axes)), key=lambda k: -len(lineage[k])):
        straight, inverse_transpose, multipliers = element.get(axes[k].space, (None, None, ()))
        copy, after = "".join(letters[n] for n in lineage[k]), letters.replace(letters[k], "Z")
        for values, charge in zip(multipliers, axes[k].charges, strict=False):
            factor = power(values, charge)
            tensor = reduce(einsum(f"{copy}{letters[k]},...{letters}->...{letters}", factor, tensor))
        matrix = inverse_transpose if axes[k].dual else straight
        if matrix is not None:
            tensor = reduce(einsum(f"{copy}Z{letters[k]},...{letters}->...{after}", matrix, tensor))
    return tensor


def ancestors(axes: Sequence[Any], k: int) -> tuple[int, ...]:
    """The axes that an axis belongs to, outermost first."""
    parent = axes[k].parent
    return () if parent is None else (*ancestors(axes, parent), parent)


# Matrices modulo P


def powers(values: Array, exponent: int) -> Array:
    """Powers, entry by entry."""
    flat = [pow(int(v), exponent, P) for v in values.ravel()]
    return np.array(flat, dtype=np.int64).reshape(values.shape)


def modular(a: Array) -> Any:
    """The matrix for flint."""
    return nmod_mat(a.shape[0], a.shape[1], (a % P).ravel().tolist(), P)


def plain(a: Any) -> Array:
    """The matrix from flint."""
    return np.array([int(x) for x in a.entries()], dtype=np.int64).reshape(a.nrows(), a.ncols())


def inverted(a: Array) -> Array:
    """The inverse."""
    return plain(modular(a).inv())


def multiply(a: Array, b: Array) -> Array:
    """The product, in halves so that no sum overflows."""
    return (((a >> 15) @ b % P << 15) + (a & 0x7FFF) @ b) % P


def distinct_columns(a: Array) -> Array:
    """The matrix with one column of each kind: told apart by a random combination of their entries."""
    draw = np.random.default_rng(11).integers(1, P, (1, len(a)))
    _, first = np.unique(multiply(draw, a % P)[0], return_index=True)
    return np.ascontiguousarray(a[:, first])


def left_kernel(a: Array) -> Array:
    """A basis, in rows, of the x with x a = 0."""
    kernel, dim = modular(distinct_columns(a).T).nullspace()
    return np.ascontiguousarray(plain(kernel)[:, :dim].T)


def rank(a: Array) -> int:
    """The rank."""
    return int(modular(distinct_columns(a)).rank())
