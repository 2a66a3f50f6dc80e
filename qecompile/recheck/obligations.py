"""The obligations that a certificate must list, and what each says of itself.

The table is a copy of the compiler's, kept by hand: the sentences are the meaning of a certificate. Figures
that count what the certificate holds are counted again here. The others say how much work the prover did:
they must be numbers that make sense, and nothing depends on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .nullity import Wrong

BASIS = {
    "invariance": (
        "rule check of every diagram, and exact action of group generators modulo a prime",
        "(a) {diagrams} diagrams of {pairs} pairs and {affine} invariants are made of {pieces} pieces "
        "under one root each, which obey every rule; the tensors of {tensors} of them, at small sizes, "
        "are fixed by the generators modulo {prime}",
    ),
    "independence": (
        "rank of integer Gram matrices modulo a prime: a lower bound, so full rank is exact",
        "(b) the {pieces} pieces of {cases} cases are independent at the declared sizes; "
        "the largest case has {most}, and {dense} cases were ranked as dense tensors too",
    ),
    "dimension": (
        "nullity of the defining equations over a prime field, carried to the declared sizes",
        "(c) {pairs} pairs with maps, {zero} pairs without and {affine} invariants have the dimension that "
        "{nullities} nullities modulo {prime} give, {total} maps in all; {open} cases were out of reach",
    ),
}
EMITTED: dict[str, tuple[str, str]] = {}


def check_obligations(
    listed: Sequence[Mapping[str, Any]], emitted: bool, counted: Mapping[str, object]
) -> str:
    """Refuse obligations that are missing or open, or say something else than the table."""
    table = {**BASIS, **(EMITTED if emitted else {})}
    if [entry["name"] for entry in listed] != list(table):
        raise Wrong(f"the obligations are not {', '.join(table)}")
    for entry in listed:
        method, sentence = table[entry["name"]]
        figures = entry["figures"]
        if entry.keys() != {"name", "ok", "method", "detail", "figures"} or entry["ok"] is not True:
            raise Wrong(f"the obligation {entry['name']} is not met")
        for name, figure in figures.items():
            if name in counted and (figure != counted[name] or type(figure) is not type(counted[name])):
                raise Wrong(f"{name} of the obligation {entry['name']} is {counted[name]}, not {figure}")
            if not (type(figure) in (int, float) and math.isfinite(figure) and figure >= 0):
                raise Wrong(f"{name} of the obligation {entry['name']} cannot be {figure}")
        if entry["method"] != method or entry["detail"] != sentence.format(**figures):
            raise Wrong(f"the obligation {entry['name']} says something else than its figures")
        if any(f"{{{name}}}" not in sentence for name in figures):
            raise Wrong(f"the obligation {entry['name']} has figures that its sentence does not")
    return f"{len(listed)} obligations, all met, with what could be counted again"
