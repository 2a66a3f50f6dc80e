"""Parameters out of a checkpoint, one entry at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol

import torch
from torch import Tensor

from qecompile.checkpoints.contents import is_safetensors
from qecompile.checkpoints.layouts import Placement
from qecompile.checkpoints.matching import match
from qecompile.checkpoints.safetensors_file import SafetensorsFile
from qecompile.checkpoints.stored import Stored
from qecompile.checkpoints.torch_file import TorchFile
from qecompile.errors import fail
from qecompile.spec import Spec

CONTIGUOUS = torch.contiguous_format


class Archive(AbstractContextManager["Archive"], Protocol):
    """An open checkpoint."""

    @property
    def entries(self) -> Mapping[str, Stored]:
        """What it says of its entries, in the order of the file."""

    def read(self, name: str) -> Tensor:
        """The numbers of one entry of floating dtype, in memory of their own."""

    def rewrite(self, out: BinaryIO, changed: Collection[str], change: Callable[[str], Tensor]) -> None:
        """Write the checkpoint with other numbers in some entries."""


def open_checkpoint(path: str | os.PathLike[str]) -> Archive:
    """Open a checkpoint of either kind.

    Raises:
        SymError: the file cannot be read, or is damaged.
    """
    return SafetensorsFile(path) if is_safetensors(path) else TorchFile(path)


def read_checkpoint(
    spec: Spec, path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """The parameters of a spec, as a checkpoint has them.

    Args:
        spec: the spec; its `from` clauses say where parameters are stored, and how.
        path: a file in safetensors, or of `torch.save` (`.pt`, `.pth`, `.bin`); nothing in it is executed.
        names: the parameters to read; by default those with a `from` clause.

    Returns:
        Tensors of the shapes and in the order of the spec, in the dtypes of the file, by name of parameter.

    Raises:
        SymError: the file cannot be read or is damaged; entries are missing or have another shape or dtype
            (all are told, before any is read); or the spec does not say where a parameter in `names` is.
    """
    found = dict(stream_checkpoint(spec, path, names))
    return {name: found[name] for name in spec.params if name in found}


def stream_checkpoint(
    spec: Spec, path: str | os.PathLike[str], names: Iterable[str] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """The parameters of a spec one by one, those of one entry together; see `read_checkpoint`.

    Holds the numbers of one entry at a time, whatever the size of the file.
    """
    with open_checkpoint(path) as archive:
        matched = match(spec, os.fsdecode(path), archive.entries, names)
        matched.require()
        for name, sharing in matched.by_entry().items():
            with enough_memory():
                stored = archive.read(name)
            for found in sharing:
                view = view_parameter(stored, found.placement)
                whole = len(sharing) == 1 and view.numel() == stored.numel()
                yield found.param.name, view.contiguous() if whole else view.clone(memory_format=CONTIGUOUS)


def view_parameter(stored: Tensor, placement: Placement) -> Tensor:
    """The numbers of a parameter in those of an entry, as a view of the parameter's shape."""
    index = tuple(slice(None) if value is None else value for value in placement.index)
    return stored.view(placement.shape)[index].permute(placement.order)


@contextmanager
def enough_memory() -> Iterator[None]:
    """Turn running out of memory into a diagnostic.

    Raises:
        SymError: the memory does not suffice for what is done inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as failure:
        if isinstance(failure, RuntimeError) and "DefaultCPUAllocator" not in str(failure):
            raise
        fail("QE203", "there is not enough memory for this")
