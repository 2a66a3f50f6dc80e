"""Whole layers of a network: left out, used twice, with the wrong residual."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..shapes import Module
from ..source import Change
from .base import operator


def _layers(m: Module) -> Iterator[tuple[str, ast.Call]]:
    """The calls of layers inside `MetaNet.forward`."""
    for scope, node in m.nodes(ast.Call):
        called = m.segment(node.func)
        is_layer = called == "activate" or (called.startswith("self.") and called.count(".") == 1)
        if scope == "MetaNet.forward" and is_layer:
            yield scope, node


@operator("skip a layer")
def skip_layer(m: Module) -> Iterator[Change]:
    """A network leaves one of its layers out."""
    for scope, call in _layers(m):
        yield m.change(scope, call, m.segment(call.args[0]))


@operator("repeat a layer")
def repeat_layer(m: Module) -> Iterator[Change]:
    """A layer is used twice in a row."""
    for scope, call in _layers(m):
        yield m.change(scope, call, f"{m.segment(call.func)}({m.segment(call)})")


@operator("another layer")
def another_layer(m: Module) -> Iterator[Change]:
    """One layer is used twice and another not at all."""
    found = [node for _, node in _layers(m)]
    for call in found:
        names = sorted({m.segment(other.func) for other in found} - {m.segment(call.func)})
        yield from (m.change("MetaNet.forward", call.func, name) for name in names)


WRONG = {
    "reversed": "v.flip(1)",
    "from the next network": "v.roll(1, 0)",
    "shifted": "v + 1.0",
    "squared": "v.square()",
    "summed": "v + v.sum(1, keepdim=True)",
}


@operator("wrong residual")
def wrong_residual(m: Module) -> Iterator[Change]:
    """The input of a layer is added to its output, but reversed, shifted, squared or from another network."""
    for scope, node in m.nodes(ast.Assign):
        if scope == "MetaNet.forward" and m.segment(node.targets[0]) == "x":
            for wrong in WRONG.values():
                residual = f"{{k: v + ({wrong}) for k, v in ({m.segment(node.value)}).items()}}"
                yield m.change(scope, node.value, residual)


@operator("wrong readout")
def wrong_readout(m: Module) -> Iterator[Change]:
    """A readout sees a parameter's first entry beside the invariants."""
    for scope, node in m.nodes(ast.Return):
        if scope in ("InvariantReadout.forward", "MetaNet.forward") and m.is_feature(node.value):
            first = "next(iter(x.values()))"
            seen = f"{first}.flatten(1)[:, :1]"
            yield m.change(scope, node.value, f"{m.segment(node.value)} + {seen}")
            yield m.change(scope, node.value, f"{m.segment(node.value)} + {first}.flatten(1).sum(1, True)")
