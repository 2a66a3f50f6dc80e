"""Rules for pooling, padding and distances: what each lets through, in numbers too, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from tape import Tape, holds, refused

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec places {
  space x = 3 : fixed   space h = 4 : permute   space s = 4 : permute * scale   space e = 4 : permute * sign
  space o = 3 : orthogonal  space l = 3 : linear
  param A : x h    param B : h h    param S : s x    param E : e x    param O : h o    param L : h l
}
""")


def tape_with(param: str, *channels: int) -> tuple[Tape, Ref]:
    tape = Tape(SPEC)
    return tape, tape.input(param, *channels)


# --- windows, interpolation -------------------------------------------------------------------------------


def test_windows_and_interpolation_need_an_order() -> None:
    tape, s = tape_with("S", 6)
    assert (
        holds(tape, tape.call("unfold.default", s, 3, 3, 2))
        == "[batch, s^{scale: 1}, free 3, free 2, free 3]"
    )
    assert (
        holds(tape, tape.call("upsample_linear1d.default", tape.call("mean.dim", s, [2]), [9], False))
        == "[batch, s^{scale: 1}, free 9]"
    )
    assert "no order" in refused(tape, tape.call("unfold.default", s, 1, 2, 1))
    turned = tape.call("transpose.int", tape.call("mean.dim", s, [2]), 1, 2)
    assert "no order" in refused(tape, tape.call("upsample_nearest1d.default", turned, [8]))


# --- padding ----------------------------------------------------------------------------------------------


def test_zeros_are_added_to_fixed_axes() -> None:
    tape, a = tape_with("S", 6)
    assert holds(tape, tape.call("pad.default", a, [1, 2, 0, 1])) == "[batch, s^{scale: 1}, free 4, free 9]"
    assert (
        holds(tape, tape.call("constant_pad_nd.default", a, [0, -2]))
        == "[batch, s^{scale: 1}, free 3, free 4]"
    )


def test_other_numbers_need_charge_0() -> None:
    tape, a = tape_with("A", 6)
    assert holds(tape, tape.call("pad.default", a, [1, 0], "constant", 2.0)) == "[batch, free 3, h, free 7]"
    tape, s = tape_with("S", 6)
    assert "not homogeneous" in refused(tape, tape.call("pad.default", s, [1, 0], "constant", 2.0))


def test_copies_of_neighbours_are_linear() -> None:
    tape, s = tape_with("S")
    assert holds(tape, tape.call("pad.default", s, [2, 1], "circular")) == "[batch, s^{scale: 1}, free 6]"


def test_permuted_axes_have_no_ends() -> None:
    tape, a = tape_with("A", 6)
    assert "no order" in refused(tape, tape.call("pad.default", a, [0, 0, 0, 1]))


# --- pooling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d.default", "adaptive_max_pool2d.default"])
def test_pooling_to_one_place_takes_any_order(name: str) -> None:
    tape, a = tape_with("B")
    found = tape.call(name, tape.call("unsqueeze.default", a, 1), [1, 1])
    assert holds(tape, found[0] if isinstance(found, tuple) else found) == "[batch, 1, 1, 1]"


def test_pooling_of_places_takes_fixed_axes() -> None:
    tape, a = tape_with("A", 6)
    rows = tape.call("reshape.default", tape.call("permute.default", a, [0, 2, 1, 3]), [3, 12, 6])
    assert holds(tape, tape.call("avg_pool1d.default", rows, [2])) == "[batch, (h free 3), free 3]"


def test_windows_of_permuted_axes_are_refused() -> None:
    tape, a = tape_with("A")
    assert "no order" in refused(tape, tape.call("avg_pool1d.default", a, [2]))
    assert "no order" in refused(tape, tape.call("adaptive_avg_pool1d.default", a, [2]))
    assert "no order" in refused(tape, tape.call("max_pool1d.default", a, [2]))


def test_pooling_needs_charge_0_and_a_maximum_no_signs() -> None:
    tape, s = tape_with("S")
    turned = tape.call("transpose.int", s, 1, 2)
    assert "scale: 1 is not 0" in refused(tape, tape.call("adaptive_avg_pool1d.default", turned, [1]))
    assert holds(tape, tape.call("adaptive_max_pool1d.default", s, [1])[0]) == "[batch, s^{scale: 1}, 1]"
    tape, e = tape_with("E")
    assert "odd nor even" in refused(tape, tape.call("adaptive_max_pool1d.default", e, [1])[0])


def test_the_place_of_a_maximum_is_no_number() -> None:
    tape, a = tape_with("A")
    assert "used as a number" in refused(tape, tape.call("adaptive_max_pool1d.default", a, [1])[1])


# --- distances --------------------------------------------------------------------------------------------


def test_distances_between_rows() -> None:
    tape, s = tape_with("A")
    rows = tape.call("transpose.int", s, 1, 2)
    assert holds(tape, tape.call("cdist.default", rows, rows)) == "[batch, h, h']"
    tape, o = tape_with("O")
    assert holds(tape, tape.call("cdist.default", o, o)) == "[batch, h, h']"


def test_distances_need_equal_charges_and_a_norm_that_the_group_keeps() -> None:
    tape, s = tape_with("S")
    assert "different factors" in refused(tape, tape.call("cdist.default", s, s))
    tape, line = tape_with("L")
    assert refused(tape, tape.call("cdist.default", line, line))
    tape, o = tape_with("O")
    assert "order 1" in refused(tape, tape.call("cdist.default", o, o, 1.0))


def test_cosines_are_odd_in_both_sides() -> None:
    tape, e = tape_with("E")
    w = tape.weight(1, 1, 3)
    assert holds(tape, tape.call("cosine_similarity.default", e, w, 2)) == "[batch, e^{sign: 1}]"
    tape, o = tape_with("O")
    assert holds(tape, tape.call("cosine_similarity.default", o, o, 2)) == "[batch, h]"
    tape, s = tape_with("S")
    assert "not homogeneous" in refused(tape, tape.call("cosine_similarity.default", s, s, 2))


# --- batch norm in eval mode ------------------------------------------------------------------------------


def normed(tape: Tape, x: Ref, n: int) -> Ref:
    scale, shift, mean = (tape.weight(n) for _ in range(3))
    variance = tape.constant(torch.ones(n, dtype=torch.float64))
    name = "_native_batch_norm_legit_no_training.default"
    return tape.call(name, x, scale, shift, mean, variance, 0.1, 1e-5)[0]


def test_stored_statistics_belong_to_channels() -> None:
    tape, a = tape_with("A")
    assert holds(tape, normed(tape, a, 3)) == "[batch, free 3, h]"


def test_stored_statistics_of_neurons_are_refused() -> None:
    tape, b = tape_with("B")
    assert refused(tape, normed(tape, b, 4))
    tape, s = tape_with("S")
    assert refused(tape, normed(tape, tape.call("transpose.int", s, 1, 2), 3))
