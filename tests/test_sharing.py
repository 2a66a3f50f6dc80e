"""Parameters that read one place of a checkpoint, seen from the spec alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from qecompile.checkpoints.sharing import shared_numbers
from qecompile.resolve import load, parse

SPACES = """
  space D = 6 : permute
  space head = 2 : permute { space qk = 3 : linear  space vo = 3 : linear }
  space half = 3 : permute
"""


def warnings(*params: str) -> list[str]:
    declared = " ".join(f"param p{k} : {p}" for k, p in enumerate(params))
    return [d.message for d in shared_numbers(parse(f"spec s {{ {SPACES} {declared} }}"))]


@pytest.mark.parametrize(
    "params",
    [
        ('D from "x"', 'D from "x"'),
        ('head qk <- D from "x" as "(head qk) D"', 'D <- D from "x"'),
        ('D from "x" as "(part D)" at part = 1', 'D from "x" as "(part D)" at part = 1'),
        ('head qk from "x" as "(part head qk)" at part = 1', 'D from "x" as "(part D)" at part = 1'),
        ('D from "x" as "(part D)" at part = 1', 'half from "x" as "(part half)" at part = 3'),
        ('D from "x" as "(part D)" at part = 0', 'D from "y"', 'D from "x" as "(part D)" at part = 0'),
    ],
)
def test_the_same_numbers(params: tuple[str, ...]) -> None:
    (message,) = warnings(*params)
    assert message == f"`p0` and `p{len(params) - 1}` are the same numbers of entry `x`"


@pytest.mark.parametrize(
    "params",
    [
        ('D from "x"', 'D from "y"'),
        ("D", "D"),
        ('D from "x" as "(part D)" at part = 0', 'D from "x" as "(part D)" at part = 1'),
        (
            'head qk from "x" as "(part head qk)" at part = 0',
            'head vo from "x" as "(part head vo)" at part = 2',
        ),
        ('D from "x" as "(part D)" at part = 1', 'half from "x" as "(part half)" at part = 1'),
        ('D from "x" as "(D part)" at part = 0', 'D from "x" as "(D part)" at part = 1'),
        (
            'D <- D from "x" as "part D D" at part = 0',
            'D from "x" as "part D other" at part = 1 at other = 0',
        ),
    ],
)
def test_different_numbers(params: tuple[str, ...]) -> None:
    assert warnings(*params) == []


@pytest.mark.parametrize(
    "params",
    [
        ('D from "x"', 'half from "x"'),
        ('D from "x"', 'D <- D from "x"'),
        ('D from "x"', 'D from "x" as "(part D)" at part = 1'),
    ],
)
def test_forms_that_no_entry_has_both(params: tuple[str, ...]) -> None:
    (message,) = warnings(*params)
    assert message == "`p0` and `p1` cannot both stand in entry `x`: their forms differ"


def test_the_library_reads_every_number_once(root: Path) -> None:
    for path in sorted((root / "specs").glob("*.sym")):
        assert shared_numbers(load(path)) == (), path


def test_check_warns_and_passes(qecompile, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text('spec s {\n  space a = 2 : permute\n  param p : a from "x"\n  param q : a from "x"\n}\n')
    outcome = qecompile("check", path)
    assert outcome.code == 0
    assert "warning[QE214]: `p` and `q` are the same numbers of entry `x`" in outcome.err
    assert f"--> {path}:4:9" in outcome.err
