"""Reading files and JSON, and comparing entries of a certificate with what they should be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from .nullity import Wrong
from .values import BadInput

LARGEST = 1 << 28
Json = Mapping[str, Any]


def read_json(path: Path) -> Json:
    """The values of a JSON file; names that stand twice and numbers that are none are refused."""
    if path.is_file() and path.stat().st_size > LARGEST:
        raise BadInput(f"{path.name} is too large to be a certificate")
    try:
        text = read_bytes(path).decode("utf-8")
        values = json.loads(text, object_pairs_hook=without_repeats, parse_constant=no_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{path.name} is no certificate: {type(error).__name__}: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path.name} is no certificate")
    return values


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which every name stands once."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities."""
    raise ValueError(f"{name} is no number")


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file."""
    try:
        if not path.is_file():
            raise BadInput(f"{path} is no file")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None


def hashed(data: bytes) -> str:
    """The SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object) -> str:
    """One text for one value; unlike `==` it tells `true` from `1`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def require(values: Json, name: str, expected: object) -> None:
    """Refuse an entry that is not what it should be."""
    if canonical(values[name]) == canonical(expected):
        return
    if isinstance(expected, Mapping) and isinstance(given := values[name], Mapping):
        name += "." + ", ".join(k for k in expected if canonical(given.get(k)) != canonical(expected[k]))
    raise Wrong(f"`{name}` of the certificate is not what the files say")
