"""What `prove` says: the verdict on every obligation, and where the certificate is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qecompile.report import FAILED, NOT_CHECKED, PASSED, STYLES
from qecompile.tables import Block, Table

if TYPE_CHECKING:
    from qecompile.verify.prove import Proof

VERDICTS = {True: PASSED, False: FAILED, None: NOT_CHECKED}


@dataclass(frozen=True)
class ProveReport:
    """A proof, what it is about, and the file that its certificate goes to."""

    proof: Proof
    subject: str
    certificate: str

    @property
    def ok(self) -> bool:
        """Whether nothing was refuted."""
        return self.proof.ok

    def to_json(self) -> dict[str, object]:
        """The obligations as plain data."""
        return {**self.proof.to_json(), "certificate": self.certificate}

    def blocks(self) -> Iterable[Block]:
        """The obligations, what each says of itself, and a count."""
        obligations = self.proof.obligations
        yield Table(
            f"{self.subject}: obligations",
            ("", "obligation", "method"),
            tuple((VERDICTS[o.ok], o.name, o.method) for o in obligations),
            STYLES,
        )
        yield "\n".join(f"{o.name}: {o.detail}" for o in obligations)
        failed = sum(o.ok is False for o in obligations)
        waiting = sum(o.ok is None for o in obligations)
        counts = f"{len(obligations) - failed - waiting} hold, {failed} failed"
        counts += f", {waiting} not checked" if waiting else ""
        yield f"{'proved' if self.ok else 'NOT proved'}: {counts}; the certificate is {self.certificate}"
