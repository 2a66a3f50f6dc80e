"""What is proved by way of values without a law: logarithms, and networks of x and of -x.

Each module is measured too, so that the verdict is compared with numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from qecompile.spec import Spec
from qecompile.testing import assert_equivariant
from qecompile.verify.equivariance import check_module

SCALES = qe.parse("""
spec scales {
  space h = 4 : permute * scale   space g = 4 : permute * scale   space x = 3 : fixed
  param W : g <- h   param b : h   param c : g   param d : x
}
""")
SIGNS = qe.parse("""
spec signs {
  space h = 4 : permute * sign   space g = 4 : permute * sign
  param W : g <- h   param b : h   param c : g   param R : [h, h]
}
""")
Features = dict[str, Tensor]
Layer = Callable[[nn.Module, Features], "Features | Tensor"]


class Net(nn.Module):
    """A layer with a network of its own, on six channels."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = layer
        self.net = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6))

    def forward(self, theta: Features) -> Features | Tensor:
        return self.layer(self.net, theta)


def size(x: Tensor) -> Tensor:
    return x.abs().log()


LOGARITHMS: dict[str, tuple[Layer, Layer]] = {
    "minus the mean of the row": (
        lambda f, x: {"b": x["b"] * f(size(x["b"]) - size(x["b"]).mean(-1, keepdim=True))},
        lambda f, x: {"b": x["b"] * f(size(x["b"]) - size(x["b"]).mean(1, keepdim=True))},
    ),
    "back by exp": (
        lambda f, x: {"b": torch.exp(0.5 * (size(x["b"]) + size(x["b"]).flip(-1)))},
        lambda f, x: {"b": torch.exp(0.6 * (size(x["b"]) + size(x["b"]).flip(-1)))},
    ),
    "of products": (
        lambda f, x: {"c": (size(x["W"]) + size(x["b"])[:, None]).mean(2).exp()},
        lambda f, x: {"c": (size(x["W"]) - size(x["b"])[:, None]).mean(2).exp()},
    ),
    "spread, softmax and order": (
        lambda f, x: f(size(x["b"]).softmax(-1)).mean(1) + size(x["b"]).std(-1).mean(1, keepdim=True),
        lambda f, x: f(size(x["b"]).softmax(1)).mean(1),
    ),
    "largest, middle": (
        lambda f, x: {
            "b": size(x["b"]).sort(-1).values.median(-1, keepdim=True).values.exp().expand(-1, -1, 6)
        },
        lambda f, x: {"b": size(x["b"]).amax(1, keepdim=True).exp().expand(-1, 4, 6)},
    ),
    "compared": (
        lambda f, x: {"b": x["b"] * (size(x["b"]) > size(x["b"]).flip(-1))},
        lambda f, x: {"b": x["b"] * (size(x["b"]) > 0)},
    ),
    "normalised": (
        lambda f, x: f(F.layer_norm(size(x["b"]), (6,))).mean(1),
        lambda f, x: f(F.layer_norm(size(x["b"]), (4, 6))).mean(1),
    ),
    "of norms side by side": (
        lambda f, x: {
            "b": x["b"] * f((n := torch.stack([size(x["b"]), size(x["b"].relu() + x["b"].abs())]))[0] - n[1])
        },
        lambda f, x: {"b": x["b"] * f((n := torch.stack([size(x["b"]), size(x["b"].square())]))[0] - n[1])},
    ),
}
IMAGES: dict[str, tuple[Layer, Layer]] = {
    "sum": (
        lambda f, x: {"b": x["b"] * (f(x["b"]) + f(-x["b"])), "mean": f(f(x["b"]) + f(-x["b"])).mean(1)},
        lambda f, x: {"mean": (f(x["b"]) + 2 * f(-x["b"])).mean(1)},
    ),
    "difference": (
        lambda f, x: {"b": f(x["b"]) - f(-x["b"])},
        lambda f, x: {"b": f(x["b"]) - f(x["b"].abs())},
    ),
    "product, maximum, stacked": (
        lambda f, x: (
            f(x["b"]).mul(f(-x["b"])).mean(1) + torch.stack([f(x["b"]), f(-1 * x["b"])]).amax(0).mean(1)
        ),
        lambda f, x: torch.stack([f(x["b"]), -f(-x["b"])]).amax(0).mean(1),
    ),
    "of two signs at once": (
        lambda f, x: {"W": f(x["W"]) - f(-x["W"]), "mean": (f(x["W"]) + f(-x["W"])).mean((1, 2))},
        lambda f, x: {"W": f(x["W"]) + f(-x["W"])},
    ),
    "of rows with their own sign": (
        lambda f, x: {"c": f(w := (x["W"] * x["b"][:, None]).sum(2)) - f(-w)},
        lambda f, x: {"c": f(w := x["W"].sum(2)) - f(-w)},
    ),
    "of even parity": (
        lambda f, x: {
            "b": f(x["b"] * (x["R"].diagonal(dim1=1, dim2=2).mT))
            - f(-x["b"] * (x["R"].diagonal(dim1=1, dim2=2).mT))
        },
        lambda f, x: (
            f(torch.einsum("bijc,bjc->bic", x["R"], x["b"]))
            + f(torch.einsum("bijc,bjc->bic", -x["R"], -x["b"]))
        ).mean(1),
    ),
}


def cases(spec: Spec, table: dict[str, tuple[Layer, Layer]]) -> list[object]:
    return [
        pytest.param(spec, layer, good, id=f"{name.replace(' ', '_')}-{'proved' if good else 'refused'}")
        for name, pair in table.items()
        for layer, good in zip(pair, (True, False), strict=True)
    ]


@pytest.mark.parametrize(("spec", "layer", "good"), cases(SCALES, LOGARITHMS) + cases(SIGNS, IMAGES))
def test_the_verdict_is_that_of_the_numbers(spec: Spec, layer: Layer, good: bool) -> None:
    module = Net(layer)
    assert check_module(spec, module, channels=6, search=False).ok == good
    if good:
        assert_equivariant(spec, module, channels=6)
    else:
        with pytest.raises(AssertionError, match="not equivariant"):
            assert_equivariant(spec, module, channels=6)


def test_what_is_refused_is_blamed_on_the_first_line_without_a_law() -> None:
    refusal = check_module(SIGNS, Net(lambda f, x: f(x["b"]).mean(1)), channels=6, search=False).refusal
    assert refusal is not None
    assert refusal.rule == "linear"
    assert "sign: 1 and charge 0" in refusal.reason
