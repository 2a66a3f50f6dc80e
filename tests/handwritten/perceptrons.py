"""Layers on the weights of a perceptron whose neurons may change places; channels last.

Both hidden layers have four neurons, so that a mixed-up axis is not found by its size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples

MLP = qe.parse("""
spec mlp {
  space x = 3 : fixed
  space h = 4 : permute
  space g = 4 : permute
  space y = 2 : fixed
  param W1 : h <- x    param b1 : h
  param W2 : g <- h    param b2 : g
  param W3 : y <- g    param b3 : y
}
""")
EXAMPLES, example = examples(MLP, channels=6)
Weights = dict[str, Tensor]


@example(
    broken={
        "reads the first neuron": ("b.mean(1, keepdim=True)", "b[:, :1]"),
        "means over the batch": ("b.mean(1, keepdim=True)", "b.mean(0, keepdim=True)"),
        "sums up to each neuron": ("b.mean(1, keepdim=True)", "b.cumsum(1)"),
        "reverses the neurons": ("self.own(b)", "self.own(b.flip(1))"),
    }
)
class DeepSet(nn.Module):
    """Each neuron sees itself and the mean of all."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.mean = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"]
        return {"b1": torch.relu(self.own(b) + self.mean(b.mean(1, keepdim=True)))}


@example(
    broken={
        "rows where columns belong": ("(columns)[:, None]", "(columns)[:, :, None]"),
        "means over the wrong axis": ("rows = w.mean(2)", "rows = w.mean(1)"),
        "transposes the square": ("self.own(w)", "self.own(w.transpose(1, 2))"),
        "depends on the position": ("self.own(w)", "self.own(w) * torch.arange(4.0)[:, None]"),
    }
)
class MatrixBlock(nn.Module):
    """The four maps of a matrix with two permuted axes (as in DWSNets and NFN), with biases."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.row, self.column, self.all = (nn.Linear(6, 6) for _ in range(4))
        self.bias = nn.Linear(12, 6)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W2"]
        rows = w.mean(2)
        columns = w.mean(1)
        mean = w.mean(dim=(1, 2), keepdim=True)
        w2 = self.own(w) + self.row(rows)[:, :, None] + self.column(columns)[:, None] + self.all(mean)
        return {"W2": w2, "b2": self.bias(torch.cat([rows, theta["b2"]], dim=-1))}


@example(
    broken={
        "folds neurons and inputs the wrong way": (
            "w.flatten(2)",
            "w.transpose(1, 2).reshape(len(w), 4, -1)",
        ),
        "unfolds to the wrong axes": ("unflatten(2, (3, 6))", "reshape(len(w), 3, 4, 6).transpose(1, 2)"),
        "weighs the neurons": ("w.flatten(2)", "w.flatten(2) * torch.arange(4.0)[:, None]"),
    }
)
class FreeInputs(nn.Module):
    """The axis of the inputs is fixed, so it may be mixed like channels."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(18, 18)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W1"]
        return {"W1": self.map(w.flatten(2)).unflatten(2, (3, 6))}


@example(
    broken={
        "gives every neuron weights of its own": ("nn.Linear(6, 6)", "nn.Linear(24, 24)"),
    }
)
class RowsAsBatch(nn.Module):
    """Fold neurons into the batch, run any network, unfold."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 6), nn.GELU())

    def forward(self, theta: Weights) -> Weights:
        b = theta["b1"]
        n = self.net[0].in_features
        return {"b1": self.net(b.reshape(-1, n)).reshape(b.shape)}


@example(
    broken={
        "multiplies along the wrong axis": ('"byg,bgh,bhx->byx"', '"byg,bhg,bhx->byx"'),
        "keeps a neuron": ("first = w1.mean(-1)", "first = w1.mean(-1).roll(1, dims=1)"),
    }
)
class Paths(nn.Module):
    """The product of all weight matrices: what a linear network computes, an invariant."""

    def forward(self, theta: Weights) -> Tensor:
        w1, w2, w3 = theta["W1"], theta["W2"], theta["W3"]
        first = w1.mean(-1)
        return torch.einsum("byg,bgh,bhx->byx", w3.mean(-1), w2.mean(-1), first)


@example(
    broken={
        "adds the wrong bias": ('theta["b2"][..., 0]', 'theta["b1"][..., 0]'),
        "transposes a layer": ("bgh,bnh->bng", "bgh,bng->bnh"),
        "shuffles the neurons": ("return z @", "z = z.flip(2)\n        return z @"),
    }
)
class Probe(nn.Module):
    """Run the network itself on learned inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.randn(7, 3))

    def forward(self, theta: Weights) -> Tensor:
        z = torch.einsum("bhx,nx->bnh", theta["W1"][..., 0], self.inputs) + theta["b1"][:, None, :, 0]
        z = torch.einsum("bgh,bnh->bng", theta["W2"][..., 0], z.tanh()) + theta["b2"][..., 0].unsqueeze(1)
        z = F.gelu(z)
        return z @ theta["W3"][..., 0].mT + theta["b3"][:, None, :, 0]


@example(
    broken={
        "keeps the neurons in order": ("b.sort(dim=1).values", "b"),
        "sorts the channels": ("sort(dim=1)", "sort(dim=2)"),
    }
)
class SortedReadout(nn.Module):
    """Sorting forgets which neuron was which; so do quantiles, maxima and moments."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(48, 16), nn.SiLU(), nn.Linear(16, 5))

    def forward(self, theta: Weights) -> Tensor:
        b = theta["b1"]
        moments = [b.amax(1), b.std(1), b.quantile(0.25, dim=1), b.logsumexp(1)]
        return self.net(torch.cat([b.sort(dim=1).values.flatten(1), *moments], dim=-1))


@example(
    broken={
        "leaves out pairs by their order": ("1 - torch.eye(4)", "torch.ones(4, 4).triu()"),
        "compares two layers": ("torch.cdist(f, f)", 'torch.cdist(f, theta["W2"].mean(2))'),
    }
)
class Distances(nn.Module):
    """Each neuron and its distances to the others."""

    def forward(self, theta: Weights) -> Weights:
        f = theta["W1"].flatten(2)[..., :6]
        d = torch.cdist(f, f) * (1 - torch.eye(4))
        return {"b1": torch.exp(-d).sum(2, keepdim=True) * theta["b1"]}


@example(
    broken={
        "swaps the layers": ("a[:, None] * c[:, :, None]", "a[:, :, None] * c[:, None]"),
        "takes the product on the diagonal": (
            "a[:, None] * c[:, :, None]",
            "(a * c)[:, None].expand(-1, 4, -1, -1)",
        ),
    }
)
class OuterProduct(nn.Module):
    """The outer product of the biases of two layers has the type of the matrix between them."""

    def forward(self, theta: Weights) -> Weights:
        a, c = theta["b1"], theta["b2"]
        return {"W2": torch.tanh(a[:, None] * c[:, :, None])}


@example(
    broken={
        "conditions on one neuron": ('theta["b1"].mean(1)', 'theta["b1"][:, 2]'),
        "shifts by position": ("+ shift", "+ shift * torch.linspace(0, 1, 4)[:, None]"),
    }
)
class Film(nn.Module):
    """Invariants set the scale and shift of every channel."""

    def __init__(self) -> None:
        super().__init__()
        self.condition = nn.Linear(12, 12)

    def forward(self, theta: Weights) -> Weights:
        pooled = torch.cat((theta["b1"].mean(1), theta["W2"].amax((1, 2))), -1)
        scale, shift = self.condition(pooled)[:, None].chunk(2, dim=-1)
        return {"b1": scale * theta["b1"] + shift, "W2": theta["W2"] * scale[:, None]}
