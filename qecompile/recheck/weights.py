"""Whether the weights of an emitted layer are those that parametrise all equivariant maps.

Each weight must belong to one source and one target, there must be as many for a pair as its maps have
dimensions, none dead and no two proportional. Gradients of integer probes are integers, so their rank modulo
a prime shows independence exactly, for every pair with fewer weights than probes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .elements import Draws, Features
from .mixing import Dims
from .nullity import P, Wrong, rank
from .watched import Watched

MOST_PROBES = 400
MOST_WORK = 60_000_000
CODES = ("encode_", "decode_")
Codes = Mapping[str, tuple[str, int]]


def drawn(module: nn.Module, draws: Draws, codes: Codes) -> nn.Module:
    """The module with small integers as weights, and as codes, whatever these are."""
    shapes = {(draws.spec.spaces[s].size, k) for s, (_, k) in codes.items()}
    coded = [b for name, b in module.named_buffers() if name.startswith(CODES) and tuple(b.shape) in shapes]
    with torch.no_grad():
        for p in (*module.parameters(), *coded):
            p.copy_(draws.integers(-3, 3, *p.shape))
    return module


def own_weights(layer: nn.Module) -> list[Tensor]:
    """The weights of a layer, but for learned codes."""
    return [p for name, p in layer.named_parameters() if not name.startswith(CODES)]


def check_number(module: Any, a: int, b: int, dims: Dims | None, codes: Codes) -> None:
    """Refuse a layer that has not as many weights for each pair of channels as there are maps."""
    if dims is None or any(mode == "lowrank" for mode, _ in codes.values()):
        return
    linear = sum(n for (source, _), n in dims.items() if source is not None)
    bias = sum(dims.values()) - linear
    has = sum(p.numel() for p in own_weights(module.EquivariantLinear(a, b, device="meta")))
    if has != a * b * linear + b * bias:
        wanted = f"{a} * {b} * {linear} + {b} * {bias}"
        raise Wrong(f"from {a} to {b} channels the layer has {has} weights, and should have {wanted}")


def check_gradients(layer: nn.Module, draws: Draws, channels: int) -> Tensor:
    """The derivative by each weight of a random combination of outputs; refused if one does not matter."""
    x, weights = draws.inputs(1, channels, exact=False), own_weights(layer)
    total = torch.stack([(t * draws.normal(*t.shape)).sum() for t in layer(x).values()]).sum()
    slopes = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
    if dead := sum(int((slope == 0).sum()) for slope in slopes):
        raise Wrong(f"{dead} weights of the layer are dead from {channels} channels on")
    return torch.cat([slope.flatten() for slope in slopes])


def check_weights(module: Any, dims: Dims | None, draws: Draws, codes: Codes) -> Iterator[str]:
    """Refuse weights that are too many, too few, dead or dependent."""
    whole = drawn(module.EquivariantLinear(1, 1, dtype=torch.float64), draws, codes)
    layer = Watched(whole, linear=True)
    weights = own_weights(whole)

    def value(x: Features, r: Features) -> Tensor:
        y = layer(x)
        return torch.stack([(y[k] * r[k]).sum() for k in r]).sum()

    def gradient(x: Features, r: Features) -> Tensor:
        """The derivative of <r, layer(x)> by all weights, refused if it is not what a step then shows."""
        start = value(x, r)
        found = torch.autograd.grad(start, weights, allow_unused=True, materialize_grads=True)
        steps = [draws.integers(-3, 3, *p.shape) for p in weights]
        with torch.no_grad():
            for p, step in zip(weights, steps, strict=True):
                p.add_(step)
            gained = float(value(x, r) - start)
            for p, step in zip(weights, steps, strict=True):
                p.sub_(step)
        flat, along = (torch.cat([t.flatten() for t in tensors]) for tensors in (found, steps))
        if abs(float(flat @ along) - gained) > 1e-9 * float(flat.abs() @ along.abs() + start.detach().abs()):
            raise Wrong(
                "the layer is not linear in its weights, or its gradients are not those of its values"
            )
        return flat

    def probe(exact: bool) -> Tensor:
        return gradient(draws.inputs(1, 1, exact=exact), draws.inputs(1, 1, exact=exact))

    probes = torch.stack([probe(exact=False) for _ in range(4)])
    if dead := int((probes == 0).all(0).sum()):
        raise Wrong(f"{dead} weights of the layer are dead: no output depends on them")
    if dims is None:
        yield f"no weight of {probes.shape[1]} is dead; with this restriction of mixing they are not counted"
        return
    if same := proportional(probes):
        raise Wrong(f"{same} weights of the layer do what another does")
    names = list(draws.spec.params)
    x, r = draws.inputs(1, 1, exact=False), draws.inputs(1, 1, exact=False)
    silent = {k: torch.zeros_like(v) for k, v in x.items()}
    bias = gradient(silent, r) != 0
    sources = torch.stack([bias, *((gradient({**silent, p: x[p]}, r) != 0) & ~bias for p in names)])
    targets = torch.stack([gradient(x, {**silent, q: r[q]}) != 0 for q in names])
    if (targets.sum(0) != 1).any() or (sources.sum(0) != 1).any():
        raise Wrong("a weight of the layer belongs to several pairs of parameters")
    pair = sources.long().argmax(0) * len(names) + targets.long().argmax(0)
    wanted = [dims.get((p, q), 0) for p in (None, *names) for q in names]
    found = torch.bincount(pair, minlength=len(wanted)).tolist()
    for k, (has, needs) in enumerate(zip(found, wanted, strict=True)):
        if has != needs:
            source = "the bias" if k < len(names) else names[k // len(names) - 1]
            raise Wrong(f"from {source} to {names[k % len(names)]} the layer has {has} weights, not {needs}")
    yield f"{sum(found)} weights, as many for every pair as there are maps; none is dead, no two do the same"
    count = min(max(found), MOST_PROBES, MOST_WORK // (len(pair) + sum(v.numel() for v in x.values()))) + 2
    rows = np.array([probe(exact=True).numpy() for _ in range(count)])
    yield check_rank(rows, pair.numpy(), found)


def proportional(probes: Tensor) -> int:
    """The number of columns that are a multiple of another."""
    lead = probes.gather(0, (probes != 0).int().argmax(0)[None])
    ratios = torch.round(probes / lead, decimals=7) + 0.0
    return ratios.shape[1] - len(torch.unique(ratios.T, dim=0))


def check_rank(probes: Any, pair: Any, found: Sequence[int]) -> str:
    """Refuse dependent weights, one pair of parameters at a time."""
    if (probes != np.round(probes)).any() or np.abs(probes).max(initial=0) >= 2.0**53:
        raise Wrong("gradients of integer probes are no integers: the layer does not compute means")
    order, ends, proved = np.argsort(pair, kind="stable"), np.cumsum(found), 0
    for size, end in zip(found, ends, strict=True):
        if 0 < size < len(probes):
            columns = probes[:, order[end - size : end]].astype(np.int64) % P
            if rank(np.ascontiguousarray(columns.T)) != size:
                raise Wrong("some weights of the layer are dependent: they make fewer maps than they are")
            proved += size
    rest = sum(found) - proved
    return f"{proved} of them are independent, by exact rank" + (
        f"; {rest} are too many for that" if rest else ""
    )
