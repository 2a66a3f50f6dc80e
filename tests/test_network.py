"""Derivations of emitted networks, layer by layer: who keeps a cocycle, who makes one, who erases it."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.spec import Spec
from qecompile.verify.network import derive_network

TEXT = """
spec mlp {{
  space x = 3 : fixed  space h = 4 : permute * scale  space y = 2 : fixed
  param W1 : h <- x    param b1 : h    param W2 : y <- h    param b2 : y
  metanet m {{ channels {channels}  readout {readout}  alpha {alpha} }}
}}
"""


@cache
def emitted(
    alpha: str, readout: str = "invariant -> 3", channels: str = "1, 4, 4"
) -> tuple[Spec, ModuleType]:
    spec = qe.parse(TEXT.format(alpha=alpha, readout=readout, channels=channels))
    return spec, qe.build(spec)


def lines(spec: Spec, network: nn.Module) -> list[str]:
    return [str(layer) for layer in derive_network(spec, network).layers]


# --- emitted networks -------------------------------------------------------------------------------------


def test_without_alpha_every_cocycle_is_strict() -> None:
    spec, module = emitted("none")
    found = derive_network(spec, module.MetaNet())
    assert (found.ok, found.claim) == (True, "invariant")
    assert [layer.cocycle for layer in found.layers] == ["strict"] * 4 + [""]
    assert [layer.kind for layer in found.layers][::2] == [
        "EquivariantLinear",
        "EquivariantLinear",
        "InvariantReadout",
    ]


def test_a_shared_alpha_makes_a_cocycle_that_maps_keep_and_a_readout_erases() -> None:
    spec, module = emitted("shared")
    assert lines(spec, module.MetaNet()) == [
        "linear1 (EquivariantLinear) is equivariant; cocycle strict",
        "alpha1 (Alpha) is quasi-equivariant; cocycle alpha1",
        "activate (activate) is equivariant; cocycle alpha1",
        "linear2 (EquivariantLinear) is equivariant; cocycle alpha1",
        "alpha2 (Alpha) is quasi-equivariant; cocycle alpha2 after alpha1",
        "activate_1 (activate) is equivariant; cocycle alpha2 after alpha1",
        "readout (InvariantReadout) is invariant; no cocycle is left",
    ]


def test_an_equivariant_readout_keeps_the_cocycle() -> None:
    spec, module = emitted("shared", "equivariant")
    assert derive_network(spec, module.MetaNet()).claim == "quasi-equivariant"
    spec, module = emitted("none", "equivariant")
    assert derive_network(spec, module.MetaNet()).claim == "equivariant"


def test_a_covariant_alpha_is_an_equivariant_map() -> None:
    spec, module = emitted("covariant")
    assert [layer.cocycle for layer in derive_network(spec, module.MetaNet()).layers] == ["strict"] * 6 + [""]


def test_a_cocycle_for_each_channel_leaves_the_decision_to_the_operations() -> None:
    spec, module = emitted("independent", channels="1, 4")
    found = derive_network(spec, module.MetaNet())
    assert (found.ok, found.claim) == (True, "invariant")
    assert found.verdicts["network"].ok


def test_layers_that_differ_in_their_weights_only_are_proved_once() -> None:
    spec, module = emitted("none", channels="4, 4, 4, 4")

    found = derive_network(spec, deeper(module))
    assert len([layer for layer in found.layers if layer.kind == "EquivariantLinear"]) == 4
    assert [name for name in found.verdicts if name.startswith("linear")] == ["linear1", "linear2"]


def deeper(module: ModuleType) -> nn.Module:
    """A network with three layers from 4 to 4 channels."""

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear1 = module.EquivariantLinear(1, 4)
            self.linear2, self.linear3, self.linear4 = (module.EquivariantLinear(4, 4) for _ in range(3))

        def forward(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
            x = self.linear1({name: theta[name].unsqueeze(-1) for name in module.SHAPES})
            return self.linear4(self.linear3(self.linear2(x)))

    Deep.__module__ = module.__name__
    return Deep()


# --- networks that are put together wrongly ---------------------------------------------------------------


def test_features_with_different_cocycles_must_not_meet() -> None:
    spec, module = emitted("shared")

    class HalfMoved(module.MetaNet):
        def forward(self, theta: dict[str, Tensor]) -> Tensor:
            x = self.linear1({name: theta[name].unsqueeze(-1) for name in module.SHAPES})
            moved = self.alpha1(x)
            return self.readout({name: moved[name] if name[0] == "W" else x[name] for name in module.SHAPES})

    HalfMoved.__module__ = module.__name__
    found = derive_network(spec, HalfMoved())
    assert not found.ok
    assert "different cocycles meet: alpha1 with 4 channels, strict with 4 channels" in found.reason


def test_a_sum_needs_equal_cocycles() -> None:
    spec, module = emitted("shared")

    class Residual(module.MetaNet):
        moved = True

        def forward(self, theta: dict[str, Tensor]) -> Tensor:
            x = self.linear1({name: theta[name].unsqueeze(-1) for name in module.SHAPES})
            y = self.alpha1(x) if self.moved else self.linear2(x)
            return self.readout({name: x[name] + y[name] for name in module.SHAPES})

    Residual.__module__ = module.__name__
    assert (
        "a sum needs equal types and equal cocycles, not strict, alpha1"
        in derive_network(spec, Residual()).reason
    )
    Residual.moved = False
    assert derive_network(spec, Residual()).claim == "invariant"


def test_a_tensor_under_the_name_of_another_is_refused() -> None:
    spec, module = emitted("none")

    class Swapped(module.MetaNet):
        def forward(self, theta: dict[str, Tensor]) -> Tensor:
            x = {name: theta[name].unsqueeze(-1) for name in module.SHAPES}
            return self.readout(self.linear1(x | {"b1": x["b2"]}))

    Swapped.__module__ = module.__name__
    assert "`b1` is not given a tensor of its own type" in derive_network(spec, Swapped()).reason


def test_a_leaf_that_is_not_proved_is_named() -> None:
    spec, module = emitted("none")

    class Biased(module.EquivariantLinear):
        def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: t + 1 for name, t in super().forward(x).items()}

    Biased.__module__ = module.__name__
    network = module.MetaNet()
    network.linear2 = Biased(4, 4)
    found = derive_network(spec, network)
    assert not found.ok
    assert "`linear2` is not proved" in found.reason
    assert "t + 1" in found.reason


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (lambda t: torch.tanh(t), "stands between layers"),
        (lambda t: t.sigmoid(), "has no law"),
        (lambda t: t.unsqueeze(-1), "has no law"),
        (lambda t: t + 1, "a sum needs"),
    ],
)
def test_what_stands_between_layers_needs_a_law(between, reason: str) -> None:
    spec, module = emitted("none")

    class Between(module.MetaNet):
        def forward(self, theta: dict[str, Tensor]) -> Tensor:
            x = self.linear1({name: theta[name].unsqueeze(-1) for name in module.SHAPES})
            return self.readout({name: between(x[name]) for name in module.SHAPES})

    Between.__module__ = module.__name__
    assert reason in derive_network(spec, Between()).reason
