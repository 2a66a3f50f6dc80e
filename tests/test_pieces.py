"""Codes of layers and masks of blocks: they may differ from layer to layer, and not within one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import qecompile as qe
from qecompile.testing import assert_equivariant
from qecompile.verify.equivariance import check_module

SPEC = qe.parse("""
spec mlp {
  space x = 3 : fixed   space h = 4 : permute   space g = 4 : permute
  param b : h   param c : g   param d : x
}
""")
BLOCKS = torch.tensor([0] * 3 + [1] * 4 + [2] * 4)
SHIFTED = torch.tensor([0] * 3 + [1] * 3 + [2] * 5)
Layer = Callable[["Nodes", Tensor, Tensor], Tensor]


class Nodes(nn.Module):
    """All neurons in one list, changed by a layer that knows which block each of them belongs to."""

    def __init__(self, layer: Layer, blocks: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.code, self.map = nn.Embedding(3, 6), nn.Linear(6, 6)
        self.register_buffer("blocks", blocks)
        self.sizes = torch.bincount(blocks).tolist()

    def forward(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        nodes = torch.cat([theta["d"], theta["b"], theta["c"]], dim=1)
        found = self.layer(self, nodes, self.blocks)
        d, b, c = found.split([3, 4, 4], dim=1)
        return {"d": d, "b": b, "c": c}


def rows(net: Nodes) -> Tensor:
    """One code for each block, put side by side by hand."""
    return torch.cat([net.code.weight[k].expand(n, 6) for k, n in enumerate(net.sizes)])


LAYERS: dict[str, Layer] = {
    "a code looked up": lambda net, x, blocks: x + net.code(blocks),
    "a code indexed and mapped": lambda net, x, blocks: x * net.map(net.code.weight[blocks])[None].sigmoid(),
    "codes side by side": lambda net, x, blocks: net.map(x + rows(net)),
    "a mask of blocks": lambda net, x, blocks: F.scaled_dot_product_attention(
        x, x, x, attn_mask=blocks[:, None] >= blocks
    ),
    "scores masked by hand": lambda net, x, blocks: (
        (x @ x.mT).masked_fill(blocks[:, None] != blocks, float("-inf")).softmax(-1) @ x
    ),
    "a sum over a block": lambda net, x, blocks: x + (x * (blocks == 1)[:, None]).sum(1, keepdim=True),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("blocks", [BLOCKS, SHIFTED], ids=["as they are", "shifted"])
def test_what_differs_within_a_layer_is_refused(name: str, blocks: Tensor) -> None:
    module = Nodes(LAYERS[name], blocks)
    verdict = check_module(SPEC, module, channels=6, search=False)
    if blocks is BLOCKS:
        assert verdict.ok, verdict.refusal
        assert_equivariant(SPEC, module, channels=6)
    else:
        assert not verdict.ok
        with pytest.raises(AssertionError, match="not equivariant"):
            assert_equivariant(SPEC, module, channels=6)


def test_fixed_axes_may_have_a_code_for_each_place() -> None:
    """The first three nodes are inputs, which keep their places."""
    blocks = torch.tensor([0, 1, 2] + [1] * 4 + [0] * 4)
    assert check_module(SPEC, Nodes(LAYERS["a code looked up"], blocks), channels=6, search=False).ok
