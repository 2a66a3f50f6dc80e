"""How fast the emitted layer of a spec is on this machine, against a copy and a matrix product.

Everything is measured in one process on one thread, all runs in turn, round after round: the processor time
of that thread, in which waiting for other processes does not count. The minimum counts, the median shows the
spread. A *copy* reads and writes all outputs; the *product* multiplies the channels of every tensor by one
matrix. Their speeds feed the cost model, whose predictions stand beside the measurements, as does the floor:
inputs read once, outputs written once, at the speed of the copy.

Memory allocators return large blocks to the system and fetch them again page by page, which costs as much as
the work; `settled_environment` turns that off, and `main` is run in a process of its own that has it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import prod

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from qecompile import pipeline
from qecompile.errors import Diagnostic, IRError, SymError
from qecompile.schedule.cost import Machine, Sizes, costs, floor, total
from qecompile.schedule.nodes import Schedule
from qecompile.spec import Spec

Features = dict[str, Tensor]

SETTLED = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 28),
    "OMP_NUM_THREADS": "1",
}


def settled_environment() -> dict[str, str]:
    """This process's environment, with one thread and an allocator that keeps what it has."""
    return {**os.environ, **SETTLED}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run, round by round."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The minimum, which other processes disturb least."""
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """The median as a multiple of the minimum."""
        return statistics.median(self.seconds) / self.best


def alternate(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Time all runs in turn, round after round; a first round warms up."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.thread_time()
            run()
            if number:
                found[name].append(time.thread_time() - start)
    return {name: Timing(tuple(seconds)) for name, seconds in found.items()}


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that torch took while it ran, above that at the start."""
    run()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as observed:
        kept = run()
    del kept
    assert observed.profiler is not None
    events = [e for e in observed.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())), default=0)


def draw(spec: Spec, sizes: Sizes, channels: int) -> Features:
    """Normal features [batch, *shape, channels]."""
    return {p.name: torch.randn(sizes.batch, *p.shape, channels) for p in spec.parameters}


def train(module: nn.Module, x: Features, dy: Features) -> Features:
    """Forward and backward, with gradients of features and weights, which are dropped at the end."""
    y: Features = module(x)
    torch.autograd.backward(list(y.values()), list(dy.values()))
    module.zero_grad()
    for value in x.values():
        value.grad = None
    return y


class Product(nn.Module):
    """One matrix for the channels of every tensor: the least that a layer has to multiply."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(sizes.in_channels, sizes.out_channels))

    def forward(self, x: Features) -> Features:
        """Multiply."""
        return {name: value @ self.weight for name, value in x.items()}


def infer(module: nn.Module, x: Features) -> Features:
    """Forward only."""
    with torch.no_grad():
        y: Features = module(x)
    return y


Runs = Mapping[str, Callable[[], object]]


def measure_layer(
    spec: Spec, sizes: Sizes, rounds: int, metanet: str | None = None, others: Runs | None = None
) -> dict[str, object]:
    """Time the layer of a spec, and other runs in the same rounds; the figures as plain data."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = pipeline.build(spec, metanet).EquivariantLinear(sizes.in_channels, sizes.out_channels)
    product = Product(sizes)
    x, dy = draw(spec, sizes, sizes.in_channels), draw(spec, sizes, sizes.out_channels)
    copies = {name: torch.empty_like(value) for name, value in dy.items()}
    wanted = {name: value.clone().requires_grad_() for name, value in x.items()}
    runs: dict[str, Callable[[], object]] = {
        "copy": lambda: [copies[name].copy_(value) for name, value in dy.items()],
        "product": lambda: infer(product, x),
        "forward": lambda: infer(layer, x),
        "product, trained": lambda: train(product, wanted, dy),
        "forward + backward": lambda: train(layer, wanted, dy),
        **(others or {}),
    }
    timings = alternate(runs, rounds)
    output = 4 * sum(value.numel() for value in dy.values())
    gradients = 4 * sum(value.numel() for value in (*x.values(), *layer.parameters()))
    return {
        "spec": spec.name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "batch": sizes.batch,
        "channels": [sizes.in_channels, sizes.out_channels],
        "output_bytes": output,
        "milliseconds": {name: timing.best * 1e3 for name, timing in timings.items()},
        "spread": {name: timing.spread for name, timing in timings.items()},
        "extra_memory": {
            "forward": peak_bytes(lambda: infer(layer, x)) / output - 1,
            "forward + backward": (peak_bytes(lambda: train(layer, wanted, dy)) - gradients) / output - 1,
        },
        **_predicted(pipeline.plan_layer(spec, metanet), sizes, timings, output),
    }


def _predicted(
    schedule: Schedule, sizes: Sizes, timings: Mapping[str, Timing], output: int
) -> dict[str, object]:
    """Floors and predictions in milliseconds, from the speeds of the copy and the product."""
    inputs = output // sizes.out_channels * sizes.in_channels
    flops = 2 * inputs // 4 * sizes.out_channels
    machine = Machine(2 * output / timings["copy"].best, flops / timings["product"].best)
    found = costs(schedule, sizes)
    both = {"forward": False, "forward + backward": True}
    return {
        "copy_bytes_per_second": machine.bytes_per_second,
        "product_flops_per_second": machine.flops_per_second,
        "floor": {
            name: 1e3 * machine.seconds(floor(schedule, sizes, backward=b), sizes) for name, b in both.items()
        },
        "prediction": {
            name: 1e3 * machine.seconds(total(found, backward=b), sizes) for name, b in both.items()
        },
    }


def require_memory(spec: Spec, sizes: Sizes) -> None:
    """Refuse what this machine cannot hold: features, outputs and the gradients of both, twice over.

    Raises:
        SymError: it needs more than half of the memory.
    """
    channels = sizes.in_channels + sizes.out_channels
    entries = sum(prod(p.shape) for p in spec.parameters) * sizes.batch * channels
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    if (needed := 3 * 4 * entries) > limit:
        problem = f"this takes about {needed / 2**30:.0f} GiB, and {limit / 2**30:.0f} GiB are free to use"
        help = "give smaller numbers with --batch and --channels"
        raise SymError([Diagnostic("QE954", problem, help=help)])


def measure_apart(arguments: Mapping[str, object]) -> dict[str, object]:
    """Run `main` in a process of its own, with one thread and a settled allocator."""
    command = [sys.executable, "-m", "qecompile.benchmark", json.dumps(arguments)]
    done = subprocess.run(command, env=settled_environment(), capture_output=True, text=True, check=False)
    if done.returncode:  # the profiler talks on standard error even if all is well
        raise IRError(f"the measuring process failed:\n{done.stderr}")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main(text: str) -> None:
    """Measure the layer of a file and print the figures as JSON."""
    given = json.loads(text)
    spec = pipeline.load(given["file"], given["spec"], **given["arguments"])
    sizes = Sizes(given["batch"], *given["channels"])
    print(json.dumps(measure_layer(spec, sizes, given["rounds"], given["metanet"])))


if __name__ == "__main__":
    main(sys.argv[1])
