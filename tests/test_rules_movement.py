# ruff: noqa: E501 - one case a line
"""Rules that move, pick, join and fill: one line for each thing that they let through, or refuse."""

from __future__ import annotations

import pytest
import torch
from rule_cases import Case, check_refused, check_typed, places

TYPED = [
    Case("same value", "W", lambda t, w: t.call("clone.default", w), "[batch, h^{scale: 1}, free 4]"),
    Case("dropout", "b", lambda t, b: t.call("dropout.default", b, 0.5, False), "[batch, h^{scale: 1}]"),
    Case("regroup", "K 4", lambda t, k: t.call("flatten.using_ints", k, 1, 2), "[batch, (k k'), free 4]"),
    Case("regroup", "W 6", lambda t, w: t.call("view.default", w, [6, 3, 24]), "[batch, h^{scale: 1}, free 24]"),
    Case("regroup", "c 6", lambda t, c: t.call("unflatten.int", c, -1, [2, 3]), "[batch, k, free 2, free 3]"),
    Case("regroup", "K", lambda t, k: t.call("view.default", t.call("view.default", k, [6, 25]), [30, 5]), "[(batch k), k']"),
    Case("unsqueeze", "b", lambda t, b: t.call("unsqueeze.default", b, 1), "[batch, 1, h^{scale: 1}]"),
    Case("squeeze", "b", lambda t, b: t.call("squeeze.dim", t.call("unsqueeze.default", b, 1), 1), "[batch, h^{scale: 1}]"),
    Case("permute", "Q", lambda t, q: t.call("permute.default", q, [3, 0, 2, 1]), "[k, batch, q, head]"),
    Case("permute", "L", lambda t, x: t.call("transpose.int", x, 1, 2), "[batch, k, g]"),
    Case("permute", "Q", lambda t, q: t.call("movedim.int", q, 1, -1), "[batch, q, k, head]"),
    Case("expand", "b", lambda t, b: t.call("expand.default", t.call("unsqueeze.default", b, 2), [-1, -1, 7]), "[batch, h^{scale: 1}, uniform 7]"),
    Case("repeat", "c", lambda t, c: t.call("repeat.default", c, [1, 2]), "[batch, (uniform 2 k)]"),
    Case("repeat interleave", "c", lambda t, c: t.call("repeat_interleave.self_int", c, 2, 1), "[batch, (k uniform 2)]"),
    Case("select", "W", lambda t, w: t.call("select.int", w, 2, 1), "[batch, h^{scale: 1}]"),
    Case("select", "F", lambda t, f: t.call("select.int", f, 1, 2), "[batch, free 4] (scale: 1 at batch[2])"),
    Case("slice", "W", lambda t, w: t.call("slice.Tensor", w, 2, 1, 3), "[batch, h^{scale: 1}, free 2]"),
    Case("slice", "c", lambda t, c: t.call("slice.Tensor", c, 1, 0, 99), "[batch, k]"),
    Case("slice", "K", lambda t, k: t.call("slice.Tensor", t.call("repeat.default", k, [1, 1, 2]), 2, 5, 10), "[batch, k, k']"),
    Case("split", "c 6", lambda t, c: t.call("split.Tensor", c, 4, 2)[1], "[batch, k, free 2]"),
    Case("unbind", "c 2", lambda t, c: t.call("unbind.int", c, 2)[1], "[batch, k]"),
    Case("flip", "F", lambda t, f: t.call("flip.default", f, [1, 2]), "[batch, f^{scale: 1}, free 4]"),
    Case("roll", "y", lambda t, y: t.call("roll.default", y, [1], [1]), "[batch, free 4]"),
    Case("index by places", "y", lambda t, y: t.call("index_select.default", y, 1, places(t, 3, 0, 0)), "[batch, free 3]"),
    Case("index by tensors", "K", lambda t, k: t.call("index.Tensor", k, [None, places(t, *range(5)), places(t, *range(5))]), "[batch, k]"),
    Case("index by tensors", "W", lambda t, w: t.call("index.Tensor", w, [None, None, places(t, 2, 1)]), "[batch, h^{scale: 1}, free 2]"),
    Case("cat", "c 2 c 3", lambda t, a, b: t.call("cat.default", [a, b], 2), "[batch, k, free 5]"),
    Case("cat", "b b", lambda t, a, b: t.call("cat.default", [a, b], 1), "[batch, (free 2 h^{scale: 1})]"),
    Case("cat", "c d", lambda t, a, b: t.call("cat.default", [a, b], 1), "[batch, k | g]"),
    Case("cat", "F", lambda t, f: t.call("cat.default", [t.call("slice.Tensor", f, 1, 2, 4), t.call("slice.Tensor", f, 1, 0, 2)], 1), "[batch, f^{scale: 1}, free 4]"),
    Case("stack", "b b", lambda t, a, b: t.call("stack.default", [a, b], -1), "[batch, h^{scale: 1}, free 2]"),
    Case("write", "y", lambda t, y: t.call("slice_scatter.default", y, t.call("zeros_like.default", t.call("slice.Tensor", y, 1, 0, 2)), 1, 0, 2), "[batch, free 4]"),
    Case("assignment", "c", lambda t, c: t.call("copy.default", t.call("zeros_like.default", c), c), "[batch, k]"),
    Case("diagonal", "K 4", lambda t, k: t.call("diagonal.default", k, 0, 1, 2), "[batch, free 4, k]"),
    Case("diagonal", "E", lambda t, e: t.call("diagonal.default", e, 0, 1, 2), "[batch, pair of l]"),
    Case("trace", "y", lambda t, y: t.call("trace.default", t.call("matmul.default", y, t.call("t.default", y))), "[]"),
    Case("diagonal matrix", "b", lambda t, b: t.call("diag_embed.default", b), "[batch, h^{scale: 1}, h'] (zero unless h = h')"),
    Case("vector and matrix", "y", lambda t, y: t.call("diag.default", t.call("matmul.default", y, t.call("t.default", y))), "[batch]"),
    Case("write to the diagonal", "E y", lambda t, e, y: t.call("diagonal_scatter.default", e, t.call("add.Tensor", t.call("diagonal.default", e, 0, 1, 2), t.call("sum.dim_IntList", y, [1], True)), 0, 1, 2), "[batch, l, l*]"),
    Case("write to the diagonal", "K c", lambda t, k, c: t.call("diagonal_scatter.default", k, c, 0, 1, 2), "[batch, k, k']"),
    Case("triangle", "y", lambda t, y: t.call("tril.default", t.call("einsum.default", "bi,bj->bij", [y, y])), "[batch, free 4, free 4]"),
    Case("zeros", "b", lambda t, b: t.call("zeros_like.default", b), "[zero 6 x 3]"),
    Case("ones", "c", lambda t, c: t.call("mul.Tensor", t.call("ones_like.default", c), c), "[batch, k]"),
    Case("full", "c", lambda t, c: t.call("full_like.default", c, 2.0), "[uniform 6, uniform 5]"),
]  # fmt: skip

REFUSED = [
    Case("dropout", "b", lambda t, b: t.call("dropout.default", b, 0.5, True), "random"),
    Case("regroup", "c 4", lambda t, c: t.call("view.default", c, [6, 4, 5]), "`k` would be cut"),
    Case("regroup", "W", lambda t, w: t.call("reshape.default", t.call("permute.default", w, [0, 2, 1]), [6, 6, 2]), "a part of `free 4`"),
    Case("select", "c", lambda t, c: t.call("select.int", c, 1, 0), "a permuted axis"),
    Case("select", "A", lambda t, a: t.call("select.int", a, 1, 0), "a vector axis"),
    Case("select", "c", lambda t, c: t.call("select.int", c, 0, 0), "entries of the batch"),
    Case("slice", "c", lambda t, c: t.call("slice.Tensor", c, 1, 1, 5), "a permuted axis"),
    Case("slice", "W 2", lambda t, w: t.call("slice.Tensor", t.call("flatten.using_ints", w, 1, 2), 1, 0, 6), "of the merged axis"),
    Case("split", "c", lambda t, c: t.call("split.Tensor", c, 3, 1)[0], "a permuted axis"),
    Case("unbind", "c", lambda t, c: t.call("unbind.int", c, 1)[0], "a permuted axis"),
    Case("flip", "L", lambda t, x: t.call("flip.default", x, [1]), "a permuted axis"),
    Case("roll", "c", lambda t, c: t.call("roll.default", c, [1], [1]), "a permuted axis"),
    Case("index by places", "c", lambda t, c: t.call("index_select.default", c, 1, places(t, 1, 0, 2, 3, 4)), "a permuted axis"),
    Case("index by places", "F", lambda t, f: t.call("index_select.default", f, 1, places(t, 1, 1)), "more than once"),
    Case("index by tensors", "L", lambda t, x: t.call("index.Tensor", x, [None, places(t, *range(5)), places(t, *range(5))]), "different spaces"),
    Case("index by tensors", "c", lambda t, c: t.call("index.Tensor", c, [None, places(t, 0)]), "a permuted axis"),
    Case("cat", "b t", lambda t, a, b: t.call("cat.default", [a, b], 1), "multiplied by different numbers"),
    Case("cat", "b c", lambda t, a, b: t.call("cat.default", [a, b], 1), "multiplied by different numbers"),
    Case("stack", "b t", lambda t, a, b: t.call("stack.default", [a, b], 1), "different spaces"),
    Case("write", "c", lambda t, c: t.call("slice_scatter.default", c, t.call("zeros.default", [6, 2]), 1, 0, 2), "overwritten"),
    Case("assignment", "b", lambda t, b: t.call("copy.default", t.constant(torch.zeros(6, 3, dtype=torch.int64)), b), "not homogeneous"),
    Case("diagonal", "L", lambda t, x: t.call("diagonal.default", x, 0, 1, 2), "different spaces"),
    Case("diagonal", "K", lambda t, k: t.call("diagonal.default", k, 1, 1, 2), "shifts an index"),
    Case("trace", "c", lambda t, c: t.call("trace.default", c), "do not line up"),
    Case("diagonal matrix", "v", lambda t, v: t.call("diag_embed.default", v), "diagonal matrix is made along `r`"),
    Case("vector and matrix", "c", lambda t, c: t.call("diag.default", c), "shifts an index"),
    Case("write to the diagonal", "E", lambda t, e: t.call("diagonal_scatter.default", e, t.call("mul.Tensor", t.call("diagonal.default", e, 0, 1, 2), 2.0), 0, 1, 2), "change of basis is overwritten"),
    Case("write to the diagonal", "K", lambda t, k: t.call("diagonal_scatter.default", k, t.call("expand.default", t.weight(5), [6, 5]), 0, 1, 2), "varies freely"),
    Case("triangle", "K", lambda t, k: t.call("tril.default", k), "compares places along `k`"),
    Case("sum", "b", lambda t, b: t.call("fill.Tensor", b, t.call("sum.default", b)), "different numbers"),
    Case("empty", "b", lambda t, b: t.call("empty_like.default", b), "without values"),
]  # fmt: skip


@pytest.mark.parametrize("case", TYPED, ids=str)
def test_what_these_rules_let_through(case: Case) -> None:
    check_typed(case)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_these_rules_refuse(case: Case) -> None:
    check_refused(case)
