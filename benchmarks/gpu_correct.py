"""Are kernels right? Values and gradients against float64 on the device, before anything is timed.

A layer, and a network that hands sums on, runs on fresh random numbers in float32 or bfloat16: through its
kernels, and as plain torch. Both are compared with plain torch in float64 on the same numbers. An error is
the largest difference relative to the largest entry of a tensor; it may be as large as rounding, or a few
times that of plain torch in the same dtype. What a kernel should write starts as NaN: torch fills what it
hands out, and memory that was freed before holds NaN, too. A second run has to give the same bits.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.gpu_cases import Check
from benchmarks.gpu_clock import Clock, in_one_line
from benchmarks.gpu_modules import Features, Loaded, draw, load, tensors, wanted

ROUNDING = {"float32": 2e-5, "bfloat16": 2e-2}
TIMES_TORCH = 4.0
Make = Callable[..., nn.Module]
SOUND = 0.1
"""An error of plain torch beyond this excuses nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One comparison: errors forward and backward, of kernels and of plain torch, and kernels launched."""

    name: str
    what: str
    dtype: str
    forward: float
    backward: float
    torch_forward: float
    torch_backward: float
    launches: int
    repeats: bool
    serves: bool
    """Whether the file has kernels for what was run, and the device runs them."""

    problem: str = ""
    """What was raised instead of a result."""

    @property
    def ok(self) -> bool:
        """Right within rounding, the same twice, and by kernels where there are any."""
        pairs = ((self.forward, self.torch_forward), (self.backward, self.torch_backward))
        right = all(a <= max(ROUNDING[self.dtype], TIMES_TORCH * b) and b <= SOUND for a, b in pairs)
        return not self.problem and right and self.repeats and (self.launches > 0 or not self.serves)


def check_all(checks: Sequence[Check], clock: Clock) -> Iterator[Outcome]:
    """Every file, in each of its dtypes and channels; with new numbers each time."""
    seed = 0
    for check in checks:
        loaded = load(check.source, clock, large=0)
        for dtype in check.dtypes:
            for what, width, make in subjects(check, loaded.kernels, dtype):
                seed += 1
                try:
                    yield compare(check, what, make, loaded, width, clock, dtype, seed)
                except Exception as failed:  # the other kernels are compared all the same
                    none = (torch.inf, torch.inf, 0.0, 0.0, 0, False, clock.kernels)
                    yield Outcome(check.name, what, dtype, *none, problem=in_one_line(failed))


def subjects(check: Check, module: ModuleType, dtype: str) -> Iterator[tuple[str, int, Make]]:
    """What of a file is compared: its name, its channels, and how a module is made of it."""
    for a, b in check.channels:
        yield f"layer {a} -> {b}", a, lambda m, a=a, b=b, **o: m.EquivariantLinear(a, b, **o)
    width = check.channels[0][0]
    if check.network:
        yield "network", width, lambda m, **o: m.MetaNet(**o)
    elif hasattr(module, "Invariants") and dtype == "float32":
        yield "invariants", width, lambda m, **o: m.Invariants(width, 5, **o)


def compare(
    check: Check,
    what: str,
    make: Make,
    loaded: Loaded,
    channels: int,
    clock: Clock,
    dtype: str,
    seed: int,
) -> Outcome:
    """One module through kernels, as plain torch, and as plain torch in float64."""
    kind = getattr(torch, dtype)
    torch.manual_seed(seed)
    net, plain = (make(m, device=clock.device, dtype=kind) for m in (loaded.kernels, loaded.plain))
    with torch.no_grad():
        for p in net.parameters():  # also where a module starts with zeros
            p.add_(0.1 * torch.randn_like(p))
    plain.load_state_dict(net.state_dict())
    x = draw(loaded.kernels, check.batch, channels, clock, kind, seed)
    dys = [torch.randn_like(y) for y in tensors(plain(x))]
    exact = values(copy.deepcopy(plain).double(), doubled(x), [dy.double() for dy in dys])
    by_torch = values(plain, x, dys)
    with Launches() as launches, poisoned(clock):
        first, second = values(net, x, dys), values(net, x, dys)
    split = len(dys)
    return Outcome(
        check.name,
        what,
        dtype,
        error(first[:split], exact[:split]),
        error(first[split:], exact[split:]),
        error(by_torch[:split], exact[:split]),
        error(by_torch[split:], exact[split:]),
        launches.count,
        all(torch.equal(a, b) for a, b in zip(first, second, strict=True)),
        clock.kernels and hasattr(loaded.kernels, "FORMS") and what != "invariants",
    )


def doubled(x: Features) -> Features:
    """The same numbers in float64."""
    return {name: t.double() for name, t in x.items()}


def values(net: nn.Module, x: Features, dys: Sequence[Tensor]) -> list[Tensor]:
    """Outputs, then the gradients of features and of parameters."""
    given = wanted(x)
    outputs = tensors(net(given))
    leaves = [*given.values(), *net.parameters()]
    found = torch.autograd.grad(outputs, leaves, list(dys), allow_unused=True)
    return [*(y.detach() for y in outputs), *(g for g in found if g is not None)]


def error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference relative to the largest entry of its tensor; NaN counts as infinite."""
    largest = 0.0
    for a, b in zip(found, expected, strict=True):
        gap = (a.double() - b).abs().max() / b.abs().max().clamp(min=1e-30)
        largest = max(largest, float(gap.nan_to_num(nan=torch.inf)))
    return largest


class Launches:
    """Counts the kernels that emitted files launch."""

    def __enter__(self) -> Launches:
        self.count = 0
        self._original = torch.library.wrap_triton
        torch.library.wrap_triton = self._counted
        return self

    def __exit__(self, *_: object) -> None:
        torch.library.wrap_triton = self._original

    def _counted(self, kernel: Any) -> Any:
        self.count += 1
        return self._original(kernel)


@contextmanager
def poisoned(clock: Clock) -> Iterator[None]:
    """New memory holds NaN: torch fills it in deterministic mode; and so does memory that is free now."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    litter = [torch.full((1 << k,), torch.nan, device=clock.device) for k in range(7, 25)]
    del litter
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations that have no deterministic form
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
