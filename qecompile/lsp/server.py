"""The server: what the editor asks, and the answer of the module that knows it.

Texts are analysed in a thread, so that a large one does not hold up the conversation; while someone types,
the text is read when nothing was typed for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from lsprotocol import types
from pygls import uris
from pygls.lsp.server import LanguageServer

from qecompile import __version__
from qecompile.errors import SymError
from qecompile.formatter import format_text
from qecompile.lsp.analysis import UNNAMED, Analysis, analyse
from qecompile.lsp.completion import propose
from qecompile.lsp.hover import describe
from qecompile.lsp.occurrences import Occurrence, find_occurrence
from qecompile.lsp.protocol import Document, completion, path_of

PAUSE = 0.15
"""Seconds without a change after which a text is read."""


class SymServer(LanguageServer):
    """A language server with the latest analysis of every open document."""

    def __init__(self) -> None:
        # Texts come whole: pygls ends lines at more characters than the protocol does.
        super().__init__("qecompile", __version__, types.TextDocumentSyncKind.Full)
        self.analyses: dict[str, Analysis] = {}
        self.opened: set[str] = set()

    @property
    def encoding(self) -> str:
        """In what the client counts the characters of a line."""
        return self.workspace.position_encoding or types.PositionEncodingKind.Utf16

    async def document(self, uri: str, *, again: bool = False) -> Document:
        """What is known about the present text of a document; used files are only read `again` if asked."""
        text = self.workspace.get_text_document(uri).source
        known = self.analyses.get(uri)
        if known is None or again or known.text != text:
            known = await asyncio.to_thread(analyse, text, path_of(uri))
            self.analyses[uri] = known
        return Document(uri, known, self.encoding)

    async def publish(self, uri: str) -> None:
        """Tell the editor what is wrong with a document, unless it was changed or closed meanwhile."""
        document = await self.document(uri, again=True)
        now = self.workspace.get_text_document(uri)
        if uri in self.opened and now.source == document.analysis.text:
            found = [*document.diagnostics()]
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, now.version))

    async def occurrence(self, uri: str, position: types.Position) -> tuple[Document, Occurrence | None]:
        """The document and the name that a question is about."""
        document = await self.document(uri)
        file = document.analysis.file
        return document, find_occurrence(file, *document.place(position)) if file else None


def make_server() -> SymServer:
    """The server with everything that it can do."""
    server = SymServer()
    _add_diagnostics(server)
    _add_answers(server)
    return server


def _add_diagnostics(server: SymServer) -> None:
    """Read a document when it is opened, changed or saved."""

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def open_document(params: types.DidOpenTextDocumentParams) -> None:
        server.opened.add(params.text_document.uri)
        await server.publish(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def save_document(params: types.DidSaveTextDocumentParams) -> None:
        for uri in sorted(server.opened):  # others may use the file
            await server.publish(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def change_document(params: types.DidChangeTextDocumentParams) -> None:
        uri = params.text_document.uri
        await asyncio.sleep(PAUSE)
        if (
            uri in server.opened
            and server.workspace.get_text_document(uri).version == params.text_document.version
        ):
            await server.publish(uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def close_document(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.opened.discard(uri)
        server.analyses.pop(uri, None)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def _add_answers(server: SymServer) -> None:
    """Answer questions about a place, and lay a document out."""

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        document, occurrence = await server.occurrence(params.text_document.uri, params.position)
        if occurrence is None:
            return None
        text = await asyncio.to_thread(describe, document.analysis, occurrence)
        if text is None:
            return None
        content = types.MarkupContent(types.MarkupKind.Markdown, text)
        return types.Hover(content, document.range(occurrence.span))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> Sequence[types.Location]:
        document, occurrence = await server.occurrence(params.text_document.uri, params.position)
        return [*_definitions(document, occurrence)] if occurrence else []

    @server.feature(types.TEXT_DOCUMENT_COMPLETION)
    def complete(params: types.CompletionParams) -> types.CompletionList:
        text = server.workspace.get_text_document(params.text_document.uri).source
        document = Document(params.text_document.uri, Analysis.of_text(text), server.encoding)
        proposals = propose(document.analysis.source.text, *document.place(params.position))
        return types.CompletionList(is_incomplete=False, items=[completion(p) for p in proposals])

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    async def formatting(params: types.DocumentFormattingParams) -> Sequence[types.TextEdit]:
        document = await server.document(params.text_document.uri)
        try:
            laid_out = await asyncio.to_thread(format_text, document.analysis.text)
        except SymError:  # its mistakes are shown already
            return []
        return [types.TextEdit(document.whole(), laid_out)] if laid_out != document.analysis.text else []


def _definitions(document: Document, occurrence: Occurrence) -> Iterator[types.Location]:
    """Where a name is declared, or the start of a used file."""
    if occurrence.kind == "file":
        path = (document.analysis.folder / occurrence.name).resolve()
        if document.analysis.source.path != UNNAMED and path.is_file():
            start = types.Position(0, 0)
            yield types.Location(uris.from_fs_path(str(path)) or document.uri, types.Range(start, start))
    yield from (document.location(span) for span in occurrence.targets)
