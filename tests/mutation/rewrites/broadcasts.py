"""Sums: the order of terms, and how a term is broadcast."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..operators.base import receiver, sums, text_of
from ..shapes import Module
from ..source import Change
from .base import everywhere


@everywhere("another order of terms")
def reorder_terms(m: Module) -> Iterator[Change]:
    """The terms of every sum change places, and so do the factors of every product of features."""
    for scope, node in sums(m):
        yield m.swap(scope, node.left, node.right)
    for scope, node in m.nodes(ast.BinOp):
        if (
            isinstance(node.op, ast.Mult)
            and m.is_feature(node)
            and m.shape(node.left)
            and m.shape(node.right)
        ):
            yield m.swap(scope, node.left, node.right)


@everywhere("expand for broadcast")
def expand(m: Module) -> Iterator[Change]:
    """What is broadcast in a sum is expanded first."""
    for scope, node in sums(m):
        for part, other in ((node.left, node.right), (node.right, node.left)):
            if m.shape(part) != m.shape(node) == m.shape(other):
                yield m.change(scope, part, f"{text_of(m, part)}.expand_as({m.segment(other)})")


@everywhere("unsqueeze for None")
def unsqueeze(m: Module) -> Iterator[Change]:
    """An index with `None` is written with `unsqueeze`."""
    for scope, node in m.nodes(ast.Subscript):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        texts = [m.segment(item) for item in items]
        if m.is_feature(node) and set(texts) == {":", "None"}:
            steps = "".join(f".unsqueeze({k})" for k, text in enumerate(texts) if text == "None")
            yield m.change(scope, node, f"{text_of(m, node.value)}{steps}")


@everywhere("diag_embed for add_")
def diag_embed(m: Module) -> Iterator[Change]:
    """What is added in place on a diagonal is embedded in a matrix and added to the whole."""
    for scope, statement in m.nodes(ast.Expr):
        call = statement.value
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_":
            diagonal, part = receiver(call), text_of(m, call.args[0])
            if isinstance(diagonal, ast.Name):
                yield m.change(scope, statement, f"{diagonal.id} = {diagonal.id} + {part}")
            elif isinstance(receiver(diagonal), ast.Name):
                target, size = receiver(diagonal), m.shape(diagonal)[-1]
                dims = ", ".join(m.segment(a) for a in diagonal.args)
                wide = f"{part}.expand(*{part}.shape[:-1], {size})"
                text = f"{target.id} = {target.id} + torch.diag_embed({wide}, {dims})"
                yield m.change(scope, statement, text)
