"""An emitted file twice, with its kernels and as plain torch; and what the GPU program does with both.

Imports nothing of the compiler beyond the loader of emitted text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_clock import Clock
from qecompile.loading import import_source

Features = dict[str, Tensor]
Call = Callable[[Features], Sequence[Tensor]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file whose kernels serve, and the same file with `DEVICES = ()`, which leaves everything to torch."""

    kernels: ModuleType
    plain: ModuleType


def load(source: str, clock: Clock, *, large: int | None = None) -> Loaded:
    """Import a file twice; `large` replaces the number of entries from which on kernels serve."""
    kernels = import_source(f"{source}# kernels, {large}\n", name="kernels")
    plain = import_source(f"{source}# torch\n", name="plain")
    plain.DEVICES = ()
    if large is not None:
        kernels.LARGE = large
    kernels.DEVICES = (clock.device.type,)
    if not clock.kernels:  # the same operators, with their bodies in plain torch
        kernels.TRITON = True
        kernels._on_device = lambda x: False
    return Loaded(kernels, plain)


def draw(
    module: ModuleType, batch: int, channels: int, clock: Clock, dtype: torch.dtype, seed: int
) -> Features:
    """Normal features [batch, *shape, channels] on the device, by name of parameter."""
    generator = torch.Generator(clock.device).manual_seed(seed)
    options: dict[str, Any] = {"generator": generator, "device": clock.device, "dtype": torch.float32}
    return {
        name: torch.randn(batch, *shape, channels, **options).to(dtype)
        for name, shape in module.SHAPES.items()
    }


def tensors(y: Tensor | Mapping[str, Any]) -> list[Tensor]:
    """All tensors of an output: of a sum that is handed on, what is written and its parts."""
    if isinstance(y, Tensor):
        return [y]
    found: list[Tensor] = []
    for value in y.values():
        found += [value] if isinstance(value, Tensor) else [value.full, *value.parts]
    return found


def stack(module: ModuleType, net: nn.Module, layers: int) -> Call:
    """The layers of a network one after the other, with the activation between them and no sum written."""

    def run(x: Features) -> list[Tensor]:
        module._register()
        for k in range(1, layers + 1):
            x = module._activated(module._advanced(getattr(net, f"linear{k}"), x))
        return tensors(x)

    return run


def trained(call: Call, x: Features, dys: Sequence[Tensor], weights: Sequence[nn.Parameter]) -> None:
    """Forward and backward, with gradients of features and weights, which are dropped at the end."""
    torch.autograd.backward(call(x), dys)
    for t in (*x.values(), *weights):
        t.grad = None


def wanted(x: Features) -> Features:
    """The same features, whose gradients are taken."""
    return {name: t.detach().requires_grad_() for name, t in x.items()}
