"""What may be written at a place: words of the language and names of the file.

Takes a text and a place in it, gives `Proposal` values. Reads words and not the tree, since a text that is
being written rarely has the right form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from qecompile.lsp.group_words import MEANING

Kind = Literal["keyword", "group", "function", "type", "space", "parameter", "value"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A word that may stand at a place, what kind of word it is, and a line about it or `""`."""

    text: str
    kind: Kind
    about: str = ""


STATEMENTS = {
    "space": "an index range and its group",
    "param": "a tensor of the network",
    "let": "a value",
    "expect": "what you believe, to be tested",
    "feature": "a product of parameters",
    "include": "another spec under a prefix",
    "model": "the network that the spec describes",
    "metanet": "a network to emit",
}
_INSIDE = {
    "metanet": ("channels", "activation", "alpha", "readout", "mix", "context"),
    "expect": (
        "dim",
        "diagrams",
        "invariants",
        "orbit_dim",
        "preserves model",
        "maximal model",
        "alpha live",
    ),
    "param": ("for", "from", "as", "at"),
    "space": ("for",),
    "feature": ("for", "over"),
    "include": ("for", "as", "with"),
    "model": ("with input", "normal", "uniform", "ones", "tokens", "output"),
    "use": (),
    "let": (),
    "spec": (),
}
_FUNCTIONS = ("len", "sum", "min", "max")
_TYPES = ("int", "ints", "text")
_SKIPPED = re.compile(r'#[^\n]*|"[^"\n]*"?')
_STATEMENT = re.compile(rf"\b({'|'.join(_INSIDE)})\b")
_DECLARED = re.compile(
    r"\b(space|param|let|feature)\s+([A-Za-z_]\w*)|\b([A-Za-z_]\w*)\s*:\s*(?:int|ints|text)\b"
)


def propose(text: str, line: int, column: int) -> tuple[Proposal, ...]:
    r"""What may stand at a place, counted from 1, or be the end of the word before it.

    >>> [p.text for p in propose("spec s {\n  space a = 3 : per", 2, 20)][:3]
    ['fixed', 'permute', 'scale']
    """
    lines = text.split("\n")
    before = "\n".join([*lines[: line - 1], lines[line - 1][: column - 1] if line <= len(lines) else ""])
    if before.count('"') % 2 and '"' in before.rpartition("\n")[2]:
        return ()
    plain = _SKIPPED.sub("", before)
    started = list(_STATEMENT.finditer(plain))
    if not started:
        return tuple(Proposal(word, "keyword") for word in ("spec", "use"))
    statement, written = started[-1][1], plain[started[-1].end() :]
    return tuple(dict.fromkeys(_proposals(statement, written, text)))


def _proposals(statement: str, written: str, text: str) -> Iterator[Proposal]:
    """What may follow the words `written` of a statement: first what belongs to it, then new statements."""
    in_brackets = _is_open(written, "(", ")") or _is_open(written, "[", "]")
    if statement == "spec" and in_brackets:
        yield from (Proposal(word, "type") for word in _TYPES)
    if statement == "space" and ":" in written:
        yield from (Proposal(word, "group", about) for word, about in MEANING.items())
    yield from (name for name in _declared(text) if name.kind in _wanted(statement, written))
    if "=" in written or in_brackets:
        yield from (Proposal(word, "function") for word in _FUNCTIONS)
    if not in_brackets:
        yield from (Proposal(word, "keyword") for word in _INSIDE[statement])
        yield from (Proposal(word, "keyword", about) for word, about in STATEMENTS.items())


def _is_open(text: str, opening: str, closing: str) -> bool:
    return text.count(opening) > text.count(closing)


def _wanted(statement: str, written: str) -> tuple[str, ...]:
    """The kinds of names that may follow."""
    values = ("value",) if "=" in written or _is_open(written, "[", "]") or " in " in written else ()
    match statement:
        case "param" if ":" in written:
            return ("space", *values)
        case "feature" if "=" in written:
            return ("parameter", "space", *values)
        case "expect":
            return ("parameter", *values) if "=" not in written else values
        case "metanet" | "include" | "model":
            return ("space", *values)
        case _:
            return values


def _declared(text: str) -> Iterator[Proposal]:
    """The names that a text declares, as far as it can be read."""
    kinds: dict[str, Kind] = {"space": "space", "param": "parameter", "let": "value", "feature": "parameter"}
    for match in _DECLARED.finditer(_SKIPPED.sub("", text)):
        word, name, parameter = match.groups()
        yield Proposal(name, kinds[word]) if word else Proposal(parameter, "value")
