"""What is said about a mutant: by `prove`, and by the type system and the exact check of the layer alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from qecompile.basis import Basis
from qecompile.proving import prover
from qecompile.verify.equivariance import check_module
from qecompile.verify.layer_probes import count_weights, expected_weights, probe_layer
from qecompile.verify.prove import Prover
from qecompile.verify.translate import MismatchError, match_layer

from .effect import INS, OUTS
from .loading import load, parts_of
from .variants import Variant

COMPOSED = ("InvariantReadout", "EquivariantReadout", "MetaNet")


@dataclass(frozen=True)
class Verdict:
    """Who refused a mutant, and why.

    Attributes:
        types: the refusal of the type system alone, if it refused a part.
        exact: why the layer is not the family of the diagrams, from integers alone.
        obligation: the first obligation of `prove` that failed, if one did.
        detail: what that obligation said.
        fault: the exception of a checker that broke down over the mutant, which it never should.
    """

    types: str | None = None
    exact: str | None = None
    obligation: str | None = None
    detail: str = ""
    fault: str | None = None

    @property
    def refused(self) -> bool:
        """Whether `prove` refused the mutant."""
        return self.obligation is not None


@lru_cache(maxsize=2)
def prover_of(variant: Variant) -> Prover:
    """The prover of a variant's spec; what is about the spec alone is proved once."""
    return prover(variant.spec)


def judge(variant: Variant, text: str, changed: Sequence[str], broken: Sequence[str]) -> Verdict:
    """Have a mutant judged whose named parts differ, some of them breaking their law."""
    layer_changed = any(name.startswith("EquivariantLinear") for name in changed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            proof = prover_of(variant).prove_source(text, hurry=True)
            failed = next((o for o in proof.obligations if o.ok is False), None)
            return Verdict(
                types=type_refusal(variant, text, changed, broken),
                exact=exact_refusal(variant, text) if layer_changed else None,
                obligation=failed.name if failed else None,
                detail=failed.detail if failed else "",
            )
        except Exception as mistake:
            return Verdict(fault=f"{type(mistake).__name__}: {mistake}")


def refusal_of(variant: Variant, text: str) -> str | None:
    """Why `prove` refuses a correct module; None if it proves it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        proof = prover_of(variant).prove_source(text, hurry=True)
    failed = next((o for o in proof.obligations if o.ok is False), None)
    return f"{failed.name}: {failed.detail}" if failed else None


def type_refusal(
    variant: Variant, text: str, changed: Sequence[str], broken: Sequence[str] = ()
) -> str | None:
    """The first refusal of the type system, on one line.

    Networks are made of the other parts, so they are looked at where no other part differs, or where no
    other part breaks its law.
    """
    simple = [name for name in changed if not name.startswith(COMPOSED)]
    if not simple or (broken and not set(broken) & set(simple)):
        simple += [name for name in changed if name not in simple]
    parts = {part.name: part for part in parts_of(load(text), INS, OUTS)}
    for name in sorted(simple, key=lambda name: name not in broken):
        part = parts[name]
        verdict = check_module(variant.spec, part.module, channels=part.channels, search=False)
        if not verdict.ok:
            return f"{name}: {' '.join(str(verdict.refusal).split())}"
        if verdict.claim == "quasi-equivariant" and not variant.is_raw:
            return f"{name}: equivariant up to an alpha-map only: {verdict.cocycle}"
    return None


def exact_refusal(variant: Variant, text: str) -> str | None:
    """Why the layer at its own sizes is not what the diagrams say, computed in integers."""
    layer, mixing = load(text).EquivariantLinear, prover_of(variant).accused.mixing
    try:
        count_weights(expected_weights(variant.spec, mixing), layer)
        if mixing.is_complete:
            match_layer(variant.spec, Basis(variant.spec), layer(1, 1, dtype=torch.float64))
        else:
            probe_layer(variant.spec, layer)
    except MismatchError as mismatch:
        return str(mismatch)
    return None
