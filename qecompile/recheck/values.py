"""Expressions of the language and their values: integers, tuples of integers, texts.

Takes parse trees and a scope; gives values, or `BadInput`. Every number fits 64 bits and every step is
counted, so that no spec keeps the checker busy for long.
"""

from __future__ import annotations

import operator
import re
from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lark import Lark

Value = int | tuple[int, ...] | str
Scope = MutableMapping[str, Value]
Node = Any
"""A parse tree of lark: `data` names the rule, `children` are its parts."""

LARGEST = 2**63 - 1
MOST_STEPS = 400_000

OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "%": operator.mod}
OPERATORS |= {"/": operator.floordiv, "//": operator.floordiv}
RELATIONS = {"==": operator.eq, "!=": operator.ne, "<": operator.lt}
RELATIONS |= {"<=": operator.le, ">": operator.gt, ">=": operator.ge}


class BadInput(Exception):
    """What was given cannot be read: no verdict."""


@cache
def parser_of(grammar: str) -> Lark:
    """The parser for the text of the grammar."""
    return Lark(grammar, parser="lalr", lexer="contextual", start=["file", "expression"])


class Evaluator:
    """Evaluates the expressions of one spec, and turns its loops."""

    def __init__(self, grammar: Path) -> None:
        self.parser = parser_of(grammar.read_text("utf-8"))
        self.steps = MOST_STEPS

    def spend(self, steps: int) -> None:
        """Count steps."""
        self.steps -= steps
        if self.steps < 0:
            raise BadInput("the spec takes too many steps to elaborate")

    def evaluate(self, node: Node, scope: Scope) -> Value:
        """The value of an expression."""
        self.spend(1)
        parts = node.children
        match node.data:
            case "number":
                return bounded(int(parts[0]))
            case "text":
                return self.text(parts[0], scope)
            case "name":
                return scope[str(parts[0])]
            case "listing":
                return tuple(n for item in parts if item is not None for n in self.items(item, scope))
            case "indexed":
                return self.entry(parts, scope)
            case "unary":
                value = self.integer(parts[-1], scope)
                return value if len(parts) % 2 else -value
            case "sum" | "product":
                return self.chain(parts, scope)
            case "comparison":
                return compare(self.evaluate(parts[0], scope), str(parts[1]), self.evaluate(parts[2], scope))
            case "call":
                return self.call(parts, scope)
        raise BadInput(f"the spec has an expression of an unknown form, {node.data}")

    def integer(self, node: Node, scope: Scope) -> int:
        """The value of an expression that must be a number."""
        value = self.evaluate(node, scope)
        if not isinstance(value, int):
            raise BadInput("the spec has a list or a text where a number belongs")
        return value

    def items(self, node: Node, scope: Scope) -> Sequence[int]:
        """What one item puts into a list: a number, or a range with both ends."""
        if node.data != "range":
            return (self.integer(node, scope),)
        first, last = (self.integer(child, scope) for child in node.children)
        self.spend(max(0, last - first))
        return range(first, last + 1)

    def entry(self, parts: Sequence[Node], scope: Scope) -> Value:
        """An entry of a list."""
        value, *positions = (self.evaluate(part, scope) for part in parts)
        for k in positions:
            if not (isinstance(value, tuple) and isinstance(k, int) and 0 <= k < len(value)):
                raise BadInput("a list of the spec has no such entry")
            value = value[k]
        return value

    def chain(self, parts: Sequence[Any], scope: Scope) -> int:
        """A chain of operators of one precedence; `/` must divide exactly."""
        result = self.integer(parts[0], scope)
        for sign, operand in zip(parts[1::2], parts[2::2], strict=True):
            right = self.integer(operand, scope)
            if (right == 0 and sign in ("/", "//", "%")) or (sign == "/" and result % right):
                raise BadInput(f"the spec divides {result} by {right}")
            result = bounded(OPERATORS[str(sign)](result, right))
        return result

    def call(self, parts: Sequence[Any], scope: Scope) -> int:
        """`len` and `sum` of a list; `min` and `max` of a list or of several numbers."""
        name, values = str(parts[0]), [self.evaluate(part, scope) for part in parts[1:] if part is not None]
        listed: Any = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
        known: dict[str, Any] = {"min": min, "max": max}
        if listed is not values:
            known |= {"len": len, "sum": sum}
        proper = all(isinstance(v, int) for v in listed) and (listed or name in ("len", "sum"))
        if name not in known or not proper:
            raise BadInput(f"the spec calls `{name}` with what it does not take")
        self.spend(len(listed))
        return bounded(known[name](listed))

    def text(self, token: str, scope: Scope) -> str:
        """A text, with the expressions in braces evaluated."""
        made = ""
        for piece in re.split(r"(\{\{|\}\}|\{[^{}]*\})", token[1:-1]):
            if len(piece) > 1 and piece[0] == "{" != piece[1]:
                made += str(self.evaluate(self.parser.parse(piece[1:-1], start="expression"), scope))
            else:
                made += piece[0] if piece in ("{{", "}}") else piece
        self.spend(len(made) // 100)
        return made

    def turns(self, loops: Sequence[Node], scope: Scope) -> Iterator[Scope]:
        """The scopes of the turns of nested loops."""
        self.spend(1)
        if not loops:
            yield scope
            return
        variable, first, last, condition = loops[0].children
        for value in range(self.integer(first, scope), self.integer(last, scope) + 1):
            turn: Scope = ChainMap({str(variable): value}, scope)
            if condition is None or self.integer(condition, turn):
                yield from self.turns(loops[1:], turn)
            self.spend(1)

    def instance(self, segment: Node, scope: Scope) -> str:
        """The name of a declaration, as in `w[1,2]`."""
        name, *indices = (child for child in segment.children if child is not None)
        numbers = [self.integer(index, scope) for index in indices]
        if any(n < 0 for n in numbers):
            raise BadInput(f"an index of `{name}` is negative")
        return f"{name}[{','.join(map(str, numbers))}]" if numbers else str(name)


class Values(dict[str, Value]):
    """Arguments and `let` values; a `let` is evaluated when it is first read, so their order is free."""

    def __init__(self, evaluator: Evaluator) -> None:
        super().__init__()
        self.evaluator = evaluator
        self.lets: dict[str, Node] = {}

    def __missing__(self, name: str) -> Value:
        if name not in self.lets:
            raise BadInput(f"the spec has no value `{name}`, or one that is defined by itself")
        self[name] = value = self.evaluator.evaluate(self.lets.pop(name), self)
        return value


def compare(left: Value, relation: str, right: Value) -> int:
    """1 if a relation holds, else 0; only numbers have an order."""
    if type(left) is not type(right) or (relation in ("<", "<=", ">", ">=") and not isinstance(left, int)):
        raise BadInput("the spec compares what cannot be compared")
    return int(RELATIONS[relation](left, right))


def bounded(value: int) -> int:
    """The value, which must fit 64 bits."""
    if abs(value) > LARGEST:
        raise BadInput("a number of the spec is too large")
    return value


def has_type(value: object, kind: str) -> bool:
    """Whether a value is of a type of the language."""
    if kind == "ints":
        return isinstance(value, tuple) and all(has_type(v, "int") for v in value)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    return kind == "text" and isinstance(value, str)
