"""Raw values: those that obey no law, and what is known of them all the same.

Takes operations with raw arguments, gives raw results. A raw value becomes part of a proof in two ways only.
If interval arithmetic proves it positive, it is a field of positive numbers; if it is the identity plus a
matrix with row sums below 1, it is invertible (Gershgorin); a Cayley transform or exponential of a skew
matrix is a rotation. `cocycle.py` says what such values may do to typed ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call
from qecompile.verify.rules.joining import join
from qecompile.verify.rules.movement import new_order
from qecompile.verify.rules.pointwise import exact
from qecompile.verify.steps import Refusal
from qecompile.verify.types import Type, make

Interval = tuple[float, float]
ANYTHING: Interval = (-math.inf, math.inf)


@dataclass(frozen=True)
class Matrix:
    """What is known of the matrices over the last two axes of a raw value.

    Attributes:
        kind: `skew`; `cayley+` and `cayley-` for I + S and I - S with a skew S; `invertible` or `rotation`.
        name: of S, or of the matrix M of which this is M, M^-1, M^T or M^-T.
        inverse: whether it is an inverse of M.
        transposed: whether it is transposed.
    """

    kind: str
    name: str
    inverse: bool = False
    transposed: bool = False


@dataclass(frozen=True)
class Raw:
    """A value that obeys no law.

    Attributes:
        refusal: why not.
        shape: its shape.
        interval: bounds on its entries.
        base: which value it is a view of, by value number, to the power `power`.
        axes: for each dimension the axis of the base that it is; None where the size is 1.
        power: see `base`.
        matrix: what is known of it as a matrix.
        test: the type of whether it is 0, with vector axes that are still to be reduced. A vector is 0
            whatever its basis, so that the largest size of its entries has no law, and whether it is 0 has.
    """

    refusal: Refusal
    shape: tuple[int, ...]
    interval: Interval
    base: str
    axes: tuple[int | None, ...]
    power: Fraction = Fraction(1)
    matrix: Matrix | None = None
    test: Type | None = None

    @property
    def positive(self) -> bool:
        """Whether all entries are proved positive."""
        return self.interval[0] > 0


def new_raw(refusal: Refusal, number: str, shape: tuple[int, ...], interval: Interval = ANYTHING) -> Raw:
    """A raw value of which no more is known."""
    return Raw(refusal, shape, interval, number, tuple(k if n > 1 else None for k, n in enumerate(shape)))


def raw_result(call: Call, raw: Raw, number: str) -> Raw:
    """The result of an operation with a raw argument; `raw` is the first, `number` that of the result."""
    if call.name in VIEWS and isinstance(source := call.given.get("self"), Raw):
        seen = _view(call, source)
        if seen is not None:
            return seen
    found = new_raw(raw.refusal, number, call.op.shape, bounds(call))
    if call.name in ("pow", "reciprocal") and raw.positive:
        exponent = call.given.get("exponent", -1)
        if isinstance(exponent, (int, float)):
            power = raw.power * exact(exponent)
            found = replace(raw, power=power, interval=found.interval)
    return replace(found, matrix=_matrix(call, number), test=_test(call))


def refused_result(call: Call, refusal: Refusal, number: str) -> Raw:
    """The result of an operation on typed values to which its rule does not apply."""
    return replace(new_raw(refusal, number, call.op.shape, bounds(call)), test=_test(call))


def raw_parts(call: Call, raw: Raw, number: str) -> tuple[Raw, ...]:
    """The results of an operation with several of them."""
    return tuple(new_raw(raw.refusal, f"{number}.{k}", shape) for k, shape in enumerate(call.op.parts))


# --- views ------------------------------------------------------------------------------------------------

SAME = ("clone", "detach", "contiguous", "alias", "to", "_to_copy")
VIEWS = (*SAME, "unsqueeze", "squeeze", "expand", "view", "reshape", "permute", "transpose", "movedim", "mT")


def _view(call: Call, raw: Raw) -> Raw | None:
    """The same numbers in other places; None if axes are cut or joined."""
    shape = call.op.shape
    if call.name in SAME:
        return raw if call.op.dtype is None or call.op.dtype.is_floating_point else None
    raw = replace(raw, test=None)
    if call.name in ("permute", "transpose", "movedim", "mT"):
        rank = len(raw.shape)
        order = new_order(call, rank)
        turned = order[-2:] == [rank - 1, rank - 2] and order[:-2] == list(range(rank - 2))
        kept = order[-2:] == [rank - 2, rank - 1]
        matrix = _transposed(raw.matrix) if turned else raw.matrix if kept else None
        return replace(raw, shape=shape, axes=tuple(raw.axes[d] for d in order), matrix=matrix)
    large = [(n, axis) for n, axis in zip(raw.shape, raw.axes, strict=True) if n > 1]
    if call.name == "expand":
        raw = raw if raw.shape[-2:] == shape[-2:] else replace(raw, matrix=None)
        axes = [None] * (len(shape) - len(raw.axes)) + list(raw.axes)
        return replace(raw, shape=shape, axes=tuple(axes))
    if [n for n, _ in large] != [n for n in shape if n > 1]:
        return None
    left = iter(large)
    same = raw.shape[-2:] == shape[-2:]
    axes = [next(left)[1] if n > 1 else None for n in shape]
    return replace(raw, shape=shape, axes=tuple(axes), matrix=raw.matrix if same else None)


def _transposed(matrix: Matrix | None) -> Matrix | None:
    if matrix is None or matrix.kind in ("cayley+", "cayley-", "skew"):
        return None
    return replace(matrix, transposed=not matrix.transposed)


# --- intervals --------------------------------------------------------------------------------------------


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


# --- zero or not ------------------------------------------------------------------------------------------


def _test(call: Call) -> Type | None:
    """The type of whether the result is 0, for sizes and the largest of them."""
    value = call.given.get("self")
    try:
        if call.name == "abs":
            return _vanishing(value) if isinstance(value, Type) else None
        if call.name == "amax" and isinstance(value, Raw) and value.test is not None:
            over = [d % len(value.shape) for d in call.ints("dim", tuple(range(len(value.shape))))]
            dims = [
                [a for a in dim if d not in over or a.kind != "vector"]
                for d, dim in enumerate(value.test.dims)
            ]
            return reduce_dims(
                with_dims(value.test, dims), over, bool(call.get("keepdim", False)), linear=False
            )
        if call.name == "stack" and isinstance(parts := call.given.get("tensors"), tuple):
            tests = [
                p.test for p in parts if isinstance(p, Raw) and p.test is not None and p.interval[0] >= 0
            ]
            d = call.integer("dim", 0) % len(call.op.shape)
            raised = [with_dims(t, [*t.dims[:d], (), *t.dims[d:]]) for t in tests]
            return join(raised, d) if len(tests) == len(parts) else None
    except Refused:
        return None
    return None


def _vanishing(t: Type) -> Type | None:
    """The type of t != 0: no factor changes it."""
    lawless = bool(t.guards) or any(a.kind == "pair" for a in t.atoms.values())
    shared = ("epsilon", "turn")  # such a tensor has a law, and the places where it is not 0 have none
    dims = [[replace(a, kind="free", group=0) if a.kind in shared else a for a in dim] for dim in t.dims]
    return None if lawless else make(dims, zero=t.zero)


def test_type(raw: Raw) -> Type | None:
    """The type of raw > 0, for sizes; None if it has none."""
    if raw.test is None or raw.interval[0] < 0 or any(a.kind == "vector" for a in raw.test.atoms.values()):
        return None
    return replace(raw.test, zero=False)


# --- matrices ---------------------------------------------------------------------------------------------


def _matrix(call: Call, number: str) -> Matrix | None:
    """What is known of the result as a matrix."""
    shape = call.op.shape
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return None
    values = [call.given.get(name) for name in ("self", "other")]
    match call.name:
        case "add" | "sub" if call.get("alpha", 1) == 1:
            return _sum_matrix(call, values, number, shape[-1])
        case "mul" | "div" | "neg":
            return _scaled_matrix(call, values, number)
        case "inverse" | "linalg_inv":
            known = _known(call.given.get("A", values[0]))
            usable = known is not None and known.kind in ("invertible", "rotation")
            return replace(known, inverse=not known.inverse) if known and usable else None
        case "linalg_solve" if call.get("left", True) is True:
            one, other = (_known(call.given.get(name)) for name in ("A", "B"))
            if one and other and {one.kind, other.kind} == {"cayley+", "cayley-"} and one.name == other.name:
                return Matrix("rotation", number)
        case "matrix_exp" | "linalg_matrix_exp":
            known = _known(values[0])
            return Matrix("rotation" if known and known.kind == "skew" else "invertible", number)
    return None


def _known(value: object) -> Matrix | None:
    return value.matrix if isinstance(value, Raw) else None


def _sum_matrix(call: Call, values: list[object], number: str, n: int) -> Matrix | None:
    """G - G^T is skew; I + S and I - S are named after S; I + E is invertible if n max |E| < 1."""
    one, other = values
    if call.name == "sub" and isinstance(one, Raw) and isinstance(other, Raw):
        turned = (*other.axes[:-2], other.axes[-1], other.axes[-2])
        if one.base == other.base and one.power == other.power and one.axes == turned:
            return Matrix("skew", number)
    for name, rest in (("self", other), ("other", one)):
        whole = call.identities.get(name) == n  # one of size 1 is broadcast, and adds 1 everywhere
        if not whole or not isinstance(rest, Raw) or rest.shape[-2:] != (n, n):
            continue
        if call.name == "sub" and name == "other":  # -(I - E)
            continue
        if rest.matrix is not None and rest.matrix.kind == "skew":
            return Matrix("cayley-" if call.name == "sub" else "cayley+", rest.matrix.name)
        if n * max(-rest.interval[0], rest.interval[1]) < 1:
            return Matrix("invertible", number)
    return None


def _scaled_matrix(call: Call, values: list[object], number: str) -> Matrix | None:
    """A multiple of a skew matrix is skew."""
    for one, other in (values, values[::-1]):
        known = _known(one)
        if known is None or known.kind != "skew" or (call.name == "div" and one is not values[0]):
            continue
        shape = other.shape if isinstance(other, (Raw, Type)) else ()
        if all(n == 1 for n in shape[-2:]) and (call.name != "neg" or other is None):
            return Matrix("skew", number)
    return None
