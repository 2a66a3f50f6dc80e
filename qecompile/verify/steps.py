"""What an inference reports: the steps of a proof, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qecompile.verify.types import Type

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Step:
    """One line of a proof: an operation, its rule and the type of its result."""

    name: str
    target: str
    rule: str
    type: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.type}  by {self.rule}"


@dataclass(frozen=True)
class Refusal:
    """Why there is no proof: the operation, its rule, the types it met, and what to do.

    For an output that does not obey the law that was claimed, `rule` is `claim`, and the operation is the one
    that made the output.
    """

    name: str
    target: str
    rule: str
    reason: str
    help: str = ""
    operands: tuple[str, ...] = ()
    source: str = ""
    module: str = ""

    def __str__(self) -> str:
        lines = [f"`{self.target}` ({self.name}) is refused by rule `{self.rule}`: {self.reason}"]
        lines += [f"  operand {operand}" for operand in self.operands]
        lines += [f"  at {self.source}"] if self.source else []
        lines += [f"  in {self.module}"] if self.module else []
        return "\n".join([*lines, *([f"  help: {self.help}"] if self.help else [])])


@dataclass(frozen=True)
class Inference:
    """What was found.

    Attributes:
        ok: whether every output obeys the law that was claimed.
        verdict: `equivariant`, `invariant`, `quasi-equivariant` or `refused`.
        steps: the typed operations, in order: the proof.
        outputs: the type of each output, by path, as far as they have one.
        refusal: why not, if not.
        cocycle: for a quasi-equivariant map, which alpha moves what.
    """

    ok: bool
    verdict: str
    steps: tuple[Step, ...]
    outputs: Mapping[Path, Type] = field(default_factory=dict)
    refusal: Refusal | None = None
    cocycle: str = "strict"
