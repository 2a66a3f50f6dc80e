"""Checkpoints for tests: written byte by byte, so that they can be wrong in any way."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

MLP = """
spec mlp(widths: ints = [3, 4, 2]) {
  let L = len(widths) - 1
  space a[0]                 = widths[0] : fixed
  space a[i] for i in 1..L-1 = widths[i] : permute * scale
  space a[L]                 = widths[L] : fixed
  param W[i] for i in 1..L : a[i] <- a[i-1]  from "layers.{2*(i-1)}.weight"
  param b[i] for i in 1..L : a[i]            from "layers.{2*(i-1)}.bias"
}
"""

ATTENTION = """
spec attention(width: int = 6, heads: int = 2) {
  let size = width / heads
  space D    = width : fixed
  space head = heads : permute {
    space qk = size : linear
    space vo = size : linear
  }
  param W_Q : head qk  <- D  from "in_proj_weight"  as "(part head qk) D" at part = 0
  param W_K : head qk* <- D  from "in_proj_weight"  as "(part head qk) D" at part = 1
  param W_V : head vo  <- D  from "in_proj_weight"  as "(part head vo) D" at part = 2
  param b_Q : head qk        from "in_proj_bias"    as "(part head qk)"   at part = 0
  param b_K : head qk*       from "in_proj_bias"    as "(part head qk)"   at part = 1
  param b_V : head vo        from "in_proj_bias"    as "(part head vo)"   at part = 2
  param W_O : D <- head vo   from "out_proj.weight" as "D (head vo)"
  param b_O : D              from "out_proj.bias"
}
"""


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    """What a header says of one entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write_raw(
    path: Path, header: Mapping[str, object] | bytes, data: bytes = b"", length: int | None = None
) -> Path:
    """A safetensors file with this header and these numbers, which may have nothing to do with each other."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + data)
    return path


def data_start(content: bytes | bytearray) -> int:
    """Where the numbers of a safetensors file start."""
    (length,) = struct.unpack("<Q", content[:8])
    return int(length) + 8
