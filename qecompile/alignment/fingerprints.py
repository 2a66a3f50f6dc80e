"""A beginning for weight matching: index values that look alike, whatever the order of all others.

Takes balanced weights a and b, gives a permutation of every root space that has one. The *fingerprint* of an
index value has, for every axis of its space, the norms of the slice at that value: in the 2-norm, which
permutations, signs and rotations of all other axes leave alone, and where no axis of the parameter is that
of a vector space also in the 1-norm and the 4-norm, which permutations and signs do. Values with near
fingerprints are assigned to each other. Copies of one network have equal ones, so that they are found though
nothing else is aligned yet; the ascent of `align.py` goes on from there.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from qecompile.alignment.balance import Weights, axes_of
from qecompile.alignment.compact import assign
from qecompile.group_elements import Element, identity_part
from qecompile.groups import Group
from qecompile.spec import Space, Spec


def alike(spec: Spec, a: Weights, b: Weights) -> Element:
    """The element that permutes every root space by fingerprints, and is the identity on all others."""
    parts = {}
    for space in spec.spaces:
        if space.permuted and space.parent is None:
            mine, theirs = _fingerprints(spec, space, a), _fingerprints(spec, space, b)
            if mine.shape[1]:
                part = identity_part(space, ())
                parts[space.name] = replace(part, source=assign(-torch.cdist(mine, theirs).square()))
    return Group(spec).with_parts(parts)


def _fingerprints(spec: Spec, space: Space, weights: Weights) -> Tensor:
    """[size, features]: each in units of its mean over the index values."""
    found = [torch.zeros(space.size, 0, dtype=torch.float64)]
    for p, k, _ in axes_of(spec, space):
        x = weights[p.name].movedim(k, 0).reshape(space.size, -1)
        plain = not any(spec.space[axis.space].is_vector for axis in p.axes)
        norms = torch.stack(
            [torch.linalg.vector_norm(x, n, dim=1) for n in ((2, 1, 4) if plain else (2,))], 1
        )
        found.append(norms / norms.mean(0).clamp_min(torch.finfo(norms.dtype).tiny))
    return torch.cat(found, 1)
