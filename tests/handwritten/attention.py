"""Layers on the weights of attention heads: heads change places, each has bases of its own; channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

HEADS = qe.parse("""
spec attention {
  space D = 4 : permute
  space head = 3 : permute {
    space qk = 4 : linear
    space vo = 4 : linear
  }
  param Q : head qk  <- D
  param K : head qk* <- D
  param V : head vo  <- D
  param O : D <- head vo
}
""")
EXAMPLES, example = examples(HEADS, channels=6)


@example(
    broken={
        "contracts queries with queries": ('theta["Q"], theta["K"]', 'theta["Q"], theta["Q"]'),
        "contracts queries with values": ('theta["Q"], theta["K"]', 'theta["Q"], theta["V"]'),
        "sums over the basis first": ("bhqdc,bhqec->bhdec", "bhqdc,bhpec->bhdec"),
        "pairs heads with others": ("bhqdc,bhqec->bhdec", "bhqdc,bgqec->bhdec"),
        "squares in the basis": ('theta["Q"], theta["K"]', 'theta["Q"] ** 2, theta["K"]'),
    }
)
class QueryKey(nn.Module):
    """Queries against keys, over the basis that only they share: any network may follow."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 5))

    def forward(self, theta: Weights) -> Tensor:
        scores = torch.einsum("bhqdc,bhqec->bhdec", theta["Q"], theta["K"])
        return self.net(scores).mean(dim=(1, 2, 3))


@example(
    broken={
        "gates each coordinate": ("gate[:, :, None, None]", 'torch.sigmoid(theta["Q"])'),
        "adds a bias in the basis": ("bias=False", "bias=True"),
        "gates one head by another": ("scores.mean((2, 3))", "scores.mean((2, 3)).flip(1)"),
        "mixes the basis": ('self.mix(theta["Q"])', 'self.mix(theta["Q"]).mT'),
    }
)
class GatedHeads(nn.Module):
    """Linear in the weights of a head, times a gate of its invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 6, bias=False)
        self.gate = nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        scores = torch.einsum("bhqdc,bhqec->bhdec", theta["Q"], theta["K"])
        gate = torch.sigmoid(self.gate(scores.mean((2, 3))))
        return {"Q": self.mix(theta["Q"]) * gate[:, :, None, None]}


@example(
    broken={
        "mixes through the transpose": ("bhqdc,bhdec->bhqec", "bhqdc,bhedc->bheqc"),
        "gives queries to keys": ('{"Q": y}', '{"K": y}'),
        "gives one head's queries to all": ("q.mean(3, keepdim=True)", "q.mean((1, 3), keepdim=True)"),
    }
)
class Cubic(nn.Module):
    """An endomorphism of the stream acts on the queries."""

    def forward(self, theta: Weights) -> Weights:
        q, k = theta["Q"], theta["K"]
        scores = torch.einsum("bhqdc,bhqec->bhdec", q, k)
        y = torch.einsum("bhqdc,bhdec->bhqec", q, scores.softmax(2)) + q.mean(3, keepdim=True)
        return {"Q": y}


@example(
    broken={
        "multiplies values by queries": ('theta["V"][..., 0]', 'theta["Q"][..., 0]'),
        "merges heads and basis in two orders": ("o.flatten(2)", "o.transpose(2, 3).flatten(2)"),
        "counts only some heads": ("o.flatten(2)", "o[:, :, :1].expand(-1, -1, 3, -1).flatten(2)"),
    }
)
class OutputValue(nn.Module):
    """Outputs times values, summed over heads in one matrix product, as the model itself does."""

    def forward(self, theta: Weights) -> Tensor:
        v, o = theta["V"][..., 0], theta["O"][..., 0]
        circuit = o.flatten(2) @ v.flatten(1, 2)
        return torch.stack([circuit.diagonal(dim1=1, dim2=2).sum(-1), circuit.abs().sum((1, 2))], dim=-1)


@example(
    broken={
        "ranks heads by place": ("scores.softmax(dim=1)", "scores.cumsum(dim=1)"),
        "lets one head decide": ("mixed.sum(1)", "mixed[:, 0]"),
    }
)
class HeadPooling(nn.Module):
    """Attention over heads, by their invariants."""

    def __init__(self) -> None:
        super().__init__()
        self.score, self.value = nn.Linear(6, 1), nn.Linear(6, 4)

    def forward(self, theta: Weights) -> Tensor:
        inside = torch.einsum("bhqdc,bhqdc->bhc", theta["Q"], theta["K"])
        scores = self.score(inside)
        mixed = scores.softmax(dim=1) * self.value(inside)
        return mixed.sum(1)


@example(
    broken={
        "inverts the wrong product": ("q @ k.mT", "q @ q.mT"),
        "solves for the wrong side": ("torch.linalg.solve(gram, q)", "torch.linalg.solve(gram.mT, q)"),
    }
)
class SolvedBasis(nn.Module):
    """Undoes the basis by solving with the product of queries and keys."""

    def forward(self, theta: Weights) -> Tensor:
        q, k = theta["Q"].movedim(-1, 1), theta["K"].movedim(-1, 1)
        gram = q @ k.mT
        free = k.mT @ torch.linalg.solve(gram, q)
        return free.diagonal(dim1=-2, dim2=-1).square().mean((2, 3))
