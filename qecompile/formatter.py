"""The canonical layout of a `.sym` file: a text in, the same text laid out anew.

Takes any text whose form is right, however it is resolved. Changes white space and nothing else: the words
and the comments are compared before a text is given back. What was laid out once stays as it is.

    text --format_tokens--> items --format_spacing, format_columns, format_breaks, format_lines--> lines
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff

from qecompile.errors import Collector, IRError
from qecompile.files import as_source, read_text
from qecompile.format_lines import lay_out
from qecompile.format_tokens import Word, group_items, read_words
from qecompile.syntax import parse_file


@dataclass(frozen=True, slots=True)
class Formatted:
    """A file before and after."""

    path: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        """Whether the layout was another one."""
        return self.before != self.after

    @property
    def diff(self) -> str:
        """What changes, as a unified diff; empty if nothing does."""
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        return "".join(_ended(unified_diff(before, after, self.path, f"{self.path} (formatted)")))


def _ended(lines: Iterable[str]) -> Iterator[str]:
    """Lines of a diff, where the last line of a text may have no end."""
    for line in lines:
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def format_file(path: str | os.PathLike[str]) -> Formatted:
    """A file and its canonical layout; nothing is written.

    Raises:
        SymError: the file cannot be read, or its form is wrong.
    """
    shown, before = os.fsdecode(os.fspath(path)), read_text(path)
    return Formatted(shown, before, format_text(before, shown))


def format_text(text: str, path: str = "<text>") -> str:
    r"""The canonical layout of a text; `path` is what messages call it.

    >>> format_text("spec s{space a=3:fixed # here\n param b:a}")
    'spec s {\n  space a = 3 : fixed  # here\n  param b : a\n}\n'

    Raises:
        SymError: the form of the text is wrong.
    """
    source = as_source(text, path)
    collector = Collector()
    parse_file(source, collector)
    collector.finish()
    words = read_words(source.text)
    lines = lay_out(group_items(words))
    laid_out = "\n".join([*lines, ""])
    if _content(read_words(laid_out)) != _content(words):
        raise IRError(f"the formatter would change what this text says; its result was:\n{laid_out}")
    return laid_out


def _content(words: tuple[Word, ...]) -> list[tuple[str, str]]:
    """The words and comments, in order: all that matters in a text."""
    found = []
    for word in words:
        found += [(comment, "comment") for comment in word.comments]
        found.append((word.text, word.kind))
        found += [(word.beside, "comment")] if word.beside else []
    return found
