"""How derivation, build, time and memory grow: `python -m benchmarks.scaling [--out FOLDER] [--quick]`.

Perceptrons of growing width, depth, channels and batch: how long it takes to derive the basis and count its
weights, and to write the file, with nothing remembered from before; forward, forward + backward and peak
memory of one layer, on one thread. An exponent is the slope of a line through the upper half of the points
on logarithmic axes: 1 is linear. In a layer, the means of all P parameters meet in a matrix of P * P blocks,
the one thing that grows with the square of the depth: the second sweep of depths has `context lowrank(16)`.
Then how long it takes to derive and build BERT-base and a Llama of 32 layers, with the goals. With --out:
the figures as JSON, and a plot if matplotlib is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

import qecompile as qe
from qecompile import basis, diagrams, factor, invariants, pipeline
from qecompile.benchmark import SETTLED, alternate, draw, infer, peak_bytes, settled_environment, train
from qecompile.schedule.cost import Sizes
from qecompile.spec import MetaNet, Spec
from qecompile.tables import Table, render

SPEC = Path(__file__).with_name("mlp.sym")
LIBRARY = Path(__file__).parent.parent / "specs"
WHOLE = (("bert", {}, 3.0), ("llama", {"layers": 32}, 10.0))
MEASURES = ("derive", "build", "forward", "train", "memory")
OF_SPECS = ("derive", "build")
LABELS = {"train": "forward + backward (s)", "memory": "memory (GB)"}
LOWRANK = MetaNet(name="m", context_rank=16)


@dataclass(frozen=True, slots=True)
class Point:
    """One size: seconds, and bytes of memory at the peak of a forward and backward pass."""

    sweep: str
    at: int
    weights: int
    derive: float
    build: float
    forward: float
    train: float
    memory: float


def forget() -> None:
    """Empty the compiler's memory of what it solved before."""
    for module in (basis, diagrams, factor, invariants):
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def seconds(run: Callable[[], object]) -> float:
    """The processor time of a run, with nothing remembered from runs before."""
    forget()
    start = time.thread_time()
    run()
    return time.thread_time() - start


def measure(
    sweep: str, at: int, widths: Sequence[int], sizes: Sizes, rounds: int, net: MetaNet | None = None
) -> Point:
    """Everything about one perceptron."""
    spec = qe.load(SPEC, widths=list(widths)).model_copy(update={"metanets": (net,) if net else ()})
    layer = pipeline.build(spec).EquivariantLinear(sizes.in_channels, sizes.out_channels)
    x, dy = draw(spec, sizes, sizes.in_channels), draw(spec, sizes, sizes.out_channels)
    wanted = {name: value.clone().requires_grad_() for name, value in x.items()}
    timings = alternate(
        {"forward": lambda: infer(layer, x), "train": lambda: train(layer, wanted, dy)}, rounds
    )
    return Point(
        sweep,
        at,
        sum(math.prod(p.shape) for p in spec.parameters),
        min(seconds(lambda: counted(spec)) for _ in range(rounds)),
        min(seconds(lambda: pipeline.generate(spec)) for _ in range(rounds)),
        timings["forward"].best,
        timings["train"].best,
        peak_bytes(lambda: train(layer, wanted, dy)),
    )


def counted(spec: Spec) -> int:
    """Derive all maps, and count them: by intermediate type, as listing them pair by pair is square."""
    pipeline.derive(spec)
    return pipeline.count_parameters(spec)["MetaNet"]


def sweeps(*, quick: bool) -> list[Point]:
    """All points; with `quick` only the small ones."""
    rounds = 1 if quick else 5
    found: list[Point] = []
    for width in (16, 32, 64) if quick else (16, 64, 128, 256, 512, 1024, 2048, 4096):
        found.append(measure("width", width, (width, width), Sizes(1, 4, 4), rounds))
    for name, net in (("depth", None), ("depth, lowrank", LOWRANK)):
        for depth in (2, 4, 8) if quick else (2, 4, 8, 16, 32, 64, 128):
            found.append(measure(name, depth, (64,) * (depth + 1), Sizes(2, 8, 8), rounds, net))
    for channels in (1, 2, 4) if quick else (1, 4, 8, 16, 32, 64, 128):
        found.append(measure("channels", channels, (128, 128), Sizes(4, channels, channels), rounds))
    for batch in (1, 2, 4) if quick else (1, 4, 16, 64, 256):
        found.append(measure("batch", batch, (128, 128), Sizes(batch, 8, 8), rounds))
    return found


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of the best line through the upper half of the points, on logarithmic axes.

    >>> round(exponent([1, 2, 4, 8], [5, 5, 20, 80]), 2)
    2.0
    """
    half = max(2, len(xs) // 2)
    logs = [(math.log(x), math.log(y)) for x, y in zip(xs[-half:], ys[-half:], strict=True)]
    mx, my = (sum(column) / len(logs) for column in zip(*logs, strict=True))
    return sum((a - mx) * (b - my) for a, b in logs) / sum((a - mx) ** 2 for a, _ in logs)


def exponents(points: Sequence[Point]) -> Table:
    """How each measure grows along each sweep; along widths and depths, with the number of weights."""
    rows = []
    for sweep in dict.fromkeys(p.sweep for p in points):
        mine = [p for p in points if p.sweep == sweep]
        along = f"{sweep} {mine[0].at} to {mine[-1].at}"
        same = mine[0].weights == mine[-1].weights  # one spec, derived and built as often as there are points
        slopes = {m: exponent(extents(mine), [getattr(p, m) for p in mine]) for m in MEASURES}
        rows.append((along, *("" if same and m in OF_SPECS else f"{slopes[m]:.2f}" for m in MEASURES)))
    title = "exponents (width and depth: in the number of weights; channels, batch: in themselves)"
    return Table(title, ("along", *MEASURES), tuple(rows))


def extents(points: Sequence[Point]) -> list[int]:
    """What the points of one sweep grow in: weights, where the perceptron grows."""
    return [p.weights if p.sweep.startswith(("width", "depth")) else p.at for p in points]


def whole_specs(*, quick: bool) -> Table:
    """Seconds to derive and build large specs, with the goals."""
    rows = []
    for name, arguments, goal in WHOLE:
        spec = qe.load(LIBRARY / f"{name}.sym", **({"layers": 2} if quick else arguments))
        taken = seconds(lambda spec=spec: derive_and_build(spec))
        verdict = "met" if taken <= goal else "missed"
        rows.append((name, str(len(spec.parameters)), f"{taken:.2f}", f"{goal:g}", verdict))
    return Table("derive + build", ("spec", "parameters", "s", "goal", ""), tuple(rows))


def derive_and_build(spec: Spec) -> str:
    """Both stages."""
    pipeline.derive(spec)
    return pipeline.generate(spec)


def plot(points: Sequence[Point], path: Path) -> None:
    """One panel a sweep, all measures on logarithmic axes, and a dashed line of slope 1."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no plot: pip install matplotlib", file=sys.stderr)
        return
    names = list(dict.fromkeys(p.sweep for p in points))
    figure = Figure(figsize=(3.2 * len(names), 3.6), layout="constrained")
    for axes, sweep in zip(figure.subplots(1, len(names)), names, strict=True):
        mine = [p for p in points if p.sweep == sweep]
        xs = extents(mine)
        for measure in MEASURES:
            scale = 1e-9 if measure == "memory" else 1.0
            ys = [getattr(p, measure) * scale for p in mine]
            axes.loglog(xs, ys, marker="o", markersize=3, label=LABELS.get(measure, f"{measure} (s)"))
        end = mine[-1].train * 2
        axes.loglog([xs[0], xs[-1]], [end * xs[0] / xs[-1], end], "k--", linewidth=0.8, label="linear")
        axes.set_xlabel(f"weights ({sweep})" if xs[0] != mine[0].at else sweep)
        axes.grid(visible=True, alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=80)


def machine() -> dict[str, str]:
    """What the figures were measured on, and when."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", info.read_text() if info.exists() else "")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": found.group(1) if found else platform.processor(),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="write scaling.json and scaling.png to this folder")
    parser.add_argument("--quick", action="store_true", help="small sizes only, to see that it runs")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in SETTLED.items()):
        os.execve(sys.executable, sys.orig_argv, settled_environment())
    torch.set_num_threads(1)
    points = sweeps(quick=options.quick)
    tables = [exponents(points), whole_specs(quick=options.quick)]
    print(render(tables))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        shown = {table.title.split(" (")[0]: [table.header, *table.rows] for table in tables}
        everything = {**machine(), **shown, "points": [asdict(p) for p in points]}
        text = json.dumps(everything, indent=1) + "\n"
        (options.out / "scaling.json").write_text(text, encoding="utf-8")
        plot(points, options.out / "scaling.png")


if __name__ == "__main__":
    main()
