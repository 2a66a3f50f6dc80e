"""Modules that look typed and are not equivariant: each was once accepted, and must be refused.

They are the corners of operators that a reader of their documentation forgets: an argument that changes what
is computed, a window that covers part of an axis, a weight that no module owns, whole numbers where real ones
were, a matrix of size one that is broadcast.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qecompile.pipeline import parse
from qecompile.spec import Spec
from qecompile.verify.equivariance import check_module

Features = dict[str, Tensor]
Layer = Callable[[Features], "Features | Tensor"]

NEURONS = parse("spec s { space h = 4 : permute  param b : h  param S : [h, h] }")
SCALES = parse(
    "spec s { space h = 4 : permute * scale  space x = 3 : fixed  param W : h <- x  param V : x <- h }"
)
TURNS = parse("spec s { space r = 3 : rotate  param u : r  param v : r }")

loose = nn.Parameter(torch.zeros(4))


def captured_weight(x: Features) -> Features:
    return {"b": x["b"] + loose}


def captured_in_a_function_inside(x: Features) -> Features:
    def shifted(b: Tensor) -> Tensor:
        return b + loose

    return {"b": shifted(x["b"])}


def window_over_a_part(x: Features) -> Tensor:
    return F.avg_pool1d(x["b"][:, None], 3)


def channels_in_groups(x: Features) -> Tensor:
    return F.conv1d(x["b"][:, :, None], torch.arange(4.0)[:, None, None], groups=4).sum(1)


def stored_statistics(x: Features) -> Features:
    stored, ones = torch.arange(4.0), torch.ones(4)
    return {"b": F.instance_norm(x["b"][:, :, None], stored, ones, use_input_stats=False)[:, :, 0]}


def places_of_a_diagonal(x: Features) -> Features:
    return {"b": x["b"] + torch.diag_embed(x["b"].square() + 1).argmax(2)}


def largest_in_any_order(x: Features) -> Tensor:
    return x["b"].topk(4, dim=1, sorted=False).values


def differences_with_a_front(x: Features) -> Tensor:
    return x["b"].sum(1, keepdim=True).diff(dim=1, prepend=x["b"][:, :1])


def nearly_a_logarithm(x: Features) -> Features:
    size = x["W"].abs() + 1e-3 * x["W"].abs().amax(2, keepdim=True)
    return {"W": x["W"] * ((size**1e-6 - 1) * 1e6)}


def bounds_by_default(x: Features) -> Features:
    return {"W": torch.ops.aten.hardtanh(x["W"])}


def written_to_fixed_places(x: Features) -> Tensor:
    blank = torch.zeros(len(x["b"]), 5)
    blank[:, torch.tensor([3, 2, 1, 0])] = x["b"]
    return blank


REFUSED: list[tuple[Spec, Layer]] = [
    (SCALES, bounds_by_default),
    (NEURONS, written_to_fixed_places),
    (NEURONS, captured_weight),
    (NEURONS, captured_in_a_function_inside),
    (NEURONS, window_over_a_part),
    (NEURONS, channels_in_groups),
    (NEURONS, stored_statistics),
    (NEURONS, places_of_a_diagonal),
    (NEURONS, largest_in_any_order),
    (NEURONS, differences_with_a_front),
    (SCALES, nearly_a_logarithm),
]


@pytest.mark.parametrize(("spec", "layer"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_it_is_refused(spec: Spec, layer: Layer) -> None:
    assert not check_module(spec, layer, search=False).ok


def test_numbers_without_a_law_may_be_rows() -> None:
    """Only matrices are looked at as such."""
    verdict = check_module(SCALES, lambda x: x["W"][..., 0].exp() - x["V"][0, 0].exp(), search=False)
    assert not verdict.ok
    assert "not homogeneous" in verdict.refusal.reason


def alpha_of(x: Features) -> Tensor:
    """Positive numbers that obey no law, one for each neuron."""
    raw = x["W"].mean((1, 2))[:, None] * torch.arange(1.0, 5.0)
    return 1.5 + 0.4 * torch.sin(raw)


def moved_as_a_whole(x: Features) -> Features:
    alpha = alpha_of(x)
    return {"W": x["W"] * alpha[:, :, None], "V": x["V"] / alpha[:, None]}


def moved_by_whole_numbers(x: Features) -> Features:
    alpha = alpha_of(x)
    return {"W": x["W"] * alpha[:, :, None], "V": x["V"] / alpha.int()[:, None]}


def moved_by_rounded_quotients(x: Features) -> Features:
    alpha = alpha_of(x)
    quotient = torch.div(x["V"], alpha[:, None], rounding_mode="floor")
    return {"W": x["W"] * alpha[:, :, None], "V": quotient}


def test_an_alpha_moves_all_tensors_by_the_same_numbers() -> None:
    assert check_module(SCALES, moved_as_a_whole, search=False).claim == "quasi-equivariant"


@pytest.mark.parametrize("layer", [moved_by_whole_numbers, moved_by_rounded_quotients])
def test_an_alpha_that_is_rounded_somewhere_is_refused(layer: Layer) -> None:
    assert not check_module(SCALES, layer, search=False).ok


def test_the_first_axis_of_size_three_is_no_vector() -> None:
    assert not check_module(TURNS, lambda x: {"u": torch.cross(x["u"], x["v"])}, search=False).ok
    assert check_module(TURNS, lambda x: {"u": torch.linalg.cross(x["u"], x["v"], dim=1)}, search=False).ok


def absolute_epsilon(x: Features) -> Features:
    """Truth values know no -1, so where the Levi-Civita tensor is not 0 they are all 1."""
    mask = torch.zeros(3, 3, 3, dtype=torch.bool)
    for image in permutations(range(3)):
        mask[image] = True
    return {"u": torch.einsum("ijk,bj,bk->bi", mask.to(x["u"].dtype), x["u"], x["v"])}


def chosen_by_a_table(x: Features) -> Features:
    return {"u": torch.where(torch.tensor([[True, True], [False, True]])[0, 0], x["u"], x["v"])}


def test_tables_of_truth_values_are_no_turns() -> None:
    assert not check_module(TURNS, absolute_epsilon, search=False).ok
    assert check_module(TURNS, chosen_by_a_table, search=False).ok
    plane = parse("spec s { space r = 2 : rotate  param u : r }")
    table = torch.tensor([[True, True], [True, True]])
    assert not check_module(plane, lambda x: {"u": x["u"] @ table.to(x["u"].dtype)}, search=False).ok
