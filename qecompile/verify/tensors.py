"""The tensor of a diagram, written down from its definition (theory.md, section 2), in integers.

Takes diagrams over the axes of a target and a source, gives contractions and dense tensors. A diagram is the
tensor that is 1 where the index values inside every block are equal, times an identity for every pair, times
a Levi-Civita tensor for every epsilon. On axes of a fixed space the coefficient may depend on the index: such
a diagram stands for a *family* of tensors, one for each choice of index values that its supports allow.

Nothing here is shared with the compiler's own evaluation of diagrams (`factor.py`, `plan/`, `codegen/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from math import prod

import numpy as np

from qecompile.invariants import Diagram
from qecompile.spec import Axis, Space, Spec
from qecompile.verify.modular import Ints


@dataclass(frozen=True, slots=True)
class Typed:
    """The axes that a diagram joins: those of the target, then those of the source, dualised.

    `charges` and `contra` are those in the combined tensor; `parent` counts through it.
    """

    spaces: tuple[Space, ...]
    charges: tuple[tuple[int, ...], ...]
    contra: tuple[bool, ...]
    parent: tuple[int | None, ...]
    shift: int

    def __len__(self) -> int:
        return len(self.spaces)


def typed(spec: Spec, target: str, source: str | None) -> Typed:
    """The combined axes of a pair of parameters, or of one parameter alone."""
    mine = spec.params[target].axes
    theirs: tuple[Axis, ...] = () if source is None else spec.params[source].axes
    shift = len(mine)
    return Typed(
        tuple(spec.space[a.space] for a in (*mine, *theirs)),
        (*(a.charges for a in mine), *(tuple(-c for c in a.charges) for a in theirs)),
        (*(a.dual for a in mine), *(not a.dual for a in theirs)),
        (*(a.parent for a in mine), *(None if a.parent is None else a.parent + shift for a in theirs)),
        shift,
    )


@dataclass(frozen=True, slots=True)
class Labels:
    """A diagram as an einsum: a label for every axis, and the labels that a family runs over.

    `epsilons` are the labels of each Levi-Civita tensor; `supports` holds positions in `family` and the
    equality patterns that are allowed there.
    """

    of_axis: tuple[int, ...]
    family: tuple[int, ...]
    epsilons: tuple[tuple[int, ...], ...]
    supports: tuple[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]], ...]


def labels(diagram: Diagram, axes: Typed) -> Labels:
    """Give axes that must be equal one label; what no block and no pair holds keeps its own."""
    label = list(range(len(axes)))
    family = set(label)
    for block in diagram.blocks:
        for leg in block.legs:
            label[leg] = min(block.legs)
            family.discard(leg)
        if not axes.spaces[block.legs[0]].permuted:
            family.add(min(block.legs))
    for pair in diagram.pairs:
        family -= set(pair)
        for leg in pair:
            label[leg] = min(pair)
    for legs in diagram.epsilons:
        family -= set(legs)
    runs = tuple(sorted(family))
    supports = tuple(
        (tuple(runs.index(label[head]) for head in s.blocks), s.patterns) for s in diagram.supports
    )
    return Labels(tuple(label), runs, diagram.epsilons, supports)


def allowed(found: Labels, sizes: Sequence[int]) -> Ints:
    """The flat positions, among all index values of a family, at which it has a member."""
    count = prod(sizes[k] for k in found.family)
    if not found.supports:
        return np.arange(count)
    grid = np.indices([sizes[k] for k in found.family]).reshape(len(found.family), count)
    keep = np.ones(count, dtype=bool)
    for places, patterns in found.supports:
        keep &= np.any([_has_pattern(grid[list(places)], p) for p in patterns], axis=0)
    return np.flatnonzero(keep)


def _has_pattern(values: Ints, pattern: tuple[int, ...]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where entries are equal if and only if their labels in the pattern are."""
    same = np.ones(values.shape[1], dtype=bool)
    for i, j in product(range(len(pattern)), repeat=2):
        same &= (values[i] == values[j]) == (pattern[i] == pattern[j])
    return same


@cache
def levi_civita(n: int) -> Ints:
    """The sign of a permutation at its images, 0 elsewhere.

    >>> levi_civita(2).tolist()
    [[0, 1], [-1, 0]]
    """
    tensor = np.zeros((n,) * n, dtype=np.int64)
    for image in permutations(range(n)):
        inversions = sum(image[i] > image[j] for j in range(n) for i in range(j))
        tensor[image] = -1 if inversions % 2 else 1
    return tensor


def dense(diagram: Diagram, axes: Typed, coefficients: Ints | None = None) -> Ints:
    """The tensor of a diagram over all its axes; with coefficients, that combination of its family.

    Without them every member counts once. `coefficients` has one entry for each place in `allowed`.
    """
    found = labels(diagram, axes)
    sizes = [s.size for s in axes.spaces]
    index = np.indices(sizes) if sizes else np.zeros((0,), dtype=np.int64)
    tensor = np.ones(sizes, dtype=np.int64)
    for k, label in enumerate(found.of_axis):
        tensor *= index[k] == index[label]
    for legs in found.epsilons:
        tensor *= levi_civita(len(legs))[tuple(index[k] for k in legs)]
    values = np.zeros(prod(sizes[k] for k in found.family), dtype=np.int64)
    places = allowed(found, sizes)
    values[places] = 1 if coefficients is None else coefficients
    flat = np.zeros(sizes, dtype=np.int64)
    for k in found.family:
        flat = flat * sizes[k] + index[k]
    result: Ints = tensor * values[flat]
    return result


class Contractions:
    """The values <u, D(x)> of diagrams D on batches of integer covectors u and inputs x, by parameter.

    What is summed within u or within x alone is summed once and kept: thousands of pairs share it.
    """

    def __init__(self, u: dict[str, Ints], x: dict[str, Ints]) -> None:
        self.u, self.x = u, x
        self._kept: dict[tuple[str, bool, tuple[int, ...], tuple[int, ...]], Ints] = {}

    def values(self, diagram: Diagram, axes: Typed, target: str, source: str | None) -> Ints:
        """One row for each batch entry, one column for each member of the diagram's family."""
        found = labels(diagram, axes)
        mine, theirs = found.of_axis[: axes.shift], found.of_axis[axes.shift :]
        wanted = {*found.family, *(k for legs in found.epsilons for k in legs)}
        batch = len(axes)
        operands: list[Ints | list[int]] = []
        for name, own, other, is_target in ((target, mine, theirs, True), (source, theirs, mine, False)):
            if name is not None:
                keep = tuple(sorted({k for k in own if k in wanted or k in other}))
                operands += [self._reduced(name, is_target, own, keep, batch), [batch, *keep]]
        for legs in found.epsilons:
            operands += [levi_civita(len(legs)), list(legs)]
        summed: Ints = np.einsum(*operands, [batch, *found.family])
        flat = summed.reshape(len(summed), -1)
        return flat[:, allowed(found, [s.size for s in axes.spaces])] if found.supports else flat

    def _reduced(
        self, name: str, is_target: bool, own: tuple[int, ...], keep: tuple[int, ...], batch: int
    ) -> Ints:
        first = {k: place for place, k in enumerate(dict.fromkeys(own))}  # the same work has one name
        key = (name, is_target, tuple(first[k] for k in own), tuple(first[k] for k in keep))
        if key not in self._kept:
            tensor = self.u[name] if is_target else self.x[name]
            self._kept[key] = np.einsum(tensor, [batch, *own], [batch, *keep])
        return self._kept[key]


def members(diagram: Diagram, axes: Typed) -> int:
    """The number of tensors that a diagram stands for, in closed form.

    A pattern with m different labels fits n (n-1) ... (n-m+1) choices of index values; where no support
    speaks, every choice counts.
    """
    found = labels(diagram, axes)
    count = 1
    free = set(range(len(found.family)))
    for places, patterns in found.supports:
        free -= set(places)
        n = axes.spaces[found.family[places[0]]].size
        count *= sum(prod(range(n - len(set(p)) + 1, n + 1)) for p in patterns if len(set(p)) <= n)
    return count * prod(axes.spaces[found.family[k]].size for k in free)
