"""Opening a spec: its values and spaces, and those of everything that it includes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from qecompile import tree
from qecompile.arguments import Argument, bind_parameters
from qecompile.declarations import Binding, Frame, Tables, instance_name
from qecompile.errors import Note, Span, SymError, fail, suggest
from qecompile.expressions import Budget, Scope, evaluate, evaluate_lets, turns
from qecompile.files import SpecFile
from qecompile.resolve_spaces import declare_spaces

DEEPEST_INCLUDE = 16


def open_frame(
    spec: tree.SpecTree, file: SpecFile, arguments: Mapping[str, Argument], tables: Tables
) -> Frame:
    """The frame of a spec that stands for itself: values, spaces and included frames."""
    frame = Frame(spec, file, Scope(budget=Budget()), tables)
    _fill(frame, arguments, {})
    return frame


def included_frames(frame: Frame, statement: tree.IncludeStatement) -> Iterator[Frame]:
    """The frames that one `include` statement opened, in order."""
    family = frame.tables.includes.families.get(frame.family(statement.prefix))
    for name in family.names if family else ():
        inner = frame.tables.includes.entries.get(name)
        if inner is not None and frame.tables.includes.places[name] is statement.prefix.span:
            yield inner


def _fill(frame: Frame, arguments: Mapping[str, Argument], places: Mapping[str, Span]) -> None:
    collector = frame.tables.collector
    values = bind_parameters(frame.spec, arguments, frame.scope, collector, places)
    lets = [s for s in frame.spec.statements if isinstance(s, tree.LetStatement)]
    frame.scope = replace(frame.scope, values=values)
    frame.scope = replace(frame.scope, values=evaluate_lets(lets, frame.scope, collector))
    declare_spaces(frame)
    for statement in frame.spec.statements:
        if isinstance(statement, tree.IncludeStatement):
            _include(frame, statement)


def _include(frame: Frame, statement: tree.IncludeStatement) -> None:
    """Open the included spec once per turn of the statement's loops."""
    table = frame.tables.includes
    family = table.open(frame.family(statement.prefix), statement.prefix.span)
    try:
        spec, file = _find_spec(frame, statement)
        for turn in turns(statement.loops, frame.scope, statement.prefix.span):
            name = frame.full_name(statement.prefix, turn)
            table.claim(name, frame.family(statement.prefix), statement.prefix)
            inner = _open_included(frame, statement, (spec, file), name, turn)
            table.entries[name] = inner
    except SymError as mistakes:
        family.broken = True
        frame.tables.collector.absorb(mistakes)


def _find_spec(frame: Frame, statement: tree.IncludeStatement) -> tuple[tree.SpecTree, SpecFile]:
    name, span = statement.spec.text, statement.spec.span
    found = frame.file.find(name)
    if found is None and not frame.file.complete:
        raise SymError(())  # it may stand in the file that could not be read
    if found is None:
        help = suggest(name, [*frame.file.specs, *frame.file.used], 'name its file, as in: use "blocks.sym"')
        fail("QE100", f"there is no spec `{name}` to include", span, help=help)
    lineage = (*frame.parents, frame.spec)
    if any(found[0] is parent for parent in lineage):
        chain = " -> ".join(f"`{s.name.text}`" for s in (*lineage, found[0]))
        fail("QE102", f"spec `{name}` includes itself: {chain}", span)
    if len(lineage) > DEEPEST_INCLUDE:
        fail("QE102", f"specs are included more than {DEEPEST_INCLUDE} deep", span)
    return found


def _open_included(
    frame: Frame,
    statement: tree.IncludeStatement,
    found: tuple[tree.SpecTree, SpecFile],
    name: str,
    scope: Scope,
) -> Frame:
    spec, file = found
    arguments: dict[str, Argument] = {}
    places: dict[str, Span] = {}
    for word, value in statement.arguments:
        if word.text in arguments:
            fail("QE033", f"`{word.text}` is given twice", word.span, Note("first here", places[word.text]))
        arguments[word.text] = evaluate(value, scope)
        places[word.text] = word.span
    bindings = _read_bindings(frame, statement, spec, scope)
    inner = Frame(
        spec,
        file,
        Scope(budget=scope.budget),
        frame.tables,
        prefix=f"{name}.",
        bindings=bindings,
        parents=(*frame.parents, frame.spec),
    )
    _fill(inner, arguments, places)
    return inner


def _read_bindings(
    frame: Frame, statement: tree.IncludeStatement, spec: tree.SpecTree, scope: Scope
) -> dict[str, Binding]:
    """Which spaces stand for spaces of the included spec, by the name that they have there."""
    roots = [s.segment.name.text for s in spec.statements if isinstance(s, tree.SpaceStatement)]
    bindings: dict[str, Binding] = {}
    for inner, outer in statement.bindings:
        if inner.name.text not in roots:
            note = Note(f"spec `{spec.name.text}` is declared here", spec.name.span)
            help = suggest(inner.name.text, roots)
            fail(
                "QE103",
                f"spec `{spec.name.text}` has no root space `{inner.name.text}`",
                inner.span,
                note,
                help=help,
            )
        bindings[instance_name(inner, scope)] = Binding(frame.space(outer, scope).name, inner.span)
    return bindings
