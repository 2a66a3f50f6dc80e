"""Mistakes of form in words: what was expected, after what, and what was probably meant.

Takes what the parser raised, gives a `Diagnostic`. No name of a grammar terminal is ever shown.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lark import Lark, Token, UnexpectedInput, UnexpectedToken

from qecompile.errors import Diagnostic, suggest
from qecompile.lexical import Piece, Places, scan

_DESCRIPTION = {
    "NAME": "a name",
    "INT": "a number",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "RELATION": "a comparison like `==`",
    "STAR": "`*`",
    "$END": "the end of the file",
}
_OPERATORS = frozenset({"PLUS", "MINUS", "DIVIDE", "FLOOR", "MODULO"})
_RESERVED = frozenset({"space", "param", "let", "expect", "from", "for", "if"})
_GROUP_WORDS = frozenset({"fixed", "permute", "scale", "sign", "linear", "orthogonal", "rotate", "dilate"})
_CONTINUATIONS = _OPERATORS | {"RELATION", "LSQB", "LPAR", "DOT"}
_EXPRESSION = frozenset({"INT", "STRING", "NAME", "MINUS", "LPAR", "LSQB"})
_STATEMENT = frozenset({"_SPACE", "_PARAM", "_LET", "EXPECT", "_FEATURE", "_MODEL", "_METANET", "_INCLUDE"})
_STATEMENTS = ("space", "param", "let", "expect", "feature", "model", "metanet", "include", "spec", "use")
HEADS = {
    "model": 'a model is named by a text, as in: model "package.module:callable" with input normal(8, 784)',
    "feature": "a feature is written as: feature NAME = A . B over space",
    "metanet": "a metanet is written as: metanet NAME { channels 1, 16 }",
    "include": "an include is written as: include NAME(argument = 1) as prefix; without arguments: NAME()",
}
"""How the statements are written whose first word may also name a space."""

BRACES = "blocks stand in braces, as in: spec NAME(n: int = 3) { ... }"
_LOOP = "a loop stands behind the name, as in: space a[i] for i in 1..3 = 4 : permute"
_POWER = "there are no powers: write a product, as in `n * n`"
_HINTS = {
    "=": {"RELATION": "`==` compares"},
    "->": {"INTO": "the arrow of a type points to the left: OUT <- IN"},
    "<-": {"ONTO": "this arrow points to the right, from the source to the target"},
    "for": {"LBRACE": _LOOP, "_SPACE": _LOOP},
    "if": {
        "_SPACE": "a condition stands behind a loop, as in: space a[i] for i in 1..3 if i != 2 = 4 : permute"
    },
    "//": {"_SPEC": "`#` starts a comment", "_SPACE": "`#` starts a comment"},
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
    "\u2013": "write `-`",
    "\u2014": "write `-`",
    "·": "write `.`",
    "\u00d7": "write `*`",
    "“": 'write `"`',
    "”": 'write `"`',
}


_TEXTBOOK = {"S": "permute", "Sn": "permute", "GL": "linear", "O": "orthogonal", "SO": "rotate"}


def textbook_group(word: str) -> str | None:
    """Help for a group that is written as in a textbook, like S(n) or GL(d)."""
    written = _TEXTBOOK.get(word)
    return written and f"write `{written}`, without a size: it is the size of the space"


def explain(error: UnexpectedInput, grammar: Lark, places: Places, text: str) -> Diagnostic:
    """The diagnostic of what the parser raised on a text."""
    pieces = list(scan(text))
    if not isinstance(error, UnexpectedToken):
        return _wrong_character(places, pieces, int(error.pos_in_stream or 0))
    token: Token = error.token
    at_end = token.type == "$END"
    at = len(pieces) if at_end else bisect_right([p.start for p in pieces], token.start_pos or 0) - 1
    found = None if at_end else pieces[at]
    new_line = found is not None and at > 0 and "\n" in text[pieces[at - 1].end : found.start]
    parser: Any = error.interactive_parser
    wrong = _wrong_token(parser, grammar, places, pieces[:at], found, new_line)
    if _ends_line_with_colon(pieces, at, text) and "LBRACE" in parser.accepts():
        wrong = replace(wrong, help=BRACES)
    return (
        _misspelt_statement(places, pieces, at, text)
        or _unfinished_head(places, pieces, at, text, grammar)
        or wrong
    )


def _ends_line_with_colon(pieces: Sequence[Piece], at: int, text: str) -> bool:
    """Whether a block is opened here as in Python."""
    if not (at < len(pieces) and pieces[at].text == ":"):
        return False
    return at + 1 == len(pieces) or "\n" in text[pieces[at].end : pieces[at + 1].start]


def _wrong_token(
    parser: Any, grammar: Lark, places: Places, before: list[Piece], found: Piece | None, new_line: bool
) -> Diagnostic:
    """A token where another was expected: one is missing if that explains it, else this one is wrong."""
    expected: set[str] = parser.accepts()
    help = _help_in_place(before, found, expected, grammar, new_line) if found else None
    if len(before) > 2 and before[-1].text == "(" and before[-3].text in (":", "*"):
        help = help or textbook_group(before[-2].text)
    missing = _missing(parser, found.text, expected, grammar) if found and not help else set()
    if found and found.text in _GROUP_WORDS and "STAR" in missing and "LBRACE" in expected:
        missing, help = {"STAR"}, "the words of a group are joined by `*`"
    behind = f" after `{_shorten(before[-1].text)}`" if before else ""
    shown = f"`{_shorten(found.text)}`" if found else "the end of the text"
    message = f"expected {_in_words(missing or expected, grammar)}{behind}, found {shown}"
    if before and (missing or not found or (new_line and not help)):
        return Diagnostic("QE011", message, places.span(before[-1].end), help=help)
    span = places.of_piece(found) if found else places.span(0)
    return Diagnostic("QE010", message, span, help=help)


def _help_in_place(
    before: Sequence[Piece], found: Piece, expected: set[str], grammar: Lark, new_line: bool
) -> str | None:
    """What was probably meant by a word that does not fit behind those before."""
    last = [p.text for p in before[-4:]]
    if found.text == "^" or (found.text == "*" and last[-1:] == ["*"] and before[-1].end == found.start):
        return _POWER
    if "RANGE" in expected and "range" in last:
        return "write `0..2`: a range has two dots and holds both its ends"
    if found.text == "." and last[-2:-1] and last[-2] in ("param", "space", "feature"):
        return "a name that is declared has no dots: those with a dot come from an `include`"
    if found.text.isdecimal() and "NAME" in expected and "INT" not in expected and _in_type(before):
        if found.text == "1":
            return "an axis of size 1 is left out of a type; only a layout, behind `as`, has a `1`"
        return f"an axis is a space, which is declared, as in: space k = {_shorten(found.text)} : fixed"
    return _help(found.text, expected, grammar, new_line)


def _in_type(before: Sequence[Piece]) -> bool:
    """Whether the type of a parameter goes on behind some pieces."""
    start = next((k for k in reversed(range(len(before))) if before[k].text in _STATEMENTS), None)
    return start is not None and before[start].text == "param" and ":" in [p.text for p in before[start:]]


def _help(found: str, expected: set[str], grammar: Lark, new_line: bool) -> str | None:
    """What was probably meant by a word that does not fit."""
    if found in HEADS:
        return HEADS[found]
    if found in _RESERVED and "NAME" in expected and not new_line:
        return f"`{found}` is a word of the language and names nothing"
    for terminal, hint in _HINTS.get(found, {}).items():
        if terminal in expected:
            return hint
    return None if found in _GROUP_WORDS else suggest(found, _keywords(expected, grammar))


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _wrong_character(places: Places, pieces: list[Piece], at: int) -> Diagnostic:
    """A character that starts no token, or a number and a word run into one."""
    piece = next((p for p in pieces if p.start <= at < p.end), None)
    if piece is None:
        return Diagnostic("QE010", "this character has no meaning here", places.span(at))
    shown = _shorten("".join(c if c.isprintable() else "?" for c in piece.text))
    if not piece.text.isprintable():
        name = unicodedata.name(piece.text[0], "")
        message = f"the character U+{ord(piece.text[0]):04X} {name}".rstrip() + " has no meaning here"
        return Diagnostic("QE010", message, places.of_piece(piece), help="remove it: it cannot be seen")
    if piece.kind == "word":
        help = "a name is made of the letters a to z, digits and `_`, and starts with no digit"
        return Diagnostic(
            "QE010", f"`{shown}` is neither a name nor a number", places.of_piece(piece), help=help
        )
    return Diagnostic(
        "QE010", f"`{shown}` has no meaning here", places.of_piece(piece), help=_CHARACTERS.get(piece.text)
    )


def _misspelt_statement(places: Places, pieces: list[Piece], at: int, text: str) -> Diagnostic | None:
    """A first word of the line that nearly starts a statement, as in `parm W : a`."""
    here = min(at, len(pieces) - 1)
    if here < 0:
        return None
    line_start = text.rfind("\n", 0, pieces[here].start) + 1
    first = next(p for p in pieces if p.start >= line_start)
    help = suggest(first.text, _STATEMENTS)
    if first.kind != "word" or first.text in _STATEMENTS or help is None or here - pieces.index(first) > 3:
        return None
    return Diagnostic(
        "QE010", f"no statement starts with `{_shorten(first.text)}`", places.of_piece(first), help=help
    )


def _unfinished_head(
    places: Places, pieces: list[Piece], at: int, text: str, grammar: Lark
) -> Diagnostic | None:
    """A word like `metanet` that starts a line and is no statement, because of what stands behind it."""
    here = min(at, len(pieces) - 1)
    for k in range(max(0, here - 3), here + 1):
        piece = pieces[k]
        if piece.text not in HEADS or not _starts_line(pieces, k, text):
            continue
        keyword = grammar.get_terminal(f"_{piece.text.upper()}").pattern.to_regexp()
        if not re.compile(keyword).match(text, piece.start):
            message = f"this is no `{piece.text}` statement"
            return Diagnostic("QE010", message, places.of_piece(piece), help=HEADS[piece.text])
    return None


def _starts_line(pieces: Sequence[Piece], k: int, text: str) -> bool:
    return k == 0 or pieces[k - 1].text in "{}" or "\n" in text[pieces[k - 1].end : pieces[k].start]


def _missing(parser: Any, found: str, expected: set[str], grammar: Lark) -> set[str]:
    """The terminals that, put before `found`, would let the parser go on."""
    types = {t.name for t in grammar.terminals if re.fullmatch(t.pattern.to_regexp(), found)}
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
    if "DIVIDE" in rest:
        rest -= {"STAR"}
    if rest - _CONTINUATIONS - {"MINUS"}:
        rest -= _CONTINUATIONS - (_EXPRESSION if {"INT", "NAME"} <= rest else set())
    words = []
    for name, members in (("an expression", _EXPRESSION), ("a statement", _STATEMENT)):
        if {"INT", "NAME"} <= members & rest or len(members & rest & _STATEMENT) > 2:
            words.append(name)
            rest -= members
    words += sorted({w for t in rest for w in _words_of(t, grammar)})
    if not words:
        return "something else"
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
