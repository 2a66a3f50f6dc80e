"""What each name of a file means, and where that is declared.

Takes a parsed file, gives an `Occurrence` for every name in it. Works on the tree, so it also knows the
names of a spec that does not resolve. A name such as `a` in `a[i]` means all statements that declare some
`a[...]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qecompile import tree
from qecompile.errors import Span, SymError
from qecompile.expressions import Scope, text
from qecompile.files import SpecFile
from qecompile.lsp.declared import Declared, all_spaces
from qecompile.names import values_in

Kind = Literal[
    "space", "parameter", "feature", "include", "value", "loop variable", "character", "word", "spec", "file"
]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A name at a place, what kind of thing it is, and where that is declared.

    `path` is the whole of what is named, with the prefixes before the name; `spec` is where it stands. A
    `word` is one of a group, and a `file` the text of a `use`.
    """

    span: Span
    kind: Kind
    name: str
    targets: tuple[Span, ...] = ()
    path: tuple[tree.Segment, ...] = ()
    spec: tree.SpecTree | None = None


def find_occurrence(file: SpecFile, line: int, column: int) -> Occurrence | None:
    """What stands at a place, counted from 1; the place right behind a name belongs to it."""
    for occurrence in occurrences(file):
        span = occurrence.span
        if span.line == line and span.column <= column <= span.column + span.length:
            return occurrence
    return None


def occurrences(file: SpecFile) -> Iterator[Occurrence]:
    """Every name of a file, in no particular order.

    >>> from qecompile.lsp.analysis import analyse
    >>> file = analyse("spec s { space a = 3 : fixed  param b : a }").file
    >>> [(o.kind, o.name, o.span.column) for o in occurrences(file)]
    [('spec', 's', 6), ('space', 'a', 16), ('word', 'fixed', 24), ('parameter', 'b', 37), ('space', 'a', 41)]
    """
    for used in file.parsed.uses:
        yield Occurrence(used.span, "file", _path_of(used))
    for spec in file.parsed.specs:
        yield Occurrence(spec.name.span, "spec", spec.name.text, (spec.name.span,), spec=spec)
        names = Declared.of(spec, file)
        for parameter in spec.parameters:
            yield _value(parameter.name, (parameter.name.span,), names)
            yield from _values(parameter, {}, names)
        for statement in spec.statements:
            yield from _in_statement(statement, names)
            yield from _in_loops(statement, names)


def _path_of(used: tree.Text) -> str:
    try:
        return text(used, Scope())
    except SymError:
        return ""


def _value(word: tree.Word | tree.Name, targets: tuple[Span, ...], names: Declared) -> Occurrence:
    return Occurrence(word.span, "value", word.text, targets, spec=names.spec)


def _in_loops(statement: tree.Statement, names: Declared) -> Iterator[Occurrence]:
    """The values of a statement, and the variables of its loops."""
    entries = statement.entries if isinstance(statement, tree.MetaNetStatement) else ()
    parts = (statement, *all_spaces(getattr(statement, "nested", ())), *entries)
    variables = [loop.variable for part in parts for loop in getattr(part, "loops", ())]
    for variable in variables:
        yield Occurrence(variable.span, "loop variable", variable.text, (variable.span,), spec=names.spec)
    yield from _values(statement, {v.text: v.span for v in reversed(variables)}, names)


def _values(node: object, variables: Mapping[str, Span], names: Declared) -> Iterator[Occurrence]:
    for name in values_in(node):
        if name.text in variables:
            targets = (variables[name.text],)
            yield Occurrence(name.span, "loop variable", name.text, targets, spec=names.spec)
        else:
            yield _value(name, names.values.get(name.text, ()), names)


def _in_statement(statement: tree.Statement, names: Declared) -> Iterator[Occurrence]:
    """The names of a statement, other than those of values."""
    match statement:
        case tree.LetStatement(name=name):
            yield _value(name, (name.span,), names)
        case tree.SpaceStatement():
            for space in all_spaces([statement]):
                yield from _in_space(space, names)
        case tree.ParamStatement():
            yield from _refer((statement.segment,), "parameter", names)
            for axis in (*statement.type.out, *statement.type.into):
                yield from _in_axis(axis, names)
        case tree.FeatureStatement():
            yield from _refer((statement.segment,), "feature", names)
            for factor in names.factors(statement.product):
                yield from _refer(factor, "parameter", names)
            for over in statement.over:
                yield from _refer(over.segments, "space", names)
        case tree.ExpectStatement():
            for reference in statement.references:
                yield from _refer(reference.segments, "parameter", names)
        case tree.IncludeStatement():
            yield from _in_include(statement, names)
        case tree.MetaNetStatement():
            for entry in statement.entries:
                if isinstance(entry, tree.MixEntry):
                    yield from _refer(entry.space.segments, "space", names)
        case tree.ModelStatement():
            pass


def _in_space(space: tree.SpaceStatement, names: Declared) -> Iterator[Occurrence]:
    yield from _refer((space.segment,), "space", names)
    for word in space.group:
        yield Occurrence(word.word.span, "word", word.word.text, spec=names.spec)
        if word.character:
            yield Occurrence(word.character.span, "character", word.character.text, (word.character.span,))


def _in_axis(axis: tree.AxisTree, names: Declared) -> Iterator[Occurrence]:
    yield from _refer(axis.space.segments, "space", names)
    marks = [mark for mark in axis.marks if isinstance(mark, tree.ChargesMark)]
    for word in (word for mark in marks for word, _ in mark.charges):
        spaces = all_spaces(names.spec.statements)
        same = [s for s in spaces if s.segment.name.text == axis.space.segments[-1].name.text]
        given = [g.character or g.word for s in same for g in s.group]
        yield Occurrence(
            word.span, "character", word.text, tuple(g.span for g in given if g.text == word.text)
        )


def _in_include(statement: tree.IncludeStatement, names: Declared) -> Iterator[Occurrence]:
    found = names.file.find(statement.spec.text)
    target = (found[0].name.span,) if found else ()
    yield Occurrence(
        statement.spec.span, "spec", statement.spec.text, target, spec=found[0] if found else None
    )
    inner = Declared.of(*found) if found else None
    for word, _ in statement.arguments:
        yield _value(word, inner.values.get(word.text, ()) if inner else (), inner or names)
    yield from _refer((statement.prefix,), "include", names)
    for bound, outer in statement.bindings:
        yield from _refer((bound,), "space", inner) if inner else ()
        yield from _refer(outer.segments, "space", names)


def _refer(
    path: Sequence[tree.Segment], kind: Literal["space", "parameter", "feature", "include"], names: Declared
) -> Iterator[Occurrence]:
    """The names along a path such as `block[1].a[2]`: prefixes of includes, then one of a kind."""
    inside: Declared | None = names
    for k, segment in enumerate(path, 1):
        here = kind if k == len(path) else "include"
        name = segment.name
        targets = inside.find(here, name.text) if inside else ()
        yield Occurrence(name.span, here, name.text, targets, tuple(path[:k]), names.spec)
        inside = inside.included(name.text) if inside and k < len(path) else None
