"""Import an emitted module from its text, and use each of its parts: layers, invariants, networks.

Weights are drawn by name, so two modules get the same ones where their parameters have the same names and
shapes. Buffers are left as the module made them: they are part of what was emitted.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import linecache
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

_number = itertools.count()


def load(text: str) -> ModuleType:
    """The module of a text; tracebacks show its lines."""
    name = f"<mutant {next(_number)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return execute(compile(text, name, "exec"))


def execute(code: CodeType, **names: Any) -> ModuleType:
    """Run a module's code, with some names set before."""
    module = ModuleType("emitted")
    module.__dict__.update(names)
    exec(code, module.__dict__)
    return module


@dataclass(frozen=True)
class Part:
    """One layer or network of a module, ready to run.

    Attributes:
        name: what it is, as in `EquivariantLinear(2, 3)`.
        kind: its class, or `activate`.
        module: it, in float64.
        channels: of its inputs; `None` where inputs are weights without channels.
        shapes: of the parameters, by name.
    """

    name: str
    kind: str
    module: nn.Module
    channels: int | None
    shapes: dict[str, tuple[int, ...]]

    def inputs(self, batch: int, seed: int) -> dict[str, Tensor]:
        """Normal inputs."""
        generator = torch.Generator().manual_seed(seed)
        tail = () if self.channels is None else (self.channels,)
        return {
            name: torch.randn(batch, *shape, *tail, generator=generator, dtype=torch.float64)
            for name, shape in self.shapes.items()
        }

    def run(self, x: dict[str, Tensor]) -> Any:
        """What it gives for the inputs, which it does not get to change."""
        return self.module({name: t.clone() for name, t in x.items()})


class _Function(nn.Module):
    """A function as a module without weights."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: dict[str, Tensor]) -> Any:
        return self.function(x)


def parts_of(module: ModuleType, ins: int, outs: int) -> Iterator[Part]:
    """Every part of an emitted module, smallest first, its weights drawn by their names."""
    made = {
        "EquivariantLinear": (ins, outs),
        "activate": (),
        "Invariants": (ins, outs),
        "Activation": (ins,),
        "InvariantReadout": (ins, 2),
        "EquivariantReadout": (ins,),
    }
    others = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == module.__name__
    ]
    for name in [*made, *(n for n in others if n not in made and n != "MetaNet"), "MetaNet"]:
        if not hasattr(module, name):
            continue
        value = getattr(module, name)
        arguments = made.get(name, () if name == "MetaNet" else _arguments(value, ins))
        try:
            part = _Function(value) if name == "activate" else value(*arguments)
        except ValueError:  # invariants that keep channels apart: one feature for each
            arguments = (ins, ins)
            part = value(*arguments)
        shown = f"{name}({', '.join(map(str, arguments))})"
        channels = ins if name != "MetaNet" else _network_channels(part)
        yield Part(shown, name, draw_weights(part.double()), channels, module.SHAPES)


def _network_channels(network: nn.Module) -> int | None:
    """The channels of a network's inputs; one is no axis."""
    first = next(m.in_channels for m in network.modules() if hasattr(m, "in_channels"))
    return None if first == 1 else first


def _arguments(cls: type, channels: int) -> tuple[int, ...]:
    """The number of channels, for a class that asks for it."""
    wanted = [p for p in inspect.signature(cls).parameters.values() if p.default is inspect.Parameter.empty]
    return (channels,) * len(wanted)


def draw_weights(module: nn.Module) -> nn.Module:
    """Draw every parameter anew, seeded by its name and shape: biases and shifts are not zero either."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            seed = int(hashlib.sha256(f"{name} {tuple(p.shape)}".encode()).hexdigest()[:8], 16)
            drawn = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed), dtype=p.dtype)
            p.copy_(drawn / max(p.shape[-2] if p.dim() > 1 else 1, 1) ** 0.5)
    return module
