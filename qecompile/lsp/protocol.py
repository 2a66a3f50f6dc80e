"""Between the compiler's values and those of the Language Server Protocol.

The protocol counts lines and characters from 0, and characters in units of an encoding that client and
server agree on: two units of UTF-16 for a character such as an emoji.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lsprotocol import types
from pygls import uris

from qecompile.errors import Diagnostic, Note, Source, Span
from qecompile.lsp.analysis import UNNAMED, Analysis
from qecompile.lsp.completion import Proposal

_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "information": types.DiagnosticSeverity.Information,
}
_PROPOSED = {
    "keyword": types.CompletionItemKind.Keyword,
    "group": types.CompletionItemKind.EnumMember,
    "function": types.CompletionItemKind.Function,
    "type": types.CompletionItemKind.TypeParameter,
    "space": types.CompletionItemKind.Class,
    "parameter": types.CompletionItemKind.Field,
    "value": types.CompletionItemKind.Variable,
}
_UNIT = {
    types.PositionEncodingKind.Utf8: ("utf-8", 1),
    types.PositionEncodingKind.Utf16: ("utf-16-le", 2),
    types.PositionEncodingKind.Utf32: ("utf-32-le", 4),
}


def path_of(uri: str) -> str:
    """The path of a document; `UNNAMED` if it lies in no file."""
    path = uris.to_fs_path(uri) if uri.startswith("file:") else None
    return path or UNNAMED


@dataclass(frozen=True, slots=True)
class Document:
    """The address of a document, what is known about it, and how its client counts characters."""

    uri: str
    analysis: Analysis
    encoding: types.PositionEncodingKind | str = types.PositionEncodingKind.Utf16

    def place(self, position: types.Position) -> tuple[int, int]:
        """The line and column of a position, counted from 1."""
        line = self.analysis.source.line(position.line + 1)
        codec, size = self._unit
        before = line.encode(codec, "surrogatepass")[: position.character * size]
        return position.line + 1, len(before.decode(codec, "ignore")) + 1

    def range(self, span: Span, source: Source | None = None) -> types.Range:
        """The range of a span; it stays inside its line."""
        line = (source or span.source).line(span.line)
        start, end = span.column - 1, span.column - 1 + span.length
        return types.Range(
            types.Position(span.line - 1, self._count(line[:start])),
            types.Position(span.line - 1, self._count(line[:end])),
        )

    def whole(self) -> types.Range:
        """The range of the whole text."""
        last = self.analysis.source.text.count("\n") + 1
        return types.Range(types.Position(0, 0), types.Position(last, 0))

    def location(self, span: Span) -> types.Location:
        """The place of a span, perhaps in a file that this one uses."""
        if span.source.path == self.analysis.source.path:
            return types.Location(self.uri, self.range(span))
        path = self.analysis.folder.resolve() / span.source.path
        return types.Location(uris.from_fs_path(str(path)) or self.uri, self.range(span))

    def diagnostics(self) -> Iterator[types.Diagnostic]:
        """What is wrong with this document; mistakes in used files stand at the first `use`."""
        for diagnostic in self.analysis.diagnostics:
            span = diagnostic.span
            if span is None or span.source.path == self.analysis.source.path:
                yield self._diagnostic(diagnostic)
            elif diagnostic.severity == "error":
                notes = (Note(diagnostic.message, span), *diagnostic.notes)
                message = f"`{span.source.path}` has a mistake: {diagnostic.message}"
                use = next(iter(self.analysis.file.parsed.uses)).span if self.analysis.file else None
                yield self._diagnostic(replace(diagnostic, message=message, span=use, notes=notes))

    def _diagnostic(self, diagnostic: Diagnostic) -> types.Diagnostic:
        span = diagnostic.span or Span(self.analysis.source, 1, 1)
        plain = [f"note: {note.message}" for note in diagnostic.notes if note.span is None]
        help = [f"help: {diagnostic.help}"] if diagnostic.help else []
        related = [
            types.DiagnosticRelatedInformation(self.location(note.span), note.message)
            for note in diagnostic.notes
            if note.span is not None
        ]
        return types.Diagnostic(
            range=self.range(span),
            severity=_SEVERITY[diagnostic.severity],
            code=diagnostic.code,
            source="qecompile",
            message="\n".join([diagnostic.message, *plain, *help]),
            related_information=related or None,
        )

    def _count(self, text: str) -> int:
        codec, size = self._unit
        return len(text.encode(codec, "surrogatepass")) // size

    @property
    def _unit(self) -> tuple[str, int]:
        return _UNIT[types.PositionEncodingKind(self.encoding)]


def completion(proposal: Proposal) -> types.CompletionItem:
    """A proposal as the client shows it."""
    return types.CompletionItem(
        label=proposal.text, kind=_PROPOSED[proposal.kind], detail=proposal.about or None
    )
