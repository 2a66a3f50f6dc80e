"""Interval arithmetic on raw values: bounds on the entries of a result, from those of the arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from qecompile.verify.raw import ANYTHING, VIEWS, Interval, Raw
from qecompile.verify.rules.call import Call


def bounds(call: Call) -> Interval:
    """Bounds on the entries of the result; none where it may have been rounded to whole numbers."""
    if call.get("rounding_mode") or (call.op.dtype is not None and not call.op.dtype.is_floating_point):
        return ANYTHING
    one, other = (_interval(call, name) for name in (_first(call), "other"))
    match call.name:
        case "sin" | "cos" | "erf" | "sign":
            return -1.0, 1.0
        case "tanh" | "exp" | "sigmoid" | "relu" | "atan":
            low, high = (MONOTONE[call.name](end) for end in one)
            return low, high
        case "square" | "abs" | "softplus" | "var" | "std":
            return 0.0, math.inf
        case "softmax":
            return 0.0, 1.0
        case "where":
            return _chosen(call, one, other)
        case "stack" | "cat" if isinstance(parts := call.given.get("tensors"), tuple):
            ends = [p.interval if isinstance(p, Raw) else ANYTHING for p in parts]
            return min(low for low, _ in ends), max(high for _, high in ends)
        case "neg":
            return -one[1], -one[0]
        case "add" | "sub" | "rsub":
            return _sum(call, one, other)
        case "mul":
            return _hull(a * b for a in one for b in other)
        case "div" if other[0] > 0 or other[1] < 0:
            return _hull(a / b for a in one for b in other)
        case "reciprocal" if one[0] > 0:
            return 1 / one[1] if one[1] else math.inf, 1 / one[0]
        case "pow" if one[0] > 0 and isinstance(call.given.get("exponent"), (int, float)):
            return _hull(end ** float(call.given["exponent"]) for end in one)  # type: ignore[arg-type]
        case "clamp" | "clamp_min" | "clamp_max" | "hardtanh":
            floor, ceiling = (call.get(a, call.get(b, c)) for a, b, c in CLAMPS)
            if isinstance(floor, (int, float)) and isinstance(ceiling, (int, float)):
                return max(one[0], float(floor)), max(min(one[1], float(ceiling)), float(floor))
            return ANYTHING
        case "mean" | "amax" | "amin" | "select" | "slice" | "index_select" | "repeat" | "flip" | "diagonal":
            return one
    return one if call.name in VIEWS else ANYTHING


CLAMPS = (("min", "min_val", -math.inf), ("max", "max_val", math.inf))


def _chosen(call: Call, yes: Interval, no: Interval) -> Interval:
    """Bounds on where(c, x, y); where c says that x is positive, only positive x are chosen."""
    condition = call.origins.get("condition")
    asks = condition is not None and condition.name in ("gt", "ne") and condition.given.get("other") == 0
    same = condition is not None and condition.numbers.get("self") == call.numbers.get("self")
    if asks and same and yes[0] >= 0:
        yes = math.nextafter(0, 1), yes[1]
    return min(yes[0], no[0]), max(yes[1], no[1])


def _exp(x: float) -> float:
    return math.exp(min(x, 709.0)) if x < 709 else math.inf


MONOTONE: Mapping[str, Callable[[float], float]] = {
    "tanh": math.tanh,
    "exp": _exp,
    "sigmoid": lambda x: 0.0 if x < -36 else 1.0 if x > 36 else 1 / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "atan": math.atan,
}


def _first(call: Call) -> str:
    return "self" if "self" in call.given else "input"


def _interval(call: Call, name: str) -> Interval:
    value = call.given.get(name)
    if isinstance(value, Raw):
        return value.interval
    if isinstance(value, (int, float)):
        return float(value), float(value)
    return call.bounds.get(name, ANYTHING)


def _sum(call: Call, one: Interval, other: Interval) -> Interval:
    if call.name == "rsub":
        one, other = other, one
    factor = call.get("alpha", 1)
    if not isinstance(factor, (int, float)):
        return ANYTHING
    if call.name != "add":
        factor = -factor
    ends = sorted(factor * end for end in other) if factor else [0.0, 0.0]
    return one[0] + ends[0], one[1] + ends[1]


def _hull(values: Iterable[float]) -> Interval:
    found = [0.0 if math.isnan(v) else v for v in values]
    return min(found), max(found)
