"""What `fmt` says: which files change, and if asked, how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qecompile.formatter import Formatted
from qecompile.tables import Block


@dataclass(frozen=True)
class FormatReport:
    """The files that `fmt` read, and what was asked about them.

    With `check`, `diff` or `stdout` no file is written; the last two show what would be.
    """

    files: tuple[Formatted, ...]
    check: bool = False
    diff: bool = False
    stdout: bool = False

    @property
    def writes(self) -> bool:
        """Whether files that change are to be written."""
        return not (self.check or self.diff or self.stdout)

    @property
    def ok(self) -> bool:
        """Whether `--check` found no file that would change."""
        return not (self.check and self._count)

    def to_json(self) -> dict[str, object]:
        """The files as plain data."""
        return {"files": [self._file_to_json(file) for file in self.files], "ok": self.ok}

    def _file_to_json(self, file: Formatted) -> dict[str, object]:
        found: dict[str, object] = {"path": file.path, "changed": file.changed}
        found |= {"diff": file.diff} if self.diff else {}
        return found | ({"text": file.after} if self.stdout else {})

    @property
    def text(self) -> str:
        """What `--stdout` and `--diff` show, as it is: the texts, or how they change; else nothing."""
        if self.stdout:
            return "".join(file.after for file in self.files)
        return "".join(file.diff for file in self.files) if self.diff else ""

    def blocks(self) -> Iterable[Block]:
        """The names of the files that change, and their number."""
        done, summary = ("formatted", "changed") if self.writes else ("would format", "would change")
        named = [f"{done} {file.path}" for file in self.files if file.changed]
        others = len(self.files) - self._count
        yield "\n".join([*named, f"{_files(self._count)} {summary}, {others} unchanged"])

    @property
    def _count(self) -> int:
        return sum(file.changed for file in self.files)


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"
