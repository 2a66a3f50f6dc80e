"""One statement on several lines, because it is long or has comments inside.

A line ends where a break costs least (see `Atom.cost`), as late as possible, and behind every comment. The
next one starts behind the innermost open bracket, else two spaces further in than the statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qecompile.format_spacing import CLOSING, FURTHER_IN, OPENING, Atom, join
from qecompile.format_tokens import Word

WIDTH = 110
"""Columns of a line; only comments and texts may go beyond."""


def has_comments_inside(words: Sequence[Word]) -> bool:
    """Whether comments stand between the words, and not only above or behind them all."""
    return any(w.beside for w in words[:-1]) or any(w.comments for w in words[1:])


def break_lines(atoms: Sequence[Atom], indent: int) -> Iterator[str]:
    """The lines of a statement."""
    start, margin = 0, indent
    opened: list[int] = []
    while start < len(atoms):
        stop = _line_end(atoms, start, WIDTH - margin)
        if start:
            yield from (" " * margin + comment for comment in atoms[start].word.comments)
        line = " " * margin + join(atoms[start:stop])
        beside = atoms[stop - 1].word.beside
        yield f"{line}  {beside}" if beside else line
        _follow_brackets(atoms[start:stop], margin, opened)
        margin = opened[-1] if opened else indent + FURTHER_IN
        start = stop


def _line_end(atoms: Sequence[Atom], start: int, width: int) -> int:
    """Where the line from an atom on ends: behind a comment, at the end, or where it costs least."""
    length = len(atoms[start].word.text)
    best: tuple[int, int] | None = None
    for k in range(start + 1, len(atoms)):
        atom = atoms[k]
        if atoms[k - 1].word.beside or atom.word.comments:
            return k
        if atom.cost is not None and (best is None or atom.cost <= best[0]):
            best = (atom.cost, k)
        length += len(atom.text)
        if length > width and best is not None:
            return best[1]
    return len(atoms)


def _follow_brackets(atoms: Sequence[Atom], margin: int, opened: list[int]) -> None:
    """Keep in `opened` the columns behind the brackets that are open at the end of a line."""
    column = margin - atoms[0].gap
    for atom in atoms:
        column += len(atom.text)
        if atom.word.kind in OPENING:
            opened.append(column)
        elif atom.word.kind in CLOSING:
            opened.pop()
