"""Writing to standard output and standard error, which may be full, closed or left by their reader.

A stream that failed is replaced by nothing at all, so that what Python still holds for it at the end of the
process does not fail once more.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


class ReaderGoneError(Exception):
    """Who read our output stopped, as in `qecompile derive FILE | head`."""


class UnwritableError(Exception):
    """Standard output cannot be written, as on a full disk."""


def print_text(text: str, stream: TextIO | None) -> None:
    """Print to a stream and see it arrive; one that was closed before we started takes nothing.

    Raises:
        ReaderGoneError: nobody reads the stream any more.
        UnwritableError: the stream cannot be written.
    """
    if stream is None:
        return
    try:
        print(_encodable(text, stream), file=stream, flush=True)
    except BrokenPipeError:
        silence(stream)
        raise ReaderGoneError from None
    except OSError as failure:
        silence(stream)
        raise UnwritableError((failure.strerror or str(failure)).lower()) from failure


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at a stream."""
    return stream is not None and stream.isatty()


def silence(stream: TextIO | None) -> None:
    """Let all that is still to come on a stream disappear."""
    if stream is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(text: str) -> None:
    """Print to standard error, if it can be written."""
    with suppress(ReaderGoneError, UnwritableError):
        print_text(text, sys.stderr)


def _encodable(text: str, stream: TextIO) -> str:
    r"""The text with escapes for what the stream has no bytes for.

    >>> import io
    >>> _encodable("\u00e9 \udcff", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    '\\xe9 \\udcff'
    """
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
