"""Functions applied to every entry: which laws they let through.

Takes the table of functions, gives a rule for it. Where every charge is 0 and there is no vector axis, every
function may be applied. A charge passes a function only if that has the matching homogeneity, for all t and
all s > 0:

    degree k        f(s t) = s^k f(t)          positive charges (scale, dilate) are multiplied by k
    odd / even      f(-t) = -f(t) / f(t)       signs stay / are gone

A vector axis passes none of them; `square` makes a pair of it, if the space is orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from qecompile.verify.atoms import Charge, show_charge
from qecompile.verify.canonical import make
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.picking import pick
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply, product

Parity = Literal["odd", "even"] | None


@dataclass(frozen=True, slots=True)
class Function:
    """What is known of a function of one number.

    Attributes:
        degree: k where f(s t) = s^k f(t) for all s > 0.
        parity: whether f is odd or even.
        keeps_zero: whether f(0) = 0.
    """

    degree: Fraction | None = None
    parity: Parity = None
    keeps_zero: bool = False


ONE, HALF, NONE = Fraction(1), Fraction(1, 2), Fraction(0)
GROUPS: tuple[tuple[str, Function], ...] = (
    ("neg negative deg2rad rad2deg", Function(ONE, "odd", True)),
    ("abs", Function(ONE, "even", True)),
    ("relu leaky_relu", Function(ONE, None, True)),
    ("square", Function(2 * ONE, "even", True)),
    ("sqrt", Function(HALF, None, True)),
    ("rsqrt", Function(-HALF)),
    ("reciprocal", Function(-ONE, "odd")),
    ("sign sgn", Function(NONE, "odd", True)),
    ("angle", Function(NONE, None, True)),
    ("isnan isinf isfinite logical_not", Function(NONE, "even")),
    ("sin tan tanh asin atan sinh asinh atanh erf erfinv", Function(None, "odd", True)),
    ("arcsin arctan arcsinh arctanh trunc fix round frac softshrink hardshrink", Function(None, "odd", True)),
    ("special_i1 special_bessel_j1 special_modified_bessel_i1", Function(None, "odd", True)),
    ("cos cosh sinc i0 special_i0e special_bessel_j0 special_modified_bessel_i0", Function(None, "even")),
    ("silu gelu elu celu selu mish relu6 expm1 hardswish log1p floor ceil", Function(None, None, True)),
    ("exp exp2 log log2 log10 sigmoid softplus log_sigmoid hardsigmoid logit erfc", Function()),
    ("acos arccos acosh arccosh signbit lgamma digamma bitwise_not isposinf isneginf", Function()),
    ("special_ndtri special_erfcx special_log_ndtr", Function()),
)
FUNCTIONS = {name: function for names, function in GROUPS for name in names.split()}


def apply_function(t: Type, f: Function, name: str) -> Type:
    """The type of f at every entry of a value of type `t`."""
    if f.degree == 1 and f.parity == "odd":  # linear: a multiple
        return t
    for a in t.atoms.values():
        if a.kind in ("vector", "pair"):
            raise Refused(
                f"`{name}` is applied along the vector axis `{a.space}`"
                if a.kind == "vector"
                else f"`{name}` is applied to a {a.name} before it is summed",
                "a change of basis mixes these entries: gate by an invariant instead, x * f(invariant)",
            )
    charges = tuple(_through(c, f, name) for c in t.charges)
    if not f.keeps_zero and any(s in link for c in charges if c.power for s in c.subject for link in t.links):
        raise Refused(f"`{name}` of 0 is not 0, and the value is 0 off the diagonal, where charges differ")
    lost = (
        {"turn"} if f.parity == "odd" and f.keeps_zero else {"turn", "epsilon"}
    )  # f(c epsilon) = f(c) epsilon
    dims = [[replace(a, kind="free", group=0) if a.kind in lost else a for a in dim] for dim in t.dims]
    return make(dims, charges, t.links if f.keeps_zero else (), t.guards, t.zero and f.keeps_zero)


def _through(c: Charge, f: Function, name: str) -> Charge:
    space = c.character.space or "an alpha"
    if c.character.positive:
        if f.degree is None:
            raise Refused(
                f"`{name}` is not homogeneous, and the value is multiplied by a positive factor of {space} "
                f"({show_charge(c)})",
                "use relu, leaky_relu or abs, or divide by a norm of the same charge first",
            )
        return replace(c, power=c.power * f.degree)
    if f.parity is None:
        raise Refused(
            f"`{name}` is neither odd nor even, and {space} changes signs ({show_charge(c)})",
            "use an odd function such as tanh, or take abs first",
        )
    return replace(c, power=c.power if f.parity == "odd" else Fraction(0))


def power(exponent: float) -> Function:
    """T ** exponent."""
    whole = float(exponent).is_integer()
    parity: Parity = ("even" if exponent % 2 == 0 else "odd") if whole else None
    return Function(exact(exponent), parity, exponent > 0)


def exact(exponent: float) -> Fraction:
    """The fraction that a float stands for: the one with a small denominator that rounds to it, if any."""
    found = Fraction(exponent).limit_denominator(1 << 16)
    return found if float(found) == exponent else Fraction(exponent)


# --- rules ------------------------------------------------------------------------------------------------


@rule("function", " ".join(FUNCTIONS))
def function(call: Call) -> Type:
    """F(x) at every entry, by the table of functions below."""
    t = call.type("input" if "input" in call.given else "self")
    if call.name == "square" and _has_vectors(t):
        return multiply(t, t)
    return apply_function(t, FUNCTIONS[call.name], call.name)


def _has_vectors(t: Type) -> bool:
    return any(a.kind == "vector" for a in t.atoms.values())


@rule("power", "pow float_power")
def power_rule(call: Call) -> Type:
    """X^k: positive charges times k; a whole k keeps signs if odd, drops them if even."""
    exponent = call.given.get("exponent")
    base = call.type()
    if not isinstance(exponent, (int, float)):
        both = [apply_function(t, Function(), "pow") for t in (base, call.type("exponent"))]
        return add(*both)
    if exponent == 2 and _has_vectors(base):
        return multiply(base, base)
    return apply_function(base, power(float(exponent)), f"pow({exponent})")


@rule("cast", "to _to_copy type_as")
def cast(call: Call) -> Type:
    """T is kept by a floating dtype; else a step."""
    t = call.type()
    dtype = call.op.dtype
    if dtype is None or dtype.is_floating_point or t.is_invariant:
        return t
    is_bool = str(dtype) == "torch.bool"
    return apply_function(
        t, Function(Fraction(0), "even") if is_bool else Function(keeps_zero=True), call.name
    )


@rule("gated linear unit", "glu")
def glu(call: Call) -> Type:
    """X_1 sigmoid(x_2), the two halves of a fixed axis."""
    t, d = call.type(), call.dim(default=-1)
    half = t.shape[d] // 2
    gate = apply_function(pick(t, d, range(half, 2 * half)), FUNCTIONS["sigmoid"], "sigmoid")
    return multiply(pick(t, d, range(half)), gate)


@rule("parametric relu", "prelu")
def prelu(call: Call) -> Type:
    """Relu(x) - w relu(-x): degree 1, w along the second dimension."""
    t, weight = call.type(), call.type("weight")
    first = apply_function(t, FUNCTIONS["relu"], "prelu")
    rank = len(t.dims)
    labels = [1] if weight.dims and weight.dims[0] and rank > 1 else ["one"]
    return add(first, product([(first, range(rank)), (weight, labels if weight.dims else [])], range(rank)))


RULES: tuple[Rule, ...] = (function, power_rule, cast, glu, prelu)
