"""What a proof consists of: obligations, each with a verdict, a method and figures.

`TABLE` is the list of all obligations: what is shown, how, and the sentence that an obligation which holds
says of itself. The sentence is made from the figures alone, so that one can be checked against the
other. The letters are those of theory.md, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

Figure = int | float
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
        "translation": Entry(
            "pairing of weights with diagrams by exact integer probes in float64, at small sizes",
            "(d) at {copies} choices of sizes, from {smallest} to {largest} entries, what the compiler emits "
            "is exactly the family that the diagrams span: its {weights} weights are paired with as many "
            "diagrams by {probes} integer probes each",
        ),
        "syntax": Entry(
            "comparison of syntax trees",
            "(d) but for comments, docstrings and layout the file is what the compiler writes for this spec",
        ),
        "function": Entry(
            "comparison with the compiler's own output, on sampled inputs in float64",
            "(d) {outputs} outputs, gradients and initial values of {classes} classes agree with those of "
            "what the compiler writes for this spec; the largest relative difference is {error}",
        ),
        "weights": Entry(
            "count, on tensors without numbers",
            "(d) the layer has {linear} weights for a pair of channels and {bias} in its bias; "
            "the complete basis has {maps} and {invariants}, and the declared mixing leaves as many as that",
        ),
        "family": Entry(
            "pairing of weights with diagrams by exact integer probes in float64, at the declared sizes",
            "(d) at the declared sizes the layer is exactly the family that the diagrams span: its {weights} "
            "weights are paired with as many diagrams by {probes} integer probes each",
        ),
        "probes": Entry(
            "exact integer probes in float64, at the declared sizes",
            "(d) at the declared sizes the layer follows {elements} group elements exactly, and none of its "
            "{weights} weights is dead or tied to another",
        ),
        "types": Entry(
            "typed derivation over the traced graph",
            "(d) {modules} modules are typed through {operations} operations: {equivariant} equivariant, "
            "{quasi} quasi-equivariant, {invariant} invariant",
        ),
        "kernels": Entry(
            "comparison with the compiler's own text",
            "the {lines} lines of Triton kernels behind the file are what the compiler writes for this spec; "
            "what they compute on a GPU is no part of this proof, which is about the file in plain torch",
        ),
        "model": Entry(
            "comparison of f(x; g.theta) with f(x; theta), on sampled inputs in float64",
            "(e) the function of the network stays under {elements} group elements at {thetas} weights: "
            "{words} words of the group one by one, and all together; the largest relative difference is "
            "{error}, and rounding explains {tolerance}",
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
