"""Files of `torch.save`: read without executing anything in them, and written with some tensors changed.

Only files that `torch.load(weights_only=True, mmap=True)` accepts are read. Tensors in nested dicts and lists
are entries whose names join the keys by dots: `state_dict.layers.0.weight`.
"""

from __future__ import annotations

import mmap
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Self

import torch
from torch import Tensor

from qecompile.checkpoints.records import check_records, refuse
from qecompile.checkpoints.safetensors_file import DTYPES, write_numbers
from qecompile.checkpoints.stored import Stored, quote
from qecompile.errors import fail

DEEPEST = 16
"""Containers inside each other."""

_WORDS = {dtype: word for word, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """A tensor and the dict or list that holds it."""

    holder: Any
    key: Any
    tensor: Tensor


class TorchFile:
    """A file of `torch.save`, mapped into memory.

    Raises:
        SymError: the file cannot be read, is damaged, or holds more than plain data.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        sizes = check_records(path)
        self._content = _load(self.path)
        self._slots: dict[str, _Slot] = {}
        for name, slot in _find_tensors(self._content, "", set()):
            if name in self._slots:
                refuse(self.path, f"two tensors in it are called {quote(name)}")
            if _is_plain(slot.tensor) and slot.tensor.untyped_storage().nbytes() not in {0, *sizes}:
                refuse(self.path, f"it is damaged: {quote(name)} has numbers outside of its record")
            self._slots[name] = slot
        self.entries: Mapping[str, Stored] = MappingProxyType(
            {name: _describe(name, slot.tensor) for name, slot in self._slots.items()}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._slots.clear()
        self._content = None

    def read(self, name: str) -> Tensor:
        """The numbers of one entry of floating dtype, in memory of their own."""
        return self._slots[name].tensor.detach().clone(memory_format=torch.contiguous_format)

    def rewrite(self, out: BinaryIO, changed: Collection[str], change: Callable[[str], Tensor]) -> None:
        """Write the file with other numbers in some entries; whatever else it holds stays.

        The new numbers wait in a temporary file, which has no name and goes with the process. Afterwards they
        are what this object reads.

        Args:
            out: an empty file, open for writing.
            changed: the entries that change.
            change: gives the new numbers of such an entry, of the dtype and shape of the old ones.

        Raises:
            SymError: an entry that changes shares memory with one that does not.
            OSError: a file cannot be written.
        """
        self._check_sharing(changed)
        with tempfile.TemporaryFile(dir=Path(out.name).parent) as scratch:
            for name in self._slots:
                if name in changed:
                    self._replace(name, _park(scratch, change(name)))
            torch.save(self._content, out)

    def _replace(self, name: str, tensor: Tensor) -> None:
        slot = self._slots[name]
        if isinstance(slot.tensor, torch.nn.Parameter):
            tensor = torch.nn.Parameter(tensor, slot.tensor.requires_grad)
        else:
            tensor.requires_grad_(slot.tensor.requires_grad)
        slot.holder[slot.key] = tensor
        self._slots[name] = _Slot(slot.holder, slot.key, tensor)

    def _check_sharing(self, changed: Collection[str]) -> None:
        """Fail if an entry that changes is, in part, one that does not: as a tied embedding is."""
        touched: dict[int, list[tuple[int, int, str]]] = {}
        for name in changed:
            memory, begin, end = _extent(self._slots[name].tensor)
            touched.setdefault(memory, []).append((begin, end, name))
        for name, slot in self._slots.items():
            if name in changed or not _is_plain(slot.tensor):
                continue
            memory, begin, end = _extent(slot.tensor)
            for first, last, other in touched.get(memory, ()):
                if begin < last and first < end:
                    message = f"entries {quote(other)} and {quote(name)} are the same memory"
                    fail("QE217", message, help="name both in the spec, or save them apart")


def _load(path: Path) -> Any:
    """What the file holds: plain containers of numbers, texts and tensors, the latter mapped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about how torch reads its own format
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except Exception as failure:  # a hostile pickle can raise anything
        text = str(failure)
        if named := re.search(r"GLOBAL (\S+)", text):
            help = "save tensors only, as in: torch.save(model.state_dict(), path)"
            refuse(path, f"it asks for {quote(named[1])}, which is no tensor; nothing was executed", help)
        reason = quote(text.partition(". ")[0] or type(failure).__name__)
        refuse(path, f"it is damaged, or no file of tensors ({reason})")


def _find_tensors(holder: Any, prefix: str, seen: set[int], depth: int = 0) -> Iterator[tuple[str, _Slot]]:
    """The tensors in nested dicts and lists with their names; every container is entered once."""
    if id(holder) in seen or depth > DEEPEST:
        return
    seen.add(id(holder))
    for key, value in _items(holder):
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", _Slot(holder, key, value)
        else:
            yield from _find_tensors(value, f"{prefix}{key}.", seen, depth + 1)


def _items(holder: Any) -> list[tuple[Any, Any]]:
    """What a container holds under names and numbers; nothing, if it is none."""
    if isinstance(holder, list):
        return list(enumerate(holder))
    if isinstance(holder, dict):
        return [(key, value) for key, value in holder.items() if isinstance(key, (str, int))]
    return []


def _describe(name: str, tensor: Tensor) -> Stored:
    """The entry of a tensor; the dtype of one that is more than numbers in a row is no word of the format."""
    word = _WORDS.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    if not _is_plain(tensor):
        word = f"{word} ({tensor.layout}, {tensor.device.type})"
    return Stored(name, word, tuple(tensor.shape))


def _is_plain(tensor: Tensor) -> bool:
    """Whether the tensor is numbers in memory, neither sparse nor quantised nor without data."""
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def _extent(tensor: Tensor) -> tuple[int, int, int]:
    """The storage of a plain tensor, and the bytes of it from the first to the last number."""
    begin, size = int(tensor.storage_offset()), tensor.element_size()
    length = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)) + 1
    end = begin + length if tensor.numel() else begin
    return tensor.untyped_storage().data_ptr(), begin * size, end * size


def _park(scratch: BinaryIO, tensor: Tensor) -> Tensor:
    """The same tensor, moved from memory to the end of a file that is mapped."""
    step = mmap.ALLOCATIONGRANULARITY
    begin = -(-scratch.seek(0, os.SEEK_END) // step) * step
    scratch.seek(begin)
    write_numbers(scratch, tensor)
    scratch.flush()
    mapped = mmap.mmap(scratch.fileno(), tensor.numel() * tensor.element_size(), offset=begin)
    return torch.frombuffer(mapped, dtype=tensor.dtype).view(tensor.shape)
