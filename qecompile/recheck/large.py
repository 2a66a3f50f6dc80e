"""Layers too large for all that `emitted.py` asks: what one pass with one channel shows.

The layer must follow two exact group elements without rounding, every weight must matter, and no two in the
same way. What was left out is said, and the checker does not end as if all were confirmed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from .elements import Draws
from .mixing import Dims
from .nullity import Wrong
from .watched import LEFT_OUT, Watched
from .weights import Codes, check_gradients, check_number, drawn, proportional

MOST_NUMBERS = 1 << 27


def check_large(module: Any, draws: Draws, dims: Dims | None, codes: Codes) -> Iterator[str]:
    """The facts about the layer of a module that is too large for more."""
    entries = sum(math.prod(draws.spec.shape(name)) for name in draws.spec.params)
    why = f"with {entries:,} entries it is too large to run here; prove smaller arguments of the spec too"
    if entries > MOST_NUMBERS:
        yield f"{LEFT_OUT}: what the emitted file computes; {why}"
        return
    whole = drawn(module.EquivariantLinear(1, 1, dtype=torch.float64), draws, codes)
    layer = Watched(whole, linear=True)
    for _ in range(2):
        g, x = draws.element(exact=True), draws.inputs(1, 1, exact=True)
        with torch.no_grad():
            moved, expected = layer(draws.act(g, x, channels=True)), draws.act(g, layer(x), channels=True)
        for name in draws.spec.params:
            if not torch.equal(moved.pop(name), expected.pop(name)):
                raise Wrong(f"EquivariantLinear is not equivariant at {name}")
    check_number(module, 1, 1, dims, codes)
    slopes = torch.stack([check_gradients(whole, draws, 1) for _ in range(3)])
    if proportional(slopes):
        raise Wrong("two weights of the layer do the same")
    counted = f"{slopes.shape[1]:,} weights, none dead and no two alike"
    yield f"EquivariantLinear, for one channel, follows two group elements without rounding; it has {counted}"
    yield f"{LEFT_OUT}: that the weights are independent, and the law of MetaNet; {why}"
