"""Reading `.sym` files, and finding the specs that a file can include.

A file that `use`s another sees the specs declared there, and not those that the other one uses. Used files
lie in the directory tree of the first file, so that a spec never reads elsewhere.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qecompile import tree
from qecompile.errors import Collector, Note, Source, Span, SymError, fail
from qecompile.expressions import Scope, text
from qecompile.lexical import Places
from qecompile.syntax import parse_file

_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")

NEVER_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How a file is opened, on any system, that is perhaps none."""

DEEPEST_USE = 16

LARGEST_FILE = 1_000_000
"""Bytes that a `.sym` file may have."""


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A parsed file: its specs by name, and those of the files that it uses."""

    source: Source
    parsed: tree.FileTree
    specs: Mapping[str, tree.SpecTree]
    used: Mapping[str, SpecFile]
    complete: bool = True
    """Whether every file that it uses could be read."""

    def find(self, name: str) -> tuple[tree.SpecTree, SpecFile] | None:
        """The spec of a name and the file that declares it."""
        if name in self.specs:
            return self.specs[name], self
        file = self.used.get(name)
        return (file.specs[name], file) if file else None

    def all_files(self) -> list[SpecFile]:
        """This file and all that it uses, each once."""
        found = {self.source.path: self}
        waiting = [self]
        while waiting:
            for file in waiting.pop().used.values():
                if file.source.path not in found:
                    found[file.source.path] = file
                    waiting.append(file)
        return list(found.values())

    def full_text(self) -> str:
        """The text of this file and of all that it uses, so that its hash tells when any of them changes."""
        return "\n".join(file.source.text for file in self.all_files())


def read_text(path: str | os.PathLike[str], span: Span | None = None, shown: str | None = None) -> str:
    """The text of a regular file in UTF-8; messages call it `shown`, or else by its path.

    Raises:
        SymError: if there is no such file, if it is something else, too large, or no text.
    """
    shown = shown or os.fsdecode(os.fspath(path))
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            fail("QE001", f"`{shown}` is a directory", span, help="name a `.sym` file in it")
        if not stat.S_ISREG(status.st_mode):
            fail("QE001", f"`{shown}` is not a regular file", span)
        data = _read_at_most(path, LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            fail("QE005", f"`{shown}` has more than {LARGEST_FILE} bytes", span)
    except BlockingIOError:
        fail("QE001", f"`{shown}` is not a regular file", span)
    except FileNotFoundError:
        fail("QE001", f"there is no file `{shown}`", span)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "the path is not valid"
        fail("QE001", f"`{shown}` cannot be read: {reason.lower()}", span)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail("QE002", f"`{shown}` is not text in UTF-8: byte {error.start + 1} is wrong", span)


def _read_at_most(path: str | os.PathLike[str], most: int) -> bytes:
    """The first bytes of a file.

    Some files below /proc and /sys pass for regular, and wait for events or never end: what would have to be
    waited for raises `BlockingIOError`, and of what is endless a part is enough.
    """
    with open(os.open(path, os.O_RDONLY | NEVER_WAIT), "rb", buffering=0) as file:
        pieces: list[bytes] = []
        while left := most - sum(map(len, pieces)):
            piece = file.read(left)
            if piece is None:
                raise BlockingIOError
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)


def as_source(text: str, path: str) -> Source:
    """The source of a text, with one kind of line end and without a byte order mark.

    Raises:
        SymError: if the text has characters that no text file has.
    """
    source = Source(path, text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    if wrong := _FORBIDDEN.search(source.text):
        message = f"the character U+{ord(wrong.group()):04X} cannot stand in a spec"
        fail("QE002", message, Places.of(source).span(wrong.start()))
    return source


@dataclass(slots=True)
class Loader:
    """Parses a file and those that it uses, each once."""

    collector: Collector
    root: Path | None
    loaded: dict[Path, SpecFile] = field(default_factory=dict)
    open: list[Path] = field(default_factory=list)

    def load(self, source: Source, path: Path | None) -> SpecFile | None:
        """The file of a source; None if its form is wrong, which is then recorded."""
        parsed = parse_file(source, self.collector)
        if parsed is None:
            return None
        specs: dict[str, tree.SpecTree] = {}
        for spec in parsed.specs:
            if spec.name.text in specs:
                note = Note("first here", specs[spec.name.text].name.span)
                self.collector.error(
                    "QE050", f"spec `{spec.name.text}` is declared twice", spec.name.span, note
                )
            specs.setdefault(spec.name.text, spec)
        used: dict[str, SpecFile] = {}
        complete = [self._read_use(statement, path, specs, used) for statement in parsed.uses]
        return SpecFile(source, parsed, specs, used, all(complete))

    def _read_use(
        self,
        statement: tree.Text,
        path: Path | None,
        specs: Mapping[str, tree.SpecTree],
        used: dict[str, SpecFile],
    ) -> bool:
        """Add the specs of a used file to `used`; False if that fails, which is then recorded."""
        with self.collector.attempt():
            file = self._use(statement, path)
            for name in file.specs:
                if name in specs or (name in used and used[name] is not file):
                    other = specs[name] if name in specs else used[name].specs[name]
                    notes = (Note("here", file.specs[name].name.span), Note("and here", other.name.span))
                    fail("QE050", f"spec `{name}` is declared in two files", statement.span, *notes)
                used[name] = file
            return True
        return False

    def _use(self, statement: tree.Text, path: Path | None) -> SpecFile:
        named = self._name_of(statement)
        if path is None or self.root is None:
            fail("QE101", "`use` needs a file to start from, and this is only a text", statement.span)
        target = Path(os.path.realpath(path.parent / named))  # leaves a loop of links for `read_text` to tell
        if not target.is_relative_to(self.root):
            help = "used files lie in that directory, or below it"
            fail(
                "QE101", f'"{named}" lies outside the directory of the first file', statement.span, help=help
            )
        if target in self.open:
            chain = " -> ".join(f"`{p.name}`" for p in [*self.open[self.open.index(target) :], target])
            fail("QE102", f"this file uses itself: {chain}", statement.span)
        if len(self.open) > DEEPEST_USE:
            fail("QE102", f"files use each other more than {DEEPEST_USE} deep", statement.span)
        return self._load_once(target, statement)

    def _name_of(self, statement: tree.Text) -> str:
        """The name of a used file, which is known before any value is."""
        try:
            return text(statement, Scope())
        except SymError as mistakes:
            if mistakes.diagnostics:
                raise
            fail("QE101", "the name of a used file cannot depend on a value", statement.span)

    def _load_once(self, target: Path, statement: tree.Text) -> SpecFile:
        if target not in self.loaded:
            shown = target.relative_to(self.root or target.parent).as_posix()
            source = as_source(read_text(target, statement.span, shown), shown)
            self.open.append(target)
            file = self.load(source, target)
            self.open.pop()
            if file is None:
                fail("QE104", "the file used here has mistakes", statement.span)
            self.loaded[target] = file
        return self.loaded[target]
