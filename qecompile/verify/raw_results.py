"""The results of operations with raw arguments: raw too, with what can still be known of them."""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.canonical import make
from qecompile.verify.intervals import bounds
from qecompile.verify.raw import SAME, VIEWS, Matrix, Raw, new_raw
from qecompile.verify.raw_matrices import matrix_of
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call
from qecompile.verify.rules.joining import join
from qecompile.verify.rules.movement import new_order
from qecompile.verify.rules.pointwise import exact
from qecompile.verify.steps import Refusal
from qecompile.verify.types import Type


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
    return replace(found, matrix=matrix_of(call, number), test=_test(call))


def refused_result(call: Call, refusal: Refusal, number: str) -> Raw:
    """The result of an operation on typed values to which its rule does not apply."""
    return replace(new_raw(refusal, number, call.op.shape, bounds(call)), test=_test(call))


def raw_parts(call: Call, raw: Raw, number: str) -> tuple[Raw, ...]:
    """The results of an operation with several of them."""
    return tuple(new_raw(raw.refusal, f"{number}.{k}", shape) for k, shape in enumerate(call.op.parts))


# --- views ------------------------------------------------------------------------------------------------


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
    if matrix is None:
        return None
    if matrix.kind in ("cayley+", "cayley-"):  # S^T = -S
        return replace(matrix, kind="cayley-" if matrix.kind == "cayley+" else "cayley+")
    return replace(matrix, transposed=not matrix.transposed)


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
