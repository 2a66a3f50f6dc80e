"""Weight matching: the group element g that makes g.b as much like a as can be found.

Both sets of weights are balanced (`balance.py`), which leaves permutations, signs and rotations; these are
improved space by space (`compact.py`) until no step raises <a, g.b>. That is a local maximum, as the problem
is a quadratic assignment, so there are several beginnings: the weights as they are, which is best for
networks of one initialisation; a permutation by norms (`fingerprints.py`); random elements if asked for.
What each leads to is measured on a and b as they were, with the scales that balancing found and with those of
b, and beside the identity: the nearest counts, so that g.b is never farther from a than b is. Whatever is
found is an element of the group, so g.b is the same function as b. That a copy of a is found again is the
rule, not a certainty: the ascent may end early, and balanced weights need not be unique (`balance.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.alignment.balance import Weights, act_along, balance, still_parts
from qecompile.alignment.compact import best_step, moves, turns
from qecompile.alignment.fingerprints import alike
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.spec import Space, Spec

ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Alignment:
    """An element that aligns b to a, and what that changes.

    Attributes:
        element: g, in float64.
        before: the distance of a and b, as a share of the norm of a, or itself if a is 0.
        after: that of a and g.b; never more than `before`.
        rounds: how often all spaces were gone through from the best beginning; 0 if nothing came closer.
    """

    element: Element
    before: float
    after: float
    rounds: int


def align(
    spec: Spec, a: Mapping[str, Tensor], b: Mapping[str, Tensor], *, restarts: int = 0, seed: int = 0
) -> Alignment:
    """Find a group element that brings the weights b close to the weights a.

    Args:
        spec: the spec of both.
        a: [*shape] for every parameter of the spec.
        b: the same of another network.
        restarts: how many random beginnings to try beside the two others; the best result counts.
        seed: of the random order of the spaces and of the beginnings.

    Raises:
        ValueError: a parameter is missing, has another shape or is not finite.
        SymError: scipy is missing (`pip install 'qecompile[match]'`).
    """
    if restarts < 0:
        raise ValueError(f"restarts is the number of further beginnings, 0 or more, not {restarts}")
    group = Group(spec)
    there, here = _in_one_unit(_checked(spec, a, "a"), _checked(spec, b, "b"))
    target, moved = balance(spec, there), balance(spec, here)
    generator = torch.Generator().manual_seed(seed)
    starts = [group.identity(), alike(spec, target.weights, moved.weights)]
    starts += [group.sample(generator, scale=0.0) for _ in range(restarts)]
    back = group.inverse(target.element)
    found = [Alignment(group.identity(), before := _distance(there, here), before, 0)]
    for k, start in enumerate(starts):
        order = torch.Generator().manual_seed((seed + k) % 2**63)  # whatever the number of beginnings
        element, rounds = _ascend(spec, target.weights, moved.weights, start, order)
        for g in (group.compose(back, group.compose(element, moved.element)), element):
            found.append(Alignment(g, before, _distance(there, group.act(g, here)), rounds))
    return min(found, key=lambda f: f.after if math.isfinite(f.after) else math.inf)


def _in_one_unit(a: Weights, b: Weights) -> tuple[Weights, Weights]:
    """Both in units of their greatest number, if a is not 0, so that no square is out of range."""
    unit = max((float(x.abs().amax()) for theta in (a, b) for x in theta.values()), default=0.0)
    if not any(x.any() for x in a.values()):
        return a, b
    return {n: x / unit for n, x in a.items()}, {n: x / unit for n, x in b.items()}


def _distance(a: Weights, b: Weights) -> float:
    """The norm of a - b, as a share of that of a; in itself if a is 0."""
    return _norm({name: a[name] - b[name] for name in a}) / (_norm(a) or 1.0)


def _checked(spec: Spec, theta: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    found = {}
    for p in spec.parameters:
        if p.name not in theta:
            raise ValueError(f"{name} has no parameter {p.name} of shape {list(p.shape)}")
        x = theta[p.name].detach().to(device="cpu", dtype=torch.float64)
        if tuple(x.shape) != p.shape:
            raise ValueError(f"{name}: parameter {p.name} has shape {list(x.shape)}, not {list(p.shape)}")
        if not x.isfinite().all():
            raise ValueError(f"{name}: parameter {p.name} is not finite")
        found[p.name] = x
    return found


def _ascend(
    spec: Spec, a: Weights, b: Weights, start: Element, generator: torch.Generator
) -> tuple[Element, int]:
    """Steps upwards from a beginning: the element and the number of rounds.

    Signs and rotations come first, as permutations chosen while they are wrong would be chosen by chance.
    """
    here = Group(spec).act(start, b)
    found: tuple[Element, Weights, float, int] = (start, here, _inner(a, here), 0)
    for permuted in (False, True):
        found = _climb(spec, a, found, generator, permuted=permuted)
    return found[0], found[3]


def _climb(
    spec: Spec,
    a: Weights,
    found: tuple[Element, Weights, float, int],
    generator: torch.Generator,
    *,
    permuted: bool,
) -> tuple[Element, Weights, float, int]:
    """Go through all spaces until no step is one upwards."""
    group, still = Group(spec), still_parts(spec)
    spaces = [s for s in spec.spaces if moves(s) and (permuted or turns(s))]
    element, here, value, count = found
    rising = bool(spaces)
    while rising and count < ROUNDS:
        before, count = value, count + 1
        for k in torch.randperm(len(spaces), generator=generator).tolist():
            for most in _bounds(spaces[k]):
                step = best_step(spec, spaces[k], a, here, permuted=permuted, most=most)
                there = act_along(spec, still, spaces[k], step, here)
                if (higher := _inner(a, there)) > value:
                    element, here, value = group.compose(group.with_parts(step), element), there, higher
                    break
        rising = value > before + 1e-12 * abs(before)
    return element, here, value, count


def _bounds(space: Space) -> list[int | None]:
    """How many signs a step may change: fewer, should all that are promising be too many at a time."""
    if space.vector is not None or space.permuted:
        return [None]
    return [None, *(space.size >> k for k in range(1, space.size.bit_length()))]


def _inner(a: Weights, b: Weights) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in a)


def _norm(theta: Weights) -> float:
    return math.sqrt(sum(float(x.square().sum()) for x in theta.values()))
