"""Obligation (b): the diagrams of a pair are independent, by the exact rank of their Gram matrix.

Takes diagrams and the axes that they join, gives a number of dependent ones. The inner product of two
diagrams, as tensors, has a closed form at every size, so this is done at the sizes that the spec declares:

* On permuted spaces both diagrams are 1 where the entries in every block of either are equal: that leaves
  one free index value for each block of the join, a factor n.
* On vector spaces identities and Levi-Civita tensors contract: every closed loop of pairs is a factor n, and
  two Levi-Civita tensors are the signed sum over the ways of joining their axes. An odd number of them
  gives 0, as a reflection changes the sign.
* A member of a family over a fixed space lives at one tuple of index values of the axes there. Members at
  different tuples are orthogonal, and which members live at a tuple depends only on which of its entries
  are equal: one small Gram matrix for each such pattern. Axes on which nothing acts are alike in all
  diagrams and change nothing.

*Exactness.* The Gram matrix is an integer matrix and has the rank of the tensors over the reals. Its rank
modulo a prime is never larger than that. So full rank modulo the prime proves independence; an unlucky prime
could only accuse a sound basis, never acquit a dependent one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product

import numpy as np

from qecompile.invariants import Diagram
from qecompile.verify.modular import P, rank
from qecompile.verify.tensors import Labels, Typed, labels

MOST_DIAGRAMS = 1200
Partition = tuple[tuple[int, ...], ...]
Edges = list[tuple[int, int]]


def dependent(diagrams: Sequence[Diagram], axes: Typed) -> int:
    """By how much the rank of the diagrams falls short of their number, in the worst pattern; 0 is a proof.

    Raises:
        ValueError: there are more than `MOST_DIAGRAMS`, too many for this way.
    """
    if len(diagrams) > MOST_DIAGRAMS:
        raise ValueError(f"{len(diagrams)} diagrams are more than {MOST_DIAGRAMS}")
    found = [labels(d, axes) for d in diagrams]
    free = {leg for d in diagrams for leg in d.free}
    fixed = [k for k, s in enumerate(axes.spaces) if not s.permuted and not s.is_vector and k not in free]
    worst = 0
    for pattern in _patterns(fixed, axes):
        alive = [k for k, one in enumerate(found) if _lives_at(one, pattern)]
        gram = np.array(
            [[inner(diagrams[i], diagrams[j], axes) % P for j in alive] for i in alive], dtype=np.int64
        )
        worst = max(worst, len(alive) - rank(gram.reshape(len(alive), len(alive))))
    return worst


def inner(a: Diagram, b: Diagram, axes: Typed) -> int:
    """The inner product of two diagrams on permuted and vector spaces, an exact integer."""
    value = 1
    joined = _components([leg for leg, s in enumerate(axes.spaces) if s.permuted], _block_edges(a, b))
    for leg in joined:
        value *= axes.spaces[leg].size
    for name in {s.name for s in axes.spaces if s.vector}:
        value *= _contract(a, b, axes, name)
    return value


def _block_edges(a: Diagram, b: Diagram) -> Edges:
    return [(block.legs[0], leg) for d in (a, b) for block in d.blocks for leg in block.legs[1:]]


def _contract(a: Diagram, b: Diagram, axes: Typed, space: str) -> int:
    """The full contraction of the vector parts of two diagrams on one space.

    Every axis lies on one tensor of either diagram, so identities and joined Levi-Civita axes form loops.
    """
    n = next(s.size for s in axes.spaces if s.name == space)
    legs = [k for k, s in enumerate(axes.spaces) if s.name == space]
    edges = [(p[0], p[1]) for d in (a, b) for p in d.pairs if p[0] in legs]
    epsilons = [
        tuple((side, k) for k in e) for side, d in enumerate((a, b)) for e in d.epsilons if e[0] in legs
    ]
    if len(epsilons) % 2:
        return 0
    total = 0
    halves = [permutations(range(n)) for _ in epsilons[::2]]
    for images in product(*halves):
        joins: Edges = []
        sign = 1
        for left, right, image in zip(epsilons[::2], epsilons[1::2], images, strict=True):
            sign *= _sign(image)
            joins += [(left[k][1], right[j][1]) for k, j in enumerate(image)]
        total += sign * int(n ** len(_components(legs, edges + joins)))
    return total


def _components(nodes: Sequence[int], edges: Edges) -> list[int]:
    """One node of every component of a graph; edges that meet no node are left out."""
    root = {k: k for k in nodes}

    def find(k: int) -> int:
        while root[k] != k:
            k = root[k]
        return k

    for i, j in edges:
        if i in root:
            root[find(i)] = find(j)
    return [k for k in nodes if root[k] == k]


def _sign(image: Sequence[int]) -> int:
    inversions = sum(image[i] > image[j] for j in range(len(image)) for i in range(j))
    return -1 if inversions % 2 else 1


def _patterns(fixed: Sequence[int], axes: Typed) -> Iterator[dict[int, int]]:
    """Every way in which index values of fixed axes can agree: a label for each axis."""
    spaces = dict.fromkeys(axes.spaces[k].name for k in fixed)
    per_space = []
    for name in spaces:
        legs = [k for k in fixed if axes.spaces[k].name == name]
        size = axes.spaces[legs[0]].size
        per_space.append([p for p in _partitions(legs) if len(p) <= size])
    for choice in product(*per_space):
        yield {leg: block[0] for partition in choice for block in partition for leg in block}


def _partitions(legs: Sequence[int]) -> Iterator[Partition]:
    """Every partition of some axes into blocks: a new axis joins a block or begins one.

    >>> list(_partitions([0, 1]))
    [((0, 1),), ((0,), (1,))]
    """
    if not legs:
        yield ()
        return
    for rest in _partitions(legs[:-1]):
        for k, block in enumerate(rest):
            yield (*rest[:k], (*block, legs[-1]), *rest[k + 1 :])
        yield (*rest, (legs[-1],))


def _lives_at(found: Labels, pattern: dict[int, int]) -> bool:
    """Whether a family has a member where the index values agree as the pattern says, and only so."""
    if any(pattern[k] != pattern[found.of_axis[k]] for k in pattern):
        return False
    return all(
        any(_agrees([pattern[found.family[k]] for k in places], p) for p in patterns)
        for places, patterns in found.supports
    )


def _agrees(values: Sequence[int], pattern: Sequence[int]) -> bool:
    pairs = list(product(range(len(values)), repeat=2))
    return all((values[i] == values[j]) == (pattern[i] == pattern[j]) for i, j in pairs)
