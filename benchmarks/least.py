"""What a layer cannot do without when torch multiplies: a bound that no lowering to torch passes.

Every mean of an input must be known before the first output is: so inputs are read once, and once more for
the products. Backward, gradients of outputs are read for the sums of the small parts, and once more for the
two products. All products go block by block into memory that is there already, the fastest way that was
found; nothing is added to them, and no small tensor is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

ROWS = 1 << 15  # of a block: what the emitted layers take for 16 channels


def least_runs(
    shapes: Sequence[tuple[int, ...]], channels: tuple[int, int]
) -> dict[str, Callable[[], object]]:
    """The least forward, and forward and backward, for tensors of some shapes [batch, ...]."""
    torch.manual_seed(0)
    x, dx = ([torch.randn(*shape, channels[0]).flatten(0, -2) for shape in shapes] for _ in range(2))
    y, dy = ([torch.randn(*shape, channels[1]).flatten(0, -2) for shape in shapes] for _ in range(2))
    weight = torch.randn(*channels)

    def forward() -> None:
        for source, target in zip(x, y, strict=True):
            source.sum()
            for a, b in _blocks(source, target):
                torch.mm(a, weight, out=b)

    def both() -> None:
        forward()
        dweight = torch.zeros_like(weight)
        for source, gradient, target in zip(x, dy, dx, strict=True):
            gradient.sum()
            for a, g, b in _blocks(source, gradient, target):
                torch.mm(g, weight.t(), out=b)
                dweight.add_(a.t() @ g)

    return {"least": forward, "least, forward + backward": both}


def _blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(t.split(ROWS) for t in tensors), strict=True)
