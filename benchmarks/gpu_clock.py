"""Where the GPU program runs and how it measures time: a `Clock`, that of a CUDA GPU or that of the tests.

On a GPU a run is timed by events of the device around it, after a write to memory four times as large as its
L2 cache, so that nothing of the run before is left there. Work is launched while the GPU works; where
launching takes longer than the work, a run is as slow as the launching, which is what a user sees and what
counts here. `queued` gives the GPU something to wait for first: then all work is launched before it begins,
and the events measure the kernels alone. The clock of the tests is that of the processor; what it measures is
not reported.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import torch

Run = Callable[[], object]
WARM_UP = 3
QUEUE_CYCLES = 100_000_000
"""How long the GPU waits while a run is launched: 50 ms at 2 GHz."""


class Clock(Protocol):
    """A device and its time; `kernels` says whether emitted kernels run there."""

    device: torch.device
    kernels: bool
    cache_bytes: int
    memory_bytes: int

    def seconds(self, run: Run, *, queued: bool = False) -> float:
        """How long a run takes, with nothing of it in the cache."""

    def facts(self) -> dict[str, object]:
        """What it is measured on, for the record."""


class CudaClock:
    """The current CUDA (or ROCm) device."""

    kernels = True

    def __init__(self) -> None:
        self.device = torch.device("cuda", torch.cuda.current_device())
        found = torch.cuda.get_device_properties(self.device)
        self.cache_bytes = int(getattr(found, "L2_cache_size", 1 << 27))
        self.memory_bytes = int(found.total_memory)
        self._flushed = torch.empty(max(self.cache_bytes, 1 << 26), dtype=torch.int32, device=self.device)

    def seconds(self, run: Run, *, queued: bool = False) -> float:
        """The time between two events around a run."""
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        self._flushed.zero_()  # four bytes an entry: four times the cache
        if queued:
            torch.cuda._sleep(QUEUE_CYCLES)
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3

    def facts(self) -> dict[str, object]:
        """The card, its driver, and the versions of what drives it."""
        import triton

        major, minor = torch.cuda.get_device_capability(self.device)
        return {
            "card": torch.cuda.get_device_name(self.device),
            "capability": f"{major}.{minor}",
            "driver": driver_version(),
            "cuda": torch.version.cuda or torch.version.hip,
            "triton": triton.__version__,
            "l2_bytes": self.cache_bytes,
            "memory_bytes": self.memory_bytes,
            **versions(),
        }


class CpuClock:
    """The processor, for tests of the program: kernels stay out, and their bodies in plain torch serve."""

    device = torch.device("cpu")
    kernels = False
    cache_bytes = 1 << 10
    memory_bytes = 1 << 30

    def seconds(self, run: Run, *, queued: bool = False) -> float:
        """The time that passes."""
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    def facts(self) -> dict[str, object]:
        """That there is no card."""
        return {"card": None, **versions()}


def versions() -> dict[str, object]:
    """Date and versions."""
    date = datetime.now(UTC).date().isoformat()
    return {"date": date, "torch": torch.__version__, "python": platform.python_version()}


def driver_version() -> str:
    """The version of NVIDIA's driver, as its own tool says."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().partition("\n")[0] or "unknown"


def why_no_gpu() -> str | None:
    """What is missing for a measurement, or None."""
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA GPU on this machine"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed: pip install 'qecompile[kernels]'"
    return None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of one run, round by round."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The minimum."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)


@dataclass(frozen=True, slots=True)
class Measured:
    """The timings of runs by name, and for those that failed, why."""

    timings: dict[str, Timing]
    failures: dict[str, str]


def in_one_line(failed: Exception) -> str:
    """What went wrong, without the rest of its story."""
    return f"{type(failed).__name__}: {str(failed).strip().partition(chr(10))[0]}"


def alternate(clock: Clock, runs: Mapping[str, Run], rounds: int, *, queued: bool = False) -> Measured:
    """Warm every run up, then time all in turn, round after round; a run that fails is left out."""
    failures: dict[str, str] = {}
    for name, run in runs.items():
        try:
            for _ in range(WARM_UP):
                clock.seconds(run)
        except Exception as failed:  # a peer's, or out of memory: the others are measured
            failures[name] = in_one_line(failed)
            if clock.kernels:
                torch.cuda.empty_cache()
    found: dict[str, list[float]] = {name: [] for name in runs if name not in failures}
    for _ in range(rounds):
        for name, seconds in found.items():
            seconds.append(clock.seconds(runs[name], queued=queued))
    return Measured({name: Timing(tuple(seconds)) for name, seconds in found.items()}, failures)
