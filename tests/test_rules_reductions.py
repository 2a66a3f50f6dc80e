# ruff: noqa: E501 - one case a line
"""Rules for reductions and normalisations: one line for each thing that they let through, or refuse."""

from __future__ import annotations

import pytest
import torch
from rule_cases import Case, check_refused, check_typed

HALF = torch.tensor([0.25, 0.5], dtype=torch.float64)

TYPED = [
    Case("sum", "K 4", lambda t, k: t.call("sum.dim_IntList", k, [1], True), "[batch, 1, k, free 4]"),
    Case("sum", "L", lambda t, x: t.call("mean.dim", x, [1, 2]), "[batch]"),
    Case("sum", "M", lambda t, m: t.call("sum.dim_IntList", m, [1, 2]), "[batch]"),
    Case("sum", "W", lambda t, w: t.call("sum.dim_IntList", w, [2]), "[batch, h^{scale: 1}]"),
    Case("sum", "V b", lambda t, v, b: t.call("sum.dim_IntList", t.call("mul.Tensor", v, t.call("unsqueeze.default", b, 1)), [2]), "[batch, free 4]"),
    Case("sum", "R", lambda t, r: t.call("sum.dim_IntList", t.call("mul.Tensor", r, r), [1, 2]), "[batch]"),
    Case("sum", "b", lambda t, b: t.call("sum.dim_IntList", t.call("diag_embed.default", b), [1]), "[batch, h^{scale: 1}]"),
    Case("sum", "y", lambda t, y: t.call("sum.default", y), "[]"),
    Case("sum", "A", lambda t, a: t.call("mean.dim", a, [2]), "[batch, l]"),
    Case("symmetric reduction", "W", lambda t, w: t.call("amax.default", w, [2]), "[batch, h^{scale: 1}]"),
    Case("symmetric reduction", "W", lambda t, w: t.call("var.correction", w, [2]), "[batch, h^{scale: 2}]"),
    Case("symmetric reduction", "S", lambda t, s: t.call("std.correction", s, [2]), "[batch, s]"),
    Case("symmetric reduction", "c 4", lambda t, c: t.call("logsumexp.default", c, [1]), "[batch, free 4]"),
    Case("symmetric reduction", "S", lambda t, s: t.call("any.dim", s, 2), "[batch, s]"),
    Case("moments", "W", lambda t, w: t.call("var_mean.correction", w, [2])[1], "[batch, h^{scale: 1}]"),
    Case("product", "W", lambda t, w: t.call("prod.dim_int", w, 2), "[batch, h^{scale: 4}]"),
    Case("product", "S", lambda t, s: t.call("prod.dim_int", s, 2), "[batch, s]"),
    Case("norm", "W", lambda t, w: t.call("linalg_vector_norm.default", w, 3, [2]), "[batch, h^{scale: 1}]"),
    Case("norm", "S", lambda t, s: t.call("norm.ScalarOpt_dim", s, 2, [2], True), "[batch, s, 1]"),
    Case("norm", "R", lambda t, r: t.call("linalg_vector_norm.default", r, 2, [1, 2]), "[batch]"),
    Case("norm", "L", lambda t, x: t.call("linalg_matrix_norm.str_ord", x, "nuc"), "[batch]"),
    Case("extreme with place", "c 4", lambda t, c: t.call("max.dim", c, 1)[0], "[batch, free 4]"),
    Case("extreme with place", "W", lambda t, w: t.call("min.dim", w, 2)[1], "[batch, h]"),
    Case("extreme with place", "c", lambda t, c: t.call("median.dim", c, 1)[0], "[batch]"),
    Case("place of extreme", "W", lambda t, w: t.call("argmax.default", w, 2), "[batch, h]"),
    Case("quantile", "c", lambda t, c: t.call("quantile.default", c, t.constant(HALF), 1), "[free 2, batch]"),
    Case("sort", "c 2", lambda t, c: t.call("sort.default", c, 1)[0], "[batch, free 5, free 2]"),
    Case("sort", "c", lambda t, c: t.call("topk.default", c, 3)[0], "[batch, free 3]"),
    Case("running extreme", "W", lambda t, w: t.call("cummax.default", w, 2)[0], "[batch, h^{scale: 1}, free 4]"),
    Case("running extreme", "W", lambda t, w: t.call("cummin.default", w, 2)[1], "[batch, h, free 4]"),
    Case("order of entries", "W", lambda t, w: t.call("argsort.default", w, 2), "[batch, h, free 4]"),
    Case("running reduction", "W", lambda t, w: t.call("cumsum.default", w, 2), "[batch, h^{scale: 1}, free 4]"),
    Case("softmax", "K", lambda t, k: t.call("softmax.int", k, 2), "[batch, k, k']"),
    Case("layer norm", "c 4", lambda t, c: t.call("layer_norm.default", c, [4], t.weight(4), t.weight(4)), "[batch, k, free 4]"),
    Case("layer norm", "t 4", lambda t, s: t.call("layer_norm.default", s, [4], t.weight(4)), "[batch, s^{sign: 1}, free 4]"),
    Case("layer norm", "c", lambda t, c: t.call("layer_norm.default", c, [5]), "[batch, k]"),
    Case("root mean square norm", "v", lambda t, v: t.call("rms_norm.default", v, [3]), "[batch, r]"),
    Case("root mean square norm", "t 4", lambda t, s: t.call("rms_norm.default", s, [4], t.weight(4)), "[batch, s^{sign: 1}, free 4]"),
    Case("group norm", "c 4", lambda t, c: t.call("group_norm.default", t.call("transpose.int", c, 1, 2), 2, t.weight(4), t.weight(4)), "[batch, free 4, k]"),
    Case("instance norm", "c 4", lambda t, c: t.call("instance_norm.default", t.call("transpose.int", c, 1, 2), None, None, None, None, True, 0.1, 1e-5, False), "[batch, free 4, k]"),
    Case("batch norm", "c 4", lambda t, c: t.call("batch_norm.default", t.call("transpose.int", c, 1, 2), None, None, None, None, True, 0.1, 1e-5, False), "[batch, free 4, k]"),
    Case("batch norm", "c 4", lambda t, c: t.call("batch_norm.default", t.call("transpose.int", c, 1, 2), t.weight(4), t.weight(4), t.constant(torch.zeros(4).double()), t.constant(torch.ones(4).double()), False, 0.1, 1e-5, False), "[batch, free 4, k]"),
]  # fmt: skip

REFUSED = [
    Case("sum", "b", lambda t, b: t.call("sum.dim_IntList", b, [1]), "scale: 1 is not 0"),
    Case("sum", "t", lambda t, s: t.call("mean.dim", s, [1]), "sign: 1 is not 0"),
    Case("sum", "A", lambda t, a: t.call("sum.dim_IntList", a, [1]), "vector axis"),
    Case("sum", "M", lambda t, m: t.call("sum.dim_IntList", m, [1]), "own copy of `m`"),
    Case("sum", "Q", lambda t, q: t.call("mean.dim", q, [1]), "own copy of `q`"),
    Case("sum", "c", lambda t, c: t.call("mean.dim", c, [0]), "own copy of `k`"),
    Case("sum", "F", lambda t, f: t.call("sum.dim_IntList", f, [1]), "scale: 1 is not 0"),
    Case("sum", "b", lambda t, b: t.call("sum.default", b), "scale: 1 is not 0"),
    Case("symmetric reduction", "b", lambda t, b: t.call("amax.default", b, [1]), "scale: 1 is not 0"),
    Case("symmetric reduction", "S", lambda t, s: t.call("amax.default", s, [2]), "neither odd nor even"),
    Case("symmetric reduction", "W", lambda t, w: t.call("logsumexp.default", w, [2]), "not homogeneous"),
    Case("symmetric reduction", "A", lambda t, a: t.call("std.correction", a, [2]), "along the vector axis"),
    Case("symmetric reduction", "v", lambda t, v: t.call("amax.default", t.call("mul.Tensor", v, v), [1]), "may be summed over"),
    Case("moments", "b", lambda t, b: t.call("var_mean.correction", b, [1])[0], "scale: 1 is not 0"),
    Case("product", "A", lambda t, a: t.call("prod.dim_int", a, 2), "along the vector axis"),
    Case("norm", "A", lambda t, a: t.call("linalg_vector_norm.default", a, 2, [1]), "multiplied entry by entry"),
    Case("norm", "v", lambda t, v: t.call("linalg_vector_norm.default", v, 1, [1]), "along a vector axis"),
    Case("norm", "b", lambda t, b: t.call("linalg_vector_norm.default", b, 2, [1]), "scale: 1 is not 0"),
    Case("norm", "M", lambda t, m: t.call("linalg_matrix_norm.str_ord", m, "nuc"), "every row has its own axes"),
    Case("extreme with place", "c 4", lambda t, c: t.call("max.dim", c, 1)[1], "a place along `k`"),
    Case("extreme with place", "S", lambda t, s: t.call("median.dim", s, 2)[0], "neither odd nor even"),
    Case("place of extreme", "c", lambda t, c: t.call("argmax.default", c, 1), "a place along `k`"),
    Case("quantile", "b", lambda t, b: t.call("quantile.default", b, t.constant(HALF), 1), "scale: 1 is not 0"),
    Case("sort", "c", lambda t, c: t.call("sort.default", c, 1)[1], "a place along `k`"),
    Case("sort", "M", lambda t, m: t.call("sort.default", m, 1)[0], "own copy of `m`"),
    Case("running reduction", "c", lambda t, c: t.call("cumsum.default", c, 1), "before one along `k`"),
    Case("running extreme", "c", lambda t, c: t.call("cummax.default", c, 1)[0], "are compared along `k`"),
    Case("running extreme", "S", lambda t, s: t.call("cummax.default", s, 2)[0], "neither odd nor even"),
    Case("order of entries", "c", lambda t, c: t.call("argsort.default", c, 1), "told apart by their places along `k`"),
    Case("running reduction", "F", lambda t, f: t.call("cumsum.default", f, 1), "scale: 1 is not 0"),
    Case("softmax", "b", lambda t, b: t.call("softmax.int", b, 1), "scale: 1 is not 0"),
    Case("softmax", "b 4", lambda t, b: t.call("softmax.int", b, 2), "not homogeneous"),
    Case("softmax", "c", lambda t, c: t.call("softmax.int", c, 0), "own copy of `k`"),
    Case("layer norm", "b 4", lambda t, b: t.call("layer_norm.default", b, [4]), "not homogeneous"),
    Case("layer norm", "c", lambda t, c: t.call("layer_norm.default", c, [5], t.weight(5)), "varies freely"),
    Case("layer norm", "t 4", lambda t, s: t.call("layer_norm.default", s, [4], t.weight(4), t.weight(4)), "different factors"),
    Case("layer norm", "v 4", lambda t, v: t.call("layer_norm.default", v, [4]), "along the vector axis"),
    Case("root mean square norm", "v", lambda t, v: t.call("rms_norm.default", v, [3], t.weight(3)), "varies freely"),
    Case("root mean square norm", "A", lambda t, a: t.call("rms_norm.default", t.call("transpose.int", a, 1, 2), [3]), "multiplied entry by entry"),
    Case("root mean square norm", "b 4", lambda t, b: t.call("rms_norm.default", b, [4]), "not homogeneous"),
    Case("group norm", "c", lambda t, c: t.call("group_norm.default", c, 1, t.weight(5)), "varies freely"),
    Case("instance norm", "W", lambda t, w: t.call("instance_norm.default", w, None, None, None, None, True, 0.1, 1e-5, False), "not homogeneous"),
    Case("batch norm", "c", lambda t, c: t.call("batch_norm.default", c, None, None, None, None, True, 0.1, 1e-5, False), "own copy of `k`"),
    Case("batch norm", "c", lambda t, c: t.call("batch_norm.default", c, None, None, t.constant(torch.zeros(5).double()), t.constant(torch.ones(5).double()), False, 0.1, 1e-5, False), "varies freely"),
]  # fmt: skip


@pytest.mark.parametrize("case", TYPED, ids=str)
def test_what_these_rules_let_through(case: Case) -> None:
    check_typed(case)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_these_rules_refuse(case: Case) -> None:
    check_refused(case)
