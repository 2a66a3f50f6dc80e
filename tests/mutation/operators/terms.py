"""Terms of a sum, entries of a `cat`, and what is added in place: left out, repeated, exchanged."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from ..shapes import Module
from ..source import Change
from .base import calls, operator, receiver, sums


@operator("drop a term")
def drop_term(m: Module) -> Iterator[Change]:
    """A summand is forgotten."""
    for scope, node in sums(m):
        for kept in (node.left, node.right):
            if m.same(kept, node):
                yield m.change(scope, node, m.segment(kept))


@operator("subtract a term")
def subtract_term(m: Module) -> Iterator[Change]:
    """A summand gets the wrong sign."""
    for scope, node in sums(m):
        yield m.change(scope, node, f"{m.segment(node.left)} - {m.segment(node.right)}")


@operator("repeat a term")
def repeat_term(m: Module) -> Iterator[Change]:
    """A summand is added twice."""
    for scope, node in sums(m):
        yield m.change(scope, node, f"{m.segment(node)} + {m.segment(node.right)}")


@operator("drop a cat entry")
def drop_entry(m: Module) -> Iterator[Change]:
    """An entry of a `cat` is forgotten, its place left empty."""
    for scope, entries in _entries(m):
        for entry in entries:
            yield m.change(scope, entry, f"torch.zeros_like({m.segment(entry)})")


@operator("swap cat entries")
def swap_entries(m: Module) -> Iterator[Change]:
    """Two entries of a `cat` stand in the wrong order, so each meets the other's weights."""
    for scope, entries in _entries(m):
        yield from (m.swap(scope, a, b) for a, b in combinations(entries, 2) if m.same(a, b))


@operator("repeat a cat entry")
def repeat_entry(m: Module) -> Iterator[Change]:
    """One entry of a `cat` is written twice, in the place of another one."""
    for scope, entries in _entries(m):
        for a, b in combinations(entries, 2):
            if m.same(a, b):
                yield m.change(scope, b, m.segment(a))


@operator("drop an `add_`")
def drop_scatter(m: Module) -> Iterator[Change]:
    """What belongs on a diagonal is never added there."""
    for scope, node in m.nodes(ast.Expr):
        if isinstance(node.value, ast.Call) and getattr(node.value.func, "attr", "") == "add_":
            yield m.change(scope, node, "pass")


@operator("overwrite by `add_`")
def overwrite(m: Module) -> Iterator[Change]:
    """What belongs on a diagonal replaces what is there, or is subtracted from it."""
    for scope, call in calls(m, "add_"):
        for method in ("copy_", "sub_"):
            yield m.change(scope, call, f"{m.segment(receiver(call))}.{method}({m.segment(call.args[0])})")


@operator("silence an invariant")
def silence(m: Module) -> Iterator[Change]:
    """One kind of invariant is collected as zeros."""
    for scope, call in calls(m, "append"):
        yield m.change(scope, call.args[0], f"torch.zeros_like({m.segment(call.args[0])})")


@operator("halve a product")
def halve_product(m: Module) -> Iterator[Change]:
    """A contraction of a tensor with its dual reads one of the two only."""
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.Mult) and m.same(node.left, node.right) and m.is_feature(node):
            yield from (m.change(scope, node, m.segment(kept)) for kept in (node.left, node.right))


def _entries(m: Module) -> Iterator[tuple[str, list[ast.expr]]]:
    for scope, call in calls(m, "cat"):
        if isinstance(call.args[0], ast.Tuple):
            yield scope, call.args[0].elts
