"""What a rule is given, and what a rule is.

A rule reads one operation with typed arguments and gives the type of its result (or of each result), or
raises `Refused`. Arguments go by their names in the operator's schema, so that one rule serves all overloads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qecompile.verify.canonical import make
from qecompile.verify.graph import Op, Ref
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type

Number = int | float | bool | complex


@dataclass(frozen=True)
class Call:
    """An operation with its arguments.

    Attributes:
        op: the operation.
        given: the arguments by name: types for tensors, numbers, texts, tuples of them, None.
        numbers: for each tensor argument its value number: equal numbers are equal values.
        origins: for tensor arguments that an operation made, that operation.
        values: for arguments that are known tensors of whole numbers, those numbers row by row, and their
            shape; `indices 2` is part 2 of the argument `indices`.
        bounds: for arguments that are known tensors, their least and largest entries.
        identities: the arguments that are known to be identity matrices, with their sizes.
        masks: the arguments that are conditions, true or false.
    """

    op: Op
    given: Mapping[str, object]
    numbers: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, Call] = field(default_factory=dict)
    values: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    identities: Mapping[str, int] = field(default_factory=dict)
    masks: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """`sum` for `aten.sum.dim_IntList`."""
        return base_name(self.op.target)

    def get(self, name: str, default: object = None) -> object:
        """An argument, or the default where the operation has none of that name, or None."""
        found = self.given.get(name)
        return default if found is None else found

    def type(self, name: str = "self") -> Type:
        """A tensor argument, `indices 2` for part 2 of a list; a number in its place is a constant."""
        base, _, part = name.partition(" ")
        found = self.given.get(base)
        return as_type(found[int(part)] if part and isinstance(found, tuple) else found, name)

    def types(self, name: str = "tensors") -> tuple[Type, ...]:
        """An argument that is a list of tensors."""
        found = self.given.get(name)
        if not isinstance(found, tuple):
            raise Refused(f"the argument `{name}` is no list of tensors")
        return tuple(as_type(part, name) for part in found)

    def integer(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        found = self.get(name, default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise Refused(f"the argument `{name}` is no whole number that is known")
        return found

    def window(self) -> slice:
        """The slice from `start` to `end` in steps of `step`."""
        bounds = (self.get(name) for name in ("start", "end", "step"))
        return slice(*(b if isinstance(b, int) else None for b in bounds))

    def ints(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A tuple of whole numbers; one number is a tuple of one."""
        found = self.get(name, default)
        found = (found,) if isinstance(found, int) else found
        if not isinstance(found, tuple) or not all(isinstance(n, int) for n in found):
            raise Refused(f"the argument `{name}` is no list of whole numbers")
        return found

    def dims(self, name: str = "dim", of: str = "self") -> tuple[int, ...]:
        """Dimensions of a tensor argument, counted from the front; all of them where none are named."""
        rank = len(self.type(of).dims)
        found = self.ints(name, ())
        return tuple(d % rank for d in found) if found and rank else tuple(range(rank))

    def dim(self, name: str = "dim", of: str = "self", default: int | None = None) -> int:
        """One dimension, counted from the front."""
        return self.integer(name, default) % max(len(self.type(of).dims), 1)


Result = Type | tuple[Type | Refused, ...]  # a part that is refused matters only if it is used


@dataclass(frozen=True)
class Rule:
    """One entry of the rule table.

    Attributes:
        name: what messages call it.
        ops: the operations that it serves, by ATen name without overload.
        law: its mathematics, in one line.
        apply: gives the type of the result.
    """

    name: str
    ops: tuple[str, ...]
    law: str
    apply: Callable[[Call], Result]


def rule(name: str, ops: str) -> Callable[[Callable[[Call], Result]], Rule]:
    """Make a rule of a function of a call; the first line of its docstring is the law."""

    def made(apply: Callable[[Call], Result]) -> Rule:
        law = (apply.__doc__ or "").partition("\n")[0].strip()
        return Rule(name, tuple(ops.split()), law, apply)

    return made


def base_name(target: str) -> str:
    """The name of an operator without its library and overload."""
    parts = target.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def as_type(value: object, name: str = "self") -> Type:
    """A type; numbers are constants without dimensions."""
    if isinstance(value, Type):
        return value
    if isinstance(value, (bool, int, float, complex)):
        return make((), zero=value == 0)
    if isinstance(value, Ref):
        raise Refused(f"the argument `{name}` has no type")
    raise Refused(f"the argument `{name}` is no tensor")
