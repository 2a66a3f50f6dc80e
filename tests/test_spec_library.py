"""Every spec in specs/: its expectations hold, and its group keeps the function of a real network.

For each spec there is a network in reference_networks.py, written without a thought of symmetry. Its
checkpoint is moved by random elements of the group: the function must be the same. So that this can fail,
each spec is also tried with a group that is not right, mostly a little too large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import reference_networks as nets
import torch
from emitted import equivariance_error, module_of, randomised, weights
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import qecompile as qe
from qecompile.checkpoints.contents import read_entries
from qecompile.checkpoints.matching import match
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.spec import Axis, Spec

SPECS = Path(__file__).resolve().parent.parent / "specs"
SEEDS = range(4)


@dataclass(frozen=True)
class Case:
    """A spec at a small size, the network that it describes, and mistakes that one could make.

    Attributes:
        arguments: the spec's own parameters, given to the network too.
        network: makes the network.
        inputs: makes an input.
        mistakes: pieces of the spec, each with what would declare another group, mostly a larger one; none
            of those keeps the function.
        streams: whether what leaves, and what enters unless it is tokens, has a last axis D, which the group
            moves.
    """

    arguments: dict[str, int | list[int]]
    network: Callable[..., nn.Module]
    inputs: Callable[[torch.Generator], Tensor]
    mistakes: dict[str, str]
    streams: bool = False


def numbers(*shape: int) -> Callable[[torch.Generator], Tensor]:
    return lambda generator: torch.randn(shape, generator=generator, dtype=torch.float64)


def tokens(batch: int, length: int, vocab: int) -> Callable[[torch.Generator], Tensor]:
    return lambda generator: torch.randint(vocab, (batch, length), generator=generator)


CASES = {
    "mlp": Case(
        {"widths": [3, 5, 4, 2]},
        lambda widths: nets.Perceptron(widths, nn.ReLU),
        numbers(9, 3),
        {"permute * scale": "permute * scale * sign"},
    ),
    "mlp_tanh": Case(
        {"widths": [3, 5, 4, 2]},
        lambda widths: nets.Perceptron(widths, nn.Tanh),
        numbers(9, 3),
        {"permute * sign": "permute * sign * scale"},
    ),
    "siren": Case(
        {"widths": [2, 5, 4, 3]},
        nets.Siren,
        numbers(9, 2),
        {"permute * sign": "permute * sign * scale"},
    ),
    "cnn": Case(
        {"channels": [2, 4, 3], "classes": 5},
        nets.PooledConvolutions,
        numbers(3, 2, 7, 6),
        {
            "gamma[i] for i in 1..L : c[i]^{post: 1}": "gamma[i] for i in 1..L : c[i]",
            "c[i]^{pre: 2}": "c[i]^{pre: 1}",
        },
    ),
    "cnn_bn": Case(
        {"channels": [2, 4, 3], "side": 2, "hidden": 5, "classes": 4, "kernel": 3},
        lambda kernel, **sizes: nets.FlattenedConvolutions(**sizes),
        numbers(3, 2, 8, 8),
        {
            "gamma[i] for i in 1..L : c[i]^{post: 1}": "gamma[i] for i in 1..L : c[i]",
            "c[i]^{pre: 2}": "c[i]^{pre: 1}",
        },
    ),
    "resnet": Case(
        {"widths": [3, 4], "blocks": 2, "image": 2, "classes": 5, "stem": 3},
        nets.ResNet,
        numbers(3, 2, 8, 8),
        {
            ": permute * scale(post) {": ": permute * scale(post) * sign {",
            "[stream[1]^0, norm[1, 0], ": "[stream[1], norm[1, 0], ",
        },
    ),
    "mha": Case(
        {"width": 6, "heads": 3, "dim": 2, "hidden": 5},
        lambda dim, **sizes: nets.AttentionBlock(**sizes),
        numbers(2, 5, 6),
        {
            "space D = width : permute": "space D = width : permute * sign",
            "W_K : head qk* <- D": "W_K : head qk <- D",
        },
        streams=True,
    ),
    "transformer": Case(
        {"layers": 2, "width": 6, "heads": 3, "hidden": 5, "vocab": 7, "length": 8, "classes": 3},
        nets.Encoder,
        tokens(4, 8, 7),
        {
            "permute * scale": "permute * scale * sign",
            "= width : permute": "= width : permute * scale",
        },
    ),
    "bert": Case(
        {"layers": 2, "width": 6, "heads": 3, "hidden": 5, "vocab": 7, "length": 8},
        nets.Bert,
        tokens(4, 8, 7),
        {
            "= hidden : permute": "= hidden : permute * scale",
            "= width : permute": "= width : permute * sign",
        },
        streams=True,
    ),
    "gpt2": Case(
        {"layers": 2, "width": 6, "heads": 3, "hidden": 5, "vocab": 7, "length": 8},
        nets.GPT2,
        tokens(4, 8, 7),
        {
            "= hidden : permute": "= hidden : permute * scale",
            "= width : permute": "= width : permute * sign",
        },
    ),
    "llama": Case(
        {"layers": 2, "width": 5, "groups": 2, "queries": 3, "size": 6, "hidden": 4, "vocab": 7},
        nets.Llama,
        tokens(4, 8, 7),
        {
            "= size / 2 : fixed": "= size / 2 : permute",
            "rotate * dilate": "linear",
            "ff[i]^0 <- D": "ff[i] <- D",
        },
    ),
    "moe": Case(
        {"inputs": 3, "width": 5, "experts": 4, "hidden": 3, "outputs": 2},
        nets.MixtureOfExperts,
        numbers(20, 3),
        {
            "permute * scale": "permute * scale * sign",
            "= experts : permute {": "= experts : permute * scale {",
        },
    ),
    "lora": Case(
        {"outputs": 5, "inputs": 4, "r": 2},
        nets.Adapter,
        numbers(6, 4),
        {"param A : rank <- in": "param A : [rank*, in*]"},
    ),
    "rnn": Case(
        {"inputs": 3, "hidden": 5, "layers": 2, "outputs": 2},
        lambda **sizes: nets.Recurrent("rnn", nn.RNN, **sizes),
        numbers(3, 6, 3),
        {"permute * sign": "permute * sign * scale"},
    ),
    "lstm": Case(
        {"inputs": 3, "hidden": 5, "layers": 2, "outputs": 2},
        lambda **sizes: nets.Recurrent("lstm", nn.LSTM, **sizes),
        numbers(3, 6, 3),
        {
            "permute * sign": "permute * sign * scale",
            "h[1]^0 <- x": "h[1] <- x",
        },
    ),
    "mixer": Case(
        {
            "layers": 2,
            "width": 5,
            "patches": 6,
            "patch": 2,
            "colours": 3,
            "token_hidden": 4,
            "channel_hidden": 3,
            "classes": 2,
        },
        nets.Mixer,
        numbers(3, 3, 4, 6),
        {
            "= token_hidden : permute": "= token_hidden : permute * scale",
            "= channel_hidden : permute": "= channel_hidden : permute * sign",
        },
    ),
    "deepsets": Case(
        {"inputs": 3, "phi": 6, "latent": 3, "rho": 4, "outputs": 2},
        nets.DeepSets,
        numbers(5, 7, 3),
        {"= phi : permute * scale": "= phi : linear"},
    ),
}


def small(name: str, text: str | None = None) -> Spec:
    """The spec of a case at its small size; from another text, if one is given."""
    case = CASES[name]
    return qe.parse(text or (SPECS / f"{name}.sym").read_text(encoding="utf-8"), **case.arguments)


# --- networks and their checkpoints ------------------------------------------------------------------


def network_of(name: str, seed: int) -> nn.Module:
    """The reference network with random weights, biases, gains and statistics; ready to be evaluated."""
    case, generator = CASES[name], torch.Generator().manual_seed(seed)
    network = case.network(**case.arguments).double().eval()
    with torch.no_grad():
        for key, t in floating(network).items():
            drawn = torch.randn(t.shape, generator=generator, dtype=t.dtype)
            t.copy_(drawn.abs() + 0.5 if key.endswith("running_var") else 0.7 * drawn)
    return network


def floating(network: nn.Module) -> dict[str, Tensor]:
    """The weights and statistics of a network, by key; they share memory with it."""
    return {key: t for key, t in network.state_dict().items() if t.is_floating_point()}


def move(spec: Spec, network: nn.Module, element: Element, folder: Path) -> None:
    """Apply a group element to a network by way of its checkpoint, as a user would."""
    before, after = folder / "before.safetensors", folder / "after.safetensors"
    save_file(network.state_dict(), before)
    assert qe.act_checkpoint(spec, before, after, element, overwrite=True).changed
    network.load_state_dict(load_file(after))


def change(name: str, spec: Spec, seed: int, folder: Path) -> float:
    """How much the function of the network changes under a random element, relative to its largest value."""
    case = CASES[name]
    network, generator = network_of(name, seed), torch.Generator().manual_seed(seed + 100)
    group, x = Group(spec), case.inputs(generator)
    g = group.sample(generator)
    with torch.no_grad():
        expected = network(x)
        if case.streams:
            expected = group.act_on(g, (stream(spec),), expected)
            x = group.act_on(g, (stream(spec),), x) if x.is_floating_point() else x
        assert expected.std() > 1e-3
        move(spec, network, g, folder)
        return float((network(x) - expected).abs().max() / expected.abs().max())


def stream(spec: Spec) -> Axis:
    """One axis of the residual stream, as every norm has it."""
    return next(p.axes[0] for p in spec.parameters if [a.space for a in p.axes] == ["D"])


@pytest.fixture(params=CASES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


# --- tests --------------------------------------------------------------------------------------------


def test_every_spec_of_the_library_has_a_network():
    assert {path.stem for path in SPECS.glob("*.sym")} == set(CASES)


def test_expectations_hold_at_any_size(name):
    for spec in (qe.load(SPECS / f"{name}.sym"), small(name)):
        results = qe.pipeline.check(spec)
        assert {"dim", "invariants", "orbit_dim"} <= {result.expect.kind for result in results}
        assert [result.expect.text for result in results if not result.ok] == []


def test_a_comment_introduces_the_architecture(name):
    lines = (SPECS / f"{name}.sym").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("spec "))
    assert lines[0].startswith(f"# specs/{name}.sym: ")
    assert first >= 4
    assert all(line.startswith("#") for line in lines[:first] if line)
    assert max(map(len, lines)) <= 120


def test_the_table_of_the_library_lists_every_spec(root):
    rows = re.findall(
        r"^\| \[(\w+)\]\(\.\./specs/(\w+)\.sym\) \| (.*?) \|", (root / "docs" / "specs.md").read_text(), re.M
    )
    titles = {name: (SPECS / f"{name}.sym").read_text(encoding="utf-8").partition("\n")[0] for name in CASES}
    assert {name: f"# specs/{file}.sym: {title}" for name, file, title in rows} == titles


def test_specs_are_laid_out_canonically(qecompile):
    outcome = qecompile("fmt", "--check", *sorted(SPECS.glob("*.sym")))
    assert outcome.code == 0, outcome.out


@pytest.mark.parametrize(
    ("name", "arguments", "published"),
    [
        ("bert", {}, 109_482_240 - 590_592),  # base, less its pooler
        ("gpt2", {}, 124_439_808),
        ("llama", {}, 8_030_261_248),
        ("resnet", {"widths": [64, 128, 256, 512], "blocks": 2, "stem": 7, "classes": 1000}, 11_689_512),
    ],
)
def test_known_models_have_their_published_size(name, arguments, published):
    spec = qe.load(SPECS / f"{name}.sym", **arguments)
    trained = [p for p in spec.parameters if p.source and "running" not in p.source.key]
    assert sum(math.prod(p.shape) for p in trained) == published


def test_the_from_clauses_name_every_number_of_the_network(name, tmp_path):
    save_file(network_of(name, 0).state_dict(), tmp_path / "network.safetensors")
    entries = read_entries(tmp_path / "network.safetensors")
    matched = match(small(name), "network.safetensors", entries)
    assert matched.ok
    assert matched.partly_used() == {}
    assert {key for key in matched.unused if not key.endswith("num_batches_tracked")} == set()


def test_the_group_keeps_the_function(name, tmp_path):
    assert max(change(name, small(name), seed, tmp_path) for seed in SEEDS) < 1e-9


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [(name, *mistake) for name, case in CASES.items() for mistake in case.mistakes.items()],
)
def test_another_group_does_not(name, right, wrong, tmp_path):
    piece = re.compile(r"\s+".join(map(re.escape, right.split())))  # whatever the layout of the file
    text, count = piece.subn(wrong, (SPECS / f"{name}.sym").read_text(encoding="utf-8"))
    assert count
    another = small(name, text)
    assert min(change(name, another, seed, tmp_path) for seed in SEEDS) > 1e-3


def test_the_emitted_module_is_equivariant(name):
    spec = small(name)
    module, group = module_of(spec), Group(spec)
    with torch.no_grad():
        layer = randomised(module.EquivariantLinear(2, 2, dtype=torch.float64))
        assert equivariance_error(spec, layer) < 1e-9
        net, theta = module.MetaNet(dtype=torch.float64), weights(spec, 2)
        g = group.sample(torch.Generator().manual_seed(3))
        before, after = net(theta), net(group.act(g, theta))
        if spec.metanets and spec.metanets[0].outputs:
            before, after = {"": before}, {"": after}
        else:
            before = group.act(g, before)
        for key, t in before.items():
            assert (after[key] - t).abs().max() <= 1e-9 * max(u.abs().max() for u in before.values()), key
