"""BERT-base through its network: the program at a small size, and its verdicts."""

from __future__ import annotations

import sys

import pytest
import torch

from benchmarks import bert as program
from benchmarks.bert import GOAL_BYTES, bert, drawn_weights, largest_gap, measure, report

SMALL = {"layers": 1, "width": 6, "heads": 2, "hidden": 5, "vocab": 7, "length": 3}


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    spec = bert(channels=2, **SMALL)
    return measure(spec, drawn_weights(spec))


def test_all_goals_at_a_small_size(figures) -> None:
    assert figures["parameters"] == 5 + 16
    assert figures["weights"] == sum(t.numel() for t in drawn_weights(bert(**SMALL)).values())
    assert figures["finite"] == 1
    assert figures["gap"] < 1e-4
    assert min(figures[f"{name}_seconds"] for name in ("build", "forward", "second_forward")) > 0
    assert [row[-1] for row in report(figures)[1].rows] == ["", "", "", "met", "met", "met"]


def test_bert_base_has_its_weights() -> None:
    """Those of `BertModel` without its pooler, which has 768 * 768 + 768 of 109,482,240."""
    spec = bert()
    assert sum(torch.Size(p.shape).numel() for p in spec.parameters) == 109_482_240 - 768 * 769
    assert spec.metanets[0].channels == (1, 4, 4)


def test_goals_that_are_missed_are_told(figures) -> None:
    bad = {**figures, "peak_bytes": GOAL_BYTES + 1, "finite": 0.0, "gap": float("inf")}
    assert [row[-1] for row in report(bad)[1].rows][3:] == ["missed", "missed", "missed"]


def test_weights_that_break_the_network_are_seen() -> None:
    spec = bert(channels=2, **SMALL)
    weights = drawn_weights(spec)
    weights["W_1[1]"][0, 0] = torch.nan
    found = measure(spec, weights)
    assert found["finite"] == 0
    assert found["gap"] == torch.inf


def test_gaps_are_relative_to_the_largest_entry() -> None:
    y = {"a": torch.tensor([1.0, -4.0]), "b": torch.tensor([2.0])}
    assert largest_gap({"a": torch.tensor([2.0, -4.0]), "b": torch.tensor([2.0])}, y) == 0.25


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_counted_in_bytes() -> None:
    with open("/proc/self/status") as status:
        highest = next(line for line in status if line.startswith("VmHWM"))
    assert program.peak_bytes() == pytest.approx(1024 * int(highest.split()[1]), rel=0.2)
