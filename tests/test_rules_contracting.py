# ruff: noqa: E501 - one case a line
"""Rules for contractions and for square matrices: one line for each thing that they let through, or refuse."""

from __future__ import annotations

import pytest
import torch
from rule_cases import Case, check_refused, check_typed, eye


def levi_civita(t):
    epsilon = torch.zeros(3, 3, 3, dtype=torch.float64)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[i, j, k], epsilon[j, i, k] = 1, -1
    return t.constant(epsilon)


def quarter_turn(t):
    return t.constant(torch.tensor([[0, 1], [-1, 0]], dtype=torch.float64))


def gram(t, q):
    """q q^T over k: [batch, head, q, q]."""
    return t.call("einsum.default", "bhik,bhjk->bhij", [q, q])


TYPED = [
    Case("einsum", "V W", lambda t, v, w: t.call("einsum.default", "bxh,bhy->bxy", [v, w]), "[batch, free 4, free 4]"),
    Case("einsum", "L c", lambda t, x, c: t.call("einsum.default", "bgk,bk->bg", [x, c]), "[batch, g]"),
    Case("einsum", "W", lambda t, w: t.call("einsum.default", "bhx,xz->bhz", [w, t.weight(4, 2)]), "[batch, h^{scale: 1}, free 2]"),
    Case("einsum", "Q P", lambda t, q, p: t.call("einsum.default", "bhqi,bhqj->bhij", [q, p]), "[batch, head, k, k']"),
    Case("einsum", "B A", lambda t, b, a: t.call("einsum.default", "bxl,bly->bxy", [b, a]), "[batch, free 4, free 4]"),
    Case("einsum", "E", lambda t, e: t.call("einsum.default", "bii->b", [e]), "[batch]"),
    Case("einsum", "R", lambda t, r: t.call("einsum.default", "bij,kij->bk", [r, levi_civita(t)]), "[batch, r]"),
    Case("einsum", "v", lambda t, v: t.call("einsum.default", "bi,ij->bj", [v, eye(t, 3)]), "[batch, r]"),
    Case("einsum", "b", lambda t, b: t.call("einsum.default", "bi,ij->bj", [b, eye(t, 3)]), "[batch, h^{scale: 1}]"),
    Case("matrix product", "L K", lambda t, x, k: t.call("matmul.default", x, k), "[batch, g, k]"),
    Case("matrix product", "c 4", lambda t, c: t.call("matmul.default", c, t.weight(4, 2)), "[batch, k, free 2]"),
    Case("matrix product", "c 4", lambda t, c: t.call("bmm.default", c, t.call("transpose.int", c, 1, 2)), "[batch, k, k']"),
    Case("matrix product and sum", "K", lambda t, k: t.call("baddbmm.default", k, k, k), "[batch, k, k']"),
    Case("linear", "c 4", lambda t, c: t.call("linear.default", c, t.weight(2, 4), t.weight(2)), "[batch, k, free 2]"),
    Case("linear", "b 4", lambda t, b: t.call("linear.default", b, t.weight(2, 4)), "[batch, h^{scale: 1}, free 2]"),
    Case("bilinear", "c 4 c 3", lambda t, a, b: t.call("bilinear.default", a, b, t.weight(2, 4, 3), t.weight(2)), "[batch, k, free 2]"),
    Case("tensor product", "y", lambda t, y: t.call("outer.default", t.weight(3), t.weight(2)), "[free 3, free 2]"),
    Case("tensordot", "c 4", lambda t, c: t.call("tensordot.default", c, t.weight(2, 4), [2], [1]), "[batch, k, free 2]"),
    Case("cross product", "v v", lambda t, a, b: t.call("linalg_cross.default", a, b), "[batch, r]"),
    Case("convolution", "c 4", lambda t, c: t.call("conv1d.default", t.call("transpose.int", c, 1, 2), t.weight(2, 4, 1), t.weight(2)), "[batch, free 2, k]"),
    Case("convolution", "y 4", lambda t, y: t.call("convolution.default", t.call("transpose.int", y, 1, 2), t.weight(4, 2, 3), t.weight(2), [2], [1], [1], True, [0], 1), "[batch, free 2, free 7]"),
    Case("convolution", "y 4", lambda t, y: t.call("conv1d.default", t.call("transpose.int", y, 1, 2), t.weight(2, 4, 3), None, [1], [1]), "[batch, free 2, free 4]"),
    Case("attention", "c 4", lambda t, c: t.call("scaled_dot_product_attention.default", c, c, c), "[batch, k, free 4]"),
    Case("function of matrix", "K", lambda t, k: t.call("linalg_matrix_exp.default", k), "[batch, k, k']"),
    Case("function of matrix", "E", lambda t, e: t.call("linalg_matrix_power.default", e, 3), "[batch, l, l*]"),
    Case("inverse", "E", lambda t, e: t.call("linalg_inv.default", e), "[batch, l, l*]"),
    Case("inverse", "R", lambda t, r: t.call("linalg_inv.default", t.call("add.Tensor", r, eye(t, 3))), "[batch, r, r']"),
    Case("inverse", "Q", lambda t, q: t.call("linalg_inv.default", gram(t, q)), "[batch, head, q*, q*']"),
    Case("solution", "E A", lambda t, e, a: t.call("linalg_solve.default", e, a), "[batch, l, free 4]"),
    Case("solution", "y", lambda t, y: t.call("linalg_solve.default", t.call("add.Tensor", eye(t, 2), quarter_turn(t)), quarter_turn(t)), "[turn, turn']"),
    Case("determinant", "E", lambda t, e: t.call("linalg_det.default", e), "[batch]"),
    Case("determinant", "v 3", lambda t, v: t.call("linalg_det.default", v), "[batch]"),
    Case("determinant", "K", lambda t, k: t.call("linalg_slogdet.default", k)[1], "[batch]"),
]  # fmt: skip

REFUSED = [
    Case("einsum", "W", lambda t, w: t.call("einsum.default", "bhx->bx", [w]), "multiplied by different numbers"),
    Case("einsum", "L d", lambda t, x, d: t.call("einsum.default", "bgk,bk->bg", [x, d]), "different spaces"),
    Case("einsum", "L c", lambda t, x, c: t.call("einsum.default", "bkj,bk->bj", [x, c]), "different spaces"),
    Case("einsum", "A A", lambda t, a, b: t.call("einsum.default", "blx,bly->bxy", [a, b]), "multiplied entry by entry"),
    Case("einsum", "Q P", lambda t, q, p: t.call("einsum.default", "bhqi,bgqj->bij", [q, p]), "different copies"),
    Case("einsum", "M", lambda t, m: t.call("einsum.default", "bhm->bm", [m]), "own copy"),
    Case("einsum", "c c", lambda t, a, b: t.call("einsum.default", "bk,ck->kc", [a, b]), "different copies"),
    Case("einsum", "u", lambda t, u: t.call("einsum.default", "bi,ij->bj", [u, quarter_turn(t)]), "varies freely"),
    Case("einsum", "F", lambda t, f: t.call("einsum.default", "bfx,gf->bgx", [f, t.weight(4, 4)]), "multiplied by different numbers"),
    Case("matrix product", "c", lambda t, c: t.call("matmul.default", c, t.weight(5, 2)), "varies freely"),
    Case("matrix product", "K L", lambda t, k, x: t.call("matmul.default", k, x), "different spaces"),
    Case("matrix product and sum", "K", lambda t, k: t.call("baddbmm.default", t.weight(1, 5, 5), k, k), "varies freely"),
    Case("linear", "b 4", lambda t, b: t.call("linear.default", b, t.weight(2, 4), t.weight(2)), "different factors"),
    Case("linear", "c", lambda t, c: t.call("linear.default", c, t.weight(2, 5)), "varies freely"),
    Case("bilinear", "c c", lambda t, a, b: t.call("bilinear.default", a, b, t.weight(2, 5, 5)), "varies freely"),
    Case("tensordot", "c", lambda t, c: t.call("tensordot.default", c, t.weight(5), [1], [0]), "varies freely"),
    Case("cross product", "A A", lambda t, a, b: t.call("linalg_cross.default", a, b, dim=1), "varies freely"),
    Case("convolution", "c 4", lambda t, c: t.call("conv1d.default", t.call("transpose.int", c, 1, 2), t.weight(2, 4, 3), None, [1], [1]), "neighbours along `k`"),
    Case("convolution", "c 4", lambda t, c: t.call("convolution.default", t.call("transpose.int", c, 1, 2), t.weight(4, 2, 3), None, [1], [1], [1], True, [0], 1), "neighbours along `k`"),
    Case("convolution", "b 4", lambda t, b: t.call("conv1d.default", t.call("transpose.int", b, 1, 2), t.weight(2, 4, 1), t.weight(2)), "different factors"),
    Case("attention", "b 4", lambda t, b: t.call("scaled_dot_product_attention.default", b, b, b), "not homogeneous"),
    Case("attention", "c 4", lambda t, c: t.call("scaled_dot_product_attention.default", c, c, c, None, 0.0, True), "varies freely"),
    Case("function of matrix", "L", lambda t, x: t.call("linalg_matrix_exp.default", x), "different spaces"),
    Case("function of matrix", "Q", lambda t, q: t.call("linalg_matrix_exp.default", gram(t, q)), "multiplied entry by entry"),
    Case("inverse", "A", lambda t, a: t.call("linalg_inv.default", t.call("slice.Tensor", a, 2, 0, 3)), "axes `l` and `free 3`"),
    Case("solution", "E K", lambda t, e, k: t.call("linalg_solve.default", e, t.call("transpose.int", e, 1, 2)), "multiplied entry by entry"),
    Case("determinant", "u 2", lambda t, u: t.call("linalg_det.default", u), "varies freely"),
    Case("determinant", "A", lambda t, a: t.call("linalg_det.default", t.call("slice.Tensor", a, 2, 0, 3)), "varies freely"),
    Case("determinant", "Q", lambda t, q: t.call("linalg_det.default", gram(t, q)), "multiplied entry by entry"),
    Case("determinant", "A", lambda t, a: t.call("linalg_det.default", t.call("einsum.default", "blx,xyz->blyz", [a, t.weight(4, 2, 2)])), "another axis of the matrices is a vector"),
]  # fmt: skip


@pytest.mark.parametrize("case", TYPED, ids=str)
def test_what_these_rules_let_through(case: Case) -> None:
    check_typed(case)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_these_rules_refuse(case: Case) -> None:
    check_refused(case)
