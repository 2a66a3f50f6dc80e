"""The reference networks of the library as `model` statements name them: "library_models:mlp"."""

from __future__ import annotations

from collections.abc import Callable

import torch
from test_spec_library import CASES, SPECS, network_of
from torch import nn

import qecompile as qe
from qecompile.spec import Spec


def __getattr__(name: str) -> Callable[..., nn.Module]:
    if name not in CASES:
        raise AttributeError(name)

    def make(**_: object) -> nn.Module:
        return network_of(name, 0)

    return make


def with_model(name: str, text: str | None = None) -> Spec:
    """The spec of a case at its small size, with a `model` statement for its network."""
    case, text = CASES[name], text or (SPECS / f"{name}.sym").read_text(encoding="utf-8")
    x = case.inputs(torch.Generator())
    sizes = ", ".join(map(str, x.shape))
    drawn = (
        f"normal({sizes})" if x.is_floating_point() else f"tokens({sizes}, below = {case.arguments['vocab']})"
    )
    end = text.rindex("}")
    output = "output D" if case.streams else ""
    model = f'model "library_models:{name}" with input {drawn} {output}'
    return qe.parse(f"{text[:end]}\n  {model}\n}}", **case.arguments)
