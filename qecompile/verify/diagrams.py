"""Obligation (a): every diagram is invariant, checked rule by rule from theory.md, section 2.

Takes a diagram and the axes that it joins, gives the first rule that it breaks, or None. It does not generate
diagrams and knows nothing of how `invariants.py` does; that the rules suffice is this argument:

* A permutation of an index space moves all its axes alike, so "these entries are equal" is kept, provided
  that axes which are compared live in one copy: hence blocks inside blocks of their parents, and one
  coefficient for all index values of a permuted space.
* A character multiplies the tensor, where it is not zero, by the product of s_i to the charges of the axes
  with index value i. Axes of one block have one index value, so if every block is neutral the product is 1.
* On a vector space a copy of the matrix group acts for each index value of the parent; a pair (v, v*) of
  `linear`, or any pair of `orthogonal` or `rotate`, inside one parent block is an identity, which that copy
  fixes; so does SO(n) with a Levi-Civita tensor. `dilate` multiplies by s to the sum of the charges there.
* On an axis where nothing acts, every value may have its own coefficient.

As a second look, `moved_by` applies generators of the group to the dense tensor, modulo a prime.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from qecompile.invariants import Diagram
from qecompile.spec import Space, Spec
from qecompile.verify.generators import (
    Element,
    dense_action,
    dense_generators,
    monomial_action,
    monomial_generators,
    pair_slots,
)
from qecompile.verify.modular import Ints, P
from qecompile.verify.nullity import SEED
from qecompile.verify.tensors import Typed, allowed, dense, labels, members


def broken_rule(diagram: Diagram, axes: Typed, acts: frozenset[str]) -> str | None:
    """The first rule that a diagram breaks, in words; None if it obeys all.

    Args:
        diagram: what is to be checked.
        axes: the axes that it joins.
        acts: the spaces on which something acts, or on a space nested in them (`acted_on`).
    """
    return next(_broken_rules(diagram, axes, acts), None)


def acted_on(spaces: Iterable[Space]) -> frozenset[str]:
    """The spaces whose axes are no free multiplicity: something acts there or on a nested space."""
    listed = list(spaces)
    found = {s.name for s in listed if s.permuted or s.vector or s.characters}
    for s in reversed(listed):  # parents precede their children
        if s.name in found and s.parent is not None:
            found.add(s.parent)
    return frozenset(found)


def _broken_rules(d: Diagram, axes: Typed, acts: frozenset[str]) -> Iterator[str]:
    yield from _misplaced_axes(d, axes, acts)
    block_of = {leg: k for k, block in enumerate(d.blocks) for leg in block.legs}

    def copy(leg: int) -> tuple[str, int | None]:
        """The space of an axis and the block of its parent: axes that agree live in one copy."""
        owner = axes.parent[leg]
        return axes.spaces[leg].name, None if owner is None else block_of.get(owner, -1 - owner)

    for block in d.blocks:
        space = axes.spaces[block.legs[0]]
        if len({copy(leg) for leg in block.legs}) > 1:
            yield f"block {block.legs} joins axes whose parents are not joined"
        if block.role != ("sum" if space.permuted else "each"):
            yield f"block {block.legs} of {space.name} has role {block.role}"
        yield from _unneutral(f"block {block.legs}", block.legs, space, axes)
    for pair in d.pairs:
        yield from _wrong_pair(pair, axes, len({copy(leg) for leg in pair}) > 1)
    for legs in d.epsilons:
        space = axes.spaces[legs[0]]
        if space.vector != "rotate" or len(legs) != space.size:
            yield f"a Levi-Civita tensor on {legs} needs a `rotate` space of size {len(legs)}"
        if len({copy(leg) for leg in legs}) > 1:
            yield f"the Levi-Civita tensor on {legs} joins axes of different copies"
    by_copy: dict[tuple[str, int | None], list[int]] = {}
    for leg, space in enumerate(axes.spaces):
        if space.is_vector:
            by_copy.setdefault(copy(leg), []).append(leg)
    for legs_here in by_copy.values():
        space = axes.spaces[legs_here[0]]
        yield from _unneutral(f"the copy with axes {tuple(legs_here)}", legs_here, space, axes)
    yield from _wrong_supports(d, axes)
    if d.count != members(d, axes):
        yield f"it claims {d.count} coefficients and has {members(d, axes)}"


def _misplaced_axes(d: Diagram, axes: Typed, acts: frozenset[str]) -> Iterator[str]:
    """Every axis stands in one place: index axes in blocks, vector axes in pairs, others free."""
    places = Counter(leg for b in d.blocks for leg in b.legs)
    places += Counter(leg for group in (*d.pairs, *d.epsilons, d.free) for leg in group)
    if places != Counter(range(len(axes))):
        yield f"the axes {sorted(places.elements())} should be 0 to {len(axes) - 1}, each once"
        return
    for leg, space in enumerate(axes.spaces):
        if space.vector is not None:
            wanted = any(leg in group for group in (*d.pairs, *d.epsilons))
        elif space.is_vector or space.name not in acts:
            wanted = leg in d.free
        else:
            wanted = any(leg in b.legs for b in d.blocks)
        if not wanted:
            yield f"axis {leg} of {space.name} ({space.group}) stands in the wrong place"
            return


def _unneutral(where: str, legs: Iterable[int], space: Space, axes: Typed) -> Iterator[str]:
    for k, character in enumerate(space.characters):
        total = sum(axes.charges[leg][k] for leg in legs)
        if total % 2 if character.word == "sign" else total:
            yield f"{where} carries charge {total} of `{character.name}` on {space.name}"


def _wrong_pair(pair: tuple[int, ...], axes: Typed, apart: bool) -> Iterator[str]:
    spaces = {axes.spaces[leg].name for leg in pair}
    word = axes.spaces[pair[0]].vector
    if len(pair) != 2 or len(spaces) != 1 or apart:
        yield f"the pair {pair} joins axes of different spaces or copies"
    elif word == "linear" and axes.contra[pair[0]] == axes.contra[pair[1]]:
        yield f"the pair {pair} joins two axes that M acts on alike"


def _wrong_supports(d: Diagram, axes: Typed) -> Iterator[str]:
    """A support may speak of `each` blocks of one fixed space, each block once, in distinct patterns."""
    heads = {b.legs[0]: axes.spaces[b.legs[0]] for b in d.blocks}
    seen: Counter[int] = Counter()
    for support in d.supports:
        seen += Counter(support.blocks)
        spaces = {heads[h].name for h in support.blocks if h in heads}
        if len(spaces) != 1 or any(h not in heads or heads[h].permuted for h in support.blocks):
            yield f"the support of {support.blocks} is not about blocks of one fixed space"
        same = {tuple(p.index(k) for k in p) for p in support.patterns}
        if len(same) != len(support.patterns) or any(len(p) != len(support.blocks) for p in same):
            yield f"the support of {support.blocks} has patterns {support.patterns}"
    if any(count > 1 for count in seen.values()):
        yield "two supports speak of one block"


def moved_by(spec: Spec, target: str, source: str | None, diagrams: Iterable[Diagram], axes: Typed) -> int:
    """How many diagrams some generator of the group moves, as dense tensors modulo a prime.

    A family is tested by one combination of its members with random coefficients modulo P: it is fixed if
    all are, and if one is not, then with probability 1 - 1/P at least the combination is not.
    """
    rng = random.Random(SEED)
    slots = pair_slots(spec, target, source)
    spaces = list({s.space.name: s.space for s in slots}.values())
    rows = [_random_member(d, axes, rng).reshape(-1) % P for d in diagrams]
    if not rows:
        return 0
    vectors = np.stack(rows)
    moved = np.zeros(len(rows), dtype=bool)
    for g in monomial_generators(spec, spaces, rng):
        images, coefficients = monomial_action(g, slots)
        there = np.zeros_like(vectors)
        there[:, images] = vectors * coefficients % P
        moved |= (there != vectors).any(axis=1)
    elements: Iterable[Element] = dense_generators(spec, spaces, rng)
    for g in elements if any(s.vector for s in spaces) else ():
        moved |= (dense_action(g, slots, vectors) != vectors).any(axis=1)
    return int(moved.sum())


def _random_member(d: Diagram, axes: Typed, rng: random.Random) -> Ints:
    places = allowed(labels(d, axes), [s.size for s in axes.spaces])
    return dense(d, axes, np.array([rng.randrange(1, P) for _ in places], dtype=np.int64))
