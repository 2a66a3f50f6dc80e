"""Neurons of a tanh network: they change places, and each may change its sign; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

TANH = qe.parse("""
spec tanh_mlp {
  space x = 3 : fixed
  space h = 4 : permute * sign
  space y = 2 : fixed
  param W1 : h <- x    param b1 : h
  param W2 : y <- h    param b2 : y
}
""")
EXAMPLES, example = examples(TANH, channels=6)


@example(
    broken={
        "adds a bias": ("bias=False", "bias=True"),
        "takes a function that is not odd": ("torch.tanh(", "torch.sigmoid("),
        "takes an even function": ("torch.tanh(", "torch.cos("),
    }
)
class Odd(nn.Module):
    """Row by row: linear without bias, then an odd function."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(24, 6, bias=False)

    def forward(self, theta: Weights) -> Weights:
        rows = torch.cat([theta["W1"].flatten(2), theta["b1"]], dim=-1)
        return {"b1": torch.tanh(self.map(rows))}


@example(
    broken={
        "gates by what has a sign": ("self.gate(b.abs())", "self.gate(b)"),
        "multiplies twice": ("b * gate", "b * b * gate"),
    }
)
class GatedByMagnitude(nn.Module):
    """Magnitudes have no sign: any network of them may gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 6), nn.Sigmoid())

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"]
        gate = self.gate(b.abs())
        return {"b1": b * gate + b.sin() * gate.mean(1, keepdim=True) + b**3}


@example(
    broken={
        "takes the mean before the square": (".square().mean(1)", ".mean(1).square()"),
        "pairs different neurons": ('"byhc,bhxc->byxc"', '"byhc,bgxc->byxc"'),
    }
)
class EvenReadout(nn.Module):
    """Products of what comes in and what goes out, and squares, are invariant."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(42, 16), nn.GELU(), nn.Linear(16, 3))

    def forward(self, theta: Weights) -> Tensor:
        paths = torch.einsum("byhc,bhxc->byxc", theta["W2"], theta["W1"])
        found = [paths.flatten(1), theta["b1"].square().mean(1)]
        return self.net(torch.cat(found, dim=-1))


@example(
    broken={
        "forgets the sign of one side": ("s * c", "s.abs() * c"),
        "correlates without a pair": ('"bhc,byhd->bycd", b, w', '"bhc,byhd->bycd", b, w.abs()'),
    }
)
class SignAndSize(nn.Module):
    """Splits weights into sign and size, works on sizes, puts the signs back."""

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        b, w = theta["b1"], theta["W2"]
        s, c = torch.sign(b), self.size(torch.log1p(b.abs()))
        return {"b1": s * c}, torch.einsum("bhc,byhd->bycd", b, w)


@example(
    broken={
        "reads out without undoing the sign": ('z @ theta["W2"][..., 0].mT', "z.sum(-1, keepdim=True)"),
        "uses relu": ("torch.sin(", "torch.relu("),
    }
)
class SineProbe(nn.Module):
    """The network itself, an implicit representation, at learned points."""

    def __init__(self) -> None:
        super().__init__()
        self.points = nn.Parameter(torch.randn(5, 3))

    def forward(self, theta: Weights) -> Tensor:
        z = torch.matmul(self.points, theta["W1"][..., 0].transpose(1, 2)) + theta["b1"][:, None, :, 0]
        z = torch.sin(30 * z)
        return z @ theta["W2"][..., 0].mT + theta["b2"][:, None, :, 0]
