"""Measured equivariance: gaps are rounding where a map is equivariant, and name the symmetry it breaks."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import qecompile as qe
from qecompile.groups import Group
from qecompile.spec import Spec
from qecompile.verify.claims import ClaimError, MisshapenError, read_claims
from qecompile.verify.sample import Gap, factors, measure

MLP = qe.parse("""
spec mlp {
  space x = 3 : fixed  space h = 4 : permute * scale  space y = 2 : fixed
  param W1 : h <- x    param b1 : h    param W2 : y <- h    param b2 : y
}
""")
SIGNS = qe.parse("spec signs { space h = 4 : permute * sign  param W : [h, h*]  param b : h }")
HEADS = qe.parse("""
spec heads {
  space D = 3 : orthogonal
  space head = 2 : permute { space qk = 2 : linear }
  param Q : head qk <- D    param K : head qk* <- D
}
""")
Function = Callable[[dict[str, Tensor]], object]


def gaps(spec: Spec, function: Function, **options: object) -> list[Gap]:
    return list(measure(function, spec, lambda outputs: read_claims(outputs, spec), **options))


def worst(spec: Spec, function: Function, **options: object) -> Gap:
    return max(gaps(spec, function, **options), key=lambda gap: gap.size)


def broken(spec: Spec, function: Function, **options: object) -> set[str]:
    return {gap.factor for gap in gaps(spec, function, **options) if gap.size > 1e-6}


# --- what is equivariant has no gap beyond rounding -------------------------------------------------------


def rows(theta: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "b1": theta["W1"].abs().sum(2) + theta["b1"],
        "W2": theta["W2"] * theta["W1"].mean((1, 2), True) * 0,
    }


def products(theta: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    inside = torch.einsum("bhij,bhik->bhjk", theta["Q"], theta["K"])
    return inside.diagonal(dim1=-2, dim2=-1).sum((1, 2)), {"Q": theta["Q"] @ inside}


@pytest.mark.parametrize(("spec", "function"), [(MLP, rows), (HEADS, products)])
def test_an_equivariant_map_has_rounding_only(spec: Spec, function: Function) -> None:
    assert worst(spec, function, dtype=torch.float64).size < 1e-12
    assert worst(spec, function, dtype=torch.float32).size < 1e-3


@pytest.mark.parametrize("layout", ["first", "last"])
def test_channels_stand_first_or_last(layout: str) -> None:
    axis = 3 if layout == "last" else 1

    def mixed(theta: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"W1": theta["W1"].movedim(axis, -1).cumsum(-1).movedim(-1, axis)}

    assert worst(MLP, mixed, channels=5, layout=layout).size < 1e-12


def test_outputs_without_channels_follow_inputs_with_them() -> None:
    assert worst(MLP, lambda theta: {"W1": theta["W1"].sum(-1)}, channels=5).size < 1e-12
    assert worst(MLP, lambda theta: {"W1": theta["W1"].sum(1)}, channels=5, layout="first").size < 1e-12


def test_a_difference_that_vanishes_up_to_rounding_is_no_gap() -> None:
    def nothing(theta: dict[str, Tensor]) -> Tensor:
        return (theta["b2"] - theta["b2"].mean(1, keepdim=True)).sum(1)

    assert worst(MLP, nothing, dtype=torch.float64).size < 1e-8
    assert worst(MLP, nothing, dtype=torch.float32).size < 2e-3


# --- what is not equivariant tells which factor, which output, where --------------------------------------


@pytest.mark.parametrize(
    ("spec", "function", "wrong"),
    [
        (MLP, lambda t: {"b1": t["b1"] + 1}, {"h: scale"}),
        (MLP, lambda t: {"b1": t["b1"].cumsum(1)}, {"h: permute", "h: scale"}),
        (MLP, lambda t: {"b1": t["b1"] * torch.arange(4)}, {"h: permute"}),
        (MLP, lambda t: t["W1"].norm(), {"h: scale"}),
        (SIGNS, lambda t: {"b": t["b"].abs()}, {"h: sign"}),
        (SIGNS, lambda t: {"W": t["W"].relu()}, {"h: sign"}),
        (HEADS, lambda t: {"Q": t["K"]}, {"qk: linear"}),
        (HEADS, lambda t: {"Q": t["Q"].relu()}, {"D: orthogonal", "qk: linear"}),
        (HEADS, lambda t: {"Q": t["Q"] * torch.tensor([1.0, 2.0])[:, None, None]}, {"head: permute"}),
    ],
)
def test_the_broken_symmetry_is_named(spec: Spec, function: Function, wrong: set[str]) -> None:
    assert broken(spec, function) == {*wrong, "all factors together"}


def test_a_gap_tells_output_place_and_numbers() -> None:
    gap = worst(MLP, lambda theta: {"b2": theta["b2"], "b1": theta["b1"] ** 2})
    assert "output `b1` is equivariant as b1" in str(gap)
    assert "h: scale" in str(gap)
    (again,) = [
        g
        for g in gaps(MLP, lambda theta: {"b2": theta["b2"], "b1": theta["b1"] ** 2}, seed=gap.seed, trials=1)
        if (g.factor, g.claim) == (gap.factor, gap.claim)
    ]
    assert again == gap


def test_a_reflection_is_told_from_a_rotation() -> None:
    spec = qe.parse("spec s { space D = 3 : orthogonal  param W : [D, D, D] }")
    volume = torch.zeros(3, 3, 3, dtype=torch.float64)
    for sign, order in [
        (1, (0, 1, 2)),
        (1, (1, 2, 0)),
        (1, (2, 0, 1)),
        (-1, (0, 2, 1)),
        (-1, (2, 1, 0)),
        (-1, (1, 0, 2)),
    ]:
        volume[order] = sign
    found = gaps(spec, lambda theta: torch.einsum("bijk,ijk->b", theta["W"], volume), trials=2)
    assert [gap.size > 1 for gap in found] == [False, True]


def test_entries_of_a_batch_must_not_meet() -> None:
    assert broken(MLP, lambda t: {"b2": t["b2"] - t["b1"].abs().sum((0, 1), keepdim=True)}) >= {"h: scale"}
    assert broken(MLP, lambda t: {"b1": t["b1"].flip(0)}) >= {"h: permute"}


def test_a_small_constant_shows_on_small_weights() -> None:
    assert "h: scale" in broken(
        MLP, lambda t: {"b1": t["b1"] / (t["W1"].square().sum(2) + 1e-9).sqrt() * t["W1"][..., 0]}
    )


def test_nan_is_a_gap() -> None:
    assert worst(MLP, lambda theta: {"b1": theta["b1"] * math.nan}).size == math.inf
    assert worst(MLP, lambda theta: theta["W1"].log().sum()).size == math.inf


def test_a_map_that_changes_its_inputs_is_measured_all_the_same() -> None:
    assert worst(MLP, lambda theta: {"b1": theta["b1"].mul_(2)}).size < 1e-12


def test_random_numbers_are_the_same_on_both_sides() -> None:
    assert worst(MLP, lambda theta: {"b1": theta["b1"] * torch.rand(1)}).size < 1e-12


# --- factors ----------------------------------------------------------------------------------------------


def test_every_word_of_every_space_is_a_factor() -> None:
    assert [name for name, _ in factors(Group(HEADS), 0)] == [
        "D: orthogonal",
        "head: permute",
        "qk: linear",
        "all factors together",
    ]
    assert [name for name, _ in factors(Group(MLP), 0)] == ["h: permute", "h: scale", "all factors together"]


def test_a_factor_moves_its_own_part_only() -> None:
    group = Group(HEADS)
    identity = group.identity()
    *single, (_, together) = factors(group, 0)
    for name, g in single:
        moved = [
            space
            for space, part in g.parts.items()
            if any(
                not torch.equal(a, b)
                for (_, a), (_, b) in zip(part.tensors(), identity.parts[space].tensors(), strict=True)
            )
        ]
        assert moved == [name.partition(":")[0]]
    assert group.distance(together, identity) > 0


# --- claims -----------------------------------------------------------------------------------------------


def claimed(outputs: object, **options: object) -> list[tuple[str, str | None]]:
    return [(c.label, c.param.name if c.param else None) for c in read_claims(outputs, MLP, **options)]


def test_outputs_claim_what_their_names_say() -> None:
    x = torch.ones(2, 4)
    assert claimed({"b1": x, "score": x}) == [("b1", "b1"), ("score", None)]
    assert claimed(({"b1": x}, [x, 3])) == [("0.b1", "b1"), ("1.0", None)]
    assert claimed(x) == [("", None)]
    assert claimed({"b1": x}, output="invariant") == [("b1", None)]
    assert claimed(x, types={"": "b1"}) == [("", "b1")]
    assert claimed({"b1": x, "score": x}, types={"score": None, "b1": None}, output="equivariant") == [
        ("b1", None),
        ("score", None),
    ]


@pytest.mark.parametrize(
    ("outputs", "options", "message"),
    [
        ({"score": torch.ones(2)}, {"output": "equivariant"}, r"output_types=\{'score': 'W1'\}"),
        ({"b1": torch.ones(2)}, {"types": {"b1": "b9"}}, "no parameter b9"),
        ({"b1": torch.ones(2)}, {"types": {"c1": "b1"}}, "no output `c1`; there are \\['b1'\\]"),
        ({"b1": object()}, {}, "unpack"),
        ({}, {}, "no tensor"),
    ],
)
def test_an_unclear_claim_is_refused(outputs: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        claimed(outputs, **options)


def test_an_output_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(
        MisshapenError, match=r"`b1` of shape \[2, 3\] cannot be of type b1: expected \[B, 4\]"
    ):
        gaps(MLP, lambda theta: {"b1": theta["W1"].sum(1)})
