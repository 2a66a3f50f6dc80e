"""What the GPU program runs: emitted files with kernels, sizes, counts of the cost model, as plain data.

`prepare` needs the compiler; what comes out needs torch and Triton alone. So a kit that was written on one
machine (`python -m benchmarks.gpu --write-kit FILE`) is measured on another that has no more than those.

A *check* is a spec of `specs/` at a size whose tensors go through kernels, in layers of some channels. A
*workload* is a perceptron whose network has four layers 16 -> 16, its tensors larger than an L2 cache.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SPECS: dict[str, dict[str, object]] = {
    "mlp": {"widths": [784, 128, 128, 10]},
    "bert": {"layers": 1, "width": 96, "heads": 4, "hidden": 200, "vocab": 50, "length": 21},
    "resnet": {"widths": [40, 70], "blocks": 1, "classes": 10},
    "moe": {"inputs": 70, "width": 96, "experts": 5, "hidden": 60, "outputs": 10},
    "llama": {"layers": 1, "width": 96, "groups": 2, "queries": 2, "size": 24, "hidden": 200, "vocab": 50},
    "cnn": {"channels": [3, 40, 70], "classes": 10},
    "cnn_bn": {"channels": [3, 40, 70], "side": 3, "hidden": 90, "classes": 10},
    "deepsets": {"phi": 100, "latent": 70, "rho": 90, "outputs": 10},
    "gpt2": {"layers": 1, "width": 96, "heads": 4, "hidden": 200, "vocab": 50, "length": 21},
    "lora": {"outputs": 301, "inputs": 199, "r": 8},
    "lstm": {"inputs": 40, "hidden": 100, "outputs": 10},
    "mha": {"width": 96, "heads": 4, "dim": 24, "hidden": 200},
    "mixer": {"layers": 1, "width": 96, "patches": 49, "token_hidden": 50, "channel_hidden": 200},
    "mlp_tanh": {"widths": [784, 130, 70, 10]},
    "rnn": {"inputs": 40, "hidden": 100, "layers": 1, "outputs": 10},
    "siren": {"widths": [2, 256, 256, 3]},
    "transformer": {"layers": 1, "width": 96, "heads": 4, "hidden": 200, "vocab": 50, "length": 21},
}
IN_BFLOAT16 = ("mlp", "bert", "resnet", "moe", "stack 1x2000x1", "stack 37x53x29x7")
ODD = (((37, 53, 29, 7), 3), ((1, 2000, 1), 1), ((784, 128, 128, 10), 2), ((784, 1024, 1024, 10), 1))
"""Perceptrons whose networks hand sums on, with their batches. Their activation is smooth: gradients jump
where rounding moves a number across the kink of another."""

STEPS = (16, 16, 16, 16, 16)
WORKLOADS = (((784, 128, 128, 10), 128), ((784, 1024, 1024, 10), 16))
Counts = dict[str, list[int]]
"""By run, for a batch of one: entries of the floor, entries moved besides products, by products, flops."""


@dataclass(frozen=True, slots=True)
class Check:
    """A file whose layers (and whose network, if it hands sums on) are compared with float64."""

    name: str
    source: str
    batch: int
    channels: tuple[tuple[int, int], ...]
    dtypes: tuple[str, ...]
    network: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """A perceptron that is timed: `entries` are those of its weights for a batch of one and one channel."""

    name: str
    source: str
    widths: tuple[int, ...]
    batch: int
    steps: tuple[int, ...]
    entries: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Kit:
    """Everything that is run."""

    checks: tuple[Check, ...]
    workloads: tuple[Workload, ...]


def prepare(*, quick: bool = False) -> Kit:
    """Emit all files and count their work; with `quick`, few and small ones."""
    from qecompile import pipeline

    checks = []
    for name in list(SPECS)[: 4 if quick else None]:
        source = pipeline.generate(pipeline.load(_spec(name), **SPECS[name]), kernels=True)
        pairs = ((16, 16), (3, 5)) if name == "mlp" else ((16, 16),)
        checks.append(Check(name, source, 2, pairs, _dtypes(name), network=False))
    for widths, batch in ODD[: 3 if quick else None]:
        name = f"stack {'x'.join(map(str, widths))}"
        source = pipeline.generate(perceptron(widths, (16, 16, 16, 16), "silu"), kernels=True)
        checks.append(Check(name, source, batch, ((16, 16),), _dtypes(name), network=True))
    sizes = (((784, 128, 128, 10), 1),) if quick else WORKLOADS
    return Kit(tuple(checks), tuple(workload(widths, batch, STEPS) for widths, batch in sizes))


def workload(widths: Sequence[int], batch: int, steps: Sequence[int]) -> Workload:
    """The network of a perceptron whose layers have the channels `steps`."""
    from qecompile import pipeline

    spec = perceptron(widths, steps)
    name = f"{'-'.join(map(str, widths))}"
    source = pipeline.generate(spec, kernels=True)
    entries = sum(prod(p.shape) for p in spec.parameters)
    return Workload(name, source, tuple(widths), batch, tuple(steps), entries, _counts(spec, steps))


def perceptron(widths: Sequence[int], steps: Sequence[int], activation: str = "auto") -> Any:
    """The spec of a perceptron, with a network whose layers have the channels `steps`."""
    from qecompile import pipeline
    from qecompile.spec import MetaNet

    spec = pipeline.load(HERE / "mlp.sym", widths=list(widths))
    net = MetaNet(name="stack", channels=tuple(steps), activation=activation)
    return spec.model_copy(update={"metanets": (net,)})


def _counts(spec: Any, steps: Sequence[int]) -> Counts:
    """What the cost model says of one layer, of all layers in a stack, of the network with its readout."""
    from qecompile import pipeline
    from qecompile.schedule.cost import Sizes, Work, costs, floor, total

    alone = pipeline.plan_layer(spec.model_copy(update={"metanets": ()}))
    stacked = pipeline.plan_layer(spec, kernels=True)
    layers = [Sizes(1, a, b) for a, b in pairwise(steps)]
    runs = {"layer": (alone, layers[:1]), "stack": (stacked, layers)}
    runs["network"] = (stacked, [*layers, Sizes(1, steps[-1], 1)])
    found: Counts = {}
    for name, (plan, sizes) in runs.items():
        for backward in (False, True):
            least = sum(floor(plan, s, backward=backward).entries for s in sizes)
            work = sum((total(costs(plan, s), backward=backward) for s in sizes), Work())
            key = f"{name}, forward + backward" if backward else f"{name}, forward"
            found[key] = [least, work.moved, work.in_products, work.flops]
    return found


def _spec(name: str) -> Path:
    return HERE.parent / "specs" / f"{name}.sym"


def _dtypes(name: str) -> tuple[str, ...]:
    return ("float32", "bfloat16") if name in IN_BFLOAT16 else ("float32",)


def write_kit(kit: Kit, path: Path) -> None:
    """Keep a kit in a file."""
    path.write_text(json.dumps(asdict(kit)) + "\n", encoding="utf-8")


def read_kit(path: Path) -> Kit:
    """A kit that was kept."""
    data = json.loads(path.read_text(encoding="utf-8"))
    checks = [
        Check(**{**c, "channels": tuple(map(tuple, c["channels"])), "dtypes": tuple(c["dtypes"])})
        for c in data["checks"]
    ]
    workloads = [
        Workload(**{**w, "widths": tuple(w["widths"]), "steps": tuple(w["steps"])}) for w in data["workloads"]
    ]
    return Kit(tuple(checks), tuple(workloads))
