"""The stabiliser of a generic point by linear algebra modulo a prime, for what no closed form covers.

The infinitesimal action at theta is a matrix A(theta): one row per generator of the Lie algebra, one column
per entry of theta, its entries linear in theta with integer coefficients. The dimension of a generic orbit
is the rank of A over Q(theta).

*Statement.* At a uniformly random theta over F_p the rank is never larger: a minor that is not zero there is
not the zero polynomial. It is smaller only if p divides every coefficient of every maximal non-zero minor,
or all of them vanish at the random point, which by the Schwartz-Zippel lemma has probability at most
rank/p <= 2^-46 for p = 2^61 - 1 and the limit below. In particular a full rank is proven.

Two reductions are exact. (1) *Columns*: a block V (x) R^m on whose second factor nothing acts is fixed by X
iff X vanishes on the span of m generic vectors of V, which is V once m >= dim V, so m is capped there.
(2) *Copies*: if all pieces belong to spaces inside u or to u itself, and in every parameter those that act
do so along one axis of u, then the index values of u do not see each other, and each gives the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from flint import nmod_mat

from qecompile.nesting import ancestors, lineage
from qecompile.orbit_algebra import Algebra, Variable
from qecompile.spec import Param, Space, Spec

PRIME = 2**61 - 1
LIMIT = 2**24  # entries of A: half a minute and half a gigabyte

Ints = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A generator of gl(n), the matrix unit E_ij, or of so(n), E_ij - E_ji, in one copy of a space."""

    space: str
    copy: int
    i: int
    j: int
    skew: bool


@dataclass(frozen=True, slots=True)
class Scalar:
    """A generator of the torus: one index value, counted through all copies, or one vector space copy."""

    variable: Variable
    value: int
    is_copy: bool


@dataclass(frozen=True, slots=True)
class Block:
    """What one parameter gives: some of its axes, and all the others as one axis of free columns.

    Attributes:
        param: the parameter.
        kept: positions of the axes along which a piece acts, and of the axes these belong to.
        shape: the sizes of the kept axes, then the number of columns.
    """

    param: Param
    kept: tuple[int, ...]
    shape: tuple[int, ...]

    def address(self, positions: tuple[int, ...]) -> Ints:
        """The index values along some kept axes as one number, for each entry; broadcasts with `shape`."""
        flat = np.zeros([1] * len(self.shape), dtype=np.int64)
        for k in positions:
            at = self.kept.index(k)
            values = np.arange(self.shape[at]).reshape([-1 if i == at else 1 for i in range(len(self.shape))])
            flat = flat * self.shape[at] + values
        return flat


def stabiliser_dim(spec: Spec, algebra: Algebra) -> int:
    """Dimension of the subalgebra of `algebra` that fixes a generic theta.

    Raises:
        ValueError: the matrix of the action is beyond `LIMIT`; the message names the spaces.
    """
    touched = [p for p in spec.parameters if algebra.acting(p).spaces]
    apart = [u.name for u in spec.spaces if _is_separable(spec, algebra, touched, u)]
    sizes = {s.name: 1 if s.name in apart else s.size for s in spec.spaces}
    blocks = [_block(algebra, p, sizes) for p in touched]
    count, columns = _dim(spec, algebra, sizes), sum(math.prod(b.shape) for b in blocks)
    if count * columns > LIMIT:
        raise ValueError(
            f"orbit dimension: the actions on {', '.join(algebra.spaces)} are coupled, and {count} "
            f"generators on {columns} entries are beyond the limit of {LIMIT} for their product"
        )
    rank = _rank(list(_generators(spec, algebra, sizes)), blocks, columns) if columns else 0
    return (count - rank) * math.prod(spec.space[u].size for u in apart)


def _is_separable(spec: Spec, algebra: Algebra, touched: list[Param], u: Space) -> bool:
    """Whether the index values of u do not see each other: the condition of reduction (2)."""
    if u.is_vector or any(u.name not in (*ancestors(spec, s), s) for s in algebra.spaces):
        return False
    return all(len([b for b in _kept(algebra, p) if p.axes[b].space == u.name]) == 1 for p in touched)


def _kept(algebra: Algebra, p: Param) -> tuple[int, ...]:
    """The positions of the axes along which some piece acts, and of the axes that these belong to."""
    matrices = (*algebra.linear, *algebra.compact)
    moved = [
        k for k, a in enumerate(p.axes) if a.space in matrices or any(v.charge(a) for v in algebra.torus)
    ]
    return tuple(sorted({b for k in moved for b in lineage(p.axes, k)}))


def _block(algebra: Algebra, p: Param, sizes: Mapping[str, int]) -> Block:
    """One parameter with its columns capped: reduction (1)."""
    kept = _kept(algebra, p)
    matrices = (*algebra.linear, *algebra.compact)
    columns = math.prod(n for k, n in enumerate(p.shape) if k not in kept)
    spanned = math.prod(p.shape[k] for k in kept if p.axes[k].space in matrices)
    return Block(p, kept, (*(sizes[p.axes[k].space] for k in kept), min(columns, spanned)))


def _dim(spec: Spec, algebra: Algebra, sizes: Mapping[str, int]) -> int:
    """The number of generators, for the given sizes."""
    return sum(_copies(spec, s, sizes) * each for s, each in _generators_per_copy(spec, algebra, sizes))


def _generators_per_copy(spec: Spec, algebra: Algebra, sizes: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield from ((s, sizes[s] ** 2) for s in algebra.linear)
    yield from ((s, math.comb(sizes[s], 2)) for s in algebra.compact)
    for v in algebra.torus:
        yield v.space, 1 if spec.space[v.space].is_vector else sizes[v.space]


def _generators(spec: Spec, algebra: Algebra, sizes: Mapping[str, int]) -> Iterator[Unit | Scalar]:
    """A basis of the algebra, for the given sizes."""
    for s in (*algebra.linear, *algebra.compact):
        n, skew = sizes[s], s in algebra.compact
        for copy in range(_copies(spec, s, sizes)):
            yield from (Unit(s, copy, i, j, skew) for i in range(n) for j in range(i + 1 if skew else 0, n))
    for v in algebra.torus:
        is_copy = spec.space[v.space].is_vector
        count = _dim(spec, Algebra(torus=(v,)), sizes)
        yield from (Scalar(v, value, is_copy) for value in range(count))


def _copies(spec: Spec, space: str, sizes: Mapping[str, int]) -> int:
    return math.prod(sizes[a] for a in ancestors(spec, space))


def _rank(generators: list[Unit | Scalar], blocks: list[Block], columns: int) -> int:
    """The rank of A at a random point modulo `PRIME`; the seed is fixed."""
    if not generators:
        return 0
    random = np.random.default_rng(0)
    matrix = np.zeros((len(generators), columns), dtype=np.int64)
    start = 0
    for block in blocks:
        theta = random.integers(0, PRIME, size=block.shape, dtype=np.int64)
        for row, generator in zip(matrix, generators, strict=True):
            row[start : start + theta.size] = _image(generator, block, theta).ravel()
        start += theta.size
    return int(nmod_mat(len(generators), columns, matrix.ravel().tolist(), PRIME).rank())


def _image(generator: Unit | Scalar, block: Block, theta: Ints) -> Ints:
    """X theta modulo `PRIME`: the sum over the axes along which the generator X acts."""
    image = np.zeros_like(theta)
    for k in block.kept:
        axis = block.param.axes[k]
        line = lineage(block.param.axes, k)
        match generator:
            case Unit() if generator.space == axis.space:
                here = theta * (block.address(line[:-1]) == generator.copy)
                image += _apply_unit(generator, axis.dual, block.kept.index(k), here)
            case Scalar(variable=v) if charge := v.charge(axis):
                here = theta * (block.address(line[:-1] if generator.is_copy else line) == generator.value)
                image += (here.astype(object) * charge % PRIME).astype(np.int64)
        image %= PRIME
    return image


def _apply_unit(unit: Unit, dual: bool, at: int, theta: Ints) -> Ints:
    """E_ij along axis `at`: row j moves to row i; -E_ji if dual; E_ij - E_ji if skew."""
    image = np.zeros_like(theta)
    source, target = np.moveaxis(theta, at, 0), np.moveaxis(image, at, 0)
    if unit.skew or not dual:
        target[unit.i] += source[unit.j]
    if unit.skew or dual:
        target[unit.j] -= source[unit.i]
    return image
