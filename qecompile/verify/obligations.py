"""What a proof consists of: obligations, each with a verdict, a method and figures.

`TABLE` is the list of all obligations: what is shown, how, and the sentence that an obligation which holds
says of itself. The sentence is made from the figures alone, so that one can be checked against the
other. The letters are those of theory.md, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Figure = int | float | str | bool
NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table: the method, and the sentence with the names of figures in braces."""

    method: str
    sentence: str


TABLE: Mapping[str, Entry] = MappingProxyType(
    {
        "invariance": Entry(
            "rule check of every diagram, and exact action of group generators modulo a prime",
            "(a) {diagrams} diagrams of {pairs} pairs and {affine} invariants are made of {pieces} pieces "
            "under one root each, which obey every rule; the tensors of {tensors} of them, at small sizes, "
            "are fixed by the generators modulo {prime}",
        ),
        "independence": Entry(
            "rank of integer Gram matrices modulo a prime: a lower bound, so full rank is exact",
            "(b) the {pieces} pieces of {cases} cases are independent at the declared sizes; "
            "the largest case has {most}, and {dense} cases were ranked as dense tensors too",
        ),
        "dimension": Entry(
            "nullity of the defining equations over a prime field, carried to the declared sizes",
            "(c) {pairs} pairs with maps, {zero} pairs without and all invariants have the dimension that "
            "{nullities} nullities modulo {prime} give: {total} maps and {invariants} invariants in all",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Obligation:
    """One thing to be shown. `ok` is None where nothing was decided, and `detail` then says why."""

    name: str
    ok: bool | None
    method: str
    detail: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The obligation as plain data."""
        return {
            "name": self.name,
            "ok": self.ok,
            "method": self.method,
            "detail": self.detail,
            "figures": dict(self.figures),
        }


def holds(name: str, /, **figures: Figure) -> Obligation:
    """An obligation that is met: its sentence follows from the figures."""
    entry = TABLE[name]
    return Obligation(name, True, entry.method, entry.sentence.format(**figures), dict(figures))


def fails(name: str, why: str, /, **figures: Figure) -> Obligation:
    """An obligation that is not met, with the reason."""
    return Obligation(name, False, TABLE[name].method, why, dict(figures))


def open_question(name: str, why: str, /, **figures: Figure) -> Obligation:
    """An obligation that nothing was decided about: neither shown nor refuted."""
    return Obligation(name, None, NOT_CHECKED, why, dict(figures))
