"""What stands where a file is expected and is none, and streams that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qecompile import cli, loading
from qecompile.errors import SymError
from qecompile.files import LARGEST_FILE
from qecompile.resolve import load

SPEC = "spec s { space h = 4 : permute  param b : h  expect dim(b -> b) == 2 }\n"
SECONDS = 60
KERNEL_LOG = Path("/proc/kmsg")
FULL = Path("/dev/full")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "given.sym"
    path.write_text(SPEC)
    return path


def run(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, which must end by itself."""
    command = [sys.executable, "-m", "qecompile", *map(str, words)]
    settings: dict[str, object] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.run(command, timeout=SECONDS, check=False, **settings | options)  # type: ignore[call-overload]


# What is read


@pytest.mark.skipif(not os.access(KERNEL_LOG, os.R_OK), reason="the kernel's log cannot be read here")
def test_a_file_that_waits_for_events_is_refused() -> None:
    """It passes for a regular file, and a plain read would wait for the kernel's next message."""
    with pytest.raises(SymError, match=r"is not a regular file|is not text|cannot stand in a spec"):
        load(KERNEL_LOG)


def test_of_an_endless_file_no_more_is_read_than_a_spec_may_have(tmp_path: Path) -> None:
    path = tmp_path / "endless.sym"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room on the disk, and would not fit into memory
    with pytest.raises(SymError, match=f"more than {LARGEST_FILE} bytes"):
        load(path)


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.sym"
    path.write_text(SPEC.ljust(LARGEST_FILE))
    assert load(path).name == "s"


def test_standard_input_from_a_file_is_a_file(spec: Path) -> None:
    with open(spec) as file:
        outcome = run("check", "/dev/stdin", stdin=file)
    assert (outcome.returncode, outcome.stderr) == (0, "")


# What is written


def test_a_pipe_that_nobody_reads_is_told_and_not_waited_for(spec: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    outcome = run("build", spec, "-o", tmp_path / "pipe")
    assert outcome.returncode == cli.BAD_INPUT
    assert "pipe`: nobody reads from it" in outcome.stderr


def test_a_pipe_with_a_reader_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    loading.write_source("answer = 42\n", pipe)
    assert os.read(reader, 100) == b"answer = 42\n"
    os.close(reader)
    assert pipe.is_fifo()


def test_standard_output_is_written_to_even_if_it_has_no_name(spec: Path) -> None:
    outcome = run("build", spec, "-o", "/dev/stdout")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "class MetaNet(nn.Module):" in outcome.stdout


@pytest.mark.parametrize("output", [".", "", "a" * 300, "given.sym/out.py", "missing/out.py", "/dev/full"])
def test_outputs_that_cannot_be(spec: Path, qecompile, monkeypatch, output: str) -> None:
    monkeypatch.chdir(spec.parent)
    outcome = qecompile("build", spec, "-o", output, "--json")
    assert outcome.code == cli.BAD_INPUT
    assert "cannot write" in outcome.json["diagnostics"][0]["message"]
    assert os.listdir(spec.parent) == ["given.sym"]


# Standard output and standard error


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("words", [["check", "given.sym"], ["derive", "given.sym", "--json"], ["--help"]])
def test_a_full_disk_has_an_exit_code_of_its_own(spec: Path, words: list[str]) -> None:
    with open(FULL, "w") as full:
        outcome = run(*words, stdout=full, cwd=spec.parent)
    assert outcome.returncode == cli.UNWRITABLE == 74
    assert outcome.stderr == "error[QE953]: cannot write the output: no space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_bad_input_stays_bad_input_if_nobody_can_be_told(spec: Path) -> None:
    with open(FULL, "w") as full:
        assert run("check", spec, "-D", "x=1", stderr=full).returncode == cli.BAD_INPUT
        assert run("check", spec, "-D", "x=1", "--json", stdout=full).returncode == cli.BAD_INPUT


@pytest.mark.parametrize(
    ("words", "code"), [("check given.sym >&-", 0), ("check -D x=1 given.sym 2>&-", 2), ("--help >&-", 0)]
)
def test_streams_that_are_closed_take_nothing(spec: Path, words: str, code: int) -> None:
    command = ["sh", "-c", f'"$0" -m qecompile {words}', sys.executable]
    outcome = subprocess.run(command, cwd=spec.parent, timeout=SECONDS, check=False, capture_output=True)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (code, b"", b"")


def test_what_a_terminal_has_no_letters_for_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "\u00e9.sym"
    path.write_text(SPEC.replace("}", "# \u03b1\n expect dim(c -> \u03b2) == 1 }"))
    outcome = run("check", path, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert outcome.returncode == cli.BAD_INPUT
    assert "\\xe9.sym" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_very_long_words_of_a_command_line_are_cut(qecompile) -> None:
    for words in (["c" * 5000], ["check", "f" * 200 + "/" + "g" * 5000], ["fmt", "--opt" + "i" * 5000]):
        outcome = qecompile(*words)
        assert outcome.code == cli.BAD_INPUT
        assert max(map(len, outcome.err.splitlines())) < 300


# Mistakes of the compiler


@pytest.mark.parametrize(
    "failure", [ZeroDivisionError("by nothing"), RecursionError("too deep"), MemoryError()]
)
def test_a_mistake_of_the_compiler_is_not_a_check_that_failed(spec, qecompile, monkeypatch, failure) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(cli.pipeline, "check", fail)
    outcome = qecompile("check", spec)
    assert (outcome.code, outcome.out) == (cli.OUR_FAULT, "")
    assert "Traceback" in outcome.err
    assert outcome.err.endswith("this is a mistake in qecompile, not in your input: please report it\n")


def test_a_file_of_our_own_that_is_missing_is_our_mistake(spec, qecompile, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "sym.lark")

    monkeypatch.setattr(cli.resolve, "load", fail)
    assert qecompile("check", spec).code == cli.OUR_FAULT
