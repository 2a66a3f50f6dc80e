"""What a schedule computes, exactly: the oracle for passes and for emitted code.

Takes integers, gives rationals: a value is an array of Python integers and one common denominator, since
every operation but the means is a sum of products. No size is large here; nothing is rounded, nothing is
fast, and no operation is shared with the code generators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations
from math import lcm, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qecompile.plan.nodes import PlanType
from qecompile.schedule.nodes import (
    Contract,
    Decode,
    Encode,
    Gather,
    Group,
    Insert,
    Load,
    Mean,
    Mix,
    Op,
    Part,
    Schedule,
    Slice,
    Sum,
)

Integers = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Exact:
    """The rationals `top / bottom`, as an array [batch, *dims, channels]."""

    top: Integers
    bottom: int = 1

    def __add__(self, other: Exact) -> Exact:
        common = lcm(self.bottom, other.bottom)
        mine, theirs = common // self.bottom, common // other.bottom
        return Exact(self.top * mine + other.top * theirs, common)

    def fractions(self) -> Integers:
        """The entries as fractions."""
        found: Integers = np.empty(self.top.shape, dtype=object)
        for index, top in np.ndenumerate(self.top):
            found[index] = Fraction(int(top), self.bottom)
        return found


@dataclass(frozen=True, slots=True)
class Numbers:
    """Integer weights as the emitted layer keeps them, by the names that it uses.

    `weights` are the `weight_...`, `left_...` and `right_...`, `encode_...` and `decode_...` by space;
    `bias` has one row for each of the plan's `affine` columns, which are given too.
    """

    channels: int
    weights: Mapping[str, Integers]
    bias: Integers | None = None
    affine: tuple[int, ...] = ()


def interpret(s: Schedule, x: Mapping[str, Integers], numbers: Numbers) -> dict[str, Exact]:
    """Every value that the schedule gives: targets by parameter; of reductions alone, inputs of types."""
    known: dict[str, Exact] = {}
    for op in s.reduce:
        known[op.out.name] = _reduce(op, known, x, numbers)
    inputs = {op.out.name: known[op.out.name] for op in s.reduce if isinstance(op, Gather)}
    if not s.expand:
        return inputs
    known, found = dict(inputs), {}
    batch = len(next(iter(x.values())))
    for step in s.expand:
        known[step.out.name] = _expand(step, known, numbers, batch)
        if isinstance(step, Sum):
            found[step.param] = known[step.out.name]
    return found


def _reduce(op: Op, known: Mapping[str, Exact], x: Mapping[str, Integers], numbers: Numbers) -> Exact:
    match op:
        case Load(param=param):
            return Exact(np.asarray(x[param], dtype=object))
        case Contract(source=source):
            return _contract(op, known[source])
        case Encode(source=source, dim=k, out=out):
            code = numbers.weights[f"encode_{out.dims[k].space}"]
            moved = np.tensordot(known[source].top, code, axes=(k + 1, 0))
            return Exact(np.moveaxis(moved, -1, k + 1), known[source].bottom * code.shape[0])
        case Mean(source=source, over=over):
            value = known[source]
            places = tuple(k + 1 for k in over)
            sizes = prod(value.top.shape[k] for k in places)
            return Exact(value.top.sum(axis=places), value.bottom * sizes)
        case Gather(rows=rows):
            parts = []
            for row in rows:
                value = known[row.source]
                moved = value.top.transpose(0, *(k + 1 for k in row.order), -1)
                kept = moved.shape[: moved.ndim - 1 - row.spread]
                parts.append(Exact(moved.reshape(*kept, -1), value.bottom))
            common = lcm(*(p.bottom for p in parts))
            return Exact(np.concatenate([p.top * (common // p.bottom) for p in parts], axis=-1), common)
    raise AssertionError(op)


def _expand(op: Op, known: Mapping[str, Exact], numbers: Numbers, batch: int) -> Exact:
    match op:
        case Mix(source=source, type=t, bias=bias):
            n = numbers.channels
            shape = (batch, *(a.size for a in t.axes), t.width * n)
            value = Exact(np.zeros(shape, dtype=object))
            if source is not None:
                value = _mixed(t, known[source], _matrices(t, op.rank, numbers), tuple(range(len(t.axes))))
            if bias and numbers.bias is not None:
                whole = np.zeros((t.width, n), dtype=object)
                whole[list(numbers.affine)] = numbers.bias
                value += Exact(whole.reshape(-1))
            return value
        case Decode(slice=piece, dim=k, out=out):
            value, code = _slice(piece, known, numbers), numbers.weights[f"decode_{out.dims[k].space}"]
            return Exact(np.moveaxis(np.tensordot(value.top, code, axes=(k + 1, 1)), -1, k + 1), value.bottom)
        case Insert(slice=piece, epsilon=e):
            value = _slice(piece, known, numbers)
            inside = [k + 1 for k, d in enumerate(piece.dims) if d.kind == "type" and d.at[0] in e.type_axes]
            order = [k for j in e.type_axes for k in inside if piece.dims[k - 1].at == (j,)]
            tensor = levi_civita(len(e.axes) + len(e.type_axes))
            new = tuple(range(len(e.axes), tensor.ndim))
            moved = np.tensordot(value.top, tensor, axes=(order, new))
            channels = value.top.ndim - 1 - len(order)
            return Exact(np.moveaxis(moved, channels, -1), value.bottom)
        case Sum():
            return _sum(op, known, numbers, batch)
    raise AssertionError(op)


def _contract(op: Contract, value: Exact) -> Exact:
    """Index by index: equal indices along diagonals and pairs, signs of permutations for epsilons."""
    count = value.top.ndim - 2
    labels = list(range(count))
    for group in (*op.diagonals, *op.pairs):
        for k in group:
            labels[k] = labels[group[0]]
    operands: list[Any] = [value.top, [count + 20, *labels, count + 21]]
    kept = [labels[d.at[0]] for d in op.out.dims if d.kind == "axes"]
    spare = count
    for e in op.epsilons:
        fresh = list(range(spare, spare + len(e.type_axes)))
        spare += len(fresh)
        operands += [levi_civita(len(fresh) + len(e.axes)), [*fresh, *(labels[k] for k in e.axes)]]
        kept += fresh
    sizes = prod(value.top.shape[pair[0] + 1] for pair in op.pairs)
    return Exact(np.einsum(*operands, [count + 20, *kept, count + 21]), value.bottom * sizes)


def levi_civita(size: int) -> Integers:
    """The totally antisymmetric tensor with `size` indices of `size` values."""
    tensor = np.zeros([size] * size, dtype=object)
    for image in permutations(range(size)):
        inversions = sum(image[i] > image[j] for j in range(size) for i in range(j))
        tensor[image] = (-1) ** inversions
    return tensor


def _matrices(t: PlanType, rank: int | None, numbers: Numbers) -> Integers:
    """The matrix of a type, or one for each value of its own indices."""
    if rank is not None:
        left, right = numbers.weights[f"left_{t.name}"], numbers.weights[f"right_{t.name}"]
        return np.tensordot(left, right, axes=1)
    weight = numbers.weights[f"weight_{t.name}"]
    if t.mask is None:
        return weight
    batches, height, width = t.mask.shape
    channels, n = weight.shape[1:]
    full = np.zeros((batches * height * width, channels, n), dtype=object)
    full[list(t.mask.entries)] = weight
    full = full.reshape(batches, height, width, channels, n).transpose(0, 1, 3, 2, 4)
    own = [t.axes[k].size for k in t.own]
    return full.reshape(*own, height * channels, width * n)


def _mixed(t: PlanType, value: Exact, matrices: Integers, axes: tuple[int, ...]) -> Exact:
    """Channels times a matrix, one for each value of the type's own indices; `axes` are the value's."""
    batch, inside, outside = range(len(axes), len(axes) + 3)
    operands: list[Any] = [value.top, [batch, *axes, inside], matrices, [*t.own, inside, outside]]
    product = np.einsum(*operands, [batch, *axes, outside])
    return Exact(product, value.bottom)


def _slice(piece: Slice, known: Mapping[str, Exact], numbers: Numbers) -> Exact:
    """Some channels of a value, multiplicities as dimensions."""
    value, n = known[piece.source], numbers.channels
    cut = value.top[..., piece.first * n : piece.last * n]
    return Exact(cut.reshape(*cut.shape[:-1], *piece.split, n), value.bottom)


def _sum(op: Sum, known: Mapping[str, Exact], numbers: Numbers, batch: int) -> Exact:
    shape = (batch, *(d.size for d in op.out.dims), numbers.channels)
    total = Exact(np.zeros(shape, dtype=object))
    if op.product is not None:
        source, t = known[op.product.source], op.product.type
        moved = source.top.transpose(0, *(k + 1 for k in op.product.order), -1)
        total += _mixed(t, Exact(moved, source.bottom), _matrices(t, None, numbers), op.product.order)
    for part in op.parts:
        total += _broadcast(part, known, numbers)
    for term in op.diagonals:
        value = _slice(term.slice, known, numbers)
        total += Exact(_embedded(value.top, term.slice.groups, term.groups, shape), value.bottom)
    return total


def _broadcast(part: Part, known: Mapping[str, Exact], numbers: Numbers) -> Exact:
    """A part with a dimension for each axis that it is broadcast to."""
    groups = part.slice.groups
    value = _slice(part.slice, known, numbers)
    order = sorted(range(len(groups)), key=lambda k: groups[k])
    value = Exact(value.top.transpose(0, *(k + 1 for k in order), -1), value.bottom)
    for inner in part.inner:
        value += _broadcast(inner, known, numbers)
    new = tuple(k + 1 for k, group in enumerate(part.onto) if group not in groups)
    return Exact(np.expand_dims(value.top, new), value.bottom)


def _embedded(
    top: Integers, groups: tuple[Group, ...], diagonals: tuple[Group, ...], shape: tuple[int, ...]
) -> Integers:
    """A value written where the axes of each diagonal are equal, and broadcast along axes without a group."""
    found = np.zeros(shape, dtype=object)
    place = {group[0]: k for k, group in enumerate(groups)}
    for index in np.ndindex(*shape[1:-1]):
        if all(index[k] == index[group[0]] for group in diagonals for k in group):
            found[:, *index] = top[:, *(index[head] for head in place)]
    return found
