"""The tools for a user's own tests: what passes, and what a failure tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.testing import ClaimError, assert_equivariant, assert_invariant, prove_equivariant

TEXT = """
spec mlp {
  space x = 3 : fixed  space h = 4 : permute * scale  space y = 2 : fixed
  param W1 : h <- x    param b1 : h    param W2 : y <- h    param b2 : y
}
"""
MLP = qe.parse(TEXT)
Weights = dict[str, Tensor]
TOOLS = [assert_equivariant, prove_equivariant]


class Good(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6, bias=False)

    def forward(self, theta: Weights) -> Weights:
        return {"b1": self.map(theta["b1"]).relu(), "b2": theta["b2"]}


class Bad(Good):
    def forward(self, theta: Weights) -> Weights:
        return {"b1": self.map(theta["b1"]).tanh(), "b2": theta["b2"]}


@pytest.mark.parametrize("tool", TOOLS)
def test_an_equivariant_module_passes(tool: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / "mlp.sym").write_text(TEXT)
    tool(MLP, Good(), channels=6)
    tool(tmp_path / "mlp.sym", Good(), channels=6)
    tool(str(tmp_path / "mlp.sym"), Good().double(), channels=6)


def test_a_measured_failure_names_factor_output_entry_and_dtype() -> None:
    with pytest.raises(AssertionError) as failed:
        assert_equivariant(MLP, Bad(), channels=6)
    text = str(failed.value)
    assert text.startswith("not equivariant under the group of spec mlp: 1 output(s) off by more than 1e-08")
    first, second, *_ = text.splitlines()[1:]
    assert "under `h: scale`: output `b1` is equivariant as b1, but is off by" in first
    assert "float64, seed" in first
    assert "all factors together" in second
    assert "h: permute" not in text  # that one holds


def test_an_unproved_module_fails_with_operation_line_and_numbers() -> None:
    with pytest.raises(AssertionError) as failed:
        prove_equivariant(MLP, Bad(), channels=6)
    text = str(failed.value)
    assert "aten.tanh" in text
    assert 'self.map(theta["b1"]).tanh()' in text
    assert "counterexample under `h: scale`" in text


def test_a_proof_can_be_read() -> None:
    verdict = prove_equivariant(MLP, Good(), channels=6)
    assert [step.rule for step in verdict.steps]
    assert verdict.claim == "equivariant"


def test_quasi_equivariance_passes_only_if_asked_for() -> None:
    def alpha(theta: Weights) -> Weights:
        scale = 1 + 0.1 * torch.sin(theta["b1"].cumsum(1))
        inside = {"W1": theta["W1"] * scale[..., None], "b1": theta["b1"] * scale}
        return inside | {"W2": theta["W2"] / scale[:, None]}

    assert prove_equivariant(MLP, alpha, quasi=True).claim == "quasi-equivariant"
    with pytest.raises(AssertionError, match="quasi-equivariant only"):
        prove_equivariant(MLP, alpha)
    with pytest.raises(AssertionError, match="h: permute"):
        assert_equivariant(MLP, alpha)


def test_invariance_is_measured_on_its_own() -> None:
    def paths(theta: Weights) -> Tensor:
        return theta["W2"] @ theta["W1"]

    assert_invariant(MLP, paths)
    with pytest.raises(AssertionError, match="output `b1` is invariant"):
        assert_invariant(MLP, lambda theta: {"b1": theta["b1"]})


def test_precision_is_judged_in_each_dtype() -> None:
    def rough(theta: Weights) -> Weights:
        return {"b1": theta["b1"].half().to(theta["b1"].dtype)}

    with pytest.raises(AssertionError, match="float64"):
        assert_equivariant(MLP, rough)
    assert_equivariant(MLP, rough, dtypes=[torch.float32])
    assert_equivariant(MLP, rough, tolerance={torch.float64: 1e-2})
    with pytest.raises(AssertionError, match="float32"):
        assert_equivariant(MLP, rough, tolerance={torch.float64: 1e-2, torch.float32: 1e-6})
    assert_equivariant(MLP, Good(), channels=6, dtypes=[torch.bfloat16])


def test_nan_fails() -> None:
    with pytest.raises(AssertionError, match="off by inf"):
        assert_equivariant(MLP, lambda theta: {"b1": theta["b1"].log()})
    with pytest.raises(AssertionError, match="off by inf"):
        assert_invariant(MLP, lambda theta: theta["b2"] / 0 * 0)


def test_weights_may_be_drawn_by_the_caller() -> None:
    spec = qe.parse("spec bn { space c = 4 : permute * scale  param mean : c  param var : c^2 }")

    def normalised(theta: Weights) -> Tensor:
        return (theta["mean"] / theta["var"].sqrt()).abs().mean(1)

    def drawn(seed: int) -> Weights:
        generator = torch.Generator().manual_seed(seed)
        return {
            "mean": torch.randn(2, 4, generator=generator),
            "var": torch.rand(2, 4, generator=generator) + 0.1,
        }

    assert_invariant(spec, normalised, weights=drawn)
    with pytest.raises(AssertionError, match="inf"):
        assert_invariant(spec, normalised)


@pytest.mark.parametrize("tool", TOOLS)
def test_an_output_of_the_wrong_shape_fails(tool: Callable[..., object]) -> None:
    with pytest.raises(AssertionError, match=r"b1.*\[.*3\]"):
        tool(MLP, lambda theta: {"b1": theta["W1"].mean(1)})


def test_the_module_stays_as_it_was() -> None:
    module = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Dropout(0.5))
    before = module[0].weight.clone()
    assert_equivariant(
        MLP, module, channels=6, pack=lambda theta: theta["b1"], unpack=lambda y: {"b1": y.relu_()}
    )
    assert module.training
    assert module[0].weight.dtype == torch.float32
    assert torch.equal(module[0].weight, before)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("tool", TOOLS)
def test_an_unclear_claim_is_no_failure_of_the_module(tool: Callable[..., object]) -> None:
    with pytest.raises(ClaimError, match="output_types"):
        tool(MLP, lambda theta: theta["b1"], output="equivariant")
    with pytest.raises(qe.SymError):
        tool("no/such/file.sym", Good())


def test_a_failure_points_at_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import qecompile as qe
        from qecompile.testing import assert_equivariant

        def test_mine():
            spec = qe.parse("spec s { space h = 4 : permute  param b : h }")
            assert_equivariant(spec, lambda theta: {"b": theta["b"].cumsum(1)})
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([">       assert_equivariant(spec, lambda *", "E *under `h: permute`*"])
    result.stdout.no_fnmatch_line("*as_function*")


pytest_plugins = ("pytester",)
