"""The timed runs of one workload, in turn in one process: kernels, plain torch, compiled torch, nfn, a copy.

All run on the same features [batch, *shape, 16]. The *copy* writes all features once more: its speed is that
of the floors. The *product* multiplies the channels of every tensor by one matrix; its speed goes into the
prediction. The *stack* is four layers of the network with the activation between them, through kernels, which
hand their sums on unwritten; the *network* is the whole of it, from weights to weights, as a user calls it.
`DEVICES = ()` leaves the same file to torch, which runs it as it is written or under `torch.compile`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.gpu_cases import Workload
from benchmarks.gpu_clock import Clock, Measured, Run, alternate
from benchmarks.gpu_modules import Call, Features, draw, load, stack, tensors, trained, wanted
from benchmarks.peers import nfn_runs

FORWARD, BOTH = "forward", "forward + backward"
ROOM = 40
"""Features that the hungriest run may hold at a time: all layers, their gradients, what plain torch keeps."""

OURS = ("layer", "stack", "network")


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a workload in one dtype; `queued` has the kernels alone."""

    workload: Workload
    dtype: str
    batch: int
    measured: Measured
    queued: Measured
    feature_bytes: int
    product_flops: int
    cache_bytes: int


def fitting_batch(workload: Workload, clock: Clock) -> int:
    """The batch, halved until everything fits the memory of the device."""
    batch, one = workload.batch, 4 * workload.entries * max(workload.steps)
    while batch > 1 and ROOM * batch * one > clock.memory_bytes:
        batch //= 2
    return batch


def measure(
    workload: Workload, clock: Clock, dtype: str, rounds: int, peers: Sequence[str] = ("compile", "nfn")
) -> Figures:
    """Time everything; runs that fail are told with their reason."""
    batch, kind = fitting_batch(workload, clock), getattr(torch, dtype)
    loaded = load(workload.source, clock)
    options = {"device": clock.device, "dtype": kind}
    torch.manual_seed(0)
    net, plain = loaded.kernels.MetaNet(**options), loaded.plain.MetaNet(**options)
    plain.load_state_dict(net.state_dict())
    x = draw(loaded.kernels, batch, workload.steps[0], clock, kind, seed=0)
    layers = len(workload.steps) - 1
    layer = net.linear1
    calls: dict[str, tuple[Call, nn.Module]] = {
        "layer": (lambda x: tensors(layer(x)), layer),
        "network": (lambda x: tensors(net(x)), net),
        "network in torch": (lambda x: tensors(plain(x)), plain),
    }
    if hasattr(loaded.kernels, "STACK"):
        calls["stack"] = (stack(loaded.kernels, net, layers), net)
    if "compile" in peers:
        compiled = torch.compile(plain)
        calls["network under torch.compile"] = (lambda x: tensors(compiled(x)), plain)
    runs = {**yardsticks(x), **both_ways(calls, x)}
    if "nfn" in peers and dtype == "float32":
        theirs = nfn_runs(workload.widths, batch, workload.steps[:2], clock.device)
        runs |= {f"nfn, {kind}": run for kind, run in zip((FORWARD, BOTH), theirs.values(), strict=False)}
    ours = {name: run for name, run in runs.items() if is_ours(name)}
    return Figures(
        workload,
        dtype,
        batch,
        alternate(clock, runs, rounds),
        alternate(clock, ours, rounds, queued=True),
        sum(t.numel() * t.element_size() for t in x.values()),
        sum(2 * t.numel() * workload.steps[0] for t in x.values()),
        clock.cache_bytes,
    )


def is_ours(name: str) -> bool:
    """Whether a run goes through kernels."""
    return name.partition(", ")[0] in OURS


def yardsticks(x: Features) -> dict[str, Run]:
    """A copy of all features, and a product of their channels."""
    copies = {name: torch.empty_like(t) for name, t in x.items()}
    some = next(iter(x.values()))
    weight = torch.randn(some.shape[-1], some.shape[-1], dtype=some.dtype, device=some.device)

    def copy() -> None:
        for name, t in x.items():
            copies[name].copy_(t)

    return {"copy": copy, "product": lambda: [t @ weight for t in x.values()]}


def both_ways(calls: Mapping[str, tuple[Call, nn.Module]], x: Features) -> dict[str, Run]:
    """Each call without gradients, and with those of features and weights."""
    runs: dict[str, Run] = {}
    for name, (call, module) in calls.items():
        runs[f"{name}, {FORWARD}"] = forward(call, x)
        runs[f"{name}, {BOTH}"] = backward(call, module, wanted(x))
    return runs


def forward(call: Call, x: Features) -> Run:
    """Values alone."""

    def run() -> None:
        with torch.no_grad():
            call(x)

    return run


def backward(call: Call, module: nn.Module, x: Features) -> Run:
    """Values and gradients, for gradients of the values that are drawn once."""
    dys: list[Tensor] = []

    def run() -> None:
        if not dys:
            with torch.no_grad():
                dys.extend(torch.randn_like(y) for y in call(x))
        trained(call, x, dys, list(module.parameters()))

    return run
