"""Similar statements below each other, with their parts in columns.

A `Row` is a statement that fits on one line, cut into cells where its clauses begin. A cell stands in the
column of its clause: behind the longest of what stands before it in the rows that have such a cell. A `param`
that is too long for one line is a row of two: where it is stored stands below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from qecompile.format_spacing import FURTHER_IN, Atom, join

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "_LET": ("EQUAL",),
    "_SPACE": ("_FOR", "EQUAL", "COLON"),
    "_PARAM": ("_FOR", "COLON", "INTO", "_FROM", "_AS", "_AT"),
    "_FEATURE": ("_FOR", "EQUAL", "_OVER"),
    "_INCLUDE": ("_AS", "_WITH"),
    "EXPECT": ("_FOR",),
    "MIX": ("FULL", "CODING", "_FOR"),
}
"""The terminals that start a cell of each kind of statement, in the order in which they can stand."""

_WIDE_GAP = {"_FROM": 2}


@dataclass(frozen=True, slots=True)
class Row:
    """A statement: its first words, the cells behind them by column, the line below and the comment.

    The last two may be `""`; the comment is beside the last line.
    """

    kind: str
    start: str
    cells: tuple[tuple[str, str], ...]
    below: str
    comment: str

    @classmethod
    def of(cls, atoms: Sequence[Atom], width: int) -> Row | None:
        """The row of a statement, if it fits into `width`."""
        if sum(len(atom.text) for atom in atoms) > 2 * width:
            return None
        row = cls._cut(atoms, "")
        if row.width <= width:
            return row
        source = next((k for k, a in enumerate(atoms) if a.word.kind == "_FROM" and a.depth == 0), None)
        if source is None:
            return None
        below = " " * FURTHER_IN + join(atoms[source:])
        row = cls._cut(atoms[:source], below)
        return row if max(row.width, len(below)) <= width else None

    @classmethod
    def _cut(cls, atoms: Sequence[Atom], below: str) -> Row:
        kind = atoms[0].word.kind
        cells = [("", "")]
        for atom in atoms:
            column = atom.word.kind if atom.depth == 0 and atom.word.kind in COLUMNS.get(kind, ()) else ""
            if column and all(column != other for other, _ in cells):
                cells.append((column, atom.word.text))
            else:
                cells[-1] = (cells[-1][0], cells[-1][1] + atom.text)
        return cls(kind, cells[0][1], tuple(cells[1:]), below, atoms[-1].word.beside)

    @property
    def width(self) -> int:
        """The width of its first line, where nothing stands around it."""
        return len(align([self])[0])

    def is_like(self, other: Row) -> bool:
        """Whether the two may stand below each other in columns."""
        return self.kind == other.kind and bool(self.below) == bool(other.below)

    def cell(self, column: str) -> str:
        """The text of a cell; empty if there is none."""
        return next((text for name, text in self.cells if name == column), "")

    def group(self, column: str) -> object:
        """Neighbours of equal groups share the place of a column.

        Arrows line up only between types that read alike: as many axes on the left, the same on the right.
        """
        return (self.cell("COLON").count(" "), self.cell("INTO")) if column == "INTO" else None


def align(rows: Sequence[Row]) -> list[str]:
    """The first lines of rows that are alike, without their comments.

    >>> rows = [Row("_LET", f"let {name}", (("EQUAL", "= 1"),), "", "") for name in ("a", "size")]
    >>> align(rows)
    ['let a    = 1', 'let size = 1']
    """
    lines = [row.start for row in rows]
    for column in COLUMNS.get(rows[0].kind, ()):
        for group in _neighbours(rows, column):
            place = max(len(lines[k]) for k in group) + _WIDE_GAP.get(column, 1)
            for k in group:
                lines[k] = lines[k].ljust(place) + rows[k].cell(column)
    return lines


def _neighbours(rows: Sequence[Row], column: str) -> Iterator[list[int]]:
    """The rows that have a cell in a column, in groups that share its place."""
    filled = [k for k, row in enumerate(rows) if row.cell(column)]
    return (list(group) for _, group in groupby(filled, lambda k: rows[k].group(column)))


def complete(lines: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """The lines, each with what stands below it, and the comments of the rows in one column."""
    beside = [row.comment and not row.below for row in rows]
    place = max((len(line) + 2 for line, has_one in zip(lines, beside, strict=True) if has_one), default=0)
    for line, row, has_comment in zip(lines, rows, beside, strict=True):
        yield line.ljust(place) + row.comment if has_comment else line
        if row.below:
            yield "  ".join(filter(None, (row.below, row.comment)))


def split_runs(rows: Sequence[Row], width: int) -> Iterator[Sequence[Row]]:
    """The rows in runs as long as can be aligned without a line wider than `width`."""
    start = 0
    while start < len(rows):
        count = _count_fitting(rows[start:], width)
        yield rows[start : start + count]
        start += count


def _count_fitting(rows: Sequence[Row], width: int) -> int:
    """How many rows from the first on fit together, at least one: doubled until too many, then halved."""
    low, high = 1, 2
    while high <= len(rows) and _fits(rows[:high], width):
        low, high = high, 2 * high
    high = min(high, len(rows) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fits(rows[:middle], width) else (low, middle)
    return low


def _fits(rows: Sequence[Row], width: int) -> bool:
    return all(len(line) <= width for line in align(rows))
