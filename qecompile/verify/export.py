"""Running a module under `torch.export`, and telling the user why it cannot be.

Takes a module, example inputs and adapters, gives an exported program that is functional: no operation
changes a value in place. The module runs once on *fake* tensors, which have shapes and no numbers: nothing is
computed, and a network for the weights of BERT costs no memory. `run_decompositions` makes the graph
functional (`y.diagonal().add_(t)` becomes a `diagonal_scatter`). Operators that have rules stay whole: an
einsum keeps its equation, a `linear` is one operation. Others are written out where torch knows how: a `kron`
becomes products and shapes.
"""

from __future__ import annotations

import io
import linecache
import logging
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.fx.proxy import TracerBase
from torch.utils import _pytree as pytree

from qecompile.verify.graph import Untraceable

TORCH = os.path.dirname(os.path.abspath(torch.__file__))
EINOPS = f"{os.sep}einops{os.sep}"
HERE = os.path.dirname(os.path.abspath(__file__))
TALKATIVE = ("torch.fx.experimental.symbolic_shapes", "torch._subclasses.fake_tensor")
HAS_MODES = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)


class Adapted(nn.Module):
    """A module (or function) between its adapters, as one module: `unpack(module(*pack(theta)))`."""

    def __init__(
        self,
        inner: Callable[..., object],
        pack: Callable[[Any], object] | None = None,
        unpack: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__()
        self.inner, self.pack, self.unpack = inner, pack, unpack

    def forward(self, *given: object) -> object:
        """The result of the inner module on what `pack` makes of the arguments."""
        packed = self.pack(*given) if self.pack else given
        result = self.inner(*packed) if type(packed) is tuple else self.inner(packed)
        return self.unpack(result) if self.unpack else result


def captured(value: object, seen: set[int] | None = None) -> Iterator[nn.Parameter]:
    """The weights that a function or module reaches through closures, globals, attributes and containers.

    They are trained like those that are registered, so what is proved must hold for all their values.
    """
    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    parts: Iterable[object] = ()
    if isinstance(value, nn.Parameter):
        yield value
    elif isinstance(value, nn.Module):
        parts = [*value.parameters(recurse=False), *value.children(), *vars(value).values()]
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple, set)):
        parts = value
    elif isinstance(value, MethodType):
        parts = (value.__self__, value.__func__)
    elif isinstance(value, partial):
        parts = (value.func, value.args, value.keywords)
    elif isinstance(value, FunctionType) and not ours(value.__code__.co_filename):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        named = [value.__globals__.get(name) for name in _names(value.__code__)]
        parts = [*cells, *named, value.__defaults__]
    for part in parts:
        yield from captured(part, seen)


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function reads, those of the functions written inside of it included."""
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _names(part)


def export(
    module: nn.Module, examples: tuple[object, ...], is_whole: Callable[[str], bool] = lambda _: True
) -> ExportedProgram:
    """The functional program of a module in eval mode, for inputs like `examples`.

    Args:
        module: what to run.
        examples: its arguments.
        is_whole: whether an operator of this name, such as `aten.linear.default`, must not be taken apart.

    Raises:
        Untraceable: the module branches on numbers, leaves torch or fails.
    """
    try:
        with eval_mode(module), _quiet(), _whole_stacks(), torch.enable_grad():  # else fused shortcuts
            fakes = _fake(examples, device_of(module))
            program: ExportedProgram = torch.export.export(module, fakes, strict=False)
            known = torch.export.default_decompositions().items()  # type: ignore[no-untyped-call]
            functional: ExportedProgram = program.run_decompositions(
                {operator: made_of for operator, made_of in known if not is_whole(str(operator))}
            )
            return functional
    except Exception as mistake:
        raise Untraceable(_reason(mistake), _blame(mistake)) from mistake


@contextmanager
def eval_mode(module: nn.Module) -> Iterator[None]:
    """Every part in eval mode inside, as before outside."""
    before = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in before:
            part.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says about itself, or about the user's code in its own words."""
    loggers = [logging.getLogger(name) for name in TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _whole_stacks() -> Iterator[None]:
    """Let an operation remember all lines of the user's code that led to it, not only those in `forward`.

    This is a detail of torch that may change; without it, lines in helper functions are not found.
    """
    name = "_filter_traceback_frames"
    if not hasattr(TracerBase, name):
        yield
        return
    with patch.object(TracerBase, name, lambda _, stack: _user_frames(stack)):
        yield


def _user_frames(stack: traceback.StackSummary) -> traceback.StackSummary:
    """What the user's code called: the frames behind the adapter that belong to nobody else."""
    frames = list(stack)
    start = max(
        (k for k, f in enumerate(frames) if f.filename == __file__ and f.name == "forward"), default=-1
    )
    return traceback.StackSummary.from_list([f for f in frames[start + 1 :] if not ours(f.filename)])


def differs_in_training(module: nn.Module) -> bool:
    """Whether some part is in training mode and computes something else in eval mode."""
    return any(part.training and isinstance(part, HAS_MODES) for part in module.modules())


def device_of(module: nn.Module) -> torch.device:
    """Where the first tensor of a module is; the CPU if it has none."""
    tensors = [*module.parameters(), *module.buffers()]
    return tensors[0].device if tensors else torch.device("cpu")


def _fake(examples: tuple[object, ...], device: torch.device) -> tuple[object, ...]:
    """The same with fake tensors; those on the meta device are put on `device`."""
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)

    def make(value: object) -> object:
        if not isinstance(value, Tensor):
            return value
        where = device if value.device.type == "meta" else value.device
        with mode:
            return torch.empty(value.shape, dtype=value.dtype, device=where)

    return tuple(pytree.tree_map(make, examples))


# --- why not --------------------------------------------------------------------------------------------


def _reason(mistake: Exception) -> str:
    """What to tell the user about an exception during the trace."""
    name, said = type(mistake).__name__, str(mistake).strip()
    if "DataDependent" in name or "data-dependent" in said or "unbacked" in said:
        return (
            "the module takes a decision by the numbers in a tensor (an `if`, a loop, a size or an index); "
            "say it with `torch.where`, a mask or a sum"
        )
    first = said.split("\n")[0][:300] if said else "no message"
    return f"the module cannot be traced: {name}: {first}"


def _blame(mistake: Exception) -> str:
    """The innermost line of code outside of torch and of this package that led to the exception."""
    frames = [f for f in traceback.extract_tb(mistake.__traceback__) if not ours(f.filename)]
    return place(frames[-1].filename, frames[-1].lineno or 0) if frames else ""


def ours(path: str) -> bool:
    """Whether a file belongs to the tracer, or to a library in whose terms users write."""
    return path.startswith((TORCH, HERE, "<string", "<frozen", "<eval_with_key")) or EINOPS in path


def place(path: str, line: int) -> str:
    """`file.py:123: the text of that line`, with the path from the working folder, if it is inside."""
    inside = os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
    text = linecache.getline(path, line).strip()
    return f"{inside}:{line}: {text}" if text else f"{inside}:{line}"
