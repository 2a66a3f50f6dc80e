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
from collections.abc import Iterator
from typing import Any

import torch

from .elements import Draws, worst
from .large import check_large
from .mixing import Dims
from .network import check_network
from .nullity import Wrong
from .spec import MetaNet
from .watched import Watched, check_modes, typed
from .weights import Codes, check_gradients, check_number, check_weights, drawn

MOST_NUMBERS = 1 << 24
LARGE_BATCH = 1 << 20


def check_module(module: Any, draws: Draws, net: MetaNet, dims: Dims | None, codes: Codes) -> Iterator[str]:
    """The facts about a module, each confirmed when it is given; `dims` are None if not counted."""
    torch.set_num_threads(1)
    spec = draws.spec
    shapes = {name: spec.shape(name) for name in spec.params}
    if list(module.SHAPES.items()) != list(shapes.items()):
        raise Wrong("the SHAPES of the emitted file are not those of the spec")
    entries = sum(map(math.prod, shapes.values()))
    if entries > MOST_NUMBERS:
        yield from check_large(module, draws, dims, codes)
        return
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


def check_widths(module: Any, net: MetaNet, dims: Dims | None, draws: Draws, codes: Codes) -> None:
    """Refuse a layer that is another one at the channels of the network: other laws, or other weights."""
    ends = (*net.channels, *(() if net.outputs else (1,)))
    entries = sum(math.prod(draws.spec.shape(name)) for name in draws.spec.params)
    for a, b in sorted({(2, 3), *zip(net.channels, ends[1:], strict=False)}):
        check_number(module, a, b, dims, codes)
        if entries * max(a, b) <= MOST_NUMBERS // 16:
            layer = drawn(module.EquivariantLinear(a, b, dtype=torch.float64), draws, codes)
            check_equivariance(Watched(layer, linear=True), draws, a, exact=True)
            check_gradients(layer, draws, a)


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
