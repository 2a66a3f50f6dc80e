"""The same layer in other people's code: `NPLinear` of nfn 0.1.2 (`pip install nfn==0.1.2`).

It has the basis of `benchmarks/mlp.sym`, perceptrons whose inputs and outputs are permuted too, on features
[B, C, out, in]. Imports nothing of the compiler.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch


def nfn_runs(
    widths: Sequence[int], batch: int, channels: tuple[int, int], device: torch.device | str = "cpu"
) -> dict[str, Callable[[], object]]:
    """One layer forward, and forward and backward; nothing if nfn is missing."""
    try:
        from nfn.common import ArraySpec, NetworkSpec, WeightSpaceFeatures
        from nfn.layers import NPLinear
    except ImportError as missing:
        print(f"nfn is left out ({missing}): pip install nfn==0.1.2", file=sys.stderr)
        return {}
    torch.manual_seed(0)
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    network = NetworkSpec([ArraySpec(p) for p in pairs], [ArraySpec((n,)) for n in widths[1:]])
    layer = NPLinear(network, *channels).to(device)

    def draw(width: int, *, grad: bool = False) -> Any:
        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(batch, width, *shape, device=device, requires_grad=grad)

        return WeightSpaceFeatures([normal(*pair) for pair in pairs], [normal(n) for n in widths[1:]])

    x, dy, wanted = draw(channels[0]), draw(channels[1]), draw(channels[0], grad=True)

    def infer() -> Any:
        with torch.no_grad():
            return layer(x)

    def train() -> None:
        layer.zero_grad()
        for t in (*wanted.weights, *wanted.biases):
            t.grad = None
        y = layer(wanted)
        torch.autograd.backward([*y.weights, *y.biases], [*dy.weights, *dy.biases])

    return {"nfn": infer, "nfn, forward + backward": train}
