"""Layers on the weights of transformers: heads, streams, rotary planes, grouped queries; channels last."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from handwritten.example import examples
from handwritten.perceptrons import Weights

BLOCK = qe.parse("""
spec block {
  space D = 5 : permute
  space head = 3 : permute { space qk = 4 : linear   space vo = 4 : linear }
  space ff = 4 : permute * scale
  param Q : head qk <- D    param q : head qk    param K : head qk* <- D   param k : head qk*
  param V : head vo <- D    param v : head vo    param O : D <- head vo    param o : D
  param W1 : ff <- D        param b1 : ff        param W2 : D <- ff        param g : D
}
""")
LLAMA = qe.parse("""
spec llama {
  space D = 5 : permute
  space group = 2 : permute {
    space r = 3 : permute
    space freq = 2 : fixed { space plane = 2 : rotate * dilate }
    space vo = 4 : linear
  }
  space ff = 4 : permute * scale * sign
  param Q : group r freq plane <- D   param K : group freq plane* <- D
  param V : group vo <- D             param O : D <- group r vo
  param G : ff^0 <- D   param U : ff <- D   param W : D <- ff   param g : D
}
""")
EXAMPLES, example = examples(BLOCK, channels=6)


@example(
    broken={
        "multiplies queries and values": ('theta["Q"], theta["K"])', 'theta["V"], theta["K"])'),
        "numbers the heads": (
            "self.encoder(self.embed(tokens))",
            "self.encoder(self.embed(tokens) + torch.arange(3.0)[:, None])",
        ),
        "rectifies coordinates": ('"Q": theta["Q"] * gate', '"Q": theta["Q"].relu() * gate'),
    }
)
class HeadsAsTokens(nn.Module):
    """What is invariant about a head is a token of a transformer, and gates the weights of that head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 6)
        self.encoder = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, norm_first=True)

    def forward(self, theta: Weights) -> tuple[Weights, Tensor]:
        scores = torch.einsum("bhqdc,bhqec->bhdec", theta["Q"], theta["K"])
        circuit = torch.einsum("bhvdc,behvc->bhdec", theta["V"], theta["O"])
        tokens = torch.cat([scores.mean((2, 3)), circuit.diagonal(dim1=2, dim2=3).amax(-1)], dim=-1)
        tokens = self.encoder(self.embed(tokens))
        gate = tokens.sigmoid()
        return {"Q": theta["Q"] * gate[:, :, None, None], "v": theta["v"] * gate[:, :, None]}, tokens.mean(1)


@example(
    channels=None,
    broken={
        "adds the key bias to queries": ('theta["Q"].mT + theta["q"]', 'theta["Q"].mT + theta["k"]'),
        "takes heads for rows": ('theta["O"].flatten(2).mT', 'theta["O"].transpose(2, 3).flatten(2).mT'),
        "uses an activation that sees scales": ("F.relu(stream", "F.gelu(stream"),
    },
)
class RunBlock(nn.Module):
    """The block itself on learned tokens, equal along the stream, as its own code would run it."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(7, 1))

    def forward(self, theta: Weights) -> Weights:
        x = self.tokens.expand(7, 5)
        x = F.layer_norm(x * theta["g"][:, None], (5,))[:, None]
        q = x @ theta["Q"].mT + theta["q"][:, :, None]
        k = x @ theta["K"].mT + theta["k"][:, :, None]
        v = x @ theta["V"].mT + theta["v"][:, :, None]
        heads = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        stream = heads.transpose(1, 2).flatten(2) @ theta["O"].flatten(2).mT + theta["o"][:, None]
        stream = F.relu(stream @ theta["W1"].mT + theta["b1"][:, None]) @ theta["W2"].mT
        return {"g": stream[:, -1]}


@example(
    spec=LLAMA,
    broken={
        "repeats values for the wrong queries": ("repeat_interleave(3, dim=1)", "repeat(1, 3, 1, 1, 1)"),
        "gates by what has a sign": ('theta["U"] * theta["W"].mT', 'theta["U"] * theta["U"]'),
        "sums before the pairs are made": ('"bdhvc,bhvdc->bdc"', '"bdhvc,bhwdc->bdc"'),
    },
)
class GroupedQueries(nn.Module):
    """Values are repeated for all queries of their group; units are read with up and down together."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 6))

    def forward(self, theta: Weights) -> Weights:
        v = theta["V"].repeat_interleave(3, dim=1)
        o = theta["O"].flatten(2, 3)
        circuit = torch.einsum("bdhvc,bhvdc->bdc", o, v)
        theta = {n: x.movedim(-1, 1) for n, x in theta.items()}
        unit = self.net((theta["U"] * theta["W"].mT).movedim(1, -1))
        return {"g": circuit + (F.silu(theta["G"]).movedim(1, -1) * unit).sum(1)}


@example(
    spec=LLAMA,
    broken={
        "takes lengths along frequencies": ("q.norm(dim=4, keepdim=True)", "q.norm(dim=3, keepdim=True)"),
        "turns half of the planes over": ("[0.0, -1.0], [1.0, 0.0]", "[0.0, 1.0], [1.0, 0.0]"),
        "gates by a length": ("length / length.mean(5, keepdim=True)", "length"),
    },
)
class RotaryPlanes(nn.Module):
    """Every frequency is turned by an angle of its own, and gated by lengths without their dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("quarter", torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
        self.angle, self.net = nn.Parameter(torch.randn(2)), nn.Linear(6, 6)

    def forward(self, theta: Weights) -> Weights:
        q = theta["Q"]
        cos, sin = self.angle.cos()[:, None, None], self.angle.sin()[:, None, None]
        turned = torch.einsum("fpq,bgrfqdc->bgrfpdc", cos * torch.eye(2) + sin * self.quarter, q)
        length = q.norm(dim=4, keepdim=True)
        return {"Q": turned * self.net(length / length.mean(5, keepdim=True)).sigmoid()}
