"""Neurons of a ReLU network: they change places, and each may be scaled; channels last."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

RELU = qe.parse("""
spec relu_mlp {
  space x = 3 : fixed
  space h = 4 : permute * scale
  space g = 4 : permute * scale
  space y = 2 : fixed
  param W1 : h <- x    param b1 : h
  param W2 : g <- h    param b2 : g
  param W3 : y <- g    param b3 : y
}
""")
EXAMPLES, example = examples(RELU, channels=6)


@example(
    broken={
        "adds a constant": ("bias=False", "bias=True"),
        "takes a function that is not homogeneous": ("F.relu(", "F.gelu("),
        "lets neurons meet": ("self.map(rows)", "self.map(rows) + rows.mean(1, keepdim=True)"),
    }
)
class Homogeneous(nn.Module):
    """Row by row: linear without bias, then a function with f(s x) = s f(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(24, 24, bias=False)

    def forward(self, theta: Weights) -> Weights:
        rows = torch.cat([theta["W1"].flatten(2), theta["b1"]], dim=-1)
        y = F.relu(self.map(rows))
        return {"W1": y[..., :18].unflatten(-1, (3, 6)), "b1": y[..., 18:]}


@example(
    broken={
        "divides by the norm of another layer": (
            "size[..., None]",
            'theta["b2"].abs().sum(2)[:, :, None, None]',
        ),
        "adds to the norm": ("size = row", "size = 0.01 + row"),
        "forgets to scale back": ("* size", "* 1.0"),
        "takes the norm of columns": ("w1.square().mean((2, 3)", "w1.square().mean((1, 3)"),
    }
)
class GaugeFixed(nn.Module):
    """Divide by norms that scale as the rows do, run any network of permutations, multiply back."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(18, 12), nn.GELU(), nn.Linear(12, 6))

    def forward(self, theta: Weights) -> Weights:
        w1 = theta["W1"]
        row = w1.square().mean((2, 3), keepdim=True).sqrt().squeeze(-1)
        size = row
        free = w1 / size[..., None]
        mixed = self.net(free.flatten(2))
        mixed = mixed + mixed.mean(1, keepdim=True)
        return {"b1": mixed * size}


@example(
    broken={
        "leaves out the middle": ('"byg,bgh,bhx->byx", w3, w2, w1', '"byg,bgh,bhx->byx", w3, w2.sign(), w1'),
        "counts a weight twice": ("w1, w2, w3 = ", "w1, w2, w3 = theta['W1'][..., 0] ** 2, *"),
    }
)
class PathNorms(nn.Module):
    """Sums over paths of products of absolute values, or of squares, do not see scales."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(12, 5)

    def forward(self, theta: Weights) -> Tensor:
        w1, w2, w3 = theta["W1"][..., 0].abs(), theta["W2"][..., 0].abs(), theta["W3"][..., 0].abs()
        one = torch.einsum("byg,bgh,bhx->byx", w3, w2, w1)
        two = torch.sqrt(w3.square() @ w2.square() @ w1.pow(2))
        return self.net(torch.cat([one.flatten(1), two.flatten(1)], dim=1))


@example(
    broken={
        "uses an activation that sees scales": ("return z.relu()", "return z.sigmoid()"),
        "leaves a neuron out by place": ("z = z + ", "z = z * torch.tensor([1.0, 1.0, 1.0, 0.5]) + "),
        "adds a constant to each neuron": ("z = z + ", "z = z + 0.1 + "),
    }
)
class ReluProbe(nn.Module):
    """The network itself on learned inputs: relu lets scales through to the next layer, which undoes them."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(5, 3))

    def forward(self, theta: Weights) -> Tensor:
        t = {name: value[..., 0] for name, value in theta.items()}
        z = F.linear(self.inputs, torch.eye(3)) @ t["W1"].mT
        z = z + t["b1"][:, None]
        z = z.relu() @ t["W2"].mT + t["b2"].unsqueeze(1)
        return z.relu() @ t["W3"].mT + t["b3"].unsqueeze(1)


@example(
    broken={
        "compares with a constant": ("x > 0", "x > 0.1"),
        "fills with a constant": ("0.2 * x", "0.2 * torch.ones_like(x)"),
    }
)
class LeakyByHand(nn.Module):
    """Whether a weight is positive does not depend on its scale."""

    def forward(self, theta: Weights) -> Weights:
        return {name: torch.where(x > 0, x, 0.2 * x) for name, x in theta.items()}


@example(
    broken={
        "takes the largest of all rows": (
            "amax(dim=(2, 3), keepdim=True)",
            "amax(dim=(1, 2, 3), keepdim=True)",
        ),
        "clamps": ("w.abs().amax", "w.abs().clamp(min=0.1).amax"),
    }
)
class LargestEntry(nn.Module):
    """Divided by their largest entry, rows have no scale left; logarithms and softmax may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(18, 1)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W1"]
        free = w / w.abs().amax(dim=(2, 3), keepdim=True)
        weight = self.score(torch.exp(-free.abs()).flatten(2)).softmax(dim=1)
        return {"b1": theta["b1"] * weight * weight.log()}


@example(
    broken={
        "takes the product with the wrong side": ("outgoing * incoming", "incoming"),
        "weighs by what has a scale": ("torch.tanh(share)", "torch.tanh(incoming)"),
    }
)
class Balanced(nn.Module):
    """What comes in times what goes out of a neuron has no scale; its share may weigh neurons."""

    def forward(self, theta: Weights) -> Weights:
        incoming = theta["W1"].square().sum((2, 3))
        outgoing = theta["W3"].square().sum((1, 3)).mean(1, keepdim=True)
        outgoing = (theta["W2"] * theta["W3"].abs().sum(1).unsqueeze(2)).square().sum((1, 3))
        share = (outgoing * incoming).pow(0.5)
        return {"b1": theta["b1"] * torch.tanh(share).unsqueeze(-1)}
