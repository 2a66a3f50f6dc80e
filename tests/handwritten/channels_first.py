"""The family of NFN and its followers: channels first, and mixed by convolutions of width one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from handwritten.example import examples
from handwritten.perceptrons import MLP, Weights

EXAMPLES, example = examples(MLP, channels=6, layout="first")


@example(
    broken={
        "swaps row and column means": ("rows.unsqueeze(-1)", "rows.unsqueeze(-2)"),
        "forgets to transpose the neighbour": ("w3.mean(2)", "w3.mean(2).flip(-1)"),
        "means over the channels": ("w2.mean(dim=(2, 3))", "w2.mean(dim=(1, 2)).repeat(1, 2)[:, :6]"),
    }
)
class ConvLayer(nn.Module):
    """Row and column means through convolutions of width one, added where they belong."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Conv2d(6, 6, 1)
        self.row = nn.Conv1d(12, 6, 1)
        self.column = nn.Conv1d(12, 6, 1)
        self.all = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        w2, w3 = theta["W2"], theta["W3"]
        rows = self.row(torch.cat([w2.mean(-1), w3.mean(2)], dim=1))
        columns = self.column(torch.cat([w2.mean(-2), theta["b1"]], dim=1))
        mean = self.all(w2.mean(dim=(2, 3)))
        return {"W2": self.own(w2) + rows.unsqueeze(-1) + columns.unsqueeze(-2) + mean[..., None, None]}


@example(
    broken={
        "convolves over neurons": ("nn.Conv1d(6, 6, 1)", "nn.Conv1d(6, 6, 3, padding=1)"),
        "normalises each place": ("nn.BatchNorm1d(6)", "nn.LayerNorm((6, 4))"),
    }
)
class ConvNorm(nn.Module):
    """Convolutions of width one with batch norm, which reads its buffers in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv1d(6, 6, 1), nn.BatchNorm1d(6), nn.LeakyReLU())

    def forward(self, theta: Weights) -> Weights:
        return {"b1": self.net(theta["b1"])}


@example(
    broken={
        "normalises over channels of each neuron": ("b + self.norm(b)", "b + self.norm(b.cumsum(2))"),
    }
)
class GroupNormed(nn.Module):
    """Group norm takes means over neurons and over groups of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, 6)

    def forward(self, theta: Weights) -> Weights:
        b = theta["b2"]
        return {"b2": b + self.norm(b)}


@example(
    broken={
        "moves the wrong axis": ("movedim(1, -1)", "movedim(2, -1)"),
        "weighs along the last axis": ("self.map(x.movedim(1, -1))", "self.map(x.cumsum(-1).movedim(1, -1))"),
    }
)
class MoveAndBack(nn.Module):
    """Channels to the end, a linear map, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        return {name: self.map(x.movedim(1, -1)).movedim(-1, 1) for name, x in theta.items()}


@example(
    broken={
        "keeps the order of neurons": ("AdaptiveAvgPool1d(1)", "AdaptiveAvgPool1d(2)"),
        "pools neighbours": ("AdaptiveMaxPool2d(1)", "MaxPool2d(2)"),
    }
)
class PooledReadout(nn.Module):
    """torch's pooling layers, down to one place."""

    def __init__(self) -> None:
        super().__init__()
        self.average, self.largest = nn.AdaptiveAvgPool1d(1), nn.AdaptiveMaxPool2d(1)
        self.net = nn.Linear(12, 4)

    def forward(self, theta: Weights) -> Tensor:
        b, w = self.average(theta["b1"]), self.largest(theta["W2"])
        return self.net(torch.cat([b.flatten(1)[:, :6], w.flatten(1)[:, :6]], dim=1))
