"""Tables as text: plain for files and scripts, coloured for a terminal.

Takes blocks (texts and `Table` values), gives one string. Knows nothing of what the tables are about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; a column of numbers only is set flush right.

    `styles` says which cells a terminal shows in colour: pairs of a cell's text and a style of rich.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    styles: tuple[tuple[str, str], ...] = ()

    def is_numeric(self, column: int) -> bool:
        """Whether every cell of `column` is a whole number."""
        return bool(self.rows) and all(row[column].isdecimal() for row in self.rows)


Block = str | Table


def render(blocks: Iterable[Block], width: int | None = None) -> str:
    """Lay out `blocks`, an empty line between two: with colour to `width` if given, else plainly."""
    if width is None:
        return "\n\n".join(map(_plain, blocks))
    console = Console(width=width, force_terminal=True, highlight=False)
    return "\n\n".join(map(partial(_coloured, console), blocks))


def _plain(block: Block) -> str:
    """Columns two spaces apart.

    Example:
        >>> print(_plain(Table("sizes", ("name", "size"), (("a[0]", "784"), ("b", "10")))))
        sizes
          name  size
          a[0]   784
          b       10
    """
    if isinstance(block, str):
        return block
    lines = (block.header, *block.rows)
    widths = [max(len(line[i]) for line in lines) for i in range(len(block.header))]
    right = [block.is_numeric(i) for i in range(len(widths))]
    text = [block.title]
    for line in lines:
        cells = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        ]
        text.append("  " + "  ".join(cells).rstrip())
    return "\n".join(text)


def _coloured(console: Console, block: Block) -> str:
    with console.capture() as captured:
        if isinstance(block, str):
            console.print(Text(block))
        else:
            console.print(Text(block.title, style="bold"), _rich_table(block), sep="\n")
    return captured.get().rstrip()


def _rich_table(table: Table) -> RichTable:
    styles = dict(table.styles)
    shown = RichTable(box=None, pad_edge=False)
    for i, name in enumerate(table.header):
        shown.add_column(name, justify="right" if table.is_numeric(i) else "left", header_style="dim")
    for row in table.rows:
        shown.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    return shown
