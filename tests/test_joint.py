"""Axes of different spaces side by side on one dimension: what may be done to them, what takes them apart."""

from __future__ import annotations

import pytest
import torch
from tape import Tape, holds, refused

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec layers {
  space x = 3 : fixed   space h = 4 : permute   space g = 4 : permute   space s = 4 : permute * scale
  space l = 4 : linear  space head = 2 : permute { space m = 3 : permute }
  param W : h x    param V : g h    param bh : h    param bg : g    param bx : x    param S : s
  param M : head m    param L : l   param N : [h, head, m]
}
""")


def tokens(tape: Tape) -> Ref:
    """All biases, and the weights of two layers, as one list: [batch, 3 + 4 + 4 + 12 + 16, 5]."""
    given = [tape.input("bx", 5), tape.input("bh", 5), tape.input("bg", 5)]
    flat = [tape.call("view.default", tape.input(name, 5), [3, -1, 5]) for name in ("W", "V")]
    return tape.call("cat.default", [*given, *flat], 1)


def test_parts_side_by_side_are_one_axis() -> None:
    tape = Tape(SPEC)
    assert holds(tape, tokens(tape)) == "[batch, 3 | h | g | h 3 | g h, free 5]"


def test_any_symmetric_reduction_may_follow() -> None:
    tape = Tape(SPEC)
    t = tokens(tape)
    assert holds(tape, tape.call("mean.dim", t, [1])) == "[batch, free 5]"
    assert holds(tape, tape.call("sort.default", t, 1)[0]) == "[batch, free 39, free 5]"


def test_attention_over_all_of_them_and_apart_again() -> None:
    tape = Tape(SPEC)
    t = tokens(tape)
    scores = tape.call("softmax.int", tape.call("matmul.default", t, tape.call("transpose.int", t, 1, 2)), 2)
    seen = tape.call("matmul.default", scores, t)
    parts = tape.call("split_with_sizes.default", seen, [3, 4, 4, 12, 16], 1)
    assert [holds(tape, part) for part in parts] == [
        "[batch, free 3, free 5]",
        "[batch, h, free 5]",
        "[batch, g, free 5]",
        "[batch, (h free 3), free 5]",
        "[batch, (g h), free 5]",
    ]


def test_neighbouring_parts_stay_together_and_fixed_ones_have_places() -> None:
    tape = Tape(SPEC)
    t = tokens(tape)
    assert holds(tape, tape.call("slice.Tensor", t, 1, 3, 11)) == "[batch, h | g, free 5]"
    assert holds(tape, tape.call("select.int", t, 1, 1)) == "[batch, free 5]"
    assert holds(tape, tape.call("slice.Tensor", t, 1, 0, 2)) == "[batch, free 2, free 5]"
    again = tape.call(
        "cat.default", [tape.call("slice.Tensor", t, 1, 3, 7), tape.call("slice.Tensor", t, 1, 7, 11)], 1
    )
    assert (
        holds(tape, tape.call("add.Tensor", again, tape.call("slice.Tensor", t, 1, 3, 11)))
        == "[batch, h | g, free 5]"
    )


@pytest.mark.parametrize(("start", "end"), [(3, 5), (5, 9), (2, 7), (12, 13)])
def test_pieces_of_permuted_parts_are_refused(start: int, end: int) -> None:
    tape = Tape(SPEC)
    assert "are picked" in refused(tape, tape.call("slice.Tensor", tokens(tape), 1, start, end))


def test_weights_must_not_tell_entries_apart() -> None:
    tape = Tape(SPEC)
    assert "must not vary" in refused(tape, tape.call("mul.Tensor", tokens(tape), tape.weight(39, 1)))


def test_lists_in_another_order_do_not_line_up() -> None:
    tape = Tape(SPEC)
    h, g = tape.input("bh"), tape.input("bg")
    one, other = tape.call("cat.default", [h, g], 1), tape.call("cat.default", [g, h], 1)
    assert "different spaces" in refused(tape, tape.call("add.Tensor", one, other))
    assert holds(tape, tape.call("mul.Tensor", one, one)) == "[batch, h | g]"


def test_nested_axes_come_with_their_copies() -> None:
    tape = Tape(SPEC)
    flat = tape.call("view.default", tape.input("M"), [3, 6])
    both = tape.call("cat.default", [flat, tape.input("bh")], 1)
    assert holds(tape, both) == "[batch, head m@0 | h]"
    assert holds(tape, tape.call("slice.Tensor", both, 1, 0, 6)) == "[batch, (head m)]"
    nested = tape.input("N")
    rows = tape.call(
        "cat.default",
        [tape.call("view.default", nested, [3, 4, 6]), tape.call("unsqueeze.default", tape.input("bh"), 2)],
        2,
    )
    assert holds(tape, rows) == "[batch, h, head m@0 | 1]"


def test_conditions() -> None:
    tape = Tape(SPEC)
    h = tape.input("bh")
    assert "multiplied by different numbers" in refused(
        tape, tape.call("cat.default", [tape.input("S"), h], 1)
    )
    assert "stands beside axes" in refused(tape, tape.call("cat.default", [tape.input("L"), h], 1))
    m, small = (
        tape.input("M"),
        tape.call("expand.default", tape.call("view.default", h, [3, 4, 1]), [3, 4, 3]),
    )
    assert "own copy of `m`" in refused(tape, tape.call("cat.default", [m, small], 1))
    twice = tape.call("cat.default", [h, tape.input("bg")], 1)
    assert "put beside others" in refused(tape, tape.call("cat.default", [twice, tape.input("bx")], 1))


def test_zeros_take_any_part() -> None:
    tape = Tape(SPEC)
    h = tape.input("bh")
    zeros = tape.call("zeros_like.default", h)
    assert holds(tape, tape.call("cat.default", [h, zeros], 1)) == "[batch, (free 2 h)]"
    three = tape.call("slice.Tensor", zeros, 1, 0, 3)
    assert holds(tape, tape.call("cat.default", [h, three], 1)) == "[batch, h | 3]"


def test_repeated_channels_may_be_cut_anywhere() -> None:
    tape = Tape(SPEC)
    twice = tape.call("repeat.default", tape.input("bh", 4), [1, 1, 2])
    assert holds(tape, tape.call("slice.Tensor", twice, 2, 0, 6)) == "[batch, h, free 6]"


def test_axes_of_different_sizes_never_line_up() -> None:
    tape = Tape(SPEC)
    wide = zeros(tape, 9, 3, 9)
    on = tape.call("add.Tensor", tape.call("diagonal.default", wide, 0, 1, 2), 1.0)
    assert "line up" in refused(tape, tape.call("diagonal_scatter.default", wide, on, 0, 1, 2))


def test_the_identity_matrix_keeps_a_joint_axis() -> None:
    tape = Tape(SPEC)
    both = tape.call("cat.default", [tape.input("bh"), tape.input("bg")], 1)
    eye = tape.constant(torch.eye(8, dtype=torch.float64))
    off = tape.call("mul.Tensor", tape.call("unsqueeze.default", both, 1), eye)
    assert holds(tape, off).startswith("[batch, h | g, h | g']")
    assert holds(tape, tape.call("diagonal.default", off, 0, 1, 2)) == "[batch, h | g]"


# --- blocks written to zeros --------------------------------------------------------------------------------


def write(tape: Tape, e: Ref, rows: int, columns: int, block: Ref) -> Ref:
    """`e[:, rows : rows + n, columns : columns + m] = block`, as it is traced."""
    _, n, m = tape.before[block.name].shape
    strip = tape.call("slice.Tensor", e, 1, rows, rows + n)
    place = tape.call("slice.Tensor", strip, 2, columns, columns + m)
    filled = tape.call("copy.default", place, block)
    strip = tape.call("slice_scatter.default", strip, filled, 2, columns, columns + m)
    return tape.call("slice_scatter.default", e, strip, 1, rows, rows + n)


def zeros(tape: Tape, *shape: int) -> Ref:
    return tape.constant(torch.zeros(shape, dtype=torch.float64))


def adjacency(tape: Tape) -> Ref:
    """Of neurons x, h, g: who listens (rows) to whom (columns)."""
    e = write(tape, zeros(tape, 3, 11, 11), 3, 0, tape.input("W"))
    return write(tape, e, 7, 3, tape.input("V"))


def test_blocks_make_joint_axes() -> None:
    tape = Tape(SPEC)
    assert holds(tape, adjacency(tape)) == "[batch, ~3 | h | g, 3 | h | ~4]"


def test_what_is_between_blocks_has_the_law_of_what_it_meets() -> None:
    tape = Tape(SPEC)
    e = adjacency(tape)
    nodes = tape.call("cat.default", [tape.input("bx"), tape.input("bh"), tape.input("bg")], 1)
    both = tape.call("add.Tensor", tape.call("cos.default", e), tape.call("unsqueeze.default", nodes, 1))
    assert holds(tape, both) == "[batch, ~3 | h | g, 3 | h | g]"
    heard = tape.call("einsum.default", "bij,bj->bi", [e, nodes])
    assert holds(tape, tape.call("mul.Tensor", heard, nodes)) == "[batch, 3 | h | g]"
    assert holds(tape, tape.call("slice.Tensor", heard, 1, 7, 11)) == "[batch, g]"


def test_blocks_in_the_wrong_place_do_not_line_up() -> None:
    tape = Tape(SPEC)
    e = write(tape, zeros(tape, 3, 11, 11), 3, 7, tape.input("V"))  # the rows are g, the columns h
    nodes = tape.call("cat.default", [tape.input("bx"), tape.input("bh"), tape.input("bg")], 1)
    assert "different spaces" in refused(tape, tape.call("einsum.default", "bij,bj->bi", [e, nodes]))


def test_blocks_that_do_not_fit_together_are_refused() -> None:
    tape = Tape(SPEC)
    e = adjacency(tape)
    assert "different spaces" in refused(tape, write(tape, e, 3, 7, tape.input("V")))
    assert refused(tape, write(tape, e, 5, 0, tape.input("W")))
    moved = tape.call("mul.Tensor", e, tape.constant(1 - torch.eye(11, dtype=torch.float64)))
    assert refused(tape, moved)  # the diagonal of rows and columns whose spaces are not known


def test_places_that_do_not_start_with_a_block_are_told_apart() -> None:
    tape = Tape(SPEC)
    h = tape.input("bh")
    twice = tape.call("cat.default", [h, h], 1)
    e = tape.call("slice_scatter.default", zeros(tape, 3, 12), twice, 1, 1, 9)
    assert holds(tape, e) == "[batch, ~1 | 2 h | ~3]"


def test_a_block_may_be_overwritten_as_a_whole() -> None:
    tape = Tape(SPEC)
    e = write(tape, adjacency(tape), 3, 0, tape.call("mul.Tensor", tape.input("W"), 2.0))
    assert holds(tape, e) == "[batch, ~3 | h | g, 3 | h | ~4]"
