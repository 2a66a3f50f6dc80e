"""Verdicts on modules: what is claimed, what a proof and a refusal say, when numbers refute."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.verify.claims import ClaimError
from qecompile.verify.equivariance import check_module

MLP = qe.parse("""
spec mlp {
  space x = 3 : fixed  space h = 4 : permute * scale  space y = 2 : fixed
  param W1 : h <- x    param b1 : h    param W2 : y <- h    param b2 : y
}
""")
PLAIN = qe.parse("spec plain { space h = 4 : permute  param W : h <- h  param b : h }")
Weights = dict[str, Tensor]


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6, bias=False)

    def forward(self, theta: Weights) -> Weights:
        return {"b1": self.map(theta["b1"]).relu()}


# --- proofs -----------------------------------------------------------------------------------------------


def test_a_proof_names_its_claim_and_every_step() -> None:
    verdict = check_module(MLP, Rows(), channels=6)
    assert verdict.ok
    assert verdict.claim == "equivariant"
    assert verdict.outputs == ("output `b1` is equivariant as b1",)
    assert [step.target for step in verdict.steps] == ["aten.linear.default", "aten.relu.default"]
    assert "scale: 1" in verdict.steps[-1].type
    assert "self.map" in verdict.steps[0].source
    assert verdict.refusal is None
    assert verdict.counterexample is None
    assert "2 operations" in str(verdict)


def test_outputs_under_other_names_are_invariant_unless_it_is_said() -> None:
    def both(theta: Weights) -> tuple[Weights, Tensor]:
        return {"b": theta["b"]}, theta["b"].mean(1)

    verdict = check_module(PLAIN, both)
    assert verdict.ok
    assert verdict.outputs == ("output `0.b` is equivariant as b", "output `1` is invariant")
    assert not check_module(PLAIN, both, output="invariant").ok
    assert check_module(PLAIN, lambda theta: theta["b"], output_types={"": "b"}).ok
    assert check_module(PLAIN, lambda theta: theta["W"].mT, output_types={"": "W"}).ok
    assert not check_module(PLAIN, lambda theta: theta["b"]).ok
    with pytest.raises(ClaimError, match="output_types"):
        check_module(PLAIN, lambda theta: theta["b"], output="equivariant")


def test_inputs_come_with_channels_last_first_or_without() -> None:
    assert check_module(PLAIN, lambda theta: {"b": theta["W"].mean(2)}, channels=3).ok
    assert check_module(PLAIN, lambda theta: {"b": theta["W"].mean(3)}, channels=3, layout="first").ok
    assert check_module(PLAIN, lambda theta: {"b": theta["W"].mean(2)}).ok
    assert check_module(PLAIN, lambda theta: {"b": theta["W"].sum((2, 3))}, channels=3).ok  # pooled channels


def test_adapters_fit_any_signature() -> None:
    class Odd(nn.Module):
        def forward(self, weights: list[Tensor], *, bias: Tensor) -> object:
            return type("Result", (), {"weights": [weights[0] * 2], "bias": bias})()

    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.odd = Odd()

        def forward(self, weights: list[Tensor], bias: Tensor) -> object:
            return self.odd(weights, bias=bias)

    verdict = check_module(
        PLAIN,
        Called(),
        pack=lambda theta: ([theta["W"]], theta["b"]),
        unpack=lambda found: {"W": found.weights[0], "b": found.bias},
    )
    assert verdict.ok
    broken = check_module(
        PLAIN,
        Called(),
        pack=lambda theta: ([theta["W"].flip(1)], theta["b"]),
        unpack=lambda found: {"W": found.weights[0], "b": found.bias},
    )
    assert not broken.ok


def test_weights_of_the_module_may_be_anything() -> None:
    module = Rows()
    with torch.no_grad():
        module.map.weight.zero_()
    assert check_module(MLP, module, channels=6).ok


def test_a_spec_of_the_size_of_bert_costs_no_memory() -> None:
    spec = qe.parse(
        "spec large { space v = 30522 : fixed  space D = 768 : permute  param E : v <- D  param b : D }"
    )

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(30522, 30522, device="meta")

        def forward(self, theta: Weights) -> Weights:
            return {"E": self.map(theta["E"].mT).mT}

    assert check_module(spec, Large()).ok


# --- refusals ---------------------------------------------------------------------------------------------


class AddsBias(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6)
        nn.init.zeros_(self.map.bias)

    def forward(self, theta: Weights) -> Weights:
        return {"W2": theta["W2"], "b1": self.map(theta["b1"])}


def test_a_refusal_names_operation_rule_types_and_line() -> None:
    verdict = check_module(MLP, AddsBias(), channels=6)
    assert not verdict.ok
    assert verdict.claim == "refused"
    text = str(verdict)
    assert "aten.linear" in text
    assert "scale: 1" in text
    assert 'return {"W2": theta["W2"], "b1": self.map(theta["b1"])}' in text


def test_a_counterexample_is_found_where_the_modules_own_weights_hide_it() -> None:
    verdict = check_module(MLP, AddsBias(), channels=6)
    gap = verdict.counterexample
    assert gap is not None
    assert gap.factor == "h: scale"
    assert gap.claim == "output `b1` is equivariant as b1"
    assert gap.size > 1e-3
    assert str(gap) in str(verdict)
    assert check_module(MLP, AddsBias(), channels=6, search=False).counterexample is None


def test_without_a_counterexample_the_refusal_says_so() -> None:
    def even(theta: Weights) -> Tensor:  # x and -x change places: no rule sees it
        return torch.cat((theta["b"], -theta["b"]), dim=1).sigmoid().sum(1)

    spec = qe.parse("spec signs { space h = 4 : permute * sign  param b : h }")
    verdict = check_module(spec, even)
    assert not verdict.ok
    assert verdict.counterexample is None
    assert "the rules may miss a proof" in str(verdict)


def test_a_module_that_branches_is_refused_with_its_line_and_measured() -> None:
    def branches(theta: Weights) -> Weights:
        if theta["b"][0, 0] > 0:
            return {"b": theta["b"]}
        return {"b": -theta["b"]}

    verdict = check_module(PLAIN, branches)
    assert "decision by the numbers" in str(verdict)
    assert 'if theta["b"][0, 0] > 0:' in verdict.refusal.source
    assert verdict.counterexample is not None


def test_a_module_that_fails_is_refused_with_its_line() -> None:
    verdict = check_module(PLAIN, lambda theta: {"b": theta["c"]})
    assert "KeyError: 'c'" in str(verdict)


def test_the_claim_is_judged_at_the_output() -> None:
    verdict = check_module(PLAIN, lambda theta: {"b": theta["W"].mean(1), "mean": theta["b"]})
    assert not verdict.ok
    assert verdict.refusal.rule == "claim"
    assert "mean" in str(verdict.refusal)


def test_modules_are_left_as_they_were() -> None:
    module = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(4))
    before = {name: t.clone() for name, t in module.state_dict().items()}
    verdict = check_module(
        PLAIN, module, pack=lambda theta: (theta["b"],), unpack=lambda x: {"b": x.cumsum(1)}
    )
    assert not verdict.ok
    assert module.training
    assert module[0].training
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())
    assert "eval mode" in verdict.notes[0]
