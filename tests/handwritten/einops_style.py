"""Layers in the notation of einops, which is expanded into torch when a module is traced."""

from __future__ import annotations

import torch
from einops import einsum, rearrange, reduce, repeat
from einops.layers.torch import Rearrange, Reduce
from torch import Tensor, nn

from handwritten.example import examples
from handwritten.perceptrons import MLP, Weights

EXAMPLES, example = examples(MLP, channels=6)


@example(
    broken={
        "repeats along the wrong axis": ("b h c -> b g h c", "b h c -> b h g c"),
        "reduces the wrong axis": ("b g h c -> b g c", "b g h c -> b h c"),
        "confuses rows and columns": (
            'rearrange(w, "b g h c -> b (g h) c")',
            'rearrange(w, "b g h c -> b (h g) c")',
        ),
    }
)
class Named(nn.Module):
    """Axes by name: reduce, repeat, and a fold that keeps pairs of neurons together."""

    def __init__(self) -> None:
        super().__init__()
        self.pair, self.one = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W2"]
        columns = repeat(self.one(reduce(w, "b g h c -> b h c", "mean")), "b h c -> b g h c", g=4)
        pairs = self.pair(rearrange(w, "b g h c -> b (g h) c"))
        rows = reduce(w, "b g h c -> b g c", "max")
        return {"W2": rearrange(pairs, "b (g h) c -> b g h c", g=4) + columns, "b2": rows}


@example(
    broken={
        "keeps one neuron's share": ("two.mean(2)", "two[:, :, 0]"),
        "contracts wrongly": ('"b y g c, b g h c -> b y h c"', '"b y g c, b h g c -> b y h c"'),
        "reads places": ('Reduce("b h f -> b f", "mean")', 'Rearrange("b h f -> b (h f)")'),
    }
)
class Sequenced(nn.Module):
    """The layers of einops inside nn.Sequential, and its einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.Sequential(Rearrange("b h x c -> b h (x c)"), Reduce("b h f -> b f", "mean"))
        self.back = Rearrange("b h (x c) -> b h x c", x=3)

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        w1 = rearrange(theta["W1"], "b h x c -> b h (x c)")
        two = einsum(theta["W3"], theta["W2"], "b y g c, b g h c -> b y h c")
        return {"W1": self.back(torch.relu(w1))}, torch.cat(
            [self.pool(theta["W1"]), two.mean(2).flatten(1)], -1
        )
