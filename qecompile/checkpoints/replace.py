"""Files that appear whole or not at all, however the process ends."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from qecompile.checkpoints.stored import quote
from qecompile.errors import fail

UNFINISHED = (".qecompile-", ".unfinished")
"""How the name of a file that is being written starts and ends; one that is left over can be deleted."""


def check_target(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Where a file may be written: `path`, with links followed.

    Raises:
        SymError: something stands there already that must not be replaced, or its folder is missing.
    """
    shown = quote(os.fsdecode(path))
    try:
        target = Path(path).resolve()
        exists, replaceable, folder = target.exists(), target.is_file(), target.parent.is_dir()
    except (OSError, ValueError, RuntimeError) as failure:  # a name too long, a NUL byte, links in a circle
        fail("QE220", f"cannot write {shown}: {str(failure).lower()}")
    if exists and not replaceable:
        fail("QE220", f"cannot write {shown}: it is no regular file")
    if exists and not overwrite:
        fail("QE221", f"{shown} exists already", help="choose another name, or replace it with --force")
    if not folder:
        fail("QE220", f"cannot write {shown}: there is no directory {quote(str(target.parent))}")
    return target


@contextmanager
def replace_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[BinaryIO]:
    """An empty file to write, which takes the name `path` when the block ends without an exception.

    Until then it has a name of its own in the same folder, see `UNFINISHED`. What it holds has reached the
    disk before it gets its name, so that at any moment `path` is what it was before, or complete.

    Raises:
        SymError: see `check_target`; or the file cannot be written.
    """
    target = check_target(path, overwrite)
    unfinished = target.with_name(secrets.token_hex(8).join(UNFINISHED))
    try:
        with open(unfinished, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, unfinished)
        _rename(unfinished, target, overwrite)
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        fail("QE220", f"cannot write {quote(os.fsdecode(path))}: {reason}")
    finally:
        unfinished.unlink(missing_ok=True)


def _rename(unfinished: Path, target: Path, overwrite: bool) -> None:
    """Give a finished file its name."""
    if overwrite:
        unfinished.replace(target)
    else:
        _link(unfinished, target)
    with suppress(OSError):  # not every file system has folders that can be synchronised
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _link(unfinished: Path, target: Path) -> None:
    """Give a finished file a name that nobody may have taken meanwhile."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        check_target(target, overwrite=False)
        raise
    except OSError:  # a file system without links
        unfinished.rename(check_target(target, overwrite=False))
