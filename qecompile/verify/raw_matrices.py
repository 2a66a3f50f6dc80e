"""What is known of raw matrices: skew, the identity plus something small, invertible, a rotation."""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.raw import Matrix, Raw
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type


def matrix_of(call: Call, number: str) -> Matrix | None:
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
            usable = known is not None and known.kind != "skew"
            return replace(known, inverse=not known.inverse) if known and usable else None
        case "linalg_solve" if call.get("left", True) is True:
            one, other = (_known(call.given.get(name)) for name in ("A", "B"))
            if one and other and _are_cayley(one, other) and one.inverse == other.inverse:
                return Matrix("rotation", number)
        case "matmul" | "bmm":
            one, other = (
                _known(call.given.get(name)) for name in ("self", "mat2" if call.name == "bmm" else "other")
            )
            if one and other and _are_cayley(one, other) and one.inverse != other.inverse:
                return Matrix("rotation", number)
        case "matrix_exp" | "linalg_matrix_exp":
            known = _known(values[0])
            return Matrix("rotation" if known and known.kind == "skew" else "invertible", number)
    return None


def _are_cayley(one: Matrix, other: Matrix) -> bool:
    """Whether these are I + S and I - S, or inverses of them; all of these commute."""
    return {one.kind, other.kind} == {"cayley+", "cayley-"} and one.name == other.name


def _known(value: object) -> Matrix | None:
    return value.matrix if isinstance(value, Raw) else None


def _sum_matrix(call: Call, values: list[object], number: str, n: int) -> Matrix | None:
    """G - G^T is skew; I + S and I - S are named after S; I + E is invertible if n max |E| < 1."""
    one, other = values
    if call.name == "sub" and isinstance(one, Raw) and isinstance(other, Raw) and len(other.axes) > 1:
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
            minus = (call.name == "sub") != rest.matrix.transposed
            return Matrix("cayley-" if minus else "cayley+", rest.matrix.name)
        if n * max(-rest.interval[0], rest.interval[1]) < 1:
            return Matrix("invertible", number)
    return None


def _scaled_matrix(call: Call, values: list[object], number: str) -> Matrix | None:
    """A multiple of a skew matrix is skew; minus an invertible one is invertible."""
    first = _known(values[0])
    if call.name == "neg" and first is not None and first.kind == "invertible":
        return Matrix("invertible", number)
    for one, other in (values, values[::-1]):
        known = _known(one)
        if known is None or known.kind != "skew" or (call.name == "div" and one is not values[0]):
            continue
        shape = other.shape if isinstance(other, (Raw, Type)) else ()
        if all(n == 1 for n in shape[-2:]) and (call.name != "neg" or other is None):
            return Matrix("skew", number)
    return None
