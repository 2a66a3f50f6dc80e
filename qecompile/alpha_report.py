"""What `alpha` says; see `report.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qecompile.judgement import Judged
from qecompile.report import heading
from qecompile.spec import Spec
from qecompile.tables import Block, Table

STYLES = (("live", "green"), ("dead", "yellow"))


@dataclass(frozen=True)
class AlphaReport:
    """The alpha-maps of a spec's group, and whether the one that a network declares can matter."""

    spec: Spec
    judged: Judged

    @property
    def ok(self) -> bool:
        """An alpha-map that could be judged is in order, dead or not."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "factors": [
                {"space": f.space, "component": f.component, "dim": f.dim, "map": f.map}
                for f in self.judged.factors
            ],
            "live": self.judged.verdict.live,
            "why": self.judged.verdict.why,
        }

    def blocks(self) -> Iterable[Block]:
        """The factors, and the verdict with its reason."""
        yield heading(self.spec)
        yield Table(
            f"identity component: dimension {sum(f.dim for f in self.judged.factors)}",
            ("space", "component", "dim", "alpha"),
            tuple((f.space, f.component, str(f.dim), f.map) for f in self.judged.factors),
        )
        net, verdict = self.judged.net, self.judged.verdict
        clause = "no alpha" if net.alpha is None else f"alpha {net.alpha.family}"
        verdict_text = "live" if verdict.live else "dead"
        yield "\n".join([f"metanet {net.name}, {clause}: {verdict_text}", *verdict.why.split("; ")])
