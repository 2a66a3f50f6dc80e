"""The layers of the PyPI package nfn, as they are: proved; copies with a mistake: refused.

`nfn` (Zhou et al., "Permutation Equivariant Neural Functionals") has channels first, and features in a class
of its own. NPLinear and NPPool treat inputs and outputs as permuted too; HNPLinear knows that they stay.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.spec import Spec
from qecompile.verify.equivariance import check_module

pytest.importorskip("nfn", reason="an optional dependency of the tests")

from nfn import layers
from nfn.common import ArraySpec, NetworkSpec, WeightSpaceFeatures
from nfn.layers import layers as source

MLP = qe.parse("""
spec mlp {
  space a[0] = 3 : fixed
  space a[i] for i in 1..2 = 4 : permute
  space a[3] = 2 : fixed
  param W[i] for i in 1..3 : a[i] <- a[i-1]
  param b[i] for i in 1..3 : a[i]
}
""")
CNN = qe.parse("""
spec cnn {
  space k = 3 : fixed
  space a[0] = 2 : fixed
  space a[i] for i in 1..2 = 4 : permute
  space a[3] = 3 : fixed
  param W[i] for i in 1..2 : [a[i], a[i-1], k, k]
  param W[3] : a[3] <- a[2]
  param b[i] for i in 1..3 : a[i]
}
""")
EVERYTHING_MOVES = qe.parse("""
spec mlp {
  space a[i] for i in 0..3 = i + 2 : permute
  param W[i] for i in 1..3 : a[i] <- a[i-1]
  param b[i] for i in 1..3 : a[i]
}
""")
CHANNELS = 4


def network_spec(spec: Spec) -> NetworkSpec:
    """What nfn calls a spec: shapes."""
    weights = [ArraySpec(spec.params[f"W[{i}]"].shape) for i in (1, 2, 3)]
    return NetworkSpec(weights, [ArraySpec(spec.params[f"b[{i}]"].shape) for i in (1, 2, 3)])


def pack(theta: dict[str, Tensor]) -> WeightSpaceFeatures:
    return WeightSpaceFeatures([theta[f"W[{i}]"] for i in (1, 2, 3)], [theta[f"b[{i}]"] for i in (1, 2, 3)])


def unpack(found: WeightSpaceFeatures) -> dict[str, Tensor]:
    return {f"{name}[{i + 1}]": t for i in range(3) for name, t in zip("Wb", found[i], strict=True)}


def check(spec: Spec, module: nn.Module):
    is_layer = "Linear" in type(module).__name__ or "Pointwise" in type(module).__name__
    return check_module(
        spec,
        module,
        channels=CHANNELS,
        layout="first",
        pack=pack,
        unpack=unpack if is_layer else None,
        output="equivariant" if is_layer else "invariant",
    )


LAYERS: dict[str, Callable[[ModuleType, NetworkSpec], nn.Module]] = {
    "NPLinear": lambda nfn, shapes: nfn.NPLinear(shapes, CHANNELS, 5),
    "NPLinear with codes": lambda nfn, shapes: nfn.NPLinear(shapes, CHANNELS, 5, io_embed=True),
    "HNPLinear": lambda nfn, shapes: nfn.HNPLinear(shapes, CHANNELS, 5),
    "Pointwise": lambda nfn, shapes: nfn.Pointwise(shapes, CHANNELS, 5),
    "NPPool": lambda nfn, shapes: nfn.NPPool(shapes),
    "HNPPool": lambda nfn, shapes: nfn.HNPPool(shapes),
}


@pytest.mark.parametrize("spec", [MLP, CNN], ids=lambda s: s.name)
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_proved_as_they_are(layer: str, spec: Spec) -> None:
    verdict = check(spec, LAYERS[layer](source, network_spec(spec)))
    assert verdict.ok, verdict.refusal


@pytest.mark.parametrize(
    ("layer", "holds"),
    [
        ("NPLinear", True),
        ("NPLinear with codes", False),
        ("NPPool", True),
        ("HNPLinear", False),
        ("HNPPool", False),
    ],
)
def test_only_some_hold_where_inputs_and_outputs_are_permuted(layer: str, holds: bool) -> None:
    assert check(EVERYTHING_MOVES, LAYERS[layer](source, network_spec(EVERYTHING_MOVES))).ok == holds


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("NPAttention", lambda nfn, shapes: nfn.NPAttention(shapes, CHANNELS, 2, share_projections=False)),
        ("SimpleLayerNorm", lambda nfn, shapes: nfn.SimpleLayerNorm(shapes, CHANNELS)),
        ("IOSinusoidalEncoding", lambda nfn, shapes: nfn.IOSinusoidalEncoding(shapes)),
        ("LearnedPosEmbedding", lambda nfn, shapes: nfn.LearnedPosEmbedding(shapes, CHANNELS)),
        (
            "GaussianFourierFeatureTransform",
            lambda nfn, shapes: nfn.GaussianFourierFeatureTransform(shapes, CHANNELS, 8),
        ),
        ("StatFeaturizer", lambda nfn, shapes: nfn.StatFeaturizer()),
    ],
)
@pytest.mark.parametrize("spec", [MLP, CNN], ids=lambda s: s.name)
def test_so_is_the_rest_of_the_package(name: str, make: Callable[..., nn.Module], spec: Spec) -> None:
    module = make(layers, network_spec(spec))
    invariant = name == "StatFeaturizer"
    verdict = check_module(
        spec, module, channels=CHANNELS, layout="first", pack=pack, unpack=None if invariant else unpack
    )
    assert verdict.ok, str(verdict)
    assert verdict.claim == ("invariant" if invariant else "equivariant")


def test_a_whole_network_is_proved() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            shapes = network_spec(CNN)
            self.first, self.second = source.HNPLinear(shapes, CHANNELS, 5), source.HNPLinear(shapes, 5, 5)
            self.pool, self.out = (
                source.HNPPool(shapes),
                nn.Linear(5 * source.HNPPool.get_num_outs(shapes), 3),
            )

        def forward(self, features: WeightSpaceFeatures) -> Tensor:
            features = self.second(self.first(features).map(torch.relu))
            return self.out(self.pool(features).flatten(1))

    verdict = check(CNN, Network())
    assert verdict.ok, verdict.refusal


# --- copies with a mistake ----------------------------------------------------------------------------------


def changed(layer: str, old: str, new: str) -> ModuleType:
    """The file of layers with one change in one class."""
    text = inspect.getsource(source)
    cls = inspect.getsource(getattr(source, layer))
    assert cls.count(old) == 1, f"{old!r} stands {cls.count(old)} times in {layer}"
    copy = text.replace(cls, cls.replace(old, new))
    path = f"nfn layers, {layer} with {new}"
    linecache.cache[path] = (len(copy), None, copy.splitlines(True), path)
    module = ModuleType("changed_layers")
    exec(compile(copy, path, "exec"), module.__dict__)
    return module


MISTAKES: list[Any] = [
    pytest.param("NPLinear", "row_means = [w.mean(dim=-2)", "row_means = [w[..., 0, :]", id="np-one-row"),
    pytest.param(
        "NPLinear", "[..., None, None]", ".new_ones(4, 1)[None, None].cumsum(-2) * z1", id="np-weighs-rows"
    ),
    pytest.param("NPLinear", ".unsqueeze(-2)  # (B, C_out, 1, ncol)", ".unsqueeze(-1)", id="np-swapped-axes"),
    pytest.param("NPLinear", "z1 + z2 + z3 + z4", "z1.flip(-1) + z2 + z3 + z4", id="np-reversed"),
    pytest.param(
        "NPLinear",
        "bias_means = [b.mean(dim=-1)",
        "bias_means = [b.amax(dim=0).mean(dim=-1)[None].expand(len(b), -1)",
        id="np-batch",
    ),
    pytest.param("NPLinear", "u1 + u2", "u1.cumsum(-1) + u2", id="np-cumulative-bias"),
    pytest.param(
        "HNPLinear", "row_means[1], bias]", "row_means[1].flip(-1), bias]", id="hnp-neighbour-reversed"
    ),
    pytest.param(
        "HNPLinear", "col_means = [w.mean(dim=-1)", "col_means = [w.select(-1, 0)", id="hnp-first-column"
    ),
    pytest.param(
        "HNPLinear",
        '"b (c_out ncol) nrow -> b c_out nrow ncol"',
        '"b (nrow ncol) c_out -> b c_out nrow ncol"',
        id="hnp-fold",
    ),
    pytest.param(
        "HNPLinear",
        'z4 = getattr(self, f"layer_{i}_c")(col_bdcst).unsqueeze(-1)',
        'z4 = getattr(self, f"layer_{i}_c")(col_bdcst).unsqueeze(-2)',
        id="hnp-swapped-axes",
    ),
    pytest.param(
        "HNPLinear",
        "u = u1 + u2\n            elif",
        "u = u1 + u2 * torch.arange(4.0)\n            elif",
        id="hnp-position",
    ),
    pytest.param("NPPool", "bias.mean(dim=-1)", "bias[..., 0]", id="pool-one-neuron"),
    pytest.param(
        "NPPool",
        "weight.mean(dim=(2,3)).unsqueeze(-1)",
        "weight.mean(dim=2).flatten(2)",
        id="pool-keeps-columns",
    ),
    pytest.param("HNPPool", "weight.mean(dim=2)", "weight.mean(dim=3)", id="hpool-wrong-axis"),
]


@pytest.mark.parametrize(("layer", "old", "new"), MISTAKES)
def test_copies_with_a_mistake_are_refused(layer: str, old: str, new: str) -> None:
    verdict = check(MLP, LAYERS[layer](changed(layer, old, new), network_spec(MLP)))
    assert not verdict.ok
    misshapen = "cannot be traced" in verdict.refusal.reason or "of shape" in verdict.refusal.reason
    assert misshapen or verdict.counterexample is not None
