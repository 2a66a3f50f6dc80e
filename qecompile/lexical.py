"""What can be said about a text before it is parsed: its words, its brackets, its quotes.

A bracket or a quote that is never closed makes a parser complain far from the mistake, so these are looked
for first. Depth is limited here too: no later stage meets a tree that is too deep to walk.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from qecompile.errors import Collector, Note, Source, Span

MOST_NESTED = 24
"""Brackets inside brackets that a file may have; no sensible spec comes near."""

MOST_NESTED_IN_TEXT = 8
"""The same for an expression inside a text."""

MOST_PIECES = 20_000
"""Words and signs that a file may have: one or two seconds of parsing."""

OPENING = {"(": ")", "[": "]", "{": "}"}

_PIECE = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
      | (?P<text>"[^"\n]*")
      | (?P<open_text>"[^\n]*)
      | (?P<word>\w+)
      | (?P<sign>\.\.|<-|->|==|!=|<=|>=|//|[^\w\s])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, a text in quotes, a bracket or an operator, at an offset of the text."""

    text: str
    start: int
    kind: str

    @property
    def end(self) -> int:
        """Offset behind the last character."""
        return self.start + len(self.text)


def scan(text: str) -> Iterator[Piece]:
    """The pieces of a text in order, without comments and spaces.

    >>> [p.text for p in scan("a[i]* <- b # comment")]
    ['a', '[', 'i', ']', '*', '<-', 'b']
    """
    for match in _PIECE.finditer(text):
        if match.lastgroup != "skip":
            yield Piece(match.group(), match.start(), str(match.lastgroup))


@dataclass(frozen=True, slots=True)
class Places:
    """Turns offsets of a source into spans."""

    source: Source
    line_starts: tuple[int, ...]

    @classmethod
    def of(cls, source: Source, shown: Source | None = None) -> Places:
        """The line table of a source; spans show the lines of `shown`, if that is another one."""
        return cls(shown or source, (0, *(m.end() for m in re.finditer("\n", source.text))))

    def span(self, start: int, length: int = 1) -> Span:
        """The span of `length` characters from an offset."""
        line = bisect_right(self.line_starts, start)
        return Span(self.source, line, start - self.line_starts[line - 1] + 1, max(1, length))

    def of_piece(self, piece: Piece) -> Span:
        """The span of a piece."""
        return self.span(piece.start, len(piece.text))


def check_brackets(text: str, places: Places, collector: Collector, most_nested: int) -> bool:
    """Report texts and brackets that are not closed; True if there are none."""
    found = len(collector.found)
    opened: list[Piece] = []
    for number, piece in enumerate(scan(text)):
        if number == MOST_PIECES:
            message = f"this file has more than {MOST_PIECES} words and signs"
            collector.error("QE005", message, places.of_piece(piece), help="declare repeated parts by `for`")
            return False
        if piece.kind == "open_text":
            collector.error(
                "QE012", "this text is never closed", places.of_piece(piece), help='end it with `"`'
            )
        elif piece.text in OPENING:
            opened.append(piece)
            if len(opened) > most_nested:
                span = places.of_piece(piece)
                collector.error("QE014", f"brackets are nested more than {most_nested} deep", span)
                return False
        elif piece.text in OPENING.values() and not _closes(opened, piece, places, collector):
            return False
    for piece in opened:
        closing = OPENING[piece.text]
        collector.error(
            "QE013", f"this `{piece.text}` is never closed", places.of_piece(piece), help=f"add `{closing}`"
        )
    return len(collector.found) == found


def _closes(opened: list[Piece], closing: Piece, places: Places, collector: Collector) -> bool:
    span = places.of_piece(closing)
    if not opened:
        collector.error("QE013", f"this `{closing.text}` closes nothing", span, help="remove it")
        return False
    last = opened.pop()
    wanted = OPENING[last.text]
    if wanted == closing.text:
        return True
    note = Note(f"`{last.text}` was opened here", places.of_piece(last))
    collector.error("QE013", f"expected `{wanted}`, found `{closing.text}`", span, note)
    return False
