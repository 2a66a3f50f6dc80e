"""Example inputs for a module that comes without: from what a `model` statement would say, or tried.

Takes a module, gives how its inputs are drawn. Without a statement, inputs that fit the first layers are
tried in turn, and the first that the module takes is used: it is written into the spec, where it can be
changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from qecompile import resolve
from qecompile.errors import fail
from qecompile.inference.discover import infer
from qecompile.model.finding import find_model
from qecompile.model.network import draw_input
from qecompile.model.running import running
from qecompile.spec import Input, Model

SIDES = (8, 16, 28, 32, 64, 96, 128, 224)
LENGTHS = (7, 8, 16, 32, 64, 128)
FIRST_LAYERS = 6


def infer_target(target: str, inputs: str | None = None) -> str:
    """The spec of the module that `package.module:callable` stands for.

    Args:
        target: a module, or what gives one when it is called.
        inputs: how inputs are drawn, as in `normal(8, 784)`; tried if not given.

    Raises:
        SymError: there is no such module, it takes no such inputs, or it cannot be traced.
    """
    declared = _declared(target, inputs or "normal(1, 1)")
    spec = resolve.parse(_TEXT.format(target=target, inputs="normal(1, 1)"))
    module = find_model(spec)
    if not isinstance(module, nn.Module):
        help = "give a torch.nn.Module, or something that makes one"
        fail("QE311", f"`{target}` is a function of weights: there is no module to read", help=help)
    if inputs is None:
        declared = _fitting(target, module)
    generator = torch.Generator().manual_seed(0)
    drawn = [(i.keyword, draw_input(i, generator)) for i in declared.inputs]
    args = [x for keyword, x in drawn if keyword is None]
    kwargs: dict[str, Any] = {keyword: x for keyword, x in drawn if keyword is not None}
    return infer(module, *args, model=target, declared=declared.inputs, **kwargs)


_TEXT = 'spec s {{ space x = 1 : fixed  param p : x  model "{target}" with input {inputs} }}'


def _declared(target: str, inputs: str) -> Model:
    found = resolve.parse(_TEXT.format(target=target, inputs=inputs), path="<--input>").model
    if found is None:
        fail("QE311", f"`{inputs}` declares no input", help="as in --input 'normal(8, 784)'")
    return found


def _fitting(target: str, module: nn.Module) -> Model:
    """The first inputs that a module takes."""
    generator = torch.Generator().manual_seed(0)
    for text in _likely(module):
        found = _declared(target, text)
        if _takes(module, found.inputs, generator):
            return found
    help = "say how they are drawn, as in --input 'normal(8, 784)' or --input 'tokens(8, 16, below = 1000)'"
    fail("QE311", f"nothing says which inputs `{target}` takes, and none that was tried fits", help=help)


def _takes(module: nn.Module, inputs: tuple[Input, ...], generator: torch.Generator) -> bool:
    try:
        with running(), torch.no_grad():
            module.double().eval()(*(draw_input(i, generator) for i in inputs))
    except Exception:  # whatever the module does with inputs that it does not take
        return False
    return True


def _likely(module: nn.Module) -> Iterator[str]:
    """Inputs for one of the first layers."""
    layers = [m for m in module.modules() if any(True for _ in m.parameters(recurse=False))]
    for layer in layers[:FIRST_LAYERS]:
        match layer:
            case nn.Linear(in_features=n) | nn.Bilinear(in1_features=n):
                yield from (f"normal(4, {n})", f"normal(3, 7, {n})")
            case nn.Embedding(num_embeddings=n):
                yield from (f"tokens(3, {m}, below = {n})" for m in LENGTHS)
                yield f"tokens(5, below = {n})"
            case nn.RNNBase(input_size=n):
                yield f"normal(3, 7, {n})"
            case nn.MultiheadAttention(embed_dim=n):
                yield f"normal(3, 7, {n})"
            case nn.Conv1d(in_channels=n):
                yield from (f"normal(2, {n}, {m})" for m in (*SIDES, 512, 1024))
            case nn.Conv2d(in_channels=n):
                yield from (f"normal(2, {n}, {m}, {m})" for m in SIDES)
            case nn.Conv3d(in_channels=n):
                yield from (f"normal(2, {n}, {m}, {m}, {m})" for m in SIDES[:4])
            case _:
                pass
