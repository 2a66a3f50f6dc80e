"""The GPU goals, measured: `python -m benchmarks.gpu [--json FILE] [--plot FILE] [--quick]`.

For a machine with a CUDA GPU, torch from 2.11 and Triton from 3.6. First every kind of emitted kernel is
compared with float64 (`gpu_correct.py`); if one is wrong, nothing is timed. Then the goals of a stack of four
layers 16 -> 16 on perceptrons whose features are larger than the L2 cache (`gpu_runs.py`): against reads and
writes at the speed of a copy, plain torch, `torch.compile`, and nfn where it is installed. In turn in one
process, by events of the device, the cache flushed before each run. JSON is written after each workload, so
that what was measured is kept if the time runs out.

On a machine that has torch and Triton but not the compiler's requirements: `--write-kit FILE` here, `--kit
FILE` there. Exit code 0: measured, 1: a result is wrong or a kernel failed, 2: there is no GPU, and nothing
is reported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu_cases import Kit, prepare, read_kit, write_kit
from benchmarks.gpu_clock import Clock, CudaClock, why_no_gpu
from benchmarks.gpu_correct import Outcome, check_all
from benchmarks.gpu_report import check_table, plain, plot, tables
from benchmarks.gpu_runs import is_ours, measure
from qecompile.tables import render

Report = dict[str, Any]


def main(words: Sequence[str] | None = None) -> int:
    """Check, measure, print; the exit code."""
    options = read_options(words)
    if options.write_kit:
        write_kit(prepare(quick=options.quick), options.write_kit)
        return 0
    if (missing := why_no_gpu()) is not None:
        print(f"{missing}: nothing was measured, and nothing is reported", file=sys.stderr)
        return 2
    kit = read_kit(options.kit) if options.kit else prepare(quick=options.quick)
    rounds = options.rounds or (3 if options.quick else 30)
    peers = () if options.quick else ("compile", "nfn")

    def keep(report: Report) -> None:
        if options.json:
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

    report = run(kit, CudaClock(), rounds, peers, keep)
    if options.plot and report["workloads"]:
        plot(report, options.plot)
    failed = [name for data in report["workloads"] for name in data["failures"] if is_ours(name)]
    return 0 if report["correct"] and not failed else 1


def read_options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--plot", type=Path, help="write a plot to this file, with matplotlib")
    parser.add_argument("--quick", action="store_true", help="few and small sizes, to see that it runs")
    parser.add_argument("--rounds", type=int, help="how often each run is timed (default: 30)")
    parser.add_argument(
        "--write-kit", type=Path, help="write what is run to this file, and stop; needs no GPU"
    )
    parser.add_argument("--kit", type=Path, help="run what such a file has")
    return parser.parse_args(words)


def run(kit: Kit, clock: Clock, rounds: int, peers: Sequence[str], keep: Callable[[Report], None]) -> Report:
    """Everything in order, printed as it comes; `keep` is given the report after each step."""
    outcomes: list[Outcome] = []
    for outcome in check_all(kit.checks, clock):
        errors = f"{outcome.forward:.1e}, {outcome.backward:.1e} {outcome.problem}"
        print(f"checked {outcome.name}: {outcome.what}, {outcome.dtype}: {errors}", file=sys.stderr)
        outcomes.append(outcome)
    print(render([check_table(outcomes)]), flush=True)
    correct = all(o.ok for o in outcomes)
    checks = [{**asdict(o), "ok": o.ok} for o in outcomes]
    report: Report = {"facts": clock.facts(), "correct": correct, "checks": checks, "workloads": []}
    keep(report)
    if not correct:
        print("a result is wrong, so nothing was timed", file=sys.stderr)
        return report
    print("\n" + render([facts_line(report["facts"])]), flush=True)
    for workload in kit.workloads:
        for dtype in ("float32", "bfloat16"):
            print(f"measuring {workload.name} in {dtype}", file=sys.stderr)
            data = plain(measure(workload, clock, dtype, rounds, peers if dtype == "float32" else ()))
            report["workloads"].append(data)
            keep(report)
            print("\n" + render(tables(data)), flush=True)
    return report


def facts_line(facts: dict[str, Any]) -> str:
    """Card and versions on one line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items())


if __name__ == "__main__":
    sys.exit(main())
