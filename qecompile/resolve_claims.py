"""`expect` and `model` statements: what is said about parameters that are declared."""

from __future__ import annotations

from typing import Literal, cast

from qecompile import tree
from qecompile.declarations import Frame
from qecompile.errors import Collector, Note, fail
from qecompile.expressions import Scope, integer, text, turns
from qecompile.spec import Expect, Model

Kind = Literal["dim", "diagrams", "invariants", "orbit_dim", "preserves", "maximal", "alpha"]
Relation = Literal["==", "!=", "<", "<=", ">", ">="]


def read_expects(frame: Frame) -> tuple[Expect, ...]:
    """The `expect` statements of a spec, one value per turn of their loops."""
    found: list[Expect] = []
    for statement in frame.spec.statements:
        if isinstance(statement, tree.ExpectStatement):
            with frame.tables.collector.attempt():
                for turn in turns(statement.loops, frame.scope, statement.span):
                    found.append(_read_expect(frame, statement, turn))
    return tuple(found)


def _read_expect(frame: Frame, statement: tree.ExpectStatement, scope: Scope) -> Expect:
    names = _read_names(frame, statement, scope)
    value = None if statement.value is None else integer(statement.value, scope)
    verb = statement.verb.text
    if verb in ("preserves", "maximal") and not any(
        isinstance(s, tree.ModelStatement) for s in frame.spec.statements
    ):
        help = 'declare it, as in: model "package.module:callable" with input normal(8, 784)'
        fail(
            "QE080", f"`{verb} model` needs a `model` statement in this spec", statement.verb.span, help=help
        )
    return Expect(
        kind=cast(Kind, verb),
        source=names[0] if names else None,
        target=names[1] if len(names) > 1 else None,
        relation=cast(Relation, statement.relation),
        value=value,
        wanted=statement.wanted,
        text=_text_of(statement, names, value),
        line=statement.span.line,
        column=statement.span.column,
    )


def _read_names(frame: Frame, statement: tree.ExpectStatement, scope: Scope) -> list[str]:
    """The parameters of a claim; every one that is unknown is reported."""
    found = Collector()
    names = []
    for reference in statement.references:
        with found.attempt():
            names.append(frame.param(reference, scope).name)
    found.pass_on()
    return names


def _text_of(statement: tree.ExpectStatement, names: list[str], value: int | None) -> str:
    """The claim with its names and its number written out, as in `dim(b[1] -> W[2]) == 0`."""
    verb = statement.verb.text
    if value is None:
        return f"{verb} {statement.wanted or 'model'}"
    subject = f"{verb}({' -> '.join(names)})" if names else verb
    return f"{subject} {statement.relation} {value}"


# The model


def read_model(frame: Frame) -> Model | None:
    """The `model` statement of a spec, if it has one."""
    statements = [s for s in frame.spec.statements if isinstance(s, tree.ModelStatement)]
    for second in statements[1:]:
        note = Note("first here", statements[0].span)
        frame.tables.collector.error("QE050", "a spec has one model", second.span, note)
    if not statements:
        return None
    with frame.tables.collector.attempt():
        return _read_model(statements[0], frame.scope)
    return None


def _read_model(statement: tree.ModelStatement, scope: Scope) -> Model:
    target = text(statement.target, scope)
    module, colon, attribute = target.partition(":")
    if not colon or not all(p.isidentifier() for p in [*module.split("."), *attribute.split(".")]):
        help = 'write it as "package.module:callable"'
        fail("QE082", f'"{target}" does not name a callable', statement.target.span, help=help)
    shape = []
    for size in statement.shape:
        shape.append(integer(size, scope, "a number as size"))
        if shape[-1] < 1:
            fail("QE082", f"the input has a size of {shape[-1]}", size.span, help="a size is at least 1")
    distribution = statement.distribution
    if distribution is not None and not shape:
        fail("QE082", "the input has no sizes", distribution.span, help=f"as in {distribution.text}(8, 784)")
    return Model(target=target, distribution=distribution.text if distribution else None, shape=tuple(shape))
