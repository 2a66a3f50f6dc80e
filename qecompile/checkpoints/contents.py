"""Which kind of checkpoint a file is, by the end of its name, and what it says of its entries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from qecompile.checkpoints.header import read_header
from qecompile.checkpoints.records import check_records
from qecompile.checkpoints.stored import Stored, open_regular, quote
from qecompile.errors import fail

SAFETENSORS = (".safetensors",)
TORCH = (".pt", ".pth", ".bin")


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as safetensors; otherwise it is one of `torch.save`.

    Raises:
        SymError: its name says that it is neither.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SAFETENSORS + TORCH:
        known = ", ".join(f"`{s}`" for s in SAFETENSORS + TORCH)
        help = "of a checkpoint in several files, name one" if suffix == ".json" else None
        fail("QE200", f"{quote(os.fsdecode(path))} does not end in one of {known}", help=help)
    return suffix in SAFETENSORS


def check_form(path: str | os.PathLike[str]) -> None:
    """Fail if a checkpoint is damaged, as far as that can be seen without torch.

    Raises:
        SymError: the file cannot be read, or is damaged.
    """
    if not is_safetensors(path):
        check_records(path)
        return
    with open_regular(path) as file:
        read_header(file, os.fsdecode(path))


def read_entries(path: str | os.PathLike[str]) -> Mapping[str, Stored]:
    """The entries of a checkpoint by name, in the order of the file.

    Imports torch for files of `torch.save` only.

    Raises:
        SymError: the file cannot be read, or is damaged.
    """
    if is_safetensors(path):
        with open_regular(path) as file:
            return {b.stored.name: b.stored for b in read_header(file, os.fsdecode(path)).blocks}
    check_records(path)  # before torch is loaded
    from qecompile.checkpoints.torch_file import TorchFile

    with TorchFile(path) as checkpoint:
        return checkpoint.entries
