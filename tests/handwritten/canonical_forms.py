"""Scales and signs undone: logarithms, networks of x and -x, norms on both sides; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handwritten.example import examples
from handwritten.perceptrons import Weights
from handwritten.scales import RELU
from handwritten.signs import TANH

EXAMPLES, example = examples(RELU, channels=6)


@example(
    broken={
        "centres over neurons": ("size.mean(-1, keepdim=True)", "size.mean(1, keepdim=True)"),
        "forgets what comes before": ("+ size[:, None]", "- size[:, None]"),
        "weighs by the logarithm itself": ("self.net(free)", "self.net(size)"),
    }
)
class Logarithms(nn.Module):
    """Scales are added to logarithms of sizes: differences of them are free, and exp brings them back."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 6))

    def forward(self, theta: Weights) -> Weights:
        size = theta["b1"].abs().log()
        free = size - size.mean(-1, keepdim=True)
        path = theta["W2"].abs().log() + size[:, None]
        return {"b1": theta["b1"] * self.net(free), "b2": path.amax(2).exp()}


@example(
    broken={
        "divides rows twice": ("/ rows * columns", "/ rows / columns"),
        "scales back by columns": ("* rows / columns", "* columns / rows"),
        "adds a floor to the norms": ("keepdim=True).sqrt()", "keepdim=True).sqrt().add(0.1)"),
    }
)
class BothSides(nn.Module):
    """A matrix between two scaled layers, with the norms of both divided out and put back."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.all = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        rows, columns = (theta[n].square().sum(-1, keepdim=True).sqrt() for n in ("b2", "b1"))
        rows, columns = rows[:, :, None], columns[:, None]
        free = theta["W2"] / rows * columns
        mixed = torch.tanh(self.own(free) + self.all(free.mean((1, 2), keepdim=True)))
        return {"W2": mixed * rows / columns}


@example(
    broken={
        "compares with a number": ("zero = ~(size > 0)", "zero = ~(size > 0.9)"),
        "keeps the floor": ("* size", "* size.masked_fill(zero, 1.0) / (1 + size)"),
    }
)
class ZeroRows(nn.Module):
    """Rows of zeros have no direction, and are left out by a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"].relu()
        size = b.norm(dim=-1, keepdim=True)
        zero = ~(size > 0)
        direction = (b / size.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)
        return {"b1": self.net(direction) * size}


@example(
    spec=TANH,
    broken={
        "adds half of the image": (
            "even = self.net(rows) + self.net(-rows)",
            "even = self.net(rows) + 0.5 * self.net(-rows)",
        ),
        "takes the difference for even": ("even.mean(1)", "odd.mean(1)"),
        "flips one part only": ("b = self.odd(b) - self.odd(-b)", "b = self.odd(b) - self.odd(b.abs())"),
    },
)
class OfBothSigns(nn.Module):
    """Any network of x and of -x: the sum has lost the sign, and the difference has it as x has."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 6))
        self.odd = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.LayerNorm(12), nn.Linear(12, 6))

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        rows = torch.cat([theta["W1"].flatten(2), theta["b1"]], dim=-1)
        even = self.net(rows) + self.net(-rows)
        b = theta["b1"]
        b = self.odd(b) - self.odd(-b)
        odd = b
        return {"b1": odd * even.sigmoid()}, even.mean(1)
