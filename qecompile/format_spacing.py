"""Where a statement has a space, and where it may be broken into lines.

Takes the words of one statement, gives its `Atom` values. Operators are set tight inside an index and in the
bounds of a range, as in `a[i-1]` and `1..2*n`, and have spaces elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qecompile.format_tokens import Word

OPENING = frozenset({"LPAR", "LSQB", "LBRACE"})
CLOSING = frozenset({"RPAR", "RSQB", "RBRACE"})
_OPERANDS = frozenset({"NAME", "INT", "NUMBER", "STRING", "RPAR", "RSQB"})
_CALLED = frozenset({"NAME", "PAIRING", "INVARIANTS", "CODING", "_LOWRANK"})
_ARITHMETIC = frozenset({"PLUS", "MINUS", "STAR", "DIVIDE", "FLOOR", "MODULO"})
_DELIMITERS = frozenset({"COMMA", "EQUAL", "COLON", "_IN", "_IF", "_FOR", "_WITH"})
_NEVER_BEFORE = frozenset({"RPAR", "RSQB", "COMMA", "CIRCUMFLEX", "RANGE"})
_NEVER_BEHIND = frozenset({"LPAR", "LSQB", "CIRCUMFLEX", "RANGE"})

_COST = {
    **dict.fromkeys(("_FROM", "_WITH", "_OVER"), 0),
    **dict.fromkeys(("_AS", "_AT"), 1),
    **dict.fromkeys(("_FOR", "INTO"), 2),
    **dict.fromkeys(("_IF", "PLUS", "MINUS"), 3),
    **dict.fromkeys(("RELATION", "ONTO"), 4),
    **dict.fromkeys(("STAR", "DIVIDE", "FLOOR", "MODULO"), 5),
}
FURTHER_IN = 2
"""How much further in than the first line of a statement the next one starts."""

_BEHIND_COMMA, _ANYWHERE, _PER_BRACKET = 1, 9, 10


@dataclass(frozen=True, slots=True)
class Atom:
    """A word as it will stand in a line.

    `gap` says whether a space stands before it, `depth` counts the brackets around it, and `cost` says how
    bad a line break before it is: None where there must be none.
    """

    word: Word
    gap: bool
    depth: int
    cost: int | None

    @property
    def text(self) -> str:
        """The word with the space before it."""
        return " " + self.word.text if self.gap else self.word.text


def join(atoms: Sequence[Atom]) -> str:
    """The text of atoms that start a line."""
    return "".join(atom.text for atom in atoms).lstrip(" ")


def space_out(words: Sequence[Word], prefixes: frozenset[str] = frozenset()) -> tuple[Atom, ...]:
    """The atoms of a statement; `prefixes` are the names that includes of its spec gave.

    >>> from qecompile.format_tokens import read_words
    >>> words = read_words("spec s { let n = a [ i - 1 ]*( b-1 ) }")[3:-2]
    >>> join(space_out(words))
    'let n = a[i-1] * (b - 1)'
    """
    tight = set(_tight_words(words))
    atoms = []
    for k, place in enumerate(_places(words)):
        gap = k > 0 and _has_gap(words[k - 1], words[k], place, k in tight, prefixes)
        cost = _cost(words[k - 1], words[k], place) if gap and k > 1 else None
        atoms.append(Atom(words[k], gap, len(place.opened), cost))
    return tuple(atoms)


@dataclass(frozen=True, slots=True)
class _Place:
    """What surrounds a word: open brackets, the clause it stands in, the name and the sign before it."""

    opened: tuple[str, ...]
    clause: str
    name: str
    after_sign: bool


def _places(words: Sequence[Word]) -> Iterator[_Place]:
    """The place of every word; a bracket stands outside of itself."""
    opened: list[str] = []
    clause = name = ""
    for k, word in enumerate(words):
        before = words[k - 1].kind if k else ""
        if word.kind in CLOSING:
            opened.pop()
        after_sign = before == "MINUS" and (k < 2 or words[k - 2].kind not in _OPERANDS)
        yield _Place(tuple(opened), clause, name, after_sign)
        if word.kind in OPENING:
            opened.append(_bracket(word, before, clause))
        elif not opened:
            name = word.text if word.kind == "NAME" else name
            clause = _clause(words[0].kind, word.kind) or clause


def _bracket(word: Word, before: str, clause: str) -> str:
    """What an opening bracket is for."""
    if word.kind == "LSQB":
        return "index" if before in _OPERANDS else "type" if clause == "type" else "list"
    if word.kind == "LBRACE":
        return "charges" if before == "CIRCUMFLEX" else "block"
    return "parentheses"


def _clause(statement: str, kind: str) -> str:
    """The clause that a word outside of brackets opens; empty if it opens none."""
    opens = {("_PARAM", "COLON"): "type", ("_PARAM", "_FROM"): "source", ("_FEATURE", "EQUAL"): "product"}
    return opens.get((statement, kind), "over" if kind == "_OVER" else "")


def _tight_words(words: Sequence[Word]) -> Iterator[int]:
    """The positions of words inside an index or a range."""
    opened: list[tuple[int, bool, bool]] = [(0, False, False)]  # start, has a range, is an index
    for k, word in enumerate(words):
        start, ranged, indexed = opened[-1]
        if word.kind in OPENING:
            is_index = word.kind == "LSQB" and k > 0 and words[k - 1].kind in _OPERANDS
            opened.append((k + 1, False, is_index))
        elif word.kind in CLOSING:
            yield from range(start, k) if ranged or indexed else ()
            opened.pop()
        elif word.kind in _DELIMITERS:
            yield from range(start, k) if ranged or indexed else ()
            opened[-1] = (k + 1, False, indexed)
        elif word.kind == "RANGE":
            opened[-1] = (start, True, indexed)
    start, ranged, _ = opened[-1]
    yield from range(start, len(words)) if ranged else ()


def _has_gap(left: Word, right: Word, place: _Place, tight: bool, prefixes: frozenset[str]) -> bool:
    """Whether a space stands between two words."""
    if left.kind in _NEVER_BEHIND or right.kind in _NEVER_BEFORE or place.after_sign:
        return False
    if "DOT" in (left.kind, right.kind):
        return place.clause == "product" and not place.opened and place.name not in prefixes
    if left.kind == "LBRACE" or right.kind == "RBRACE":
        return not (left.kind == "LBRACE" and right.kind == "RBRACE") and not _in_charges(right, place)
    if tight and _ARITHMETIC & {left.kind, right.kind}:
        return False
    if right.kind == "STAR":
        return not _is_dual(place)
    if right.kind == "COLON":
        return "parentheses" not in place.opened and "charges" not in place.opened
    if right.kind == "LPAR":
        return left.kind not in _CALLED
    return right.kind != "LSQB" or left.kind not in _OPERANDS


def _in_charges(right: Word, place: _Place) -> bool:
    """Whether a brace next to `right` is one around charges: their closing brace stands behind a mark."""
    return place.opened[-1:] == ("charges",) or (right.kind == "RBRACE" and place.clause == "type")


def _is_dual(place: _Place) -> bool:
    """Whether a star marks a dual axis, and multiplies nothing."""
    return place.clause == "type" and place.opened in ((), ("type",))


def _cost(left: Word, right: Word, place: _Place) -> int | None:
    """How bad a line break between two words is; None behind a keyword, inside an index, around a block."""
    if left.kind.startswith("_") or right.kind == "LBRACE" or {"index", "block"} & {*place.opened}:
        return None
    here = _BEHIND_COMMA if left.kind == "COMMA" else _COST.get(right.kind, _ANYWHERE)
    return here + _PER_BRACKET * len(place.opened)
