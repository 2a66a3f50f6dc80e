"""The CPU goals of one layer, measured: `python -m benchmarks.cpu [--rounds N] [--json FILE]`.

The MLP 784-128-128-10 with permuted inputs and outputs, batch 8, 16 -> 16 channels, float32, one thread. All
runs are timed in turn in one process (`qecompile/benchmark.py`): a copy of the output, one product of the
channels, the emitted layer, and `NPLinear` of nfn 0.1.2 (`pip install nfn==0.1.2`), which has the same basis.
Ratios of minima; a goal that is missed is said to be missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

import qecompile as qe
from benchmarks.peers import nfn_runs
from qecompile.bench_report import BenchReport
from qecompile.benchmark import SETTLED, measure_layer, settled_environment
from qecompile.schedule.cost import Sizes
from qecompile.tables import Table, render

SPEC = Path(__file__).with_name("mlp.sym")
WIDTHS = (784, 128, 128, 10)
SIZES = Sizes(batch=8, in_channels=16, out_channels=16)
GOALS = (
    ("forward, in copies of the output", "at most", 3.0),
    ("forward + backward, in products forward + backward", "at most", 4.0),
    ("memory beside outputs, forward", "at most", 0.1),
    ("memory beside outputs and gradients, forward + backward", "at most", 0.1),
    ("times faster than nfn, forward", "at least", 2.0),
    ("times faster than nfn, forward + backward", "at least", 5.0),
)


def measured_goals(figures: dict[str, Any]) -> list[tuple[str, str, float, float | None]]:
    """Each goal with what was measured, or None if it was not."""
    ms, memory = figures["milliseconds"], figures["extra_memory"]
    found: list[float | None] = [
        ms["forward"] / ms["copy"],
        ms["forward + backward"] / ms["product, trained"],
        memory["forward"],
        memory["forward + backward"],
        ms["nfn"] / ms["forward"] if "nfn" in ms else None,
        ms["nfn, forward + backward"] / ms["forward + backward"] if "nfn" in ms else None,
    ]
    return [(*goal, value) for goal, value in zip(GOALS, found, strict=True)]


def goal_table(figures: dict[str, Any]) -> Table:
    """Goals and measurements side by side."""
    rows = []
    for what, bound, goal, value in measured_goals(figures):
        if value is None:
            rows.append((what, f"{bound} {goal:g}", "not measured", ""))
        else:
            met = value <= goal if bound == "at most" else value >= goal
            rows.append((what, f"{bound} {goal:g}", f"{value:.2f}", "met" if met else "missed"))
    return Table("goals", ("what", "goal", "measured", ""), tuple(rows))


def main() -> None:
    """Measure, print, and write JSON if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each run is timed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in SETTLED.items()):
        os.execve(sys.executable, sys.orig_argv, settled_environment())
    torch.set_num_threads(1)
    peers = nfn_runs(WIDTHS, SIZES.batch, (SIZES.in_channels, SIZES.out_channels))
    figures = measure_layer(qe.load(SPEC), SIZES, options.rounds, others=peers)
    print(render([*BenchReport(figures).blocks(), goal_table(figures)]))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
