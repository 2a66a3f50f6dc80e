"""What `audit` says: whether the group preserves the network, and what else would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qecompile.report import FAILED, NOT_CHECKED, PASSED, STYLES, heading
from qecompile.spec import Spec
from qecompile.tables import Block, Table

if TYPE_CHECKING:
    from qecompile.model.audit import Audit

SMALL_SHARE = 0.005
VERDICTS = {True: PASSED, False: FAILED, None: NOT_CHECKED}


@dataclass(frozen=True)
class AuditReport:
    """An audit of the network of a spec."""

    spec: Spec
    audit: Audit

    @property
    def ok(self) -> bool:
        """Whether the group preserves the network; a larger group that does is no mistake."""
        return self.audit.preservation.ok

    def to_json(self) -> dict[str, object]:
        """All findings as plain data."""
        kept, most = self.audit.preservation, self.audit.maximality
        return {
            "preserved": kept.ok,
            "max_error": kept.max_error,
            "kernel_dim": most.kernel_dim,
            "orbit_dim": most.orbit_dim,
            "maximal": most.ok,
            "tolerance": kept.tolerance,
            "elements": kept.elements,
            "failures": [
                {
                    "space": f.space,
                    "group": f.word,
                    "at": f.where,
                    "error": f.error,
                    "moves": list(f.moves),
                    "hint": f.hint,
                }
                for f in kept.failures
            ],
            "method": most.method,
            "detail": most.detail,
            "shares": dict(most.shares),
            "directions": [
                {"kind": d.kind, "space": d.space, "moves": list(d.moves), "dims": d.dims, "text": d.text}
                for d in most.directions
            ],
            "candidates": [
                {"space": c.space, "group": c.word, "text": c.text} for c in self.audit.candidates
            ],
        }

    def blocks(self) -> Iterable[Block]:
        """The verdicts, what fails, what is missing."""
        kept, most = self.audit.preservation, self.audit.maximality
        yield heading(self.spec)
        error = f"largest difference {kept.max_error:.1e}; rounding explains {kept.tolerance:.1e}"
        dims = f"kernel {most.kernel_dim}, orbit {most.orbit_dim}"
        target = self.spec.model.target if self.spec.model else ""
        rows = (
            (VERDICTS[kept.ok], "the group preserves the function", error),
            (VERDICTS[most.ok], "no larger continuous group does", dims),
        )
        yield Table(target, ("", "claim", "found"), rows, STYLES)
        if kept.failures:
            yield "\n".join(["not preserved:", *(f"  {failure}" for failure in kept.failures)])
        yield f"kernel: {most.detail}"
        if most.kernel_dim > most.orbit_dim and most.shares:
            shares = sorted(most.shares.items(), key=lambda item: -item[1])
            moved = tuple((name, f"{share:.1%}") for name, share in shares if share >= SMALL_SHARE)
            title = f"missing directions ({most.kernel_dim - most.orbit_dim}): shares of the parameters"
            yield Table(title, ("parameter", "share"), moved)
        if most.directions:
            yield "\n".join(["in words:", *(f"  {d.text}" for d in most.directions)])
        if self.audit.candidates:
            yield "\n".join(["discrete candidates:", *(f"  {c.text}" for c in self.audit.candidates)])
