"""Verdicts on alpha-maps, against what is measured: outputs with other alphas, and gradients.

A dead alpha changes no output beyond rounding and gets no gradient; a live one changes outputs and gets one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from emitted import module_of, weights
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strategies import describe, specs
from torch import Tensor

from qecompile.basis import derive, total_dim
from qecompile.codegen.emit import design
from qecompile.errors import SymError
from qecompile.judgement import is_alpha_live, judge_network, warn_of_dead_alpha
from qecompile.liveness import judge_alpha
from qecompile.resolve import load, parse
from qecompile.spec import Alpha, MetaNet, Spec

MLP = """space x = 3 : fixed   space h = 4 : permute * scale   space k = 3 : permute * scale
  param W : h <- x   param b : h   param V : k <- h   param c : k   param U : x <- k"""
ATTENTION = """space D = 3 : permute
  space head = 2 : permute { space qk = 2 : linear   space vo = 2 : linear }
  param W_Q : head qk <- D   param W_K : head qk* <- D
  param W_V : head vo <- D   param W_O : D <- head vo"""
ROPE = """space D = 3 : permute
  space freq = 2 : fixed { space plane = 2 : rotate * dilate }
  param W_Q : freq plane <- D   param W_K : freq plane* <- D"""
LORA = """space out = 4 : permute   space in = 3 : permute   space r = 2 : linear
  param B : out <- r   param A : r <- in"""


@dataclass(frozen=True)
class Measured:
    """The largest gradient of alpha's weights and the largest change of the output when they are redrawn.

    Both are relative: to the largest gradient of any weight, and to the largest output.
    """

    gradient: float
    change: float


def measure(spec: Spec, seed: int = 0) -> Measured:
    """Gradients and outputs of the only network of a spec, with weights of alpha of order one."""
    torch.manual_seed(seed)
    net = module_of(spec).MetaNet(dtype=torch.float64)
    theta = weights(spec, 3, seed)
    redraw(net)
    before = observe(spec, net(theta))
    (before * torch.randn_like(before)).sum().backward()
    gradients = {name: float(p.grad.abs().max()) for name, p in net.named_parameters() if p.grad is not None}
    alpha = max((value for name, value in gradients.items() if name.startswith("alpha")), default=0.0)
    redraw(net)
    change = float((observe(spec, net(theta)) - before).detach().abs().max() / before.detach().abs().max())
    return Measured(alpha / max(gradients.values()), change)


def redraw(net: torch.nn.Module) -> None:
    """Draw the weights of alpha, and shifts, so that nothing vanishes by accident."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("alpha"):
                p.normal_()


def observe(spec: Spec, output: Tensor | dict[str, Tensor]) -> Tensor:
    """An invariant output as it is; output weights by the function that they have."""
    if isinstance(output, Tensor):
        return output
    if set(output) == {"W", "b", "V", "c", "U"}:
        x = torch.linspace(-1, 1, 15, dtype=torch.float64).view(5, 3)
        h = torch.relu(torch.einsum("bij,nj->bni", output["W"], x) + output["b"][:, None])
        k = torch.relu(torch.einsum("bij,bnj->bni", output["V"], h) + output["c"][:, None])
        return torch.einsum("bij,bnj->bni", output["U"], k)
    q, k = output["W_Q"], output["W_K"]
    scores = torch.einsum("bhqd,bhqe->bhde", q, k).softmax(-1)
    values = torch.einsum("bdhv,bhve->bhde", output["W_O"], output["W_V"])
    return torch.cat([scores.flatten(1), values.flatten(1)], 1)


CASES = [
    # spaces, channels, alpha, readout, live, a word of the reason
    (MLP, "1, 6, 6", "shared", "invariant -> 3", False, "`readout invariant -> 3` is the same"),
    (MLP, "1, 6, 6", "shared", "equivariant", False, "`readout equivariant` gives weights moved as a whole"),
    (MLP, "1, 6", "independent", "invariant -> 3", False, "stays with its channel"),
    (MLP, "1, 6, 6", "covariant", "invariant -> 3", True, "`linear2` mixes 6 channels"),
    (MLP, "1, 6", "covariant", "invariant -> 3", False, "divides every channel by norms of its own"),
    (MLP, "1, 6", "covariant", "equivariant", True, "`readout equivariant` mixes 6 channels"),
    (MLP, "1, 1", "covariant", "equivariant", False, "there is one channel"),
    (MLP, "1, 1, 1", "covariant", "invariant -> 3", False, "there is one channel"),
    (MLP, "1, 1, 6", "covariant", "invariant -> 3", False, "nothing mixes channels before"),
    (MLP, "1, 6, 1", "covariant", "invariant -> 3", True, "`linear2` mixes 6 channels"),
    (ATTENTION, "1, 6, 6", "shared", "invariant -> 3", False, "one group element"),
    (ATTENTION, "1, 6, 6", "shared", "equivariant", False, "of the same function"),
    (ATTENTION, "1, 6", "independent", "invariant -> 3", False, "stays with its channel"),
    (ATTENTION, "1, 6", "covariant", "invariant -> 3", True, "`readout invariant -> 3` mixes 6 channels"),
    (ATTENTION, "1, 6", "covariant", "equivariant", True, "`qk`, `vo`"),
    (ATTENTION, "1, 1", "covariant", "invariant -> 3", False, "there is one channel"),
    (ROPE, "1, 6, 6", "covariant", "invariant -> 3", True, "`plane.rotate`, `plane.dilate`"),
    (ROPE, "1, 6", "independent", "invariant -> 3", False, "stays with its channel"),
    (LORA, "1, 6", "covariant", "invariant -> 3", True, "`r`"),
    (LORA, "1, 6", "independent", "invariant -> 3", False, "stays with its channel"),
]  # fmt: skip


def network(spaces: str, channels: str, alpha: str, readout: str) -> Spec:
    return parse(
        f"spec s {{ {spaces}\n metanet m {{ channels {channels} alpha {alpha}() readout {readout} }} }}"
    )


@pytest.mark.parametrize(("spaces", "channels", "alpha", "readout", "live", "reason"), CASES)
def test_the_verdict_is_what_is_measured(spaces, channels, alpha, readout, live, reason) -> None:
    spec = network(spaces, channels, alpha, readout)
    verdict = judge_network(spec).verdict
    assert verdict.live == live
    assert reason in verdict.why
    found = measure(spec)
    if live:
        assert found.gradient > 1e-7
        assert found.change > 1e-7
    else:
        assert found.gradient < 1e-12
        assert found.change < 1e-11


NOTHING = [
    ("space h = 4 : permute   param b : h   param W : [h, h]", "no continuous factor"),
    ("space h = 4 : permute * sign   param W : [h, h]", "no continuous factor"),
    ("space h = 4 : permute   space g = 3 : permute * scale   param W : [h, g^0]", "no continuous factor"),
    ("space h = 4 : permute   space o = 1 : orthogonal   param W : [h, o]", "no continuous factor"),
]


@pytest.mark.parametrize(("spaces", "reason"), NOTHING)
@pytest.mark.parametrize("family", ["shared", "covariant", "independent"])
def test_without_a_continuous_factor_every_alpha_is_dead(spaces: str, reason: str, family: str) -> None:
    verdict = judge_network(network(spaces, "1, 4", family, "invariant -> 2")).verdict
    assert not verdict.live
    assert reason in verdict.why


def test_without_a_layer_there_is_nothing_to_move() -> None:
    verdict = judge_network(network(MLP, "2", "covariant", "invariant -> 2")).verdict
    assert not verdict.live
    assert "no layer" in verdict.why


def test_vectors_alone_have_no_covariant_map_under_gl() -> None:
    spaces = "space q = 3 : linear   space h = 2 : permute   param v : q   param b : h"
    verdict = judge_network(network(spaces, "1, 4, 4", "covariant", "invariant -> 2")).verdict
    assert not verdict.live
    assert "no continuous factor has a covariant map" in verdict.why


def test_mixtures_that_stay_in_the_orbit_are_dead() -> None:
    """One number per neuron: whatever positive multiple alpha makes of it, the gauge divides it out."""
    spaces = "space h = 4 : permute * scale   space x = 3 : permute   param b : h   param d : x"
    spec = network(spaces, "1, 4, 4", "covariant", "invariant -> 2")
    verdict = judge_network(spec).verdict
    assert not verdict.live
    assert "mixed to points of the orbit" in verdict.why
    assert max(measure(spec, seed).gradient for seed in range(3)) < 1e-12
    assert "may still change its sign, which has no gradient" in verdict.why


def test_what_no_readout_reads_is_dead() -> None:
    """M alone has no dual, so no invariant sees the vectors that alpha moves."""
    spaces = """space q = 2 : linear   space x = 3 : permute   space y = 2 : orthogonal
      param v : q   param w : q   param b : x"""
    verdict = judge_network(network(spaces, "1, 4, 4", "covariant", "invariant -> 2")).verdict
    assert not verdict.live


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    specs(bound=300),
    st.sampled_from([(1, 4, 4), (1, 4), (1, 1, 3), (1, 3, 1)]),
    st.sampled_from(["covariant", "covariant", "shared", "independent"]),
)
def test_verdicts_on_random_specs_are_what_gradients_say(spec: Spec, channels, family: str) -> None:
    agree(spec, channels, family)


@pytest.mark.slow
@settings(max_examples=800, suppress_health_check=list(HealthCheck))
@given(
    specs(bound=400),
    st.sampled_from([(1, 4, 4), (1, 4), (1, 1), (1, 1, 3), (1, 3, 1)]),
    st.sampled_from(["covariant", "covariant", "shared", "independent"]),
)
def test_many_more_verdicts(spec: Spec, channels, family: str) -> None:
    agree(spec, channels, family)


def agree(spec: Spec, channels: tuple[int, ...], family: str) -> None:
    """The verdict and the gradients of three networks, one of which may have dead units, say the same."""
    assume(spec.parameters)
    assume(total_dim(derive(spec)) <= 300)
    net = MetaNet(name="m", channels=channels, alpha=Alpha(family=family), outputs=2)
    spec = spec.model_copy(update={"metanets": (net,)})
    try:
        d = design(spec)
    except SymError:
        assume(False)  # no invariant, or channels that an independent alpha must not mix
    assume(d.alpha is not None)
    verdict = judge_alpha(spec, d.net, d.plan, d.invariants, d.alpha)
    found = [measure(spec, seed).gradient for seed in range(3)]
    assume(all(map(math.isfinite, found)))  # gauges of nearly dead units overflow
    assert verdict.live == (max(found) > 1e-9), f"{verdict.why}: {found}\n{describe(spec)}"


# --- commands ------------------------------------------------------------------------------------------


def test_a_spec_without_an_alpha_is_told_what_each_family_would_do() -> None:
    spec = parse(f"spec s {{ {MLP}\n metanet m {{ channels 1, 4, 4  readout invariant -> 2 }} }}")
    verdict = judge_network(spec).verdict
    assert not verdict.live
    assert "`shared` would be dead" in verdict.why
    assert "`covariant` would be live" in verdict.why
    assert "`independent` would be refused (`linear2` mixes channels 4 -> 4)" in verdict.why


def test_alpha_is_live_if_that_of_some_network_is() -> None:
    shared = "metanet one { channels 1, 4, 4  alpha shared()  readout invariant -> 2 }"
    covariant = "metanet two { channels 1, 4, 4  alpha covariant()  readout invariant -> 2 }"
    assert is_alpha_live(parse(f"spec s {{ {MLP}\n {shared} {covariant} }}"))
    assert not is_alpha_live(parse(f"spec s {{ {MLP}\n {shared} }}"))
    assert not is_alpha_live(parse(f"spec s {{ {MLP} }}"))


def test_build_is_warned_of_a_dead_alpha_by_the_name_of_the_readout() -> None:
    spec = network(MLP, "1, 4, 4", "shared", "invariant -> 2")
    (warning,) = warn_of_dead_alpha(spec)
    assert warning.severity == "warning"
    assert "`alpha shared` is dead before `readout invariant -> 2`" in warning.message
    assert "`alpha covariant(...)`, which would be live" in warning.help
    assert warning.span is not None
    assert warn_of_dead_alpha(network(MLP, "1, 4, 4", "covariant", "invariant -> 2")) == ()
    assert warn_of_dead_alpha(parse(f"spec s {{ {MLP} }}")) == ()


class TestCommands:
    @pytest.fixture
    def file(self, tmp_path):
        def write(alpha: str, wanted: str = ""):
            path = tmp_path / "s.sym"
            net = f"metanet m {{ channels 1, 4, 4  alpha {alpha}  readout invariant -> 2 }}"
            path.write_text(f"spec s {{ {MLP}\n {net}\n {wanted} }}")
            return path

        return write

    def test_alpha_prints_the_promised_keys(self, qecompile, file):
        found = qecompile("alpha", file("covariant()"), "--json").json
        assert list(found) == ["factors", "live", "why"]
        assert all(list(f) == ["space", "component", "dim", "map"] for f in found["factors"])
        assert found["live"] is True
        assert [(f["space"], f["dim"]) for f in found["factors"]] == [("x", 0), ("h", 4), ("k", 3)]

    def test_alpha_prints_a_table(self, qecompile, file):
        outcome = qecompile("alpha", file("shared(epsilon = 0.1)"))
        assert outcome.code == 0
        assert "identity component: dimension 7" in outcome.out
        assert "metanet m, alpha shared: dead" in outcome.out

    @pytest.mark.parametrize(
        ("alpha", "is_live"), [("covariant()", True), ("shared()", False), ("none", False)]
    )
    @pytest.mark.parametrize("wanted", ["live", "dead"])
    def test_expectations_are_tested(self, qecompile, file, alpha, is_live, wanted):
        outcome = qecompile("check", file(alpha, f"expect alpha {wanted}"), "--json")
        holds = is_live == (wanted == "live")
        assert outcome.code == (0 if holds else 1)
        actual = "live" if is_live else "dead"
        assert outcome.json["expect"] == [{"text": f"alpha {wanted}", "ok": holds, "actual": actual}]

    def test_build_warns_and_reports_the_share(self, qecompile, file, tmp_path):
        outcome = qecompile("build", file("shared()"), "-o", tmp_path / "m.py")
        assert outcome.code == 0
        assert "warning[QE707]: `alpha shared` is dead before `readout invariant -> 2`" in outcome.err
        assert "the alpha-maps have" in outcome.out
        found = qecompile("build", file("covariant()"), "-o", tmp_path / "m.py", "--json")
        assert found.err == ""
        assert 0 < found.json["alpha_share"] < 1
        assert {"alpha1", "alpha2"} <= set(found.json["parts"])

    @pytest.mark.parametrize("command", ["check", "build", "alpha"])
    @pytest.mark.parametrize(
        ("alpha", "said"),
        [
            ("shared(epsilon = 1)", "is positive for eps < 1 only"),
            ("independent()", "`linear2` mixes channels 4 -> 4"),
        ],
    )
    def test_what_breaks_the_laws_is_refused_in_place(self, qecompile, file, tmp_path, command, alpha, said):
        options = ["-o", tmp_path / "m.py"] if command == "build" else []
        outcome = qecompile(command, file(alpha), *options)
        assert outcome.code == 2
        assert said in outcome.err
        assert "s.sym:" in outcome.err
        assert "^^^" in outcome.err


@pytest.mark.parametrize("name", ["mlp", "mha", "cnn_bn", "lora", "llama", "bert"])
def test_the_library_has_live_covariant_alphas(name: str, root) -> None:
    bert = {"layers": 1, "width": 8, "heads": 2, "hidden": 6, "vocab": 5, "length": 4}
    llama = {"layers": 1, "width": 6, "groups": 2, "queries": 2, "size": 4, "hidden": 5, "vocab": 3}
    small = {"bert": bert, "llama": llama}
    spec = load(root / "specs" / f"{name}.sym", arguments=small.get(name, {}))
    net = MetaNet(name="m", channels=(1, 4, 4), alpha=Alpha(family="covariant"), outputs=2)
    assert judge_network(spec.model_copy(update={"metanets": (net,)})).verdict.live
