"""Rules for places that are computed or known: what is looked up there, or added there, in numbers too."""

from __future__ import annotations

import pytest
import torch
from tape import Tape, holds, refused

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec places {
  space x = 3 : fixed   space h = 4 : permute   space g = 4 : permute   space s = 4 : permute * scale
  space r = 3 : rotate  param A : h x  param W : g h  param b : h  param S : s x
}
""")


def tape_with(*params: str) -> tuple[Tape, list[Ref]]:
    tape = Tape(SPEC)
    return tape, [tape.input(name, 6) for name in params]


# --- looked up --------------------------------------------------------------------------------------------


def test_fixed_axes_may_be_read_at_computed_places() -> None:
    tape, (a,) = tape_with("A")
    places = tape.call("argsort.default", a, 3)
    assert holds(tape, tape.call("gather.default", a, 3, places)) == "[batch, h, free 3, free 6]"
    tape, (s,) = tape_with("S")
    one = tape.call("slice.Tensor", s, 3, 0, 1)
    first = tape.call("argmax.default", tape.call("squeeze.dim", one, 3), 2, True)
    row = tape.call("squeeze.dim", one, 3)
    assert holds(tape, tape.call("gather.default", row, 2, first)) == "[batch, s^{scale: 1}, 1]"


def test_rows_of_a_table_may_be_read_at_computed_places() -> None:
    tape, (a,) = tape_with("A")
    table, places = tape.weight(6, 5), tape.call("argmax.default", a, 3)
    assert holds(tape, tape.call("embedding.default", table, places)) == "[batch, h, free 3, free 5]"
    assert holds(tape, tape.call("index.Tensor", table, [places])) == "[batch, h, free 3, free 5]"


def test_permuted_axes_have_no_places() -> None:
    tape, (a,) = tape_with("A")
    here = tape.call("argsort.default", a, 3)
    bits = tape.call("_to_copy.default", tape.call("gt.Scalar", a, 0), dtype=torch.int64)
    assert "no order" in refused(tape, tape.call("gather.default", a, 1, bits))
    part = tape.call("slice.Tensor", here, 2, 0, 1)
    assert "every axis" in refused(tape, tape.call("gather.default", a, 3, part))
    sorted_out = tape.call("argmax.default", a, 1, True)
    assert "place along `h`" in refused(tape, tape.call("gather.default", a, 1, sorted_out))


def test_places_of_another_row_are_no_places_of_this_one() -> None:
    tape, (w,) = tape_with("W")
    turned = tape.call("gt.Scalar", tape.call("transpose.int", w, 1, 2), 0)
    bits = tape.call("_to_copy.default", turned, dtype=torch.int64)
    assert "different spaces" in refused(tape, tape.call("gather.default", w, 3, bits))


# --- the whole axis several times -------------------------------------------------------------------------


def test_a_permuted_axis_may_be_read_several_times() -> None:
    tape, (b,) = tape_with("b")
    whole = torch.arange(4)
    tiled, repeated = (tape.constant(p) for p in (whole.repeat(3), whole.repeat_interleave(3)))
    assert holds(tape, tape.call("index_select.default", b, 1, tiled)) == "[batch, (uniform 3 h), free 6]"
    assert holds(tape, tape.call("index_select.default", b, 1, repeated)) == "[batch, (h uniform 3), free 6]"
    mixed = tape.constant(torch.tensor([0, 1, 2, 3, 1, 0, 2, 3]))
    assert "are picked" in refused(tape, tape.call("index_select.default", b, 1, mixed))


# --- added ------------------------------------------------------------------------------------------------


def added(tape: Tape, x: Ref, places: list[int], size: int) -> Ref:
    """A new axis of `size` places in place of the first, with the entries of x added there."""
    n = tape.before[x.name].shape
    blank = tape.constant(torch.zeros(n[0], size, *n[2:], dtype=torch.float64))
    return tape.call("index_put.default", blank, [None, tape.constant(torch.tensor(places))], x, True)


def test_messages_add_up_at_their_receivers() -> None:
    tape, (w,) = tape_with("W")
    edges = tape.call("view.default", w, [3, 16, 6])
    receivers, senders = [k for k in range(4) for _ in range(4)], [0, 1, 2, 3] * 4
    assert holds(tape, added(tape, edges, receivers, 4)) == "[batch, g, free 6]"
    assert holds(tape, added(tape, edges, senders, 4)) == "[batch, h, free 6]"
    assert holds(tape, added(tape, edges, [1] * 16, 2)) == "[batch, free 2, free 6]"
    assert "no order" in refused(tape, added(tape, edges, senders[::-1], 4))


def test_permuted_entries_are_not_written_to_fixed_places() -> None:
    """This was let through once: as if what is written had no axis of its own."""
    tape, (b,) = tape_with("b")
    blank = tape.constant(torch.zeros(3, 5, 6, dtype=torch.float64))
    places = tape.constant(torch.arange(4))
    assert "no order" in refused(tape, tape.call("index_put.default", blank, [None, places], b))
    assert "no order" in refused(tape, tape.call("index_put.default", blank, [None, places], b, True))


@pytest.mark.parametrize(
    ("places", "expected"), [([0] * 4, "[batch, free 2, free 6]"), ([0, 0, 1, 1], "as a whole only")]
)
def test_sums_at_places(places: list[int], expected: str) -> None:
    tape, (b,) = tape_with("b")
    blank = tape.constant(torch.zeros(3, 2, 6, dtype=torch.float64))
    index = tape.constant(torch.tensor(places)[None, :, None].expand(3, 4, 6))
    found = tape.call("scatter_add.default", blank, 1, index, b)
    assert holds(tape, found) == expected if expected[0] == "[" else expected in refused(tape, found)
    same = tape.call("scatter_reduce.two", blank, 1, index, b, "sum")
    assert holds(tape, same) == expected if expected[0] == "[" else expected in refused(tape, same)
    assert "sums only" in refused(tape, tape.call("scatter_reduce.two", blank, 1, index, b, "amax"))
