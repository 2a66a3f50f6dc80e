"""Names: values are declared once, known wherever they stand, and used, and so are spaces.

These checks read the tree and evaluate nothing, so they also reach the inside of loops without turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass

from qecompile import tree
from qecompile.errors import Collector, Note, Span, suggest
from qecompile.expressions import names_in

_EXPRESSIONS = (
    tree.Number,
    tree.Text,
    tree.Name,
    tree.Listing,
    tree.Call,
    tree.Index,
    tree.Negative,
    tree.Chain,
    tree.Comparison,
)


def check_names(spec: tree.SpecTree, collector: Collector) -> None:
    """Report values that are unknown, declared twice or hidden by a loop variable."""
    declared = _declared_values(spec, collector)
    earlier: dict[str, Span] = {}
    for parameter in spec.parameters:
        _check_node(parameter, earlier, {}, collector)
        earlier[parameter.name.text] = parameter.name.span
    for statement in spec.statements:
        _check_node(statement, declared, {}, collector)


def _declared_values(spec: tree.SpecTree, collector: Collector) -> dict[str, Span]:
    words = [p.name for p in spec.parameters]
    words += [s.name for s in spec.statements if isinstance(s, tree.LetStatement)]
    declared: dict[str, Span] = {}
    for word in words:
        if word.text in declared:
            note = Note("first here", declared[word.text])
            collector.error("QE021", f"`{word.text}` is declared twice", word.span, note)
        declared.setdefault(word.text, word.span)
    return declared


def _check_node(
    node: object, declared: dict[str, Span], loops: dict[str, Span], collector: Collector
) -> None:
    """Check the names in a node, where the variables of `loops` are known too."""
    variables = dict(loops)
    for loop in getattr(node, "loops", ()):
        for bound in (loop.first, loop.last):
            _check_expression(bound, declared, variables, collector)
        _check_variable(loop.variable, declared, variables, collector)
        variables[loop.variable.text] = loop.variable.span
        if loop.condition is not None:
            _check_expression(loop.condition, declared, variables, collector)
    for part in _parts(node):
        if isinstance(part, _EXPRESSIONS):
            _check_expression(part, declared, variables, collector)
        else:
            _check_node(part, declared, variables, collector)


def _parts(node: object) -> Iterator[object]:
    """The expressions and smaller trees in a node, without its loops."""
    if isinstance(node, tuple):
        yield from node
    elif is_dataclass(node) and not isinstance(node, (Span, tree.Word)):
        yield from (getattr(node, f.name) for f in fields(node) if f.name != "loops")


def _check_variable(
    word: tree.Word, declared: dict[str, Span], loops: dict[str, Span], collector: Collector
) -> None:
    before = loops.get(word.text) or declared.get(word.text)
    if before is not None:
        message = f"the loop variable `{word.text}` hides another value"
        collector.error(
            "QE029", message, word.span, Note("declared here", before), help="choose another name"
        )


def _check_expression(
    expression: tree.Expression,
    declared: dict[str, Span],
    loops: dict[str, Span],
    collector: Collector,
) -> None:
    for name in names_in(expression):
        if name.text not in declared and name.text not in loops:
            help = suggest(name.text, [*declared, *loops], _known([*declared, *loops]))
            collector.error("QE020", f"there is no value `{name.text}`", name.span, help=help)


def _known(names: Sequence[str]) -> str | None:
    return "known here: " + ", ".join(f"`{n}`" for n in names[:8]) if names else None


# Use


def check_use(spec: tree.SpecTree, warnings: Collector) -> None:
    """Warn of values and spaces that nothing uses; they are allowed, and often a slip."""
    used = {name.text for node in (*spec.parameters, *spec.statements) for name in values_in(node)}
    for name, span in _declared_values(spec, Collector()).items():
        if name not in used:
            warnings.error("QE028", f"`{name}` is never used", span, help="remove it, or use it")
    mentioned = {r.segments[0].name.text for s in spec.statements for r in _references(s)}
    for statement in spec.statements:
        if isinstance(statement, tree.SpaceStatement):
            _check_space(statement, mentioned, warnings)


def _check_space(statement: tree.SpaceStatement, mentioned: set[str], warnings: Collector) -> bool:
    """Whether a space or one nested in it is used; the innermost are reported."""
    nested = [_check_space(s, mentioned, warnings) for s in statement.nested]
    name = statement.segment.name
    used = name.text in mentioned or any(nested)
    if not used and not nested:
        help = "use it in the type of a parameter, or remove it"
        warnings.error("QE028", f"space `{name.text}` is never used", name.span, help=help)
    return used


def values_in(node: object) -> Iterator[tree.Name]:
    """The values that a node reads, in its loops and anywhere else."""
    if isinstance(node, _EXPRESSIONS):
        yield from names_in(node)
    else:
        for part in (*getattr(node, "loops", ()), *_parts(node)):
            yield from values_in(part)


def _references(node: object) -> Iterator[tree.Reference]:
    """The references in a node; a type is flat, so this is not deep."""
    if isinstance(node, tree.Reference):
        yield node
    elif not isinstance(node, _EXPRESSIONS):
        for part in _parts(node):
            yield from _references(part)
