"""`act`: the same network with other numbers, written whole or not at all."""

from __future__ import annotations

import copy
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import ATTENTION, MLP, data_start, entry, write_raw
from safetensors.torch import load_file, save_file

import qecompile as qe
from qecompile.checkpoints import replace
from qecompile.checkpoints.contents import read_entries
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.spec import Spec

LEFTOVER = re.compile(r"\.qecompile-[0-9a-f]{16}\.unfinished")
SHARED = """
spec shared {
  space h = 4 : permute * scale
  space x = 3 : fixed
  param W : h <- x  from "W" as "x h"
  param u : h       from "u" as "(part h)" at part = 1
}
"""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def element(spec: Spec, seed: int = 0) -> Element:
    return Group(spec).sample(seeded(seed))


def mlp_network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    return torch.nn.ModuleDict({"layers": layers}).double()


def mlp_state() -> dict[str, torch.Tensor]:
    return dict(mlp_network().state_dict())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkpoint of `MLP` with an entry and metadata that the spec does not name."""
    path = tmp_path / "model.safetensors"
    save_file({**mlp_state(), "steps": torch.arange(5)}, path, metadata={"format": "pt", "note": "é"})
    return path


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "mlp.sym"
    path.write_text(MLP)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.safetensors"


def only_mistake(act: Callable[[], object]) -> str:
    with pytest.raises(qe.SymError) as caught:
        act()
    (found,) = caught.value.diagnostics
    return found.render()


class TestFunction:
    """The network of the written checkpoint computes what that of the read one did."""

    @pytest.mark.parametrize("seed", range(3))
    def test_relu_perceptron(self, source, out, seed):
        spec, network = qe.parse(MLP), mlp_network()
        qe.act_checkpoint(spec, source, out, element(spec, seed))
        moved = copy.deepcopy(network)
        moved.load_state_dict({k: t for k, t in load_file(out).items() if k != "steps"})
        assert not torch.allclose(moved["layers"][0].weight, network["layers"][0].weight, atol=1e-2)
        x = torch.randn(16, 3, dtype=torch.float64, generator=seeded())
        torch.testing.assert_close(moved["layers"](x), network["layers"](x), rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("kind", ["safetensors", "pt"])
    @pytest.mark.parametrize("seed", range(2))
    def test_attention_with_packed_projections(self, tmp_path, kind, seed):
        torch.manual_seed(1)
        network = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
        with torch.no_grad():
            for p in network.parameters():
                p.normal_()
        before, after = tmp_path / f"before.{kind}", tmp_path / f"after.{kind}"
        (save_file if kind == "safetensors" else torch.save)(network.state_dict(), before)
        spec = qe.parse(ATTENTION)
        qe.act_checkpoint(spec, before, after, element(spec, seed))
        moved = copy.deepcopy(network)
        moved.load_state_dict(
            load_file(after) if kind == "safetensors" else torch.load(after, weights_only=True)
        )
        for name in ["in_proj_weight", "in_proj_bias"]:
            changed = (getattr(moved, name) != getattr(network, name)).view(3, -1)
            assert changed.any(dim=1).all()
        x = torch.randn(2, 5, 6, dtype=torch.float64, generator=seeded())
        expected, _ = network(x, x, x, need_weights=False)
        found, _ = moved(x, x, x, need_weights=False)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


class TestNumbers:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_they_are_those_of_the_group_rounded_once(self, tmp_path, out, dtype):
        source = tmp_path / "model.safetensors"
        save_file({name: t.to(dtype) for name, t in mlp_state().items()}, source)
        spec = qe.parse(MLP)
        g = element(spec)
        qe.act_checkpoint(spec, source, out, g)
        theta = {name: t.double() for name, t in qe.read_checkpoint(spec, source).items()}
        expected = Group(spec).act(g, theta)
        for name, found in qe.read_checkpoint(spec, out).items():
            assert found.dtype == dtype
            assert torch.equal(found, expected[name].to(dtype))

    def test_the_stored_layout_is_kept(self, tmp_path, out):
        source = tmp_path / "model.safetensors"
        W, u = torch.randn(3, 4, generator=seeded(1)), torch.randn(12, generator=seeded(2))
        save_file({"W": W, "u": u}, source)
        spec = qe.parse(SHARED)
        g = element(spec)
        acted = qe.act_checkpoint(spec, source, out, g)
        assert (acted.changed, acted.kept) == (("W", "u"), ())
        found = load_file(out)
        expected = Group(spec).act(g, {"W": W.T.double(), "u": u[4:8].double()})
        assert torch.equal(found["W"], expected["W"].T.float())
        assert torch.equal(found["u"][4:8], expected["u"].float())
        assert torch.equal(found["u"][[*range(4), *range(8, 12)]], u[[*range(4), *range(8, 12)]])

    def test_the_inverse_leads_back(self, tmp_path, source, out):
        spec = qe.parse(MLP)
        g = element(spec)
        back = tmp_path / "back.safetensors"
        qe.act_checkpoint(spec, source, out, g)
        qe.act_checkpoint(spec, out, back, Group(spec).inverse(g))
        one, two = load_file(source), load_file(back)
        for name, tensor in one.items():
            torch.testing.assert_close(two[name], tensor, rtol=1e-12, atol=1e-12)

    def test_the_identity_changes_no_byte(self, source, out):
        spec = qe.parse(MLP)
        qe.act_checkpoint(spec, source, out, Group(spec).identity())
        assert out.read_bytes() == source.read_bytes()

    def test_numbers_that_become_too_large_are_refused(self, tmp_path, out):
        source = tmp_path / "model.safetensors"
        save_file({name: t.half() for name, t in mlp_state().items()}, source)
        spec = qe.parse(MLP)
        g = Group(spec).sample(seeded(), scale=30.0)
        found = only_mistake(lambda: qe.act_checkpoint(spec, source, out, g))
        assert "become too large for F16" in found
        assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]

    def test_numbers_that_are_not_finite_stay_so(self, tmp_path, out):
        source = tmp_path / "model.safetensors"
        state = mlp_state()
        state["layers.0.bias"][1] = float("nan")
        save_file(state, source)
        spec = qe.parse(MLP)
        qe.act_checkpoint(spec, source, out, element(spec))
        assert load_file(out)["layers.0.bias"].isnan().sum() == 1


class TestWhatStays:
    def test_header_metadata_and_other_entries_to_the_byte(self, source, out):
        spec = qe.parse(MLP)
        acted = qe.act_checkpoint(spec, source, out, element(spec))
        assert acted.kept == ("steps", "layers.2.bias")  # the group does nothing to the outputs
        before, after = source.read_bytes(), out.read_bytes()
        start = data_start(before)
        assert after[:start] == before[:start]
        old, new = load_file(source), load_file(out)
        for name in acted.kept:
            assert torch.equal(old[name], new[name])
        assert not any(torch.equal(old[name], new[name]) for name in acted.changed)

    def test_entries_of_any_dtype(self, tmp_path, out):
        source = tmp_path / "model.safetensors"
        header = {
            "odd": entry("F4", [6], 0, 3),
            "W": entry("F32", [3, 4], 3, 51),
            "none": entry("F8_E8M0", [0], 51, 51),
        }
        header["u"] = entry("BF16", [12], 51, 75)
        write_raw(source, header, bytes(range(75)))
        spec = qe.parse(SHARED)
        qe.act_checkpoint(spec, source, out, element(spec))
        before, after = source.read_bytes(), out.read_bytes()
        start = data_start(before)
        assert after[: start + 3] == before[: start + 3]
        assert after[start + 3 : start + 51] != before[start + 3 : start + 51]
        assert read_entries(out) == read_entries(source)

    def test_containers_of_torch(self, tmp_path):
        source, out = tmp_path / "model.pt", tmp_path / "out.pt"
        network = mlp_network()
        saved = {"state": network.state_dict(), "epoch": 3, "best": [0.5, torch.ones(2)], "none": None}
        torch.save(saved, source)
        spec = qe.parse(MLP.replace('"layers', '"state.layers'))
        g = element(spec)
        acted = qe.act_checkpoint(spec, source, out, g)
        assert acted.kept == ("state.layers.2.bias", "best.1")
        found = torch.load(out, weights_only=True)
        assert [*found] == [*saved]
        assert (found["epoch"], found["best"][0], found["none"]) == (3, 0.5, None)
        assert found["state"]._metadata == saved["state"]._metadata
        assert [*found["state"]] == [*saved["state"]]
        expected = Group(spec).act(g, qe.read_checkpoint(spec, source))
        assert torch.equal(found["state"]["layers.2.weight"], expected["W[2]"])

    def test_parameters_of_torch_stay_parameters(self, tmp_path):
        source, out = tmp_path / "model.pt", tmp_path / "out.pt"
        torch.save(
            {name: torch.nn.Parameter(t, requires_grad=False) for name, t in mlp_state().items()}, source
        )
        spec = qe.parse(MLP)
        qe.act_checkpoint(spec, source, out, element(spec))
        found = torch.load(out, weights_only=True)
        assert all(isinstance(t, torch.nn.Parameter) and not t.requires_grad for t in found.values())

    def test_tensors_that_share_memory_with_others_are_refused(self, tmp_path):
        source, out = tmp_path / "model.pt", tmp_path / "out.pt"
        state = mlp_state()
        state["tied"] = state["layers.2.weight"]
        torch.save(state, source)
        spec = qe.parse(MLP)
        found = only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert "`layers.2.weight` and `tied` are the same memory" in found
        whole = torch.randn(10, dtype=torch.float64, generator=seeded())
        state["tied"] = whole[:2]
        state["layers.0.bias"] = whole[2:6]
        torch.save(state, source)
        qe.act_checkpoint(spec, source, out, element(spec))
        assert torch.equal(torch.load(out, weights_only=True)["tied"], whole[:2])


class TestRefusals:
    def test_a_file_that_exists(self, source, out):
        out.write_bytes(b"precious")
        spec = qe.parse(MLP)
        assert "exists already" in only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert out.read_bytes() == b"precious"
        out.chmod(0o640)
        qe.act_checkpoint(spec, source, out, element(spec), overwrite=True)
        assert read_entries(out) == read_entries(source)
        assert out.stat().st_mode & 0o777 == 0o640

    def test_the_checkpoint_itself(self, tmp_path, source, out):
        spec = qe.parse(MLP)
        qe.act_checkpoint(spec, source, out, element(spec))
        link = tmp_path / "link.safetensors"
        link.symlink_to(source)
        for target in [source, link]:
            found = only_mistake(lambda target=target: qe.act_checkpoint(spec, source, target, element(spec)))
            assert "exists already" in found
        qe.act_checkpoint(spec, source, link, element(spec), overwrite=True)
        assert source.read_bytes() == out.read_bytes()
        assert link.is_symlink()

    def test_a_file_that_somebody_else_writes_meanwhile(self, source, out, monkeypatch):
        spec = qe.parse(MLP)
        fsync = os.fsync

        def write_too(descriptor: int) -> None:
            fsync(descriptor)
            out.write_bytes(b"precious")

        monkeypatch.setattr(replace.os, "fsync", write_too)
        assert "exists already" in only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert out.read_bytes() == b"precious"

    def test_a_file_system_without_links(self, source, out, monkeypatch):
        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        spec = qe.parse(MLP)
        monkeypatch.setattr(replace.os, "link", refuse)
        qe.act_checkpoint(spec, source, out, element(spec))
        assert read_entries(out) == read_entries(source)

    def test_a_disk_that_is_full(self, tmp_path, source, out, monkeypatch):
        def refuse(_: int) -> None:
            raise OSError(28, "No space left on device")

        spec = qe.parse(MLP)
        monkeypatch.setattr(replace.os, "fsync", refuse)
        found = only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert "no space left on device" in found
        assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]

    @pytest.mark.parametrize("name", ["out.pt", "none/out.safetensors", "out.onnx", "folder.safetensors"])
    def test_targets_that_cannot_be(self, tmp_path, source, name):
        (tmp_path / "folder.safetensors").mkdir()
        spec = qe.parse(MLP)
        found = only_mistake(
            lambda: qe.act_checkpoint(spec, source, tmp_path / name, element(spec), overwrite=True)
        )
        assert re.match(r"error\[QE2[02]0\]", found)

    def test_two_parameters_in_one_place(self, tmp_path, out):
        source = tmp_path / "model.safetensors"
        save_file({"W": torch.zeros(6, 4)}, source)
        spec = qe.parse("""spec s {
          space h = 3 : permute  space x = 4 : fixed  space d = 2 : fixed
          param P : h <- x  from "W" as "(n h) x" at n = 0
          param Q : h <- x  from "W" as "(n h) x" at n = 1
          param R : d <- x  from "W" as "(n d) x" at n = 1 }""")
        assert len(qe.read_checkpoint(spec, source)) == 3
        found = only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert found.startswith("error[QE214]: `P` and `R` are the same numbers of entry `W`")
        assert "<text>:5:17" in found
        assert "<text>:3:17" in found

    def test_every_parameter_must_have_an_entry(self, source, out):
        spec = qe.parse(MLP.replace('from "layers.{2*(i-1)}.bias"', ""))
        found = only_mistake(lambda: qe.act_checkpoint(spec, source, out, element(spec)))
        assert "where `b[1]`, `b[2]` are stored" in found

    def test_a_checkpoint_that_does_not_fit(self, tmp_path, source, out):
        spec = qe.parse(MLP, widths=[3, 5, 2])
        with pytest.raises(qe.SymError) as caught:
            qe.act_checkpoint(spec, source, out, element(spec))
        assert [d.code for d in caught.value.diagnostics] == ["QE211", "QE211"]
        assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]

    def test_an_element_of_another_group(self, source, out):
        spec = qe.parse(MLP)
        with pytest.raises(ValueError, match="the group"):
            qe.act_checkpoint(spec, source, out, element(qe.parse(MLP, widths=[3, 5, 2])))


class TestElements:
    SPEC = """spec s {
      space h = 3 : permute * scale(pre) * sign
      space v = 2 : linear
      space w = 2 : rotate * dilate
      space o = 2 : orthogonal
      space e = 2 : permute { space q = 2 : permute  space m = 2 : linear }
      param T : h v w o e q m
    }"""

    def test_what_is_saved_is_loaded(self, tmp_path):
        spec = qe.parse(self.SPEC)
        g = element(spec)
        path = tmp_path / "g.safetensors"
        qe.save_element(spec, g, path)
        assert Group(spec).distance(g, qe.load_element(spec, path)) == 0
        assert {"h/source", "h/characters/pre", "w/characters/dilate", "m/matrix"} <= load_file(path).keys()
        assert "exists already" in only_mistake(lambda: qe.save_element(spec, g, path))
        qe.save_element(spec, g.to(torch.float32), path, overwrite=True)
        assert Group(spec).distance(g, qe.load_element(spec, path)) < 1e-6

    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("h/source", torch.tensor([0, 0, 1]), "no permutation"),
            ("h/source", torch.tensor([0, 1]), "has shape [2], not [3]"),
            ("h/source", torch.tensor([0.0, 1.0, 2.0]), "numbers of type F32, not I64"),
            ("h/characters/pre", torch.tensor([1.0, -1.0, 1.0]), "`pre` that is not positive"),
            ("h/characters/pre", torch.tensor([1.0, float("inf"), 1.0]), "`pre` that is not positive"),
            ("h/characters/sign", torch.tensor([1.0, 2.0, 1.0]), "`sign` that is not +1 or -1"),
            ("v/matrix", torch.ones(2, 2), "not in the group `linear`"),
            ("v/matrix", torch.full((2, 2), float("nan")), "not in the group `linear`"),
            ("o/matrix", 2 * torch.eye(2), "not in the group `orthogonal`"),
            ("w/matrix", torch.tensor([[0.0, 1.0], [1.0, 0.0]]), "not in the group `rotate`"),
            ("w/characters/dilate", torch.tensor(0.0), "`dilate` that is not positive"),
            ("m/matrix", None, "`m/matrix` is missing"),
            ("x/matrix", torch.eye(2), "an entry `x/matrix` too much"),
        ],
    )
    def test_what_is_no_element_is_refused(self, tmp_path, key, value, words):
        spec = qe.parse(self.SPEC)
        path = tmp_path / "g.safetensors"
        qe.save_element(spec, element(spec), path)
        tensors = load_file(path)
        tensors.pop(key, None)
        save_file(tensors if value is None else {**tensors, key: value}, path)
        assert words in only_mistake(lambda: qe.load_element(spec, path))

    def test_other_kinds_of_files(self, tmp_path):
        spec = qe.parse(self.SPEC)
        torch.save({}, tmp_path / "g.pt")
        assert "no group element" in only_mistake(lambda: qe.load_element(spec, tmp_path / "g.pt"))
        assert "safetensors" in only_mistake(lambda: qe.save_element(spec, element(spec), tmp_path / "g.txt"))


class TestCommand:
    def test_a_seed_gives_one_checkpoint(self, qecompile, spec_file, source, tmp_path):
        files = [tmp_path / f"{k}.safetensors" for k in range(4)]
        for file, seed in zip(files, [0, 0, 1, None], strict=True):
            words = [] if seed is None else ["--seed", seed]
            assert qecompile("act", spec_file, source, "-o", file, *words).code == 0
        one, two, other, default = (file.read_bytes() for file in files)
        assert one == two == default != other
        spec = qe.load(spec_file)
        qe.act_checkpoint(spec, source, tmp_path / "py.safetensors", element(spec, 1))
        assert (tmp_path / "py.safetensors").read_bytes() == other

    def test_the_element_can_be_kept_and_used_again(self, qecompile, spec_file, source, out, tmp_path):
        saved, again = tmp_path / "g.safetensors", tmp_path / "again.safetensors"
        assert qecompile("act", spec_file, source, "-o", out, "--seed", 5, "--save-element", saved).code == 0
        assert qecompile("act", spec_file, source, "-o", again, "--element", saved).code == 0
        assert again.read_bytes() == out.read_bytes()

    def test_json(self, qecompile, spec_file, source, out):
        found = qecompile("act", spec_file, source, "-o", out, "--seed", 2, "--json").json
        assert found == {
            "spec": "mlp",
            "checkpoint": str(source),
            "output": str(out),
            "element": "a random element (seed 2)",
            "changed": ["layers.0.bias", "layers.0.weight", "layers.2.weight"],
            "kept": ["steps", "layers.2.bias"],
        }

    def test_scale_zero_only_permutes(self, qecompile, spec_file, source, out):
        assert qecompile("act", spec_file, source, "-o", out, "--scale", 0).code == 0
        old, new = load_file(source)["layers.0.bias"], load_file(out)["layers.0.bias"]
        assert torch.equal(old.sort().values, new.sort().values)

    def test_force(self, qecompile, spec_file, source):
        before = source.read_bytes()
        outcome = qecompile("act", spec_file, source, "-o", source)
        assert outcome.code == 2
        assert "--force" in outcome.err
        assert source.read_bytes() == before
        assert qecompile("act", spec_file, source, "-o", source, "--force").code == 0
        assert source.read_bytes() != before

    def test_options_pick_the_spec(self, qecompile, tmp_path, source, out):
        path = tmp_path / "two.sym"
        path.write_text(MLP.replace("[3, 4, 2]", "[9, 9]") + "spec other { space h = 1 : fixed param p : h }")
        words = ["act", path, source, "-o", out]
        assert qecompile(*words).code == 2
        assert qecompile(*words, "--spec", "mlp", "-D", "widths=[3,4,2]").code == 0

    @pytest.mark.parametrize(
        "words",
        [
            ["--seed", -1],
            ["--scale", -1],
            ["--scale", "nan"],
            ["--scale", "inf"],
            ["--element", "g.safetensors", "--seed", 1],
            ["--element", "gone.safetensors"],
            ["--save-element", "out.safetensors"],
            ["--save-element", "model.safetensors", "--force"],
            ["--save-element", "mlp.sym", "--force"],
        ],
        ids=str,
    )
    def test_command_lines_that_mean_nothing(self, qecompile, spec_file, source, out, monkeypatch, words):
        monkeypatch.chdir(source.parent)
        before = {p.name: p.read_bytes() for p in source.parent.iterdir()}
        outcome = qecompile("act", spec_file, source, "-o", out, *words)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error[QE")
        assert {p.name: p.read_bytes() for p in source.parent.iterdir()} == before

    def test_a_damaged_checkpoint(self, qecompile, spec_file, source, out):
        os.truncate(source, source.stat().st_size - 1)
        outcome = qecompile("act", spec_file, source, "-o", out)
        assert outcome.code == 2
        assert "was it cut short?" in outcome.err
        assert not out.exists()


KILLER = """
import os, signal, sys
import torch
import qecompile as qe

STEPS = {"open", "write", "seek", "truncate", "flush", "close", "fsync", "link", "replace", "unlink", "chmod"}
spec_file, source, out, kind = sys.argv[1:]
spec = qe.load(spec_file)
g = qe.Group(spec).sample(torch.Generator().manual_seed(0))


def run(stop):
    "Act in a process of its own, which is killed at its `stop`-th step; how many steps there were."
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        with os.fdopen(reader) as lines:
            said = lines.read()
        os.waitpid(child, 0)
        return said
    steps = 0

    def count(frame, event, called):
        nonlocal steps
        if event in ("c_call", "c_return") and called.__name__ in STEPS:
            if steps == stop:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    sys.setprofile(count)
    qe.act_checkpoint(spec, source, out, g, overwrite=kind == "replace")
    sys.setprofile(None)
    os.write(writer, str(steps).encode())
    os._exit(0)


def state():
    return open(out, "rb").read() if os.path.exists(out) else None


before = state()
total = int(run(-1))
after = state()
states = []
for stop in range(total):
    if before is None:
        os.unlink(out) if os.path.exists(out) else None
    else:
        with open(out, "wb") as file:
            file.write(before)
    assert run(stop) == ""
    states.append({before: "old", after: "new"}.get(state(), "broken"))
print(*states)
"""


class TestKilled:
    @pytest.mark.parametrize("kind", ["create", "replace"])
    def test_at_any_step_the_file_is_old_or_new(self, spec_file, source, out, kind):
        if kind == "replace":
            out.write_bytes(b"old")
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", KILLER, spec_file, source, out, kind],
            capture_output=True,
            text=True,
            check=True,
        )
        states = run.stdout.split()
        assert len(states) > 20
        assert states == sorted(states, reverse=True)  # old, until new
        assert {"old", "new"} == set(states)
        left = {p.name for p in out.parent.iterdir()} - {spec_file.name, source.name, out.name}
        assert left
        assert all(LEFTOVER.fullmatch(name) for name in left)

    def test_from_outside(self, tmp_path):
        """The command itself, killed as soon as it has started to write."""
        spec = tmp_path / "s.sym"
        spec.write_text(
            'spec s { space h = 2000 : permute space x = 2000 : fixed param W : h <- x from "W" }'
        )
        source, out = tmp_path / "model.safetensors", tmp_path / "out.safetensors"
        save_file({"W": torch.ones(2000, 2000), "more": torch.ones(2000, 2000)}, source)
        out.write_bytes(b"old")
        command = [sys.executable, "-m", "qecompile", "act", spec, source, "-o", out, "--force"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as run:
            while run.poll() is None and not any(LEFTOVER.fullmatch(p.name) for p in tmp_path.iterdir()):
                time.sleep(0.001)
            run.kill()
        assert run.returncode == -signal.SIGKILL
        assert out.read_bytes() == b"old"
        assert subprocess.run(command, stdout=subprocess.DEVNULL, check=True).returncode == 0
        assert read_entries(out) == read_entries(source)


MEASURED = """
import resource, sys
import torch
from qecompile.cli import main

start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
sys.exit(code)
"""


def grown(*words: str | Path) -> int:
    """By how many bytes the memory of a process grows while it runs a command."""
    command = [sys.executable, "-c", MEASURED, *map(str, words)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1]) * 1024


class TestLargeFiles:
    def test_two_gigabytes_of_which_the_spec_names_little(self, tmp_path, spec_file, out):
        source, state, junk = tmp_path / "model.safetensors", mlp_state(), 2**31
        header = {"junk": entry("U8", [junk], 0, junk)}
        end = junk
        for name, t in state.items():
            header[name] = entry("F64", [*t.shape], end, end + t.nbytes)
            end += t.nbytes
        write_raw(source, header)
        with open(source, "ab") as file:
            file.truncate(source.stat().st_size + junk)
            file.writelines(t.numpy().tobytes() for t in state.values())
        spec = qe.load(spec_file)
        assert torch.equal(qe.read_checkpoint(spec, source)["b[2]"], state["layers.2.bias"])
        assert grown("act", spec_file, source, "-o", out) < 100 * 2**20
        assert out.stat().st_size == source.stat().st_size
        assert out.stat().st_blocks * 512 < 2**24  # what is empty stays empty on the disk
        expected = Group(spec).act(element(spec), qe.read_checkpoint(spec, source))
        found = qe.read_checkpoint(spec, out)
        assert all(torch.equal(found[name], expected[name]) for name in expected)

    def test_one_entry_at_a_time_is_in_memory(self, tmp_path):
        spec = tmp_path / "s.sym"
        spec.write_text("""spec s {
          space h = 1024 : permute * scale
          space x = 1024 : fixed
          param W[i] for i in 1..40 : h <- x  from "W{i}"
        }""")
        source = tmp_path / "model.safetensors"
        save_file({f"W{i}": torch.full((1024, 1024), float(i)) for i in range(1, 41)}, source)  # 160 MB
        assert grown("act", spec, source, "-o", tmp_path / "out.safetensors") < 60 * 2**20
