"""Benchmarks: that they run, count and report. No test depends on how long anything takes."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cpu import GOALS, goal_table, measured_goals
from benchmarks.least import least_runs
from benchmarks.scaling import (
    LOWRANK,
    Point,
    counted,
    exponents,
    machine,
    measure,
    plot,
    seconds,
    whole_specs,
)
from qecompile import cli
from qecompile.basis import joint_invariants
from qecompile.bench_report import BenchReport
from qecompile.benchmark import alternate, measure_layer, peak_bytes, require_memory
from qecompile.errors import SymError
from qecompile.factor import triples
from qecompile.resolve import parse
from qecompile.schedule.cost import Sizes
from qecompile.tables import render

TINY = "spec tiny { space a = 3 : permute  space b = 4 : permute  param W : b <- a  param v : b }"
FIGURES = {
    "spec": "s",
    "threads": 1,
    "torch": "2",
    "batch": 8,
    "channels": [16, 16],
    "milliseconds": {
        "copy": 2.0,
        "product": 4.0,
        "forward": 5.0,
        "product, trained": 10.0,
        "forward + backward": 15.0,
        "least": 4.0,
        "least, forward + backward": 12.0,
    },
    "spread": dict.fromkeys(
        (
            "copy",
            "product",
            "forward",
            "product, trained",
            "forward + backward",
            "least",
            "least, forward + backward",
        ),
        1.1,
    ),
    "extra_memory": {"forward": 0.04, "forward + backward": 0.2},
    "floor": {"forward": 2.0, "forward + backward": 5.0},
    "prediction": {"forward": 6.0, "forward + backward": 14.0},
}


def test_runs_take_turns() -> None:
    order: list[str] = []
    timings = alternate({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert "".join(order) == "ababab"  # the first round warms up
    assert [len(t.seconds) for t in timings.values()] == [2, 2]
    assert timings["a"].spread >= 1


def test_peak_memory_counts_what_is_freed_again() -> None:
    def run() -> torch.Tensor:
        return (torch.ones(1000) + torch.ones(1000)).sum()

    assert 3 * 4000 <= peak_bytes(run) < 4 * 4000


def test_other_runs_join_the_rounds() -> None:
    calls: list[int] = []
    found = measure_layer(parse(TINY), Sizes(2, 3, 4), 2, others={"mine": lambda: calls.append(1)})
    assert len(calls) == 3
    assert list(found["milliseconds"])[-1] == "mine"
    assert found["output_bytes"] == 4 * 2 * 4 * (12 + 4)
    assert found["prediction"]["forward"] > found["floor"]["forward"] > 0


def test_the_report_has_ratios_floor_and_prediction() -> None:
    lines = render(BenchReport(FIGURES).blocks()).splitlines()
    row = next(line for line in lines if line.strip().startswith("forward + backward"))
    assert row.split()[3:] == ["15.00", "1.10", "7.50", "1.50", "5.00", "14.00"]


def test_goals_that_are_missed_or_not_measured_are_told() -> None:
    assert measured_goals(FIGURES) == [2.5, 1.5, 0.04, 0.2, None, None]
    assert measured_goals(FIGURES, "least") == [2.0, 1.2, None, None, None, None]
    verdicts = [row[-1] for row in goal_table(FIGURES).rows]
    assert verdicts == ["met", "met", "met", "missed", "", ""]
    assert len(GOALS) == len(verdicts)


def test_the_least_reads_twice_and_multiplies_all() -> None:
    """Of shapes of any size, also smaller than a block and not divided by one."""
    runs = least_runs([(2, 300, 70), (2, 5)], (4, 3))
    with FlopCounterMode(display=False) as counted_flops:
        runs["least"]()
    assert counted_flops.get_total_flops() == 2 * 4 * 3 * 2 * (300 * 70 + 5)
    with FlopCounterMode(display=False) as counted_flops:
        runs["least, forward + backward"]()
    assert counted_flops.get_total_flops() == 3 * 2 * 4 * 3 * 2 * (300 * 70 + 5)


def test_the_command(tmp_path, capsys) -> None:
    (tmp_path / "tiny.sym").write_text(TINY)
    command = ["bench", str(tmp_path / "tiny.sym"), "--batch", "2", "--channels", "3", "4", "--rounds", "1"]
    assert cli.main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["channels"] == [3, 4]
    assert figures["threads"] == 1
    assert set(figures["floor"]) == set(figures["prediction"]) == set(figures["extra_memory"])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SymError, match="GiB"):
        require_memory(parse(TINY), Sizes(10**12, 16, 16))


# --- growth ----------------------------------------------------------------------------------------------


def test_a_point_of_a_sweep() -> None:
    point = measure("width", 8, (8, 8), Sizes(1, 2, 2), rounds=1)
    assert point.weights == 8 * 8 + 8
    assert min(point.derive, point.build, point.forward, point.train, point.memory) > 0


def test_a_deep_network_with_a_context_has_fewer_weights() -> None:
    points = [measure("depth", 20, (3,) * 21, Sizes(1, 8, 8), 1, net) for net in (None, LOWRANK)]
    assert points[0].weights == points[1].weights == 20 * (9 + 3)
    assert points[0].memory > points[1].memory  # of the gradient of the matrix that all means meet in


def test_derivation_is_timed_with_nothing_remembered() -> None:
    spec, solved = parse(TINY), []
    for _ in range(2):
        assert seconds(lambda: counted(spec)) > 0
        solved.append(joint_invariants.cache_info().misses + triples.cache_info().misses)
    assert solved[0] == solved[1] > 0


def test_figures_are_kept_with_what_they_were_measured_on(tmp_path) -> None:
    assert machine().keys() == {"date", "processor", "torch"}
    pytest.importorskip("matplotlib")
    points = [Point(s, n, n * n, *[1e-3 * n] * 5) for s in ("width", "batch") for n in (2, 4)]
    plot(points, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_exponents_are_taken_in_weights_along_width_and_depth() -> None:
    """Time as the square of the width is linear in the weights; along channels it is not."""
    points = [
        Point(sweep, n, n * n if sweep == "width" else 7, 1.0, 1.0, 1e-3 * n * n, 1e-3 * n, n * n)
        for sweep in ("width", "channels")
        for n in (16, 32, 64, 128)
    ]
    rows = {row[0]: row[1:] for row in exponents(points).rows}
    assert rows["width 16 to 128"] == ("0.00", "0.00", "1.00", "0.50", "1.00")
    assert rows["channels 16 to 128"] == ("", "", "2.00", "1.00", "2.00")  # of one spec


def test_whole_specs_stand_beside_their_goals() -> None:
    rows = whole_specs(quick=True).rows
    assert [(row[0], row[3]) for row in rows] == [("bert", "3"), ("llama", "10")]
