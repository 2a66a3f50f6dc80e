"""Everything that is known about the text of one document.

Takes a text and perhaps its path, gives an `Analysis`; never fails, whatever the text. Each spec of the file
is resolved by itself with the defaults of its parameters, so one that is wrong does not hide the others.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from qecompile.errors import Collector, Diagnostic, Source, SymError
from qecompile.files import Loader, SpecFile, as_source
from qecompile.resolve import choose_spec, resolve_spec
from qecompile.spec import Spec

UNNAMED = "<text>"
"""The path of a document that lies in no file."""

REMARKS = ("QE003", "QE032")
"""A file without spec, a parameter without default: no mistakes while the one is being written, and the other
only included elsewhere."""

MOST_SECONDS = 3.0
"""Time after which no further spec of a file is resolved."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """A text, its tree if its form is right, its specs that resolve, and what is wrong with it.

    `text` is what the editor holds; in `source` every line ends alike.
    """

    text: str
    source: Source
    file: SpecFile | None = None
    specs: tuple[tuple[str, Spec], ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @classmethod
    def of_text(cls, text: str, path: str = UNNAMED, *diagnostics: Diagnostic) -> Analysis:
        """A text of which nothing more is known than what is wrong with it."""
        return cls(text, Source(path, _with_one_line_end(text)), diagnostics=diagnostics)

    def spec(self, name: str) -> Spec | None:
        """The resolved spec of a name."""
        return dict(self.specs).get(name)

    @property
    def folder(self) -> Path:
        """The folder that the paths of used files start from."""
        return Path(self.source.path).parent


def analyse(text: str, path: str = UNNAMED) -> Analysis:
    """What is known about a text; `path` is that of its file, where used files are looked for.

    >>> analysis = analyse("spec s { space a = 3 : permut  param b : a }")
    >>> [(d.code, d.help) for d in analysis.diagnostics]
    [('QE040', 'did you mean `permute`?')]
    """
    try:
        return _analyse(text, as_source(text, path))
    except SymError as mistakes:
        return Analysis.of_text(text, path, *mistakes.diagnostics)
    except Exception as failure:  # whatever it is, the editor goes on
        message = f"qecompile cannot read this text ({type(failure).__name__}); please report it"
        return Analysis.of_text(text, path, Diagnostic("QE999", message))


def _with_one_line_end(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _analyse(text: str, source: Source) -> Analysis:
    collector = Collector()
    file = _load(source, collector)
    if file is None or choose_spec(file, None, collector) is None:
        return Analysis(text, source, file, diagnostics=tuple(_once(collector.found)))
    specs: list[tuple[str, Spec]] = []
    found = [*collector.found]
    stop = time.monotonic() + MOST_SECONDS
    for spec in reversed(file.parsed.specs):
        if time.monotonic() > stop:
            break
        try:
            resolved = resolve_spec(spec, file, {}, Collector([*collector.found], {*collector.places}))
        except SymError as error:
            found += error.diagnostics
        else:
            found += resolved.warnings
            specs.append((spec.name.text, resolved))
    return Analysis(text, source, file, tuple(reversed(specs)), tuple(_once(found)))


def _load(source: Source, collector: Collector) -> SpecFile | None:
    """The file of a text and those it uses; None if its form is wrong, which is then recorded."""
    path = None if source.path == UNNAMED else Path(source.path).resolve()
    loader = Loader(collector, path.parent if path else None, open=[path] if path else [])
    try:
        return loader.load(source, path)
    except SymError as mistakes:
        collector.found[:] = mistakes.diagnostics
        return None


def _once(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics without those that several specs share, and with less weight for some."""
    found: dict[tuple[object, ...], Diagnostic] = {}
    for d in diagnostics:
        place = (d.span.source.path, d.span.line, d.span.column) if d.span else ()
        found.setdefault((*place, d.code), replace(d, severity="information") if d.code in REMARKS else d)
    return list(found.values())
