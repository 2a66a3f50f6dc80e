"""The obligations that a certificate must list, and what each says of itself.

The table is a copy of the compiler's, kept by hand: the sentences are the meaning of a certificate. Figures
that count what the certificate holds are counted again here. The others say how much work the prover did:
they must be numbers that make sense, and nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .nullity import Wrong

PRIME = 2**31 - 1
TOLERANCE = 1e-9
WORST_TOLERANCE = 1e-4
LEFT_OUT = "NOT RE-CHECKED"
NOT_CHECKED = "not checked"
OPEN = {
    "probes": "the tensors are too large at the declared sizes; `translation` is about small ones",
    "model": "(e) whether the group preserves `{model}` was not decided: ",
}
TABLE = {
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
        "(c) {pairs} pairs with maps, {zero} pairs without and all invariants have the dimension that "
        "{nullities} nullities modulo {prime} give: {total} maps and {invariants} invariants in all",
    ),
    "translation": (
        "pairing of weights with diagrams by exact integer probes in float64, at small sizes",
        "(d) at {copies} choices of sizes, from {smallest} to {largest} entries, what the compiler emits "
        "is exactly the family that the diagrams span: its {weights} weights are paired with as many "
        "diagrams by {probes} integer probes each",
    ),
    "syntax": (
        "comparison of syntax trees",
        "(d) but for comments, docstrings and layout the file is what the compiler writes for this spec",
    ),
    "function": (
        "comparison with the compiler's own output, on sampled inputs in float64",
        "(d) {outputs} outputs, gradients and initial values of {classes} classes agree with those of "
        "what the compiler writes for this spec; the largest relative difference is {error}",
    ),
    "weights": (
        "count, on tensors without numbers",
        "(d) the layer has {linear} weights for a pair of channels and {bias} in its bias; "
        "the complete basis has {maps} and {invariants}, and the declared mixing leaves as many as that",
    ),
    "family": (
        "pairing of weights with diagrams by exact integer probes in float64, at the declared sizes",
        "(d) at the declared sizes the layer is exactly the family that the diagrams span: its {weights} "
        "weights are paired with as many diagrams by {probes} integer probes each",
    ),
    "probes": (
        "exact integer probes in float64, at the declared sizes",
        "(d) at the declared sizes the layer follows {elements} group elements exactly, and none of its "
        "{weights} weights is dead or tied to another",
    ),
    "types": (
        "typed derivation over the traced graph",
        "(d) {modules} modules are typed through {operations} operations: {equivariant} equivariant, "
        "{quasi} quasi-equivariant, {invariant} invariant",
    ),
    "kernels": (
        "comparison with the compiler's own text",
        "the {lines} lines of Triton kernels behind the file are what the compiler writes for this spec; "
        "what they compute on a GPU is no part of this proof, which is about the file in plain torch",
    ),
    "model": (
        "comparison of f(x; g.theta) with f(x; theta), on sampled inputs in float64",
        "(e) the function of the network stays under {elements} group elements at {thetas} weights: {words} "
        "words of the group one by one, and all together; the largest relative difference is {error}, and "
        "rounding explains {tolerance}",
    ),
}
LARGE_ENTRIES, LARGE_WEIGHTS = 2_000_000, 200_000
"""The prover probes no layer beyond these entries of all parameters, or these weights."""


def check_obligations(
    listed: Sequence[Mapping[str, Any]],
    emitted: Sequence[str],
    model: str | None,
    entries: int,
    counted: Mapping[str, int],
) -> Iterator[str]:
    """Refuse obligations that are missing or not met, or that say something else than the table.

    Args:
        listed: what the certificate lists.
        emitted: what there is of an emitted file: "file", and "kernels" behind it.
        model: the network whose function the group must preserve, if the spec names one.
        entries: the number of entries of all parameters.
        counted: figures that are known, by `obligation.figure`.
    """
    names = [entry["name"] for entry in listed]
    wanted = ["invariance", "independence", "dimension", "translation"]
    wanted += [names[4] if names[4:5] in (["syntax"], ["function"]) else "syntax"] if emitted else []
    figures = listed[len(wanted)]["figures"] if len(listed) > len(wanted) else {}
    linear, bias = figures.get("linear", 0), figures.get("bias", 0)
    large = entries > LARGE_ENTRIES or linear + bias > LARGE_WEIGHTS
    complete = linear == counted["weights.maps"] and not large
    wanted += [
        "weights",
        "family" if complete else "probes",
        "types",
        *(["kernels"] if "kernels" in emitted else []),
        *(["model"] if model is not None else []),
    ]
    if names != wanted:
        raise Wrong(f"the obligations are {', '.join(names)}, and should be {', '.join(wanted)}")
    for entry in listed:
        if entry.keys() != {"name", "ok", "method", "detail", "figures"}:
            raise Wrong(f"the obligation {entry['name']} has not the entries of one")
        left_open = entry["name"] == "model" and entry["ok"] is None
        if left_open or (entry["name"] == "probes" and large):
            yield f"NOT SHOWN by the prover: {entry['name']}, {why_open(entry, model)}"
            continue
        check_met(entry, {**counted, f"{entry['name']}.prime": PRIME})
        if entry["name"] == "model":
            yield f"{LEFT_OUT}: {entry['detail']}; that would run `{model}`"
    yield f"{len(listed)} obligations, with all figures that can be counted again"


def why_open(entry: Mapping[str, Any], model: str | None) -> str:
    """Why an obligation was not decided; only one about the network says so in words of its own."""
    why = OPEN[entry["name"]].format(model=model)
    detail = entry["detail"]
    if entry["name"] == "model" and isinstance(detail, str) and detail.startswith(why):
        why = detail
    if entry != {"name": entry["name"], "ok": None, "method": NOT_CHECKED, "detail": why, "figures": {}}:
        raise Wrong(f"the obligation {entry['name']} cannot have been decided")
    return why


def check_met(entry: Mapping[str, Any], counted: Mapping[str, int]) -> None:
    """Refuse an obligation that is not met, or says something else than its figures."""
    name, figures = entry["name"], entry["figures"]
    method, sentence = TABLE[name]
    if entry["ok"] is not True:
        raise Wrong(f"the obligation {name} is not met")
    if any(f"{{{figure}}}" not in sentence for figure in figures):
        raise Wrong(f"the obligation {name} has a figure that its sentence has not")
    for figure, value in figures.items():
        known = counted.get(f"{name}.{figure}", value)
        proper = type(value) is int and value >= 0
        if figure in ("error", "tolerance"):
            most = figures.get("tolerance", TOLERANCE) if figure == "error" else WORST_TOLERANCE
            proper = type(value) in (int, float) and 0 <= value <= most
        if not proper or value != known:
            raise Wrong(f"{figure} of the obligation {name} is {known}, not {value}")
    if entry["method"] != method or entry["detail"] != sentence.format(**figures):
        raise Wrong(f"the obligation {name} says something else than its figures")
