"""Whether an emitted file is the complete equivariant layer, and its network keeps the declared law.

Takes the module, the elaborated spec and the dimensions that were confirmed. Nothing of how the file is
written is trusted: it is run, in float64.

* `EquivariantLinear` is affine and *equivariant*: without rounding, on integers and exact group elements
  (`elements.py`), and to 1e-6 under general ones.
* It is *complete*: each weight belongs to one source and one target, there are as many for a pair as its
  maps have dimensions, none is dead, no two proportional. Gradients of integer probes are integers, so
  their rank modulo a prime shows independence exactly, for every pair with fewer weights than probes. The
  layer then parametrises all equivariant affine maps. (Where mixing is restricted to codes of a fixed space,
  the dimensions are those of the restricted maps.)
* `MetaNet` is invariant, or equivariant, to 1e-5 under scales of up to a thousand; or, with an alpha-map, its
  output stays in the orbit (`orbit.py`).

Each is found unchanged by every call and the same in all modes, in float32 and at the channels that the spec
declares, and the layer is made of linear operations (`watched.py`): what is seen here is seen for all values.
For the network, which is not linear, it is a sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .elements import Draws, Features, worst
from .mixing import Dims
from .nullity import P, Wrong, rank
from .orbit import affordable, one_orbit
from .spec import MetaNet
from .watched import Watched, check_modes

MOST_NUMBERS = 1 << 24
LARGE_BATCH = 1 << 20
MOST_PROBES = 400
MOST_WORK = 60_000_000
CODES = ("encode_", "decode_")


def check_module(
    module: Any, draws: Draws, net: MetaNet, dims: Dims | None, codes: Mapping[str, tuple[str, int]]
) -> Iterator[str]:
    """The facts about a module, each confirmed when it is given; `dims` are None if not counted."""
    torch.set_num_threads(1)
    spec = draws.spec
    shapes = {name: spec.shape(name) for name in spec.params}
    if list(module.SHAPES.items()) != list(shapes.items()):
        raise Wrong("the SHAPES of the emitted file are not those of the spec")
    entries = sum(map(math.prod, shapes.values()))
    if entries > MOST_NUMBERS:
        raise Wrong(
            "the emitted layer is too large to be run here: prove it with smaller arguments of the spec"
        )
    whole = drawn(module.EquivariantLinear(2, 3, dtype=torch.float64), draws, codes)
    layer = Watched(whole, linear=True)
    for batch in (2, 3, max(2, min(4096, LARGE_BATCH // entries))):  # large tensors take ways of their own
        check_affine(layer, draws, batch)
    for k in range(7):
        check_equivariance(layer, draws, 2, exact=k < 4)
    x = draws.inputs(2, 2, exact=False)
    check_modes(whole, lambda m: Watched(m, linear=True)(typed(x, m)), "EquivariantLinear", near=1e-4)
    check_widths(module, net, dims, draws, codes)
    yield "EquivariantLinear is affine, equivariant without rounding on integers, and to 1e-6 elsewhere"
    yield from check_weights(module, dims, draws, codes)
    yield check_network(module.MetaNet(dtype=torch.float64), net, draws)


def typed(x: Features, module: nn.Module) -> Features:
    """Inputs of the dtype of a module."""
    return {k: t.to(next(module.parameters()).dtype) for k, t in x.items()}


def drawn(module: nn.Module, draws: Draws, codes: Mapping[str, tuple[str, int]]) -> nn.Module:
    """The module with small integers as weights, and as codes, whatever these are."""
    shapes = {(draws.spec.spaces[s].size, k) for s, (_, k) in codes.items()}
    coded = [b for name, b in module.named_buffers() if name.startswith(CODES) and tuple(b.shape) in shapes]
    with torch.no_grad():
        for p in (*module.parameters(), *coded):
            p.copy_(draws.integers(-3, 3, *p.shape))
    return module


def check_affine(layer: Watched, draws: Draws, batch: int) -> None:
    """Refuse a layer that is not affine in its input, or that lets entries of a batch meet."""
    x, y = (draws.inputs(batch, 2, exact=True) for _ in range(2))
    both, zero = {k: x[k] + y[k] for k in x}, {k: torch.zeros_like(x[k]) for k in x}
    with torch.no_grad():
        fx, fy, fb, f0 = map(layer, (x, y, both, zero))
    for k in x:
        if fx[k].shape != (*x[k].shape[:-1], 3):
            raise Wrong(f"the layer gives {k} another shape")
        if not torch.equal(fb[k] + f0[k], fx[k] + fy[k]):
            raise Wrong(f"the layer is not affine in its input, at {k}")
    for b in {0, 1, batch // 2, batch - 1}:
        one = layer({k: v[b : b + 1] for k, v in x.items()})  # with gradients: that is another way too
        if not all(torch.equal(fx[k][b : b + 1], one[k]) for k in x):
            raise Wrong("the layer lets entries of a batch meet, or depends on its size")
    leaves = {k: t.clone().requires_grad_() for k, t in x.items()}
    dual = {k: draws.integers(-3, 3, *t.shape) for k, t in fx.items()}
    slopes = torch.autograd.grad([layer(leaves)[k] for k in dual], list(leaves.values()), list(dual.values()))
    slopes_by = dict(zip(x, slopes, strict=True))
    for k in x:  # a derivative of an affine map is a difference
        along = {n: y[n] if n == k else torch.zeros_like(y[n]) for n in x}
        with torch.no_grad():
            gained = layer(along)
        gain = sum(((gained[n] - f0[n]) * dual[n]).sum() for n in dual)
        size = sum(((gained[n] - f0[n]) * dual[n]).abs().sum() for n in dual)
        if abs(float((slopes_by[k] * y[k]).sum() - gain)) > 1e-9 * float(size):
            raise Wrong(f"the gradients of the layer by {k} are not those of its values")


def check_widths(
    module: Any, net: MetaNet, dims: Dims | None, draws: Draws, codes: Mapping[str, tuple[str, int]]
) -> None:
    """Refuse a layer that is another one at the channels of the network: other laws, or other weights."""
    ends = (*net.channels, *(() if net.outputs else (1,)))
    entries = sum(math.prod(draws.spec.shape(name)) for name in draws.spec.params)
    for a, b in sorted({(2, 3), *zip(net.channels, ends[1:], strict=False)}):
        if dims is not None and not codes:
            linear = sum(n for (source, _), n in dims.items() if source is not None)
            bias = sum(dims.values()) - linear
            weights = sum(p.numel() for p in module.EquivariantLinear(a, b, device="meta").parameters())
            if weights != a * b * linear + b * bias:
                raise Wrong(f"from {a} to {b} channels the layer has {weights} weights, not as many per pair")
        if entries * max(a, b) <= MOST_NUMBERS // 16:
            layer = drawn(module.EquivariantLinear(a, b, dtype=torch.float64), draws, codes)
            check_equivariance(Watched(layer, linear=True), draws, a, exact=True)
            y = layer(draws.inputs(2, a, exact=False))
            weights = [p for name, p in layer.named_parameters() if not name.startswith(CODES)]
            total = torch.stack([(t * draws.normal(*t.shape)).sum() for t in y.values()]).sum()
            slopes = torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True)
            if dead := sum(int((slope == 0).sum()) for slope in slopes):
                raise Wrong(f"{dead} weights of the layer are dead from {a} to {b} channels")


def check_equivariance(layer: Watched, draws: Draws, channels: int, exact: bool) -> None:
    """Refuse a layer for which f(g.x) is not g.f(x)."""
    g, x = draws.element(exact), draws.inputs(2, channels, exact=exact)
    with torch.no_grad():
        moved, expected = layer(draws.act(g, x, channels=True)), draws.act(g, layer(x), channels=True)
    for k, t in expected.items():
        error = worst([moved[k]], [t])
        if error > (0 if exact else 1e-6):
            raise Wrong(
                f"EquivariantLinear is not equivariant: {k} is off by {error:.3g} under a group element"
            )


# Weights


def check_weights(
    module: Any, dims: Dims | None, draws: Draws, codes: Mapping[str, tuple[str, int]]
) -> Iterator[str]:
    """Refuse weights that are too many, too few, dead or dependent."""
    whole = drawn(module.EquivariantLinear(1, 1, dtype=torch.float64), draws, codes)
    layer = Watched(whole, linear=True)
    weights = [p for name, p in whole.named_parameters() if not (codes and name.startswith(CODES))]

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


# The network


def check_network(whole: nn.Module, net: MetaNet, draws: Draws) -> str:
    """Refuse a network that does not keep its law."""
    channels = () if net.channels[0] == 1 else net.channels[:1]
    theta = draws.inputs(3, *channels, exact=False)
    network = Watched(whole)
    with torch.no_grad():
        for p in whole.parameters():
            p.copy_(draws.normal(*p.shape) / max(1, *p.shape[:1]) ** 0.5)
        check_modes(whole, lambda m: by_name(Watched(m)(typed(theta, m))), "MetaNet", near=1e-2)
        before = network(theta)
        check_output(before, net)
        for b in range(3):
            alone = network({k: t[b : b + 1] for k, t in theta.items()})
            together, part = (list(by_name(y).values()) for y in (before, alone))
            if worst(part, [t[b : b + 1] for t in together]) > 1e-5:
                raise Wrong("the network lets entries of a batch meet")
        if isinstance(before, dict) and net.alpha not in (None, "covariant"):
            return check_orbits(network, theta, before, draws, channels=bool(channels))
        law = "equivariant" if isinstance(before, dict) else "invariant"
        for decades in range(4):
            g = draws.element(exact=False, decades=decades)
            after = network(draws.act(g, theta, channels=bool(channels)))
            if isinstance(before, dict):
                moved = draws.act(g, before, channels=False)
                error = worst([after[k] for k in moved], list(moved.values()))
            else:
                error = worst([after], [before])
            if error > 1e-5:
                raise Wrong(f"the network is not {law}: it is off by {error:.3g} under scales of 1e{decades}")
    return f"MetaNet is {law} to 1e-5 in float64, under scales of up to a thousand"


def by_name(y: Tensor | Features) -> Features:
    """Outputs by name, of which a readout to numbers has one."""
    return {"": y} if isinstance(y, Tensor) else y


def check_output(found: Any, net: MetaNet) -> None:
    """Refuse an output of another form than the readout declares, or of no use."""
    if isinstance(found, dict) != (net.outputs is None):
        raise Wrong("the network's readout is not the one that the spec declares")
    if isinstance(found, Tensor):
        if found.shape != (3, net.outputs):
            raise Wrong(f"the network gives {list(found.shape)}, not {net.outputs} numbers for each input")
        if worst([found[:1]], [found[1:2]]) < 1e-4:
            raise Wrong("the network gives one answer to different weights")


def check_orbits(network: Watched, theta: Features, before: Features, draws: Draws, channels: bool) -> str:
    """Refuse a quasi-equivariant network whose output leaves its orbit."""
    if not affordable(draws, sum(t[0].numel() for t in before.values())):
        return (
            "NOT RE-CHECKED: that alpha moves the output of MetaNet along its orbit only, which is too large"
        )
    for _ in range(3):
        g = draws.element(exact=False)
        after = network(draws.act(g, theta, channels=channels))
        moved = draws.act(g, before, channels=False)
        if one_orbit(draws, {k: t[:1] for k, t in moved.items()}, {k: t[:1] for k, t in after.items()}):
            return "MetaNet is quasi-equivariant in float64: an h with F(g.theta) = h.g.F(theta) is found"
    raise Wrong(
        "the network is not quasi-equivariant: no group element takes its output to that of the orbit"
    )
