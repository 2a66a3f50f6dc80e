"""Types of traced values: what they print, how they meet, and what reductions of them are refused."""

from __future__ import annotations

import pytest
import torch

import qecompile as qe
from qecompile.verify.canonical import weight_type
from qecompile.verify.facts import constant_type
from qecompile.verify.infer import tensor_type
from qecompile.verify.references import reduce_dims
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply, product

SPEC = qe.parse("""
spec zoo {
  space x    = 4 : fixed
  space h    = 3 : permute * scale
  space k    = 3 : permute
  space s    = 3 : permute * sign
  space l    = 3 : linear
  space r    = 3 : rotate
  space head = 2 : permute { space q = 5 : linear  space m = 4 : permute }
  space f    = 2 : fixed   { space p = 2 : rotate * dilate }

  param W : h <- x
  param b : h
  param V : x <- h
  param K : k k
  param t : s
  param A : l <- x
  param B : x <- l
  param R : r r
  param Q : head q <- k
  param P : head q* <- k
  param M : head m
  param F : [f, p]
}
""")


def of(name: str, *channels: int) -> Type:
    return tensor_type(SPEC, name, (7, *SPEC.params[name].shape, *channels))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("W", "[batch, h^{scale: 1}, free 4, free 16]"),
        ("V", "[batch, free 4, h^{scale: -1}, free 16]"),
        ("K", "[batch, k, k', free 16]"),
        ("t", "[batch, s^{sign: 1}, free 16]"),
        ("A", "[batch, l, free 4, free 16]"),
        ("B", "[batch, free 4, l*, free 16]"),
        ("Q", "[batch, head, q, k, free 16]"),
        ("F", "[batch, f^{dilate: 1}, p, free 16]"),
    ],
)
def test_a_type_prints_in_one_line(name: str, shown: str) -> None:
    assert str(of(name, 16)) == shown


@pytest.mark.parametrize(
    ("constant", "shown"),
    [
        (torch.zeros(2, 3), "[zero 2 x 3]"),
        (torch.ones(2, 3), "[uniform 2, uniform 3]"),
        (torch.arange(3), "[free 3]"),
        (torch.eye(3), "[equal 3, equal 3'] (zero unless equal 3 = equal 3')"),
        (1 - torch.eye(3), "[equal 3, equal 3']"),
        (torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), "[epsilon 2, epsilon 2']"),
        (torch.eye(3)[:, [1, 0, 2]], "[free 3, free 3]"),
        (
            torch.eye(3)[:, :, None] * torch.tensor([1.0, 2.0]),
            "[equal 3, equal 3', free 2] (zero unless equal 3 = equal 3')",
        ),
    ],
)
def test_a_constant_shows_its_symmetry(constant: torch.Tensor, shown: str) -> None:
    assert str(constant_type(constant)) == shown


def test_products_add_charges() -> None:
    assert str(multiply(of("b"), of("b"))) == "[batch, h^{scale: 2}]"
    assert str(product([(of("V"), "bxh"), (of("b"), "bh")], "bx")) == "[batch, free 4]"


def test_sums_keep_the_law() -> None:
    assert str(add(of("b", 2), of("b", 2), constant_type(torch.zeros(2)))) == "[batch, h^{scale: 1}, free 2]"
    assert str(add(of("K"), constant_type(torch.eye(3)))) == "[batch, k, k']"
    assert str(add(of("R"), constant_type(torch.eye(3)))) == "[batch, r, r']"


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (of("b"), weight_type((3,)), "a value that varies freely along an axis meets `h`"),
        (of("b"), constant_type(torch.ones(3)), "different factors: h scale: 1 and charge 0"),
        (of("b"), of("t"), "different spaces"),
        (of("R"), constant_type(torch.ones(3)), "no vector"),
        (of("R"), constant_type(torch.ones(3, 3) - torch.eye(3)), "varies freely"),
        (of("K"), weight_type((3, 3)), "varies freely"),
        (of("A"), of("R"), "do not line up"),
    ],
)
def test_sums_need_one_law(one: Type, other: Type, why: str) -> None:
    with pytest.raises(Refused, match=why):
        add(one, other)


def test_a_vector_meets_its_dual_in_the_same_copy() -> None:
    assert str(product([(of("B"), "bxl"), (of("A"), "bly")], "bxy")) == "[batch, free 4, free 4]"
    assert str(product([(of("Q"), "bhqi"), (of("P"), "bhqj")], "bhij")) == "[batch, head, k, k']"
    with pytest.raises(Refused, match="different copies"):
        product([(of("Q"), "bhqi"), (of("P"), "bgqj")], "bhgij")
    with pytest.raises(Refused, match="`l` are multiplied"):
        product([(of("A"), "blx"), (of("A"), "bly")], "bxy")


@pytest.mark.parametrize(
    ("name", "dim", "why"),
    [
        ("b", 1, "scale: 1 is not 0"),
        ("t", 1, "sign: 1 is not 0"),
        ("A", 1, "vector axis"),
        ("M", 1, "copy of `m`"),
        ("b", 0, "the batch"),
        ("F", 1, "dilate: 1 is not 0"),
    ],
)
def test_reductions_that_lose_a_law(name: str, dim: int, why: str) -> None:
    with pytest.raises(Refused, match=why):
        reduce_dims(of(name), [dim])


def test_reductions_that_keep_it() -> None:
    assert str(reduce_dims(of("M"), [2])) == "[batch, head]"
    assert str(reduce_dims(of("M"), [1, 2])) == "[batch]"
    assert str(reduce_dims(of("K"), [1], keep=True)) == "[batch, 1, k]"
    assert str(reduce_dims(multiply(of("R"), of("R")), [1, 2])) == "[batch]"
