"""Components of vectors: raw values that are sums of products of entries along vector axes.

Takes operations with such arguments, gives types. `q1, q2 = q.unbind(-1)` are numbers that no law connects
with themselves, but q1 k1 + q2 k2 is a scalar product, q1 k2 - q2 k1 a determinant, and stack([-q2, q1]) a
quarter turn of q. So a value v is kept as a *form*: a typed tensor x and a constant c with

    v[..] = sum_p x[.., p] c[p]       x = the vectors that were taken apart, multiplied

Products of forms multiply both, sums of forms of one x add up their c, and a stack of them gives c one more
axis. Once x contracted with c, as a known constant, has a type, so has v.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qecompile.verify.facts import constant_type
from qecompile.verify.references import with_dims
from qecompile.verify.refused import FAILURES
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type
from qecompile.verify.unify import Label, product

MOST = 4  # vectors in one product


@dataclass(frozen=True)
class Form:
    """A sum of products of components.

    Attributes:
        factors: the names of the vectors, in order: equal names are equal tensors.
        base: the type of their product, with one axis for each of them behind all others.
        weights: the constant that is summed with them.
    """

    factors: tuple[str, ...]
    base: Type
    weights: Tensor

    @property
    def rank(self) -> int:
        """How many axes the value has."""
        return len(self.base.dims) - len(self.factors)


def component_forms(call: Call) -> tuple[Form, ...] | None:
    """The entries of a typed vector; None if the operation takes none."""
    t = call.given.get("self")
    if call.name not in ("select", "unbind") or not isinstance(t, Type):
        return None
    d = call.dim(default=0)
    if len(t.dims[d]) != 1 or t.dims[d][0].kind != "vector":
        return None
    n = t.shape[d]
    places = range(n) if call.name == "unbind" else [call.integer("index") % n]
    base = with_dims(t, [*t.dims[:d], *t.dims[d + 1 :], t.dims[d]])
    name = f"{call.numbers['self']} along {d}"
    return tuple(Form((name,), base, torch.eye(n, dtype=torch.float64)[k]) for k in places)


def combined(call: Call, forms: Mapping[str, Form]) -> Form | Type | None:
    """What an operation makes of forms, by name of argument; a type as soon as there is one."""
    try:
        found = _combined(call, forms)
        return found if found is None else typed(found)
    except FAILURES:
        return None


def _combined(call: Call, forms: Mapping[str, Form]) -> Form | None:
    one, other = forms.get("self"), forms.get("other")
    number = call.given.get("other")
    match call.name:
        case "neg" if one:
            return replace(one, weights=-one.weights)
        case "mul" | "div" if one and isinstance(number, (int, float)):
            return replace(one, weights=one.weights * (number if call.name == "mul" else 1 / number))
        case "mul" if one and other:
            return _product(one, other)
        case "mul" if one or other:
            form, name = (one, "other") if one else (other, "self")
            assert form is not None
            factor = Form((), call.type(name), torch.ones((), dtype=torch.float64))
            found = _product(form, factor)
            first, *rest = found.factors if found else ("",)
            return found and replace(found, factors=(f"{first} times {call.numbers[name]}", *rest))
        case "add" if one and number == 0:  # where Python's `sum` begins
            return one
        case "add" | "sub" if one and other and call.get("alpha", 1) == 1:
            if one.factors != other.factors or one.base.shape != other.base.shape:
                return None
            return replace(one, weights=one.weights + (1 if call.name == "add" else -1) * other.weights)
    return None


def _product(one: Form, other: Form) -> Form | None:
    """Products of components; the factors in the order of their names."""
    names = (*one.factors, *other.factors)
    if len(names) > MOST:
        return None
    rank, split = max(one.rank, other.rank), len(one.factors)
    labels: list[Label] = [f"vector {k}" for k in range(len(names))]
    sides = ((one, labels[:split]), (other, labels[split:]))
    operands = [(form.base, [*range(rank - form.rank, rank), *own]) for form, own in sides]
    order = sorted(range(len(names)), key=lambda k: names[k])
    weights = torch.tensordot(one.weights, other.weights, dims=0).permute(order)
    base = product(operands, [*range(rank), *(labels[k] for k in order)])
    return Form(tuple(names[k] for k in order), base, weights)


def stacked(parts: Sequence[Form], d: int) -> Type | None:
    """The type of forms of the same vectors side by side along a new axis."""
    first = parts[0]
    if any(f.factors != first.factors for f in parts):
        return None
    try:
        weights = torch.stack([f.weights for f in parts], dim=-1)
        return _contracted(replace(first, weights=weights), d % (first.rank + 1))
    except FAILURES:
        return None


def typed(form: Form) -> Form | Type:
    """The type of a form, if it has one."""
    try:
        return _contracted(form, None)
    except FAILURES:
        return form


def _contracted(form: Form, new: int | None) -> Type:
    """The vectors contracted with the constant, whose last axis, if it is a new one, comes to a place."""
    vectors: list[Label] = [f"vector {k}" for k in range(len(form.factors))]
    labels: list[Label] = [*range(form.rank), *vectors]
    extra: list[Label] = [] if new is None else ["new"]
    out: list[Label] = list(range(form.rank))
    if new is not None:
        out.insert(new, "new")
    return product([(form.base, labels), (constant_type(form.weights), [*vectors, *extra])], out)
