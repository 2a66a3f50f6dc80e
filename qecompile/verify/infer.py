"""Type inference: a traced graph and the types of its inputs to a verdict, with every step of the proof.

Takes a `Graph`, the types of its inputs and the laws that its outputs are said to obey; gives an `Inference`.
Every operation is typed by its rule (`rules/table.py`), in order; the list of typed operations is a proof of
the claim. An operation without a rule is refused, whatever its value is used for. An operation whose rule
does not apply gives a *raw* value, of which nothing is known (`raw.py`); it is refused if it matters for an
output, unless it acts as an element of the group (`cocycle.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from qecompile.verify.arguments import equal_constants, flat, is_identity, places, refs, tupled
from qecompile.verify.canonical import weight_type
from qecompile.verify.cocycle import apply_raw
from qecompile.verify.facts import constant_type
from qecompile.verify.graph import Graph, Op, Ref
from qecompile.verify.hints import Hint, hints, rule_of, settled, with_hint
from qecompile.verify.judge import judge
from qecompile.verify.laws import tensor_type
from qecompile.verify.mirrors import Mirrors
from qecompile.verify.pieces import made_of_pieces, of_constant
from qecompile.verify.raw import Raw, new_raw
from qecompile.verify.raw_results import raw_parts, raw_result, refused_result
from qecompile.verify.refused import FAILURES, Refused
from qecompile.verify.rules.call import Call, base_name
from qecompile.verify.rules.table import RULES
from qecompile.verify.steps import Inference, Path, Refusal, Step
from qecompile.verify.types import Type

__all__ = ["Inference", "Path", "Refusal", "Step", "infer", "tensor_type"]

BLIND = frozenset(  # only the shape of `self` matters
    "zeros_like ones_like full_like new_zeros new_ones new_full fill zero copy".split()
)
Value = Type | Raw | tuple[Type | Raw, ...]


def infer(graph: Graph, inputs: Mapping[str, Type], wanted: Mapping[Path, Type] | None = None) -> Inference:
    """Type every operation of a graph and compare its outputs with what is claimed.

    Args:
        graph: the graph.
        inputs: the types of its inputs, by name.
        wanted: the types that the outputs should have, by path (keys and positions); an output that is not
            named must be invariant.
    """
    engine = _Engine(graph, inputs)
    for op in graph.ops:
        if base_name(op.target) != "getitem" and base_name(op.target) not in RULES:
            return Inference(False, "refused", tuple(engine.steps), refusal=engine.without_rule(op))
        engine.type_op(op)
    return judge(graph, engine.values, engine.steps, wanted or {})


class _Engine:
    """One inference: values and value numbers by name. Equal numbers mean equal values."""

    def __init__(self, graph: Graph, inputs: Mapping[str, Type]) -> None:
        self.graph = graph
        self.known = {n: t for n, t in {**graph.buffers, **graph.constants}.items() if t is not None}
        self.values: dict[str, Value] = dict(inputs)
        self.values |= {name: weight_type(shape) for name, shape in graph.parameters.items()}
        self.values |= {name: constant_type(value) for name, value in self.known.items()}
        self.values |= {name: _valueless(name) for name, value in graph.buffers.items() if value is None}
        self.numbers = {name: name for name in self.values} | equal_constants(self.known)
        self.made: dict[object, str] = {}
        self.calls: dict[str, Call] = {}
        self.steps: list[Step] = []
        self.ops: dict[str, Op] = {}
        self.pieces: dict[str, Type | None] = {}
        self.mirrors = Mirrors(self.values, self.ops, self.made, self.key, self.arguments)

    def type_op(self, op: Op) -> None:
        """Give the result of one operation its value and its number."""
        number = self.numbers[op.name] = self.made.setdefault(self.key(op), op.name)
        self.ops.setdefault(number, op)
        if base_name(op.target) == "getitem":
            self.values[op.name] = self.part(op)
            return
        if (same := self.unchanged(op)) is not None and isinstance(self.values[same], Raw):
            self.values[op.name], self.numbers[op.name] = self.values[same], self.numbers[same]
            return
        call = self.calls[op.name] = self.call(op)
        read = {n: v for n, v in call.given.items() if not (n == "self" and call.name in BLIND)}
        raw = next((v for v in flat(read) if isinstance(v, Raw)), None)
        known = hints(call, self.mirrors) if raw is not None else ()
        value: Value
        try:
            if (typed := settled(known)) is not None:
                value, rule = typed, rule_of(call)
            elif raw is not None:
                value, rule = self.from_raw(call, raw, number)
            else:
                value, rule = self.by_rule(call, number)
        except Refused as mistake:
            rule = "alpha" if raw is not None else RULES[call.name].name
            cut = None if raw is not None else self.by_pieces(call)
            value = cut or self.lost(call, self.refusal(op, rule, mistake), number)
            known = known or (() if cut else hints(call, self.mirrors))
        else:
            if isinstance(value, Type) and raw is None:
                self.pieces[op.name] = self.by_pieces(call, value)
        self.values[op.name] = _informed(op, value, known)
        value = self.values[op.name]
        shown = [str(v) for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, Type)]
        if shown:
            self.steps.append(Step(op.name, op.target, rule, "; ".join(shown), op.source))

    def by_pieces(self, call: Call, typed: Type | None = None) -> Type | None:
        """The type of a result that is constant piece by piece, or that such arguments give."""
        named = self.named(call.op)
        try:
            found = made_of_pieces(call, typed) if typed else None
            if found is None and any([self.cut(ref) for _, ref in refs(named)]):
                given = {name: self.resolved(value, self.pieces) for name, value in named.items()}
                result = RULES[call.name].apply(replace(call, given=given))
                found = result if isinstance(result, Type) else None
        except FAILURES:
            return None
        return found if found and found.shape == tuple(call.op.shape) else None

    def cut(self, ref: Ref) -> bool:
        """Whether a value has a type by pieces."""
        if ref.name in self.known and ref.name not in self.pieces:
            self.pieces[ref.name] = of_constant(self.known[ref.name])
        return self.pieces.get(ref.name) is not None

    def unchanged(self, op: Op) -> str | None:
        """The name of a value that an operation gives back as it is: x * 1, x / 1, -(-x), x.T.T."""
        name, args = base_name(op.target), op.args
        if not args or not isinstance(args[0], Ref):
            return None
        if name in ("mul", "div") and len(args) == 2 and args[1] in (1, 1.0) and not op.kwargs:
            return args[0].name
        inner = self.calls.get(args[0].name)
        if inner is not None and name in ("neg", "transpose", "t", "mT", "swapaxes"):
            first, again = ((o.target, o.args[1:], o.kwargs) for o in (inner.op, op))
            if first == again and isinstance(inner.op.args[0], Ref):
                return inner.op.args[0].name
        return None

    def by_rule(self, call: Call, number: str) -> tuple[Value, str]:
        """The value that the rule of an operation gives."""
        rule = RULES[call.name]
        with _covered():
            result = rule.apply(call)
        if isinstance(result, Type):
            _check_shape(call.op, result, call.op.shape)
            return result, rule.name
        values: list[Type | Raw] = []
        for k, (part, shape) in enumerate(zip(result, call.op.parts, strict=True)):
            if isinstance(part, Refused):
                values.append(new_raw(self.refusal(call.op, rule.name, part), f"{number}.{k}", shape))
            else:
                _check_shape(call.op, part, shape)
                values.append(part)
        return tuple(values), rule.name

    def from_raw(self, call: Call, raw: Raw, number: str) -> tuple[Value, str]:
        """The value of an operation with a raw argument: an action of alpha, or raw too."""
        known = {
            name: self.known[ref.name] for name, ref in refs(self.named(call.op)) if ref.name in self.known
        }
        call = replace(
            call,
            bounds={
                n: (float(t.min()), float(t.max()))
                for n, t in known.items()
                if t.numel() and not t.is_complex()
            },
            identities={n: t.shape[-1] for n, t in known.items() if is_identity(t)},
        )
        with _covered():
            typed = apply_raw(call)
            if typed is None:
                return (raw_parts if call.op.parts else raw_result)(call, raw, number), ""
            _check_shape(call.op, typed, call.op.shape)
            return typed, "alpha"

    def lost(self, call: Call, refusal: Refusal, number: str) -> Value:
        """Raw values, because a rule was refused."""
        if call.op.parts:
            return tuple(new_raw(refusal, f"{number}.{k}", shape) for k, shape in enumerate(call.op.parts))
        return refused_result(call, refusal, number)

    def part(self, op: Op) -> Value:
        """One of several results."""
        source, k = op.args
        assert isinstance(source, Ref)
        assert isinstance(k, int)
        whole = self.values[source.name]
        assert isinstance(whole, tuple)
        return whole[k]

    # --- arguments ----------------------------------------------------------------------------------------

    def call(self, op: Op) -> Call:
        """The operation with its arguments by name."""
        named = self.named(op)
        found = refs(named)
        return Call(
            op,
            {name: self.resolved(value) for name, value in named.items()},
            numbers={name: self.numbers[ref.name] for name, ref in found},
            origins={name: self.calls[ref.name] for name, ref in found if ref.name in self.calls},
            values={
                name: places(self.known[ref.name])
                for name, ref in found
                if ref.name in self.known and not self.known[ref.name].dtype.is_floating_point
            },
            masks=frozenset(name for name, ref in found if self.dtype(ref.name) == torch.bool),
        )

    def dtype(self, name: str) -> torch.dtype | None:
        """The dtype of a known value, or of the result of an operation."""
        if name in self.known:
            return self.known[name].dtype
        return self.calls[name].op.dtype if name in self.calls else None

    def named(self, op: Op) -> dict[str, object]:
        """The arguments by their names in the operator's schema, with the defaults of those not given."""
        library, name, overload = op.target.split(".")
        schema = getattr(getattr(getattr(torch.ops, library), name), overload)._schema.arguments
        defaults = {a.name: tupled(a.default_value) for a in schema if a.has_default_value()}
        return {**defaults, **dict(zip((a.name for a in schema), op.args, strict=False)), **op.kwargs}

    def resolved(self, value: object, instead: Mapping[str, Type | None] | None = None) -> object:
        """The same with values for refs."""
        if isinstance(value, Ref):
            return (instead or {}).get(value.name) or self.values[value.name]
        return tuple(self.resolved(part, instead) for part in value) if isinstance(value, tuple) else value

    def key(self, op: Op, images: Mapping[str, str] | None = None) -> object:
        """Equal for operations that make equal values; with `images`, other values for its arguments."""
        kwargs = tuple(sorted(op.kwargs.items()))
        return repr((op.target, self.numbered(op.args, images), self.numbered(kwargs, images)))

    def arguments(self, op: Op) -> tuple[str, ...]:
        """The numbers of the values that an operation takes, each once."""
        given = (self.numbers[ref.name] for _, ref in refs({"": op.args, **op.kwargs}))
        return tuple(dict.fromkeys(given))

    def numbered(self, value: object, images: Mapping[str, str] | None = None) -> object:
        """The same with value numbers for refs."""
        if isinstance(value, Ref):
            number = self.numbers[value.name]
            return "%", (images or {}).get(number, number)
        return tuple(self.numbered(part, images) for part in value) if isinstance(value, tuple) else value

    # --- refusals -----------------------------------------------------------------------------------------

    def refusal(self, op: Op, rule: str, why: Refused) -> Refusal:
        """A refusal with all that is known about the operation."""
        shown = []
        for _, ref in refs({"": op.args, **op.kwargs}):
            value = self.values.get(ref.name)
            text = str(value) if isinstance(value, Type) else f"raw {list(getattr(value, 'shape', ()))}"
            shown.append(f"{self.graph.labels.get(ref.name, ref.name)}: {text}")
        return Refusal(op.name, op.target, rule, why.reason, why.help, tuple(shown), op.source, op.module)

    def without_rule(self, op: Op) -> Refusal:
        """An operation that the table does not know."""
        reason = f"there is no rule for `{base_name(op.target)}`"
        return self.refusal(op, "none", Refused(reason, "write it with operations that docs/rules.md lists"))


@contextmanager
def _covered() -> Iterator[None]:
    """A rule that fails on arguments that nobody thought of refuses them."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as mistake:
        reason = f"the rule does not cover these arguments: {type(mistake).__name__}: {mistake}"
        raise Refused(reason, "please report this") from mistake


def _valueless(name: str) -> Raw:
    """A buffer of a module on the meta device."""
    refusal = Refusal(
        name, "buffer", "constant", f"the buffer {name} has no value", "put the module on the CPU"
    )
    return new_raw(refusal, name, ())


def _informed(op: Op, value: Value, known: Sequence[Hint]) -> Value:
    """Raw values with what is known of them besides."""
    if isinstance(value, tuple):
        return tuple(map(with_hint, value, known)) if len(known) == len(value) else value
    found = with_hint(value, known[0]) if len(known) == 1 else value
    if isinstance(found, Type):
        _check_shape(op, found, op.shape)
    return found


def _check_shape(op: Op, t: Type, shape: tuple[int, ...]) -> None:
    """A rule that gives another shape than the operation has is a mistake of ours, and proves nothing."""
    if t.shape != tuple(shape):
        raise Refused(
            f"the rule gives the type {t}, which has not the shape {list(shape)}", "please report this"
        )
