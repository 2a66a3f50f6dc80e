"""The traced graph: what a module computes, as a list of ATen operations in order.

Takes nothing, gives the vocabulary of `trace.py`, which fills it, and of the type rules, which read it. Every
value has a name; a `Ref` in an argument stands for the value of that name, which is an input, a weight, a
constant or the result of an earlier operation. No operation changes a value in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

Shape = tuple[int, ...]


class Untraceable(Exception):
    """A module of which no graph can be made: why, and the line of the user's code that is to blame.

    `source` has the form `file.py:123: the text of that line`, or is empty where no line is known.
    """

    def __init__(self, reason: str, source: str = "") -> None:
        self.reason, self.source = reason, source
        super().__init__(f"{reason}\n  at {source}" if source else reason)


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for the value of this name."""

    name: str

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(frozen=True, slots=True)
class Input:
    """One tensor that the module is given; `path` is where it stood, as in `("W[1]",)` for a dict."""

    name: str
    path: tuple[str | int, ...]
    shape: Shape
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Attributes:
        name: of the result.
        target: the operator, as in `aten.sum.dim_IntList`; `getitem` picks one of several results.
        args: nested tuples of numbers, texts, None, dtypes and the like, and `Ref`s.
        kwargs: by name, like `args`.
        shape: of the result; of the first one, if there are several.
        dtype: of the result; None if it is a number, not a tensor.
        parts: the shapes of all results, where there are several (as of `aten.split`).
        source: `file.py:123: the text of that line`, or empty.
        module: where in the module the operation is, as in `layers.0.norm`; empty at the top.
    """

    name: str
    target: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    shape: Shape
    dtype: torch.dtype | None
    parts: tuple[Shape, ...] = ()
    source: str = ""
    module: str = ""

    def __str__(self) -> str:
        given = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        return f"%{self.name} = {self.target}({', '.join(given)})  # {list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Graph:
    """What a module computes.

    Attributes:
        inputs: what it is given, in order.
        parameters: shapes of trainable weights by name. Their values are unknown: what is proved of the graph
            holds for all.
        buffers: tensors of the module that are not trained, by name, with their values (None on a meta
            device).
        constants: other tensors by name, with their values: those met in the code, and all that could be
            computed from buffers and constants alone.
        ops: the operations that matter for the outputs, in order.
        outputs: nested dicts and tuples of `Ref`s (and numbers, texts, None).
        labels: what a parameter or buffer is called in the module, as in `layers.0.weight`, by name.
        notes: what a reader of a proof should know about how the graph was made.
    """

    inputs: tuple[Input, ...]
    parameters: Mapping[str, Shape]
    buffers: Mapping[str, Tensor | None]
    constants: Mapping[str, Tensor]
    ops: tuple[Op, ...]
    outputs: object
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        weights = (f"%{name} = {self.labels[name]}  # {list(s)}" for name, s in self.parameters.items())
        known = {name: "?" if t is None else list(t.shape) for name, t in self.buffers.items()}
        known |= {name: list(t.shape) for name, t in self.constants.items()}
        values = (f"%{name} = constant  # {shape}" for name, shape in known.items())
        given = (f"%{i.name} = input {'.'.join(map(str, i.path))}  # {list(i.shape)}" for i in self.inputs)
        return "\n".join([*given, *weights, *values, *map(str, self.ops), f"return {self.outputs}"])


def value_shapes(graph: Graph) -> dict[str, Shape]:
    """The shape of every value by name; a buffer on a meta device is left out."""
    known = {**graph.buffers, **graph.constants}
    return {
        **graph.parameters,
        **{name: tuple(t.shape) for name, t in known.items() if t is not None},
        **{given.name: given.shape for given in graph.inputs},
        **{op.name: op.shape for op in graph.ops},
    }


def refs(value: object) -> Iterator[str]:
    """The names that a nested argument or output refers to, in order."""
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from refs(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from refs(part)
