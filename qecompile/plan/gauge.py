"""Gauge fixing: divide features by norms until no scale charge is left.

*Statement* (theory.md, section 2). Let a tensor x carry charge c of one character on one axis, no other
charge, and no `linear` axis. T = the mean of x^2 over every axis but those that the character depends on
(the axis itself for `scale`; its ancestors only, for `dilate`) then satisfies T(g.x) = s^(2c) T(x), since
permutations permute, signs square away and rotations keep norms. With the norm r = T^(1/2c), which scales
as s, any tensor of charge e divided by r^e is free of the character, exactly; where r = 0 the quotient is
defined as 0, which is invariant too. Solving one character can make another tensor a source for the
next: for a ReLU network the rows of the first layer fix the first hidden space, those of the second then
the second.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.spec import Param, Spec

Character = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Use:
    """A parameter that carries the character: its charge there, and the axes the factor runs along."""

    param: str
    charge: int
    along: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GaugeStep:
    """Remove one character: T from the mean squares of `sources`, all of one charge, then apply to `uses`."""

    space: str
    character: int
    charge: int
    sources: tuple[Use, ...]
    uses: tuple[Use, ...]


def gauge_steps(spec: Spec) -> tuple[GaugeStep, ...]:
    """The characters that can be removed, in an order in which each can; empty without scale charges."""
    pending = {
        (s.name, k) for s in spec.spaces for k, c in enumerate(s.characters) if c.word in ("scale", "dilate")
    }
    steps: list[GaugeStep] = []
    progress = True
    while progress:
        progress = False
        for character in _in_order(spec, pending):
            step = _solve(spec, character, pending)
            if step is not None:
                steps.append(step)
                pending.discard(character)
                progress = True
    return tuple(steps)


def _in_order(spec: Spec, pending: set[Character]) -> list[Character]:
    place = {s.name: k for k, s in enumerate(spec.spaces)}
    return sorted(pending, key=lambda c: (place[c[0]], c[1]))


def _solve(spec: Spec, character: Character, pending: set[Character]) -> GaugeStep | None:
    uses = [u for p in spec.parameters for u in _uses(spec, p, character)]
    sources = [u for u in uses if _is_source(spec, spec.params[u.param], pending)]
    if not sources:
        return None
    charge = min({u.charge for u in sources}, key=lambda c: (abs(c), -c))
    chosen = tuple(u for u in sources if u.charge == charge)
    return GaugeStep(*character, charge, chosen, tuple(uses))


def _uses(spec: Spec, p: Param, character: Character) -> list[Use]:
    """One use for every axis of the parameter that carries the character."""
    name, k = character
    return [
        Use(p.name, axis.charges[k], axes_along(spec, p, position))
        for position, axis in enumerate(p.axes)
        if axis.space == name and axis.charges[k]
    ]


def axes_along(spec: Spec, p: Param, position: int) -> tuple[int, ...]:
    """The axes that a character on one axis depends on: its ancestors, and itself on an index space."""
    chain = [] if spec.space[p.axes[position].space].is_vector else [position]
    parent = p.axes[position].parent
    while parent is not None:
        chain.insert(0, parent)
        parent = p.axes[parent].parent
    return tuple(chain)


def _is_source(spec: Spec, p: Param, pending: set[Character]) -> bool:
    """Whether exactly one pending charge acts on the parameter, and no general linear map does."""
    charged = [
        (position, k)
        for position, axis in enumerate(p.axes)
        for k, c in enumerate(axis.charges)
        if c and (axis.space, k) in pending
    ]
    return len(charged) == 1 and all(spec.space[a.space].vector != "linear" for a in p.axes)
