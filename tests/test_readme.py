"""Every example in README.md works: specs parse, commands print what is shown, programs run.

A `sym` block whose first line is `# NAME.sym...` is a file; one without `spec` is the inside of a spec.
A `console` block holds commands behind `$ `, each followed by what it prints (nothing: not compared).
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

import qecompile as qe
from qecompile import (
    basis,
    cli,
    diagrams,
    expressions,
    files,
    frames,
    lexical,
    pipeline,
    resolve_metanets,
    resolve_types,
    spec,
    syntax_tree,
)

ROOT = Path(__file__).resolve().parent.parent
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# (\w+\.sym)")


@dataclass(frozen=True)
class Block:
    """One fenced block and the line it starts on."""

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        found = FILE_NAME.match(self.text)
        return found[1] if found else None


def read_blocks(text: str) -> list[Block]:
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 1) for m in FENCED.finditer(text)]


def place(block: Block) -> str:
    return f"line-{block.line}"


README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = read_blocks(README)
SPECS = [block for block in BLOCKS if block.language == "sym"]
FILES = [block for block in SPECS if block.file_name]
FRAGMENTS = [block for block in SPECS if not block.file_name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file that the README shows, as the current one."""
    for block in FILES:
        assert block.file_name
        (tmp_path / block.file_name).write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_has_a_known_language():
    assert {block.language for block in BLOCKS} == {"sym", "console", "python", "sh"}


@pytest.mark.parametrize("block", FRAGMENTS, ids=place)
def test_fragments_are_the_inside_of_a_spec(block):
    spec = qe.parse(f"spec example {{\n{block.text}}}")
    assert all(result.ok is not False for result in qe.pipeline.check(spec))


@pytest.mark.parametrize("block", FILES, ids=place)
def test_files_meet_their_own_expectations(block, folder, qecompile):
    outcome = qecompile("check", block.file_name)
    assert outcome.code == 0, outcome.out + outcome.err


def test_commands_and_programs_run_in_order(folder, capfd):
    for block in BLOCKS:
        match block.language:
            case "console":
                run_commands(block, capfd)
            case "python":
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                subprocess.run([sys.executable, "-c", block.text], check=True, env=environment)


def run_commands(block: Block, capfd: pytest.CaptureFixture[str]) -> None:
    lines = block.text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in pairwise([*starts, len(lines)]):
        name, *arguments = shlex.split(lines[start][2:])
        assert name == "qecompile"
        code = cli.main(arguments)
        printed = capfd.readouterr()
        assert code == 0, printed.err
        shown = "\n".join(lines[start + 1 : end]).strip()
        assert not shown or printed.out.strip() == shown, f"README.md, line {block.line + 1 + start}"


def test_the_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for block in BLOCKS for word in re.findall(r"\bmake ([\w-]+)", block.text)}
    assert {"demo", "test"} <= named <= targets


def test_the_command_table_is_complete():
    table = set(re.findall(r"^\| `(\w+)[` ]", README.partition("## Commands")[2], re.MULTILINE))
    built = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    assert built - set(cli.LATER) <= table


def test_every_group_word_is_explained():
    table = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    words = {"fixed", "permute", "scale", "sign", "linear", "orthogonal", "rotate", "dilate"}
    assert words <= table


LIMITS = {
    "bytes": files.LARGEST_FILE,
    "words and signs": lexical.MOST_PIECES,
    "brackets inside brackets": lexical.MOST_NESTED,
    "digits of a number": syntax_tree.MOST_DIGITS,
    "entries of a list": expressions.LONGEST_LIST,
    "characters of a text that is put together": expressions.LONGEST_TEXT,
    "turns of loops, together": expressions.MOST_TURNS,
    "steps of arithmetic, together": expressions.MOST_STEPS,
    "files or specs inside each other": files.DEEPEST_USE,
    "axes of a parameter": resolve_types.MOST_AXES,
    "axes on one index space, of two parameters together": diagrams.MOST_INDEX_LEGS,
    "axes on one vector space, of two parameters together": diagrams.MOST_VECTOR_LEGS,
    "pairs of parameters that `derive` lists": basis.MOST_PAIRS,
    "channels, outputs, codes": resolve_metanets.LARGEST_WIDTH,
    "layers": resolve_metanets.MOST_LAYERS,
    "weights of a network": pipeline.MOST_WEIGHTS,
}


def test_the_limits_are_those_of_the_code():
    rows = re.findall(r"^  \| ([^|]+) \| ([\d,]+) \|$", README, re.MULTILINE)
    assert {what: int(most.replace(",", "")) for what, most in rows} == LIMITS
    assert frames.DEEPEST_INCLUDE == files.DEEPEST_USE


def test_the_exit_codes_are_those_of_the_command():
    rows = {
        int(code) for code in re.findall(r"^\| (\d+) \|", README.partition("| exit code |")[2], re.MULTILINE)
    }
    codes = {
        cli.DONE,
        cli.FAILED,
        cli.BAD_INPUT,
        cli.OUR_FAULT,
        cli.UNWRITABLE,
        cli.INTERRUPTED,
        cli.NO_READER,
    }
    assert rows == codes


def test_the_defaults_of_a_network_are_those_of_the_code():
    net = spec.MetaNet(name="default")
    shown = {line.split("`")[1] for line in README.splitlines() if line.startswith("|") and "default" in line}
    assert {f"channels {', '.join(map(str, net.channels))}", f"activation {net.activation}"} <= shown
    assert net.outputs is None
    assert "readout equivariant" in shown
