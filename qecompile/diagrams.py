"""Set partitions, perfect matchings and Levi-Civita terms: the combinatorics of invariants.

Takes sizes and labels, gives tuples of labels. Knows nothing of specs. All arithmetic is in integers;
ranks are computed modulo a prime and certified against a closed formula, so they are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, permutations
from math import factorial

import flint

from qecompile.errors import IRError, SymError, too_large

PRIME = (1 << 31) - 1
MOST_INDEX_LEGS = 9
MOST_VECTOR_LEGS = 10
MOST_DEPENDENT = 450

Blocks = tuple[tuple[int, ...], ...]


def set_partitions(labels: Sequence[int]) -> Iterator[Blocks]:
    """Every partition of `labels` into blocks, each once; blocks and their members keep the order.

    The count is the Bell number; the coarsest partition comes first.

    >>> [len(list(set_partitions(range(k)))) for k in range(6)]
    [1, 1, 2, 5, 15, 52]
    """
    if len(labels) > MOST_INDEX_LEGS:
        raise SymError([too_large("axes of one index space", len(labels), MOST_INDEX_LEGS)])
    yield from _grow((), tuple(labels))


def _grow(blocks: Blocks, rest: tuple[int, ...]) -> Iterator[Blocks]:
    if not rest:
        yield blocks
        return
    head, tail = rest[0], rest[1:]
    for k, block in enumerate(blocks):
        yield from _grow((*blocks[:k], (*block, head), *blocks[k + 1 :]), tail)
    yield from _grow((*blocks, (head,)), tail)


def is_finer(fine: Blocks, coarse: Blocks) -> bool:
    """Whether every block of `fine` lies inside a block of `coarse`.

    >>> is_finer(((0,), (1,), (2,)), ((0, 1), (2,))), is_finer(((0, 1), (2,)), ((0,), (1, 2)))
    (True, False)
    """
    where = {label: k for k, block in enumerate(coarse) for label in block}
    return all(len({where[label] for label in block}) == 1 for block in fine)


def falling(n: int, k: int) -> int:
    """The number of ways to give k things different values out of n: n (n-1) ... (n-k+1).

    >>> falling(4, 2), falling(1, 2), falling(3, 0)
    (12, 0, 1)
    """
    product = 1
    for j in range(k):
        product *= n - j
    return product


def perfect_matchings(labels: Sequence[int]) -> Iterator[Blocks]:
    """Every way to pair up `labels`; there are (k-1)!! of them, and none for odd k.

    >>> [len(list(perfect_matchings(range(k)))) for k in range(7)]
    [1, 0, 1, 0, 3, 0, 15]
    """
    if not labels:
        yield ()
        return
    first, rest = labels[0], labels[1:]
    for k, other in enumerate(rest):
        for more in perfect_matchings([*rest[:k], *rest[k + 1 :]]):
            yield ((first, other), *more)


@dataclass(frozen=True, slots=True)
class Strands:
    """An invariant of one vector space: pairs joined by an identity, and perhaps one Levi-Civita."""

    pairs: Blocks = ()
    epsilon: tuple[int, ...] = ()


@lru_cache(maxsize=4096)
def vector_invariants(word: str, size: int, contra: tuple[bool, ...]) -> tuple[Strands, ...]:
    """A basis of the invariants of GL(n), O(n) or SO(n) in a tensor product of len(contra) axes.

    `contra[k]` says that axis k of a `linear` space is contravariant (M^-T); the other words ignore it.

    Spanning for every n is the first fundamental theorem (Weyl): products of pairings for GL and O, and
    for SO also one Levi-Civita tensor times pairings. The second fundamental theorem bounds
    independence: GL needs at most n strands, O at most n pairs. Below that the Gram matrix of the
    spanning set, restricted to the first independent diagrams, gives the basis. Over the reals a Gram
    matrix of tensors has the rank of the tensors; its rank modulo a prime never exceeds that, and
    equals the closed dimension formula here, so the chosen diagrams are a basis, exactly.

    >>> [len(vector_invariants("rotate", n, (False,) * 4)) for n in (1, 2, 3, 4)]
    [1, 6, 3, 4]
    >>> [len(vector_invariants("linear", n, (False, True) * 3)) for n in (1, 2, 3)]
    [1, 5, 6]
    """
    legs = len(contra)
    if legs > MOST_VECTOR_LEGS:
        raise SymError([too_large("axes of one vector space", legs, MOST_VECTOR_LEGS)])
    match word:
        case "linear":
            spanning = _pairings_of_duals(contra)
            enough = 2 * size >= legs
        case "orthogonal":
            spanning = tuple(Strands(m) for m in perfect_matchings(range(legs)))
            enough = 2 * size >= legs
        case "rotate":
            even = vector_invariants("orthogonal", size, contra)
            return even + _levi_civita_terms(size, legs)
        case _:
            raise IRError(f"no invariants are known for the word {word}")
    if enough:
        return spanning
    return _independent(spanning, size, _formula(word, size, legs) if spanning else 0)


def _pairings_of_duals(contra: tuple[bool, ...]) -> tuple[Strands, ...]:
    up = [k for k, c in enumerate(contra) if not c]
    down = [k for k, c in enumerate(contra) if c]
    if len(up) != len(down):
        return ()
    found = (
        tuple(sorted((min(a, b), max(a, b)) for a, b in zip(up, image, strict=True)))
        for image in permutations(down)
    )
    return tuple(Strands(pairs) for pairs in found)


def _levi_civita_terms(size: int, legs: int) -> tuple[Strands, ...]:
    """The invariants of SO(n) that change sign under O(n): one Levi-Civita tensor, the rest paired."""
    if legs < size or (legs - size) % 2:
        return ()
    spanning = tuple(
        Strands(pairs, chosen)
        for chosen in combinations(range(legs), size)
        for pairs in perfect_matchings([k for k in range(legs) if k not in chosen])
    )
    return _independent(spanning, size, _formula("determinant", size, legs))


def _independent(spanning: tuple[Strands, ...], size: int, expected: int) -> tuple[Strands, ...]:
    """The first independent diagrams, by exact elimination of their Gram matrix."""
    if len(spanning) > MOST_DEPENDENT:
        raise SymError([too_large("dependent diagrams of one vector space", len(spanning), MOST_DEPENDENT)])
    gram = flint.nmod_mat(
        len(spanning), len(spanning), [inner(a, b, size) % PRIME for a in spanning for b in spanning], PRIME
    )
    echelon, rank = gram.rref()
    if rank != expected:
        raise IRError(f"Gram rank {rank} of {len(spanning)} diagrams at size {size}, expected {expected}")
    pivots = []
    column = 0
    for row in range(rank):
        while int(echelon[row, column]) == 0:
            column += 1
        pivots.append(spanning[column])
    return tuple(pivots)


def inner(a: Strands, b: Strands, size: int) -> int:
    """The full contraction of two diagrams: n to the number of loops, an exact integer.

    Two Levi-Civita tensors contract to the signed sum over the ways of joining their legs.

    >>> inner(Strands(((0, 1), (2, 3))), Strands(((0, 1), (2, 3))), 5)
    25
    >>> inner(Strands((), (0, 1, 2)), Strands((), (0, 1, 2)), 3)
    6
    """
    if len(a.epsilon) != len(b.epsilon):
        return 0
    total = 0
    for image in permutations(range(len(a.epsilon))):
        joins = tuple((a.epsilon[k], b.epsilon[j]) for k, j in enumerate(image))
        total += _sign(image) * size ** _loops(a.pairs + b.pairs + joins)
    return int(total)


def _loops(edges: Blocks) -> int:
    """Number of closed loops that the edges form; every leg that occurs lies on two of them."""
    root: dict[int, int] = {}

    def find(x: int) -> int:
        while root.setdefault(x, x) != x:
            x = root[x]
        return x

    for x, y in edges:
        root[find(x)] = find(y)
    return sum(1 for x in root if find(x) == x)


def _sign(image: Sequence[int]) -> int:
    inversions = sum(1 for j in range(len(image)) for i in range(j) if image[i] > image[j])
    return -1 if inversions % 2 else 1


def _formula(word: str, size: int, legs: int) -> int:
    """The dimension of the invariants, from the decomposition of the k-th tensor power (Schur-Weyl).

    GL(n): sum of f(l)^2 over partitions l of k/2 with at most n parts. O(n): sum of f(l) over
    partitions of k into at most n even parts. The part of SO(n) that O(n) lacks: exactly n odd parts.
    f(l) is the number of standard tableaux.
    """
    rules: dict[str, tuple[int, Callable[[tuple[int, ...]], int]]] = {
        "linear": (legs // 2, lambda shape: standard_tableaux(shape) ** 2),
        "orthogonal": (legs, lambda s: standard_tableaux(s) if all(part % 2 == 0 for part in s) else 0),
        "determinant": (
            legs,
            lambda s: standard_tableaux(s) if len(s) == size and all(part % 2 for part in s) else 0,
        ),
    }
    total, weight = rules[word]
    return sum(weight(shape) for shape in _integer_partitions(total, total) if len(shape) <= size)


def _integer_partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    if total == 0:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in _integer_partitions(total - part, part):
            yield (part, *rest)


def standard_tableaux(shape: tuple[int, ...]) -> int:
    """The number of standard Young tableaux of a shape, by the hook length formula.

    >>> standard_tableaux((2, 1)), standard_tableaux((3, 3)), standard_tableaux(())
    (2, 5, 1)
    """
    hooks = 1
    for i, part in enumerate(shape):
        for j in range(part):
            hooks *= part - j + sum(1 for other in shape[i + 1 :] if other > j)
    return factorial(sum(shape)) // hooks
