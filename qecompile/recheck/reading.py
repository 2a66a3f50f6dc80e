"""Reading files and certificates, and comparing entries of a certificate with what they should be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from .nullity import Wrong
from .values import BadInput

FORMAT = "qecompile-certificate-2"
KEYS = set("format qecompile ok spec emitted elaborated basis small obligations sha256".split())
LARGEST = 1 << 28
Json = Mapping[str, Any]


def read_certificate(path: Path) -> Json:
    """The values of a certificate, of which no byte has changed since it was written.

    Names that stand twice and numbers that are none are refused.
    """
    if path.is_file() and path.stat().st_size > LARGEST:
        raise BadInput(f"{path.name} is too large to be a certificate")
    data = read_bytes(path)
    try:
        text = data.decode("utf-8")
        values = json.loads(text, object_pairs_hook=without_repeats, parse_constant=no_constant)
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"{path.name} is no certificate: {type(error).__name__}: {str(error)[:200]}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT or values.keys() != KEYS:
        raise BadInput(f"{path.name} is no certificate of the format {FORMAT}")
    body, mark, seal = data.rpartition(b',"sha256": "')
    if not mark or seal != f'{hashed(body)}"\n}}\n'.encode():
        raise Wrong(
            f"{path.name} was changed after it was written: its last line is not the hash of the others"
        )
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
