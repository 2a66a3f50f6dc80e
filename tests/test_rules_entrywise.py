# ruff: noqa: E501 - one case a line
"""Rules for functions, sums, products, comparisons and choices, entry by entry: one line for each case."""

from __future__ import annotations

import pytest
import torch
from rule_cases import Case, check_refused, check_typed, eye

from qecompile.verify.rules.pointwise import FUNCTIONS


def norm_of(t, w):
    return t.call("linalg_vector_norm.default", w, 2, [2], True)


def safe(t, n):
    positive = t.call("gt.Scalar", n, 0)
    return positive, t.call("where.self", positive, n, t.constant(torch.ones((), dtype=torch.float64)))


TYPED = [
    Case("function", "c 2", lambda t, c: t.call("gelu.default", c), "[batch, k, free 2]"),
    Case("function", "b", lambda t, b: t.call("relu.default", b), "[batch, h^{scale: 1}]"),
    Case("function", "b", lambda t, b: t.call("square.default", b), "[batch, h^{scale: 2}]"),
    Case("function", "b", lambda t, b: t.call("sqrt.default", t.call("abs.default", b)), "[batch, h^{scale: 1/2}]"),
    Case("function", "V", lambda t, v: t.call("reciprocal.default", v), "[batch, free 4, h^{scale: 1}]"),
    Case("function", "b", lambda t, b: t.call("sign.default", b), "[batch, h]"),
    Case("function", "t", lambda t, s: t.call("tanh.default", s), "[batch, s^{sign: 1}]"),
    Case("function", "t", lambda t, s: t.call("cos.default", s), "[batch, s]"),
    Case("function", "A", lambda t, a: t.call("neg.default", a), "[batch, l, free 4]"),
    Case("function", "v", lambda t, v: t.call("square.default", v), "[batch, pair of r]"),
    Case("function", "c", lambda t, c: t.call("sigmoid.default", t.call("diag_embed.default", c)), "[batch, k, k']"),
    Case("power", "b", lambda t, b: t.call("pow.Tensor_Scalar", b, 3), "[batch, h^{scale: 3}]"),
    Case("power", "t", lambda t, s: t.call("pow.Tensor_Scalar", s, 2), "[batch, s]"),
    Case("power", "c d", lambda t, c, d: t.call("pow.Scalar", 2.0, c), "[batch, k]"),
    Case("cast", "b", lambda t, b: t.call("_to_copy.default", b, dtype=torch.float32), "[batch, h^{scale: 1}]"),
    Case("cast", "b", lambda t, b: t.call("_to_copy.default", b, dtype=torch.bool), "[batch, h]"),
    Case("gated linear unit", "c 4", lambda t, c: t.call("glu.default", c, -1), "[batch, k, free 2]"),
    Case("parametric relu", "b", lambda t, b: t.call("prelu.default", b, t.weight(1)), "[batch, h^{scale: 1}]"),
    Case("sum of two", "b b", lambda t, a, b: t.call("add.Tensor", a, b, alpha=2), "[batch, h^{scale: 1}]"),
    Case("sum of two", "K c", lambda t, k, c: t.call("sub.Tensor", k, t.call("unsqueeze.default", c, 1)), "[batch, k, k']"),
    Case("sum of two", "K", lambda t, k: t.call("add.Tensor", k, t.call("transpose.int", k, 1, 2)), "[batch, k, k']"),
    Case("sum of two", "E", lambda t, e: t.call("add.Tensor", e, eye(t, 3)), "[batch, l, l*]"),
    Case("sum of two", "c y", lambda t, c, y: t.call("add.Tensor", c, 1.0), "[batch, k]"),
    Case("sum of two", "c c", lambda t, a, b: t.call("lerp.Scalar", a, b, 0.3), "[batch, k]"),
    Case("product of two", "W b", lambda t, w, b: t.call("mul.Tensor", w, t.call("unsqueeze.default", b, 2)), "[batch, h^{scale: 2}, free 4]"),
    Case("product of two", "F", lambda t, f: t.call("mul.Tensor", f, t.weight(4, 4)), "[batch, f^{scale: 1}, free 4]"),
    Case("product of two", "K", lambda t, k: t.call("mul.Tensor", k, eye(t, 5)), "[batch, k, k'] (zero unless k = k')"),
    Case("product of two", "v", lambda t, v: t.call("mul.Tensor", v, v), "[batch, pair of r]"),
    Case("quotient", "W b", lambda t, w, b: t.call("div.Tensor", w, t.call("unsqueeze.default", b, 2)), "[batch, h, free 4]"),
    Case("quotient", "c", lambda t, c: t.call("div.Tensor_mode", c, 2.0, rounding_mode="floor"), "[batch, k]"),
    Case("sum and product", "b c", lambda t, b, c: t.call("addcmul.default", b, b, t.weight(1)), "[batch, h^{scale: 1}]"),
    Case("any function of two", "c c", lambda t, a, b: t.call("fmod.Tensor", a, b), "[batch, k]"),
    Case("larger or smaller", "b b", lambda t, a, b: t.call("maximum.default", a, b), "[batch, h^{scale: 1}]"),
    Case("clamp", "b", lambda t, b: t.call("clamp.default", b, 0), "[batch, h^{scale: 1}]"),
    Case("clamp", "c", lambda t, c: t.call("clamp.default", c, -1, 1), "[batch, k]"),
    Case("clamp", "t", lambda t, s: t.call("clamp.default", s, -1, 1), "[batch, s^{sign: 1}]"),
    Case("clamp", "t", lambda t, s: t.call("hardtanh.default", s), "[batch, s^{sign: 1}]"),
    Case("angle", "b b", lambda t, a, b: t.call("atan2.default", a, b), "[batch, h]"),
    Case("replace nan", "c", lambda t, c: t.call("nan_to_num.default", c), "[batch, k]"),
    Case("any function of two", "c", lambda t, c: t.call("bucketize.Tensor", c, t.constant(torch.arange(4.0) - 2)), "[batch, k]"),
    Case("hypotenuse", "b b", lambda t, a, b: t.call("hypot.default", a, b), "[batch, h^{scale: 1}]"),
    Case("hypotenuse", "t t", lambda t, a, b: t.call("hypot.default", a, b), "[batch, s]"),
    Case("power of two", "b", lambda t, b: t.call("ldexp.Tensor", b, t.constant(torch.tensor(2))), "[batch, h^{scale: 1}]"),
    Case("order", "b", lambda t, b: t.call("gt.Scalar", b, 0), "[batch, h]"),
    Case("order", "b b", lambda t, a, b: t.call("le.Tensor", a, b), "[batch, h]"),
    Case("equality", "t t", lambda t, a, b: t.call("eq.Tensor", a, b), "[batch, s]"),
    Case("choice", "b", lambda t, b: t.call("where.self", t.call("gt.Scalar", b, 0), b, t.call("zeros_like.default", b)), "[batch, h^{scale: 1}]"),
    Case("choice", "K", lambda t, k: t.call("masked_fill.Scalar", k, t.constant(torch.eye(5) > 0), -1.0), "[batch, k, k']"),
    Case("choice", "K", lambda t, k: t.call("where.self", t.constant(torch.eye(5) > 0), k, t.call("zeros_like.default", k)), "[batch, k, k'] (zero unless k = k')"),
    Case("choice", "W", lambda t, w: t.call("where.self", (n := safe(t, norm_of(t, w)))[0], t.call("div.Tensor", w, n[1]), t.call("zeros_like.default", w)), "[batch, h, free 4]"),
    Case("choice", "W", lambda t, w: safe(t, norm_of(t, w))[1], "[batch, h^{scale: 1}, 1] (only where a condition holds)"),
]  # fmt: skip

REFUSED = [
    Case("function", "b", lambda t, b: t.call("tanh.default", b), "not homogeneous"),
    Case("function", "t", lambda t, s: t.call("relu.default", s), "neither odd nor even"),
    Case("function", "A", lambda t, a: t.call("relu.default", a), "along the vector axis `l`"),
    Case("function", "v", lambda t, v: t.call("abs.default", t.call("mul.Tensor", v, v)), "before it is summed"),
    Case("function", "A", lambda t, a: t.call("square.default", a), "multiplied entry by entry"),
    Case("power", "t", lambda t, s: t.call("pow.Tensor_Scalar", s, 0.5), "neither odd nor even"),
    Case("power", "b", lambda t, b: t.call("pow.Scalar", 2.0, b), "not homogeneous"),
    Case("cast", "b", lambda t, b: t.call("_to_copy.default", b, dtype=torch.int64), "not homogeneous"),
    Case("gated linear unit", "W 2", lambda t, w: t.call("glu.default", w, -1), "not homogeneous"),
    Case("parametric relu", "t", lambda t, s: t.call("prelu.default", s, t.weight(1)), "neither odd nor even"),
    Case("parametric relu", "c", lambda t, c: t.call("prelu.default", c, t.weight(5)), "varies freely"),
    Case("sum of two", "b", lambda t, b: t.call("add.Tensor", b, 1e-6), "different factors"),
    Case("sum of two", "b V", lambda t, b, v: t.call("add.Tensor", b, t.call("select.int", v, 1, 0)), "different factors"),
    Case("sum of two", "c d", lambda t, c, d: t.call("add.Tensor", c, d), "different spaces"),
    Case("sum of two", "L", lambda t, x: t.call("add.Tensor", x, t.call("transpose.int", x, 1, 2)), "different spaces"),
    Case("sum of two", "c", lambda t, c: t.call("add.Tensor", c, t.weight(5)), "varies freely"),
    Case("sum of two", "c", lambda t, c: t.call("add.Tensor", c, t.constant(torch.arange(5.0))), "varies freely"),
    Case("sum of two", "c", lambda t, c: t.call("add.Tensor", c, t.weight(6, 1)), "meets `batch`"),
    Case("sum of two", "A B", lambda t, a, b: t.call("add.Tensor", a, t.call("transpose.int", b, 1, 2)), "added to a dual one"),
    Case("sum of two", "E", lambda t, e: t.call("add.Tensor", e, t.constant(torch.ones(3, 3))), "no vector"),
    Case("product of two", "c", lambda t, c: t.call("mul.Tensor", c, t.weight(5)), "varies freely"),
    Case("product of two", "A", lambda t, a: t.call("mul.Tensor", a, t.weight(3, 1)), "varies freely"),
    Case("product of two", "A A", lambda t, a, b: t.call("mul.Tensor", a, b), "multiplied entry by entry"),
    Case("quotient", "c A", lambda t, c, a: t.call("div.Tensor", a, a), "along the vector axis"),
    Case("sum and product", "b", lambda t, b: t.call("addcmul.default", b, b, b), "different factors"),
    Case("any function of two", "b", lambda t, b: t.call("fmod.Scalar", b, 2.0), "not homogeneous"),
    Case("any function of two", "b", lambda t, b: t.call("bucketize.Tensor", b, t.constant(torch.arange(4.0))), "not homogeneous"),
    Case("any function of two", "c", lambda t, c: t.call("bucketize.Tensor", t.constant(torch.arange(3.0)), t.call("reshape.default", c, [30])), "depend on theta"),
    Case("hypotenuse", "b", lambda t, b: t.call("hypot.default", b, t.constant(torch.ones(1))), "different factors"),
    Case("hypotenuse", "v v", lambda t, a, b: t.call("hypot.default", a, b), "along the vector axis"),
    Case("power of two", "b", lambda t, b: t.call("ldexp.Tensor", t.constant(torch.ones(1)), b), "not homogeneous"),
    Case("larger or smaller", "b", lambda t, b: t.call("maximum.default", b, t.constant(torch.ones(1))), "different factors"),
    Case("clamp", "b", lambda t, b: t.call("clamp.default", b, -1, 1), "not homogeneous"),
    Case("clamp", "b", lambda t, b: t.call("clamp.default", b, -1, 2), "different factors"),
    Case("clamp", "t", lambda t, s: t.call("clamp.default", s, -1, 2), "different factors"),
    Case("angle", "b c", lambda t, b, c: t.call("atan2.default", b, t.call("ones_like.default", b)), "different factors"),
    Case("replace nan", "b", lambda t, b: t.call("nan_to_num.default", b), "not homogeneous"),
    Case("order", "t", lambda t, s: t.call("gt.Scalar", s, 0), "neither odd nor even"),
    Case("order", "b", lambda t, b: t.call("gt.Scalar", b, 0.5), "different factors"),
    Case("equality", "A", lambda t, a: t.call("eq.Tensor", a, a), "along the vector axis"),
    Case("choice", "c", lambda t, c: t.call("where.self", t.constant(torch.arange(5) > 2), c, t.call("zeros_like.default", c)), "varies freely"),
    Case("choice", "b V", lambda t, b, v: t.call("where.self", t.call("gt.Scalar", b, 0), b, t.call("select.int", v, 1, 0)), "different factors"),
    Case("sum", "W", lambda t, w: t.call("sum.dim_IntList", t.call("div.Tensor", w, safe(t, norm_of(t, w))[1]), [1]), "only where a condition holds"),
]  # fmt: skip


@pytest.mark.parametrize("case", TYPED, ids=str)
def test_what_these_rules_let_through(case: Case) -> None:
    check_typed(case)


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_these_rules_refuse(case: Case) -> None:
    check_refused(case)


POINTS = torch.linspace(-3, 3, 25, dtype=torch.float64)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_as_the_table_says(name: str) -> None:
    f, known = getattr(torch.ops.aten, name).default, FUNCTIONS[name]
    x = POINTS > 0 if name == "bitwise_not" else POINTS
    if known.keeps_zero:
        assert float(f(torch.zeros(1, dtype=torch.float64))) == 0
    if known.degree is not None:
        torch.testing.assert_close(
            f(2.5 * x).double(), 2.5 ** float(known.degree) * f(x).double(), equal_nan=True
        )
    if known.parity is not None:
        sign = -1 if known.parity == "odd" else 1
        torch.testing.assert_close(f(-x).double(), sign * f(x).double(), equal_nan=True)
