"""Running a module of an emitted file, and seeing to it that what it does once it does always.

A module is a function of its inputs and weights if nothing that it keeps changes when it is called, and it
draws no random numbers. It is the same function for all values if no value steers it: no number of a tensor
becomes one of Python. A layer of which each operation is linear in each of its tensors, or a quotient, is
then a rational function of its inputs and weights, of low degree, and one that is right at random integers
is right (Schwartz-Zippel). Shapes, dtypes and modes may steer a module, so several are tried (`check_modes`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .nullity import Wrong

LEFT_OUT = "NOT RE-CHECKED"
"""The beginning of a line about something that could be confirmed, and was not."""
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device, torch.Size)
LINEAR = frozenset(
    "_reshape_alias _to_copy _unsafe_view add addmm addmv addbmm alias arange as_strided baddbmm "
    "bmm cat clone copy detach diag_embed diagonal div dot empty empty_like empty_strided expand "
    "eye fill flip full full_like index index_add index_select lift_fresh mean mm mul mv neg "
    "new_empty new_empty_strided new_full new_ones new_zeros ones ones_like permute repeat roll "
    "rsub scalar_tensor select slice slice_scatter split split_with_sizes squeeze stack sub sum t "
    "trace transpose tril triu unbind unsqueeze view zero zeros zeros_like".split()
)
"""Operations that are linear in each of their tensors, and quotients; in place (with `_` behind) or not."""
STEERING = frozenset(
    "_local_scalar_dense equal is_nonzero normal uniform bernoulli rand randn randint".split()
)


class Watched:
    """A module that is found unchanged by every call, and gives plain tensors."""

    def __init__(self, module: nn.Module, linear: bool = False) -> None:
        if not isinstance(module, nn.Module):
            raise Wrong(f"{type(module).__name__} is no module")
        self.module, self.linear = module, linear

    def __call__(self, x: Mapping[str, Tensor]) -> Any:
        """What the module gives; refused if it changes, or does what no such module does."""
        before, drawn = kept(self.module), torch.get_rng_state()
        with Operations(self.linear):
            y = self.module(dict(x))
        if kept(self.module) != before or not torch.equal(torch.get_rng_state(), drawn):
            raise Wrong("the module remembers something from call to call, or draws random numbers")
        plain = type(y) is Tensor or (type(y) is dict and all(type(t) is Tensor for t in y.values()))
        if not plain:
            raise Wrong(f"the module gives a {type(y).__name__} of something else than tensors")
        return y


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses operations by which a value could steer a module, and in a layer those that are not linear."""

    def __init__(self, linear: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.linear = linear

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Judge one operation, and run it."""
        name = func._schema.name.split("::")[1].rstrip("_")
        if name in STEERING:
            raise Wrong(f"the module decides by the value of a tensor, or draws random numbers ({func})")
        found = func(*args, **(kwargs or {}))
        if self.linear and (name not in LINEAR or cuts(name, args, found)):
            raise Wrong(f"the layer has an operation that is not linear ({func})")
        return found


def cuts(name: str, args: Any, found: Any) -> bool:
    """Whether a use of an operation makes integers of other numbers."""
    moved = (*args, found) if name in ("_to_copy", "copy", "fill") else ()
    return not all(t.is_floating_point() for t in moved if isinstance(t, Tensor))


def typed(x: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Inputs of the dtype of a module."""
    return {k: t.to(next(module.parameters()).dtype) for k, t in x.items()}


def kept(value: Any) -> Any:
    """What a module keeps, so that two states can be compared; tensors by identity and number of changes."""
    match value:
        case Tensor():
            return id(value), value._version
        case nn.Module():
            return type(value), kept(vars(value))
        case dict():
            return tuple((key, kept(part)) for key, part in value.items())
        case list() | tuple() if not isinstance(value, PLAIN):
            return tuple(map(kept, value))
        case set():
            return frozenset(value)
        case _ if isinstance(value, PLAIN):
            return repr(value)
    raise Wrong(f"the module keeps a {type(value).__name__}, which might remember something")


@contextmanager
def unchanged(module: ModuleType) -> Iterator[None]:
    """Refuse a file of which the values have changed when all is done."""

    def values() -> list[tuple[str, str]]:
        return [(k, repr(v)) for k, v in vars(module).items() if isinstance(v, (*PLAIN, dict, list, tuple))]

    namespace = {k: v for k, v in vars(module).items() if not k.startswith("__")}
    before = values()
    yield
    after = {k: v for k, v in vars(module).items() if not k.startswith("__")}
    if namespace.keys() != after.keys() or any(after[k] is not v for k, v in namespace.items()):
        raise Wrong("the emitted file gives its names other meanings while it runs")
    if values() != before:
        raise Wrong("the emitted file changes its own constants while it runs")


def check_modes(
    module: nn.Module, run: Callable[[nn.Module], Mapping[str, Tensor]], subject: str, near: float
) -> None:
    """Refuse a module that is another function when it is evaluated, compiled or autocast, or in float32.

    Args:
        module: in float64.
        run: gives the outputs of a module for inputs of its dtype, always the same.
        subject: what to call it.
        near: how close the outputs in float32 must be, as a share of the largest entry.
    """
    expected = run(module)
    modes: dict[str, AbstractContextManager[Any]] = {
        "in evaluation mode": nullcontext(),
        "when it is compiled": pretending_to_compile(),
        "under autocast": torch.autocast("cpu", torch.bfloat16),
    }
    for mode, context in modes.items():
        other = copy.deepcopy(module)
        other.train(mode != "in evaluation mode")
        with context:
            found = run(other)
        if any(off(found[k], t) > 1e-9 for k, t in expected.items()):
            raise Wrong(f"{subject} is another function {mode}")
    single = run(copy.deepcopy(module).to(torch.float32))
    if any(
        single[k].dtype != torch.float32 or off(single[k].double(), t) > near for k, t in expected.items()
    ):
        raise Wrong(f"{subject} is another function in float32")


@contextmanager
def pretending_to_compile() -> Iterator[None]:
    """Have `torch.compiler.is_compiling` say yes, while nothing is compiled."""
    known = torch.compiler.is_compiling
    torch.compiler.is_compiling = lambda: True
    try:
        yield
    finally:
        torch.compiler.is_compiling = known


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest entry."""
    if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
        return float("inf")
    if not expected.numel():
        return 0.0
    found, expected = found.detach(), expected.detach()
    return float((found - expected).abs().max()) / (float(expected.abs().max()) + 1e-300)
