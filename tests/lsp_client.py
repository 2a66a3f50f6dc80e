"""A client of the language server: a process of its own, and the messages that an editor would send."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE = 60
"""Seconds after which an answer counts as missing."""


class Client:
    """A conversation with a new server; use it in a `with` block."""

    def __init__(self, *program: str, **options: Any) -> None:
        command = program or (sys.executable, "-m", "qecompile.lsp")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        self.notifications: queue.Queue[dict[str, Any]] = queue.Queue()
        self.answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.count = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()

    def send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method: str, **params: Any) -> None:
        self.send(method=method, params=params)

    def request(self, method: str, params: Any = None) -> Any:
        """The result of a request; the server must answer requests in order here."""
        self.count += 1
        self.send(id=self.count, method=method, params=params)
        answer = self.answers.get(timeout=PATIENCE)
        assert answer["id"] == self.count, answer
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _read(self) -> None:
        while header := self.process.stdout.readline():
            length = 0
            while header.strip():
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
                header = self.process.stdout.readline()
            message = json.loads(self.process.stdout.read(length))
            (self.notifications if "method" in message else self.answers).put(message)

    # What an editor does

    def initialize(self, encodings: Sequence[str] = ("utf-16",)) -> Any:
        capabilities = {"general": {"positionEncodings": list(encodings)}}
        result = self.request(
            "initialize", {"processId": None, "rootUri": None, "capabilities": capabilities}
        )
        self.notify("initialized")
        return result

    def open(self, uri: str, text: str) -> list[dict[str, Any]]:
        """Open a document and return the diagnostics that the server publishes."""
        document = {"uri": uri, "languageId": "sym", "version": 1, "text": text}
        self.notify("textDocument/didOpen", textDocument=document)
        return self.diagnostics(uri)

    def change(self, uri: str, text: str, version: int) -> None:
        changes = [{"text": text}]
        self.notify(
            "textDocument/didChange", textDocument={"uri": uri, "version": version}, contentChanges=changes
        )

    def save(self, uri: str) -> None:
        self.notify("textDocument/didSave", textDocument={"uri": uri})

    def diagnostics(self, uri: str) -> list[dict[str, Any]]:
        """The next diagnostics that are published for a document."""
        while True:
            message = self.notifications.get(timeout=PATIENCE)
            if message["method"] == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return message["params"]["diagnostics"]

    def ask(self, method: str, uri: str, line: int, character: int) -> Any:
        """The answer to a question about a place, counted from 0."""
        place = {"line": line, "character": character}
        return self.request(f"textDocument/{method}", {"textDocument": {"uri": uri}, "position": place})

    def format(self, uri: str) -> list[dict[str, Any]]:
        options = {"tabSize": 2, "insertSpaces": True}
        return (
            self.request("textDocument/formatting", {"textDocument": {"uri": uri}, "options": options}) or []
        )

    def stop(self) -> int:
        """End the conversation as the protocol asks; the exit code of the server."""
        self.request("shutdown")
        self.notify("exit")
        return self.process.wait(timeout=PATIENCE)


def uri_of(path: Path) -> str:
    return path.resolve().as_uri()
