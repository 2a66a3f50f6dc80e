"""What becomes of a generated source text: a file of the user's, or an imported module.

A module is backed by a real file too, in a folder that belongs to this process alone (so two processes never
meet) and goes when the process ends.
"""

from __future__ import annotations

import atexit
import errno
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from types import ModuleType

_importing = threading.Lock()


def write_source(source: str, path: str | os.PathLike[str]) -> None:
    """Write `source` to `path`, whose readers see the old file or the whole new one, never a part.

    A device or a pipe cannot be replaced and is written to, as it is.

    Raises:
        OSError: the file cannot be written, or is a pipe that nobody reads.
        ValueError: the name holds a NUL byte.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        _write_through(source, path)
        return
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(source, encoding="utf-8")
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_through(source: str, path: str | os.PathLike[str]) -> None:
    """Write to what stands at `path`; it may be a link like /dev/stdout, whose target has no name."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as failure:
        if failure.errno == errno.ENXIO:
            raise OSError(failure.errno, "nobody reads from it", os.fspath(path)) from failure
        raise
    os.set_blocking(descriptor, True)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(source)


def import_source(source: str, name: str) -> ModuleType:
    """The module that `source` defines, from `sys.modules` if this very source was imported before.

    The module's name depends on `name` and the source only, and is therefore the same in every process:
    that is what lets pickle find its classes again.

    Example:
        >>> module = import_source("answer = 42", name="tiny")
        >>> module.answer, module is import_source("answer = 42", name="tiny")
        (42, True)
    """
    digest = hashlib.sha256(source.encode()).hexdigest()
    full_name = f"qecompile_{name}_{digest[:16]}"
    with _importing:
        if full_name not in sys.modules:
            sys.modules[full_name] = _execute(source, full_name)
        return sys.modules[full_name]


def _execute(source: str, full_name: str) -> ModuleType:
    path = _folder(os.getpid()) / f"{full_name}.py"
    path.write_text(source, encoding="utf-8")
    found = importlib.util.spec_from_file_location(full_name, path)
    if found is None or found.loader is None:
        raise ImportError(f"no loader for {path}")
    module = importlib.util.module_from_spec(found)
    sys.modules[full_name] = module  # before it runs: decorators look their module up
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[full_name]
        raise
    return module


@cache
def _folder(process: int) -> Path:
    """The folder of one process; a forked child gets its own."""
    folder = Path(tempfile.mkdtemp(prefix="qecompile-"))
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # a forked child inherits the parent's exit handlers
        shutil.rmtree(folder, ignore_errors=True)
