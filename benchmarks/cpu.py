"""The CPU goals of one layer, measured: `python -m benchmarks.cpu [--rounds N] [--json FILE]`.

The MLP 784-128-128-10 with permuted inputs and outputs, batch 8, 16 -> 16 channels, float32, one thread. All
runs are timed in turn in one process (`qecompile/benchmark.py`): a copy of the output, one product of the
channels, the emitted layer, and `NPLinear` of nfn 0.1.2 (`pip install nfn==0.1.2`), which has the same basis.
Ratios of minima; a goal that is missed is said to be missed. Beside each stands what it would be for the
least that any layer does in torch on this machine (`benchmarks/least.py`).
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
from benchmarks.least import least_runs
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


def measured_goals(figures: dict[str, Any], run: str = "") -> list[float | None]:
    """What was measured of each goal, or None if it was not; of another run than the layer, if named."""
    ms, memory = figures["milliseconds"], figures["extra_memory"]
    forward, both = ms[run or "forward"], ms[f"{run}, forward + backward" if run else "forward + backward"]
    return [
        forward / ms["copy"],
        both / ms["product, trained"],
        None if run else memory["forward"],
        None if run else memory["forward + backward"],
        ms["nfn"] / forward if "nfn" in ms else None,
        ms["nfn, forward + backward"] / both if "nfn" in ms else None,
    ]


def goal_table(figures: dict[str, Any]) -> Table:
    """Goals and measurements side by side."""
    rows = []
    found, least = measured_goals(figures), measured_goals(figures, "least")
    for (what, bound, goal), value, limit in zip(GOALS, found, least, strict=True):
        verdict = ""
        if value is not None:
            verdict = "met" if (value <= goal if bound == "at most" else value >= goal) else "missed"
        shown = ["not measured" if value is None else f"{value:.2f}", "" if limit is None else f"{limit:.2f}"]
        rows.append((what, f"{bound} {goal:g}", *shown, verdict))
    return Table("goals", ("what", "goal", "measured", "least in torch", ""), tuple(rows))


def main() -> None:
    """Measure, print, and write JSON if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each run is timed")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in SETTLED.items()):
        os.execve(sys.executable, sys.orig_argv, settled_environment())
    torch.set_num_threads(1)
    spec, channels = qe.load(SPEC), (SIZES.in_channels, SIZES.out_channels)
    others = nfn_runs(WIDTHS, SIZES.batch, channels)
    others |= least_runs([(SIZES.batch, *p.shape) for p in spec.parameters], channels)
    figures = measure_layer(spec, SIZES, options.rounds, others=others)
    print(render([*BenchReport(figures).blocks(), goal_table(figures)]))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
