"""All obligations of theory.md, section 4, for a spec, an emitted file or a user's own module.

Takes a spec and what the compiler has to say about it (`Accused`: its text, its layer at any sizes), gives
a `Proof`. What concerns the spec alone is shown once and kept: a `Prover` proves any number of its files.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any

import torch

from qecompile.basis import Basis, total_affine, total_dim
from qecompile.errors import SymError
from qecompile.model.network import Network
from qecompile.model.preserve import check_preserved
from qecompile.provenance import split_kernels
from qecompile.spec import MetaNet, Spec
from qecompile.verify.basis_proof import BasisProof, prove_basis
from qecompile.verify.certificate import make_certificate, write_certificate
from qecompile.verify.claims import ClaimError
from qecompile.verify.equivariance import check_module
from qecompile.verify.imported import imported, public_classes, same_syntax
from qecompile.verify.layer_probes import (
    Mixing,
    affordable,
    count_weights,
    expected_weights,
    probe_layer,
)
from qecompile.verify.obligations import Obligation, fails, holds, open_question
from qecompile.verify.sameness import Comparison, DifferenceError
from qecompile.verify.translate import MismatchError, match_layer
from qecompile.verify.translation import translate
from qecompile.verify.typed import prove_types, types_hold

MOST_ENTRIES = 2**24
"""Weights of a network that is run for obligation (e)."""


@dataclass(frozen=True)
class Accused:
    """What the compiler says of a spec: the text it emits, its network, how its layers mix, itself.

    A proof takes none of it for granted. `build_at` gives the emitted module of a small copy of the spec.
    `kernels` is what stands behind the source if the file has kernels for a GPU.
    """

    source: str
    kernels: str
    net: MetaNet
    mixing: Mixing
    build_at: Callable[[Spec], ModuleType]


@dataclass(frozen=True)
class Emitted:
    """The file that a proof is about."""

    file: str
    sha256: str
    metanet: str | None


@dataclass(frozen=True)
class Proof:
    """What was shown. `ok` says that nothing was refuted; obligations with ok None were not decided."""

    spec: Spec
    obligations: tuple[Obligation, ...]
    emitted: Emitted | None = None
    used: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def ok(self) -> bool:
        """Whether no obligation failed and at least one holds."""
        verdicts = [o.ok for o in self.obligations]
        return False not in verdicts and True in verdicts

    def to_json(self) -> dict[str, object]:
        """The verdict and the obligations as plain data."""
        return {"ok": self.ok, "obligations": [o.to_json() for o in self.obligations]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate; readers see the old file or the whole new one.

        Raises:
            OSError: the file cannot be written.
        """
        write_certificate(self.certificate(), path)

    def certificate(self) -> dict[str, object]:
        """What `save` writes."""
        emitted: dict[str, object] | None = None
        if self.emitted is not None:
            emitted = {
                "file": self.emitted.file,
                "sha256": self.emitted.sha256,
                "metanet": self.emitted.metanet,
            }
        return make_certificate(self.spec, self.used, emitted, self.ok, self.obligations)

    def __str__(self) -> str:
        words = {True: "holds", False: "FAILS", None: "not checked"}
        return "\n".join(f"{o.name}: {words[o.ok]}: {o.detail}" for o in self.obligations)


class Prover:
    """Proves a spec and any number of files of it."""

    def __init__(self, spec: Spec, accused: Accused, *, used: Mapping[str, str] | None = None) -> None:
        self.spec, self.accused, self._used = spec, accused, dict(used or {})

    # --- of the spec ----------------------------------------------------------------------------------

    @cached_property
    def basis(self) -> BasisProof:
        """Obligations (a) to (c), at the declared sizes."""
        return prove_basis(self.spec, Basis(self.spec))

    @cached_property
    def translation(self) -> Obligation:
        """Obligation (d) for what the compiler emits, at small sizes."""
        return translate(self.spec, self.accused.build_at)

    @cached_property
    def _of_spec(self) -> tuple[Obligation, ...]:
        return (*self.basis.obligations, self.translation)

    @cached_property
    def _own_output(self) -> tuple[Obligation, ...]:
        """What is shown of the compiler's own text, and so of every file with the same syntax tree."""
        with imported(self.accused.source) as module:
            return tuple(self._of_module(module))

    # --- of files -------------------------------------------------------------------------------------

    def prove_spec(self) -> Proof:
        """Prove the spec, and what the compiler emits for it."""
        return self._proof((*self._of_spec, *self._own_output, *self._model()))

    def prove_source(self, source: str, file: str = "<text>", *, hurry: bool = False) -> Proof:
        """Prove an emitted file, which runs its code.

        Args:
            source: the text of the file.
            file: its name, for the certificate.
            hurry: stop at the first obligation that fails.
        """
        sha256 = hashlib.sha256(source.encode()).hexdigest()
        declared = {net.name for net in self.spec.metanets}
        name = self.accused.net.name
        emitted = Emitted(file, sha256, name if name in declared else None)
        found: list[Obligation] = []
        for obligation in self._of_file(source):
            found.append(obligation)
            if hurry and obligation.ok is False:
                break
        return self._proof(tuple(found), emitted)

    def _of_file(self, source: str) -> Iterator[Obligation]:
        source, kernels = split_kernels(source)
        yield from self._of_spec
        try:
            same = same_syntax(source, self.accused.source)
        except SyntaxError as mistake:
            yield fails("function", f"the file is no Python: {mistake}")
            return
        if same:
            yield holds("syntax")
            yield from self._own_output
        else:
            yield from self._of_edited(source)
        if kernels:
            yield self._kernels(kernels)
        yield from self._model()

    def _kernels(self, kernels: str) -> Obligation:
        """What stands behind a file that is complete without it: the compiler's own text, or nothing."""
        if kernels != self.accused.kernels:
            return fails("kernels", "these Triton kernels are not what the compiler writes; build anew")
        return holds("kernels", lines=len(kernels.splitlines()))

    def _of_edited(self, source: str) -> Iterator[Obligation]:
        with ExitStack() as opened:
            try:
                module = opened.enter_context(imported(source))
            except Exception as mistake:
                yield fails("function", f"the file cannot be run: {type(mistake).__name__}: {mistake}")
                return
            yield self._same_function(module)
            yield from self._of_module(module)

    def _same_function(self, module: ModuleType) -> Obligation:
        if not self._comparison.affordable:
            why = (
                "the file was edited, and its tensors are too large at these sizes to compare its outputs "
                "with the compiler's: build and prove it at smaller sizes (-D)"
            )
            return fails("function", why)
        try:
            found = self._comparison.compare(module)
        except DifferenceError as difference:
            return fails("function", f"not what the compiler's own output computes: {difference}")
        return holds("function", outputs=found.outputs, classes=found.classes, error=found.error)

    @cached_property
    def _comparison(self) -> Comparison:
        self._reference = imported(self.accused.source)  # kept open: the comparison runs its classes
        return Comparison(self.spec, self._reference.__enter__(), self.accused.net.channels[0])

    def _of_module(self, module: ModuleType) -> Iterator[Obligation]:
        layer = public_classes(module).get("EquivariantLinear")
        if layer is None:
            yield fails("weights", "the file defines no class EquivariantLinear")
            return
        try:
            yield from self._of_layer(layer)
        except MismatchError as mismatch:
            yield fails("probes", str(mismatch))
        except Exception as mistake:  # whatever the code of an edited file raises
            yield fails("probes", f"the layer cannot be run: {type(mistake).__name__}: {mistake}")
        yield prove_types(self.spec, module, self.accused.net.channels[0])

    def _of_layer(self, layer: type) -> Iterator[Obligation]:
        """What is shown of the class `EquivariantLinear` at the declared sizes."""
        mixing, basis = self.accused.mixing, Basis(self.spec)
        expected = expected_weights(self.spec, mixing)
        linear, bias = expected.layer(1, 1, bias=False), expected.bias
        try:
            count_weights(expected, layer)
        except MismatchError as mismatch:
            yield fails("weights", str(mismatch))
            return
        counts = {"maps": total_dim(basis), "invariants": total_affine(basis)}
        yield holds("weights", linear=linear, bias=bias, **counts)
        if not affordable(self.spec, linear + bias):
            why = "the tensors are too large at the declared sizes; `translation` is about small ones"
            yield open_question("probes", why)
        elif mixing.is_complete:
            found = match_layer(self.spec, basis, layer(1, 1, dtype=torch.float64))
            yield holds("family", weights=found.weights + found.bias, probes=found.probes)
        else:
            weights, elements = probe_layer(self.spec, layer)
            yield holds("probes", weights=weights, elements=elements)

    def _model(self) -> Iterator[Obligation]:
        if self.spec.model is not None:
            yield self._preserved

    @cached_property
    def _preserved(self) -> Obligation:
        """Obligation (e): the group leaves the function of the user's own network alone."""
        target = self.spec.model.target if self.spec.model else ""
        open_ = f"(e) whether the group preserves `{target}` was not decided: "
        entries = sum(math.prod(p.shape) for p in self.spec.parameters)
        if entries > MOST_ENTRIES:
            return open_question(
                "model", f"{open_}{entries} weights are too many here; prove smaller sizes (-D)"
            )
        try:
            found = check_preserved(Network(self.spec))
        except SymError as mistake:
            return open_question("model", open_ + mistake.diagnostics[0].message)
        if not found.ok:
            return fails("model", f"(e) {'; '.join(map(str, found.failures))}")
        figures = {"error": found.max_error, "tolerance": found.tolerance}
        return holds("model", elements=found.elements, thetas=found.thetas, words=found.words, **figures)

    def _proof(self, obligations: tuple[Obligation, ...], emitted: Emitted | None = None) -> Proof:
        return Proof(self.spec, obligations, emitted, self._used)


def prove_module(
    spec: Spec, module: Callable[..., object], used: Mapping[str, str] | None = None, **options: Any
) -> Proof:
    """Prove a user's own module by types alone; for the options see `check_module`."""
    try:
        verdict = check_module(spec, module, **options)
    except ClaimError as mistake:
        return Proof(spec, (fails("types", str(mistake)),), used=used or {})
    shown = types_hold([verdict]) if verdict.ok else fails("types", str(verdict))
    return Proof(spec, (shown,), used=used or {})
