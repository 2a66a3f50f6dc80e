"""Values of the language and their arithmetic.

Takes expression trees and a `Scope`, gives integers, tuples of integers and texts, or raises `SymError` at
the smallest span that explains the mistake. Every value is bounded and every evaluation is counted, so no
spec can make the compiler run for long.

`//` and `%` round towards minus infinity, as in Python. A comparison is 1 or 0. Lists and texts have no
arithmetic beyond `len`, `sum`, `min`, `max`, indexing and comparison.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

from qecompile import tree
from qecompile.errors import Collector, Note, Span, SymError, fail, suggest

Value = int | tuple[int, ...] | str

LARGEST = 2**63 - 1
LONGEST_LIST = 10_000
LONGEST_TEXT = 1_000
MOST_STEPS = 200_000
MOST_TURNS = 10_000


@dataclass(slots=True)
class Budget:
    """What is left of the work that one file may cause."""

    steps: int = MOST_STEPS
    turns: int = MOST_TURNS
    told: bool = False

    def spend(self, span: Span, steps: int = 1) -> None:
        """Count evaluations."""
        self.steps -= steps
        if self.steps < 0:
            self._tell_once()
            fail("QE026", f"the expressions of this spec take more than {MOST_STEPS} steps", span)

    def turn(self, span: Span, turns: int = 1) -> None:
        """Count turns of loops."""
        self.turns -= turns
        if self.turns < 0:
            self._tell_once()
            help = "a spec declares layers and heads by loops, not single weights"
            fail(
                "QE026",
                f"the loops and includes of this spec take more than {MOST_TURNS} turns",
                span,
                help=help,
            )

    def _tell_once(self) -> None:
        """Everything behind the first excess fails too, without a message of its own."""
        if self.told:
            raise SymError(())
        self.told = True


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names of an expression mean: values of the spec, and loop variables on top."""

    values: Mapping[str, Value] = field(default_factory=dict)
    loops: Mapping[str, int] = field(default_factory=dict)
    budget: Budget = field(default_factory=Budget)

    def bind(self, variable: str, value: int) -> Scope:
        """This scope inside one turn of a loop."""
        return replace(self, loops={**self.loops, variable: value})

    def find(self, name: str) -> Value | None:
        """The value of a name, or None."""
        found = self.loops.get(name)
        return self.values.get(name) if found is None else found


def describe(value: Value) -> str:
    """The kind of a value in words."""
    if isinstance(value, str):
        return "a text"
    return "a number" if isinstance(value, int) else "a list"


def evaluate(expression: tree.Expression, scope: Scope) -> Value:
    """The value of an expression.

    >>> from qecompile.errors import Source
    >>> from qecompile.syntax import parse_expression
    >>> at = Span(Source("example", ""), 1, 1)
    >>> evaluate(parse_expression(at.source, at, "2 * len(w) - w[0]", Collector()), Scope({"w": (3, 4)}))
    1
    """
    scope.budget.spend(expression.span)
    match expression:
        case tree.Number(value=value):
            return value
        case tree.Text():
            return _text(expression, scope)
        case tree.Name():
            return _look_up(expression, scope)
        case tree.Listing():
            return _listing(expression, scope)
        case tree.Call():
            return _call(expression, scope)
        case tree.Index():
            return _index(expression, scope)
        case tree.Negative(value=inner):
            return -integer(inner, scope)
        case tree.Chain():
            return _chain(expression, scope)
        case tree.Comparison():
            return _comparison(expression, scope)


def integer(expression: tree.Expression, scope: Scope, what: str = "a number") -> int:
    """The value of an expression that must be an integer."""
    value = evaluate(expression, scope)
    if not isinstance(value, int):
        fail("QE023", f"expected {what}, found {describe(value)}", expression.span)
    return value


def text(expression: tree.Text, scope: Scope) -> str:
    """The text with the expressions in its braces replaced by their values."""
    value = evaluate(expression, scope)
    if not isinstance(value, str):
        fail("QE023", f"expected a text, found {describe(value)}", expression.span)
    return value


def _look_up(name: tree.Name, scope: Scope) -> Value:
    value = scope.find(name.text)
    if value is None:
        raise SymError(())  # the name was reported by names.py, or what declares it was
    return value


def _text(expression: tree.Text, scope: Scope) -> str:
    pieces = []
    for piece in expression.pieces:
        value = piece if isinstance(piece, str) else _in_text(piece, scope)
        pieces.append(str(value))
    made = "".join(pieces)
    scope.budget.spend(expression.span, len(made) // 100)
    if len(made) > LONGEST_TEXT:
        fail("QE025", f"this text is longer than {LONGEST_TEXT} characters", expression.span)
    return made


def _in_text(expression: tree.Expression, scope: Scope) -> int | str:
    value = evaluate(expression, scope)
    if isinstance(value, tuple):
        help = "choose one entry, as in {sizes[0]}"
        fail("QE023", "a list cannot stand inside a text", expression.span, help=help)
    return value


def _listing(expression: tree.Listing, scope: Scope) -> tuple[int, ...]:
    found: list[int] = []
    for item in expression.items:
        if isinstance(item, tree.Range):
            first, last = integer(item.first, scope), integer(item.last, scope)
            _check_length(len(found) + last - first + 1, item.span)
            scope.budget.spend(item.span, max(0, last - first + 1))
            found += range(first, last + 1)
        else:
            found.append(integer(item, scope))
    _check_length(len(found), expression.span)
    return tuple(found)


def _check_length(length: int, span: Span) -> None:
    if length > LONGEST_LIST:
        fail("QE025", f"this list has more than {LONGEST_LIST} entries", span)


def _call(expression: tree.Call, scope: Scope) -> int:
    name = expression.function.text
    if name not in _FUNCTIONS:
        help = suggest(name, _FUNCTIONS, "the functions are `len`, `sum`, `min` and `max`")
        fail("QE027", f"there is no function `{name}`", expression.function.span, help=help)
    values = [evaluate(a, scope) for a in expression.arguments]
    if len(values) == 1 and not isinstance(values[0], int):
        return _apply_to_list(name, values[0], expression, scope)
    if name in ("min", "max") and values:
        numbers = [integer_value(v, a.span) for v, a in zip(values, expression.arguments, strict=True)]
        return min(numbers) if name == "min" else max(numbers)
    wanted = "a list" if name in ("len", "sum") else "a list or several numbers"
    given = "nothing" if not values else describe(values[0]) if len(values) == 1 else f"{len(values)} values"
    fail("QE023", f"`{name}` takes {wanted}, found {given}", expression.span)


def integer_value(value: Value, span: Span) -> int:
    """The value, which must be an integer."""
    if not isinstance(value, int):
        fail("QE023", f"expected a number, found {describe(value)}", span)
    return value


def _apply_to_list(name: str, values: tuple[int, ...] | str, call: tree.Call, scope: Scope) -> int:
    if isinstance(values, str):
        fail("QE023", f"`{name}` takes a list, found a text", call.arguments[0].span)
    if name in ("min", "max") and not values:
        fail("QE025", f"an empty list has no `{name}`", call.span)
    scope.budget.spend(call.span, len(values))
    return _bounded(_FUNCTIONS[name](values), call.span)


_FUNCTIONS: Mapping[str, Callable[[Sequence[int]], int]] = {"len": len, "sum": sum, "min": min, "max": max}


def _index(expression: tree.Index, scope: Scope) -> int:
    value = evaluate(expression.value, scope)
    for index in expression.indices:
        if not isinstance(value, tuple):
            fail("QE023", f"only a list has entries, and this is {describe(value)}", expression.value.span)
        position = integer(index, scope)
        if not 0 <= position < len(value):
            _fail_index(expression.value, index, position, len(value))
        value = value[position]
    return integer_value(value, expression.span)


def _fail_index(value: tree.Expression, index: tree.Expression, position: int, length: int) -> None:
    name = f"`{value.text}`" if isinstance(value, tree.Name) else "this list"
    help = f"its entries are numbered 0 to {length - 1}" if length else "it is empty"
    fail("QE025", f"{name} has no entry {position}", index.span, help=help)


_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def _chain(expression: tree.Chain, scope: Scope) -> int:
    result = integer(expression.first, scope)
    for sign, operand in expression.rest:
        right = integer(operand, scope)
        if sign in ("/", "//", "%") and right == 0:
            fail("QE024", "this divides by zero", operand.span)
        if sign == "/" and result % right:
            message = f"{result} / {right} is not an integer"
            fail("QE024", message, expression.span, help="`//` rounds down")
        result = _bounded(_OPERATORS[sign](result, right), expression.span)
    return result


def _bounded(value: int, span: Span) -> int:
    if abs(value) > LARGEST:
        fail("QE025", "this number is too large", span, help=f"numbers go up to {LARGEST}")
    return value


_RELATIONS: Mapping[str, Callable[[object, object], bool]] = {"==": operator.eq, "!=": operator.ne}
_ORDERS: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _comparison(expression: tree.Comparison, scope: Scope) -> int:
    left, right = evaluate(expression.left, scope), evaluate(expression.right, scope)
    if type(left) is not type(right):
        fail("QE023", f"{describe(left)} cannot be compared with {describe(right)}", expression.span)
    if expression.relation in _RELATIONS:
        return int(_RELATIONS[expression.relation](left, right))
    order = _ORDERS[expression.relation]
    return int(order(integer_value(left, expression.left.span), integer_value(right, expression.right.span)))


def turns(loops: Sequence[tree.Loop], scope: Scope, at: Span) -> Iterator[Scope]:
    """The scopes of the turns of nested loops behind the declaration `at`; one if there are no loops."""
    if not loops:
        scope.budget.turn(at)
        yield scope
        return
    loop, *inner = loops
    first, last = integer(loop.first, scope), integer(loop.last, scope)
    scope.budget.turn(loop.variable.span, max(0, last - first))
    for value in range(first, last + 1):
        turn = scope.bind(loop.variable.text, value)
        if loop.condition is None or integer(loop.condition, turn):
            yield from turns(inner, turn, at)


def evaluate_lets(
    lets: Sequence[tree.LetStatement], scope: Scope, collector: Collector
) -> Mapping[str, Value]:
    """The values of `let` statements, which may refer to each other in any order."""
    by_name = {let.name.text: let for let in lets}
    needs = {
        name: [n.text for n in names_in(let.value) if n.text in by_name] for name, let in by_name.items()
    }
    values = dict(scope.values)
    for name in _in_order(needs, by_name, collector):
        with collector.attempt():
            values[name] = evaluate(by_name[name].value, replace(scope, values=values))
    return values


def _in_order(
    needs: Mapping[str, Sequence[str]], lets: Mapping[str, tree.LetStatement], collector: Collector
) -> list[str]:
    """The names so that each stands behind what it needs; those in a cycle are reported and left out."""
    rest = dict(needs)
    while True:
        try:
            order = TopologicalSorter(rest).static_order()
            return [name for name in order if name in rest]
        except CycleError as error:
            cycle: list[str] = list(reversed(error.args[1]))
            _report_cycle(cycle, lets, collector)
            rest = {name: need for name, need in rest.items() if name not in cycle}


def _report_cycle(cycle: list[str], lets: Mapping[str, tree.LetStatement], collector: Collector) -> None:
    first, *others = (lets[name].name for name in dict.fromkeys(cycle))
    notes = [Note(f"`{word.text}` is part of it", word.span) for word in others]
    chain = " -> ".join(f"`{name}`" for name in cycle[:8])
    collector.error("QE022", f"`{first.text}` is defined by itself: {chain}", first.span, *notes[:4])


def names_in(expression: tree.Expression) -> Iterator[tree.Name]:
    """The names that an expression reads."""
    rest: list[tree.Expression | tree.Range | str] = [expression]
    while rest:
        node = rest.pop()
        if isinstance(node, tree.Name):
            yield node
        elif not isinstance(node, (str, tree.Number)):
            rest += reversed(_parts(node))


def _parts(node: tree.Expression | tree.Range) -> Sequence[tree.Expression | tree.Range | str]:
    match node:
        case tree.Text(pieces=pieces):
            return pieces
        case tree.Listing(items=items):
            return items
        case tree.Call(arguments=arguments):
            return arguments
        case tree.Index(value=value, indices=indices):
            return (value, *indices)
        case tree.Negative(value=value):
            return (value,)
        case tree.Chain(first=first, rest=rest):
            return (first, *(operand for _, operand in rest))
        case tree.Comparison(left=left, right=right) | tree.Range(first=left, last=right):
            return (left, right)
        case _:
            return ()
