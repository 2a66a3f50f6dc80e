"""What `check --checkpoint` and `act` say; see `report.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from qecompile.checkpoints.matching import Match, Wrong
from qecompile.checkpoints.stored import quote
from qecompile.tables import Block

MOST_UNUSED = 8


def match_json(match: Match) -> dict[str, object]:
    """A match as plain data."""
    return {
        "ok": match.ok,
        "missing": [_wrong_json(w) for w in match.wrong if w.kind == "missing"],
        "unused": list(match.unused),
        "partly_used": match.partly_used(),
        "mismatched": [_wrong_json(w) for w in match.wrong if w.kind == "mismatched"],
    }


def _wrong_json(wrong: Wrong) -> Mapping[str, object]:
    found = wrong.found
    return {
        "param": wrong.param.name,
        "key": wrong.key,
        "message": wrong.message,
        "expected": list(wrong.expected),
        "found": None if found is None else {"dtype": found.dtype, "shape": list(found.shape)},
        "help": wrong.help,
    }


def match_blocks(match: Match) -> Iterable[Block]:
    """Every mistake in place, what is unused, and a count."""
    yield from (diagnostic.render() for diagnostic in match.diagnostics())
    yield from (replace(clash, severity="warning").render() for clash in match.clashes())
    notes = []
    if match.unused:
        notes.append(f"unused entries: {_name_some(match.unused)}")
    if partly := match.partly_used():
        notes.append(f"entries used in part: {_name_some(partly)}")
    if homeless := [p.name for p in match.spec.parameters if p.source is None]:
        notes.append(f"parameters without `from`: {_name_some(homeless)}")
    missing = sum(w.kind == "missing" for w in match.wrong)
    counts = f"{len(match.found)} found, {missing} missing, {len(match.wrong) - missing} mismatched"
    yield "\n".join([f"parameters in {quote(match.path)}: {counts}", *notes])


def _name_some(names: Iterable[str]) -> str:
    """Names out of a file; of many, the first ones and how many more there are."""
    every = list(names)
    shown = ", ".join(map(quote, every[:MOST_UNUSED]))
    more = len(every) - MOST_UNUSED
    return f"{shown} and {more} more" if more > 0 else shown


@dataclass(frozen=True)
class ActReport:
    """What `act` did: which entries it changed, and which it copied as they were."""

    spec: str
    source: str
    output: str
    element: str
    changed: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """A checkpoint that could be written is in order."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "spec": self.spec,
            "checkpoint": self.source,
            "output": self.output,
            "element": self.element,
            "changed": list(self.changed),
            "kept": list(self.kept),
        }

    def blocks(self) -> Iterable[Block]:
        """One line on what was written."""
        entries = f"{len(self.changed)} entries changed by {self.element}, {len(self.kept)} kept as they were"
        yield f"wrote {quote(self.output)}: {entries}"


@dataclass(frozen=True)
class MatchReport:
    """What `match` did: how far two checkpoints are apart, before and after one was brought to the other."""

    spec: str
    kept: str
    moved: str
    output: str
    before: float
    after: float

    @property
    def ok(self) -> bool:
        """Whatever was written is the same network as before."""
        return True

    def to_json(self) -> dict[str, object]:
        """The same as plain data."""
        return {
            "spec": self.spec,
            "a": self.kept,
            "b": self.moved,
            "output": self.output,
            "distance_before": self.before,
            "distance_after": self.after,
        }

    def blocks(self) -> Iterable[Block]:
        """Distances, and what was written."""
        yield f"distance of {quote(self.moved)} from {quote(self.kept)}, as a share of the latter's norm:"
        yield f"  {self.before:.4g} before, {self.after:.4g} after"
        yield f"wrote {quote(self.output)}: the same network as {quote(self.moved)}"
