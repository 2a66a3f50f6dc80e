"""Networks for tests of `infer`."""

from __future__ import annotations

from torch import Tensor, nn


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))


class OfTwo(nn.Module):
    """Two inputs, which no single tensor fits."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a(x) + self.a(y)


def of_two() -> nn.Module:
    return OfTwo()


def function(theta: dict[str, Tensor], x: Tensor) -> Tensor:
    return x @ theta["W"]
