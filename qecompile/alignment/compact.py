"""The best permutation, signs and rotation of one space, others held: linear assignment and Procrustes.

Takes balanced weights a and b, gives the part of an element for one space that raises <a, g.b> most. With
the correlations of an axis, all other axes summed over,

    K[i, j] = sum of a[.., i, ..] b[.., j, ..],

an orthogonal M has <a, M b> = <K, M>, which is greatest for M = U V^T where K = U S V^T (Schoenemann, "A
generalized solution of the orthogonal Procrustes problem", 1966; in SO(n) the last column of U turns where
det M would be -1). A permutation with signs has the sum of s_i^charge K[i, source(i)]: for every pair (i, j)
the best signs, then a linear assignment of the pairs. Where copies of nested spaces move along, a pair is
worth as much as the best alignment inside of it.

Where a parameter has several axes of one space this is the gradient of <a, g.b>, not its maximum (as in
weight matching by coordinates: Ainsworth, Hayase and Srinivasa, "Git Re-Basin", arXiv:2209.04836); the
caller keeps a step only if it is one upwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qecompile.alignment.balance import Weights, axes_of
from qecompile.errors import fail
from qecompile.group_elements import Part, identity_part
from qecompile.nesting import copy_shapes, lineage
from qecompile.spec import Param, Space, Spec

MOST_PAIRS = 1 << 26
"""Entries of the correlations of all pairs of copies, beyond which nested spaces are compared as they lie."""

Parity = tuple[int, ...]
Scores = dict[Parity, Tensor]


def moves(space: Space) -> bool:
    """Whether a space has anything that this file aligns."""
    return space.permuted or turns(space)


def turns(space: Space) -> bool:
    """Whether a space has signs or rotations."""
    return space.vector is not None or any(c.word == "sign" for c in space.characters)


def best_step(
    spec: Spec, space: Space, a: Weights, b: Weights, *, permuted: bool = True, most: int | None = None
) -> Mapping[str, Part]:
    """The step along one space that promises most: its part, and those of spaces in its copies.

    With `permuted` false, index values stay where they are and only signs and rotations are chosen; `most`
    bounds how many of each copy get other signs.
    """
    permuted = permuted and space.permuted
    part = identity_part(space, copy_shapes(spec)[space.name])
    if space.vector is not None:
        return {space.name: replace(part, matrix=best_matrix(_strands(spec, space, a, b), space.vector))}
    inside = _children(spec, space) if permuted else {}
    scores = _scores(spec, space, a, b, set(inside))
    pairs = {name: _pair_scores(spec, space, name, a, b) for name in inside}
    for name, k in pairs.items():
        even = (0,) * sum(c.word == "sign" for c in space.characters)
        scores[even] = scores[even] + _worth(k, spec.space[name])
    source, signs = best_assignment(scores, permuted=permuted, most=most)
    still = part if source is None else replace(part, source=source)
    parts = {space.name: _with_signs(still, space, signs)}
    for name, k in pairs.items():
        assert source is not None
        at = source[..., None, None, None].expand(*source.shape, 1, *k.shape[-2:])
        parts[name] = _inner(spec, spec.space[name], k.gather(-3, at).squeeze(-3))
    return parts


def best_matrix(k: Tensor, word: str) -> Tensor:
    """The orthogonal matrices M of greatest <K, M>; [..., n, n]. Of determinant 1 for `rotate`."""
    u, _, vh = torch.linalg.svd(k)
    if word == "rotate":
        turn = torch.ones(k.shape[:-1], dtype=k.dtype)
        turn[..., -1] = torch.linalg.det(u @ vh).sign()
        u = u * turn[..., None, :]
    matrix: Tensor = u @ vh
    return matrix


def best_assignment(
    scores: Scores, *, permuted: bool, most: int | None = None
) -> tuple[Tensor | None, Tensor]:
    """Where each index value comes from, and the signs it gets: [copies, n] and [copies, n, signs].

    Args:
        scores: by the parities of the charges, [copies, n, n]: what a pair is worth with all signs 1.
        permuted: whether values may move; otherwise only signs are chosen.
        most: how many values of each copy may get other signs; those that gain most do.
    """
    parities = next(iter(scores))
    turns = [torch.tensor(t, dtype=torch.float64) for t in product((1.0, -1.0), repeat=len(parities))]
    worth = torch.stack([sum((_sign(t, q) * s for q, s in scores.items()), torch.zeros(())) for t in turns])
    best, which = worth.max(0)
    n = best.shape[-1]
    flat = best.reshape(-1, n, n)
    here = torch.arange(n).expand(len(flat), n)
    source = torch.stack([assign(m) for m in flat]) if permuted and len(flat) else here
    source = source.reshape(best.shape[:-1])
    chosen = which.gather(-1, source[..., None]).squeeze(-1)
    if most is not None:
        chosen = _at_most(most, chosen, (best - worth[0]).gather(-1, source[..., None]).squeeze(-1))
    return source if permuted else None, torch.stack(turns)[chosen]


def _at_most(most: int, chosen: Tensor, gains: Tensor) -> Tensor:
    """The choices with the greatest gains, and 0 elsewhere: [copies, n]."""
    first = gains.topk(most, dim=-1).indices
    return torch.zeros_like(chosen).scatter(-1, first, chosen.gather(-1, first))


def assign(worth: Tensor) -> Tensor:
    """The permutation of greatest worth: row i gets column source[i].

    Raises:
        SymError: scipy is missing.
    """
    try:
        from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]
    except ImportError:
        fail("QE955", "weight matching needs scipy", help="pip install 'qecompile[match]'")
    found: Any = linear_sum_assignment(np.asarray(worth), maximize=True)[1]
    return torch.as_tensor(found)


def _sign(turn: Tensor, parity: Parity) -> float:
    """What signs make of a charge."""
    odd = [float(s) for s, q in zip(turn, parity, strict=True) if q]
    return float(np.prod(odd)) if odd else 1.0


def _parity(space: Space, charges: tuple[int, ...]) -> Parity:
    return tuple(q % 2 for c, q in zip(space.characters, charges, strict=True) if c.word == "sign")


def _with_signs(part: Part, space: Space, signs: Tensor) -> Part:
    columns: Iterator[Tensor] = iter(signs.unbind(-1))
    characters = [
        next(columns).clone() if c.word == "sign" else old
        for c, old in zip(space.characters, part.characters, strict=True)
    ]
    return replace(part, characters=tuple(characters))


# --- correlations ----------------------------------------------------------------------------------------


def _strands(spec: Spec, space: Space, a: Weights, b: Weights) -> Tensor:
    """K of a vector space: [copies, n, n]."""
    total = torch.zeros(*copy_shapes(spec)[space.name], space.size, space.size, dtype=torch.float64)
    for p, k, _ in axes_of(spec, space):
        total = total + _correlation(p, [k], a, b, lineage(p.axes, k)[:-1])
    return total


def _scores(spec: Spec, space: Space, a: Weights, b: Weights, inside: set[str]) -> Scores:
    """K of an index space by parity; axes that hold one of a space in `inside` are left to that."""
    shape = (*copy_shapes(spec)[space.name], space.size, space.size)
    even = (0,) * sum(c.word == "sign" for c in space.characters)
    scores: Scores = {even: torch.zeros(shape, dtype=torch.float64)}
    for p, k, axis in axes_of(spec, space):
        if _held(p, k, inside) is None:
            parity = _parity(space, axis.charges)
            more = _correlation(p, [k], a, b, lineage(p.axes, k)[:-1])
            scores[parity] = scores.get(parity, torch.zeros(())) + more
    return scores


def _children(spec: Spec, space: Space) -> dict[str, None]:
    """The spaces in the copies of a space that are aligned together with its permutation."""
    copies = int(np.prod(copy_shapes(spec)[space.name], dtype=np.int64))
    found = [s for s in spec.spaces if s.parent == space.name and (s.vector or s.permuted)]
    return {s.name: None for s in found if copies * (space.size * s.size) ** 2 <= MOST_PAIRS}


def _held(p: Param, k: int, inside: set[str]) -> int | None:
    """The first axis that belongs to axis k and is of one of some spaces."""
    return next((j for j, axis in enumerate(p.axes) if axis.parent == k and axis.space in inside), None)


def _pair_scores(spec: Spec, space: Space, name: str, a: Weights, b: Weights) -> Tensor:
    """K of a nested space for every pair of copies: [copies, n, n, m, m]."""
    m, n = spec.space[name].size, space.size
    total = torch.zeros(*copy_shapes(spec)[space.name], n, n, m, m, dtype=torch.float64)
    inside = set(_children(spec, space))
    for p, k, _ in axes_of(spec, space):
        j = _held(p, k, inside)
        if j is not None and p.axes[j].space == name:
            total = total + _correlation(p, [k, j], a, b, lineage(p.axes, k)[:-1])
    return total


def _correlation(p: Param, axes: list[int], a: Weights, b: Weights, same: tuple[int, ...]) -> Tensor:
    """Sums over all axes but some, which are told apart in a and b, and those in `same`, which are not."""
    rank = len(p.axes)
    theirs = [rank + axes.index(i) if i in axes else i for i in range(rank)]
    out = [*same, *(i for n, k in enumerate(axes) for i in (k, rank + n))]
    found: Tensor = torch.einsum(a[p.name], [*range(rank)], b[p.name], theirs, out)
    return found


# --- inside a copy ---------------------------------------------------------------------------------------


def _worth(k: Tensor, space: Space) -> Tensor:
    """What the best alignment of a nested space is worth: [..., m, m] to [...]."""
    if space.vector is not None:
        worth: Tensor = (k * best_matrix(k, space.vector)).sum((-2, -1))
        return worth
    flat = k.reshape(-1, *k.shape[-2:])
    found = [float(m[torch.arange(len(m)), assign(m)].sum()) for m in flat]
    return torch.tensor(found, dtype=torch.float64).reshape(k.shape[:-2])


def _inner(spec: Spec, space: Space, k: Tensor) -> Part:
    part = identity_part(space, copy_shapes(spec)[space.name])
    if space.vector is not None:
        return replace(part, matrix=best_matrix(k, space.vector))
    return replace(
        part, source=torch.stack([assign(m) for m in k.reshape(-1, *k.shape[-2:])]).reshape(k.shape[:-1])
    )
