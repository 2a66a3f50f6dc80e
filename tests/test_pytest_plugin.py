"""`.sym` files as tests: what is collected, how failures read, and that nobody else is disturbed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import qecompile.checks
import qecompile.pipeline  # noqa: F401  (the runs below forget what they import, and numpy loads once)

pytest_plugins = ("pytester",)

TWO = """\
# two specs, one expectation of three wrong
spec one {
  space h = 4 : permute
  param W : [h, h]
  expect dim(W -> W) == 14
  expect dim(W -> W) == 15 for i in 1..2
}

spec two(n: int = 3) {
  space h = n : permute
  param b : h
  expect invariants(b) >= 1
}
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """A folder with the file of the two specs, and an ordinary test."""
    (pytester.path / "two.sym").write_text(TWO)
    (pytester.path / "test_ordinary.py").write_text("def test_ordinary():\n    pass\n")
    return pytester.path


@pytest.fixture
def run(pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Run pytest in that folder, in this process."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider")
    return lambda *arguments: pytester.runpytest_inprocess(*arguments)


def test_every_expectation_is_a_test_named_by_its_text(run) -> None:
    result = run("-v")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "two.sym::one::dim(W -> W) == 14 FAILED*",
            "two.sym::one::dim(W -> W) == 15 PASSED*",
            "two.sym::one::dim(W -> W) == 15 (2) PASSED*",
            "two.sym::two::invariants(b) >= 1 PASSED*",
        ]
    )


def test_a_failure_shows_expected_actual_and_the_line(run) -> None:
    result = run("two.sym")
    result.stdout.fnmatch_lines(
        [
            "`dim(W -> W) == 14`: expected == 14, derived 15",
            " --> two.sym:5:3",
            "5 |   expect dim(W -> W) == 14",
            "FAILED two.sym::one::dim(W -> W) == 14 - `dim(W -> W) == 14`: expected == 14,*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_tests_are_chosen_by_name_by_id_and_by_failure(run) -> None:
    run("-k", "invariants").assert_outcomes(passed=1, deselected=4)
    run("-k", "one and not ordinary").assert_outcomes(passed=2, failed=1, deselected=2)
    run("two.sym::two").assert_outcomes(passed=1)
    run("two.sym::one::dim(W -> W) == 14").assert_outcomes(failed=1)


def test_collecting_runs_nothing(run) -> None:
    result = run("--collect-only", "-q", "two.sym")
    result.stdout.fnmatch_lines(["two.sym::one::dim(W -> W) == 14", "4 tests collected*"])


def test_workers_share_the_expectations(pytester: pytest.Pytester, folder: Path) -> None:
    pytest.importorskip("xdist")
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=4, failed=1)


def test_a_mistake_in_the_file_shows_its_diagnostic(run, folder: Path) -> None:
    (folder / "wrong.sym").write_text("spec wrong {\n  space h = 4 : permutate\n  param b : h\n}\n")
    result = run("wrong.sym")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["error[[]QE*", " --> wrong.sym:2:*", "help: did you mean `permute`?"])
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize("text", ["", "spec {", "param b : h"])
def test_a_file_without_a_spec_shows_its_diagnostic(run, folder: Path, text: str) -> None:
    (folder / "wrong.sym").write_text(text)
    run("wrong.sym").stdout.fnmatch_lines(["error[[]QE*", " --> wrong.sym:1:*"])


def test_a_spec_that_cannot_stand_alone_is_skipped_and_says_so(run, folder: Path) -> None:
    (folder / "open.sym").write_text(
        "spec part(n: int) { space h = n : permute  param b : h  expect dim(b -> b) == 2 }\n"
        "spec whole { include part(n = 5) as p  expect dim(p.b -> p.b) == 2 }\n"
    )
    result = run("-v", "-rs", "open.sym")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*without a value for n*"])


def test_a_spec_that_uses_another_file_finds_it_from_anywhere(run, folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "part.sym").write_text("spec part { space h = 3 : permute  param b : h }")
    (folder / "deep" / "whole.sym").write_text(
        'use "part.sym"\nspec whole { include part() as p  expect dim(p.b -> p.b) == 2 }'
    )
    run("deep/whole.sym").assert_outcomes(passed=1)


def test_a_limit_of_the_compiler_is_told_as_a_diagnostic(run, folder: Path) -> None:
    axes = ", ".join(["h"] * 9)
    (folder / "large.sym").write_text(
        f"spec large {{ space h = 20 : permute  param W : [{axes}]  expect dim(W -> W) == 1 }}"
    )
    result = run("large.sym")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error[[]QE900]*"])


def test_the_plugin_can_be_turned_off(run) -> None:
    run("-p", "no:qecompile").assert_outcomes(passed=1)


def test_a_run_without_spec_files_imports_next_to_nothing(folder: Path) -> None:
    (folder / "two.sym").unlink()
    (folder / "test_ordinary.py").write_text(
        "import sys\n\ndef test_ordinary():\n"
        "    roots = ('qecompile', 'torch', 'lark', 'pydantic')\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] in roots}\n"
        "    assert ours <= {'qecompile', 'qecompile.version', 'qecompile.pytest_plugin'}, ours\n"
    )
    subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=folder, check=True)


def test_expectations_are_tested_without_torch(folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "import sys\n\ndef pytest_sessionfinish():\n    assert 'torch' not in sys.modules\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "two.sym"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, 3 passed" in ran.stdout
