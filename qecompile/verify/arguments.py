"""Arguments of operations: nested tuples of references, numbers and known tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from qecompile.verify.facts import LARGEST
from qecompile.verify.graph import Ref

MOST_COMPARED = 1 << 10  # entries


def tupled(value: object) -> object:
    """A default value, with tuples for lists."""
    return tuple(map(tupled, value)) if isinstance(value, list) else value


def refs(named: Mapping[str, object]) -> list[tuple[str, Ref]]:
    """The references among arguments; parts of a list have numbered names."""
    found: list[tuple[str, Ref]] = []
    for name, value in named.items():
        if isinstance(value, Ref):
            found.append((name, value))
        elif isinstance(value, tuple):
            found += refs({f"{name} {k}": part for k, part in enumerate(value)})
    return found


def flat(value: object) -> Iterator[object]:
    """All values in nested arguments."""
    if isinstance(value, (tuple, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from flat(part)
    else:
        yield value


def places(known: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A known tensor of places; where it is a mask, the places that are marked."""
    if known.dtype == torch.bool and known.dim() == 1:
        known = known.nonzero().flatten()
    return tuple(int(n) for n in known.flatten().tolist()), tuple(known.shape)


def equal_constants(known: Mapping[str, Tensor]) -> dict[str, str]:
    """The first of all constants that are equal, by name; large ones are not compared."""
    first: dict[object, str] = {}
    return {
        name: first.setdefault((t.dtype, t.shape, *t.flatten().tolist()), name)
        for name, t in known.items()
        if t.numel() <= MOST_COMPARED
    }


def is_identity(t: Tensor) -> bool:
    """Whether all matrices of a tensor are identities."""
    if t.dim() < 2 or t.shape[-1] != t.shape[-2] or t.numel() > LARGEST:
        return False
    return torch.equal(t, torch.eye(t.shape[-1], dtype=t.dtype, device=t.device).expand_as(t))
