"""Type inference: a traced graph and the types of its inputs to a verdict, with every step of the proof.

Takes a `Graph`, the types of its inputs and the laws that its outputs are said to obey; gives an `Inference`.
Every operation is typed by its rule (`rules/table.py`), in order; the list of typed operations is a proof of
the claim. An operation without a rule is refused, whatever its value is used for. An operation whose rule
does not apply gives a *raw* value, of which nothing is known; it is refused if it matters for an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from qecompile.spec import Spec
from qecompile.verify.facts import constant_type
from qecompile.verify.graph import Graph, Op, Ref
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, base_name
from qecompile.verify.rules.table import RULES
from qecompile.verify.types import Type, param_type, weight_type
from qecompile.verify.unify import add

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Step:
    """One line of a proof: an operation, its rule and the type of its result."""

    name: str
    target: str
    rule: str
    type: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.type}  by {self.rule}"


@dataclass(frozen=True)
class Refusal:
    """Why there is no proof: the operation, its rule, the types it met, and what to do.

    For an output that does not obey the law that was claimed, `rule` is `claim`, and the operation is the one
    that made the output.
    """

    name: str
    target: str
    rule: str
    reason: str
    help: str = ""
    operands: tuple[str, ...] = ()
    source: str = ""
    module: str = ""

    def __str__(self) -> str:
        lines = [f"`{self.target}` ({self.name}) is refused by rule `{self.rule}`: {self.reason}"]
        lines += [f"  operand {operand}" for operand in self.operands]
        lines += [f"  at {self.source}"] if self.source else []
        lines += [f"  in {self.module}"] if self.module else []
        return "\n".join([*lines, *([f"  help: {self.help}"] if self.help else [])])


@dataclass(frozen=True)
class Raw:
    """A value that obeys no law, and why."""

    refusal: Refusal


Value = Type | Raw


@dataclass(frozen=True)
class Inference:
    """What was found.

    Attributes:
        ok: whether every output obeys the law that was claimed.
        verdict: `equivariant`, `invariant`, `quasi-equivariant` or `refused`.
        steps: the typed operations, in order: the proof.
        outputs: the type of each output, by path, as far as they have one.
        refusal: why not, if not.
        cocycle: for a quasi-equivariant map, which alpha moves what.
    """

    ok: bool
    verdict: str
    steps: tuple[Step, ...]
    outputs: Mapping[Path, Type] = field(default_factory=dict)
    refusal: Refusal | None = None
    cocycle: str = "strict"


def tensor_type(spec: Spec, param: str, shape: tuple[int, ...], channels_last: bool = True) -> Type:
    """The type of a tensor [batch, *axes, *channels] (or [batch, *channels, *axes]) of a parameter."""
    p = spec.params[param]
    extra = len(shape) - 1 - len(p.axes)
    channels = shape[1 + len(p.axes) :] if channels_last else shape[1 : 1 + extra]
    if extra < 0 or shape != (
        (shape[0], *p.shape, *channels) if channels_last else (shape[0], *channels, *p.shape)
    ):
        raise Refused(f"a tensor of shape {list(shape)} is no {param}, which has shape [batch, {p.shape}]")
    return param_type(spec, p, shape[0], channels, channels_last)


def infer(graph: Graph, inputs: Mapping[str, Type], wanted: Mapping[Path, Type] | None = None) -> Inference:
    """Type every operation of a graph and compare its outputs with what is claimed.

    Args:
        graph: the graph.
        inputs: the types of its inputs, by name.
        wanted: the types that the outputs should have, by path (keys and positions); an output that is not
            named must be invariant.
    """
    return _Engine(graph, inputs).run(wanted or {})


class _Engine:
    """One inference. Values and value numbers by name; equal numbers are equal values."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Type]) -> None:
        self.graph = graph
        self.values: dict[str, Any] = dict(inputs)
        self.numbers = {name: name for name in (*inputs, *graph.parameters)}
        self.made: dict[object, str] = {}
        self.calls: dict[str, Call] = {}
        self.steps: list[Step] = []
        for name, shape in graph.parameters.items():
            self.values[name] = weight_type(shape)
        for name, value in {**graph.buffers, **graph.constants}.items():
            if value is not None:
                self.values[name] = constant_type(value)
            self.numbers[name] = name

    def run(self, wanted: Mapping[Path, Type]) -> Inference:
        """Type all operations, then the outputs."""
        for op in self.graph.ops:
            name = base_name(op.target)
            if name != "getitem" and name not in RULES:
                return Inference(False, "refused", tuple(self.steps), {}, self.without_rule(op))
            self.type_op(op)
        found: dict[Path, Type] = {}
        refusal: Refusal | None = None
        for path, ref in _leaves(self.graph.outputs):
            value = self.values.get(ref.name)
            if isinstance(value, Type):
                found[path] = value
            if refusal is None:
                refusal = self.judge(path, ref, value, wanted.get(path))
        if refusal is not None:
            return Inference(False, "refused", tuple(self.steps), found, refusal)
        verdict = "equivariant" if wanted else "invariant"
        return Inference(True, verdict, tuple(self.steps), found)

    # --- operations ---------------------------------------------------------------------------------------

    def type_op(self, op: Op) -> None:
        """Give the result of one operation its value and its number."""
        key = (op.target, self.numbered(op.args), self.numbered(tuple(sorted(op.kwargs.items()))))
        self.numbers[op.name] = self.made.setdefault(_hashable(key), op.name)
        if base_name(op.target) == "getitem":
            parts, k = self.values[op.args[0].name], op.args[1]  # type: ignore[attr-defined]
            self.values[op.name] = parts if isinstance(parts, Raw) else parts[k]
            return
        call = self.call(op)
        rule = RULES[call.name]
        raw = next(iter(self.raw_arguments(op)), None)
        if raw is not None and call.name not in FRESH:
            self.values[op.name] = raw
            return
        self.calls[op.name] = call
        try:
            result = rule.apply(call)
        except Refused as mistake:
            self.values[op.name] = Raw(self.refusal(op, rule.name, mistake))
            return
        parts = result if isinstance(result, tuple) else (result,)
        values = tuple(
            Raw(self.refusal(op, rule.name, part)) if isinstance(part, Refused) else part for part in parts
        )
        self.values[op.name] = values if isinstance(result, tuple) else values[0]
        shown = "; ".join(str(v) for v in values if isinstance(v, Type))
        self.steps.append(Step(op.name, op.target, rule.name, shown, op.source))
        self.check_shapes(op, values, isinstance(result, tuple))

    def check_shapes(self, op: Op, values: tuple[Value, ...], several: bool) -> None:
        """A rule that gives the wrong shape is a mistake of ours."""
        shapes = op.parts if several else (op.shape,)
        for value, shape in zip(values, shapes, strict=True):
            if isinstance(value, Type) and value.shape != tuple(shape):
                raise AssertionError(f"rule for {op} gives {value}, of shape {value.shape}, not {shape}")

    def call(self, op: Op) -> Call:
        """The operation with its arguments by name."""
        named = {**dict(zip(_argument_names(op.target), op.args, strict=False)), **op.kwargs}
        given = {name: self.resolved(value) for name, value in named.items()}
        numbers, origins, values = {}, {}, {}
        for name, value in _refs_by_name(named):
            numbers[name] = self.numbers[value.name]
            if value.name in self.calls:
                origins[name] = self.calls[value.name]
            known = self.known(value.name)
            if known is not None and not known.is_floating_point() and not known.is_complex():
                values[name] = _places(known)
        return Call(op, given, numbers, origins, values)

    def known(self, name: str) -> Tensor | None:
        found = self.graph.constants.get(name)
        return self.graph.buffers.get(name) if found is None else found

    def resolved(self, value: object) -> object:
        """The same with types for refs."""
        if isinstance(value, Ref):
            return self.values.get(value.name)
        if isinstance(value, tuple):
            return tuple(self.resolved(part) for part in value)
        return value

    def numbered(self, value: object) -> object:
        """The same with value numbers for refs."""
        if isinstance(value, Ref):
            return "%", self.numbers[value.name]
        if isinstance(value, tuple):
            return tuple(self.numbered(part) for part in value)
        return value

    def raw_arguments(self, op: Op) -> list[Raw]:
        """The arguments that have no type."""
        found = [self.values.get(ref.name) for _, ref in _refs_by_name({"a": op.args, **op.kwargs})]
        return [value for value in found if isinstance(value, Raw)]

    # --- refusals -----------------------------------------------------------------------------------------

    def refusal(self, op: Op, rule: str, why: Refused) -> Refusal:
        """A refusal with all that is known about the operation."""
        shown = []
        for _, ref in _refs_by_name({"a": op.args, **op.kwargs}):
            value = self.values.get(ref.name)
            shown.append(
                f"{self.graph.labels.get(ref.name, ref.name)}: {value if isinstance(value, Type) else 'raw'}"
            )
        return Refusal(op.name, op.target, rule, why.reason, why.help, tuple(shown), op.source, op.module)

    def without_rule(self, op: Op) -> Refusal:
        """An operation that the table does not know."""
        why = Refused(
            f"there is no rule for `{base_name(op.target)}`",
            "write it with operations of docs/rules.md, or add a rule",
        )
        return self.refusal(op, "none", why)

    def judge(self, path: Path, ref: Ref, value: object, wanted: Type | None) -> Refusal | None:
        """Why an output does not obey its law, if it does not."""
        if isinstance(value, Raw):
            return value.refusal
        if not isinstance(value, Type):
            raise AssertionError(f"output {path} has no type")
        shown = ".".join(map(str, path)) or "the output"
        try:
            if wanted is None:
                check_invariant(value)
            else:
                check_law(value, wanted)
            return None
        except Refused as mistake:
            op = next((op for op in self.graph.ops if op.name == ref.name), None)
            law = "invariant" if wanted is None else str(wanted)
            return Refusal(
                ref.name,
                op.target if op else "input",
                "claim",
                f"{shown} should be {law}: {mistake.reason}",
                mistake.help,
                (f"{ref.name}: {value}",),
                op.source if op else "",
                op.module if op else "",
            )


FRESH = frozenset("zeros_like ones_like full_like new_zeros new_ones new_full fill zero".split())


def check_invariant(t: Type) -> None:
    """Refuse unless nothing acts on the value."""
    if not t.is_invariant:
        moved = [a.name for a in t.atoms.values() if a.kind not in ("batch", "free") and not t.is_uniform(a)]
        moved += [c.character.space for c in t.charges] or (["where a condition fails"] if t.guards else [])
        raise Refused(
            f"it is moved by {', '.join(f'`{m}`' for m in dict.fromkeys(moved))}: {t}", "pool over these axes"
        )


def check_law(t: Type, wanted: Type) -> None:
    """Refuse unless the value obeys the law of `wanted`."""
    if t.guards:
        raise Refused(
            "it obeys a law only where a condition holds", "choose again by the same condition at the end"
        )
    if t.shape != wanted.shape:
        raise Refused(f"its shape is {list(t.shape)}, not {list(wanted.shape)}")
    both = add(t, wanted)
    if both.charges and t.zero:
        return


def _leaves(outputs: object, path: Path = ()) -> list[tuple[Path, Ref]]:
    """The outputs with their paths."""
    if isinstance(outputs, Ref):
        return [(path, outputs)]
    if isinstance(outputs, Mapping):
        return [leaf for key, part in outputs.items() for leaf in _leaves(part, (*path, key))]
    if isinstance(outputs, tuple):
        return [leaf for key, part in enumerate(outputs) for leaf in _leaves(part, (*path, key))]
    return []


def _refs_by_name(named: Mapping[str, object]) -> list[tuple[str, Ref]]:
    """The references among arguments; parts of a list have numbered names."""
    found: list[tuple[str, Ref]] = []
    for name, value in named.items():
        if isinstance(value, Ref):
            found.append((name, value))
        elif isinstance(value, tuple):
            found += _refs_by_name({f"{name} {k}": part for k, part in enumerate(value)})
    return found


def _argument_names(target: str) -> list[str]:
    """The names of an operator's arguments, from its schema."""
    library, name, overload = target.split(".")
    operator = getattr(getattr(getattr(torch.ops, library), name), overload)
    return [argument.name for argument in operator._schema.arguments]


def _places(known: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A known tensor of places; where it is a mask, the places that are marked."""
    if known.dtype == torch.bool and known.dim() == 1:
        known = known.nonzero().flatten()
    return tuple(int(n) for n in known.flatten().tolist()), tuple(known.shape)


def _hashable(value: object) -> object:
    return value if isinstance(value, tuple) else repr(value)
