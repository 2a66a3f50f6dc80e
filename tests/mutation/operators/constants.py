"""Numbers and constant tensors: counts, exponents, Levi-Civita tensors, position codes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change
from .base import operator, text_of


@operator("wrong count")
def wrong_count(m: Module) -> Iterator[Change]:
    """A sum is divided by the wrong number, or not at all."""
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant) and m.is_feature(node):
            yield m.change(scope, node.right, str(node.right.value + 1))
            yield m.change(scope, node, m.segment(node.left))


@operator("wrong number")
def wrong_number(m: Module) -> Iterator[Change]:
    """A number in a formula is another one."""
    for scope, node in m.nodes(ast.BinOp):
        for side in (node.left, node.right):
            if isinstance(side, ast.Constant) and type(side.value) in (int, float):
                yield m.change(scope, side, str(side.value + 1))


@operator("wrong Levi-Civita tensor")
def wrong_epsilon(m: Module) -> Iterator[Change]:
    """The sign of an odd permutation is forgotten, or the tensor is rotated, or weighted."""
    for scope, node in m.nodes(ast.BinOp):
        if scope == "_levi_civita" and isinstance(node.op, ast.Pow):
            yield m.change(scope, node, f"abs({m.segment(node)})")
            yield m.change(scope, node, f"-({m.segment(node)})")
            yield m.change(scope, node, f"{m.segment(node)} * (1 + image[0])")
            yield m.change(scope, node, "float(inversions == 0)")
    for scope, node in m.nodes(ast.Name):
        if node.id.startswith("epsilon_") and isinstance(node.ctx, ast.Load):
            yield m.change(scope, node, f"{node.id}.abs()")
            yield m.change(scope, node, f"{node.id}.roll(1, 0)")
            yield m.change(scope, node, f"torch.ones_like({node.id})")


@operator("wrong position code")
def wrong_code(m: Module) -> Iterator[Change]:
    """Codes of positions start elsewhere, or encoder and decoder are exchanged."""
    for scope, node in m.nodes(ast.BinOp):
        if scope == "_cosines" and m.segment(node.right) in ("0.5", "math.sqrt(2.0)"):
            yield m.change(scope, node, m.segment(node.left))
    for scope, node in m.nodes(ast.Attribute):
        if node.attr.startswith(("encode_", "decode_")) and m.shape(node):
            yield m.change(scope, node, f"{text_of(m, node)}.flip(0)")
            yield m.change(scope, node, f"{text_of(m, node)}.flip(1)")


@operator("wrong comparison")
def wrong_comparison(m: Module) -> Iterator[Change]:
    """A comparison is turned round, or with another number."""
    for scope, node in m.nodes(ast.Compare):
        right = node.comparators[0]
        if scope in ("_norm", "_divide") and isinstance(node.ops[0], ast.Gt):
            yield m.change(scope, node, f"{m.segment(node.left)} <= {m.segment(right)}")
            yield m.change(scope, node, f"{m.segment(node.left)} > 0.5")
