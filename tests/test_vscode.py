"""The extension for VS Code: its manifest, and its code against a stand-in for the editor."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "editors" / "vscode"
TEXT = "spec s {\n  let n = 3\n  space a = 3:permute\n  param b : a\n  param b : a\n}\n"

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="runs the extension by node")


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def run(server: Sequence[str]) -> Any:
    """What the editor was told by the extension, with this command of the server."""
    harness = ROOT / "tests" / "vscode_harness.js"
    command = ["node", str(harness), str(FOLDER), json.dumps(server), TEXT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_the_manifest_names_what_is_there() -> None:
    manifest = read("package.json")
    (language,), (grammar,) = manifest["contributes"]["languages"], manifest["contributes"]["grammars"]
    assert language["extensions"] == [".sym"]
    assert grammar["language"] == language["id"]
    assert grammar["scopeName"] == read(grammar["path"])["scopeName"]
    assert (FOLDER / grammar["path"]).resolve() == ROOT / "editors" / "sym.tmLanguage.json"
    assert {"comments", "brackets"} <= set(read(language["configuration"]))
    assert (FOLDER / manifest["main"]).is_file()
    assert not {"dependencies", "devDependencies", "scripts"} & set(manifest)  # nothing to fetch or to build


def test_it_starts_the_command_that_the_package_installs() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    (program,) = read("package.json")["contributes"]["configuration"]["properties"]["sym.server"]["default"]
    assert scripts[program] == "qecompile.lsp.__main__:main"


@needs_node
def test_the_editor_is_told_what_the_server_knows() -> None:
    told = run([sys.executable, "-m", "qecompile.lsp"])
    assert told["warnings"] == []
    (twice,) = told["diagnostics"]
    assert (twice["code"], twice["severity"], twice["range"]["startLine"]) == ("QE050", 0, 4)
    assert twice["relatedInformation"][0]["location"]["range"]["startLine"] == 3
    assert [place["range"]["startLine"] for place in told["definition"]] == [2]
    assert {"label": "a", "kind": 6}.items() <= next(
        c for c in told["completion"] if c["label"] == "a"
    ).items()
    assert told["formatting"][0]["newText"] == TEXT.replace("3:permute", "3 : permute")
    assert told["hover"] is None  # a spec with a mistake has no shapes


@needs_node
def test_a_server_that_does_not_start_is_told_once() -> None:
    (warning,) = run(["qecompile-lsp-that-is-not-there"])["warnings"]
    assert "sym.server" in warning
    (warning,) = run([sys.executable, "-c", "import sys; sys.exit(2)"])["warnings"]
    assert "the server ended with 2" in warning
