"""Norms and charges: what makes a tensor free of scales."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change
from .base import calls, operator, text_of


@operator("multiply for divide")
def multiply_for_divide(m: Module) -> Iterator[Change]:
    """A tensor is multiplied by the norm that it should be divided by."""
    for scope, call in _divisions(m):
        x, norm = call.args
        yield m.change(scope, call, f"{text_of(m, x)} * {text_of(m, norm)}")


@operator("divide for multiply")
def divide_for_multiply(m: Module) -> Iterator[Change]:
    """A tensor is divided by the norm that it should be multiplied by."""
    for scope, node in _norm_products(m):
        yield m.change(scope, node, f"_divide({m.segment(node.left)}, {m.segment(node.right)})")


@operator("drop a norm")
def drop_norm(m: Module) -> Iterator[Change]:
    """A tensor keeps its scale."""
    for scope, call in _divisions(m):
        yield m.change(scope, call, m.segment(call.args[0]))
    for scope, node in _norm_products(m):
        yield m.change(scope, node, m.segment(node.left))


@operator("wrong charge")
def wrong_charge(m: Module) -> Iterator[Change]:
    """A norm is taken to the wrong power."""
    for scope, norm in _used_norms(m):
        power = norm.right if isinstance(norm, ast.BinOp) else None
        base = m.segment(norm.left if isinstance(norm, ast.BinOp) else norm)
        for wrong in (1, 2, 3):
            if m.segment(power) != str(wrong) if power else wrong > 1:
                yield m.change(scope, norm, base if wrong == 1 else f"{base} ** {wrong}")
        yield m.change(scope, norm, f"{text_of(m, norm)} ** 0.5")


@operator("wrong norm")
def wrong_norm(m: Module) -> Iterator[Change]:
    """A tensor is divided by the norm of another space that has the same size."""
    names: dict[tuple[str, str], ast.Name] = {}
    for scope, node in m.nodes(ast.Name):
        if _is_norm(node) and m.shape(node):
            names.setdefault((scope, node.id), node)
    for scope, norm in _used_norms(m):
        for (where, name), other in names.items():
            mine = norm.left if isinstance(norm, ast.BinOp) else norm
            root = next(node for node in ast.walk(mine) if isinstance(node, ast.Name))
            if (
                where == scope
                and name != root.id
                and m.same(other, root)
                and _is_before(m, scope, name, norm)
            ):
                yield m.change(scope, root, name)


@operator("forget a source of a norm")
def forget_source(m: Module) -> Iterator[Change]:
    """A norm does not see one of the tensors that it should."""
    for scope, call in calls(m, "_norm"):
        for old in call.args[1:] if len(call.args) > 2 else []:
            kept = ", ".join(m.segment(a) for a in call.args if a is not old)
            yield m.change(scope, call, f"_norm({kept})")


@operator("wrong source of a norm")
def wrong_source(m: Module) -> Iterator[Change]:
    """A norm is computed from another tensor of the same shape."""
    names = {(s, n.id): n for s, n in m.nodes(ast.Name) if m.axes(n) and not _is_norm(n)}
    for scope, call in calls(m, "_norm"):
        for source in call.args[1:]:
            if isinstance(source, ast.Tuple):
                mine = source.elts[0]
                for (where, name), other in names.items():
                    if where == scope and m.same(other, mine) and name != m.segment(mine):
                        yield m.change(scope, mine, name)


@operator("epsilon in a norm")
def epsilon_in_norm(m: Module) -> Iterator[Change]:
    """A number is added to a norm, or a norm is cut off below, against division by zero."""
    for scope, call in calls(m, "_norm"):
        yield m.change(scope, call, f"{m.segment(call)} + 0.01")
        yield m.change(scope, call, f"{m.segment(call)}.clamp(min=0.1)")


@operator("one norm for all")
def common_norm(m: Module) -> Iterator[Change]:
    """One norm for all indices of a space, or for the whole batch, where each has a scale of its own."""
    for scope, call in calls(m, "_norm"):
        for k in [0, *m.axes(call)]:
            same = m.segment(call)
            yield m.change(scope, call, f"{same}.mean({k}, keepdim=True).expand_as({same})")


@operator("another kind of norm")
def other_norm(m: Module) -> Iterator[Change]:
    """Inside the norm: another power, no absolute value, another mean, a largest entry that is a smallest."""
    swaps = {"square": "abs", "abs": "relu", "amax": "amin", "mean": "sum"}
    for scope, call in [found for old in swaps for found in calls(m, old)]:
        if scope == "_norm" and isinstance(call.func, ast.Attribute):
            base = text_of(m, call.func.value)
            arguments = ", ".join(m.segment(a) for a in call.args)
            yield m.change(scope, call, f"{base}.{swaps[call.func.attr]}({arguments})")
    for scope, node in m.nodes(ast.BinOp):
        if scope == "_norm" and isinstance(node.op, ast.Div) and m.segment(node.right) == "charge":
            yield m.change(scope, node, f"{m.segment(node.left)} * charge")
            yield m.change(scope, node, f"2 * {m.segment(node.left)} / charge")
        if scope == "_norm" and isinstance(node.op, ast.Div) and m.segment(node) == "x / unit":
            yield m.change(scope, node, "x")


@operator("unguarded zero")
def unguarded_zero(m: Module) -> Iterator[Change]:
    """A division by a norm that may be zero: a neuron whose weights are all zero gives NaN."""
    for scope, call in _divisions(m):
        yield m.change(scope, call, f"{text_of(m, call.args[0])} / {text_of(m, call.args[1])}")


def _is_norm(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith("norm") and node.id[4:].isdigit()


def _divisions(m: Module) -> Iterator[tuple[str, ast.Call]]:
    return calls(m, "_divide")


def _norm_products(m: Module) -> Iterator[tuple[str, ast.BinOp]]:
    for scope, node in m.nodes(ast.BinOp):
        if isinstance(node.op, ast.Mult) and any(map(_is_norm, ast.walk(node.right))):
            yield scope, node


def _used_norms(m: Module) -> Iterator[tuple[str, ast.expr]]:
    """The second operands of divisions by norms and products with them, without their index."""
    used = [(s, c.args[1]) for s, c in _divisions(m)] + [(s, n.right) for s, n in _norm_products(m)]
    for scope, node in used:
        yield scope, node.value if isinstance(node, ast.Subscript) else node


def _is_before(m: Module, scope: str, name: str, node: ast.AST) -> bool:
    """Whether a local name is set above a node."""
    set_at = [n.lineno for n in ast.walk(m.scopes[scope]) if isinstance(n, ast.Name) and n.id == name]
    return bool(set_at) and min(set_at) < node.lineno
