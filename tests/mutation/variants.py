"""Every spec of specs/ at two small sizes: spaces of different sizes, and of equal ones.

With different sizes a wrong axis mostly shows as a wrong shape; with equal ones blocks are square and a
mistake goes through. The golden specs add what the library does not have: Levi-Civita terms and masked types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import qecompile as qe
from qecompile import pipeline
from qecompile.spec import Spec

TESTS = Path(__file__).resolve().parent.parent
SPECS = TESTS.parent / "specs"


@dataclass(frozen=True, eq=False)
class Variant:
    """A spec with arguments, and pieces of its text that are replaced first."""

    name: str
    path: Path
    arguments: dict[str, Any]
    replaced: tuple[tuple[str, str], ...] = ()

    @property
    def is_raw(self) -> bool:
        """Whether its alpha-map is computed from raw statistics: then it is quasi-equivariant only."""
        alphas = [net.alpha for net in self.spec.metanets if net.alpha is not None]
        return any(alpha.family in ("shared", "independent") for alpha in alphas)

    @property
    def spec_name(self) -> str:
        """The name of the spec's file."""
        return self.path.stem

    def text(self) -> str:
        """The text of the spec."""
        text = self.path.read_text(encoding="utf-8")
        for old, new in self.replaced:
            assert old in text, f"{self.name}: no `{old}` in {self.path.name}"
            text = text.replace(old, new)
        return text

    @cached_property
    def spec(self) -> Spec:
        """The spec at the variant's sizes."""
        return qe.parse(self.text(), **self.arguments)

    @cached_property
    def source(self) -> str:
        """The emitted module."""
        return pipeline.generate(self.spec, kernels=False)


DIFFERENT: dict[str, dict[str, Any]] = {
    "bert": {"layers": 1, "width": 6, "heads": 3, "hidden": 5, "vocab": 4, "length": 3},
    "cnn": {"channels": [1, 4, 5], "classes": 2},
    "cnn_bn": {"channels": [2, 4, 3], "side": 1, "hidden": 5, "classes": 2, "kernel": 2},
    "deepsets": {"inputs": 4, "phi": 5, "latent": 3, "rho": 6, "outputs": 2},
    "gpt2": {"layers": 1, "width": 6, "heads": 3, "hidden": 5, "vocab": 4, "length": 3},
    "llama": {"layers": 1, "width": 5, "groups": 3, "queries": 4, "size": 4, "hidden": 6, "vocab": 2},
    "lora": {"outputs": 9, "inputs": 10, "r": 3},
    "lstm": {"inputs": 3, "hidden": 5, "layers": 1, "outputs": 2},
    "mha": {"width": 5, "heads": 4, "dim": 2, "hidden": 3},
    "mixer": {
        "layers": 1, "width": 5, "patches": 7, "patch": 5, "colours": 2, "token_hidden": 4,
        "channel_hidden": 3, "classes": 2,
    },
    "mlp": {"widths": [4, 5, 3, 2], "codes": 3},
    "mlp_tanh": {"widths": [7, 5, 3, 2]},
    "moe": {"inputs": 2, "width": 5, "experts": 4, "hidden": 3, "outputs": 2},
    "resnet": {"widths": [3, 4], "blocks": 1, "image": 2, "classes": 5, "stem": 2},
    "rnn": {"inputs": 3, "hidden": 5, "layers": 2, "outputs": 2},
    "siren": {"widths": [2, 5, 3, 4]},
    "transformer": {
        "layers": 1, "width": 6, "heads": 3, "hidden": 5, "vocab": 9, "length": 10, "classes": 4,
    },
}  # fmt: skip
EQUAL: dict[str, dict[str, Any]] = {
    "bert": {"layers": 1, "width": 3, "heads": 3, "hidden": 3, "vocab": 3, "length": 3},
    "cnn": {"channels": [3, 3, 3], "classes": 3},
    "cnn_bn": {"channels": [2, 2, 2], "side": 2, "hidden": 2, "classes": 2, "kernel": 2},
    "deepsets": {"inputs": 3, "phi": 3, "latent": 3, "rho": 3, "outputs": 3},
    "gpt2": {"layers": 1, "width": 4, "heads": 2, "hidden": 4, "vocab": 4, "length": 4},
    "llama": {"layers": 1, "width": 2, "groups": 2, "queries": 2, "size": 4, "hidden": 2, "vocab": 2},
    "lora": {"outputs": 9, "inputs": 9, "r": 9},
    "lstm": {"inputs": 3, "hidden": 3, "layers": 1, "outputs": 3},
    "mha": {"width": 3, "heads": 3, "dim": 3, "hidden": 3},
    "mixer": {
        "layers": 1, "width": 6, "patches": 6, "patch": 6, "colours": 1, "token_hidden": 6,
        "channel_hidden": 6, "classes": 1,
    },
    "mlp": {"widths": [3, 3, 3, 3], "codes": 2},
    "mlp_tanh": {"widths": [6, 6, 6, 6]},
    "moe": {"inputs": 3, "width": 3, "experts": 3, "hidden": 3, "outputs": 3},
    "resnet": {"widths": [2, 2], "blocks": 1, "image": 2, "classes": 2, "stem": 2},
    "rnn": {"inputs": 4, "hidden": 4, "layers": 2, "outputs": 4},
    "siren": {"widths": [3, 3, 3, 3]},
    "transformer": {
        "layers": 1, "width": 3, "heads": 3, "hidden": 3, "vocab": 8, "length": 8, "classes": 3,
    },
}  # fmt: skip

# How a spec of the library is asked for an alpha-map, and for which readout.
ALPHA = {
    "mlp": "shared covariant",
    "cnn": "shared covariant",
    "deepsets": "shared covariant",
    "lora": "shared covariant",
    "mha": "shared covariant",
    "moe": "shared covariant",
    "resnet": "covariant",
    "transformer": "shared",
}


def _with_alpha(path: Path, family: str, arguments: dict[str, Any]) -> Variant:
    """A spec with an alpha-map in its network: a raw one before tensors, where it can be seen."""
    old = re.search(r"readout \w+( -> \d+)?", path.read_text(encoding="utf-8"))
    assert old, f"{path.name} declares no network"
    new = f"alpha {family}  readout {'invariant -> 2' if family == 'covariant' else 'equivariant'}"
    return Variant(f"{path.stem}/{family}", path, arguments, ((old[0], new),))


LIBRARY = tuple(
    Variant(f"{name}/{sizes}", SPECS / f"{name}.sym", arguments[name])
    for name in sorted(DIFFERENT)
    for sizes, arguments in (("different", DIFFERENT), ("equal", EQUAL))
)
GOLDEN = tuple(Variant(f"{p.stem}/golden", p, {}) for p in sorted((TESTS / "golden").glob("*.sym")))
WITH_ALPHA = tuple(
    _with_alpha(SPECS / f"{name}.sym", family, DIFFERENT[name])
    for name, families in ALPHA.items()
    for family in families.split()
) + tuple(_with_alpha(TESTS / "golden" / "rotations.sym", family, {}) for family in ("shared", "covariant"))
VARIANTS = LIBRARY + GOLDEN + WITH_ALPHA
