"""Arguments of a spec: what a caller gives for `spec NAME(PARAM: TYPE = DEFAULT)`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from qecompile import tree
from qecompile.errors import Collector, Note, Source, Span, fail, suggest
from qecompile.expressions import LARGEST, LONGEST_LIST, LONGEST_TEXT, Scope, Value, describe, evaluate

Argument = int | Sequence[int] | str

TYPES = ("int", "ints", "text")
_WORDS = {"int": "a number", "ints": "a list", "text": "a text"}
_INTEGER = re.compile(r"[-+]?\d{1,18}", re.ASCII)


def parse_arguments(definitions: Iterable[str]) -> dict[str, int | tuple[int, ...] | str]:
    """The values of `-D name=value` options; quotes make a text of what looks like a number.

    >>> parse_arguments(["n=3", "widths=[64, 32]", "kind=gelu", 'key="7"'])
    {'n': 3, 'widths': (64, 32), 'kind': 'gelu', 'key': '7'}

    Raises:
        SymError: if an option is not of the form `name=value` or a name is given twice.
    """
    found: dict[str, int | tuple[int, ...] | str] = {}
    collector = Collector()
    for definition in definitions:
        with collector.attempt():
            name, value = _parse_definition(definition, Source("-D", definition))
            if name in found:
                fail("QE033", f"`{name}` is given twice", Span(Source("-D", definition), 1, 1, len(name)))
            found[name] = value
    collector.finish()
    return found


def _parse_definition(definition: str, source: Source) -> tuple[str, int | tuple[int, ...] | str]:
    name, equals, value = definition.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name.strip(), re.ASCII):
        span = Span(source, 1, 1, max(1, len(name)))
        fail("QE033", "expected a name and a value", span, help="as in: -D widths=[64,32,10]")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        return name.strip(), value[1:-1]
    if _INTEGER.fullmatch(value):
        return name.strip(), int(value)
    if value[:1] == "[" or re.fullmatch(r"[-+]?\d+", value):
        return name.strip(), _parse_list(value, Span(source, 1, len(name) + 2, max(1, len(value))))
    return name.strip(), value


def _parse_list(value: str, span: Span) -> tuple[int, ...]:
    help = f"whole numbers of at most 18 digits, as in: -D {span.source.text[: span.column - 2]}=[64,32,10]"
    if value[-1:] != "]" or value[:1] != "[":
        fail("QE033", "this is neither a number nor a list of numbers", span, help=help)
    items = [item.strip() for item in value[1:-1].split(",")] if value[1:-1].strip() else []
    if items and not items[-1]:
        items.pop()
    if not all(_INTEGER.fullmatch(item) for item in items):
        fail("QE033", "this is not a list of numbers", span, help=help)
    return tuple(int(item) for item in items)


def bind_parameters(
    spec: tree.SpecTree,
    arguments: Mapping[str, Argument],
    scope: Scope,
    collector: Collector,
    places: Mapping[str, Span] | None = None,
) -> dict[str, Value]:
    """The value of every parameter of a spec: the argument, else the default, which may use earlier ones.

    `places` tells where the arguments were written, if they were written in a file.
    """
    values: dict[str, Value] = {}
    names = [p.name.text for p in spec.parameters]
    for name in arguments:
        if name not in names:
            place = places.get(name) if places else None
            known = ", ".join(f"`{n}`" for n in names)
            help = suggest(name, names, f"its parameters: {known}" if names else "it has no parameters")
            note = Note(f"spec `{spec.name.text}` is declared here", spec.name.span)
            collector.error(
                "QE030", f"spec `{spec.name.text}` has no parameter `{name}`", place, note, help=help
            )
    for parameter in spec.parameters:
        name = parameter.name.text
        with collector.attempt():
            if name in arguments:
                place = places.get(name) if places else None
                values[name] = _accept(parameter, arguments[name], place)
            else:
                values[name] = _default(parameter, replace(scope, values=values))
    return values


def _default(parameter: tree.Parameter, scope: Scope) -> Value:
    _check_type(parameter)
    if parameter.default is None:
        name = parameter.name.text
        fail(
            "QE032", f"parameter `{name}` has no value", parameter.name.span, help=f"give one: -D {name}=..."
        )
    value = evaluate(parameter.default, scope)
    if _type_of(value) != parameter.type.text:
        wanted, name = _WORDS[parameter.type.text], parameter.name.text
        message = f"the default of `{name}` must be {wanted}, not {describe(value)}"
        fail("QE031", message, parameter.default.span, Note("its type", parameter.type.span))
    return value


def _check_type(parameter: tree.Parameter) -> None:
    word = parameter.type
    if word.text not in TYPES:
        help = suggest(word.text, TYPES, "the types are `int`, `ints` and `text`")
        fail("QE034", f"there is no type `{word.text}`", word.span, help=help)


def _type_of(value: Value) -> str:
    return "text" if isinstance(value, str) else "int" if isinstance(value, int) else "ints"


def _accept(parameter: tree.Parameter, argument: object, place: Span | None) -> Value:
    """The argument as a value of the parameter's type."""
    _check_type(parameter)
    name, wanted = parameter.name.text, parameter.type.text
    value = _as_value(argument)
    if value is None or _type_of(value) != wanted:
        given = describe(value) if value is not None else f"`{argument!r}`"[:60]
        message = f"argument `{name}` must be {_WORDS[wanted]}, not {given}"
        example = {"int": "7", "ints": "[64,32,10]", "text": '"..."'}[wanted]
        note = Note("the parameter is declared here", parameter.name.span)
        fail("QE031", message, place, note, help=f"as in {name}={example}")
    return value


def _as_value(argument: object) -> Value | None:
    """The argument as a value of the language, or None if it is none."""
    if isinstance(argument, str):
        return argument if len(argument) <= LONGEST_TEXT else None
    if isinstance(argument, bool):
        return None
    if isinstance(argument, int):
        return argument if abs(argument) <= LARGEST else None
    if isinstance(argument, Sequence) and len(argument) <= LONGEST_LIST:
        items = tuple(argument)
        return items if all(_is_number(item) for item in items) else None
    return None


def _is_number(item: object) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and abs(item) <= LARGEST
