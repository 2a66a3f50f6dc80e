"""Numbers of a safetensors file: one entry at a time, and the same file with some entries changed.

The file is read with plain reads, not mapped: if it shrinks meanwhile, that is an error and not a crash.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NoReturn, Self

import torch
from torch import Tensor

from qecompile.checkpoints.header import read_header
from qecompile.checkpoints.stored import Stored, open_regular, quote
from qecompile.errors import fail

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}
"""The dtypes that are read: those of parameters, and of the permutations of a group element."""

CHUNK = 1 << 22
"""Bytes that are copied at a time."""

_ZEROS = bytes(CHUNK)


class SafetensorsFile:
    """An open safetensors file, whose header has been checked.

    Raises:
        SymError: the file cannot be read, or its header is wrong.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = open_regular(path)
        try:
            self._header = read_header(self._file, str(path))
        except BaseException:
            self._file.close()
            raise
        self._blocks = {block.stored.name: block for block in self._header.blocks}
        self.entries: Mapping[str, Stored] = MappingProxyType(
            {name: block.stored for name, block in self._blocks.items()}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, name: str) -> Tensor:
        """The numbers of one entry of a dtype in `DTYPES`, in memory of their own.

        Raises:
            SymError: the file ends before the numbers do.
        """
        block = self._blocks[name]
        buffer = bytearray(block.end - block.begin)
        self._file.seek(block.begin)
        if self._file.readinto(buffer) < len(buffer):  # type: ignore[attr-defined]
            self._fail_short()
        return torch.frombuffer(buffer, dtype=DTYPES[block.stored.dtype]).view(block.stored.shape)

    def rewrite(self, out: BinaryIO, changed: Collection[str], change: Callable[[str], Tensor]) -> None:
        """Write the file with other numbers in some entries; every other byte stays.

        Args:
            out: an empty file, open for writing.
            changed: the entries that change.
            change: gives the new numbers of such an entry, of the dtype and shape of the old ones.

        Raises:
            SymError: the file ends before its numbers do.
            OSError: `out` cannot be written.
        """
        position = 0
        for block in self._header.blocks:
            if block.stored.name in changed:
                self._copy(out, position, block.begin)
                write_numbers(out, change(block.stored.name))
                position = block.end
        self._copy(out, position, self._header.size)
        out.truncate(self._header.size)

    def _copy(self, out: BinaryIO, begin: int, end: int) -> None:
        """Copy the bytes from `begin` to `end`; where they are zero, leave a hole."""
        self._file.seek(begin)
        while begin < end:
            chunk = self._file.read(min(CHUNK, end - begin))
            if not chunk:
                self._fail_short()
            if chunk == _ZEROS:
                out.seek(len(chunk), os.SEEK_CUR)
            else:
                out.write(chunk)
            begin += len(chunk)

    def _fail_short(self) -> NoReturn:
        fail("QE201", f"{quote(str(self.path))} became shorter while it was read")


def write_numbers(out: BinaryIO, tensor: Tensor) -> None:
    """Write the numbers of a tensor in row-major order."""
    out.write(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
