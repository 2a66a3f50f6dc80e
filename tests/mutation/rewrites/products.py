"""Products of features with weights, by other formulas."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..operators.base import calls, text_of
from ..shapes import Module
from ..source import Change
from .base import everywhere, rewrite


def _products(m: Module) -> Iterator[tuple[str, ast.BinOp]]:
    """Products with a matrix of weights."""
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.MatMult) and m.is_feature(node) and len(m.shape(node.right) or ()) == 2:
            yield scope, node


@everywhere("split product")
def split_product(m: Module) -> Iterator[Change]:
    """A product with all rows of a weight is the sum of two products with some of them."""
    for scope, node in _products(m):
        x, w = text_of(m, node.left), text_of(m, node.right)
        half = f"{x}.shape[-1] // 2"
        yield m.change(
            scope, node, f"{x}[..., : {half}] @ {w}[: {half}] + {x}[..., {half} :] @ {w}[{half} :]"
        )


@everywhere("einsum for product")
def einsum_for_product(m: Module) -> Iterator[Change]:
    """A product with a weight is written as an einsum."""
    for scope, node in _products(m):
        yield m.change(
            scope, node, f'torch.einsum("...c,cd->...d", {m.segment(node.left)}, {m.segment(node.right)})'
        )


@everywhere("linear for product")
def linear_for_product(m: Module) -> Iterator[Change]:
    """A product with a weight is written with `F.linear`."""
    for scope, node in _products(m):
        yield m.change(
            scope, node, f"F.linear({m.segment(node.left)}, {text_of(m, node.right)}.transpose(0, 1))"
        )


@rewrite("product before cat")
def product_before_cat(m: Module) -> str | None:
    """Rows of a `cat` meet their rows of the weight one by one, without the `cat`."""
    edits = []
    for scope, call in calls(m, "cat"):
        entries = call.args[0].elts if isinstance(call.args[0], ast.Tuple) else []
        if scope.startswith("reduce") and isinstance(m.parent[call], ast.Assign) and len(entries) > 1:
            rows = ", ".join(m.segment(entry) for entry in entries)
            edits.append(m.edit(call, f"({rows},)"))
    if not edits:
        return None
    for scope, name in m.nodes(ast.Name):
        if name.id.startswith("x_") and not scope.startswith("reduce") and isinstance(name.ctx, ast.Load):
            product = m.parent[name]
            if isinstance(product, ast.BinOp) and isinstance(product.op, ast.MatMult):
                edits.append(m.edit(product, f"_meet({name.id}, {m.segment(product.right)})"))
            else:
                edits.append(m.edit(name, f"_whole({name.id})"))
    text = m.apply(Change("module", 0, "", "", tuple(edits)))
    return text.replace("\ndef reduce_features(", f"\n{MEET}\n\ndef reduce_features(", 1)


MEET = '''
def _meet(rows, weight):
    """Rows times weight, where rows may be given in pieces."""
    if not isinstance(rows, tuple):
        return rows @ weight
    total, start = 0.0, 0
    for piece in rows:
        total = total + piece @ weight[start : start + piece.shape[-1]]
        start += piece.shape[-1]
    return total


def _whole(rows):
    """Pieces of rows put together."""
    return torch.cat(rows, dim=-1) if isinstance(rows, tuple) else rows
'''
