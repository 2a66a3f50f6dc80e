"""Settings and fixtures that every test shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: the tests run side by side

import pytest
from hypothesis import settings

settings.register_profile("shared", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("shared")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let golden files be written anew."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


# fuzz is run by hand: it needs a fuzzer, and time without end. kernels are programs that choose how Triton
# runs before they import it: test_kernels.py starts them. golden are emitted files.
collect_ignore = ["fuzz", "golden", "kernels"]
collect_ignore_glob = ["*.sym"]  # inputs of tests, some wrong on purpose

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Outcome:
    """What one run of the command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.out)


@pytest.fixture
def qecompile(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process: `qecompile("check", path, "--json").json`."""
    from qecompile.cli import main

    def run(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code = main([str(word) for word in arguments])
        return Outcome(code, *capfd.readouterr())

    return run


@pytest.fixture
def root() -> Path:
    """The folder of the project."""
    return ROOT
