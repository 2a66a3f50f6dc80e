"""The experiment of `examples/functional_identity.py`: equal functions get equal outputs, others do not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

import qecompile as qe

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))

functional_identity = importlib.import_module("functional_identity")


@pytest.fixture(scope="module")
def found():
    return [row for s in functional_identity.SUBJECTS for row in functional_identity.rows(s, 8, 1)]


def test_every_size_family_and_dtype_is_there(found) -> None:
    sizes = sum(len(s.sizes) + 2 for s in functional_identity.SUBJECTS)
    assert len(found) == 2 * sizes
    assert all(len(row.figures) == 1 + len(functional_identity.FAMILIES) for row in found)


def test_equal_functions_get_equal_outputs_up_to_the_rounding_of_the_function_itself(found) -> None:
    for row in found:
        if "another" not in row.change:
            rounding = torch.finfo(functional_identity.DTYPES[row.dtype]).eps
            function, *networks = row.figures
            assert max(networks) < 30 * max(function, 10 * rounding), row


def test_scales_of_ten_thousand_cost_nothing(found) -> None:
    largest = [r for r in found if r.change == "scale 1e+04"]
    assert max(max(r.figures[1:]) for r in largest if r.dtype == "float64") < 1e-12
    assert max(max(r.figures[1:]) for r in largest if r.dtype == "float32") < 1e-4


def test_unequal_functions_get_unequal_outputs(found) -> None:
    others = [row for row in found if "another" in row.change]
    assert len(others) == 8
    assert all(min(row.figures) > 1e-3 for row in others)


@pytest.mark.parametrize("subject", functional_identity.SUBJECTS, ids=lambda s: s.name)
def test_elements_have_the_size_that_is_asked_for(subject) -> None:
    spec = qe.parse(subject.text)
    g = functional_identity.sample_element(spec, 1e4, torch.Generator().manual_seed(0))
    for part in g.parts.values():
        if part.matrix is not None:
            values = torch.linalg.svdvals(part.matrix)
            torch.testing.assert_close(values[..., 0] / values[..., -1], torch.full((2,), 1e4).double())
        for character in part.characters:
            assert float(character.max()) == pytest.approx(1e4)
            assert float(character.min()) == pytest.approx(1e-4)


def test_the_page_shows_a_table_of_this_shape(found) -> None:
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    lines = functional_identity.table(found).splitlines()
    assert lines[0] in page
    for line in lines[2:]:
        labels = "|".join(line.split("|")[:4])
        assert labels in page, f"run examples/functional_identity.py, and put its table on the page: {labels}"


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    functional_identity.main(["--batch", "2"])
    assert capsys.readouterr().out.startswith("|  | weights of | dtype | function | plain | shared |")
