"""Helpers for tests of emitted modules: import the text, measure equivariance and rank."""

from __future__ import annotations

import hashlib
import linecache
import sys
from math import prod
from types import ModuleType

import torch
from torch import Tensor

from qecompile.codegen.emit import emit_source
from qecompile.groups import Group
from qecompile.spec import Spec


def module_of(spec: Spec) -> ModuleType:
    """The emitted module of a spec, imported from its text."""
    source = emit_source(spec)
    name = f"emitted_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), module.__dict__)
        sys.modules[name] = module
    return sys.modules[name]


def features(spec: Spec, batch: int, channels: int, seed: int = 0) -> dict[str, Tensor]:
    """Normal float64 features [batch, *shape, channels] for every parameter."""
    generator = torch.Generator().manual_seed(seed)
    return {
        p.name: torch.randn(batch, *p.shape, channels, generator=generator, dtype=torch.float64)
        for p in spec.parameters
    }


def weights(spec: Spec, batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Normal float64 weights [batch, *shape] for every parameter."""
    return {name: x.squeeze(-1) for name, x in features(spec, batch, 1, seed).items()}


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module with every parameter drawn anew, biases and shifts included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=p.dtype) / max(p.shape[0], 1) ** 0.5)
    return module


def equivariance_error(spec: Spec, layer: torch.nn.Module, seed: int = 0) -> float:
    """The largest difference of layer(g.x) and g.layer(x), relative to the largest output."""
    group = Group(spec)
    g = group.sample(torch.Generator().manual_seed(seed))
    x = features(spec, 2, layer.in_channels, seed)
    with torch.no_grad():
        moved = layer(group.act(g, x, channels=True))
        expected = group.act(g, layer(x), channels=True)
    size = max(float(t.abs().max()) for t in expected.values() if t.numel())
    return max(float((moved[k] - expected[k]).abs().max()) for k in expected) / max(size, 1e-300)


def family_rank(spec: Spec, layer: torch.nn.Module) -> tuple[int, int]:
    """The rank of the family of affine maps that a 1 -> 1 layer parametrises, and its number of weights.

    The layer is applied to zero and to every basis vector of the input; what comes out is linear in the
    weights, and the rank of that linear map is the dimension of the family.
    """
    sizes = [prod(p.shape) for p in spec.parameters]
    total = sum(sizes)
    flat = torch.cat([torch.zeros(1, total, dtype=torch.float64), torch.eye(total, dtype=torch.float64)])
    x = {}
    for p, part in zip(spec.parameters, flat.split(sizes, dim=1), strict=True):
        x[p.name] = part.reshape(total + 1, *p.shape, 1)
    parameters = dict(layer.named_parameters())
    shapes = [p.shape for p in parameters.values()]
    count = sum(s.numel() for s in shapes)
    columns = []
    with torch.no_grad():
        for direction in torch.eye(count, dtype=torch.float64):
            parts = direction.split([s.numel() for s in shapes])
            drawn = {n: part.view(s) for n, part, s in zip(parameters, parts, shapes, strict=True)}
            y = torch.func.functional_call(layer, drawn, (x,))
            columns.append(torch.cat([y[p.name].reshape(-1) for p in spec.parameters]))
    return int(torch.linalg.matrix_rank(torch.stack(columns))), count
