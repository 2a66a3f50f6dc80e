"""The records of a file of `torch.save`, looked at before torch is loaded and opens it.

Such a file is a zip file without compression: a pickle, which says which tensors there are, and one record
with the numbers of every storage. What a hostile pickle may cost is bounded here.
"""

from __future__ import annotations

import os
import zipfile
from typing import NoReturn

from qecompile.checkpoints.stored import open_regular, quote
from qecompile.errors import fail

LARGEST_PICKLE = 2_000_000
"""Bytes of a record that holds no numbers: some ten thousand tensors; or objects of 60 times this size."""


def check_records(path: str | os.PathLike[str]) -> frozenset[int]:
    """The sizes of the storages that a file of `torch.save` has records for.

    Raises:
        SymError: the file cannot be read, is no such file, or has records that torch would not write.
    """
    with open_regular(path) as file:
        old = file.read(1) == b"\x80"
        try:
            records = zipfile.ZipFile(file).infolist()
        except Exception as failure:  # of many kinds, for a damaged file
            help = "save it again with a newer torch" if old else "was it cut short?"
            refuse(path, f"it is damaged, or no file of torch.save ({str(failure).lower()})", help)
    for record in records:
        if record.compress_type != zipfile.ZIP_STORED:
            refuse(path, f"its record {quote(record.filename)} is compressed, which torch never does")
        if not _holds_numbers(record) and record.file_size > LARGEST_PICKLE:
            help = "a file in safetensors may be of any size"
            refuse(path, f"its record {quote(record.filename)} has more than {LARGEST_PICKLE} bytes", help)
    return frozenset(record.file_size for record in records if _holds_numbers(record))


def _holds_numbers(record: zipfile.ZipInfo) -> bool:
    return "/data/" in record.filename


def refuse(path: str | os.PathLike[str], what: str, help: str | None = None) -> NoReturn:
    """Fail because of what a file of `torch.save` holds."""
    fail("QE202", f"cannot read {quote(os.fsdecode(path))}: {what}", help=help)
