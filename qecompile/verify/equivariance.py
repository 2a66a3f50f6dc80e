"""Is a module equivariant? A proof by types, or a refusal, with a counterexample if one can be found.

Takes a spec and any module, gives a `Verdict`. The module is traced (`trace.py`), its inputs get the types of
the parameters, every operation is typed by its rule (`infer.py`), and the types of the outputs are compared
with what is claimed. What is proved holds for all values of the module's weights, all theta that it is given
and all elements of the group, one for each entry of the batch.

A refusal does not mean that the module is wrong: the rules are sound and not complete. So a refused module is
measured too (`sample.py`), with its own weights and with random ones. A gap is a counterexample; without one,
the refusal says that there may be a proof which the rules do not find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from qecompile.spec import Spec
from qecompile.verify.claims import Claim, Output, read_claims
from qecompile.verify.export import Adapted, device_of
from qecompile.verify.graph import Graph, Ref, Untraceable, value_shapes
from qecompile.verify.infer import Inference, Refusal, Step, infer, tensor_type
from qecompile.verify.refused import Refused
from qecompile.verify.running import as_function
from qecompile.verify.sample import Gap, measure
from qecompile.verify.trace import trace

SEEN = 1e-5  # a relative gap in float64 that is no rounding
MOST_NUMBERS = 5_000_000  # entries of theta; larger specs are not measured
BATCHES = (5, 3, 7, 11, 13)


@dataclass(frozen=True)
class Verdict:
    """What was found out about a module.

    Attributes:
        ok: whether the claim is proved.
        claim: `equivariant`, `invariant` or `quasi-equivariant`; `refused` if it is not proved.
        outputs: what is claimed of each output, in words.
        channels: of each output, how many channels it has; None if it has none.
        cocycle: `strict`, or which alpha moves what.
        steps: the proof: every operation with its rule and the type of its result.
        refusal: why there is no proof.
        counterexample: numbers that show that the claim is wrong, if any were found.
        notes: what a reader of the proof should know.
    """

    ok: bool
    claim: str
    outputs: tuple[str, ...] = ()
    channels: tuple[int | None, ...] = ()
    cocycle: str = "strict"
    steps: tuple[Step, ...] = ()
    refusal: Refusal | None = None
    counterexample: Gap | None = None
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        if self.ok:
            return f"{self.claim}: {'; '.join(self.outputs)} ({len(self.steps)} operations)"
        known = (
            f"counterexample {self.counterexample}"
            if self.counterexample
            else "no counterexample was found in numbers: the rules may miss a proof"
        )
        return f"{self.refusal}\n  {known}"


def check_module(
    spec: Spec,
    module: Callable[..., object],
    *,
    channels: int | None = None,
    layout: Literal["last", "first"] = "last",
    output: Output | None = None,
    pack: Callable[[dict[str, Tensor]], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
    output_types: Mapping[str, str | None] | None = None,
    search: bool = True,
) -> Verdict:
    """Prove that a module is equivariant or invariant, as claimed, or say where it is not.

    Args:
        spec: whose group acts.
        module: an `nn.Module` or a function. Without `pack` it takes a dict of tensors by name of parameter.
        channels: how many channels the inputs have: [B, *shape, C] or, with `layout="first"`, [B, C, *shape];
            None for [B, *shape].
        layout: where channels stand, in outputs too.
        output: what is claimed of all outputs; by default, outputs under the name of a parameter are
            equivariant and all others invariant.
        pack: from the dict to the tuple of arguments that the module takes.
        unpack: from what the module gives to a tensor, or dicts and tuples of tensors.
        output_types: for outputs under other names, the parameter whose type they have, or None if invariant.
        search: whether to look for a counterexample if the module is refused.

    Raises:
        ClaimError: it is not clear what is claimed.

    Example:
        >>> import qecompile as qe
        >>> spec = qe.parse("spec s { space h = 4 : permute  param b : h }")
        >>> print(check_module(spec, lambda theta: {"b": theta["b"] - theta["b"].mean(1, keepdim=True)}))
        equivariant: output `b` is equivariant as b (2 operations)
        >>> check_module(spec, lambda theta: {"b": theta["b"].cumsum(1)}).counterexample.factor
        'h: permute'
    """
    adapted = Adapted(module, pack, unpack)
    shapes = _shapes(spec, channels, layout)
    claims: tuple[Claim, ...] = ()
    sizes: dict[str, tuple[int, ...]] = {}
    notes: tuple[str, ...] = ()
    try:
        graph = trace(module, _examples(shapes, adapted), pack=pack, unpack=unpack)
        claims = read_claims(graph.outputs, spec, output, output_types)
        sizes, notes = value_shapes(graph), graph.notes
        found = _infer(spec, graph, claims, sizes, layout)
    except Untraceable as mistake:
        refusal = Refusal("module", "trace", "trace", mistake.reason, source=mistake.source)
        found = Inference(False, "refused", (), refusal=refusal)
    counterexample = None
    if not found.ok and search and sum(map(prod, shapes.values())) * 2 <= MOST_NUMBERS:
        counterexample = find_counterexample(
            spec, adapted, channels=channels, layout=layout, output=output, output_types=output_types
        )
    return Verdict(
        ok=found.ok,
        claim=found.verdict,
        outputs=tuple(map(str, claims)),
        channels=tuple(_channels(claim, sizes[_name(claim)], layout) for claim in claims),
        cocycle=found.cocycle,
        steps=found.steps,
        refusal=found.refusal,
        counterexample=counterexample,
        notes=notes,
    )


def _shapes(spec: Spec, channels: int | None, layout: str) -> dict[str, tuple[int, ...]]:
    """The shape of each input behind its batch axis."""
    extra = () if channels is None else (channels,)
    return {p.name: (*extra, *p.shape) if layout == "first" else (*p.shape, *extra) for p in spec.parameters}


def _examples(shapes: Mapping[str, tuple[int, ...]], module: nn.Module) -> dict[str, Tensor]:
    """Inputs without numbers; the size of the batch is that of no other axis."""
    sizes = {n for shape in shapes.values() for n in shape}
    batch = next((b for b in BATCHES if all(n % b for n in sizes)), 5)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    return {name: torch.empty(batch, *s, dtype=dtype, device="meta") for name, s in shapes.items()}


def _infer(
    spec: Spec, graph: Graph, claims: tuple[Claim, ...], sizes: Mapping[str, tuple[int, ...]], layout: str
) -> Inference:
    """The proof of all claims, or the first that fails."""
    last = layout == "last"
    given = {i.name: tensor_type(spec, str(i.path[0]), i.shape, last) for i in graph.inputs}
    wanted = {}
    for claim in claims:
        if claim.param:
            try:
                wanted[claim.path] = tensor_type(spec, claim.param.name, sizes[_name(claim)], last)
            except Refused as mistake:
                refusal = _at_output(graph, _name(claim), f"{claim}, but {mistake.reason}")
                return Inference(False, "refused", (), refusal=refusal)
    return infer(graph, given, wanted)


def _name(claim: Claim) -> str:
    return claim.value.name if isinstance(claim.value, Ref) else ""


def _channels(claim: Claim, shape: tuple[int, ...], layout: str) -> int | None:
    """How many channels an output has, None if it has none; of an invariant, all its numbers are channels."""
    rank = len(claim.param.shape) if claim.param else 0
    extra = shape[1 : len(shape) - rank] if layout == "first" else shape[1 + rank :]
    return prod(extra) if extra else None


def _at_output(graph: Graph, name: str, reason: str) -> Refusal:
    """A refusal of what an output is, at the operation that made it."""
    op = next((op for op in graph.ops if op.name == name), None)
    if op is None:
        return Refusal(name, "output", "claim", reason)
    return Refusal(name, op.target, "claim", reason, source=op.source, module=op.module)


# --- counterexamples --------------------------------------------------------------------------------------


def find_counterexample(
    spec: Spec,
    module: nn.Module,
    *,
    channels: int | None = None,
    layout: Literal["last", "first"] = "last",
    output: Output | None = None,
    output_types: Mapping[str, str | None] | None = None,
) -> Gap | None:
    """The first gap that is no rounding: with the module's own weights, then with random ones.

    None if there is none, or if the module does not run on a batch of two in float64.
    """
    for noise in (None, 0):
        try:
            gaps = measure(
                as_function(module, torch.float64, noise),
                spec,
                lambda outputs: read_claims(outputs, spec, output, output_types),
                channels=channels,
                layout=layout,
                device=device_of(module),
                trials=2,
            )
            if found := next((gap for gap in gaps if gap.size > SEEN), None):
                return found
        except Exception:  # whatever a user's module raises: there is no number to show
            return None
    return None
