"""Graphs written by hand, one ATen operation at a time, with their values at theta and at g . theta.

A tape takes operators and arguments, runs them on numbers, records a `Graph`, and has every value typed. So a
test can state a type, and have it checked in numbers at the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from law_oracle import Law, broken_fact, close
from torch import Tensor

from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.spec import Spec
from qecompile.verify.graph import Graph, Input, Op, Ref
from qecompile.verify.infer import Inference, infer, tensor_type
from qecompile.verify.types import Type


class Tape:
    """A graph under construction.

    Args:
        spec: whose group acts.
        seed: of the numbers.
        batch: how many entries, each moved by an element of its own.
    """

    def __init__(self, spec: Spec, seed: int = 0, batch: int = 3) -> None:
        self.spec, self.batch = spec, batch
        self.generator = torch.Generator().manual_seed(seed)
        self.group = Group(spec)
        self.elements: list[Element] = [self.group.sample(self.generator) for _ in range(batch)]
        self.inputs: list[Input] = []
        self.types: dict[str, Type] = {}
        self.parameters: dict[str, tuple[int, ...]] = {}
        self.constants: dict[str, Tensor] = {}
        self.ops: list[Op] = []
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}

    def draw(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def input(self, param: str, *channels: int) -> Ref:
        """The tensor of a parameter, [batch, *shape, *channels]."""
        name = f"in{len(self.inputs)}_{param}"
        value = self.draw(self.batch, *self.spec.params[param].shape, *channels)
        axes = self.spec.params[param].axes
        flat = value.reshape(self.batch, *self.spec.params[param].shape, -1)
        moved = [self.group.act_on(g, axes, flat[b], channels=True) for b, g in enumerate(self.elements)]
        self.inputs.append(Input(name, (param,), tuple(value.shape), value.dtype))
        self.types[name] = tensor_type(self.spec, param, tuple(value.shape))
        self.before[name], self.after[name] = value, torch.stack(moved).reshape(value.shape)
        return Ref(name)

    def weight(self, *shape: int) -> Ref:
        """A parameter of the module."""
        name = f"weight{len(self.parameters)}"
        self.parameters[name] = shape
        self.before[name] = self.after[name] = self.draw(*shape)
        return Ref(name)

    def constant(self, value: Tensor) -> Ref:
        """A tensor whose numbers are known."""
        name = f"constant{len(self.constants)}"
        self.constants[name] = self.before[name] = self.after[name] = value
        return Ref(name)

    def call(self, target: str, *args: Any, **kwargs: Any) -> Any:
        """Apply an operator, as in `call("sum.dim_IntList", x, [1])`; a `Ref`, or one for each result."""
        operator = _operator(target)
        found = [operator(*_filled(args, v), **_filled(kwargs, v)) for v in (self.before, self.after)]
        name = f"{target.split('.')[0]}_{len(self.ops)}"
        several = isinstance(found[0], (tuple, list))
        parts = tuple(tuple(t.shape) for t in found[0]) if several else ()
        dtype = None if several else found[0].dtype
        shape = parts[0] if several else tuple(found[0].shape)
        self.ops.append(Op(name, f"aten.{target}", _frozen(args), _frozen(kwargs), shape, dtype, parts))
        self.before[name], self.after[name] = found
        if not several:
            return Ref(name)
        return tuple(self._part(Ref(name), k) for k in range(len(parts)))

    def _part(self, ref: Ref, k: int) -> Ref:
        name = f"{ref.name}_{k}"
        value = self.before[ref.name][k]
        self.ops.append(Op(name, "getitem", (ref, k), {}, tuple(value.shape), value.dtype))
        self.before[name], self.after[name] = self.before[ref.name][k], self.after[ref.name][k]
        return Ref(name)

    # --- reading --------------------------------------------------------------------------------------------

    def graph(self, outputs: object) -> Graph:
        return Graph(tuple(self.inputs), self.parameters, {}, self.constants, tuple(self.ops), outputs)

    def infer(self, *outputs: Ref) -> Inference:
        """What the rules say about these values, under their names; nothing is claimed of them."""
        return infer(self.graph({ref.name: ref for ref in outputs}), self.types)

    def type(self, ref: Ref) -> Type:
        """The type of a value that has one."""
        found = self.infer(ref)
        assert (ref.name,) in found.outputs, found.refusal
        return found.outputs[ref.name,]

    def wrong(self, t: Type, name: str) -> str:
        """What the type of a value says of it that is not so; empty if all is true."""
        before, after = self.before[name].double(), self.after[name].double()
        if fact := broken_fact(t, before):
            return fact
        if t.guards or any(a.kind == "pair" or a.frame for a in t.atoms.values()):
            return ""  # a statement about other values; those made of it are checked
        law = Law(self.spec, self.elements, t)
        moved, after = law.act(law.without_raw(before, self.before)), law.without_raw(after, self.after)
        return "" if close(moved, after) else f"the law {t}: gap {float((moved - after).abs().max()):.2g}"


def holds(tape: Tape, ref: Ref) -> str:
    """The type of a value, after it has been checked in numbers."""
    t = tape.type(ref)
    assert tape.wrong(t, ref.name) == ""
    return str(t)


def refused(tape: Tape, ref: Ref) -> str:
    """Why a value has no type, and what would help."""
    found = tape.infer(ref)
    assert not found.ok
    return f"{found.refusal.reason} {found.refusal.help}"


def _operator(target: str) -> Callable[..., Any]:
    name, overload = target.split(".")
    return getattr(getattr(torch.ops.aten, name), overload)


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, Ref):
        return values[value.name]
    if isinstance(value, (tuple, list)):
        return [_filled(part, values) for part in value]
    if isinstance(value, dict):
        return {key: _filled(part, values) for key, part in value.items()}
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(_frozen(part) for part in value)
    if isinstance(value, dict):
        return {key: _frozen(part) for key, part in value.items()}
    return value
