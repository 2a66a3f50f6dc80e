"""`expect` and `model` statements: what is said about parameters that are declared."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, cast, get_args

from qecompile import tree
from qecompile.declarations import Frame
from qecompile.errors import Collector, Note, fail, suggest
from qecompile.expressions import Scope, integer, text, turns
from qecompile.spec import Expect, Input, Model

Kind = Literal["dim", "diagrams", "invariants", "orbit_dim", "preserves", "maximal", "alpha"]
Distribution = Literal["normal", "uniform", "ones", "tokens"]
DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)
_USAGE = {
    "normal": "normal(8, 784)",
    "uniform": "uniform(8, 784)",
    "ones": "ones(8, 16)",
    "tokens": "tokens(8, 16, below = 1000)",
}
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
        return _read_model(statements[0], frame)
    return None


def _read_model(statement: tree.ModelStatement, frame: Frame) -> Model:
    scope = frame.scope
    target = text(statement.target, scope)
    module, colon, attribute = target.partition(":")
    if not colon or not all(p.isidentifier() for p in [*module.split("."), *attribute.split(".")]):
        help = 'write it as "package.module:callable"'
        fail("QE082", f'"{target}" does not name a callable', statement.target.span, help=help)
    inputs = tuple(_read_input(drawn, scope) for drawn in statement.inputs)
    keywords = [drawn.keyword for drawn in statement.inputs if drawn.keyword]
    for k, keyword in enumerate(keywords):
        if keyword.text in (earlier.text for earlier in keywords[:k]):
            fail("QE085", f"the input `{keyword.text}` is given twice", keyword.span)
    for drawn, follower in pairwise(statement.inputs):
        if drawn.keyword and not follower.keyword:
            help = "inputs without a name come first, as in a call"
            fail(
                "QE085",
                "an input without a name follows one with a name",
                follower.distribution.span,
                help=help,
            )
    output = frame.space(statement.output, scope) if statement.output else None
    if output and statement.output and output.parent is not None:
        help = f"an output has no axis of `{output.parent}` that says which copy is meant"
        fail("QE085", f"the output space `{output.name}` is nested", statement.output.span, help=help)
    return Model(
        target=target, inputs=inputs, output=output.name if output else None, place=statement.target.span
    )


def _read_input(drawn: tree.DrawnInput, scope: Scope) -> Input:
    """One input: how it is drawn is known, its sizes are at least 1, and tokens have a bound."""
    word, named = drawn.distribution, {name.text: value for name, value in drawn.named}
    if word.text not in DISTRIBUTIONS:
        known = f"an input is drawn as one of {', '.join(f'`{d}`' for d in DISTRIBUTIONS)}"
        fail(
            "QE085",
            f"`{word.text}` is no way to draw an input",
            word.span,
            help=suggest(word.text, DISTRIBUTIONS, known),
        )
    shape = []
    for size in drawn.shape:
        shape.append(integer(size, scope, "a number as size"))
        if shape[-1] < 1:
            fail("QE085", f"the input has a size of {shape[-1]}", size.span, help="a size is at least 1")
    if not shape:
        fail("QE085", "the input has no sizes", word.span, help=f"as in {word.text}(8, 784)")
    wanted = ["below"] if word.text == "tokens" else []
    for name, _ in drawn.named:
        if name.text not in wanted:
            fail(
                "QE085",
                f"`{word.text}` has no option `{name.text}`",
                name.span,
                help=f"as in {_USAGE[word.text]}",
            )
    if len(named) < len(drawn.named):
        fail("QE085", "`below` is given twice", drawn.named[-1][0].span)
    below = None
    if wanted:
        if "below" not in named:
            fail(
                "QE085", "nothing says how many tokens there are", word.span, help=f"as in {_USAGE['tokens']}"
            )
        below = integer(named["below"], scope, "a number of tokens")
        if below < 1:
            fail("QE085", f"there are {below} tokens", named["below"].span, help="there is at least 1")
    return Input(
        distribution=cast(Distribution, word.text),
        shape=tuple(shape),
        below=below,
        keyword=drawn.keyword.text if drawn.keyword else None,
    )
