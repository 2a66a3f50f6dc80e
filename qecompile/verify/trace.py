"""Tracing: any module, and inputs like those it takes, to a `Graph` of ATen operations.

What can be computed from buffers and constants alone is computed here (`torch.arange`, masks, identity
matrices, also those made in `forward`) and becomes a constant with a value. Weights have no value, so what is
proved of a graph holds for every value of them. It holds for the module in `eval` mode, for the shapes of the
inputs (the code may branch on shapes, and did), and for attributes and buffers as they are now.

A module is refused (`Untraceable`) if it branches on numbers in a tensor, leaves torch, or changes a buffer
as it runs: its next call would be another function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from qecompile.verify.export import Adapted, captured, differs_in_training, export, ours, place
from qecompile.verify.graph import Graph, Input, Op, Ref, Shape, Untraceable, refs
from qecompile.verify.rules.call import base_name
from qecompile.verify.rules.table import RULES

__all__ = ["Graph", "Input", "Op", "Ref", "Untraceable", "refs", "trace"]

LARGEST_CONSTANT = 1 << 22  # entries; what is larger stays an operation
REGIONS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}  # where their arguments hold the body
EVAL = "traced in eval mode: dropout is the identity, batch norm reads its buffers"
FRAME = re.compile(r'File "(.*?)", line (\d+)')


def trace(
    module: Callable[..., object],
    *examples: object,
    pack: Callable[[Any], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
) -> Graph:
    """The graph of `unpack(module(*pack(*examples)))`.

    Args:
        module: an `nn.Module`, or any function of tensors.
        *examples: tensors, or dicts and tuples of them; only shapes, dtypes and devices matter, and tensors
            on the meta device stand for tensors on the device of the module.
        pack: from `examples` to the tuple of arguments of the module; traced too.
        unpack: from the module's result to tensors or dicts and tuples of them; traced too.

    Raises:
        Untraceable: see above.

    Example:
        >>> print(trace(torch.nn.Linear(4, 2), torch.empty(3, 4)))
        %given_0 = input 0  # [3, 4]
        %p_inner_weight = weight  # [2, 4]
        %p_inner_bias = bias  # [2]
        %linear = aten.linear.default(%given_0, %p_inner_weight, %p_inner_bias)  # [3, 2]
        return %linear
    """
    adapted = Adapted(module, pack, unpack)
    program = export(adapted, examples, lambda name: base_name(name) in RULES)
    notes = [EVAL] if differs_in_training(adapted) else []
    for spec in program.graph_signature.output_specs:
        if spec.kind == OutputKind.USER_INPUT_MUTATION:
            notes.append("the module changes its inputs in place")
        elif spec.kind.name.endswith("MUTATION"):
            raise Untraceable(f"the module changes its `{_inner(spec.target or '')}` as it runs")
    weights = [w for part in (module, pack, unpack) for w in captured(part)]
    return _Reader(program, examples, weights).graph(tuple(dict.fromkeys(notes)))


class _Reader:
    """Reads one exported program; the fields are those of the `Graph` under construction."""

    def __init__(
        self, program: ExportedProgram, examples: tuple[object, ...], captured: Iterable[Tensor]
    ) -> None:
        self.program, self.examples = program, examples
        self.captured = {place_of(p) for p in captured}
        self.once: dict[tuple[object, ...], str] = {}  # captured weights, which torch lifts at every use
        self.inputs: list[Input] = []
        self.parameters: dict[str, Shape] = {}
        self.buffers: dict[str, Tensor | None] = {}
        self.constants: dict[str, Tensor] = {}
        self.labels: dict[str, str] = {}
        self.ops: list[Op] = []
        self.names: set[str] = set()

    def graph(self, notes: tuple[str, ...]) -> Graph:
        """The whole graph, without what no output needs."""
        module, signature = self.program.graph_module, self.program.graph_signature
        holders = [node for node in module.graph.nodes if node.op == "placeholder"]
        results = self.body(module, self.placeholders(holders))
        wanted = [spec.kind == OutputKind.USER_OUTPUT for spec in signature.output_specs]
        kept = [result for result, keep in zip(results, wanted, strict=True) if keep]
        outputs = frozen(pytree.tree_unflatten(kept, self.program.call_spec.out_spec))
        needed = set(refs(outputs))
        for op in reversed(self.ops):
            if op.name in needed:
                needed |= {*refs(op.args), *refs(op.kwargs)}
        return Graph(
            inputs=tuple(self.inputs),
            parameters={n: s for n, s in self.parameters.items() if n in needed},
            buffers={n: t for n, t in self.buffers.items() if n in needed},
            constants={n: t for n, t in self.constants.items() if n in needed},
            ops=tuple(op for op in self.ops if op.name in needed),
            outputs=outputs,
            labels=self.labels,
            notes=notes,
        )

    def placeholders(self, holders: list[fx.Node]) -> list[object]:
        """Record inputs, weights and constants; gives what each placeholder stands for."""
        paths = iter(pytree.tree_flatten_with_path(self.examples)[0])
        state: Mapping[str, Any] = {**self.program.state_dict, **self.program.constants}
        values: list[object] = []
        for node, spec in zip(holders, self.program.graph_signature.input_specs, strict=True):
            name, target = node.name, spec.target or ""
            found = state.get(target)
            values.append(Ref(name))
            self.names.add(name)
            if spec.kind == InputKind.USER_INPUT:
                path, example = next(paths)
                if isinstance(example, Tensor):
                    self.inputs.append(Input(name, _keys(path), tuple(example.shape), example.dtype))
                else:
                    values[-1] = example
            elif not isinstance(found, Tensor):
                raise Untraceable(f"the module uses `{_inner(target)}`, which is no tensor")
            elif spec.kind == InputKind.PARAMETER:
                self.parameters[name], self.labels[name] = tuple(found.shape), _inner(target)
            elif spec.kind == InputKind.BUFFER:
                self.buffers[name], self.labels[name] = _value(found), _inner(target)
            elif _value(found) is None:
                raise Untraceable(f"the module uses a tensor `{_inner(target)}` without a value: register it")
            elif place_of(found) in self.captured:  # torch sees a constant in a weight that is not registered
                first = self.once.setdefault((*place_of(found), found.stride()), name)
                values[-1] = Ref(first)
                self.parameters[first], self.labels[first] = tuple(found.shape), _inner(target)
            else:
                self.constants[name] = found.detach()
        return values

    def body(self, module: fx.GraphModule, given: list[object]) -> tuple[object, ...]:
        """Record the operations of one graph; gives what it returns."""
        env: dict[fx.Node, object] = {}
        values = iter(given)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                env[node] = next(values)
            elif node.op == "get_attr":
                env[node] = getattr(module, node.target)
            elif node.op == "call_function":
                env[node] = self.call(node, frozen(node.args, env), frozen(node.kwargs, env))
        results = frozen(node.args[0], env)
        return results if isinstance(results, tuple) else (results,)

    def call(self, node: fx.Node, args: Any, kwargs: Any) -> object:
        """What a call gives: a `Ref` to a recorded operation, or what it is known to be."""
        operator = node.target
        target = str(operator) if isinstance(operator, OpOverload) else getattr(operator, "__name__", "?")
        if target in REGIONS:  # `with torch.no_grad():` and the like: as if it were not there
            at = REGIONS[target]
            return self.body(args[at], list(args[at + 1 :]))
        if target == "getitem" and isinstance(args[0], tuple):
            return args[0][args[1]]
        name = self.unique(node.name)
        shapes = _shapes(node, target)
        known = self.computed(node.target, args, kwargs, shapes)
        if known is not None:
            return self.constant(name, known)
        several = isinstance(node.meta.get("val"), (tuple, list))
        self.ops.append(
            Op(
                name=name,
                target=target,
                args=args,
                kwargs=kwargs,
                shape=shapes[0] if shapes else (),
                dtype=getattr(node.meta.get("val"), "dtype", None),
                parts=tuple(shapes) if several else (),
                source=_source(node),
                module=_module_path(node),
            )
        )
        return Ref(name)

    def unique(self, name: str) -> str:
        """The name, or one like it that no other value has (the body of a region names its own)."""
        found, k = name, 2
        while found in self.names:
            found, k = f"{name}__{k}", k + 1
        self.names.add(found)
        return found

    # --- what is known ------------------------------------------------------------------------------------

    def computed(self, target: object, args: Any, kwargs: Any, shapes: list[Shape]) -> object:
        """The value of an operation on known values, unless it is large, random or undetermined."""
        if not isinstance(target, OpOverload) or torch.Tag.nondeterministic_seeded in target.tags:
            return None
        if target is torch.ops.aten.expand_as.default:  # only the shape of the other matters
            target, args = torch.ops.aten.expand.default, (args[0], shapes[0])
        known = {name: self.known(name) for name in (*refs(args), *refs(kwargs))}
        if any(value is None for value in known.values()) or "empty" in str(target):
            return None
        if sum(torch.Size(shape).numel() for shape in shapes) > LARGEST_CONSTANT:
            return None
        with torch.no_grad():
            return target(*_resolved(args, known), **_resolved(kwargs, known))

    def known(self, name: str) -> Tensor | None:
        """The value of that name, if it has one."""
        found = self.constants.get(name)
        return self.buffers.get(name) if found is None else found

    def constant(self, name: str, value: object) -> object:
        """Record a known value; numbers stand for themselves."""
        if isinstance(value, (tuple, list)):
            return tuple(self.constant(self.unique(f"{name}_{i}"), part) for i, part in enumerate(value))
        if not isinstance(value, Tensor):
            return value
        self.constants[name] = value
        return Ref(name)


def frozen(value: object, env: Mapping[fx.Node, object] | None = None) -> Any:
    """The same with tuples for lists, and nodes replaced by what they stand for."""
    if isinstance(value, fx.Node):
        return (env or {})[value]
    if isinstance(value, (tuple, list)):
        return tuple(frozen(part, env) for part in value)
    if isinstance(value, Mapping):
        return {key: frozen(part, env) for key, part in value.items()}
    return value


def _resolved(value: Any, known: Mapping[str, Tensor | None]) -> Any:
    """The same with tensors for `Ref`s and lists for tuples, as operators want them."""
    if isinstance(value, Ref):
        return known[value.name]
    if isinstance(value, tuple):
        return [_resolved(part, known) for part in value]
    if isinstance(value, Mapping):
        return {key: _resolved(part, known) for key, part in value.items()}
    return value


def place_of(tensor: Tensor) -> tuple[object, ...]:
    """Equal for a tensor and what torch has detached from it."""
    try:
        return tensor.device, tensor.data_ptr(), tuple(tensor.shape)
    except RuntimeError:  # a stand-in without memory, as under vmap
        return (id(tensor),)


def _value(tensor: Tensor) -> Tensor | None:
    return None if tensor.device.type == "meta" else tensor.detach()


def _shapes(node: fx.Node, target: str) -> list[Shape]:
    """The shapes of the results of a call, one for each."""
    value = node.meta.get("val")
    parts = value if isinstance(value, (tuple, list)) else [value]
    shapes = [tuple(part.shape) for part in parts if isinstance(part, Tensor)]
    if any(isinstance(n, torch.SymInt) for shape in shapes for n in shape):
        raise Untraceable(
            f"the size of what `{target}` gives depends on the numbers in a tensor; compute such places "
            "once, in `__init__`, and keep them in a buffer",
            _source(node),
        )
    return shapes


def _keys(path: tuple[Any, ...]) -> tuple[str | int, ...]:
    """The keys and positions on the way to an example; the only example itself is not counted."""
    keys = tuple(key.key if hasattr(key, "key") else getattr(key, "idx", str(key)) for key in path)
    return keys[1:] or keys


def _inner(path: str) -> str:
    """The path of a weight or module as the user knows it: without the adapter."""
    return path.removeprefix("inner").removeprefix(".")


def _source(node: fx.Node) -> str:
    """The innermost line of the user's code that led to an operation."""
    frames = [(path, int(line)) for path, line in FRAME.findall(node.meta.get("stack_trace") or "")]
    users = [frame for frame in frames if not ours(frame[0])]
    return place(*users[-1]) if users else ""


def _module_path(node: fx.Node) -> str:
    paths = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]
    return _inner(paths[-1]) if paths else ""
