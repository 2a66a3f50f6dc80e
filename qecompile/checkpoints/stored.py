"""What a checkpoint says of its entries before any number of them is read, and how messages show it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import BinaryIO

from qecompile.errors import fail

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E4M3": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "U8": 8,
    "I8": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""Bits of one number, by the word that safetensors has for its dtype."""

FLOATING = ("F64", "F32", "F16", "BF16")
"""The dtypes that a parameter may have: those that a group element can multiply."""

WIDEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Stored:
    """One entry: its name, its dtype as safetensors writes it, and its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def quote(name: str) -> str:
    """A name out of a file, fit to be printed: in backticks, of bounded length, no control characters.

    >>> quote(f"W{chr(27)}[2J")
    '`W?[2J`'
    """
    shown = "".join(c if c.isprintable() else "?" for c in name[: WIDEST_NAME + 1])
    return f"`{shown if len(shown) <= WIDEST_NAME else shown[: WIDEST_NAME - 3] + '...'}`"


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, open for reading in binary.

    Raises:
        SymError: there is no such file, it cannot be read, or it is something else.
    """
    shown = quote(os.fsdecode(path))
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            fail("QE200", f"{shown} is a directory", help="name a checkpoint file in it")
        if not stat.S_ISREG(mode):
            fail("QE200", f"{shown} is not a regular file")
        return open(path, "rb")
    except FileNotFoundError:
        fail("QE200", f"there is no file {shown}")
    except (OSError, ValueError) as failure:  # ValueError: a NUL byte in the name
        reason = getattr(failure, "strerror", None) or str(failure)
        fail("QE200", f"cannot read {shown}: {reason.lower()}")
