"""Logarithms: raw values whose exponential is typed.

Takes operations with such arguments, gives types. A factor s of x is added to v = log x as log s, so that v
obeys no law of a tensor, while exp v does. The type of exp v is carried along:

    exp(u + v) = exp u exp v      exp(k v) = (exp v)^k      exp(mean_i v[i]) has the charges of exp v
    exp v = x again               softmax v, std v and v - mean v do not change if one number is added to all

with charges that must be equal along every axis that is reduced. A logarithm of charge 0 is a typed value
like others. Entries of 0 have the logarithm -inf, which obeys every such law.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from qecompile.verify.raw import Raw
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import FAILURES, Refused
from qecompile.verify.rules import movement, picking
from qecompile.verify.rules.call import Call, Result
from qecompile.verify.rules.combining import divide
from qecompile.verify.rules.pointwise import FUNCTIONS, Function, apply_function, exact
from qecompile.verify.rules.table import RULES
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply

MOVES = frozenset(
    op for family in (movement, picking) for rule in family.RULES for op in rule.ops if "dropout" not in op
)
SIDE_BY_SIDE = frozenset(("cat", "stack"))
MIDDLES = frozenset("amax amin median quantile nanquantile sort msort topk maximum minimum max min".split())
ORDERS = frozenset("gt lt ge le greater less greater_equal less_equal".split())
DIFFERENCES = frozenset("softmax log_softmax _softmax _log_softmax std var layer_norm".split())


def new_log(call: Call) -> Type | None:
    """The type of exp of a refused result that is the logarithm of a value with positive charges."""
    t = call.given.get("self")
    if call.name != "log" or not isinstance(t, Type) or t.links or t.guards or t.zero:
        return None
    if any(a.kind in ("vector", "pair") for a in t.atoms.values()):
        return None
    return t if all(c.character.positive and c.character.word != "raw" for c in t.charges) else None


@dataclass(frozen=True)
class Logarithm:
    """A result that is the logarithm of a value of that type."""

    of: Type


def of_logs(call: Call) -> tuple[Type | Logarithm | None, ...] | None:
    """The results of an operation with logarithms, one for each, None where nothing is known."""
    if not any(isinstance(v, Raw) and v.log for v in _flat(call.given.values())):
        return None
    law = next((law for names, law in _LAWS.items() if call.name in names), None)
    try:
        found = law(call) if law else None
    except FAILURES:
        return None
    if found is None:
        return None
    parts = found if isinstance(found, tuple) else (found,)
    typed = call.name == "exp" or call.name in DIFFERENCES | ORDERS
    several = call.name in MOVES
    return tuple(_settled(part, typed or (k > 0 and not several)) for k, part in enumerate(parts))


def _settled(t: Type | Refused, typed: bool) -> Type | Logarithm | None:
    """A logarithm of charge 0 is a typed value."""
    if isinstance(t, Refused):
        return None
    return t if typed else Logarithm(t) if t.charges else apply_function(t, Function(), "log")


# --- laws -------------------------------------------------------------------------------------------------


def exponential(value: object) -> Type:
    """The type of exp of an argument."""
    if isinstance(value, Raw):
        if value.log is None:
            raise Refused("a value that obeys no law is added to a logarithm")
        return value.log
    if isinstance(value, Type):
        return apply_function(replace(value, zero=False, links=()), FUNCTIONS["exp"], "exp")
    raise Refused("a number is added to a logarithm")


def _moved(call: Call) -> Result:
    """Entries in other places, or the middle or largest of some: the same for their exponentials."""
    raised = ("self", "tensors") if call.name in MOVES else ("self", "tensors", "other")
    given = {name: _raised(v) if name in raised else v for name, v in call.given.items()}
    return RULES[call.name].apply(replace(call, given=given))


def _raised(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_raised, value))
    return exponential(value) if isinstance(value, (Raw, Type)) else 1  # exp of a number: a constant, not 0


def _sum_of_two(call: Call) -> Type:
    one, other = call.given.get("self"), call.given.get("other")
    if call.get("alpha", 1) != 1:
        raise Refused("multiples of logarithms are added")
    if call.name == "rsub":
        one, other = other, one
    if isinstance(other, (int, float)):  # a constant factor
        return exponential(one)
    if isinstance(one, (int, float)):
        return apply_function(exponential(other), FUNCTIONS["reciprocal"], "exp")
    return (multiply if call.name == "add" else divide)(exponential(one), exponential(other))


def _multiple(call: Call) -> Type:
    factor = -1 if call.name == "neg" else call.given.get("other")
    if not isinstance(factor, (int, float)) or not factor:
        raise Refused("a logarithm is multiplied by a tensor")
    power = exact(float(factor))
    return apply_function(
        exponential(call.given["self"]), Function(1 / power if call.name == "div" else power), "exp"
    )


def _mean(call: Call) -> Type:
    t = exponential(call.given["self"])
    call = replace(call, given={**call.given, "self": t})
    over, keep = call.dims("dim"), bool(call.get("keepdim", False))
    reduced = reduce_dims(t, over, keep, linear=False)
    if call.name != "sum":
        return reduced
    return apply_function(reduced, Function(Fraction(prod(t.shape[d] for d in over))), "exp")


def _together(call: Call) -> Type:
    """log(exp u + exp v)."""
    return add(exponential(call.given["self"]), exponential(call.given["other"]))


def _differences(call: Call) -> Result:
    """A function of the differences along an axis."""
    name = "input" if call.name == "layer_norm" else "self"
    t = exponential(call.given[name])
    call = replace(call, given={**call.given, name: t})
    rank = len(t.dims)
    last = range(rank - len(call.ints("normalized_shape", ())), rank)
    reduce_dims(t, last if call.name == "layer_norm" else call.dims("dim"), linear=False)
    same = with_dims(replace(t, charges=()), t.dims)
    return RULES[call.name].apply(replace(call, given={**call.given, name: same}))


def _exponential(call: Call) -> Type:
    return exponential(call.given["self"])


_LAWS: Mapping[frozenset[str], Callable[[Call], Result]] = {
    MOVES | SIDE_BY_SIDE | MIDDLES | ORDERS: _moved,
    frozenset(("add", "sub", "rsub")): _sum_of_two,
    frozenset(("mul", "div", "neg")): _multiple,
    frozenset(("mean", "sum", "logsumexp")): _mean,
    frozenset(("logaddexp",)): _together,
    DIFFERENCES: _differences,
    frozenset(("exp",)): _exponential,
}


def _flat(values: object) -> list[object]:
    found: list[object] = []
    for value in values:  # type: ignore[attr-defined]
        found += _flat(value) if isinstance(value, tuple) else [value]
    return found
