"""Mistakes of form in words: what was expected, after what, and what was probably meant.

Takes what the parser raised, gives a `Diagnostic`. No name of a grammar terminal is ever shown.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from lark import Lark, Token, UnexpectedInput, UnexpectedToken

from qecompile.errors import Diagnostic, suggest
from qecompile.lexical import Piece, Places, scan

_DESCRIPTION = {
    "NAME": "a name",
    "INT": "a number",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "RELATION": "a comparison",
    "DUAL": "`*`",
    "$END": "the end of the file",
}
_OPERATORS = frozenset({"PLUS", "MINUS", "TIMES", "DIVIDE", "FLOOR", "MODULO", "RELATION"})
_GROUPS = (
    ("an expression", frozenset({"INT", "STRING", "NAME", "MINUS", "LPAR", "LSQB"})),
    (
        "a statement",
        frozenset({"_SPACE", "_PARAM", "_LET", "EXPECT", "_FEATURE", "_MODEL", "_METANET", "_INCLUDE"}),
    ),
)
_STATEMENTS = ("space", "param", "let", "expect", "feature", "model", "metanet", "include", "spec", "use")
_HEADS = {
    "model": 'a model is named by a text, as in: model "package.module:callable" with input normal(8, 784)',
    "feature": "a feature is written as: feature NAME = A . B over space",
    "metanet": "a metanet is written as: metanet NAME { channels 1, 16 }",
    "include": "an include is written as: include NAME(argument = 1) as prefix",
}
_CHARACTERS = {
    "'": 'texts stand in double quotes, as in: from "layers.0.weight"',
    ";": "statements need no end mark",
    "!": "write `!=` for not equal",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "←": "write `<-`",
    "→": "write `->`",
    "\u2212": "write `-`",
    "·": "write `.`",
    "\u00d7": "write `*`",
    "“": 'write `"`',
    "”": 'write `"`',
}


def explain(error: UnexpectedInput, grammar: Lark, places: Places, text: str) -> Diagnostic:
    """The diagnostic of what the parser raised on a text."""
    pieces = list(scan(text))
    if not isinstance(error, UnexpectedToken):
        return _wrong_character(places, pieces, int(error.pos_in_stream or 0))
    token: Token = error.token
    at_end = token.type == "$END"
    at = len(pieces) if at_end else bisect_left([p.start for p in pieces], token.start_pos or 0)
    return _misspelt_statement(places, pieces, at) or _wrong_token(error, grammar, places, pieces[:at])


def _wrong_token(error: UnexpectedToken, grammar: Lark, places: Places, before: list[Piece]) -> Diagnostic:
    """A token where another was expected: one too few if that explains it, else a wrong one."""
    token: Token = error.token
    at_end = token.type == "$END"
    parser: Any = error.interactive_parser
    expected: set[str] = parser.accepts()
    help = _HEADS.get(str(token)) or suggest(str(token), _keywords(expected, grammar))
    bridging = set() if help else _missing(parser, token, expected)
    words = _in_words(bridging or expected, grammar)
    behind = f" after `{_shorten(before[-1].text)}`" if before else ""
    found = "the end of the text" if at_end else f"`{_shorten(str(token))}`"
    message = f"expected {words}{behind}, found {found}"
    if before and (bridging or at_end):
        last = len(places.source.text) - 1
        return Diagnostic("QE011", message, places.span(min(before[-1].end, last)), help=help)
    span = places.span(0) if at_end else places.span(token.start_pos or 0, len(token))
    return Diagnostic("QE010", message, span, help=help)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _wrong_character(places: Places, pieces: list[Piece], at: int) -> Diagnostic:
    """A character that starts no token, or a number and a word run into one."""
    piece = next((p for p in pieces if p.start <= at < p.end), None)
    if piece is None:
        return Diagnostic("QE010", "this character has no meaning here", places.span(at))
    shown = _shorten("".join(c if c.isprintable() else "?" for c in piece.text))
    if piece.kind == "word":
        help = "a name is made of the letters a to z, digits and `_`, and starts with no digit"
        return Diagnostic(
            "QE010", f"`{shown}` is neither a name nor a number", places.of_piece(piece), help=help
        )
    return Diagnostic(
        "QE010", f"`{shown}` has no meaning here", places.of_piece(piece), help=_CHARACTERS.get(piece.text)
    )


def _misspelt_statement(places: Places, pieces: list[Piece], at: int) -> Diagnostic | None:
    """A first word of the line that nearly starts a statement, as in `parm W : a`."""
    here = min(at, len(pieces) - 1)
    if here < 0:
        return None
    text = places.source.text
    line_start = text.rfind("\n", 0, pieces[here].start) + 1
    first = next(p for p in pieces if p.start >= line_start)
    help = suggest(first.text, _STATEMENTS)
    if first.kind != "word" or first.text in _STATEMENTS or help is None or here - pieces.index(first) > 3:
        return None
    return Diagnostic(
        "QE010", f"no statement starts with `{_shorten(first.text)}`", places.of_piece(first), help=help
    )


def _missing(parser: Any, token: Token, expected: set[str]) -> set[str]:
    """The terminals that, put before `token`, would let the parser go on."""
    types = {str(token.type)} | ({"NAME"} if re.fullmatch(r"[A-Za-z_]\w*", str(token)) else set())
    bridging = set()
    for terminal in expected - {"$END"}:
        trial = parser.copy(deepcopy_values=False)
        trial.feed_token(Token(terminal, ""))
        if types & set(trial.accepts()):
            bridging.add(terminal)
    return bridging


def _in_words(terminals: Iterable[str], grammar: Lark) -> str:
    """A list of terminals as a reader would name them."""
    rest = set(terminals)
    if rest - _OPERATORS - {"LSQB", "DOT"}:
        starts = _GROUPS[0][1] <= rest
        rest -= (_OPERATORS | {"LSQB", "DOT"}) - (_GROUPS[0][1] if starts else frozenset())
    words = []
    for name, members in _GROUPS:
        if members <= rest or (name == "a statement" and len(members & rest) > 2):
            words.append(name)
            rest -= members
    words += sorted({w for t in rest for w in _words_of(t, grammar)})
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + f" or {words[-1]}"


def _words_of(terminal: str, grammar: Lark) -> list[str]:
    if terminal in _OPERATORS:
        return ["an operator"]
    if terminal in _DESCRIPTION:
        return [_DESCRIPTION[terminal]]
    return [f"`{word}`" for word in _literals(terminal, grammar)]


def _literals(terminal: str, grammar: Lark) -> list[str]:
    """What a keyword or a punctuation mark looks like in a file."""
    pattern = grammar.get_terminal(terminal).pattern
    if pattern.type == "str":
        return [pattern.value]
    alternatives = re.match(r"\(\?:([\w|]+)\)", pattern.value) or re.match(r"(\w+)", pattern.value)
    return alternatives.group(1).split("|") if alternatives else []


def _keywords(terminals: Iterable[str], grammar: Lark) -> list[str]:
    plain = (t for t in terminals if t not in _DESCRIPTION and t not in _OPERATORS)
    return [word for t in plain for word in _literals(t, grammar) if word.isidentifier()]
