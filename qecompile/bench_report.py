"""What `bench` shows: times as ratios, beside floor and prediction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from qecompile.tables import Block, Table

BASES = {"forward": "product", "forward + backward": "product, trained"}


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The figures of `benchmark.measure_layer`."""

    figures: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """There is no bound that a time must keep."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return dict(self.figures)

    def blocks(self) -> Iterable[Block]:
        """One row a run, then memory."""
        f = self.figures
        a, b = f["channels"]
        yield (
            f"EquivariantLinear of {f['spec']}: batch {f['batch']}, {a} -> {b} channels, float32, "
            f"{f['threads']} thread, torch {f['torch']}"
        )
        yield Table(
            "minimum of all rounds; spread: median / minimum; floor and prediction in ms",
            ("run", "ms", "spread", "copies", "products", "floor", "prediction"),
            tuple(self._row(name) for name in f["milliseconds"]),
        )
        yield "\n".join(
            f"memory beside outputs and gradients, {name}: {share:.1%} of the output"
            for name, share in f["extra_memory"].items()
        )

    def _row(self, name: str) -> tuple[str, ...]:
        f, best = self.figures, self.figures["milliseconds"]
        base = BASES.get(name, "product, trained" if "backward" in name or "trained" in name else "product")
        return (
            name,
            f"{best[name]:.2f}",
            f"{f['spread'][name]:.2f}",
            f"{best[name] / best['copy']:.2f}",
            f"{best[name] / best[base]:.2f}",
            f"{f['floor'][name]:.2f}" if name in f["floor"] else "",
            f"{f['prediction'][name]:.2f}" if name in f["prediction"] else "",
        )
