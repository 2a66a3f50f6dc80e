"""Specs at small sizes, and what is emitted for them with kernels for every tensor, however small."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from qecompile.codegen.emit import emit_source
from qecompile.loading import import_source
from qecompile.resolve import load, parse
from qecompile.schedule import rewrite
from qecompile.spec import Spec

SPECS = Path(__file__).resolve().parents[2] / "specs"

SMALL: dict[str, dict[str, object]] = {
    "bert": {"layers": 1, "width": 6, "heads": 2, "hidden": 5, "vocab": 7, "length": 3},
    "cnn": {"channels": [1, 3, 4], "classes": 3},
    "cnn_bn": {"channels": [2, 3, 4], "side": 2, "hidden": 4, "classes": 3},
    "deepsets": {"phi": 5, "latent": 4, "rho": 3, "outputs": 2},
    "gpt2": {"layers": 1, "width": 6, "heads": 2, "hidden": 5, "vocab": 7, "length": 3},
    "llama": {"layers": 1, "width": 6, "groups": 2, "queries": 2, "size": 4, "hidden": 5, "vocab": 3},
    "lora": {"outputs": 4, "inputs": 3, "r": 2},
    "lstm": {"inputs": 3, "hidden": 4, "outputs": 2},
    "mha": {"width": 6, "heads": 2, "dim": 3, "hidden": 5},
    "mixer": {"layers": 1, "width": 4, "patches": 4, "patch": 2, "colours": 2, "token_hidden": 3,
              "channel_hidden": 5, "classes": 2},
    "mlp": {"widths": [5, 4, 3, 2], "codes": 2},
    "mlp_tanh": {"widths": [5, 4, 3, 2]},
    "moe": {"inputs": 3, "width": 5, "experts": 2, "hidden": 4, "outputs": 2},
    "resnet": {"widths": [3, 4], "blocks": 1, "classes": 2},
    "rnn": {"inputs": 3, "hidden": 4, "layers": 1, "outputs": 2},
    "siren": {"widths": [2, 4, 3, 2]},
    "transformer": {"layers": 1, "width": 6, "heads": 2, "hidden": 5, "vocab": 7, "length": 3, "classes": 2},
}  # fmt: skip

OWN = {
    "matrix": "space a = 10 : permute  space b = 7 : permute  param W : b <- a  param v : b",
    "diagonals": "space a = 3 : permute  space b = 5 : permute  param T : [b, a, b]  param v : b",
    "cube": "space a = 3 : permute  space b = 4 : permute  space c = 5 : permute  param T : [a, b, c]"
    " param v : b",
    "nested": "space g = 2 : permute { space h = 3 : permute }  space d = 5 : permute  param W : [g, h, d]",
    "window": "space o = 4 : permute  space i = 3 : permute  space y = 3 : permute  space x = 3 : permute "
    " param K : [o, i, y, x]",
    "stack": "space i = 10 : permute  space a = 7 : permute  space b = 9 : permute"
    " param W1 : a <- i  param b1 : a  param W2 : b <- a  param b2 : b  param W3 : [a, b]",
    "signs": "space i = 9 : permute * sign  space a = 6 : permute * sign  param W : a <- i  param v : a",
    "counted": "space i = 9 : permute  space a = 5 : permute  param W : a <- i  param v : a",
}  # fmt: skip

NETWORKS = {
    "stack": "metanet m { channels 1, 3, 4 }",
    "signs": "metanet m { channels 1, 3, 4  activation tanh }",
    "counted": "metanet m { channels 2, 3, 4  activation silu  readout invariant -> 2 }",
}
"""What follows a spec of our own, where it is not a layer of two channels."""


def library_spec(name: str) -> Spec:
    """A spec of `specs/` at a small size."""
    return load(SPECS / f"{name}.sym", arguments=SMALL[name])


def own_spec(name: str) -> Spec:
    """A spec that shows what those of the library have not."""
    return parse(f"spec {name} {{ {OWN[name]}  {NETWORKS.get(name, 'metanet m { channels 2, 2 }')} }}")


def emitted(spec: Spec) -> ModuleType:
    """The module of a spec, with kernels for tensors of any size."""
    with patch.object(rewrite, "WORTH_BLOCKS", 1):
        return import_source(emit_source(spec, kernels=True), name=f"kernels_of_{spec.name}")
