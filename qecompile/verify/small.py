"""Small copies of a spec: the same spaces and types at other sizes, small enough to compute with exactly.

Takes a `Spec`, gives specs. The number of diagrams changes with the sizes only below thresholds
(`dimensions.py`), so copies at sizes below, at and above them show every kind of layer that the emitted code
has at any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from qecompile.spec import MetaNet, Mix, Param, Space, Spec
from qecompile.verify.diagrams import acted_on
from qecompile.verify.dimensions import threshold

NET = "small"


def resized(spec: Spec, sizes: Mapping[str, int], net: MetaNet | None = None) -> Spec:
    """The spec at other sizes, without what is about checkpoints, expectations and its own networks.

    `net` is the only network it declares; without one, a plain network that mixes completely.
    """
    spaces = tuple(s.model_copy(update={"size": sizes[s.name]}) for s in spec.spaces)
    parameters = tuple(
        Param(name=p.name, axes=p.axes, shape=tuple(sizes[a.space] for a in p.axes)) for p in spec.parameters
    )
    full = tuple(Mix(space=name, mode="full") for name in free_spaces(spec))
    plain = MetaNet(name=NET, channels=(1, 1), mix=full)
    return Spec(name=spec.name, spaces=spaces, parameters=parameters, metanets=(net or plain,))


def free_spaces(spec: Spec) -> tuple[str, ...]:
    """The spaces on which nothing acts, or only one number for the whole axis."""
    acts = acted_on(spec.spaces)
    return tuple(s.name for s in spec.spaces if s.name not in acts or (s.is_vector and not s.vector))


def most_legs(spec: Spec) -> dict[str, int]:
    """The largest number of axes of each space in a pair of parameters."""
    return {s.name: 2 * max((_count(p, s) for p in spec.parameters), default=0) for s in spec.spaces}


def _count(param: Param, space: Space) -> int:
    return sum(a.space == space.name for a in param.axes)


def assignments(spec: Spec) -> dict[str, dict[str, int]]:
    """Sizes to compute at: all one, below the thresholds, at them, above them with sizes that differ.

    Each stands once; of equal ones the last in this order keeps its name.
    """
    legs = most_legs(spec)
    at = {s.name: threshold(s, legs[s.name]) for s in spec.spaces}
    free = free_spaces(spec)
    above = {s.name: at[s.name] + 1 + k % 2 for k, s in enumerate(spec.spaces)}
    chosen = {
        "one": {s.name: 1 for s in spec.spaces},
        "below": {s.name: max(1, at[s.name] - 1) for s in spec.spaces},
        "at": at | {name: 2 for name in free},
        "above": above | {name: 2 + k % 2 for k, name in enumerate(free)},
    }
    names = list(chosen)
    return {
        name: sizes
        for k, (name, sizes) in enumerate(chosen.items())
        if sizes not in [chosen[later] for later in names[k + 1 :]]
    }


def entries(spec: Spec) -> int:
    """The number of entries of all parameters together."""
    return sum(prod(p.shape) for p in spec.parameters)
