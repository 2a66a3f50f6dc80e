"""Does a module break the law that it claims? Measured, to tell which mutants the type system must refuse.

Every entry of a batch is moved by a group element of its own; so a part that lets one entry see another is
found as well. A part whose outputs are tensors by parameter name claims to be equivariant, any other one
invariant. With a raw alpha-map an output must only stay in its orbit: then its invariants, as the original
module computes them from each channel, must not change. This is a check of the mutants, apart from the
prover: it shares only the group's action with it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from qecompile.groups import Group

from .effect import INS, OUTS
from .loading import draw_weights, load, parts_of
from .variants import Variant

TOLERANCE = 1e-7
BATCH = 6


def broken_parts(variant: Variant, text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named parts that are not equivariant, or not invariant, for some group elements."""
    group, broken = Group(variant.spec), []
    for part in parts_of(load(text), INS, OUTS):
        if part.name not in names:
            continue
        generator = torch.Generator().manual_seed(7)
        elements = [group.sample(generator, scale=0.5) for _ in range(BATCH)]
        x = part.inputs(BATCH, seed=5)
        with torch.no_grad():
            y = part.run(x)
            moved = part.run(_move(group, elements, x, part.channels is not None))
            if variant.is_raw and part.kind in ("Alpha", "MetaNet"):
                y, moved = _orbit(variant, y), _orbit(variant, moved)
            expected = y
            if isinstance(y, dict):
                if not _fits(y, part.shapes):
                    broken.append(part.name)
                    continue
                has_channels = all(t.dim() == len(part.shapes[k]) + 2 for k, t in y.items())
                expected = _move(group, elements, y, has_channels)
        if not _close(moved, expected):
            broken.append(part.name)
    return tuple(broken)


def _fits(y: dict[str, Tensor], shapes: Any) -> bool:
    """Whether outputs have the shapes of their parameters; no element of the group acts on others."""
    return all(tuple(t.shape[1 : 1 + len(shapes[name])]) == tuple(shapes[name]) for name, t in y.items())


def _orbit(variant: Variant, y: Any) -> Any:
    """Invariants of every channel of an output; those of another kind of output are itself."""
    if not isinstance(y, dict):
        return y
    module = load(variant.source)
    invariants = draw_weights(module.Invariants(1, 4).double())
    if all(t.dim() == len(module.SHAPES[k]) + 1 for k, t in y.items()):
        return invariants({name: t[..., None] for name, t in y.items()})
    channels = next(iter(y.values())).shape[-1]
    return torch.cat([invariants({k: t[..., c : c + 1] for k, t in y.items()}) for c in range(channels)], -1)


def _move(group: Group, elements: list[Any], x: dict[str, Tensor], channels: bool) -> dict[str, Tensor]:
    entries = [
        group.act(g, {name: t[b : b + 1] for name, t in x.items()}, channels=channels)
        for b, g in enumerate(elements)
    ]
    return {name: torch.cat([entry[name] for entry in entries]) for name in x}


def _close(a: Any, b: Any) -> bool:
    """Whether two outputs agree; NaN agrees with NaN: where nothing is computed, no law is broken."""
    if isinstance(a, dict):
        return all(_close(a[name], b[name]) for name in a)
    if not torch.equal(a.isfinite(), b.isfinite()):
        return False
    a, b = a.nan_to_num(0.0, 0.0, 0.0), b.nan_to_num(0.0, 0.0, 0.0)
    size = max(float(a.abs().max()), float(b.abs().max())) if a.numel() else 0.0
    return bool(((a - b).abs() <= TOLERANCE * size).all())
