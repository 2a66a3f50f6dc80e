"""Emitted modules of odd specs are proved: vector spaces of size 1, several axes on one space, few indices.

Specs drawn at random found each of these refused once.
"""

from __future__ import annotations

import pytest
from tape import Tape, holds

import qecompile as qe
from qecompile.loading import import_source
from qecompile.proving import prover
from qecompile.verify.equivariance import check_module
from qecompile.verify.graph import Ref

ODD = {
    "identities of size 1": """
        space a = 1 : orthogonal * dilate   space b = 2 : permute { space v = 1 : linear }
        param P : []   param Q : [a*, a*]   param R : [b, v, v*]
        metanet m { channels 1, 2  readout equivariant }""",
    "a vector axis of size 1 among reshaped ones": """
        space a = 2 : fixed { space x = 2 : fixed { space v = 1 : orthogonal } }
        param P : [a, x, v*, a*]   param Q : [a, x, v]
        metanet m { channels 1, 2  readout equivariant }""",
    "vectors of two copies on a diagonal": """
        space a = 2 : permute * scale { space v = 2 : linear }
        param P : [a, v*, a^-1, v*]   param Q : [a*, v, v*]
        metanet m { channels 1, 2  readout equivariant }""",
    "matrices of one number": """
        space a = 1 : linear   param P : [a, a*]   param Q : []
        metanet m { channels 1, 2  alpha independent  readout invariant -> 2 }""",
    "three charged axes on one space": """
        space a = 2 : permute * scale
        param P : [a*, a, a]   param Q : [a]
        metanet m { channels 1, 2  alpha shared  readout equivariant }""",
    "signs on three axes": """
        space a = 2 : permute * sign
        param P : [a, a^0, a]   param Q : [a, a, a]
        metanet m { channels 1, 2  readout equivariant }""",
    "low rank, few indices": """
        space a = 2 : permute   space c = 3 : fixed
        param P : [a, a]   param Q : [c]   param R : [c, a]
        metanet m { channels 1, 2  readout invariant -> 2  context lowrank(2) }""",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_specs_are_proved(name: str) -> None:
    proof = prover(qe.parse(f"spec s {{ {ODD[name]} }}")).prove_spec()
    assert [f"{o.name}: {o.detail}" for o in proof.obligations if o.ok is False] == []


RAW = """
spec s {
  space r = 3 : linear   space i = 2 : fixed
  param B : i <- r   param A : r <- i
  metanet m { channels 1, 2  alpha shared  readout equivariant }
}
"""
MATRIX, DUAL = 'matrix_r = g["r"]', "_inverse(matrix_r).mT"


@pytest.mark.parametrize(
    ("old", "new", "ok"),
    [
        (MATRIX, 'matrix_r = -(-g["r"])', True),
        (MATRIX, 'matrix_r = -g["r"]', True),  # another element of GL(3)
        (MATRIX, 'matrix_r = g["r"] * 0.0', False),
        (DUAL, f"({DUAL}) * 1.0", True),
        (DUAL, f"({DUAL}).transpose(1, 2).transpose(1, 2)", True),
        (DUAL, f"({DUAL}).transpose(1, 2)", False),
        (DUAL, f"-(-({DUAL} / 1))", True),
        (DUAL, f"-({DUAL})", False),
        (DUAL, f"({DUAL}) * 1.5", False),
    ],
)
def test_a_matrix_of_alpha_times_one_is_the_same_matrix(old: str, new: str, ok: bool) -> None:
    spec = qe.parse(RAW)
    text = prover(spec).accused.source
    assert old in text
    module = import_source(text.replace(old, new), name="edited")
    assert check_module(spec, module.MetaNet(), search=False).ok is ok


SPEC = qe.parse("""
spec s {
  space h = 3 : permute * scale * sign { space v = 1 : linear }
  space o = 1 : orthogonal
  space f = 2 : fixed
  param y : h   param Z : h* h^2   param V : [h^0, v, v*]   param b : h^0   param c : f o   param Q : [o, o]
  param M : [h^0, f, v]
}
""")


def on_diagonal(tape: Tape, x: Ref) -> Ref:
    """x[k], of all i and j that are equal: [batch, i, j, k, 2]."""
    spread = tape.call("expand.default", tape.call("unsqueeze.default", x, 3), [-1, 3, 2, 3])
    return tape.call("diag_embed.default", spread, 0, 1, 2)


def test_a_sum_of_diagonals_has_the_law_that_serves_both() -> None:
    tape = Tape(SPEC)
    z = tape.call("transpose.int", tape.input("Z", 2), 2, 3)
    tall = tape.call("diag_embed.default", z, 0, 2, 3)  # z[i, j], of all j and k that are equal
    assert (
        holds(tape, tall)
        == "[batch, h^{scale: -1, sign: 1}, h'^{scale: 2}, h'', free 2] (zero unless h' = h'')"
    )
    both = tape.call("add.Tensor", tall, on_diagonal(tape, tape.input("y", 2)))
    one = "{scale: 1, sign: 1}"
    assert holds(tape, both) == f"[batch, h^{{scale: -1, sign: 1}}, h'^{one}, h''^{one}, free 2]"
    wrong = tape.call("add.Tensor", tall, on_diagonal(tape, tape.input("b", 2)))
    assert "change by different factors" in tape.infer(wrong).refusal.reason


def test_one_is_the_identity_of_a_vector_space_of_size_1() -> None:
    tape = Tape(SPEC)
    b = tape.call("unsqueeze.default", tape.call("unsqueeze.default", tape.input("b"), 2), 3)
    assert holds(tape, tape.call("add.Tensor", tape.input("V"), b)) == "[batch, h, v, v*]"
    assert "is no vector" in tape.infer(tape.call("add.Tensor", tape.input("M"), b)).refusal.reason


def test_one_is_no_identity_between_vectors_that_are_not_dual() -> None:
    tape = Tape(SPEC)
    v = tape.input("V")
    square = tape.call("mul.Tensor", tape.call("squeeze.dim", tape.input("b"), 0), 1.0)
    assert holds(tape, square) == "[batch, h]"
    two = tape.call(
        "unsqueeze.default", tape.call("select.int", tape.input("M"), 2, 0), 3
    )  # [batch, h, v, 1]
    assert "is no vector" in tape.infer(tape.call("add.Tensor", v, two)).refusal.reason


def test_a_vector_axis_of_size_1_keeps_its_place_in_a_reshape() -> None:
    tape = Tape(SPEC)
    c = tape.call("unsqueeze.default", tape.input("c", 3), 3)  # [batch, f, o, 1, 3]
    assert holds(tape, tape.call("view.default", c, [3, 2, 1, 3])) == "[batch, free 2, o, free 3]"
    assert holds(tape, tape.call("view.default", c, [3, 2, 1, 1, 3])) == "[batch, free 2, o, 1, free 3]"
    merged = tape.call("view.default", c, [3, 2, 3])
    assert holds(tape, merged) == "[batch, (free 2 o), free 3]"
    assert holds(tape, tape.call("view.default", merged, [3, 2, 1, 3])) == "[batch, free 2, o, free 3]"
    assert holds(tape, tape.call("view.default", tape.input("Q"), [1, 3, 1, 1])) == "[1, batch, o, o']"


def test_a_vector_axis_of_size_1_cannot_be_lost_in_a_reshape() -> None:
    tape = Tape(SPEC)
    flat = tape.call("view.default", tape.input("c", 3), [3, 6])
    assert "o" in holds(tape, flat)
    lost = tape.call("sum.dim_IntList", tape.call("view.default", tape.input("c"), [3, 2]), [1])
    assert "vector axis `o`" in tape.infer(lost).refusal.reason
