"""Networks as graphs: lists of weights, blocks of them, edges and codes of layers; channels last."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

DEEP = qe.parse("""
spec deep {
  space a[0] = 3 : fixed   space a[i] for i in 1..3 = 4 : permute   space a[4] = 2 : fixed
  param W[i] for i in 1..4 : a[i] <- a[i-1]
  param b[i] for i in 1..4 : a[i]
}
""")
EXAMPLES, example = examples(DEEP, channels=6)


class Layers(NamedTuple):
    """Weights and biases, from the first layer to the last."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]


def pack(theta: Weights) -> tuple[Layers]:
    return (Layers(*(tuple(theta[f"{name}[{i}]"] for i in range(1, 5)) for name in "Wb")),)


def unpack(out: Any) -> Weights:
    named = {f"W[{i + 1}]": w for i, w in enumerate(out.weights)}
    return named | {f"b[{i + 1}]": b for i, b in enumerate(out.biases)}


class SetLayer(nn.Module):
    """Every element, and all of them together (the largest, or the mean)."""

    def __init__(self, inputs: int, outputs: int, largest: bool) -> None:
        super().__init__()
        self.one, self.all = nn.Linear(inputs, outputs), nn.Linear(inputs, outputs, bias=False)
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.max(x, dim=1, keepdim=True)[0] if self.largest else x.mean(1, keepdim=True)
        return self.one(x) - self.all(pooled)


@example(
    pack=pack,
    unpack=unpack,
    broken={
        "folds the outputs and not the neurons": ("w.permute(0, 2, 1, 3)", "w.reshape(B, k, n, d)"),
        "adds columns to rows": ("+ columns.transpose(1, 2)", "+ columns"),
    },
)
class BlockPerLayer(nn.Module):
    """One block for each layer, in module lists; the first and the last mix their fixed axis too."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = nn.ModuleDict({"0": SetLayer(18, 18, True), "3": SetLayer(12, 12, False)})
        self.rows = nn.ModuleList(SetLayer(6, 6, False) for _ in range(2))
        self.columns = nn.ModuleList(SetLayer(6, 6, True) for _ in range(2))
        self.bias = nn.ModuleList(nn.Linear(12, 6) for _ in range(3))

    def forward(self, x: Layers) -> Layers:
        weights, biases = [], []
        for i, w in enumerate(x.weights):
            B, n, k, d = w.shape
            if str(i) in self.ends:
                rows = w if i == 0 else w.permute(0, 2, 1, 3)
                y = self.ends[str(i)](rows.flatten(2)).view_as(rows)
                weights.append(y if i == 0 else y.permute(0, 2, 1, 3))
            else:
                rows = self.rows[i - 1](w.reshape(B * n, k, d)).view(B, n, k, d)
                columns = self.columns[i - 1](w.transpose(1, 2).reshape(B * k, n, d)).view(B, k, n, d)
                weights.append(rows + columns.transpose(1, 2))
            if i < 3:
                biases.append(self.bias[i](torch.cat([w.mean(2), x.biases[i]], -1)))
        return Layers(tuple(weights), tuple(biases))


@example(
    broken={
        "numbers the neurons": ("+ self.layers[i - 1]", "+ self.neurons[: w.shape[1], None]"),
        "folds columns as rows": ("w.transpose(1, 2).reshape(B * m, n, 6)", "w.reshape(B * m, n, 6)"),
    }
)
class RowsAndColumns(nn.Module):
    """Attention within every row and every column, with a code for the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.MultiheadAttention(6, 2, batch_first=True)
        self.column = nn.MultiheadAttention(6, 3, batch_first=True)
        self.norm = nn.LayerNorm(6)
        self.layers, self.neurons = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(4, 6))

    def forward(self, theta: Weights) -> Weights:
        found = {}
        for i in (2, 3):
            w = theta[f"W[{i}]"]
            B, n, m, _ = w.shape
            w = self.norm(w) + self.layers[i - 1]
            rows = w.reshape(B * n, m, 6)
            rows = self.row(rows, rows, rows, need_weights=False)[0].reshape(B, n, m, 6)
            columns = w.transpose(1, 2).reshape(B * m, n, 6)
            columns = self.column(columns, columns, columns)[0].view(B, m, n, 6)
            found[f"W[{i}]"] = theta[f"W[{i}]"] + rows + columns.transpose(1, 2)
        return found


@example(
    broken={
        "codes start a neuron late": ("enumerate([3, 4, 4, 4, 2])", "enumerate([4, 4, 4, 4, 1])"),
        "masks by neuron": ("layer[:, None] >= layer", "torch.ones(17, 17, dtype=torch.bool).tril()"),
    }
)
class CodesOfLayers(nn.Module):
    """All neurons in one list; a code and a mask tell layers apart, and nothing tells neurons apart."""

    def __init__(self) -> None:
        super().__init__()
        places = [k for k, n in enumerate([3, 4, 4, 4, 2]) for _ in range(n)]
        self.register_buffer("layer", torch.tensor(places))
        self.code, self.qkv = nn.Embedding(5, 6), nn.Linear(6, 18)
        self.inputs = nn.Parameter(torch.randn(1, 3, 6))

    def forward(self, theta: Weights) -> Weights:
        biases = [theta[f"b[{i}]"] for i in range(1, 5)]
        inputs = self.inputs.expand(len(biases[0]), -1, -1)
        layer = self.layer
        nodes = torch.cat([inputs, *biases], dim=1) + self.code(layer)
        q, k, v = self.qkv(nodes).chunk(3, dim=-1)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=layer[:, None] >= layer)
        parts = (nodes + seen).split([3, 4, 4, 4, 2], dim=1)
        return {f"b[{i}]": parts[i] for i in range(1, 5)}


@example(
    broken={
        "sends along reversed edges": (
            "index_add(1, self.receiver, messages)",
            "index_add(1, self.receiver.flip(0), messages)",
        ),
        "lists the edges by column": ("edges.flatten(1, 2)", "edges.transpose(1, 2).flatten(1, 2)"),
    }
)
class EdgeList(nn.Module):
    """Messages along a list of edges, gathered at their receivers, as graph libraries do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("receiver", torch.arange(4).repeat_interleave(4))
        self.register_buffer("source", torch.arange(4).repeat(4))
        self.message = nn.Sequential(nn.Linear(18, 12), nn.SiLU(), nn.Linear(12, 6))

    def forward(self, theta: Weights) -> Weights:
        edges, nodes, later = theta["W[2]"], theta["b[1]"], theta["b[2]"]
        ends = [nodes.index_select(1, self.source), later[:, self.receiver], edges.flatten(1, 2)]
        messages = self.message(torch.cat(ends, dim=-1))
        return {"b[2]": torch.zeros_like(later).index_add(1, self.receiver, messages)}


@example(
    broken={
        "gives the map to the wrong side": (
            "self.attend(later, before, before",
            "self.attend(before, later, later",
        ),
        "compares neighbours": (
            "scores - scores.logsumexp(1, keepdim=True)",
            "scores - scores.diff(dim=1, append=scores[:, -1:])",
        ),
    }
)
class MapsBetweenLayers(nn.Module):
    """Attention maps between two layers change the weights between them; one is balanced like a matching."""

    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, theta: Weights) -> Weights:
        before, later = theta["b[1]"], theta["b[2]"]
        _, maps = self.attend(later, before, before, average_attn_weights=False)
        scores = -torch.cdist(later, before)
        for _ in range(2):
            scores = scores - scores.logsumexp(1, keepdim=True)
            scores = scores - scores.logsumexp(2, keepdim=True)
        maps = maps.permute(0, 2, 3, 1).repeat(1, 1, 1, 3)
        return {"W[2]": theta["W[2]"] * scores.exp()[..., None] + maps}
