"""Does a mutant compute another function than its original?

Decided in float64: every part of the module runs with the same weights on several inputs, among them zeros
and entries of very different size. A difference counts if it exceeds what another order of the same sums
could make. What differs nowhere is *equivalent* and is not a mutant that `prove` has to find.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .loading import Part, load, parts_of

TOLERANCE = 1e-9
INS, OUTS = 2, 3


class Crashed(Exception):
    """The mutant cannot be imported, built or run: nobody needs a proof to see that."""


@dataclass(frozen=True)
class Reference:
    """What the parts of a correct module give for the probes."""

    outputs: dict[str, list[Any]]

    @classmethod
    def of(cls, text: str) -> Reference:
        """Run every part of a module."""
        with torch.no_grad():
            parts = list(parts_of(load(text), INS, OUTS))
            return cls({part.name: [part.run(x) for x in probes(part)] for part in parts})


def changed_parts(text: str, reference: Reference) -> tuple[str, ...]:
    """The names of the parts whose function differs.

    Raises:
        Crashed: the module does not run at all.
    """
    changed = []
    torch.manual_seed(0)
    try:
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            for part in parts_of(load(text), INS, OUTS):
                found = [part.run(x) for x in probes(part)]
                if not equal(found, reference.outputs[part.name]):
                    changed.append(part.name)
    except Exception as error:  # whatever a mutant does wrong
        raise Crashed(f"{type(error).__name__}: {error}") from error
    return tuple(changed)


def probes(part: Part) -> Iterator[dict[str, Tensor]]:
    """Inputs: normal ones, a batch of one, and ones with dead neurons and entries of any size."""
    yield part.inputs(7, seed=1)
    yield part.inputs(1, seed=2)
    generator = torch.Generator().manual_seed(3)
    wild = part.inputs(5, seed=4)
    for name, x in wild.items():
        wild[name] = x * torch.randn(x.shape, generator=generator, dtype=x.dtype).mul(2).exp()
        for axis in range(1, len(part.shapes[name]) + 1):
            wild[name].select(axis, 0).zero_()
    yield wild


def equal(a: Any, b: Any) -> bool:
    """Whether two results are the same up to rounding."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(map(equal, a, b))
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return bool(a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not torch.equal(a.isfinite(), b.isfinite()):
        return False
    size = float(b[b.isfinite()].abs().max()) if b.isfinite().any() else 0.0
    return bool(((a - b).nan_to_num(0.0).abs() <= TOLERANCE * size).all())
