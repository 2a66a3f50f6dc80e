"""The words of a `.sym` file with the comments and blank lines around them, grouped into statements.

Takes a text whose form is right, gives nested `Item` values for the formatter. Nothing but white space is
left out: the words and comments of a file's items, in order, are those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lark import Token

from qecompile.syntax import grammar

STARTS = frozenset(
    "_USE _SPEC _LET _SPACE _PARAM _FEATURE _MODEL _INCLUDE EXPECT _METANET "
    "CHANNELS ACTIVATION ALPHA READOUT MIX CONTEXT".split()
)
"""The terminals of the grammar that start a statement, and stand nowhere else."""

END = "$END"


@dataclass(frozen=True, slots=True)
class Word:
    """A word or sign; `kind` is its terminal of the grammar.

    `above` holds the lines that stand in front of it: comments, and `""` for one or more blank lines.
    `beside` is the comment that ends its line, or `""`.
    """

    text: str
    kind: str
    above: tuple[str, ...] = ()
    beside: str = ""

    @property
    def comments(self) -> tuple[str, ...]:
        """The comments in front of the word, without blank lines."""
        return tuple(line for line in self.above if line)


@dataclass(frozen=True, slots=True)
class Item:
    """A statement: its words up to the `{` of its block, if it has one, then the block and the `}`."""

    head: tuple[Word, ...]
    body: tuple[Item, ...] = ()
    close: Word | None = None

    @property
    def kind(self) -> str:
        """The terminal that starts the statement."""
        return self.head[0].kind


def read_words(text: str) -> tuple[Word, ...]:
    """The words of a file; the last one is its end, which may have comments in front of it.

    >>> [word.text for word in read_words("spec s {} # done")]
    ['spec', 's', '{', '}', '']
    >>> read_words("spec s {} # done")[3].beside
    '# done'
    """
    tokens = list(read_tokens(text))
    gaps = list(_gaps(text, tokens))
    beside = [first for first, _ in gaps[1:]] + [""]
    return tuple(
        Word(str(token), token.type, above, comment)
        for token, (_, above), comment in zip(tokens, gaps, beside, strict=True)
    )


def read_tokens(text: str) -> Iterator[Token]:
    """The tokens, told apart by where they stand, and a last one for the end."""
    parser = grammar().parse_interactive(text, start="file")
    yield from parser.exhaust_lexer()
    yield Token(END, "", start_pos=len(text), end_pos=len(text))


def _gaps(text: str, tokens: list[Token]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """For each token, the comment on the line of the one before it, and the lines between the two."""
    end = 0
    for token in tokens:
        first, *lines = [line.strip() for line in text[end : token.start_pos].split("\n")]
        if end == 0:
            first, lines = "", [first, *lines]
        yield first, _without_repeated_blanks(lines[:-1] if token.type != END else lines)
        end = token.end_pos or 0


def _without_repeated_blanks(lines: list[str]) -> tuple[str, ...]:
    """The lines, with one blank line for each run of them.

    >>> _without_repeated_blanks(["", "", "# a", "", "# b"])
    ('', '# a', '', '# b')
    """
    return tuple(line for k, line in enumerate(lines) if line or k == 0 or lines[k - 1])


def group_items(words: tuple[Word, ...]) -> tuple[Item, ...]:
    """The statements of a file; the last item is its end."""
    items, rest = _read_block(words, 0)
    return (*items, Item((words[rest],)))


def _read_block(words: tuple[Word, ...], start: int) -> tuple[tuple[Item, ...], int]:
    """The statements from a word on, and where the `}` or the end behind them stands."""
    items = []
    while words[start].kind in STARTS:
        item, start = _read_item(words, start)
        items.append(item)
    return tuple(items), start


def _read_item(words: tuple[Word, ...], start: int) -> tuple[Item, int]:
    """The statement that starts at a word, and where the next one does."""
    stop, in_charges = start + 1, False
    while words[stop].kind not in STARTS and words[stop].kind != END:
        word = words[stop]
        if word.kind == "LBRACE" and words[stop - 1].kind != "CIRCUMFLEX":
            body, close = _read_block(words, stop + 1)
            return Item(words[start : stop + 1], body, words[close]), close + 1
        if word.kind == "RBRACE" and not in_charges:
            break
        in_charges = word.kind == "LBRACE" or (in_charges and word.kind != "RBRACE")
        stop += 1
    return Item(words[start:stop]), stop
