"""Text to syntax tree, by the grammar in `grammars/sym.lark`.

Takes a `Source`, gives a `FileTree`. Checks nothing but the form. A mistake in one statement does not hide
those in the next: the statement is blanked out and the rest is parsed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from lark import Lark, UnexpectedInput

from qecompile.errors import Collector, Source, Span, suggest
from qecompile.lexical import MOST_NESTED, MOST_NESTED_IN_TEXT, Piece, Places, check_brackets, scan
from qecompile.syntax_errors import BRACES, explain
from qecompile.syntax_tree import build_expression, build_file
from qecompile.tree import Expression, FileTree

MOST_RECOVERIES = 20
RECOVERY_WORK = 20_000

_FIRST_WORDS = frozenset(
    "spec use space param let expect feature model metanet include "
    "channels activation alpha readout mix context".split()
)


@cache
def grammar() -> Lark:
    """The parser of `.sym` files; in a wheel the grammar is inside the package, else beside it."""
    here = Path(__file__).parent
    found = [
        p for p in (here / "grammars" / "sym.lark", here.parent / "grammars" / "sym.lark") if p.is_file()
    ]
    return Lark(
        found[0].read_text("utf-8"),
        parser="lalr",
        lexer="contextual",
        start=["file", "expression"],
        propagate_positions=True,
    )


def parse_file(source: Source, collector: Collector) -> FileTree | None:
    """The tree of a file; None if its form is wrong, which is then recorded.

    >>> tree = parse_file(Source("example", "spec s { space a = 3 : permute }"), Collector())
    >>> tree.specs[0].name.text
    's'
    """
    places = Places.of(source)
    if not check_brackets(source.text, places, collector, MOST_NESTED):
        return None
    text, mistakes = source.text, 0
    pieces = sum(1 for _ in scan(text))
    recoveries = max(1, min(MOST_RECOVERIES, RECOVERY_WORK // (pieces + 1)))
    while mistakes < recoveries:
        try:
            tree = grammar().parse(text, start="file")
        except UnexpectedInput as error:
            diagnostic = explain(error, grammar(), places, text)
            collector.add(diagnostic)
            mistakes += 1
            if diagnostic.help == BRACES:  # without its braces, nothing tells where the block ends
                return None
            blanked = _blank_statement(text, places, diagnostic.span)
            if blanked is None:
                return None
            text = blanked
        else:
            if mistakes:
                return None
            return build_file(tree, source, collector, parse_expression)
    return None


def parse_expression(source: Source, at: Span, text: str, collector: Collector) -> Expression | None:
    """The tree of an expression inside a text; `at` is the place of its first character."""
    padded = "\n" * (at.line - 1) + " " * (at.column - 1) + text
    places = Places.of(Source(source.path, padded), shown=source)
    if not text.strip():
        collector.error(
            "QE011", "expected an expression between the braces", at, help="write `{{}}` for braces"
        )
        return None
    if not check_brackets(padded, places, collector, MOST_NESTED_IN_TEXT):
        return None
    try:
        tree = grammar().parse(padded, start="expression")
    except UnexpectedInput as error:
        collector.add(explain(error, grammar(), places, padded))
        return None
    return build_expression(tree, source, collector, parse_expression)


def _blank_statement(text: str, places: Places, span: Span | None) -> str | None:
    """The text with the statement at `span` replaced by spaces; None if that would unbalance it."""
    if span is None:
        return None
    line = places.line_starts[span.line - 1]
    at = line + span.column - 1
    heads = [p.start for p in _first_of_lines(text) if p.kind == "word" and suggest(p.text, _FIRST_WORDS)]
    regions = [(line, _end_of_line(text, line))]
    if before := [start for start in heads if start <= at]:
        regions.insert(0, (before[-1], min((start for start in heads if start > at), default=len(text))))
    for first, last in regions:
        end = _end_of_statement(text, first, last)
        if end is not None and text[first:end].strip():
            return text[:first] + re.sub(r"[^\n]", " ", text[first:end]) + text[end:]
    return None


def _first_of_lines(text: str) -> Iterator[Piece]:
    """The first piece of every line."""
    before = -1
    for piece in scan(text):
        if before < 0 or "\n" in text[before : piece.start]:
            yield piece
        before = piece.end


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return end if end >= 0 else len(text)


def _end_of_statement(text: str, start: int, last: int) -> int | None:
    """Where a statement ends: before a bracket that it does not open; None if it leaves one open."""
    depth, end = 0, start
    for piece in scan(text[start:last]):
        depth += (piece.text in "([{") - (piece.text in ")]}")
        if depth < 0:
            return end
        end = start + piece.end
    return end if depth == 0 else None
