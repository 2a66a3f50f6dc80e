"""Square matrices, as of recurrent networks: rows and columns are the same neurons; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

RNN = qe.parse("spec rnn { space h = 4 : permute  param W : h <- h  param b : h }")
EXAMPLES, example = examples(RNN, channels=6)


@example(
    broken={
        "puts rows where the diagonal belongs": (
            "torch.diag_embed(d.mT)",
            "d.mT[..., None].expand(-1, -1, -1, 4).tril()",
        ),
        "takes the antidiagonal": ("w.diagonal(dim1=1, dim2=2)", "w.flip(1).diagonal(dim1=1, dim2=2)"),
        "adds a bias next to the diagonal": (
            "torch.diag_embed(d.mT)",
            "torch.diag_embed(d.mT[..., 1:], offset=1)",
        ),
    }
)
class AllFifteen(nn.Module):
    """Every linear map of a square matrix: three ways to keep entries, five means, placed in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(90, 6, bias=False)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W"]
        d = w.diagonal(dim1=1, dim2=2).mT
        vectors = [d, w.mean(1), w.mean(2)]
        numbers = [d.mean(1), w.mean((1, 2))]
        terms = [w, w.transpose(1, 2)]
        for v in vectors:
            terms += [v[:, None].expand_as(w), v[:, :, None].expand_as(w), self.embed(v)]
        for s in numbers:
            terms += [s[:, None, None].expand_as(w), self.embed(s[:, None].expand_as(d))]
        return {"W": self.mix(torch.cat(terms, dim=-1))}

    def embed(self, d: Tensor) -> Tensor:
        return torch.diag_embed(d.mT).movedim(1, -1)


@example(
    broken={
        "writes to the first row": ("y.diagonal(dim1=1, dim2=2)", "y[:, 0].mT"),
        "writes a constant that knows places": (
            "y.diagonal(dim1=1, dim2=2).add_(",
            "y.diagonal(dim1=1, dim2=2).add_(torch.arange(4) * ",
        ),
    }
)
class InPlace(nn.Module):
    """Changes a fresh tensor in place, on its diagonal."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.vector = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        y = self.own(theta["W"])
        y.diagonal(dim1=1, dim2=2).add_(self.vector(theta["b"]).mT)
        y += theta["W"].mean((1, 2, 3)).view(-1, 1, 1, 1)
        return {"W": y}


@example(
    broken={
        "masks by order": ("torch.eye(4, dtype=torch.bool)", "torch.ones(4, 4, dtype=torch.bool).tril()"),
        "fills the wrong way": ("~self.same", "self.same.roll(1, 0)"),
    }
)
class Masked(nn.Module):
    """Treats a neuron's weight to itself apart from its weights to others, by a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("same", torch.eye(4, dtype=torch.bool))
        self.itself, self.others = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        w = theta["W"]
        others = w.masked_fill(self.same[..., None], 0.0)
        y = torch.where(~self.same[:, :, None], self.others(w), self.itself(w))
        return {"W": y, "b": others.sum(2) / 3}


@example(
    broken={
        "multiplies by the transpose of one side": ("w @ w", "w @ w.flip(-1)"),
        "sums an off-diagonal": ('"bcii->bc"', '"bcij->bcj"'),
    }
)
class Powers(nn.Module):
    """Traces of powers, and the power itself: products of matrices channel by channel."""

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        w = theta["W"].movedim(-1, 1)
        square = w @ w
        trace = torch.einsum("bcii->bc", square @ w)
        return {"W": (square + w.mT).movedim(1, -1)}, trace[:, :6]


@example(
    broken={
        "starts from one neuron": ("torch.ones(4)", "torch.eye(4)[0]"),
        "steps the wrong way every time": ("self.step(state)", "self.step(state.roll(1, 1))"),
    }
)
class Unrolled(nn.Module):
    """Runs the recurrent network for a few steps from a state that all neurons share."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        start = torch.ones(4)
        state = start[:, None] * theta["b"].mean(1, keepdim=True)
        for _ in range(3):
            state = torch.tanh(torch.einsum("bijc,bjc->bic", theta["W"], self.step(state)) + theta["b"])
        return {"b": state}
