"""Weight matching: balanced weights, best steps, and copies of a network that are found again."""

from __future__ import annotations

import json
import math
from itertools import permutations, product
from pathlib import Path

import pytest
import torch
from checkpoint_files import MLP
from safetensors.torch import load_file, save_file
from strategies import spec_of
from sym_examples import ROOT
from torch import Tensor, nn
from torch.utils.data import DataLoader

import qecompile as qe
from qecompile.alignment.align import align
from qecompile.alignment.balance import balance
from qecompile.alignment.compact import best_assignment, best_matrix
from qecompile.augment import Augmented, RandomElement
from qecompile.checkpoints.aligning import align_checkpoints
from qecompile.cli import main
from qecompile.errors import SymError
from qecompile.group_elements import random_matrix
from qecompile.groups import Group
from qecompile.spec import Spec

Weights = dict[str, Tensor]
COPIES = ["mlp", "mlp_tanh", "siren", "lora", "mha", "moe", "lstm", "rnn", "deepsets", "mixer", "transformer"]


def drawn(spec: Spec, seed: int = 0) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    return {p.name: torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in spec.parameters}


def moved(spec: Spec, theta: Weights, seed: int = 0, scale: float = 1.0) -> Weights:
    group = Group(spec)
    return group.act(group.sample(torch.Generator().manual_seed(seed), scale=scale), theta)


# --- balanced weights ------------------------------------------------------------------------------------


def test_balanced_weights_are_one_point_of_an_orbit_of_scales() -> None:
    """Also across layers, and beside an axis of charge 2."""
    spec = spec_of(
        {"x": "2 fixed", "h": "3 scale", "k": "4 scale", "y": "2 fixed"},
        {"W": "h x*", "V": "k h*", "U": "y k*", "q": "k^2"},
    )
    theta = drawn(spec)
    here, there = balance(spec, theta).weights, balance(spec, moved(spec, theta, scale=5.0)).weights
    for name in theta:
        torch.testing.assert_close(here[name], there[name], rtol=1e-7, atol=1e-9)


def test_a_balanced_neuron_has_as_much_before_it_as_behind() -> None:
    spec = spec_of({"x": "3 fixed", "h": "5 scale"}, {"W": "h x*", "V": "x h*"})
    balanced = balance(spec, drawn(spec)).weights
    torch.testing.assert_close(balanced["W"].square().sum(1), balanced["V"].square().sum(0))


def test_the_balanced_norm_is_least() -> None:
    """No element near the identity lowers it: scales, GL and dilations."""
    spec = spec_of(
        {"D": "4 fixed", "h": "3 scale", "v": "2 linear", "u": "2 rotate * dilate"},
        {"A": "h D*", "B": "D h*", "Q": "v D*", "K": "v* D*", "R": "u D*", "S": "u* D*"},
    )
    balanced = balance(spec, drawn(spec)).weights
    least = sum(float(x.square().sum()) for x in balanced.values())
    for seed in range(20):
        other = moved(spec, balanced, seed, scale=0.05)
        assert sum(float(x.square().sum()) for x in other.values()) > least - 1e-9


def test_the_element_of_a_balance_makes_its_weights() -> None:
    spec = spec_of({"h": "4 permute * scale", "v": "3 linear"}, {"W": "h v*", "V": "v h*", "M": "v v*"})
    theta = drawn(spec)
    element, weights = balance(spec, theta)
    for name, x in Group(spec).act(element, theta).items():
        torch.testing.assert_close(x, weights[name])


def test_one_sided_charges_come_to_one_point() -> None:
    """As in front of a batch norm: all charges are positive, and no norm is least."""
    spec = spec_of({"x": "3 fixed", "h": "2 scale"}, {"W": "h x*", "s": "h^2"})
    theta = drawn(spec)
    here, there = balance(spec, theta).weights, balance(spec, moved(spec, theta, scale=5.0)).weights
    torch.testing.assert_close(here, there)
    count = 3 / math.sqrt(6) + 2 / math.sqrt(2)
    norms = here["W"].square().sum(1) + 2 * here["s"].square()
    torch.testing.assert_close(norms, torch.full((2,), count, dtype=torch.float64))


@pytest.mark.parametrize(
    ("spaces", "types"),
    [
        ({"h": "3 scale", "k": "5 scale"}, {"W": "h k"}),  # rows and columns cannot all have norm 1
        ({"h": "2 scale", "h.k": "3 scale"}, {"W": "h k"}),
        ({"x": "3 fixed", "h": "4 scale(pre) * scale(post)"}, {"W": "h^1,1 x", "V": "h^-1,-1 x"}),
        ({"u": "2 rotate * dilate(pre) * dilate(post)"}, {"v": "u^1,2", "w": "u^-1,-2"}),
        ({"x": "5 fixed", "v": "4 linear"}, {"W": "v x"}),
        ({"x": "2 fixed", "v": "4 linear"}, {"W": "v* x"}),
        ({"x": "3 fixed", "h": "4 scale"}, {"W": "h^2 x", "V": "h^-3 x"}),
    ],
)
def test_steps_that_could_work_against_each_other_come_to_an_end(
    spaces: dict[str, str], types: dict[str, str]
) -> None:
    """Scales on both sides of a matrix, two characters on one axis, and GL on one side of everything."""
    spec = spec_of(spaces, types)
    theta = drawn(spec)
    balanced = balance(spec, theta)
    for part in balanced.element.parts.values():
        assert all(1e-8 < float(c.min()) <= float(c.max()) < 1e8 for c in part.characters)
    assert align(spec, theta, moved(spec, theta, scale=2.0)).after < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_zeros_and_missing_ranks_stay_finite(seed: int) -> None:
    spec = spec_of(
        {"D": "2 fixed", "h": "3 scale", "v": "4 linear"},
        {"A": "h D*", "B": "D h*", "Q": "v D*", "K": "v* D*"},
    )
    theta = drawn(spec, seed)
    theta["A"][0] = 0
    theta["B"][:, 1] = 0
    theta["K"][:] = 0 if seed == 0 else theta["K"]
    element, weights = balance(spec, theta)
    assert all(x.isfinite().all() for x in weights.values())
    assert all(t.isfinite().all() for part in element.parts.values() for _, t in part.tensors())


# --- best steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_best_permutation_and_signs_are_best_among_all(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    scores = {q: torch.randn(n, n, generator=generator, dtype=torch.float64) for q in ((0,), (1,))}
    source, signs = best_assignment(scores, permuted=True)
    assert source is not None

    def worth(order: tuple[int, ...], turns: tuple[float, ...]) -> float:
        return sum(
            float(scores[0,][i, j] + s * scores[1,][i, j])
            for i, (j, s) in enumerate(zip(order, turns, strict=True))
        )

    best = max(worth(p, s) for p in permutations(range(n)) for s in product((1.0, -1.0), repeat=n))
    assert worth(tuple(source.tolist()), tuple(signs[:, 0].tolist())) == pytest.approx(best)


def test_copies_are_assigned_by_themselves() -> None:
    scores = {(): torch.stack([torch.eye(3), torch.eye(3).roll(1, 0)]).double()}
    source, signs = best_assignment(scores, permuted=True)
    assert source is not None
    assert source.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert signs.shape == (2, 3, 0)


@pytest.mark.parametrize("word", ["orthogonal", "rotate"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_best_rotation_is_better_than_others(word: str, n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    for _ in range(20):
        k = torch.randn(n, n, generator=generator, dtype=torch.float64)
        best = best_matrix(k, word)
        torch.testing.assert_close(best @ best.mT, torch.eye(n).double())
        if word == "rotate":
            assert float(torch.linalg.det(best)) == pytest.approx(1)
        others = random_matrix(word, (50, n, n), generator, 0.0)
        assert float((k * best).sum()) >= float((k * others).sum((-1, -2)).max()) - 1e-12


# --- copies are found ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_a_network_is_found(name: str) -> None:
    """Whatever the group: permutations, scales, signs, GL in heads, nested spaces."""
    spec = qe.load(ROOT / "specs" / f"{name}.sym")
    theta = drawn(spec)
    found = align(spec, theta, moved(spec, theta, seed=1))
    assert found.before > 0.5
    assert found.after < 1e-8


def test_what_is_found_is_an_element_whether_or_not_the_two_are_alike() -> None:
    """The aligned network computes what it did, and is nearer."""
    spec = spec_of({"x": "3 fixed", "h": "8 permute * scale", "y": "2 fixed"}, {"W": "h x*", "V": "y h*"})
    a, b = drawn(spec, 0), drawn(spec, 1)
    found = align(spec, a, b)
    aligned = Group(spec).act(found.element, b)
    x = torch.randn(10, 3, dtype=torch.float64)
    before, after = ((x @ t["W"].t()).relu() @ t["V"].t() for t in (b, aligned))
    torch.testing.assert_close(after, before)
    distance = math.sqrt(sum(float((a[n] - aligned[n]).square().sum()) for n in a))
    assert found.after == pytest.approx(
        distance / math.sqrt(sum(float(t.square().sum()) for t in a.values()))
    )
    assert found.after < found.before


@pytest.mark.parametrize("seed", range(4))
def test_more_beginnings_are_never_worse_and_the_seed_decides(seed: int) -> None:
    """Each beginning has random numbers of its own, and torch's are left alone."""
    spec = spec_of({"h": "7 permute * sign"}, {"W": "h h*", "b": "h"})
    a, b = drawn(spec, 2 * seed), drawn(spec, 2 * seed + 1)
    state = torch.get_rng_state()
    found = [align(spec, a, b, restarts=n, seed=seed).after for n in (0, 1, 3, 6)]
    assert found == sorted(found, reverse=True)
    assert align(spec, a, b, restarts=6, seed=seed).after == found[-1]
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_ends_up_farther_away(seed: int) -> None:
    """Where balanced weights are nearer and the weights themselves are not, the identity is found."""
    spec = spec_of(
        {"x": "5 fixed", "y": "2 fixed", "v": "4 linear", "h": "4 permute * scale"},
        {"W": "v x", "V": "v* y", "H": "h^2 x", "K": "h^-3 x"},
    )
    found = align(spec, drawn(spec, seed), drawn(spec, seed + 10))
    assert found.after <= found.before


def test_signs_are_changed_a_few_at_a_time_where_all_at_once_is_no_step_upwards() -> None:
    """Signs of both sides of a matrix: what each promises supposes that the others stay."""
    spec = spec_of({"x": "5 fixed", "v": "40 sign"}, {"W": "v x", "V": "v v*"})
    theta = drawn(spec)
    assert align(spec, theta, moved(spec, theta, seed=1)).after < 0.7  # 1.37 if all or none are changed


@pytest.mark.parametrize("unit", [1e-300, 1e-40, 1e30, 1e250])
def test_numbers_of_any_size(unit: float) -> None:
    spec = spec_of({"h": "4 permute * scale", "v": "2 linear"}, {"W": "h v", "V": "h* v*"})
    theta = drawn(spec)
    other = moved(spec, theta, seed=1)
    a, b = ({name: x * unit for name, x in t.items()} for t in (theta, other))
    assert align(spec, a, b).after < 1e-6
    far = align(spec, a, {name: x / unit for name, x in b.items()})
    assert math.isfinite(far.after)
    assert all(t.isfinite().all() for part in far.element.parts.values() for _, t in part.tensors())


def test_a_group_without_freedom_and_sizes_of_one() -> None:
    fixed = spec_of({"x": "2 fixed"}, {"b": "x"})
    theta = drawn(fixed)
    assert align(fixed, theta, theta).after == 0
    tiny = spec_of({"h": "1 permute * scale * sign", "v": "1 linear"}, {"W": "h v*", "V": "v h*"})
    theta = drawn(tiny)
    assert align(tiny, theta, moved(tiny, theta)).after < 1e-8
    assert align(tiny, {n: 0 * x for n, x in theta.items()}, theta).before == pytest.approx(
        math.sqrt(sum(float(x.square().sum()) for x in theta.values()))
    )


def test_wrong_weights_are_named() -> None:
    spec = spec_of({"h": "3 permute"}, {"b": "h"})
    good = drawn(spec)
    with pytest.raises(ValueError, match="a has no parameter b of shape"):
        align(spec, {}, good)
    with pytest.raises(ValueError, match=r"b: parameter b has shape \[2\]"):
        align(spec, good, {"b": torch.zeros(2)})
    with pytest.raises(ValueError, match="is not finite"):
        align(spec, good, {"b": torch.full((3,), math.nan)})
    with pytest.raises(ValueError, match="restarts"):
        align(spec, good, good, restarts=-1)


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    spec = spec_of({"h": "3 permute"}, {"b": "h"})
    with pytest.raises(SymError, match="scipy"):
        align(spec, drawn(spec), drawn(spec))


def test_the_barrier_between_trained_networks_falls() -> None:
    """The example, small: on the line between two networks the loss hardly rises once they are matched."""
    import importlib.util

    place = importlib.util.spec_from_file_location("match_networks", ROOT / "examples" / "match_networks.py")
    assert place is not None
    assert place.loader is not None
    example = importlib.util.module_from_spec(place)
    place.loader.exec_module(example)
    ((width, before, after, change),) = example.experiment([64], epochs=10)
    assert width == 64
    assert after < before / 3
    assert change < 1e-3


# --- the command -----------------------------------------------------------------------------------------


def checkpoints(folder: Path) -> tuple[Path, Path, Path]:
    """The spec, a network, and a copy of it that is moved."""
    (folder / "mlp.sym").write_text(MLP)
    spec = qe.load(folder / "mlp.sym")
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    save_file(dict(nn.ModuleDict({"layers": layers}).state_dict()), folder / "a.safetensors")
    element = Group(spec).sample(torch.Generator().manual_seed(1))
    qe.act_checkpoint(spec, folder / "a.safetensors", folder / "b.safetensors", element)
    return folder / "mlp.sym", folder / "a.safetensors", folder / "b.safetensors"


def test_match_writes_the_second_in_the_order_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec, a, b = checkpoints(tmp_path)
    out, element = tmp_path / "c.safetensors", tmp_path / "g.safetensors"
    words = ["match", str(spec), str(a), str(b), "-o", str(out), "--save-element", str(element), "--json"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["distance_before"] > 0.1
    assert shown["distance_after"] < 1e-6
    first, second = load_file(a), load_file(out)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-5, atol=1e-6)
    loaded = qe.load(spec)
    assert Group(loaded).distance(qe.load_element(loaded, element), qe.load_element(loaded, element)) == 0
    assert main(words) == 2  # it is there already
    assert main([*words, "--force"]) == 0


def test_match_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, a, b = checkpoints(tmp_path)
    assert main(["match", str(spec), str(a), str(b), "-o", str(tmp_path / "c.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "before" in out
    assert "the same network as" in out


def test_match_refuses_names_before_it_searches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of another kind, or the one that stays."""
    spec, a, b = checkpoints(tmp_path)
    monkeypatch.setattr("qecompile.checkpoints.aligning.align", lambda *_, **__: pytest.fail("searched"))
    assert main(["match", str(spec), str(a), str(b), "-o", str(tmp_path / "c.pt")]) == 2
    assert "another kind of file" in capsys.readouterr().err
    assert main(["match", str(spec), str(a), str(b), "-o", str(a), "--force"]) == 2
    with pytest.raises(SymError, match="two files"):
        align_checkpoints(qe.load(spec), a, b, a, overwrite=True)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_match_reads_two_dtypes_and_keeps_that_of_the_second(tmp_path: Path, dtype: torch.dtype) -> None:
    spec, a, b = checkpoints(tmp_path)
    save_file({name: x.to(dtype) for name, x in load_file(b).items()}, b)
    out = tmp_path / "c.safetensors"
    found = align_checkpoints(qe.load(spec), a, b, out)
    assert found.alignment.after < 0.02
    for name, x in load_file(out).items():
        assert x.dtype == dtype
        torch.testing.assert_close(x.float(), load_file(a)[name], rtol=0.02, atol=0.02)


def test_match_refuses_what_is_not_finite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, a, b = checkpoints(tmp_path)
    state = load_file(b)
    state["layers.0.bias"][0] = math.nan
    save_file(state, b)
    assert main(["match", str(spec), str(a), str(b), "-o", str(tmp_path / "c.safetensors")]) == 2
    assert "b[1]" in capsys.readouterr().err
    assert not (tmp_path / "c.safetensors").exists()


# --- augmentation ----------------------------------------------------------------------------------------


def test_an_augmented_dataset_gives_equal_functions_and_other_numbers() -> None:
    spec = spec_of({"x": "3 fixed", "h": "6 permute * scale", "y": "2 fixed"}, {"W": "h x*", "V": "y h*"})
    items = [(drawn(spec, seed), seed) for seed in range(4)]
    x = torch.randn(5, 3, dtype=torch.float64)
    augmented = Augmented(items, spec)  # type: ignore[arg-type]
    assert len(augmented) == 4
    for (before, label), (after, same) in zip(items, augmented, strict=False):
        assert label == same
        assert not torch.equal(before["W"], after["W"])
        one, other = ((x @ t["W"].t()).relu() @ t["V"].t() for t in (before, after))
        torch.testing.assert_close(one, other)


def test_augmentation_is_new_each_time_and_fixed_by_the_seed() -> None:
    spec = spec_of({"h": "20 permute"}, {"b": "h"})
    turn, theta = RandomElement(spec), drawn(spec)
    torch.manual_seed(3)
    first, second = turn(theta)["b"], turn(theta)["b"]
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(turn(theta)["b"], first)
    with pytest.raises(ValueError, match="scale"):
        RandomElement(spec, scale=-1)


def test_workers_of_a_loader_draw_different_elements() -> None:
    spec = spec_of({"h": "50 permute"}, {"b": "h"})
    same = [drawn(spec)] * 2
    loader = DataLoader(Augmented(same, spec), num_workers=2, batch_size=None)  # type: ignore[arg-type]
    torch.manual_seed(0)
    first, second = (item["b"] for item in loader)
    assert not torch.equal(first, second)
