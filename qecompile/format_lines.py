"""Statements to lines: blocks indented, runs of similar statements aligned, long statements broken.

Takes the items of a file, gives its lines. Blank lines and comments stay where the author put them: one
blank line at most, none at either end of a block, always one behind a spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qecompile.format_breaks import WIDTH, break_lines, has_comments_inside
from qecompile.format_columns import Row, align, complete, split_runs
from qecompile.format_spacing import space_out
from qecompile.format_tokens import Item, Word

INDENT = 2


def lay_out(items: Sequence[Item]) -> list[str]:
    """The lines of a file, the last item of which is its end.

    >>> from qecompile.format_tokens import group_items, read_words
    >>> lay_out(group_items(read_words("spec s { space a=3:fixed }")))
    ['spec s {', '  space a = 3 : fixed', '}']
    """
    *statements, end = items
    lines = [*_block(statements, 0, frozenset()), *_above(end, statements[-1] if statements else None)]
    return _without_outer_blanks(lines)


def _without_outer_blanks(lines: list[str]) -> list[str]:
    filled = [k for k, line in enumerate(lines) if line]
    return lines[filled[0] : filled[-1] + 1] if filled else []


def _block(items: Sequence[Item], indent: int, prefixes: frozenset[str]) -> Iterator[str]:
    """The lines of the statements of a block; `prefixes` are the names that includes of the spec gave."""
    run: list[Row] = []
    before: Item | None = None
    for item in items:
        row = _row(item, indent, prefixes)
        above = _above(item, before)
        if run and (row is None or above or not row.is_like(run[0])):
            yield from _aligned(run, indent)
            run = []
        yield from _indented(above, indent)
        if row is None:
            yield from _on_lines(item, indent, prefixes)
        else:
            run.append(row)
        before = item
    yield from _aligned(run, indent)


def _above(item: Item, before: Item | None) -> tuple[str, ...]:
    """The comments and blank lines above a statement: behind a spec always a blank line."""
    above = item.head[0].above
    needs_blank = before is not None and before.kind == "_SPEC" and above[:1] != ("",)
    return ("", *above) if needs_blank else above


def _indented(lines: Sequence[str], indent: int) -> Iterator[str]:
    return (" " * indent + line if line else "" for line in lines)


def _row(item: Item, indent: int, prefixes: frozenset[str]) -> Row | None:
    """The statement as a row, if it fits into one."""
    head = _joined_head(item)
    if head is None or has_comments_inside(head):
        return None
    return Row.of(space_out(head, prefixes), WIDTH - indent)


def _joined_head(item: Item) -> Sequence[Word] | None:
    """All words of a statement that may stand on one line: its block is empty, or one plain nested space."""
    if item.close is None:
        return item.head
    if not item.body:
        return (*item.head, item.close)
    (first, *others) = item.body
    if item.kind != "_SPACE" or others or first.close is not None:
        return None
    return (*item.head, *first.head, item.close)


def _aligned(run: Sequence[Row], indent: int) -> Iterator[str]:
    """The lines of similar statements that stand directly below each other."""
    for part in split_runs(run, WIDTH - indent):
        yield from _indented(list(complete(align(part), part)), indent)


def _on_lines(item: Item, indent: int, prefixes: frozenset[str]) -> Iterator[str]:
    """The lines of a statement that has a block, comments inside, or too many words for one line."""
    yield from break_lines(space_out(item.head, prefixes), indent)
    if item.close is None:
        return
    inside = _prefixes(item) if item.kind == "_SPEC" else prefixes
    lines = list(_block(item.body, indent + INDENT, inside))
    lines += _indented(item.close.above, indent + INDENT)
    yield from _without_outer_blanks(lines)
    yield from _indented(["  ".join(filter(None, ("}", item.close.beside)))], indent)


def _prefixes(spec: Item) -> frozenset[str]:
    """The names that the `include` statements of a spec give, as in `include mlp() as NAME`."""
    return frozenset(
        name.text
        for item in spec.body
        if item.kind == "_INCLUDE"
        for word, name in zip(item.head, item.head[1:], strict=False)
        if word.kind == "_AS"
    )
