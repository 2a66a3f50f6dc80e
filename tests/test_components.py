"""Vectors taken apart and put together by hand: scalar products, determinants, turns, cross products."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import qecompile as qe
from qecompile.spec import Spec
from qecompile.testing import assert_equivariant
from qecompile.verify.equivariance import check_module

PLANES = qe.parse("""
spec planes {
  space h = 3 : permute
  space f = 2 : fixed { space p = 2 : rotate * dilate }
  param Q : h f p   param K : h f p*
}
""")
SPACE = qe.parse(
    "spec space3 { space r = 3 : rotate  space n = 4 : permute  param x : [n, r]  param y : [n, r] }"
)
LINES = qe.parse(
    "spec lines { space z = 2 : linear  space n = 4 : permute  param a : n <- z  param b : z <- n }"
)
Features = dict[str, Tensor]
Layer = Callable[[Features], "Features | Tensor"]


def of(combine: Callable[..., Tensor]) -> Layer:
    """An invariant of the coordinates of a query and a key."""
    return lambda x: combine(*x["Q"].unbind(-1), *x["K"].unbind(-1)).tanh().mean((1, 2))


def turned(combine: Callable[[Tensor, Tensor], list[Tensor]]) -> Layer:
    """A vector made of the coordinates of a query."""
    return lambda x: {"Q": x["Q"] + torch.stack(combine(x["Q"][..., 0], x["Q"][..., 1]), dim=-1)}


C, S = math.cos(0.3), math.sin(0.3)


def crossed(sign: float) -> Layer:
    def layer(t: Features) -> Features:
        (a, b, c), (u, v, w) = t["x"].unbind(-1), t["y"].unbind(-1)
        return {"x": torch.stack([b * w - c * v, c * u - a * w, a * v + sign * b * u], dim=-1)}

    return layer


def weighed(x: Features) -> Tensor:
    """A sum of products, each times an invariant."""
    (a, b), (c, d) = x["Q"].unbind(-1), x["K"].unbind(-1)
    gate = (a * c + b * d).sigmoid()
    return (a * gate * c + b * gate * d).mean((1, 2))


def weighed_twice(x: Features) -> Tensor:
    (a, b), (c, d) = x["Q"].unbind(-1), x["K"].unbind(-1)
    gate = (a * c + b * d).sigmoid()
    return ((a * gate) * c + (b * gate) * (d * gate)).mean((1, 2))


def on_lines(flip: bool) -> Layer:
    def layer(x: Features) -> Tensor:
        one, two = x["a"].unbind(-1), x["b"].unbind(1)
        return (
            one[0] @ two[0][..., None] if flip else sum(u * v for u, v in zip(one, two, strict=True)).mean(1)
        )

    return layer


CASES: list[tuple[Spec, str, Layer, bool]] = [
    (PLANES, "scalar product", of(lambda a, b, c, d: a * c + b * d), True),
    (PLANES, "difference", of(lambda a, b, c, d: a * c - b * d), False),
    (PLANES, "other scalar product", of(lambda a, b, c, d: a * d + b * c), False),
    (PLANES, "determinant", of(lambda a, b, c, d: a * d - c * b), True),
    (PLANES, "both", of(lambda a, b, c, d: 2 * (a * c + b * d) - (a * d - b * c) / 3), True),
    (PLANES, "length", of(lambda a, b, c, d: (a * a + b * b) * (c * c + d * d)), True),
    (PLANES, "half a length", of(lambda a, b, c, d: (a * a + a * b) * (c * c + d * d)), False),
    (PLANES, "one coordinate", of(lambda a, b, c, d: a), False),
    (PLANES, "weighed", weighed, True),
    (PLANES, "weighed twice", weighed_twice, False),
    (PLANES, "quarter turn", turned(lambda a, b: [-b, a]), True),
    (PLANES, "reflection", turned(lambda a, b: [b, a]), False),
    (PLANES, "turn", turned(lambda a, b: [C * a - S * b, S * a + C * b]), True),
    (PLANES, "shear", turned(lambda a, b: [C * a - S * b, C * b]), False),
    (SPACE, "cross product", crossed(-1.0), True),
    (SPACE, "no cross product", crossed(1.0), False),
    (LINES, "a pair", on_lines(False), True),
    (LINES, "one coordinate of a pair", on_lines(True), False),
]


@pytest.mark.parametrize(
    ("spec", "layer", "good"), [pytest.param(s, f, ok, id=name) for s, name, f, ok in CASES]
)
def test_the_verdict_is_that_of_the_numbers(spec: Spec, layer: Layer, good: bool) -> None:
    assert check_module(spec, layer, search=False).ok == good
    if good:
        assert_equivariant(spec, layer)
    else:
        with pytest.raises(AssertionError, match="not equivariant"):
            assert_equivariant(spec, layer)
