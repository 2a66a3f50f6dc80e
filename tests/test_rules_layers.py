"""Rules for recurrent layers, spectra, assignments: what each lets through, in numbers too, and refuses."""

from __future__ import annotations

import pytest
import torch
from tape import Tape, holds, refused

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec rows {
  space x = 3 : fixed   space h = 4 : permute   space s = 4 : permute * scale   space e = 4 : permute * sign
  space o = 3 : orthogonal  space l = 3 : linear
  param A : h x    param B : h h    param S : s x    param E : e x    param O : h o    param L : h l
  param X : x x
}
""")


def tape_with(param: str, *channels: int) -> tuple[Tape, Ref]:
    tape = Tape(SPEC)
    return tape, tape.input(param, *channels)


# --- recurrent layers -------------------------------------------------------------------------------------


def run(tape: Tape, name: str, x: Ref, rows: int, features: int, batch_first: bool = True) -> tuple[Ref, ...]:
    gates = {"gru": 3, "lstm": 4}.get(name, 1)
    weights = [
        tape.weight(5 * gates, features),
        tape.weight(5 * gates, 5),
        tape.weight(5 * gates),
        tape.weight(5 * gates),
    ]
    start = tape.constant(torch.zeros(1, rows, 5, dtype=torch.float64))
    state = [start, start] if name == "lstm" else start
    return tape.call(f"{name}.input", x, state, weights, True, 1, 0.0, False, False, batch_first)


@pytest.mark.parametrize("name", ["gru", "lstm", "rnn_tanh", "rnn_relu"])
def test_layers_run_along_fixed_axes(name: str) -> None:
    tape, a = tape_with("A", 2)
    out, last, *_ = run(tape, name, tape.call("view.default", a, [12, 3, 2]), 12, 2)
    assert holds(tape, out) == "[(batch h), free 3, free 5]"
    assert holds(tape, last) == "[1, (batch h), free 5]"


def test_layers_do_not_run_along_permuted_axes_nor_mix_them() -> None:
    tape, a = tape_with("A")
    assert "no order" in refused(tape, run(tape, "gru", a, 3, 3)[0])
    turned = tape.call("transpose.int", a, 1, 2)
    assert "mixed by weights" in refused(tape, run(tape, "gru", turned, 3, 4)[0])


@pytest.mark.parametrize(("param", "why"), [("S", "not homogeneous"), ("E", "odd nor even")])
def test_layers_need_charge_0(param: str, why: str) -> None:
    tape, s = tape_with(param, 2)
    assert why in refused(tape, run(tape, "gru", tape.call("view.default", s, [12, 3, 2]), 12, 2)[0])


def test_cells_work_row_by_row() -> None:
    tape, a = tape_with("A", 5)
    row = tape.call("mean.dim", a, [2])
    flat = tape.call("view.default", row, [12, 5])
    w = [tape.weight(15, 5), tape.weight(15, 5), tape.weight(15), tape.weight(15)]
    assert holds(tape, tape.call("gru_cell.default", flat, flat, *w)) == "[(batch h), free 5]"
    turned = tape.call("reshape.default", tape.call("transpose.int", row, 1, 2), [15, 4])
    narrow = [tape.weight(12, 4), tape.weight(12, 4), tape.weight(12), tape.weight(12)]
    assert "mixed by weights" in refused(tape, tape.call("gru_cell.default", turned, turned, *narrow))


# --- spectra ----------------------------------------------------------------------------------------------


def test_frequencies_of_fixed_axes() -> None:
    tape, s = tape_with("S")
    size = tape.call("abs.default", tape.call("fft_rfft.default", s, None, -1))
    assert holds(tape, size) == "[batch, s^{scale: 1}, free 2]"
    assert "no order" in refused(tape, tape.call("fft_rfft.default", s, None, 1))


def test_singular_values_forget_permutations_and_rotations() -> None:
    tape, b = tape_with("B")
    assert holds(tape, tape.call("linalg_svdvals.default", b)) == "[batch, free 4]"
    tape, o = tape_with("O")
    assert holds(tape, tape.call("linalg_svdvals.default", o)) == "[batch, free 3]"
    tape, line = tape_with("L")
    assert "change of basis" in refused(tape, tape.call("linalg_svdvals.default", line))
    tape, s = tape_with("S")
    assert "scale: 1 is not 0" in refused(tape, tape.call("linalg_svdvals.default", s))


def test_vectors_of_decompositions_need_axes_on_which_nothing_acts() -> None:
    tape, x = tape_with("X")
    for part, size in zip(
        tape.call("linalg_svd.default", x, False), ("free 3, free 3", "free 3", "free 3, free 3"), strict=True
    ):
        assert str(tape.type(part)) == f"[batch, {size}]"
    assert holds(tape, tape.call("linalg_qr.default", x)[1]) == "[batch, free 3, free 3]"
    tape, b = tape_with("B")
    assert holds(tape, tape.call("linalg_svd.default", b)[1]) == "[batch, free 4]"
    assert "up to signs" in refused(tape, tape.call("linalg_svd.default", b)[0])
    assert "depends on their order" in refused(tape, tape.call("linalg_qr.default", b)[0])


def test_eigenvalues_are_those_of_matrices_made_symmetric() -> None:
    tape, b = tape_with("B")
    turned = tape.call("mT.default", b)
    gram, both = tape.call("matmul.default", b, turned), tape.call("add.Tensor", b, turned)
    degrees = tape.call("diag_embed.default", tape.call("sum.dim_IntList", gram, [1]))
    laplacian = tape.call("sub.Tensor", degrees, tape.call("div.Tensor", gram, 2.0))
    for symmetric in (gram, both, laplacian):
        assert holds(tape, tape.call("linalg_eigvalsh.default", symmetric)) == "[batch, free 4]"
    assert "one triangle" in refused(tape, tape.call("linalg_eigvalsh.default", b))
    assert "one triangle" in refused(
        tape, tape.call("linalg_eigvalsh.default", tape.call("matmul.default", b, b))
    )
    assert "up to signs" in refused(tape, tape.call("linalg_eigh.default", gram)[1])


def test_the_norm_of_a_matrix_is_that_of_its_entries_by_default() -> None:
    tape, b = tape_with("B")
    assert holds(tape, tape.call("linalg_matrix_norm.str_ord", b)) == "[batch]"


# --- assignments ------------------------------------------------------------------------------------------


def test_what_is_assigned_brings_its_law() -> None:
    tape, s = tape_with("S", 2)
    row = tape.call("mean.dim", s, [2], True)
    assert holds(tape, tape.call("copy.default", s, row)) == "[batch, s^{scale: 1}, uniform 3, free 2]"
    blank = tape.call("zeros_like.default", s)
    assert holds(tape, tape.call("copy.default", blank, s)) == "[batch, s^{scale: 1}, free 3, free 2]"


# --- written by tensors of places -------------------------------------------------------------------------


def put(tape: Tape, x: Ref, places: dict[int, torch.Tensor | Ref], y: Ref, added: bool = False) -> Ref:
    """`x[..., places] = y`."""
    given = [None] * (max(places) + 1)
    for d, where in places.items():
        given[d] = where if isinstance(where, Ref) else tape.constant(where)
    return tape.call("index_put.default", x, given, y, added)


def test_a_diagonal_may_be_written_by_two_ranges() -> None:
    tape, b = tape_with("B", 2)
    own = tape.call("diagonal.default", tape.input("B", 2), 0, 1, 2)
    mine = tape.call("transpose.int", own, 1, 2)
    i = torch.arange(4)
    assert holds(tape, put(tape, b, {1: i, 2: i}, mine)) == "[batch, h, h', free 2]"
    assert holds(tape, put(tape, b, {1: i, 2: i}, mine, True)) == "[batch, h, h', free 2]"
    assert holds(tape, put(tape, b, {1: i, 2: i}, tape.constant(torch.zeros((), dtype=torch.float64))))
    assert refused(tape, put(tape, b, {1: i, 2: i}, tape.weight(4, 2)))
    assert refused(tape, put(tape, b, {1: i, 2: i.flip(0)}, mine))


def test_one_number_may_be_written_where_a_condition_holds() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    tape, b = tape_with("B", 2)
    assert (
        holds(tape, put(tape, b, {1: torch.eye(4, dtype=torch.bool)}, tape.constant(zero)))
        == "[batch, h, h', free 2]"
    )
    assert refused(tape, put(tape, b, {1: torch.ones(4, 4, dtype=torch.bool).tril()}, tape.constant(zero)))
    tape, s = tape_with("S", 2)
    negative = tape.call("lt.Scalar", s, 0)
    assert (
        holds(tape, put(tape, s, {0: negative}, tape.constant(zero)))
        == "[batch, s^{scale: 1}, free 3, free 2]"
    )
    assert refused(tape, put(tape, s, {0: negative}, tape.constant(zero + 1)))


def test_places_of_fixed_axes_may_be_written() -> None:
    tape, s = tape_with("S", 4)
    part = tape.call("slice.Tensor", tape.call("abs.default", s), 3, 0, 2)
    assert (
        holds(tape, put(tape, s, {3: torch.tensor([0, 3])}, part)) == "[batch, s^{scale: 1}, free 3, free 4]"
    )
    one = tape.call("slice.Tensor", s, 1, 0, 4)
    assert "one by one" in refused(tape, put(tape, s, {1: torch.tensor([0, 1, 2, 3])}, one))
