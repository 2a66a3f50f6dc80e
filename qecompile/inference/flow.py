"""The axes of every stored tensor of a traced module, in atoms; what was not understood.

Takes a `Captured`, gives a `Found`. Axes of inputs and outputs are fixed, as are those of constants; an
operator without a rule makes every axis that it touches fixed, and is listed. A tensor that is reshaped
and then taken apart, as packed projections are, is seen only when it is taken apart: then all is done
again, with its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch.fx import Node

from qecompile.inference.atoms import Atoms
from qecompile.inference.capture import Captured
from qecompile.inference.rules import RULES
from qecompile.inference.values import Flow, NotUnderstood, Value, shape_of, shapes_of, tensors_in

Packed = Mapping[tuple[str, int], int]
"""Axes of stored tensors that are several parts, one behind the other, and how many."""


@dataclass(frozen=True)
class Found:
    """The axes of every stored tensor, and the operators without a rule with the module that they are in."""

    atoms: Atoms
    axes: Mapping[str, Value]
    unknown: tuple[tuple[str, str], ...]


def follow(captured: Captured) -> Found:
    """Run the graph on axes instead of numbers."""
    packed: dict[tuple[str, int], int] = {}
    while True:
        found, selected = _run(captured, packed)
        more = _packed(found, selected)
        if not set(more) - set(packed):
            return found
        packed |= more


def _run(captured: Captured, packed: Packed) -> tuple[Found, list[int]]:
    flow, unknown = Flow(), list[tuple[str, str]]()
    axes: dict[str, Value] = {}
    for node in captured.nodes:
        if node.op == "placeholder":
            flow.values[node] = _placed(flow, captured, node, axes, packed)
        elif node.op == "output":
            for given in node.all_input_nodes:
                for dim in (d for value in _all_values(flow, given) for d in value):
                    flow.atoms.settle(dim)
                    flow.atoms.fix(dim, "it is an output")
        elif node.op == "get_attr":
            flow.values[node] = flow.fresh(shape_of(node), "a constant has it")
        else:
            _apply(flow, node, unknown)
    for value in axes.values():
        for dim in value:
            flow.atoms.settle(dim)
    return Found(flow.atoms, axes, tuple(dict.fromkeys(unknown))), flow.selected


def _placed(flow: Flow, captured: Captured, node: Node, axes: dict[str, Value], packed: Packed) -> object:
    if node.name in captured.inputs:
        shapes = shapes_of(node)
        return flow.fresh(shapes[0], "it is an input") if shapes else ()
    name = captured.stored.get(node.name)
    if name is None or not node.users:
        return flow.fresh(shape_of(node), "a constant has it")
    if name not in axes:
        dims = list(flow.fresh(shape_of(node)))
        for k, dim in enumerate(dims):
            if parts := packed.get((name, k)):
                each = flow.atoms.size(dim) // parts
                dims[k] = flow.atoms.sum([flow.atoms.dim(each) for _ in range(parts)])
        axes[name] = tuple(dims)
    return axes[name]


def _apply(flow: Flow, node: Node, unknown: list[tuple[str, str]]) -> None:
    name = str(getattr(node.target, "__name__", node.target)).split(".")[0].rstrip("_")
    stack = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    flow.atoms.now = f"{name} in {stack[-1]}" if stack and stack[-1] else name
    rule = RULES.get(name)
    values = node.meta.get("val")
    try:
        if values is None and not node.all_input_nodes:
            return
        if rule is None:
            raise NotUnderstood
        kwargs = {
            k: v for k, v in node.kwargs.items() if k not in ("dtype", "device", "layout", "pin_memory")
        }
        flow.values[node] = rule(flow, node, *node.args, **kwargs)
    except (NotUnderstood, TypeError, IndexError, KeyError, ValueError):
        if _make_opaque(flow, node, name):
            unknown.append((name, stack[-1] if stack else ""))


def _make_opaque(flow: Flow, node: Node, name: str) -> bool:
    """Fix all axes that an operator touches; whether one was free."""
    why, free = f"`{name}` is not understood", False
    for given in tensors_in(node):
        for dim in (d for value in _all_values(flow, given) for d in value):
            flow.atoms.settle(dim)
            free = free or any(not flow.atoms.is_fixed(a) for a in flow.atoms.leaves(dim))
            flow.atoms.fix(dim, why)
    made = [flow.fresh(shape, why) for shape in shapes_of(node)]
    flow.values[node] = tuple(made) if isinstance(node.meta.get("val"), (tuple, list)) else (made or [()])[0]
    return free


def _all_values(flow: Flow, node: Node) -> list[Value]:
    found = flow.values.get(node, ())
    return [found] if not isinstance(node.meta.get("val"), (tuple, list)) else list(found)


def _packed(found: Found, selected: list[int]) -> dict[tuple[str, int], int]:
    """Axes whose first factor numbers what is selected."""
    more = {}
    for name, value in found.axes.items():
        for k, dim in enumerate(value):
            leaves = found.atoms.leaves(dim)
            if len(leaves) > 1 and leaves[0] in map(found.atoms.root, selected):
                more[name, k] = found.atoms.all[leaves[0]].size
    return more
