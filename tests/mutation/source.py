"""The text of a Python module with its syntax tree, and edits of single expressions of it.

An edit replaces the characters of one node; everything else stays as it is, comments included. So a mutant
differs from its original in one place, and prints as `before -> after`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

N = TypeVar("N", bound=ast.AST)

# They check inputs, draw first weights, print and measure: no output for given weights depends on them.
ASIDE = {"_check", "_fill", "reset_parameters", "extra_repr", "__init__"}
ASIDE |= {"distances", "alpha_distances", "_spread"}
SIMPLE = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.Constant, ast.List, ast.Dict)
ARGUMENT = (ast.Call, ast.Tuple, ast.Dict, ast.keyword, ast.stmt, ast.List)


@dataclass(frozen=True)
class Edit:
    """Put `text` in the place of the bytes from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Change:
    """One or more edits that belong together, and where and what they are, for people."""

    scope: str
    line: int
    before: str
    after: str
    edits: tuple[Edit, ...]

    def __str__(self) -> str:
        return f"{self.scope}:{self.line}  {shortened(self.before)} -> {shortened(self.after)}"


class Source:
    """A module's text, its tree, and the functions in it that compute."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._bytes = text.encode()
        lengths = [len(line) for line in self._bytes.splitlines(keepends=True)]
        self._starts = [sum(lengths[:i]) for i in range(len(lengths))]
        self.parent = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Every function by its qualified name: `reduce_features`, `Invariants.forward`."""
        found = {}
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = node
            elif isinstance(node, ast.ClassDef):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef)]
                found |= {f"{node.name}.{item.name}": item for item in methods}
        return found

    @cached_property
    def scopes(self) -> dict[str, ast.FunctionDef]:
        """The functions that compute something from given weights and inputs."""
        return {name: f for name, f in self.functions.items() if name.rpartition(".")[2] not in ASIDE}

    def nodes(self, kind: type[N]) -> Iterator[tuple[str, N]]:
        """All nodes of a kind inside computing functions, with the name of the function, in text order."""
        for name, function in self.scopes.items():
            inside = [node for statement in function.body for node in ast.walk(statement)]
            chosen = [node for node in inside if isinstance(node, kind)]
            yield from ((name, node) for node in sorted(chosen, key=self.span))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The bytes of a node, from and to."""
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def segment(self, node: ast.AST) -> str:
        """The text of a node, on one line."""
        start, end = self.span(node)
        return " ".join(line.strip() for line in self._bytes[start:end].decode().splitlines())

    def edit(self, node: ast.AST, text: str) -> Edit:
        """Replace a node by other text, in parentheses where its place asks for them."""
        start, end = self.span(node)
        bare = isinstance(node, (ast.stmt, ast.Slice)) or isinstance(self.parent[node], ARGUMENT)
        return Edit(start, end, text if bare else atom(text))

    def change(self, scope: str, node: ast.AST, text: str, *more: Edit) -> Change:
        """The change that replaces a node by other text, and does what the other edits say."""
        return Change(scope, node.lineno, self.segment(node), text, (self.edit(node, text), *more))

    def swap(self, scope: str, a: ast.AST, b: ast.AST) -> Change:
        """The change that makes two nodes change places."""
        first, second = self.segment(a), self.segment(b)
        edits = (self.edit(a, second), self.edit(b, first))
        return Change(scope, a.lineno, f"{first}, {second}", f"{second}, {first}", edits)

    def apply(self, change: Change) -> str:
        """The text after a change."""
        data = self._bytes
        for edit in sorted(change.edits, key=lambda e: e.start, reverse=True):
            data = data[: edit.start] + edit.text.encode() + data[edit.end :]
        return data.decode()


def atom(text: str) -> str:
    """An expression that can be called, indexed and multiplied: in parentheses where it needs them."""
    return text if isinstance(ast.parse(text, mode="eval").body, SIMPLE) else f"({text})"


def shortened(text: str, width: int = 90) -> str:
    """Text on one line, its middle left out where it is long."""
    line = " ".join(text.split())
    half = width // 2 - 2
    return line if len(line) <= width else f"{line[:half]} .. {line[-half:]}"


def distinct(changes: Iterable[Change]) -> Iterator[Change]:
    """The changes without repetitions."""
    seen = set()
    for change in changes:
        if change.edits not in seen:
            seen.add(change.edits)
            yield change
