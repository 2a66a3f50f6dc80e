"""Axes: exchanged, in the wrong place, or missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import combinations

from ..shapes import Module
from ..source import Change
from .base import calls, integer, operator, receiver, sums, text_of, values


@operator("swap two axes")
def swap_axes(m: Module) -> Iterator[Change]:
    """Two axes are exchanged in a `permute`."""
    for scope, call in calls(m, "permute"):
        inner = [a for a in call.args if integer(a) not in (0, -1)]
        yield from (m.swap(scope, a, b) for a, b in combinations(inner, 2))


@operator("drop a permute")
def drop_permute(m: Module) -> Iterator[Change]:
    """A `permute` is forgotten: the axes stay in the order of another tensor."""
    for scope, call in calls(m, "permute"):
        yield m.change(scope, call, m.segment(receiver(call)))


@operator("swap einsum letters")
def swap_letters(m: Module) -> Iterator[Change]:
    """Two letters are exchanged in one operand, or in the result, of an `einsum`."""
    for scope, call in calls(m, "einsum"):
        operands, result = call.args[0].value.split("->")
        terms = [*operands.split(","), result]
        for i, term in enumerate(terms):
            for a, b in combinations(sorted(set(term) - {"b"}), 2):
                swapped = term.translate({ord(a): b, ord(b): a})
                parts = [*terms[:i], swapped, *terms[i + 1 :]]
                yield m.change(scope, call.args[0], f'"{",".join(parts[:-1])}->{parts[-1]}"')


@operator("sum another letter")
def sum_another(m: Module) -> Iterator[Change]:
    """An `einsum` sums over an axis that should stay, and keeps one that should go."""
    for scope, call in calls(m, "einsum"):
        operands, result = call.args[0].value.split("->")
        gone = sorted(set(operands) - set(result) - {","})
        for kept in sorted(set(result) - {"b"}):
            for letter in gone:
                yield m.change(scope, call.args[0], f'"{operands}->{result.replace(kept, letter)}"')


@operator("transpose a square block")
def transpose(m: Module) -> Iterator[Change]:
    """Two axes of one size are exchanged, which no shape shows."""
    for scope, node in values(m):
        shape = m.shape(node)
        for i, j in combinations(m.axes(node), 2):
            if shape[i] == shape[j]:
                yield m.change(scope, node, f"{text_of(m, node)}.transpose({i}, {j})")


@operator("wrong reshape")
def wrong_reshape(m: Module) -> Iterator[Change]:
    """Axes are exchanged and the result is reshaped to the old shape, which scrambles the entries."""
    for scope, node in values(m):
        last = len(m.shape(node)) - 1
        for i, j in combinations([0, *m.axes(node), last], 2):
            x = text_of(m, node)
            yield m.change(scope, node, f"{x}.transpose({i}, {j}).reshape({x}.shape)")


@operator("broadcast in the wrong place")
def misplace(m: Module) -> Iterator[Change]:
    """A `None` in an index stands at another axis: the tensor is broadcast along the wrong one."""
    for scope, node in m.nodes(ast.Subscript):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        places = [i for i, item in enumerate(items) if _is_none(item)]
        if not places or len(places) + sum(map(_is_everything, items)) != len(items):
            continue
        rank = len(m.shape(node) or ())
        for old in places:
            for new in range(1, max(rank - 1, len(items) + 1)):
                if new not in places:
                    chosen = sorted({*places, new} - {old})
                    index = ", ".join("None" if i in chosen else ":" for i in range(chosen[-1] + 1))
                    yield m.change(scope, node, f"{m.segment(node.value)}[{index}]")


@operator("missing broadcast")
def drop_broadcast(m: Module) -> Iterator[Change]:
    """An axis of size 1 is not made, so the axes of two tensors are aligned from the wrong end."""
    for scope, node in m.nodes(ast.Subscript):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else []
        for old in [i for i, item in enumerate(items) if _is_none(item)]:
            rest = [m.segment(item) for i, item in enumerate(items) if i != old]
            bare = all(text == ":" for text in rest)
            text = m.segment(node.value) if bare else f"{m.segment(node.value)}[{', '.join(rest)}]"
            yield m.change(scope, node, text)
    for scope, call in calls(m, "unsqueeze"):
        yield m.change(scope, call, m.segment(receiver(call)))


@operator("wrong diagonal")
def wrong_diagonal(m: Module) -> Iterator[Change]:
    """The first row, the first column or a shifted diagonal stands for the diagonal."""
    for scope, call in calls(m, "diagonal"):
        i, j = (integer(a) for a in call.args[1:3])
        base, rank = text_of(m, receiver(call)), len(m.shape(receiver(call)) or ())
        if i is None or j is None or not rank:
            continue
        order = [*(k for k in range(rank - 1) if k != i), i]
        yield m.change(scope, call, f"{base}.select({j}, 0).permute({', '.join(map(str, order))})")
        order = [*(k - (k > i) for k in range(rank) if k not in (i, j)), j - (j > i)]
        yield m.change(scope, call, f"{base}.select({i}, 0).permute({', '.join(map(str, order))})")
        others = [k for k in range(1, rank - 1) if k not in (i, j)]
        for k in others:
            yield m.change(scope, call, f"{base}.diagonal(0, {i}, {k})")
    for scope, call in calls(m, "einsum"):
        operands, result = call.args[0].value.split("->")
        base = text_of(m, call.args[1])
        for letter in sorted(set(result)):
            if "," not in operands and operands.count(letter) == 2:
                i, j = operands.index(letter), operands.rindex(letter)
                yield m.change(scope, call.args[1], f"{base}.roll(1, {j})")
                kept = operands[:j] + operands[j + 1 :]
                yield m.change(scope, call, f'torch.einsum("{kept}->{result}", {base}.select({j}, 0))')
                kept = operands[:i] + operands[i + 1 :]
                yield m.change(scope, call, f'torch.einsum("{kept}->{result}", {base}.select({i}, 0))')


@operator("add a transpose")
def add_transpose(m: Module) -> Iterator[Change]:
    """A square tensor is symmetrised where its two axes are not of one kind."""
    for scope, node in sums(m):
        shape = m.shape(node)
        for i, j in combinations(m.axes(node), 2):
            if shape[i] == shape[j]:
                yield m.change(scope, node, f"{m.segment(node)} + {text_of(m, node)}.transpose({i}, {j})")


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_everything(node: ast.AST) -> bool:
    return isinstance(node, ast.Slice) and not (node.lower or node.upper or node.step)
