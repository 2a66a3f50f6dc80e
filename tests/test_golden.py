"""Emitted files, whole, as a user sees them; `--update-golden` writes them anew, and their diff is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from qecompile.codegen.emit import emit_source
from qecompile.resolve import load

CASES = {
    "mlp": {"widths": [4, 3, 2]},
    "lora": {},
    "rotations": {},
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_emitted_file_is_the_one_that_was_reviewed(name: str, root: Path, request) -> None:
    golden = root / "tests" / "golden" / f"{name}.py"
    own = root / "tests" / "golden" / f"{name}.sym"
    spec = load(own if own.exists() else root / "specs" / f"{name}.sym", arguments=CASES[name])
    source = emit_source(spec)
    if request.config.getoption("--update-golden"):
        golden.write_text(source, encoding="utf-8")
    assert source == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(CASES))
def test_reviewed_files_are_tidy(name: str, root: Path) -> None:
    lines = (root / "tests" / "golden" / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 110
    assert not [line for line in lines if line != line.rstrip()]
