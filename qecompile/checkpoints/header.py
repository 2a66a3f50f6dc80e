"""The header of a safetensors file, checked completely before anybody relies on it.

Takes an open file, gives the place of every entry or a `SymError`. The format: eight bytes with the length N
of the header, N bytes of JSON (`{"name": {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {...}}`),
then the numbers of all entries without a gap. Reads no numbers and needs no torch. What a hostile header can
cost is bounded by the limits below before it is parsed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO, NoReturn, TypeGuard

from qecompile.checkpoints.stored import BITS, Stored, quote
from qecompile.errors import Collector, fail

PREFIX = 8
"""Bytes in front of the header."""

LARGEST_HEADER = 100_000_000
"""Bytes of a header, a limit of the format."""

LARGEST_UNICODE_HEADER = 25_000_000
"""Bytes of a header with characters beyond ASCII, even as `\\u`: decoded, each byte may take four."""

MOST_VALUES = 500_000
"""Commas and brackets in a header: a bound on the values that it can hold, at about 8 per entry."""

MOST_AXES = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True, slots=True)
class Block:
    """An entry and where its bytes stand: `begin` and `end` count from the start of the file."""

    stored: Stored
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """Where the numbers start and where the file ends; every entry, in the order of the file."""

    data: int
    size: int
    blocks: tuple[Block, ...]


def read_header(file: BinaryIO, path: str) -> Header:
    """The checked header of an open safetensors file.

    The entries it gives fill the file exactly: none overlaps another or reaches past the end.

    Args:
        file: the file, open for reading.
        path: its name, for messages.

    Raises:
        SymError: the file is cut short, or its header is wrong in some way; one diagnostic per entry.
    """
    size = os.fstat(file.fileno()).st_size
    data = PREFIX + _header_length(file, size, path)
    found = _parse_json(_header_text(file, data - PREFIX, path), path)
    _check_metadata(found.pop("__metadata__", {}), path)
    blocks = _read_blocks(found, data, path)
    _check_cover(blocks, data, size, path)
    return Header(data, size, blocks)


def _damaged(path: str, what: str, help: str | None = None) -> NoReturn:
    fail("QE201", f"{quote(path)} is damaged: {what}", help=help)


def _header_length(file: BinaryIO, size: int, path: str) -> int:
    first = file.read(PREFIX)
    if len(first) < PREFIX:
        _damaged(path, f"it ends after {len(first)} bytes, before the length of its header")
    length = int.from_bytes(first, "little")
    help = "it looks like a zip file of torch: name it `.pt`" if first[:2] == b"PK" else None
    if length > LARGEST_HEADER:
        _damaged(path, f"its header claims {length} bytes, more than the {LARGEST_HEADER} allowed", help)
    if length > size - PREFIX:
        _damaged(path, f"its header claims {length} bytes, and only {size - PREFIX} follow", help)
    return length


def _header_text(file: BinaryIO, length: int, path: str) -> str:
    raw = file.read(length)
    if len(raw) < length:
        _damaged(path, "it ends inside its header")
    if not raw.startswith(b"{"):
        _damaged(path, "its header does not start with `{`", "is it a safetensors file?")
    if sum(raw.count(byte) for byte in (b",", b"[", b"{")) > MOST_VALUES:
        _damaged(path, f"its header holds more than {MOST_VALUES} values")
    if length > LARGEST_UNICODE_HEADER and (b"\\u" in raw or not raw.isascii()):
        _damaged(path, f"its header has more than {LARGEST_UNICODE_HEADER} bytes and is not plain ASCII")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        _damaged(path, f"its header is not text in UTF-8: byte {error.start + 1} is wrong")


def _parse_json(text: str, path: str) -> dict[str, Any]:
    """The object that a text is; it starts with a brace, so it is nothing else."""
    try:
        found: dict[str, Any] = json.loads(text, object_pairs_hook=_unique_pairs)
    except json.JSONDecodeError as error:
        _damaged(path, f"its header is not JSON: {error.msg.lower()} at character {error.pos + 1}")
    except ValueError as error:  # a name twice, or a number of too many digits
        _damaged(path, f"its header is not JSON: {str(error).partition(';')[0]}")
    except RecursionError:
        _damaged(path, "its header is nested too deeply")
    return found


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{quote(twice)} stands twice")
    return found


def _check_metadata(found: object, path: str) -> None:
    if not isinstance(found, dict):
        _damaged(path, "its metadata are no object")
    for name, value in found.items():
        if not isinstance(value, str):
            _damaged(path, f"the value of {quote(name)} in its metadata is no text")


def _read_blocks(found: Mapping[str, Any], data: int, path: str) -> tuple[Block, ...]:
    """The entries in the order of the file; every mistake is reported."""
    collector = Collector()
    blocks = []
    for name, value in found.items():
        problem = _find_problem(name, value)
        if problem is None:
            begin, end = value["data_offsets"]
            stored = Stored(name, value["dtype"], tuple(value["shape"]))
            blocks.append(Block(stored, data + begin, data + end))
        else:
            collector.error("QE201", f"{quote(path)} is damaged: entry {quote(name)} {problem}", None)
    collector.finish()
    return tuple(sorted(blocks, key=lambda b: (b.begin, b.end)))


def _find_problem(name: str, value: object) -> str | None:
    """What is wrong with one entry by itself."""
    if _SURROGATE.search(name):
        return "has a name that is no text"
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        return "has not exactly the fields `dtype`, `shape` and `data_offsets`"
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"has the unknown dtype {quote(str(dtype))}" if isinstance(dtype, str) else "has no dtype"
    if not _are_sizes(shape) or len(shape) > MOST_AXES:
        return f"has a shape that is no list of at most {MOST_AXES} sizes"
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return "has offsets that are not a first and a last byte"
    needed, given = math.prod(shape) * BITS[dtype], 8 * (offsets[1] - offsets[0])
    if needed != given:
        return f"of shape {shape} in {dtype} needs {-(-needed // 8)} bytes and has {given // 8}"
    return None


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _check_cover(blocks: Iterable[Block], data: int, size: int, path: str) -> None:
    """Fail unless the entries, in order, fill the bytes from `data` to `size`."""
    edges = [Block(Stored("", "U8", ()), data, data), *blocks, Block(Stored("", "U8", ()), size, size)]
    for before, after in pairwise(edges):
        if before.end == after.begin:
            continue
        first, second = quote(before.stored.name), quote(after.stored.name)
        if before.end > size:
            behind = before.end - size
            _damaged(path, f"entry {first} ends {behind} bytes behind the file", "was it cut short?")
        if before.end > after.begin:
            _damaged(path, f"entries {first} and {second} overlap")
        gap = after.begin - before.end
        where = f"in front of entry {second}" if after.begin < size else "at its end"
        _damaged(path, f"{gap} bytes {where} belong to no entry")
