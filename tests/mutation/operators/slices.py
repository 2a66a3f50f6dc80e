"""Slices and names: off by one, of another block, of another tensor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from ..shapes import Module
from ..source import Change
from .base import calls, operator, receiver, text_of


def _slices(m: Module) -> Iterator[tuple[str, ast.Subscript, ast.Slice]]:
    """Every slice of channels, `y[..., n : 2 * n]`."""
    for scope, node in m.nodes(ast.Subscript):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if isinstance(items[-1], ast.Slice) and (items[-1].lower or items[-1].upper):
            yield scope, node, items[-1]


@operator("off-by-one slice")
def off_by_one(m: Module) -> Iterator[Change]:
    """A slice starts and ends one too late, or one too early."""
    for scope, _, piece in _slices(m):
        lower = m.segment(piece.lower) if piece.lower else "0"
        upper = m.segment(piece.upper) if piece.upper else ""
        if upper:
            yield m.change(scope, piece, f"{lower} + 1 : {upper} + 1")
        if upper and piece.lower:
            yield m.change(scope, piece, f"{lower} - 1 : {upper} - 1")


@operator("wrong block")
def wrong_block(m: Module) -> Iterator[Change]:
    """A slice takes the channels of another tensor."""
    found = list(_slices(m))
    for scope, node, piece in found:
        base = m.segment(node.value)
        others = {
            m.segment(other)
            for where, value, other in found
            if (where, m.segment(value.value)) == (scope, base) and m.same(value, node)
        }
        yield from (m.change(scope, piece, text) for text in sorted(others - {m.segment(piece)}))


@operator("swap two outputs")
def swap_outputs(m: Module) -> Iterator[Change]:
    """Two results of one shape are returned under each other's name."""
    for scope, node in m.nodes(ast.Return):
        results = node.value
        items = results.values if isinstance(results, ast.Dict) else getattr(results, "elts", [])
        yield from (m.swap(scope, a, b) for a, b in combinations(items, 2) if m.same(a, b))


@operator("wrong tensor")
def wrong_tensor(m: Module) -> Iterator[Change]:
    """A local of the same shape stands for the right one."""
    found = [(s, n) for s, n in m.nodes(ast.Name) if m.is_feature(n)]
    for scope, node in found:
        others = {
            n.id
            for s, n in found
            if s == scope and n.id != node.id and m.same(n, node) and _set_before(m, scope, n.id, node)
        }
        yield from (m.change(scope, node, name) for name in sorted(others))


@operator("wrong input")
def wrong_input(m: Module) -> Iterator[Change]:
    """A parameter is read where another of the same shape is meant."""
    found = [
        (s, n)
        for s, n in m.nodes(ast.Subscript)
        if isinstance(n.slice, ast.Constant) and isinstance(n.slice.value, str) and m.is_feature(n)
    ]
    for scope, node in found:
        others = {m.segment(n.slice) for s, n in found if s == scope and m.same(n, node)}
        for key in sorted(others - {m.segment(node.slice)}):
            yield m.change(scope, node.slice, key)


@operator("wrong split")
def wrong_split(m: Module) -> Iterator[Change]:
    """Channels and positions are split in the wrong order."""
    for scope, call in calls(m, "unflatten"):
        sizes = call.args[1].elts if isinstance(call.args[1], ast.Tuple) else []
        if len(sizes) == 2 and m.segment(sizes[0]) != "1":
            swapped = f"({m.segment(sizes[1])}, {m.segment(sizes[0])})"
            base = text_of(m, receiver(call))
            yield m.change(scope, call, f"{base}.unflatten(-1, {swapped}).transpose(-1, -2)")
        if len(sizes) > 2:
            yield m.change(scope, call, f"{m.segment(call)}.transpose(-2, -3)")
    for scope, call in calls(m, "flatten"):
        if m.axes(receiver(call)) and call.args and m.segment(call.args[0]) == "-2":
            yield m.change(scope, call, f"{text_of(m, receiver(call))}.transpose(-1, -2).flatten(-2)")


def _set_before(m: Module, scope: str, name: str, node: ast.AST) -> bool:
    function = m.scopes[scope]
    if any(a.arg == name for a in function.args.args):
        return True
    stores = [n for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return any(n.id == name and n.lineno < node.lineno for n in stores)
