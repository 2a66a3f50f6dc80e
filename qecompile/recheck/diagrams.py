"""Whether listed diagrams are a basis: rules, block by block, and numbers that know nothing of diagrams.

The group is a product over root spaces, so maps are products too, and a list of diagrams is a basis if it is
all products of bases under each root. A `Problem` is one root: the axes of the target there, then those of
the source, dualised. What a list says under one root are its `Part`s, and they are judged in two ways.

* Rules (theory.md, section 2): blocks join axes of one space whose parents share a block, charges are
  neutral, matched axes of a matrix space fit. A part that obeys them is fixed by the group, at any size.
* Numbers: at small sizes the parts are written out as tensors, and their rank modulo a prime must be both
  their number and the dimension of what random group elements fix (`nullity.py`). Small means: as declared,
  or at the number of axes (half of it, and at least 2, under GL and O; one more under SO), from where the
  count of parts does not depend on the size. An unpermuted index decouples: at that size every pattern of
  equal values occurs, and each carries as many tensors as at any larger size.

A rank modulo p never exceeds the true one and a nullity never falls below it: if they agree, both are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from .nullity import Array, Leg, Problem, Site, Wrong, nullity, rank
from .spec import Axis, Elaborated, Space

Groups = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Part:
    """A diagram's share of one root: legs that share an index value, matched legs, Levi-Civita tensors.

    A support names blocks by their first legs; only index values equal as in one of its patterns count.
    """

    blocks: Groups = ()
    pairs: Groups = ()
    epsilons: Groups = ()
    supports: tuple[tuple[tuple[int, ...], Groups], ...] = ()

    @property
    def groups(self) -> Groups:
        """All sets of legs that belong together."""
        return (*self.blocks, *self.pairs, *self.epsilons)


class Forest:
    """The spaces of a spec, and the problems that its parameters pose."""

    def __init__(self, spec: Elaborated) -> None:
        self.spec = spec
        self.root: dict[str, str] = {}
        self.members: dict[str, list[str]] = {}
        for s in spec.spaces.values():
            self.root[s.name] = self.root[s.parent] if s.parent else s.name
            self.members.setdefault(self.root[s.name], []).append(s.name)
        self.sites = {
            root: tuple(self._site(spec.spaces[s], names) for s in names)
            for root, names in self.members.items()
        }
        self.halves = {name: self._split(axes) for name, axes in spec.params.items()}

    def _site(self, s: Space, members: Sequence[str]) -> Site:
        def free(space: Space) -> bool:
            below = (m for m in map(self.spec.spaces.__getitem__, members) if m.parent == space.name)
            return not (space.permuted or space.vector or space.characters) and all(map(free, below))

        parent = members.index(s.parent) if s.parent else None
        return Site(s.size, s.permuted, s.vector, tuple(w for _, w in s.characters), parent, free(s))

    def _split(self, axes: Sequence[Axis]) -> Mapping[str, tuple[tuple[int, ...], tuple[Leg, ...]]]:
        """The legs under every root that a parameter touches, with their positions among its axes."""
        found = {}
        for root in dict.fromkeys(self.root[a.space] for a in axes):
            places = tuple(k for k, a in enumerate(axes) if self.root[a.space] == root)
            local: dict[int | None, int] = {k: n for n, k in enumerate(places)}
            number = self.members[root].index
            legs = (
                Leg(number(a.space), a.dual, a.charges, local.get(a.parent))
                for a in (axes[k] for k in places)
            )
            found[root] = places, tuple(legs)
        return found

    def problems(self, target: str, source: str | None) -> list[tuple[str, tuple[int, ...], Problem]]:
        """The problems of a pair, or of the invariants of `target`: root, places of the legs, the problem."""
        q, p = self.halves[target], self.halves[source] if source is not None else {}
        shift, found = len(self.spec.params[target]), []
        for root in sorted(q.keys() | p.keys()):
            (here, legs), (there, others) = q.get(root, ((), ())), p.get(root, ((), ()))
            places = here + tuple(k + shift for k in there)
            found.append((root, places, joined(self.sites[root], legs, others)))
        return found


@cache
def joined(sites: tuple[Site, ...], target: tuple[Leg, ...], source: tuple[Leg, ...]) -> Problem:
    """The problem of two halves: the source's legs are dualised."""
    duals = (
        Leg(
            leg.space,
            sites[leg.space].vector == "linear" and not leg.dual,
            tuple(-c for c in leg.charges),
            None if leg.parent is None else leg.parent + len(target),
        )
        for leg in source
    )
    return Problem(sites, target + tuple(duals))


# Rules


@cache
def check_part(problem: Problem, part: Part) -> None:
    """Refuse a part that the group does not fix, or that is not written as it should be."""
    sites, legs = problem.sites, problem.legs
    home = {leg: block for block in part.blocks for leg in block}

    def copy(k: int) -> tuple[int, Groups]:
        """Which copy of a group acts: the space of a leg, the block around it (none below free axes)."""
        parent = legs[k].parent
        return legs[k].space, (home[parent],) if parent in home else ()

    wanted = [k for k, leg in enumerate(legs) if sites[leg.space].is_index or sites[leg.space].vector]
    demand(sorted(leg for group in part.groups for leg in group) == wanted, "does not meet every axis once")
    for group in part.groups:
        demand(len(set(map(copy, group))) == 1, "joins axes of different copies of a space")
    for block in part.blocks:
        site = sites[legs[block[0]].space]
        demand(site.is_index and neutral(site, [legs[k] for k in block]), "has a block that is charged")
    for pair in part.pairs:
        site, duals = sites[legs[pair[0]].space], {legs[k].dual for k in pair}
        fits = len(pair) == 2 and (site.vector != "linear" or len(duals) == 2)
        demand(site.vector is not None and fits, "matches axes that do not fit")
    for epsilon in part.epsilons:
        site = sites[legs[epsilon[0]].space]
        demand(site.vector == "rotate" and len(epsilon) == site.size, "has a Levi-Civita tensor of no use")
    for here in {copy(k) for k in range(len(legs))}:
        site, members = sites[here[0]], [leg for k, leg in enumerate(legs) if copy(k) == here]
        demand(site.is_index or neutral(site, members), "is charged under dilate")
        blocks = [block for block in part.blocks if copy(block[0]) == here]
        demand(not site.permuted or len(blocks) <= site.size, "has more blocks than there are index values")
    for heads, patterns in part.supports:
        site = sites[legs[heads[0]].space]
        firsts = [block[0] for block in part.blocks if copy(block[0]) == copy(heads[0])]
        proper = site.is_index and not site.permuted and sorted(heads) == sorted(firsts)
        demand(proper and len(set(patterns)) == len(patterns), "has a support of other blocks")
        demand(all(len(p) == len(heads) and canonical(p) == p for p in patterns), "has an improper pattern")
    every = [head for heads, _ in part.supports for head in heads]
    demand(len(set(every)) == len(every), "has two supports of one block")


def demand(condition: bool, reason: str) -> None:
    """Refuse a diagram for a reason."""
    if not condition:
        raise Wrong(f"a diagram {reason}")


def neutral(site: Site, legs: Sequence[Leg]) -> bool:
    """Whether charges sum to 0, or to an even number for a sign."""
    totals = (sum(c) for c in zip(*(leg.charges for leg in legs), strict=True))
    return all(t % 2 == 0 if w == "sign" else t == 0 for w, t in zip(site.words, totals, strict=True))


def canonical(pattern: Sequence[int]) -> tuple[int, ...]:
    """The labels renamed in the order in which they occur."""
    names: dict[int, int] = {}
    return tuple(names.setdefault(label, len(names)) for label in pattern)


# Numbers


def keys_of(problem: Problem, part: Part) -> list[int]:
    """The legs whose index value picks a coefficient: one of each unpermuted block, and free ones."""
    met = {k for group in part.groups for k in group}
    heads = [b[0] for b in part.blocks if not problem.sites[problem.legs[b[0]].space].permuted]
    return heads + [k for k in range(len(problem.legs)) if k not in met]


def count(problem: Problem, part: Part, sizes: Sequence[int]) -> int:
    """The number of tensors that a part stands for: one for each value of its keys, within its supports."""
    supported = {head for heads, _ in part.supports for head in heads}
    total = math.prod(sizes[problem.legs[k].space] for k in keys_of(problem, part) if k not in supported)
    for heads, patterns in part.supports:
        total *= sum(math.perm(sizes[problem.legs[heads[0]].space], max(p) + 1) for p in patterns)
    return total


@cache
def check_parts(problem: Problem, parts: tuple[Part, ...]) -> int:
    """The dimension that parts span at the declared sizes; refused if they are no basis at small sizes."""
    for part in parts:
        check_part(problem, part)
    sizes = small_sizes(problem)
    wanted = nullity(problem, sizes)
    counted = sum(count(problem, part, sizes) for part in parts)
    if counted != wanted:
        raise Wrong(f"{counted} maps are listed at sizes {sizes}, and {wanted} exist")
    rows = [row for part in parts for row in tensors(problem, part, sizes)]
    if rows and rank(np.array(rows)) != wanted:
        raise Wrong(f"the {wanted} maps listed are dependent at sizes {sizes}")
    return sum(count(problem, part, [site.size for site in problem.sites]) for part in parts)


def small_sizes(problem: Problem) -> tuple[int, ...]:
    """For each site the smallest size that shows what happens at its own."""
    sizes = []
    for number, site in enumerate(problem.sites):
        legs = sum(leg.space == number for leg in problem.legs)
        least = max(legs, 1) if site.is_index else 1
        if site.vector == "rotate":
            least = legs + 1 if site.size > legs else max(legs, 1)  # Levi-Civita takes as many legs as values
        elif site.vector:
            least = max(2, (legs + 1) // 2)
        sizes.append(min(site.size, least))
    return tuple(sizes)


def tensors(problem: Problem, part: Part, sizes: Sequence[int]) -> Iterator[Array]:
    """The tensors that a part stands for, each flat."""
    shape = [sizes[leg.space] for leg in problem.legs]
    grid = np.indices(shape).reshape(len(shape), math.prod(shape))
    value = np.ones(grid.shape[1], dtype=np.int64)
    for group in (*part.blocks, *part.pairs):
        value *= (grid[list(group)] == grid[group[0]]).all(axis=0)
    for epsilon in part.epsilons:
        for n, j in enumerate(epsilon):
            for i in epsilon[:n]:
                value *= np.sign(grid[j] - grid[i])
    for heads, patterns in part.supports:
        value *= np.array([canonical(values) in patterns for values in grid[list(heads)].T.tolist()])
    keys = grid[keys_of(problem, part)].T
    for values in sorted(set(map(tuple, keys[value != 0].tolist()))):
        yield value * (keys == np.array(values, dtype=np.int64)).all(axis=1)
