"""BERT-base through the network emitted for it: `python -m benchmarks.bert [--checkpoint FILE]`.

Takes `specs/bert.sym` at its own size, 109 million weights in 197 parameters, emits a network of two layers
with four channels between them, and runs it forward on one set of weights: those of a checkpoint of BERT-base
(safetensors or `torch.save`), or numbers drawn as BERT draws its first ones. Prints seconds and the largest
memory of the whole process, interpreter and torch included, beside the goal of 16 GB; and whether all outputs
are finite. Then it draws an element g of the group and runs again: for weights theta, F(g theta) = g F(theta)
holds up to rounding. The memory is read before that.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

import qecompile as qe
from qecompile.benchmark import SETTLED, settled_environment
from qecompile.spec import MetaNet, Spec
from qecompile.tables import Table, render

SPEC = Path(__file__).parent.parent / "specs" / "bert.sym"
GOAL_BYTES = 16e9
ROUNDING = 1e-3
"""The largest difference of F(g theta) and g F(theta), in float32, relative to a tensor's largest entry."""


def bert(channels: int = 4, **sizes: int) -> Spec:
    """The spec, with a network of two layers and an equivariant readout."""
    net = MetaNet(name="editor", channels=(1, channels, channels))
    return qe.load(SPEC, **sizes).model_copy(update={"metanets": (net,)})


def drawn_weights(spec: Spec, seed: int = 0) -> dict[str, Tensor]:
    """Weights as BERT starts with them: gains of 1, normal numbers of spread 0.02 around them and 0."""
    generator = torch.Generator().manual_seed(seed)
    return {
        p.name: torch.randn(p.shape, generator=generator) * 0.02 + (1.0 if p.name.startswith("g_") else 0.0)
        for p in spec.parameters
    }


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def largest_gap(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference, relative to the largest entry of its tensor; infinite if anything is NaN."""
    gaps = [(found[name] - y).abs().max() / y.abs().max() for name, y in expected.items()]
    return max(float(gap.nan_to_num(nan=torch.inf)) for gap in gaps)


def measure(spec: Spec, weights: dict[str, Tensor]) -> dict[str, float]:
    """One set of weights through the network of a spec: counts, seconds, memory, the gap of equivariance."""
    torch.manual_seed(0)
    start = time.perf_counter()
    net = qe.build(spec).MetaNet()
    built = time.perf_counter()
    theta = {name: weights[name].float()[None] for name in spec.params}
    with torch.no_grad():
        y = net(theta)
        forward = time.perf_counter()
        peak = peak_bytes()
        group = qe.Group(spec)
        g = group.sample(torch.Generator().manual_seed(1), dtype=torch.float32)
        moved, expected = group.act(g, theta), group.act(g, y)
        again = time.perf_counter()
        z = net(moved)
        seconds = time.perf_counter() - again
    return {
        "weights": sum(t.numel() for t in theta.values()),
        "parameters": len(theta),
        "network_weights": sum(p.numel() for p in net.parameters()),
        "build_seconds": built - start,
        "forward_seconds": forward - built,
        "second_forward_seconds": seconds,
        "peak_bytes": peak,
        "finite": float(all(bool(t.isfinite().all()) for t in y.values())),
        "gap": largest_gap(z, expected),
    }


def report(figures: dict[str, float]) -> tuple[str, Table]:
    """What was run, and each figure with its goal."""
    told = (
        f"{figures['weights']:,.0f} weights in {figures['parameters']:.0f} parameters, through a network of "
        f"{figures['network_weights']:,.0f} weights; torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread, float32"
    )
    peak, gap = figures["peak_bytes"], figures["gap"]
    rows = (
        ("derive, emit, import (s)", f"{figures['build_seconds']:.1f}", "", ""),
        ("forward, memory still to be had (s)", f"{figures['forward_seconds']:.1f}", "", ""),
        ("forward again (s)", f"{figures['second_forward_seconds']:.1f}", "", ""),
        ("peak memory (GB)", f"{peak / 1e9:.2f}", "at most 16", "met" if peak <= GOAL_BYTES else "missed"),
        ("outputs are finite", "yes" if figures["finite"] else "no", "yes", verdict(figures["finite"] == 1)),
        ("F(g theta) against g F(theta)", f"{gap:.1e}", f"at most {ROUNDING:g}", verdict(gap <= ROUNDING)),
    )
    return told, Table("one forward pass", ("what", "measured", "goal", ""), rows)


def verdict(met: bool) -> str:
    """A word for the last column."""
    return "met" if met else "missed"


def main() -> None:
    """Measure, print, and write JSON if asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, help="weights of BERT-base; drawn ones by default")
    parser.add_argument("--channels", type=int, default=4, help="of every layer (default: 4)")
    parser.add_argument("--layers", type=int, default=12, help="of BERT (default: 12)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in SETTLED.items()):
        os.execve(sys.executable, sys.orig_argv, settled_environment())
    torch.set_num_threads(1)
    spec = bert(options.channels, layers=options.layers)
    given = qe.read_checkpoint(spec, options.checkpoint) if options.checkpoint else drawn_weights(spec)
    figures = measure(spec, given)
    print(render(report(figures)))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
