"""Emitted files, whole, as a user sees them; `--update-golden` writes them anew, and their diff is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from qecompile.codegen.emit import emit_source
from qecompile.resolve import load

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.stem for path in GOLDEN.glob("*.sym"))


@pytest.mark.parametrize("name", CASES)
def test_the_emitted_file_is_the_one_that_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    source = emit_source(load(GOLDEN / f"{name}.sym"), kernels=name == "with_kernels")
    reviewed = GOLDEN / f"{name}.py"
    if request.config.getoption("--update-golden"):
        reviewed.write_text(source, encoding="utf-8")
    assert _without_version(source) == _without_version(reviewed.read_text(encoding="utf-8"))


def _without_version(source: str) -> str:
    """The version in the first line changes with every release."""
    return source.partition(" from ")[2]


@pytest.mark.parametrize("name", CASES)
def test_reviewed_files_are_tidy(name: str) -> None:
    lines = (GOLDEN / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 110
    assert not [line for line in lines if line != line.rstrip()]
