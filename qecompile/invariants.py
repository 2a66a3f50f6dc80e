"""A basis of the invariants of one factor of the group: the diagrams of theory.md, section 2.

Takes the legs of a combined tensor under one root space, gives its diagrams.

*Statement.* Let a space have n index values, each with its own copy of H = characters x groups of the
nested spaces, permuted by S(n) or not. A tensor with k axes on that space is the direct sum over index
tuples; group the tuples by which of their entries are equal, a set partition. Tuples of one partition
with m blocks form one orbit of S(n) (none if m > n), and the stabiliser acts on the fibre over a tuple as
H^m, one copy for each block. So

    dim = sum over partitions with m <= n blocks of c(m) * product over blocks of dim Inv_H(block),

with c(m) = 1 for a permuted space and n (n-1) ... (n-m+1) for a fixed one; Inv_H of a block is zero unless
the charges of the block are neutral, else the product over nested spaces of the same count. The
formula holds for *every* n. A diagram requires equality inside its blocks and nothing between them, so
it is the sum of the invariants of its own and of coarser partitions: diagrams are unitriangular against
the basis above, hence also a basis. For a fixed space the coefficients of a coarser partition are special
values of those of a finer one, so only minimal partitions stay, with one coefficient per index tuple;
where two minimal ones overlap, `Support` says which tuples the later ones keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

from qecompile.diagrams import Blocks, falling, is_finer, set_partitions, vector_invariants
from qecompile.errors import SymError, too_large
from qecompile.signature import Leg, Node

Role = Literal["sum", "each", "code"]

MOST_DIAGRAMS = 30_000


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """Axes that share one index value.

    The coefficient is the same for every index value (`sum`, a permuted space), has its own value for
    each (`each`, a fixed space with fibres), or comes from position codes (`code`).
    """

    legs: tuple[int, ...]
    role: Role = "sum"


@dataclass(frozen=True, slots=True, order=True)
class Support:
    """The index tuples that carry a coefficient: those whose equality pattern is listed.

    `blocks` names `each` blocks by their first legs; a pattern gives each of them a label, and blocks
    have equal labels where their index values are equal.
    """

    blocks: tuple[int, ...]
    patterns: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, order=True)
class Diagram:
    """A basis element, or a family of `count` of them that differ in the value of free indices.

    `blocks` join index axes, `pairs` are identities and `epsilons` Levi-Civita tensors on vector axes,
    `free` axes impose nothing. Legs are numbered through the target's axes and then the source's.
    """

    blocks: tuple[Block, ...] = ()
    pairs: Blocks = ()
    epsilons: Blocks = ()
    free: tuple[int, ...] = ()
    supports: tuple[Support, ...] = ()
    count: int = 1

    def relabelled(self, names: tuple[int, ...]) -> Diagram:
        """The same diagram with leg k called `names[k]`."""

        def rename(legs: Iterable[int]) -> tuple[int, ...]:
            return tuple(names[k] for k in legs)

        return Diagram(
            tuple(Block(rename(b.legs), b.role) for b in self.blocks),
            tuple(rename(p) for p in self.pairs),
            tuple(rename(e) for e in self.epsilons),
            rename(self.free),
            tuple(Support(rename(s.blocks), s.patterns) for s in self.supports),
            self.count,
        )

    def times(self, other: Diagram) -> Diagram:
        """The tensor product of two diagrams on different axes, in canonical order."""
        return Diagram(
            tuple(sorted(self.blocks + other.blocks)),
            tuple(sorted(self.pairs + other.pairs)),
            tuple(sorted(self.epsilons + other.epsilons)),
            tuple(sorted(self.free + other.free)),
            tuple(sorted(self.supports + other.supports)),
            self.count * other.count,
        )

    def render(self, target_axes: int) -> str:
        """One readable line: target axes are i, j, k, ...; source axes are primed.

        >>> print(Diagram((Block((0, 2)), Block((1,))), ((3, 4),)).render(2))
        {i i' | j} <j' k'>
        """

        def name(leg: int) -> str:
            letters = "ijklmnopqrstuvw"
            return letters[leg] if leg < target_axes else letters[leg - target_axes] + "'"

        def join(legs: Iterable[int]) -> str:
            return " ".join(name(leg) for leg in legs)

        parts = ["{" + " | ".join(join(b.legs) for b in self.blocks) + "}"] if self.blocks else []
        parts += [f"<{join(pair)}>" for pair in self.pairs]
        parts += [f"eps({join(legs)})" for legs in self.epsilons]
        parts += [f"[{join(self.free)}]"] if self.free else []
        return " ".join(parts) or "{}"


UNIT = Diagram()


@lru_cache(maxsize=65536)
def invariants(node: Node, legs: tuple[Leg, ...]) -> tuple[Diagram, ...]:
    """A basis of the invariants of the group of `node` in the tensor product of `legs`.

    The legs must belong to one copy of the group. No legs have the one invariant 1.
    """
    if not legs:
        return (UNIT,)
    if node.code is not None:
        return _on_coded_space(node, legs)
    if node.is_vector:
        return _on_vector_space(node, legs)
    if node.is_free:
        return (_free(node, legs),)
    if node.permuted:
        return tuple(
            Diagram(tuple(Block(block) for block in partition)).times(fibre)
            for partition, fibre in _by_partition(node, legs)
        )
    return _on_fixed_fibres(node, legs)


def is_neutral(words: tuple[str, ...], legs: Iterable[Leg]) -> bool:
    """Whether the charges of the legs sum to 0 for `scale` and `dilate`, to an even number for `sign`."""
    columns = list(zip(*(leg.charges for leg in legs), strict=True))
    return all(sum(c) % 2 == 0 if w == "sign" else sum(c) == 0 for w, c in zip(words, columns, strict=True))


def _on_vector_space(node: Node, legs: tuple[Leg, ...]) -> tuple[Diagram, ...]:
    if not is_neutral(node.words, legs):
        return ()
    keys = tuple(leg.key for leg in legs)
    if node.vector is None:
        return (Diagram(free=keys, count=node.size ** len(legs)),)
    contra = tuple(node.vector == "linear" and leg.contra for leg in legs)
    return tuple(
        Diagram(pairs=s.pairs, epsilons=(s.epsilon,) if s.epsilon else ()).relabelled(keys)
        for s in vector_invariants(node.vector, node.size, contra)
    )


def _free(node: Node, legs: tuple[Leg, ...]) -> Diagram:
    """Nothing acts: every combination of index values has a coefficient of its own."""
    below = _product(
        _free(child, group)
        for k, child in enumerate(node.children)
        if (group := tuple(leg for top in legs for leg in top.nested[k]))
    )
    here = Diagram(free=tuple(leg.key for leg in legs), count=node.size ** len(legs))
    return here.times(below)


def _on_coded_space(node: Node, legs: tuple[Leg, ...]) -> tuple[Diagram, ...]:
    """Each axis is pooled against the codes by itself, or passes from the source to the target."""
    assert node.code is not None
    if not is_neutral(node.words, legs):
        return ()
    found = []
    for partition in set_partitions(range(len(legs))):
        blocks = [[legs[k] for k in block] for block in partition]
        if all(len(b) == 1 or [leg.is_source for leg in b] == [False, True] for b in blocks):
            joined = tuple(Block(tuple(leg.key for leg in b), "code") for b in blocks)
            here = Diagram(joined, count=node.code ** sum(1 for b in blocks if len(b) == 1))
            for factors in product(*(_fibre(node, block) for block in blocks)):
                found.append(here.times(_product(factors)))
    return tuple(found)


def _by_partition(node: Node, legs: tuple[Leg, ...]) -> Iterator[tuple[Blocks, Diagram]]:
    """Every neutral partition with at most n blocks, with each product of invariants of its fibres."""
    found = 0
    for partition in set_partitions(range(len(legs))):
        if len(partition) <= node.size:
            blocks = [[legs[k] for k in block] for block in partition]
            if all(is_neutral(node.words, block) for block in blocks):
                keys = tuple(tuple(leg.key for leg in block) for block in blocks)
                for factors in product(*(_fibre(node, block) for block in blocks)):
                    found += 1
                    if found > MOST_DIAGRAMS:
                        raise SymError([too_large("diagrams under one space", found, MOST_DIAGRAMS)])
                    yield keys, _product(factors)


def _fibre(node: Node, block: list[Leg]) -> tuple[Diagram, ...]:
    """The invariants of the nested spaces on the axes that belong to one block."""
    per_child = [
        invariants(child, tuple(leg for top in block for leg in top.nested[k]))
        for k, child in enumerate(node.children)
    ]
    return tuple(_product(factors) for factors in product(*per_child))


def _product(factors: Iterable[Diagram]) -> Diagram:
    whole = UNIT
    for factor in factors:
        whole = whole.times(factor)
    return whole


def _on_fixed_fibres(node: Node, legs: tuple[Leg, ...]) -> tuple[Diagram, ...]:
    """One family per minimal partition and fibre; every exact partition is given to the first that fits."""
    by_fibre: dict[Diagram, list[Blocks]] = {}
    for partition, fibre in _by_partition(node, legs):
        by_fibre.setdefault(fibre, []).append(partition)
    keys = [leg.key for leg in legs]
    found = []
    for fibre, partitions in by_fibre.items():
        minimal = [p for p in partitions if not any(is_finer(o, p) for o in partitions if o != p)]
        taken: set[Blocks] = set()
        for fine in minimal:
            active = tuple(p for p in partitions if is_finer(fine, p) and p not in taken)
            taken |= set(active)
            every = [p for p in set_partitions(keys) if len(p) <= node.size and is_finer(fine, p)]
            count = sum(falling(node.size, len(p)) for p in active)
            supports = () if len(active) == len(every) else (_support(fine, active),)
            blocks = tuple(Block(block, "each") for block in fine)
            found.append(Diagram(blocks, supports=supports, count=count).times(fibre))
    return tuple(found)


def _support(fine: Blocks, active: tuple[Blocks, ...]) -> Support:
    heads = tuple(block[0] for block in fine)
    return Support(heads, tuple(tuple(_label(head, p) for head in heads) for p in active))


def _label(leg: int, partition: Blocks) -> int:
    return next(k for k, block in enumerate(partition) if leg in block)
