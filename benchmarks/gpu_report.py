"""What the GPU program shows: times beside floor and prediction, errors, goals; tables, data and a plot.

Times are medians; the minimum stands beside them. The floor of a forward run reads every input and writes
every output of each layer once; that of forward and backward is the traffic that the cost model counts for
it; both at the measured speed of the copy. The prediction adds what is moved at that speed and what is
multiplied at that of the product. `alone` is the time of the kernels without their launching.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_correct import Outcome
from benchmarks.gpu_runs import BOTH, FORWARD, Figures
from qecompile.tables import Table

PEERS = {"network in torch": "network", "network under torch.compile": "network", "nfn": "layer"}
COMPILED = "network under torch.compile"
GOALS = (
    ("stack of four layers, forward, over four reads and writes", "at most", 1.25),
    ("stack of four layers, forward + backward, over its traffic", "at most", 1.4),
    ("network, forward, times faster than under torch.compile", "at least", 2.0),
    ("network, forward + backward, times faster than under torch.compile", "at least", 2.0),
)
TIMES_CACHE = 4
"""Features have to be more times as large as the cache, for goals to be judged."""

Rows = dict[str, dict[str, float | None]]


def rows(figures: Figures) -> Rows:
    """Each run in milliseconds: median, minimum, alone, floor, prediction; spread: median over minimum."""
    timings, queued = figures.measured.timings, figures.queued.timings
    found: Rows = {}
    for name, timing in timings.items():
        base = _base(name)
        floor, prediction = _bounds(figures, name)
        found[name] = {
            "median": 1e3 * timing.median,
            "minimum": 1e3 * timing.best,
            "spread": timing.median / timing.best,
            "alone": 1e3 * queued[name].median if name in queued else None,
            "floor": floor,
            "prediction": prediction,
            "over floor": 1e3 * timing.median / floor if floor else None,
            "over ours": timing.median / timings[base].median if base in timings else None,
        }
    return found


def _base(name: str) -> str | None:
    """Our own run that does the same work as a peer's."""
    what, _, kind = name.partition(", ")
    return f"{PEERS[what]}, {kind}" if what in PEERS else None


def speeds(figures: Figures) -> tuple[float, float]:
    """Bytes that the copy reads and writes in a second, operations of the product in a second."""
    timings = figures.measured.timings
    return (
        2 * figures.feature_bytes / timings["copy"].median,
        figures.product_flops / timings["product"].median,
    )


def _bounds(figures: Figures, name: str) -> tuple[float | None, float | None]:
    """Floor and prediction of a run in milliseconds, for those that the cost model knows."""
    counts = figures.workload.counts.get(name)
    if counts is None:
        return None, None
    least, moved, in_products, flops = (figures.batch * count for count in counts)
    per_entry = figures.feature_bytes / (figures.batch * figures.workload.entries * figures.workload.steps[0])
    copy, product = speeds(figures)
    traffic = moved + in_products if name.endswith(BOTH) else least
    return 1e3 * traffic * per_entry / copy, 1e3 * (moved * per_entry / copy + flops / product)


def goals(found: Mapping[str, Mapping[str, float | None]]) -> list[tuple[str, str, float, float | None]]:
    """Each goal with what was measured, or None if it was not."""
    values = [found.get(f"stack, {kind}", {}).get("over floor") for kind in (FORWARD, BOTH)]
    values += [found.get(f"{COMPILED}, {kind}", {}).get("over ours") for kind in (FORWARD, BOTH)]
    return [(*goal, value) for goal, value in zip(GOALS, values, strict=True)]


def verdict(bound: str, goal: float, value: float | None, *, cached: bool) -> str:
    """Met or missed; or neither, as it was not measured, or on features that a cache holds."""
    if value is None or cached:
        return "the cache holds it" if cached else "not measured"
    return "met" if (value <= goal if bound == "at most" else value >= goal) else "missed"


def plain(figures: Figures) -> dict[str, Any]:
    """All of it as plain data."""
    found, (copy, product) = rows(figures), speeds(figures)
    cached = figures.feature_bytes <= TIMES_CACHE * figures.cache_bytes
    return {
        "workload": figures.workload.name,
        "dtype": figures.dtype,
        "batch": figures.batch,
        "feature_bytes": figures.feature_bytes,
        "copy_bytes_per_second": copy,
        "product_flops_per_second": product,
        "milliseconds": found,
        "failures": {**figures.measured.failures, **figures.queued.failures},
        "goals": []
        if figures.dtype != "float32"
        else [
            {
                "what": what,
                "bound": f"{bound} {goal:g}",
                "measured": value,
                "verdict": verdict(bound, goal, value, cached=cached),
            }
            for what, bound, goal, value in goals(found)
        ],
    }


def tables(data: Mapping[str, Any]) -> list[str | Table]:
    """What `plain` gives, to be read."""
    columns = ("median", "minimum", "spread", "alone", "floor", "prediction", "over floor", "over ours")
    lines = [
        (name, *(f"{row[c]:.3f}" if row[c] is not None else "" for c in columns))
        for name, row in data["milliseconds"].items()
    ]
    title = (
        f"{data['workload']}, {data['dtype']}, batch {data['batch']}: features of "
        f"{data['feature_bytes'] / 1e6:.0f} MB, copied at {data['copy_bytes_per_second'] / 1e9:.0f} GB/s; ms"
    )
    told: list[str | Table] = [Table(title, ("run", *columns), tuple(lines))]
    if data["failures"]:
        told.append("\n".join(f"failed: {name}: {why}" for name, why in data["failures"].items()))
    if not data["goals"]:
        return told
    shown = [
        (g["what"], g["bound"], "" if g["measured"] is None else f"{g['measured']:.2f}", g["verdict"])
        for g in data["goals"]
    ]
    told.append(Table("goals", ("what", "goal", "measured", ""), tuple(shown)))
    return told


def check_table(outcomes: Sequence[Outcome]) -> Table:
    """Errors of kernels and of plain torch against float64."""
    lines = [
        (
            f"{o.name}: {o.what}",
            o.dtype,
            *(f"{e:.1e}" for e in (o.forward, o.torch_forward, o.backward, o.torch_backward)),
            str(o.launches),
            "ok" if o.ok else o.problem or "WRONG",
        )
        for o in outcomes
    ]
    header = ("what", "dtype", "forward", "torch", "backward", "torch", "launches", "")
    return Table("largest errors, relative, against float64; twice the same bits", header, tuple(lines))


def plot(report: Mapping[str, Any], path: Path) -> bool:
    """One panel a workload: times as multiples of the floor; False without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: pip install matplotlib", file=sys.stderr)
        return False
    panels = report["workloads"]
    figure = Figure(figsize=(7, 3.2 * len(panels)), layout="constrained")
    for axes, data in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        found = data["milliseconds"]
        floors = {
            name: row["floor"] or found.get(_base(name), {}).get("floor") for name, row in found.items()
        }
        shown = [name for name, floor in floors.items() if floor]
        axes.barh(shown, [found[name]["median"] / floors[name] for name in shown])
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xlabel(f"{data['workload']}, {data['dtype']}, batch {data['batch']}: time over floor")
    figure.suptitle(f"{report['facts']['card']}, {report['facts']['date']}")
    figure.savefig(path, dpi=100)
    return True
