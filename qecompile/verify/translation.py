"""Obligation (d), translation, over several sizes: what the compiler emits is the family of the diagrams.

Takes a spec and a function that builds its layer at any sizes (the compiler, handed in), gives the
obligation. Small copies of the spec (`small.py`) lie below, at and above the thresholds; at each, the basis
is proved again, and the weights of the layer are paired with its diagrams (`translate.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import torch

from qecompile.basis import Basis, total_dim
from qecompile.spec import Spec
from qecompile.verify.basis_proof import prove_basis
from qecompile.verify.obligations import Obligation, fails, holds, open_question
from qecompile.verify.small import assignments, entries, resized
from qecompile.verify.translate import MOST_ENTRIES, MOST_WEIGHTS, PROBES, MismatchError, match_layer

BuildAt = Callable[[Spec], ModuleType]


def translate(spec: Spec, build_at: BuildAt) -> Obligation:
    """Show that the emitted layer is the family of the diagrams, at several sizes."""
    numbers: list[int] = []
    weights = 0
    for sizes in assignments(spec).values():
        small = resized(spec, sizes)
        basis = Basis(small)
        if entries(small) > MOST_ENTRIES or total_dim(basis) > MOST_WEIGHTS:
            continue
        numbers.append(entries(small))
        proof = prove_basis(small, basis)
        if not proof.ok:
            wrong = next(o for o in proof.obligations if o.ok is False)
            return fails("translation", f"at {_shown(sizes)}: {wrong.detail}")
        try:
            found = match_layer(small, basis, build_at(small).EquivariantLinear(1, 1, dtype=torch.float64))
        except MismatchError as mismatch:
            return fails("translation", f"at {_shown(sizes)}: {mismatch}")
        weights += found.weights + found.bias
    if not numbers:
        why = f"even at the smallest sizes the layer has more than {MOST_WEIGHTS} weights"
        return open_question("translation", why)
    return holds(
        "translation",
        copies=len(numbers),
        smallest=min(numbers),
        largest=max(numbers),
        weights=weights,
        probes=PROBES,
    )


def _shown(sizes: dict[str, int]) -> str:
    shown = [f"{name} = {size}" for name, size in sizes.items()]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "")
