"""Networks for tests of `model` statements: small ones, some of which cannot be run as they are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def perceptron(widths: Sequence[int], activation: str = "relu") -> nn.Module:
    """Dense layers with an activation between them, under the keys `0.weight`, `0.bias`, `2.weight`, ..."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU() if activation == "relu" else nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Attention(nn.Module):
    """Attention with biases; `heads` and `size` of a head come from the spec."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(width, heads * size) for _ in range(3))
        self.o = nn.Linear(heads * size, width, bias=False)
        for p in self.parameters():
            nn.init.normal_(p)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))


class Tied(nn.Module):
    """x E E^T: a tied embedding, in any orthonormal basis of its width."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.encode = nn.Linear(width, inputs, bias=False)
        self.decode = nn.Linear(width, inputs, bias=False)
        self.decode.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(x @ self.encode.weight)


class Normed(nn.Module):
    """A convolution, batch norm, relu, the mean, a head."""

    def __init__(self, inputs: int, channels: int, outputs: int, eps: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, channels, 3)
        self.bn = nn.BatchNorm1d(channels, eps=eps)
        self.head = nn.Linear(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.bn(self.conv(x)).relu().mean(-1))


def with_epsilon(inputs: int, channels: int, outputs: int) -> nn.Module:
    return Normed(inputs, channels, outputs, eps=1e-5)


class Words(nn.Module):
    """Tokens and a mask, by name: the mean of the embeddings that the mask keeps."""

    def __init__(self, vocab: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, 2)
        self.register_buffer("shift", torch.ones(width))

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        x = (self.embedding(ids) * mask[..., None]).mean(1)
        return {"scores": self.head((self.hidden(x) + self.shift).relu()), "tokens": ids}


def product(theta: dict[str, Tensor], x: Tensor) -> Tensor:
    """A function of weights instead of a module."""
    return x @ theta["A"].T @ theta["B"].T


instance = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
constant = 3


def number() -> int:
    return 3


def raising() -> nn.Module:
    raise ValueError("no such size")


def needs(missing: int) -> nn.Module:
    return nn.Linear(missing, 2)


class Odd(nn.Linear):
    """A layer from 3 to 2 numbers of which `forward` does something else in each case."""

    def __init__(self) -> None:
        super().__init__(3, 2)


class Noisy(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.randn(2)


class Choosing(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(-1)


class Dividing(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 0


class Constant(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return x


class Single(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).float()


class Broken(Odd):
    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight
