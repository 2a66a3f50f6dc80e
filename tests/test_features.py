"""`feature` statements: what can be contracted, and what is refused with which words."""

from __future__ import annotations

import pytest
import torch

from qecompile import Group
from qecompile.errors import SymError
from qecompile.resolve import parse

DECLARATIONS = """
  space D = 5 : permute
  space x = 3 : fixed
  space head = 2 : permute {
    space qk = 3 : linear
    space o = 2 : orthogonal
  }
  space plane = 2 : rotate * dilate
  space h = 4 : permute * scale
  space g = 4 : permute * sign
  space c = 3 : permute * scale(pre) * scale(post)
  space near = 3 : linear
  param Q : head qk <- D      param K : head qk* <- D      param Q2 : head qk <- D
  param O : head o            param O2 : [head, o, x]
  param P : plane <- D        param P2 : plane* <- D       param P3 : plane x
  param W1 : h <- x           param W2 : x <- h            param b : h        param V : h <- h
  param G : g                 param G2 : [g, x]
  param C1 : c^{pre: 1}       param C2 : c^{post: -1}
  param B : x <- near         param A : near <- x
  param QK : head <- D D      param OO : [head, x]         param W21 : [x, x] param GG : x
  param PP : [D, D]           param BA : [x, x]
"""


def spec_with(*features: str) -> str:
    return f"spec s {{ {DECLARATIONS} {' '.join(f'feature F{k} = {f}' for k, f in enumerate(features))} }}"


def mistakes(text: str) -> list[tuple[str, str]]:
    with pytest.raises(SymError) as caught:
        parse(text)
    return [(d.code, d.message) for d in caught.value.diagnostics]


# What is accepted is equivariant: the product of moved weights is the moved product

PRODUCTS = {
    "Q . K over qk": ("hqd,hqe->hde", "QK"),
    "O . O2 over o": ("ho,hox->hx", "OO"),
    "W2 . W1 over h": ("yh,hx->yx", "W21"),
    "G . G2 over g": ("g,gx->x", "GG"),
    "P . P2 over plane": ("pd,pe->de", "PP"),
    "B . A over near": ("yr,rx->yx", "BA"),
}


@pytest.mark.parametrize("product", sorted(PRODUCTS))
def test_a_contraction_commutes_with_the_group(product: str) -> None:
    equation, result = PRODUCTS[product]
    spec = parse(spec_with(product))
    (feature,) = spec.features
    first, second = feature.factors
    group = Group(spec)
    generator = torch.Generator().manual_seed(0)
    theta = {p.name: torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in spec.parameters}
    theta[result] = torch.einsum(equation, theta[first], theta[second])
    moved = group.act(group.sample(generator), theta)
    assert torch.allclose(torch.einsum(equation, moved[first], moved[second]), moved[result])


@pytest.mark.parametrize(
    "product",
    ["Q . K over qk, head", "Q . K over qk head D", "Q . K over D", "W1 . W2 over h x", "O . O over o, head"],
)
def test_more_that_is_accepted(product: str) -> None:
    assert len(parse(spec_with(product)).features) == 1


# What is refused

REFUSED = {
    "Q . Q2 over qk": ("QE084", "`qk` is covariant in both `Q` and `Q2`: under `linear`"),
    "K . K over qk": ("QE084", "`qk` is contravariant in both"),
    "P . P3 over plane": ("QE084", "charges of `dilate` on `plane` do not cancel: 1 in `P`, 1 in `P3`"),
    "b . b over h": ("QE084", "charges of `scale` on `h` do not cancel"),
    "C1 . C2 over c": ("QE084", "charges of `scale(pre)` on `c` do not cancel: 1 in `C1`, 0 in `C2`"),
    "Q . K over head": ("QE084", "`qk` in `Q` belongs to an axis that is summed over"),
    "Q . K . K over qk": ("QE083", "ambiguous: 3 factors have an axis of it"),
    "V . b over h": ("QE083", "ambiguous: `V` has 2 axes of it"),
    "V . V over h": ("QE083", "ambiguous: `V` has 2 axes of it"),
    "Q . W1 over qk": ("QE081", "`qk` is not an axis of two of the factors"),
    "Q . K . W1 over qk": ("QE081", "nothing joins `W1` with `Q`"),
    "W1 . W2 over h, h": ("QE081", "`h` stands twice"),
    "W1 over h": ("QE081", "has one factor"),
    "F0 . b over h": ("QE052", "`F0` is a feature, not a parameter"),
}


@pytest.mark.parametrize("product", sorted(REFUSED))
def test_a_contraction_that_is_refused(product: str) -> None:
    code, words = REFUSED[product]
    ((found, message),) = mistakes(spec_with("W2 . W1 over h", product))
    assert found == code
    assert words in message


def test_every_unknown_name_is_told() -> None:
    found = mistakes(spec_with("X . Y over zz"))
    assert [code for code, _ in found] == ["QE051"] * 3


def test_an_expect_about_a_feature_says_that_it_is_none_of_a_parameter() -> None:
    text = spec_with("W2 . W1 over h").replace("}", "}", 1)
    for claim in ("dim(F0 -> b) == 1", "invariants(F0) == 1", "diagrams(b -> F0) == 1"):
        ((code, message),) = mistakes(text[: text.rindex("}")] + f" expect {claim} }}")
        assert (code, message) == ("QE052", "`F0` is a feature, not a parameter")


def test_a_product_of_very_many_axes() -> None:
    product = " . ".join(["W2", "W1"] * 20)
    ((code, message),) = mistakes(spec_with(f"{product} over h"))
    assert code == "QE064"
    assert "80 axes" in message
