"""`infer`: from a module to a spec, each factor of which the module confirms.

Networks that no spec of the library describes. Of each the text is read again, its group compared with what
is known, and every generator tried on the module once more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import qecompile as qe
from qecompile.formatter import format_text
from qecompile.inference.inputs import infer_target
from qecompile.model.network import Network
from qecompile.model.preserve import check_preserved
from qecompile.orbit import orbit_dim
from qecompile.spec import Spec


def known(text: str) -> tuple[dict[str, str], Spec]:
    """The groups of the spaces that are not fixed, as `size group`, and the spec."""
    spec = qe.parse(text)
    moving = {s.name: f"{s.size} {s.group}" for s in spec.spaces if s.group != "fixed"}
    return moving, spec


def inferred(module: nn.Module, *inputs: Tensor, **kwargs: Tensor) -> tuple[dict[str, str], Spec, str]:
    """The spec of a module, laid out as `fmt` would, and confirmed by another trial than the one before."""
    torch.manual_seed(0)
    text = qe.infer(module, *inputs, model="nowhere:made", **kwargs)
    assert format_text(text) == text
    assert max(map(len, text.splitlines())) <= 130
    groups, spec = known(text)
    found = check_preserved(Network(spec, module=copy.deepcopy(module)), seed=7)
    assert found.ok, [*map(str, found.failures)]
    return groups, spec, text


class Apply(nn.Module):
    """A function of an input and the layers that it is given."""

    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def tied() -> nn.Module:
    module = Apply(lambda m, x: m.out(torch.tanh(m.a(m.e(x)))), e=nn.Embedding(7, 4), a=nn.Linear(4, 4))
    module.out = nn.Linear(4, 7, bias=False)
    module.out.weight = module.e.weight
    return module


class Experts(nn.Module):
    """A mixture of three dense experts."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.route, self.b = nn.Linear(2, 4), nn.Linear(4, 3), nn.Linear(4, 2)
        self.up, self.down = nn.Parameter(torch.randn(3, 4, 5)), nn.Parameter(torch.randn(3, 5, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(x))
        inner = torch.einsum("bd,edf->bef", x, self.up).relu()
        mixed = torch.einsum("be,bef,efd->bd", self.route(x).softmax(-1), inner, self.down)
        return self.b(torch.tanh(x + mixed))


class Cells(nn.Module):
    """Two recurrent cells, one above the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.LSTMCell(2, 3), nn.GRUCell(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(x.shape[0], 3)
        g = x.new_zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h, c = self.a(x[:, t], (h, c))
            g = self.b(h, g)
        return self.head(g)


def gated(m: Apply, x: Tensor) -> Tensor:
    return m.down(F.silu(m.gate(x)) * m.up(x))


def attend(m: Apply, x: Tensor) -> Tensor:
    """Two heads by hand, from one packed projection."""
    x = torch.tanh(m.inputs(x))
    q, k, v = (t.view(2, 5, 2, 3).transpose(1, 2) for t in m.qkv(x).chunk(3, -1))
    mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
    return m.head(torch.tanh(x + m.out(mixed.transpose(1, 2).reshape(2, 5, 6))))


def residual(m: Apply, x: Tensor) -> Tensor:
    x = F.relu(m.stem(x))
    x = F.relu(x + m.second(F.relu(m.first(x))))
    return m.head(x.flatten(1))


@dataclass(frozen=True)
class Case:
    """A network with its input, the groups of its spaces, and the dimension of its orbit."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    groups: tuple[str, ...]
    dimension: int


def layers(*given: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*map(copy.deepcopy, given))


def normal(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(shape)


def tokens(*shape: int, below: int) -> Callable[[], Tensor]:
    return lambda: torch.randint(below, shape)


CASES = {
    "no hidden layer": Case(layers(nn.Linear(3, 2)), normal(4, 3), (), 0),
    "equal widths everywhere": Case(
        layers(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)),
        normal(4, 4),
        ("4 permute * scale",) * 2,
        8,
    ),
    "width one": Case(
        layers(nn.Linear(3, 1), nn.ReLU(), nn.Linear(1, 2)), normal(8, 3), ("1 permute * scale",), 1
    ),
    "every second is odd": Case(
        layers(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 2)),
        normal(4, 3),
        ("5 permute * sign", "4 permute"),
        0,
    ),
    "even": Case(
        lambda: Apply(lambda m, x: m.b(m.a(x).cos()), a=nn.Linear(3, 4), b=nn.Linear(4, 2)),
        normal(5, 3),
        ("4 permute * sign",),
        0,
    ),
    "nothing between": Case(
        layers(nn.Linear(5, 3), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
        normal(4, 5),
        ("3 linear", "4 permute * scale"),
        13,
    ),
    "gated": Case(
        lambda: Apply(gated, gate=nn.Linear(3, 6), up=nn.Linear(3, 6), down=nn.Linear(6, 2)),
        normal(4, 3),
        ("6 permute * scale * sign",),
        6,
    ),
    "convolutions, one of each channel, flattened": Case(
        layers(
            *(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 2)),
        ),
        normal(2, 3, 8, 8),
        ("4 permute * scale(s1) * scale(s2)", "5 permute * scale"),
        13,
    ),
    # before the norm; after it; and a gain that a running variance divides out
    "batch norm without epsilon": Case(
        layers(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3, eps=0.0), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)),
        normal(3, 2, 5),
        ("3 permute * scale(s1) * scale(s2) * scale(s3) * sign",),
        9,
    ),
    "a residual stream of channels": Case(
        lambda: Apply(
            residual,
            stem=nn.Conv2d(1, 4, 3),
            first=nn.Conv2d(4, 4, 3, padding=1),
            second=nn.Conv2d(4, 4, 3, padding=1),
            head=nn.Linear(16, 2),
        ),
        normal(2, 1, 4, 4),
        ("4 permute * scale", "4 permute * scale"),
        8,
    ),
    "experts": Case(
        lambda: Experts(), normal(6, 2), ("3 permute", "5 permute * scale", "4 permute * sign"), 15
    ),
    "a norm over groups": Case(
        layers(
            *(nn.Conv2d(1, 6, 3), nn.GroupNorm(2, 6), nn.GELU(), nn.Conv2d(6, 4, 1, groups=2), nn.GELU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        ),
        normal(2, 1, 5, 5),
        ("2 permute", "3 permute", "2 permute"),
        0,
    ),
    "a transposed convolution, joined": Case(
        lambda: Apply(
            lambda m, x: m.c(torch.cat([m.a(x).relu(), m.b(m.a(x).relu()).relu()], 1)),
            a=nn.Conv2d(1, 3, 3),
            b=nn.ConvTranspose2d(3, 3, 1),
            c=nn.Conv2d(6, 1, 1),
        ),
        normal(2, 1, 4, 4),
        ("3 permute * scale", "3 permute * scale"),
        6,
    ),
    "cells": Case(Cells, normal(2, 2, 2), ("3 permute * sign", "4 permute * sign"), 0),
    "a tied embedding": Case(tied, tokens(5, below=7), ("4 permute * sign",), 0),
    "packed attention": Case(
        lambda: Apply(
            attend,
            inputs=nn.Linear(3, 6),
            qkv=nn.Linear(6, 18),
            out=nn.Linear(6, 6),
            head=nn.Linear(6, 2),
        ),
        normal(2, 5, 3),
        ("6 permute * sign", "2 permute", "3 linear", "3 linear"),
        36,
    ),
    "a recurrent layer": Case(
        lambda: Apply(
            lambda m, x: m.head(m.rnn(x)[0][:, -1]),
            rnn=nn.LSTM(2, 3, batch_first=True),
            head=nn.Linear(3, 2),
        ),
        normal(2, 4, 2),
        ("3 permute * sign",),
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_group_is_what_is_known(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(3)
    groups, spec, _ = inferred(case.make(), case.inputs())
    assert sorted(groups.values()) == sorted(case.groups)
    assert orbit_dim(spec) == case.dimension


def test_what_holds_up_to_an_epsilon_may_be_left_out_and_is_never_wrong() -> None:
    """Scales around a batch norm with an epsilon are near the limit of what is told apart; all is tried."""
    torch.manual_seed(3)
    make = layers(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    groups, _, _ = inferred(make(), normal(3, 2, 5)())
    (found,) = groups.values()
    assert set(found.split(" * ")) <= {"3 permute", "scale", "scale(s1)", "scale(s2)", "sign"}
    assert found.startswith("3 permute")


@pytest.mark.slow
def test_torch_transformer_layers_fold_into_loops() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 3, batch_first=True, dropout=0.0)
    module = Apply(
        lambda m, x: m.head(m.body(m.table(x)).mean(1)),
        table=nn.Embedding(5, 4),
        body=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        head=nn.Linear(4, 2),
    )
    groups, spec, text = inferred(module, torch.randint(5, (2, 3)))
    assert [groups[s] for s in ("head[1]", "qk[1]", "vo[1]", "linear1[2]")] == [
        *("2 permute", "2 linear", "2 linear", "3 permute * scale")
    ]
    assert text.count('from "body.layers.{i-1}.linear1.weight"') == 1
    assert spec.params["W_K[2]"].axes[1].dual != spec.params["W_Q[2]"].axes[1].dual
    assert spec.space["qk[2]"].parent == "head[2]"


def test_what_has_no_rule_is_listed_and_its_axes_stay_fixed() -> None:
    module = Apply(
        lambda m, x: m.c(torch.relu(m.b(m.a(x).cumsum(-1)))),
        a=nn.Linear(3, 4),
        b=nn.Linear(4, 5),
        c=nn.Linear(5, 2),
    )
    groups, _, text = inferred(module, torch.randn(2, 3))
    assert [*groups.values()] == ["5 permute * scale"]
    assert "`cumsum`" in text


def test_a_buffer_is_a_constant_and_fixes_what_it_is_added_to() -> None:
    module = Apply(lambda m, x: m.b(torch.relu(m.a(x) + m.shift)), a=nn.Linear(3, 4), b=nn.Linear(4, 2))
    module.register_buffer("shift", torch.randn(4))
    assert inferred(module, torch.randn(2, 3))[0] == {}


def test_a_chance_that_sizes_are_equal_ties_nothing() -> None:
    """As many units as inputs and as places of an image: places are no units."""
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(9, 9), nn.ReLU(), nn.Unflatten(1, (1, 3, 3)), nn.Conv2d(1, 2, 3)
    )
    groups, *_ = inferred(module, torch.randn(2, 1, 3, 3))
    assert groups == {}


def test_inputs_by_name_and_of_integers_are_declared() -> None:
    module = nn.Sequential(nn.Embedding(11, 3), nn.ReLU(), nn.Linear(3, 2))
    text = qe.infer(module, input=torch.zeros(2, 4, dtype=torch.long), model="some:net", name="words")
    assert 'model "some:net" with input input = tokens(2, 4, below = 11)' in text
    assert "spec words {" in text


def test_without_a_target_no_model_is_written() -> None:
    text = qe.infer(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), torch.zeros(4, 2))
    assert "model" not in text.partition("spec")[2]


def test_a_module_that_cannot_be_traced_is_told() -> None:
    module = Apply(lambda m, x: m.a(x) if bool(x.sum() > 0) else x, a=nn.Linear(2, 2))
    with pytest.raises(qe.SymError) as caught:
        qe.infer(module, torch.zeros(3, 2))
    assert [d.code for d in caught.value.diagnostics] == ["QE310"]


def test_weights_that_nothing_reads_are_left_out_and_named() -> None:
    module = Apply(lambda m, x: m.model(x), model=nn.Linear(3, 2), dead=nn.Linear(5, 6))
    _, spec, text = inferred(module, torch.zeros(2, 3))
    assert {p.source.key for p in spec.parameters} == {"model.weight", "model.bias"}
    assert "`dead.weight` is left out: nothing reads it." in text


def test_names_that_are_words_of_the_language_get_a_bar() -> None:
    assert "spec param_ {" in qe.infer(nn.Linear(3, 2), torch.zeros(2, 3), name="param")


def test_inputs_that_do_not_fit_are_told() -> None:
    with pytest.raises(qe.SymError, match="same reduction dim"):
        qe.infer(nn.Linear(3, 2), torch.zeros(2, 5))


class TestTargets:
    """`infer MODULE:CALLABLE`."""

    def test_likely_inputs_are_found(self) -> None:
        text = infer_target("inference_networks:perceptron")
        assert "with input normal(4, 3)" in text
        assert known(text)[0] == {"h": "5 permute * scale"}

    def test_given_inputs_are_taken(self) -> None:
        assert "with input uniform(6, 3)" in infer_target("inference_networks:perceptron", "uniform(6, 3)")

    @pytest.mark.parametrize(
        ("target", "inputs", "code"),
        [
            ("inference_networks:nobody", None, "QE301"),
            ("no_such_module:made", None, "QE300"),
            ("inference_networks:of_two", None, "QE311"),
            ("inference_networks:function", None, "QE311"),
            ("inference_networks:perceptron", "gamma(3)", "QE085"),
            ("inference_networks", None, "QE082"),
        ],
    )
    def test_mistakes_are_told(self, target: str, inputs: str | None, code: str) -> None:
        with pytest.raises(qe.SymError) as caught:
            infer_target(target, inputs)
        assert [d.code for d in caught.value.diagnostics] == [code]

    def test_the_command_writes_what_check_confirms(self, qecompile, tmp_path) -> None:
        path = tmp_path / "inferred.sym"
        assert qecompile("infer", "inference_networks:perceptron", "-o", path).code == 0
        assert qecompile("check", path).code == 0
        data = qecompile("infer", "inference_networks:perceptron", "--json").json
        assert data["text"] == path.read_text(encoding="utf-8")
