"""Alpha-maps: a group element that leaves the group, or that does not move everything alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change
from .base import calls, operator, text_of

MAKING = ("Alpha.elements", "Alpha.parts", "_cayley")


def _moved(m: Module) -> list[tuple[ast.expr, str]]:
    """What `move` does to every tensor that it moves, with the tensor as it was."""
    found = []
    for scope, node in m.nodes(ast.Dict):
        if scope == "move":
            pairs = [(v, f'x["{k.value}"]') for k, v in zip(node.keys, node.values, strict=True)]
            found += [(v, before) for v, before in pairs if m.segment(v) != before]
    return found


@operator("alpha on half the tensors")
def half(m: Module) -> Iterator[Change]:
    """Alpha moves every second tensor only: what it does to the others is forgotten."""
    found = _moved(m)
    for start in (0, 1):
        chosen = found[start::2]
        if chosen and len(chosen) < len(found):
            first, *rest = chosen
            yield m.change("move", first[0], first[1], *(m.edit(v, before) for v, before in rest))


@operator("alpha on all but one tensor")
def all_but_one(m: Module) -> Iterator[Change]:
    """Alpha forgets one tensor."""
    for value, before in _moved(m) if len(_moved(m)) > 1 else []:
        yield m.change("move", value, before)


@operator("alpha the wrong way")
def wrong_way(m: Module) -> Iterator[Change]:
    """A tensor is divided by what it should be multiplied by, or the other way round."""
    for scope, node in m.nodes(ast.BinOp):
        if scope == "move" and isinstance(node.op, ast.Mult | ast.Div):
            sign = "/" if isinstance(node.op, ast.Mult) else "*"
            yield m.change(scope, node, f"{text_of(m, node.left)} {sign} {text_of(m, node.right)}")


@operator("epsilon out of range")
def out_of_range(m: Module) -> Iterator[Change]:
    """The bound on alpha is too large: it can leave the group."""
    for scope, node in m.nodes(ast.Constant):
        parent = m.parent[node]
        times = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult)
        if scope in MAKING and times and type(node.value) is float and "sin" in m.segment(parent):
            yield from (m.change(scope, node, str(wrong)) for wrong in (1.0, 1.5, 10.0))


@operator("unbounded alpha")
def unbounded(m: Module) -> Iterator[Change]:
    """The sine that bounds alpha is forgotten, or another function stands for it."""
    for scope, call in calls(m, "sin"):
        if scope in MAKING:
            yield m.change(scope, call, m.segment(call.args[0]))
            yield m.change(scope, call, f"{m.segment(call.args[0])} ** 3")


@operator("alpha about zero")
def about_zero(m: Module) -> Iterator[Change]:
    """The identity is forgotten: alpha is near zero, which is no group element."""
    for scope, node in m.nodes(ast.BinOp):
        identity = m.segment(node.left)
        if scope in MAKING and isinstance(node.op, ast.Add) and "sin" in m.segment(node.right):
            if identity == "1" or identity.startswith("self.eye"):
                yield m.change(scope, node, m.segment(node.right))
                yield m.change(scope, node.left, f"-{identity}")


@operator("dual not inverted")
def not_inverted(m: Module) -> Iterator[Change]:
    """Dual axes get the matrix, its inverse or its transpose where they need the inverse transpose."""
    for scope, node in m.nodes(ast.Assign):
        if scope == "move" and "torch.linalg.inv" in m.segment(node.value):
            matrix = m.segment(node.targets[0]).replace("dual_", "matrix_")
            for wrong in (matrix, f"{matrix}.mT", f"torch.linalg.inv({matrix})", f"-{m.segment(node.value)}"):
                yield m.change(scope, node.value, wrong)
    for scope, node in m.nodes(ast.BinOp):
        if scope == "move" and isinstance(node.op, ast.Sub):
            yield m.change(scope, node, f"{m.segment(node.left)} + {m.segment(node.right)}")
    for scope, call in calls(m, "inv"):
        if scope in MAKING:
            yield m.change(scope, call, m.segment(call.args[0]))
            yield m.change(scope, call, f"{m.segment(call)}.mT")


@operator("alpha of one channel each")
def per_channel(m: Module) -> Iterator[Change]:
    """A shared alpha is made to differ per channel, though later layers mix channels."""
    for scope, node in m.nodes(ast.Subscript):
        if scope == "move" and m.segment(node.value) == "g":
            first = "next(iter(x.values())).shape[-1]"
            shape = m.shape(node) or ()
            if shape and shape[-1] == 1:
                yield m.change(scope, node, f"{m.segment(node)} ** torch.linspace(1.0, 2.0, {first})")


@operator("raw alpha in a covariant place")
def raw_alpha(m: Module) -> Iterator[Change]:
    """A covariant alpha reads features whose scales are not fixed, or its first tensor's entries in order."""
    for scope, node in m.nodes(ast.Assign):
        name = m.segment(node.targets[0])
        if scope in MAKING and name == "gamma" and "movedim" not in m.segment(node.value):
            raw = "next(iter(x.values())).flatten(1, -2).select(1, 0)"
            rank = len(m.shape(node.value) or ())
            if rank:
                ones = ", ".join("1" for _ in range(rank - 2))
                seen = f"{raw}.mean(-1).view(-1, {ones}{', ' if ones else ''}1)"
                yield m.change(scope, node.value, f"{m.segment(node.value)} + {seen}")


@operator("gauge not fixed")
def not_fixed(m: Module) -> Iterator[Change]:
    """Invariants or a covariant alpha are computed from features that keep their scales."""
    for scope, call in calls(m, "fix_gauge"):
        yield m.change(scope, call, m.segment(call.args[0]))


@operator("skew part forgotten")
def not_skew(m: Module) -> Iterator[Change]:
    """A rotation is made from a matrix that is not skew, or a commutator loses a term."""
    for scope, node in m.nodes(ast.BinOp):
        if scope in MAKING and isinstance(node.op, ast.Sub) and m.shape(node):
            yield m.change(scope, node, m.segment(node.left))
            yield m.change(scope, node, f"{m.segment(node.left)} + {text_of(m, node.right)}")


@operator("no Cayley transform")
def no_cayley(m: Module) -> Iterator[Change]:
    """A rotation is the identity plus a skew matrix only, or loses the inverse of the other half."""
    for scope, call in calls(m, "solve"):
        if scope in MAKING:
            left, right = call.args
            yield m.change(scope, call, m.segment(right))
            yield m.change(scope, call, f"{text_of(m, left)} @ {text_of(m, right)}")
            yield m.change(scope, call, f"torch.linalg.solve({m.segment(right)}, {m.segment(right)})")
