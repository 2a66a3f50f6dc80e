"""Names, comments and line breaks."""

from __future__ import annotations

import ast

from ..shapes import Module
from ..source import Change
from .base import rewrite


@rewrite("none")
def keep(m: Module) -> str:
    """The module stays as it was emitted."""
    return m.text


@rewrite("other names")
def rename_locals(m: Module) -> str:
    """Every local variable gets another name."""
    edits = {}
    for function in m.scopes.values():
        nodes = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        own = {node.id for node in nodes if isinstance(node.ctx, ast.Store)}
        own -= {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
        edits |= {m.span(n)[0]: m.edit(n, f"the_{n.id}") for n in nodes if n.id in own}
    return m.apply(Change("module", 0, "", "", tuple(edits.values())))


@rewrite("other layout")
def reformat(m: Module) -> str:
    """The file is printed anew from its syntax tree: no comments, other line breaks."""
    return ast.unparse(m.tree) + "\n"


@rewrite("comments and docstrings")
def comment(m: Module) -> str:
    """A comment stands above every statement, and a text at the head of the file."""
    starts = {s.lineno for f in m.scopes.values() for s in ast.walk(f) if isinstance(s, ast.stmt)}
    starts -= {f.lineno for f in m.scopes.values()}
    lines = []
    for number, line in enumerate(m.text.splitlines(), start=1):
        if number in starts and not line.lstrip().startswith(("else", "elif")):
            lines += ["", " " * (len(line) - len(line.lstrip())) + "# Reviewed: as in the paper."]
        lines.append(line)
    return "\n".join(["# Kept by hand.", *lines, ""])
