"""Rules for entries of several tensors combined, aligned by broadcasting: sums, products, comparisons."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, as_type, rule
from qecompile.verify.rules.pointwise import FUNCTIONS, Function, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply

SIGN_BLIND = Function(Fraction(0), "even")
ORDER = Function(Fraction(0), None)


@rule("sum of two", "add sub subtract rsub lerp")
def add_rule(call: Call) -> Type:
    """X + y: one law for both, and so for the sum."""
    if call.name == "lerp":
        one, other = call.type(), call.type("end")
        return add(one, multiply(call.type("weight"), add(one, other)))
    other = call.type("other")
    factor = call.given.get("alpha")
    return add(call.type(), multiply(other, as_type(factor)) if factor is not None else other)


@rule("product of two", "mul multiply")
def mul(call: Call) -> Type:
    """X y: charges add up; v v*, entry by entry, is a pair."""
    return multiply(call.type(), call.type("other"))


@rule("quotient", "div divide true_divide")
def div(call: Call) -> Type:
    """X / y = x y^-1: charges are subtracted."""
    if call.get("rounding_mode") is not None:
        return any_of(call, "div")
    return divide(call.type(), call.type("other"))


def divide(t: Type, by: Type) -> Type:
    """X / y."""
    return multiply(t, apply_function(by, FUNCTIONS["reciprocal"], "division"))


@rule("sum and product", "addcmul addcdiv")
def addc(call: Call) -> Type:
    """X + c y z, x + c y / z."""
    one, other = call.type("tensor1"), call.type("tensor2")
    term = multiply(one, other) if call.name == "addcmul" else divide(one, other)
    return add(call.type(), multiply(term, as_type(call.get("value", 1))))


def any_of(call: Call, name: str) -> Type:
    """A function of several numbers of which nothing is known: all of charge 0."""
    if name in ("bucketize", "searchsorted"):
        return _between(call)
    given = [apply_function(as_type(v), Function(), name) for v in call.given.values() if _is_operand(v)]
    return replace(add(*[replace(t, links=(), zero=False) for t in given]), links=())


def _is_operand(value: object) -> bool:
    return isinstance(value, (Type, int, float)) and not isinstance(value, bool)


@rule(
    "any function of two",
    "remainder fmod floor_divide logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "__and__ __or__ __xor__ copysign logaddexp logaddexp2 xlogy heaviside igamma igammac special_zeta "
    "nextafter bucketize searchsorted",
)
def any_rule(call: Call) -> Type:
    """F(x, y): charge 0."""
    return any_of(call, call.name)


def _between(call: Call) -> Type:
    """Between which borders every number lies: borders that are the same for all."""
    table = call.type("boundaries" if call.name == "bucketize" else "sorted_sequence")
    if len(table.dims) != 1 or not table.is_invariant:
        raise Refused("borders that depend on theta, or differ from row to row, have no rule")
    found = apply_function(as_type(call.given["self"]), Function(), call.name)
    return replace(found, links=(), zero=False)


@rule("hypotenuse", "hypot")
def hypotenuse(call: Call) -> Type:
    """Sqrt(x^2 + y^2): one law up to signs, even, of degree 1."""
    sizes = [apply_function(call.type(name), FUNCTIONS["abs"], "hypot") for name in ("self", "other")]
    return extreme(*sizes, name="hypot")


@rule("power of two", "ldexp")
def ldexp(call: Call) -> Type:
    """X 2^k: the law of x, and k of charge 0."""
    return multiply(call.type(), apply_function(call.type("other"), FUNCTIONS["exp2"], "ldexp"))


@rule("larger or smaller", "maximum minimum fmax fmin")
def maximum(call: Call) -> Type:
    """Max(x, y): one law, of degree 1."""
    return extreme(call.type(), call.type("other"), name=call.name)


def extreme(*types: Type, name: str) -> Type:
    """The largest or smallest of several values: homogeneous of degree 1, neither odd nor even."""
    return apply_function(add(*types), FUNCTIONS["relu"], name)


@rule("clamp", "clamp clamp_min clamp_max clip hardtanh threshold")
def clamp(call: Call) -> Type:
    """Min(max(x, a), b): bounds of the law of x; 0 is one; odd for bounds -a and a."""
    if call.name == "threshold":
        bounds = [call.type("threshold"), call.type("value")]
    else:
        names = ("min_val", "max_val") if call.name == "hardtanh" else ("min", "max")
        bounds = [call.type(name) for name in names if call.get(name) is not None]
        low, high = (call.get(name) for name in names)
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low == -high:
            return apply_function(call.type(), Function(None, "odd", True), call.name)
    return extreme(call.type(), *bounds, name=call.name)


@rule("angle", "atan2 arctan2")
def atan2(call: Call) -> Type:
    """Atan2(y, x): one positive charge for both, which is gone after."""
    return apply_function(add(call.type(), call.type("other")), ORDER, call.name)


@rule("replace nan", "nan_to_num")
def nan_to_num(call: Call) -> Type:
    """Charge 0: the largest number does not scale."""
    return apply_function(call.type(), Function(None, None, True), call.name)


@rule("order", "lt le gt ge less less_equal greater greater_equal")
def order(call: Call) -> Type:
    """X > y: one law; positive charges are gone after."""
    both = add(call.type(), call.type("other"))
    return apply_function(replace(both, links=(), zero=False), ORDER, call.name)


@rule("equality", "eq ne not_equal isclose")
def equality(call: Call) -> Type:
    """X = y: one law; charges and signs are gone after."""
    if call.name == "isclose":
        return any_of(call, call.name)
    both = add(call.type(), call.type("other"))
    return apply_function(replace(both, links=(), zero=False), SIGN_BLIND, call.name)


RULES: tuple[Rule, ...] = (
    add_rule,
    mul,
    div,
    addc,
    any_rule,
    hypotenuse,
    ldexp,
    maximum,
    clamp,
    atan2,
    nan_to_num,
    order,
    equality,
)
