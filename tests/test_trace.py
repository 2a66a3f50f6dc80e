"""Modules become graphs: operators whole and functional, constants with values, each line with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qecompile.verify.trace import Graph, Ref, Untraceable, trace

X = torch.empty(3, 5, 4)
HERE = Path(__file__).name


def targets(graph: Graph) -> list[str]:
    return [op.target for op in graph.ops]


# --- what a graph says ------------------------------------------------------------------------------------


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 0.0, 2.0]))

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        rows = torch.einsum("bijc,bjc->bic", x["W[1]"], x["b"])
        return {"b": self.mix(rows) * self.mask, "W[1]": x["W[1]"]}


def test_operators_stay_whole_and_inputs_and_outputs_keep_their_names() -> None:
    graph = trace(Layer(), {"W[1]": torch.empty(3, 5, 5, 4), "b": X})
    assert [i.path for i in graph.inputs] == [("W[1]",), ("b",)]
    assert [i.shape for i in graph.inputs] == [(3, 5, 5, 4), (3, 5, 4)]
    assert targets(graph) == ["aten.einsum.default", "aten.linear.default", "aten.mul.Tensor"]
    einsum, linear, scaled = graph.ops
    assert einsum.args == ("bijc,bjc->bic", (Ref(graph.inputs[0].name), Ref(graph.inputs[1].name)))
    assert graph.outputs == {"b": Ref(scaled.name), "W[1]": Ref(graph.inputs[0].name)}
    assert (linear.shape, linear.dtype) == ((3, 5, 4), torch.float32)


def test_weights_have_shapes_and_buffers_have_values() -> None:
    graph = trace(Layer(), {"W[1]": torch.empty(3, 5, 5, 4), "b": X})
    assert {graph.labels[name]: shape for name, shape in graph.parameters.items()} == {
        "mix.weight": (4, 4),
        "mix.bias": (4,),
    }
    ((name, value),) = graph.buffers.items()
    assert graph.labels[name] == "mask"
    assert value.tolist() == [1.0, 0.0, 0.0, 2.0]


def test_an_operation_tells_its_line_and_its_module() -> None:
    einsum, linear, _ = trace(Layer(), {"W[1]": torch.empty(3, 5, 5, 4), "b": X}).ops
    path, line, text = einsum.source.split(":", 2)
    assert Path(path).name == HERE
    assert Path(__file__).read_text().splitlines()[int(line) - 1].strip() == text.strip()
    assert "torch.einsum" in text
    assert (einsum.module, linear.module) == ("", "mix")
    assert "self.mix(rows)" in linear.source  # not a line of torch


def helper(x: Tensor) -> Tensor:
    return x.sinh()


def test_lines_in_helper_functions_are_found() -> None:
    class Calls(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return helper(x)

    (op,) = trace(Calls(), X, pack=lambda x: x).ops
    assert op.source.endswith("return x.sinh()")


def test_changes_in_place_become_functional() -> None:
    def diagonal(x: Tensor) -> Tensor:
        y = x.new_zeros(3, 4, 5, 5)
        y.diagonal(dim1=-2, dim2=-1).add_(x.mT)
        y[:, 0] *= 2
        return y

    graph = trace(diagonal, X)
    assert "aten.diagonal_scatter.default" in targets(graph)
    assert "aten.select_scatter.default" in targets(graph)
    assert not [t for t in targets(graph) if t.split(".")[1].endswith("_")]


def test_what_no_output_needs_is_left_out() -> None:
    def wasteful(x: Tensor) -> Tensor:
        x.sort(1)
        return x.relu()

    assert targets(trace(wasteful, X)) == ["aten.relu.default"]


def test_constants_made_on_the_way_have_values() -> None:
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0])

    def masked(x: Tensor) -> Tensor:
        pairs = torch.triu_indices(4, 4, 1)
        later = torch.arange(5)[:, None] > torch.arange(5)
        first, _ = torch.tensor([3.0, 1.0]).max(0)
        return (x * scale).unsqueeze(1).masked_fill(later[..., None], 0.0)[..., pairs[0]] * first * 2

    graph = trace(masked, X)
    assert "aten.arange.default" not in targets(graph)
    found = [value.tolist() for value in graph.constants.values()]
    assert [1.0, 2.0, 3.0, 4.0] in found
    assert [0, 0, 0, 1, 1, 2] in found
    assert 3.0 in found
    assert [[[False]] * 5, *([[True]] * i + [[False]] * (5 - i) for i in range(1, 5))] in found


def test_random_numbers_and_what_is_not_written_are_no_constants() -> None:
    graph = trace(lambda x: x + torch.rand(4) + torch.empty(4), X)
    assert {"aten.rand.default", "aten.empty.memory_format"} <= set(targets(graph))
    assert not graph.constants


def test_operations_with_several_results() -> None:
    op, *_ = trace(lambda x: x.split([1, 3], dim=-1)[1], X).ops
    assert op.parts == ((3, 5, 1), (3, 5, 3))
    nested = trace(lambda x: {"a": (x.relu(), [x.abs(), 2, None])}, X).outputs
    assert nested == {"a": (Ref("relu"), (Ref("abs_1"), 2, None))}


def test_regions_without_gradients_or_with_autocast_are_read_through() -> None:
    class Gauge(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                size = x.abs().amax(1, keepdim=True)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                product = x @ x.mT
            with torch.no_grad():
                return product * size.abs().sum()

    found = targets(trace(Gauge(), X))
    assert found.count("aten.abs.default") == 2
    assert "aten.amax.default" in found
    assert "aten.matmul.default" in found


# --- ways to write a module -------------------------------------------------------------------------------


def test_adapters_are_traced_too() -> None:
    graph = trace(
        nn.MultiheadAttention(4, 2, batch_first=True),
        {"b": X},
        pack=lambda theta: (theta["b"].flip(0), theta["b"], theta["b"]),
        unpack=lambda result: {"b": 2 * result[0]},
    )
    assert "aten.flip.default" in targets(graph)
    assert targets(graph)[-1] == "aten.mul.Tensor"
    assert graph.inputs[0].path == ("b",)
    assert set(graph.outputs) == {"b"}


def test_the_module_is_traced_in_eval_mode_and_left_as_it_was() -> None:
    module = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(5).eval())
    graph = trace(module, X)
    assert not [t for t in targets(graph) if "native_dropout" in t]
    assert graph.notes
    assert module[0].training
    assert not module[1].training
    assert not trace(module.eval(), X).notes
    assert "aten.native_dropout.default" in targets(trace(lambda x: nn.functional.dropout(x), X))


def test_a_network_for_the_weights_of_bert_costs_no_memory() -> None:
    module = nn.Linear(30522, 30522, device="meta")
    (op,) = trace(module, torch.empty(3, 768, 30522, device="meta")).ops
    assert op.shape == (3, 768, 30522)


def test_vmap_and_checkpointing_are_seen_through() -> None:
    def attend(x: Tensor) -> Tensor:
        rows = torch.vmap(lambda one: one.softmax(0) * one.sum())(x)
        return torch.utils.checkpoint.checkpoint(torch.relu, rows, use_reentrant=False)

    assert targets(trace(attend, X))[-1] == "aten.relu.default"


def test_layers_of_torch_take_no_fused_shortcuts() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    assert not [t for t in targets(trace(layer, X)) if "_transformer_encoder_layer_fwd" in t]


def test_operators_without_a_rule_are_written_out_in_those_that_have_one() -> None:
    graph = trace(lambda x: torch.special.expit(torch.linalg.vecdot(x, x)), X)
    assert targets(graph) == ["aten.mul.Tensor", "aten.sum.dim_IntList", "aten.sigmoid.default"]


def test_einops_is_seen_through() -> None:
    einops = pytest.importorskip("einops")
    graph = trace(
        lambda x: einops.einsum(einops.rearrange(x, "b n c -> b c n"), x, "b c n, b n d -> b c d"), X
    )
    assert targets(graph) == ["aten.permute.default", "aten.einsum.default"]
    assert all("einops.rearrange(x" in op.source for op in graph.ops)


# --- refusals ---------------------------------------------------------------------------------------------


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x
        return -x


def test_a_branch_on_numbers_is_refused_with_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Untraceable, match=r"decision by the numbers.*torch\.where") as found:
        trace(Branches(), X)
    assert capfd.readouterr() == ("", "")  # torch has more to say
    assert found.value.source.endswith("if x.sum() > 0:")
    assert HERE in found.value.source


@pytest.mark.parametrize("pick", [lambda x: x[x > 0], lambda x: torch.nonzero(x)])
def test_a_size_that_depends_on_numbers_is_refused_with_its_line(pick: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(Untraceable, match=r"size of what .* depends on the numbers") as found:
        trace(pick, X)
    assert "lambda x:" in found.value.source


def test_leaving_torch_is_refused_with_its_line() -> None:
    with pytest.raises(Untraceable, match="cannot be traced") as found:
        trace(lambda x: torch.as_tensor(x.numpy()), X)
    assert "x.numpy()" in found.value.source


def test_a_wrong_shape_is_refused_with_its_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Untraceable, match="cannot be traced") as found:
        trace(lambda x: x @ torch.ones(7, 7), X)
    assert capfd.readouterr() == ("", "")
    assert "torch.ones(7, 7)" in found.value.source


def test_a_module_that_changes_its_buffers_is_refused() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x * (self.calls > 1)

    with pytest.raises(Untraceable, match="changes its `calls`"):
        trace(Counts(), X)
