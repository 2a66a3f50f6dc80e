"""Places in a source text, diagnostics, and the two exceptions of the compiler.

A *user's* mistake is a `SymError` that carries one `Diagnostic` per independent mistake; a mistake of
the *compiler* is an `IRError`. Nothing else is raised on user input.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

MOST_SHOWN = 100
WIDEST_LINE = 120
WIDEST_NAME = 160


@dataclass(frozen=True, slots=True)
class Source:
    """A text and the name it is shown under."""

    path: str
    text: str

    def line(self, number: int) -> str:
        """Line `number`, counted from 1, without its end; empty past the end of the text."""
        lines = self.text.split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line of a source: `line` and `column` count from 1, `length` in characters."""

    source: Source
    line: int
    column: int
    length: int = 1

    def render(self, margin: int) -> list[str]:
        """The `-->` line, the source line and its caret line; `margin` is the width of line numbers."""
        text, column = self._window()
        carets = "^" * max(1, min(self.length, len(text) - column + 1))
        pad = " " * margin
        return [
            f"{pad}--> {self.source.path}:{self.line}:{self.column}",
            f"{pad} |",
            f"{self.line:>{margin}} | {text}".rstrip(),
            f"{pad} | {' ' * (column - 1)}{carets}",
        ]

    def _window(self) -> tuple[str, int]:
        """The part of the line to show, and the column of the span in it."""
        line = self.source.line(self.line)
        start = max(0, self.column - 1 - WIDEST_LINE // 2) if len(line) > WIDEST_LINE else 0
        text = "".join(c if c.isprintable() else " " for c in line[start : start + WIDEST_LINE])
        if start > 0:
            text = "..." + text[3:]
        if start + WIDEST_LINE < len(line):
            text = text[:-3] + "..."
        return text, self.column - start


@dataclass(frozen=True, slots=True)
class Note:
    """Something more to say, perhaps about another place."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake: what is wrong, where, what else to look at, and what to do.

    Messages are lower case, without a full stop, with names in backticks.
    """

    code: str
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    help: str | None = None
    severity: str = "error"

    def render(self, *, colour: bool = False) -> str:
        """The diagnostic as text of several lines, with terminal colours if asked for."""
        spans = [s for s in (self.span, *(n.span for n in self.notes)) if s is not None]
        margin = max((len(str(s.line)) for s in spans), default=1)
        lines = [f"{self.severity}[{self.code}]: {_shortened(self.message)}"]
        if self.span is not None:
            lines += self.span.render(margin)
        for note in self.notes:
            lines.append(f"note: {_shortened(note.message)}")
            if note.span is not None:
                lines += note.span.render(margin)
        if self.help is not None:
            lines.append(f"help: {_shortened(self.help)}")
        return "\n".join(map(_coloured, lines) if colour else lines)

    def to_json(self) -> dict[str, object]:
        """The diagnostic as plain data."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": _shortened(self.message),
            "path": self.span.source.path if self.span else None,
            "line": self.span.line if self.span else None,
            "column": self.span.column if self.span else None,
            "length": self.span.length if self.span else None,
            "notes": [
                {
                    "message": _shortened(n.message),
                    "path": n.span.source.path if n.span else None,
                    "line": n.span.line if n.span else None,
                    "column": n.span.column if n.span else None,
                }
                for n in self.notes
            ],
            "help": self.help and _shortened(self.help),
        }


_LONG_NAME = re.compile(f"`([^`]{{{WIDEST_NAME + 1},}})`")


def _shortened(text: str) -> str:
    """A message without the middle of names that are too long to be read.

    >>> len(_shortened(f"there is no space `{'a' * 5000}`"))
    180
    """
    kept = (WIDEST_NAME - 3) // 2
    return _LONG_NAME.sub(lambda long: f"`{long[1][: kept + 1]}...{long[1][-kept:]}`", text)


_COLOURS = (
    (re.compile(r"error\[\w+\]"), "1;31"),
    (re.compile(r"warning\[\w+\]"), "1;33"),
    (re.compile(r"note(?=:)|help(?=:)"), "1;36"),
    (re.compile(r" *-->"), "34"),
    (re.compile(r" *\d* \|(?= *\^*$)"), "34"),
)
_CARETS = re.compile(r"( +\| *)(\^+)$")


def _coloured(line: str) -> str:
    """A line of a diagnostic for a terminal: its first word in a colour, carets in red."""
    carets = _CARETS.fullmatch(line)
    if carets:
        return f"\x1b[34m{carets[1]}\x1b[1;31m{carets[2]}\x1b[0m"
    for pattern, code in _COLOURS:
        if found := pattern.match(line):
            return f"\x1b[{code}m{found[0]}\x1b[0m{line[found.end() :]}"
    return line


def too_large(what: str, found: int, limit: int) -> Diagnostic:
    """The diagnostic for a spec beyond a stated limit of an exact search."""
    return Diagnostic(
        "QE900",
        f"a pair of parameters has {found} {what} together; the compiler enumerates at most {limit}",
        help="split the parameter, or merge axes that are always permuted together",
    )


def with_note(refused: SymError, note: Note) -> SymError:
    """The same mistakes, each with one more note: which parameter a limit is about, and where that stands."""
    return SymError([replace(d, notes=(*d.notes, note)) for d in refused.diagnostics])


def too_many_pairs(found: int, limit: int) -> Diagnostic:
    """The diagnostic for a listing that nobody would read."""
    return Diagnostic(
        "QE903",
        f"{found} parameters make {found * found} pairs; at most {limit} are listed",
        help="list a smaller network of the same kind, with -D, or ask for a pair: expect dim(P -> Q) == 1",
    )


def too_many_ways(name: str, found: int, limit: int) -> Diagnostic:
    """The diagnostic for a parameter whose axes can be reduced in too many ways to write a layer."""
    return Diagnostic(
        "QE901",
        f"the axes of `{name}` can be pooled and passed on in {found} ways; a layer has room for {limit}",
        help="merge axes that are always permuted together, or leave the parameter out",
    )


class SymError(Exception):
    """One or more mistakes in what the user wrote; `line` and `column` are those of the first."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...] | list[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n\n".join(d.render() for d in self.diagnostics))

    @property
    def line(self) -> int | None:
        """Line of the first mistake, from 1; None if it has no place."""
        span = self.diagnostics[0].span
        return span.line if span else None

    @property
    def column(self) -> int | None:
        """Column of the first mistake, from 1; None if it has no place."""
        span = self.diagnostics[0].span
        return span.column if span else None


class TooManyMistakes(SymError):
    """So many mistakes that looking for more helps nobody."""


class IRError(Exception):
    """The compiler broke one of its own promises; please report it with the spec."""


def fail(
    code: str, message: str, span: Span | None = None, *notes: Note, help: str | None = None
) -> NoReturn:
    """Raise a `SymError` of one mistake; `Collector.attempt` turns it into a recorded one."""
    raise SymError([Diagnostic(code, message, span, notes, help)])


def suggest(word: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """A help line that names the known word closest to `word`, else `otherwise`.

    >>> suggest("permut", ["permute", "scale"])
    'did you mean `permute`?'
    """
    close = difflib.get_close_matches(word[:80], sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else otherwise


@dataclass(slots=True)
class Collector:
    """Gathers diagnostics so that one run reports every independent mistake.

    The same mistake at the same place, met once per turn of a loop, counts once.
    """

    found: list[Diagnostic] = field(default_factory=list)
    places: set[tuple[str, int, int, str]] = field(default_factory=set)
    skipped: bool = False
    warns: bool = False
    """Whether these are warnings: more than `MOST_SHOWN` are dropped, since they stop nothing."""

    def error(
        self, code: str, message: str, span: Span | None, *notes: Note, help: str | None = None
    ) -> None:
        """Record one mistake and go on."""
        self.add(Diagnostic(code, message, span, notes, help))

    def add(self, diagnostic: Diagnostic) -> None:
        """Record one mistake, unless its code was recorded for its place before.

        Raises:
            TooManyMistakes: if there are `MOST_SHOWN` already.
        """
        span = diagnostic.span
        if span is not None:
            place = (span.source.path, span.line, span.column, diagnostic.code)
            if place in self.places:
                return
            self.places.add(place)
        if len(self.found) == MOST_SHOWN and self.warns:
            return
        if len(self.found) == MOST_SHOWN:
            stopped = Diagnostic("QE000", f"there are more than {MOST_SHOWN} mistakes; the rest is not shown")
            raise TooManyMistakes([*self.found, stopped])
        self.found.append(diagnostic)

    def absorb(self, mistakes: SymError) -> None:
        """Record what `fail` raised; nothing, if it followed from a mistake recorded elsewhere."""
        self.skipped |= not mistakes.diagnostics
        if isinstance(mistakes, TooManyMistakes):
            raise mistakes
        for diagnostic in mistakes.diagnostics:
            self.add(diagnostic)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Record what `fail` raises inside, and go on behind the `with` block."""
        try:
            yield
        except SymError as mistakes:
            self.absorb(mistakes)

    def pass_on(self) -> None:
        """Raise what was recorded or skipped, for the collector of a larger part."""
        if self.found or self.skipped:
            raise SymError(self.found)

    def stop(self) -> NoReturn:
        """Raise what was recorded, where nothing is left to go on with."""
        self.finish()
        raise IRError("the compiler stopped because of a mistake that nobody reported")

    def finish(self) -> None:
        """Raise `SymError` if anything was recorded; the mistakes of a file come in the order of the file."""
        if self.skipped and not self.found:
            raise IRError("something was skipped because of a mistake that nobody reported")
        if self.found:
            paths = list(dict.fromkeys(d.span.source.path for d in self.found if d.span))
            raise SymError(sorted(self.found, key=lambda d: _place(d, paths)))


def _place(diagnostic: Diagnostic, paths: list[str]) -> tuple[int, int, int]:
    span = diagnostic.span
    return (paths.index(span.source.path), span.line, span.column) if span else (-1, 0, 0)
