"""Comparing the outputs of a typed graph with what is claimed of them.

Takes a graph with the values of its operations, and the types that its outputs should have; gives a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qecompile.verify.graph import Graph, Op, Ref
from qecompile.verify.laws import check_invariant
from qecompile.verify.orbit_claim import describe_cocycle
from qecompile.verify.raw import Raw
from qecompile.verify.refused import Refused
from qecompile.verify.steps import Inference, Path, Refusal, Step
from qecompile.verify.types import Type


def judge(
    graph: Graph, values: Mapping[str, object], steps: Sequence[Step], wanted: Mapping[Path, Type]
) -> Inference:
    """The verdict on a graph: `wanted` has the types of outputs by path, the others must be invariant."""
    found: dict[Path, Type] = {}
    refusals: list[Refusal] = []
    moved: list[tuple[str, Type, Type]] = []
    for path, ref in _leaves(graph.outputs):
        value, label = values[ref.name], ".".join(map(str, path)) or "the output"
        if isinstance(value, Raw):
            refusals.append(value.refusal)
            continue
        assert isinstance(value, Type)
        found[path] = value
        law = wanted.get(path)
        try:
            if law is None:
                check_invariant(value)
            else:
                describe_cocycle([(label, value, law)])
                moved.append((label, value, law))
        except Refused as mistake:
            said = "invariant" if law is None else f"of type {law}"
            refusals.append(
                _refused_output(
                    graph, values, ref, f"{label} should be {said}: {mistake.reason}", mistake.help
                )
            )
    cocycle = "strict"
    if not refusals:
        try:
            cocycle = describe_cocycle(moved)
        except Refused as mistake:
            last = [ref for _, ref in _leaves(graph.outputs)][-1]
            refusals.append(_refused_output(graph, values, last, mistake.reason, mistake.help))
    if refusals:
        return Inference(False, "refused", tuple(steps), found, refusals[0])
    verdict = "invariant" if not wanted else "equivariant" if cocycle == "strict" else "quasi-equivariant"
    return Inference(True, verdict, tuple(steps), found, cocycle=cocycle)


def _refused_output(graph: Graph, values: Mapping[str, object], ref: Ref, reason: str, help: str) -> Refusal:
    """An output that does not obey its law; blamed on the operation that made it."""
    op = next((op for op in graph.ops if op.name == ref.name), Op(ref.name, "input", (), {}, (), None))
    shown = f"{ref.name}: {values[ref.name]}"
    return Refusal(op.name, op.target, "claim", reason, help, (shown,), op.source, op.module)


def _leaves(outputs: object, path: Path = ()) -> list[tuple[Path, Ref]]:
    """The outputs with their paths."""
    if isinstance(outputs, Ref):
        return [(path, outputs)]
    parts = (
        outputs.items()
        if isinstance(outputs, Mapping)
        else enumerate(outputs if isinstance(outputs, tuple) else ())
    )
    return [leaf for key, part in parts for leaf in _leaves(part, (*path, key))]
