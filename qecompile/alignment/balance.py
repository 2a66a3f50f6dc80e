"""The balanced weights in an orbit: the least norm that scales, dilations and GL can reach.

Takes weights of a spec, gives an element h of the non-compact part of its group and h.theta. Along every
one-parameter group of scales the squared norm

    f(t) = sum over charges q of S_q exp(2 q t),    S_q = the squared norm of the entries of charge q,

is convex; for GL(d), with the Gram matrices P of covariant and Q of contravariant axes and X = M^T M,

    f(X) = tr(X P) + tr(X^-1 Q),   least where X P X = Q:   X = P^-1/2 (P^1/2 Q P^1/2)^1/2 P^-1/2,

the geometric mean of P^-1 and Q. A point where no such step lowers the norm is unique in its orbit up to the
compact part of the group (Kempf and Ness, "The length of vectors in representation spaces", 1979), so two
sets of weights of one orbit become equal up to permutations, signs and rotations. Steps are taken space by
space; where a parameter has m axes of a space, they are as long as 1/m of the best step, as in the balancing
of matrices (Osborne, "On pre-conditioning of matrices", 1960).

A least norm is not attained where all charges of an index value have one sign, as in front of a batch norm or
at a neuron without outgoing weights. There f(t) - 2 w t, or f(t) + 2 w t if all are negative, is least; w
is the sum of |q| over the entries that are not 0, each divided by the root of the number of entries of its
parameter. That is convex still, with a least point that is one for the orbit, and common to the two sides of
a matrix that is scaled on both. A GL of which only P or only Q is there makes that the identity where it has
rank. Directions in which one of both vanishes get a millionth of the mean eigenvalue. It may also happen that
no scale of one index value is free but some of many together are (`h h*` beside a bias of h): then, and
wherever ROUNDS are not enough, what is found depends on the point of the orbit, and matching starts from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from qecompile.group_action import transform
from qecompile.group_elements import Element, Part, identity_part
from qecompile.groups import Group
from qecompile.nesting import copy_shapes, lineage
from qecompile.spec import Axis, Param, Space, Spec

Weights = Mapping[str, Tensor]

ROUNDS = 200
STILL = 1e-10
RIDGE = 1e-6
RANK = 1e-10
NEWTON = 50
FARTHEST = 100.0
"""The longest logarithm of a scale."""


class Balanced(NamedTuple):
    """Weights of least norm, and the element that made them."""

    element: Element
    weights: dict[str, Tensor]


def balance(spec: Spec, theta: Weights) -> Balanced:
    """The balanced weights in the orbit of theta under scales, dilations and GL.

    Args:
        spec: the spec.
        theta: [*shape] for every parameter, float64, finite.
    """
    parts, weights = dict(Group(spec).identity().parts), dict(theta)
    lines = [(s, n) for s in spec.spaces for n in _lines(s)]
    still = still_parts(spec)
    for _ in range(ROUNDS):
        moved = 0.0
        for space, n in lines:
            part, change = _step(spec, space, n, weights, parts[space.name])
            weights = act_along(spec, still, space, {space.name: part}, weights)
            parts[space.name] = _times(part, parts[space.name])
            moved = max(moved, change)
        if moved < STILL:
            break
    return Balanced(Element(parts), weights)


def still_parts(spec: Spec) -> dict[str, Part]:
    """Parts that change nothing, without the permutations and matrices that would take time to do so."""
    parts = Group(spec).identity().parts
    return {name: Part(None, None, part.characters) for name, part in parts.items()}


def act_along(
    spec: Spec, still: Mapping[str, Part], space: Space, step: Mapping[str, Part], weights: Weights
) -> dict[str, Tensor]:
    """The weights after a step along a space and spaces in its copies; the others stay as they are."""
    parts, changed = {**still, **step}, {p.name: p for p, _, _ in axes_of(spec, space)}
    return {**weights, **{name: _moved(spec, parts, p, weights) for name, p in changed.items()}}


def _moved(spec: Spec, parts: Mapping[str, Part], p: Param, weights: Weights) -> Tensor:
    return transform(spec.space, parts, p.axes, weights[p.name].unsqueeze(-1)).squeeze(-1)


def _times(g: Part, h: Part) -> Part:
    """The product of two parts that permute nothing."""
    matrix = None if g.matrix is None or h.matrix is None else g.matrix @ h.matrix
    return Part(h.source, matrix, tuple(a * b for a, b in zip(g.characters, h.characters, strict=True)))


def axes_of(spec: Spec, space: Space) -> Iterator[tuple[Param, int, Axis]]:
    """Every axis of a space: the parameter, the position, the axis."""
    for p in spec.parameters:
        for k, axis in enumerate(p.axes):
            if axis.space == space.name:
                yield p, k, axis


def _lines(space: Space) -> list[int | None]:
    """What steps are taken along in a space: its positive characters, by number, and None for GL.

    One after the other: two characters of one axis that each went all the way would together go twice it.
    """
    found: list[int | None] = [n for n, c in enumerate(space.characters) if c.word != "sign"]
    return [*found, None] if space.vector == "linear" else found


def _crowding(spec: Spec, space: Space) -> int:
    """The most axes that a parameter has of a space."""
    return max((sum(a.space == space.name for a in p.axes) for p in spec.parameters), default=1) or 1


def _step(spec: Spec, space: Space, n: int | None, weights: Weights, gone: Part) -> tuple[Part, float]:
    """One step towards the least norm along character n of a space, or along its matrices, and its length.

    Where the least norm is not attained, steps would lead ever farther from the identity; `gone` is how far.
    """
    part = identity_part(space, copy_shapes(spec)[space.name])
    if n is None:
        t = _geometric_mean(spec, space, weights) / (2 * _crowding(spec, space))
        part = replace(part, matrix=torch.linalg.matrix_exp(t))
    else:
        squares = _squares(spec, space, n, weights)
        t = _best_exponent(squares, _counts(spec, space, n, weights)) / _crowding(spec, space)
        before = gone.characters[n].log()
        t = (before + t).clamp(-FARTHEST, FARTHEST) - before
        characters = list(part.characters)
        characters[n] = t.exp()
        part = replace(part, characters=tuple(characters))
    return part, float(t.abs().amax())


def _squares(spec: Spec, space: Space, n: int, weights: Weights) -> dict[int, Tensor]:
    """S_q of every charge q of character n: [copies, size], or [copies] on a vector space."""
    found: dict[int, Tensor] = {}
    for p, k, axis in axes_of(spec, space):
        charge = axis.charges[n]
        if charge:
            at = lineage(p.axes, k)[:-1] if space.is_vector else lineage(p.axes, k)
            total = torch.einsum(weights[p.name].square(), [*range(len(p.axes))], [*at])
            found[charge] = found[charge] + total if charge in found else total
    return found


def _counts(spec: Spec, space: Space, n: int, weights: Weights) -> Tensor:
    """The w of every index value, or of every copy of a vector space."""
    there = {name: (x != 0).to(x.dtype) / math.sqrt(x.numel()) for name, x in weights.items()}
    found = _squares(spec, space, n, {name: x.sqrt() for name, x in there.items()})
    return sum((abs(q) * x for q, x in found.items()), torch.zeros((), dtype=torch.float64))


def _best_exponent(squares: Mapping[int, Tensor], counts: Tensor) -> Tensor:
    """The t of least f(t), or of least f(t) -+ 2 w t where all charges have one sign.

    Newton's method for log U(t) = log D(t), where U sums |q| S_q exp(2 q t) over the positive charges and D
    over the negative ones, or w is in place of an empty sum. Either side is a line if it has one charge, and
    is one from afar, so that few steps are enough, and logarithms keep numbers of any size finite.
    """
    if not squares:
        return torch.zeros((), dtype=torch.float64)
    charges = torch.tensor([*squares, 0], dtype=torch.float64)
    logs = torch.stack([*(abs(q) * s for q, s in squares.items()), 0 * counts], -1).log()
    nothing = (logs[..., :-1] == -math.inf).all(-1)
    sides = [torch.where(sign * charges > 0, logs, -math.inf) for sign in (1, -1)]
    for side in sides:
        empty = (side == -math.inf).all(-1)
        side[..., -1] = torch.where(empty, torch.where(nothing, 1.0, counts).log(), -math.inf)
    t = torch.zeros_like(counts)
    for _ in range(NEWTON):
        (up, rise), (down, fall) = (_log_sum(side + 2 * charges * t[..., None], charges) for side in sides)
        step = torch.where(nothing, 0.0, (up - down) / torch.where(nothing, 1.0, rise - fall))
        t = t - step
        if float(step.abs().amax()) < STILL:
            break
    return t


def _log_sum(terms: Tensor, charges: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the sum of exp(terms), and how fast it grows with t."""
    total = terms.logsumexp(-1)
    return total, 2 * (charges * (terms - total[..., None]).exp()).sum(-1)


def _geometric_mean(spec: Spec, space: Space, weights: Weights) -> Tensor:
    """The logarithm of X for every copy of a `linear` space: [copies, d, d]."""
    shape = (*copy_shapes(spec)[space.name], space.size, space.size)
    grams = {dual: torch.zeros(shape, dtype=torch.float64) for dual in (False, True)}
    for p, k, axis in axes_of(spec, space):
        x, fresh = weights[p.name], len(p.axes)
        other = [fresh if i == k else i for i in range(fresh)]
        grams[axis.dual] += torch.einsum(x, [*range(fresh)], x, other, [*lineage(p.axes, k), fresh])
    p_, q_ = grams[False], grams[True]
    size = [g.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] for g in (p_, q_)]
    attained = (size[0] > 0) & (size[1] > 0)
    eye = torch.eye(space.size, dtype=torch.float64)
    p_, q_ = (torch.where(attained, g + RIDGE * m * eye, eye) for g, m in zip((p_, q_), size, strict=True))
    root, back = _power(p_, 0.5), _power(p_, -0.5)
    middle = _log(back @ _power(root @ q_ @ root, 0.5) @ back)
    single = _log_of_rank(grams[True]) - _log_of_rank(grams[False])
    return torch.where(attained, middle, single)


def _log_of_rank(x: Tensor) -> Tensor:
    """The logarithm of a Gram matrix where it has rank, 0 elsewhere."""
    values, vectors = torch.linalg.eigh(x)
    there = values > values.amax(-1, keepdim=True) * RANK
    logs = torch.where(there, torch.where(there, values, 1.0).log(), 0.0)
    found: Tensor = (vectors * logs[..., None, :]) @ vectors.mT
    return found


def _spectral(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of symmetric positive matrices."""
    values, vectors = torch.linalg.eigh((x + x.mT) / 2)
    least = values.amax(-1, keepdim=True).clamp_min(math.ulp(0.0)) * 1e-18
    found: Tensor = (vectors * function(values.maximum(least))[..., None, :]) @ vectors.mT
    return found


def _power(x: Tensor, exponent: float) -> Tensor:
    return _spectral(x, lambda values: values**exponent)


def _log(x: Tensor) -> Tensor:
    return _spectral(x, torch.log)
