"""`prove`: emitted files, edited files, modules of the user's own, certificates, and the command."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import qecompile as qe
from qecompile.proving import find_spec, prover, used_files
from qecompile.verify.imported import imported, same_syntax
from qecompile.verify.obligations import TABLE
from qecompile.verify.prove import Proof, Prover
from qecompile.verify.sameness import difference

ROOT = Path(__file__).resolve().parent.parent
MLP = """
spec tiny(n: int = 4) {
  space x = 3 : fixed   space h = n : permute * scale   space y = 2 : fixed
  param W : h <- x   param b : h   param V : y <- h   param c : y
  metanet reader { channels 1, 3  readout invariant -> 2 }
}
"""
HEADS = """
spec heads {
  space D = 3 : permute   space head = 2 : permute { space q = 2 : linear }
  param Q : head q <- D   param K : head q* <- D   param g : D
}
"""


@cache
def prover_of(text: str) -> Prover:
    """What is shown of a spec is shown once for all tests."""
    return prover(qe.parse(text))


def prove_edited(text: str, *edits: tuple[str, str]) -> Proof:
    """Prove the emitted file of a spec after some replacements, each of which must apply."""
    source = prover_of(text).accused.source
    for old, new in edits:
        assert old in source, f"`{old}` is not in the file"
        source = source.replace(old, new, 1)
    return prover_of(text).prove_source(source, hurry=True)


def failure(proof: Proof) -> tuple[str, str]:
    """The obligation that failed, and why."""
    wrong = [o for o in proof.obligations if o.ok is False]
    assert wrong, "it was proved"
    assert not proof.ok
    return wrong[0].name, wrong[0].detail


# --- what is proved ---------------------------------------------------------------------------------------

WHOLE = ["invariance", "independence", "dimension", "translation", "syntax", "weights", "family", "types"]


@pytest.mark.parametrize("text", [MLP, HEADS], ids=["mlp", "heads"])
def test_an_emitted_file_meets_every_obligation(text: str) -> None:
    proof = prover_of(text).prove_source(prover_of(text).accused.source)
    assert [(o.name, o.ok) for o in proof.obligations] == [(name, True) for name in WHOLE]


def test_axes_may_stand_before_their_parents() -> None:
    text = "spec s { space h = 2 : permute { space q = 2 : orthogonal }  param W : q h  param v : h q }"
    proof = prover_of(text).prove_spec()
    assert proof.ok, failure(proof)


def test_a_rotation_of_one_axis_is_no_rotation() -> None:
    """SO(1) is trivial: any function may act on such an axis."""
    text = "spec s { space r = 1 : rotate  space h = 2 : permute * sign  param W : [h^2, r]  param v : h r }"
    proof = prover_of(text).prove_spec()
    assert proof.ok, failure(proof)


def test_obligations_say_what_their_figures_say() -> None:
    for o in prover_of(MLP).prove_spec().obligations:
        assert o.detail == TABLE[o.name].sentence.format(**o.figures)
        assert o.method == TABLE[o.name].method


def test_comments_docstrings_and_layout_do_not_matter() -> None:
    proof = prove_edited(
        MLP, ("from __future__ import annotations", "# edited\n\nfrom __future__ import annotations"),
        ('"""The most general equivariant affine map', '"""A map, the most general equivariant affine map'),
    )  # fmt: skip
    assert proof.ok
    assert proof.obligations[4].name == "syntax"


REWRITES = {
    "another spelling of a product": (("y_h = x_h @ self.weight_h", "y_h = x_h.matmul(self.weight_h)"),),
    "another name": (("b = x[\"b\"]  # [B, h, C]\n    V = ", "bias_h = x[\"b\"]\n    b = bias_h\n    V = "),),
    "weights in another order": (
        ("# c -> c\n        self.weight_scalar =", "self.weight_h ="),
        ("# V -> V\n        self.weight_h =", "self.weight_scalar ="),
    ),
    "weights under other names": (
        ("self.weight_h_2 = nn", "self.matrix = nn"),
        ("_fill(\n            self.weight_h_2", "_fill(\n            self.matrix"),
        ("x_h_2 @ self.weight_h_2", "x_h_2 @ self.matrix"),
    ),
    "relu by hand": (("F.relu(x[\"b\"])", "x[\"b\"].clamp(min=0)"),),
    "silu by hand": (("F.silu(x_scalar @", "(lambda z: z * torch.sigmoid(z))(x_scalar @"),),
}  # fmt: skip


@pytest.mark.parametrize("name", REWRITES)
def test_correct_rewrites_are_proved(name: str) -> None:
    proof = prove_edited(MLP, *REWRITES[name])
    assert proof.ok, failure(proof)
    assert "function" in [o.name for o in proof.obligations]


MUTANTS = {
    "a wrong activation": ('F.relu(x["b"])', 'torch.tanh(x["b"])'),
    "an activation left out": ('F.relu(x["b"])', 'x["b"]'),
    "a wrong charge": ('V = V * norm1[:, None]', 'V = V / norm1[:, None]'),
    "a wrong axis of a mean": ("W_by_x = W.mean(1)", "W_by_x = W.mean(1) * 0 + W.mean((1, 2)).unsqueeze(1)"),
    "a maximum for a mean": ("b_mean = b.mean(1)", "b_mean = b.amax(1)"),
    "a sum for a mean": ("b_mean = b.mean(1)", "b_mean = b.sum(1)"),
    "a single entry for a mean": ("b_mean = b.mean(1)", "b_mean = b[:, 0]"),
    "an off-by-one slice": ("b = y_h_2[..., 3 * n : 4 * n]", "b = y_h_2[..., 2 * n : 3 * n]"),
    "a bias that is left out": ("y_scalar = y_scalar + self.bias.flatten()", "y_scalar = y_scalar"),
    "a gradient that is cut": ("F.silu(self.hidden", "F.silu(self.hidden.requires_grad_(False)"),
    "another start": ("nn.init.zeros_(self.bias)", "nn.init.ones_(self.bias)"),
    "a change at zero only": ("positive = norm > 0\n    return", "positive = norm >= 0\n    return"),
    "a change in eval mode only": (
        "n = self.out_channels\n",
        "n = self.out_channels\n        x = {k: v if self.training else v * 2 for k, v in x.items()}\n",
    ),
    "a change in the readout in eval mode": (
        "return self.readout(x)", "return self.readout(x) * (1 if self.training else 2)"
    ),
    "a change in single precision only": (
        "return self.readout(x)", "return self.readout(x) * (1 if theta['b'].dtype == torch.float64 else 2)"
    ),
    "a change for large batches only": (
        "return self.readout(x)", "return self.readout(x) * (1 if len(theta['b']) < 9 else 2)"
    ),
    "a weight that does not learn": (
        "2 * out_channels, **options))\n        # V", "2 * out_channels, **options), False)\n        # V"
    ),
    "weights of another shape": ("nn.Linear(64, outputs", "nn.Linear(64, outputs + 0 * 1, bias=False"),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_refused_for_what_they_compute(name: str) -> None:
    assert failure(prove_edited(MLP, MUTANTS[name]))[0] == "function"


def test_the_refusal_says_which_output_of_which_class_and_how_large_the_difference_is() -> None:
    _, why = failure(prove_edited(MLP, MUTANTS["a wrong charge"]))
    assert re.match(
        r"not what the compiler's own output computes: Invariants.forward in \w+ differs by ", why
    )


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (("class MetaNet", "class Metanet"), "the class MetaNet is missing"),
        (("return self.readout(x)", "return self.readout(x"), "no Python"),
        (("import torch.fx\n", "import torch.fx\nraise RuntimeError('no')\n"), "RuntimeError: no"),
        (('"b": (4,),', '"b": (5,),'), "SHAPES differs"),
    ],
)
def test_broken_files_are_refused_plainly(edit: tuple[str, str], reason: str) -> None:
    name, why = failure(prove_edited(MLP, edit))
    assert (name, reason in why) == ("function", True), why


def test_differences_are_seen_in_each_batch_entry() -> None:
    a = torch.tensor([[1e60, 1.0], [1e-60, 0.0], [float("inf"), 2.0]], dtype=torch.float64)
    assert difference(a, a.clone()) == 0
    b = a.clone()
    b[1, 0] *= 1.5
    assert difference(a, b) == pytest.approx(0.5)
    assert difference(a, a.nan_to_num()) == float("inf")
    assert difference(a, b, least=1.0) == pytest.approx(0.5e-60)


def test_gradients_of_a_dead_alpha_are_rounding_errors_and_may_differ() -> None:
    spec = qe.parse(
        "spec s { space h = 3 : permute * scale  param b : h  param W : [h, h*]"
        "  metanet m { channels 1, 2  alpha covariant  readout invariant -> 1 } }"
    )
    proved = prover(spec)
    old = "x_scalar @ self.weight_scalar + self.shift_scalar"
    text = proved.accused.source
    assert old in text
    halves = "x_scalar[..., :1] @ self.weight_scalar[:1] + x_scalar[..., 1:] @ self.weight_scalar[1:]"
    proof = proved.prove_source(text.replace(old, f"{halves} + self.shift_scalar"))
    assert [f"{o.name}: {o.detail}" for o in proof.obligations if o.ok is False] == []


@pytest.mark.parametrize(
    ("alpha", "readout"),
    [("shared()", "equivariant"), ("covariant()", "equivariant"), ("independent()", "invariant -> 2")],
)
def test_networks_with_an_alpha_map_are_proved_and_their_mutants_refused(alpha: str, readout: str) -> None:
    text = MLP.replace("readout invariant -> 2", f"alpha {alpha}  readout {readout}")
    proof = prover_of(text).prove_source(prover_of(text).accused.source)
    assert proof.ok, failure(proof)
    assert proof.obligations[-1].figures["quasi"] == (alpha == "shared()")
    for edit in (('"b": x["b"] * scale_h,', '"b": x["b"],'), ("= 1 + 0.1 *", "= 1 + 1.5 *")):
        assert failure(prove_edited(text, edit))[0] == "function"


# --- modules of one's own ---------------------------------------------------------------------------------


class Centre(nn.Module):
    """Each vector without its mean: equivariant under permutations."""

    def forward(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"b": theta["b"] - theta["b"].mean(1, keepdim=True)}


class First(nn.Module):
    def forward(self, theta: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"b": theta["b"] - theta["b"][:, :1]}


def test_a_module_is_proved_by_types_alone(tmp_path: Path) -> None:
    spec = qe.parse("spec s { space h = 4 : permute  param b : h }")
    proof = qe.prove(spec, Centre())
    assert (proof.ok, [o.name for o in proof.obligations]) == (True, ["types"])
    proof.save(tmp_path / "cert.json")
    assert json.loads((tmp_path / "cert.json").read_text())["ok"]
    refused = qe.prove(spec, First())
    assert not refused.ok
    assert "select" in failure(refused)[1] or "slice" in failure(refused)[1]


def test_a_module_from_an_emitted_file_is_proved_as_that_file() -> None:
    spec = qe.parse(MLP)
    proof = qe.prove(spec, qe.build(spec).MetaNet())
    assert (proof.ok, [o.name for o in proof.obligations]) == (True, [*WHOLE, "kernels"])


def test_a_model_is_not_checked_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "s.sym"
    path.write_text('spec s { space h = 2 : permute  param b : h  model "a.b:c" with input normal(8, 4) }')
    proof = qe.prove(qe.load(path))
    assert (proof.obligations[-1].name, proof.obligations[-1].ok, proof.ok) == ("model", None, True)


# --- certificates -----------------------------------------------------------------------------------------


@pytest.fixture
def emitted(tmp_path: Path) -> Path:
    """An emitted file beside its spec."""
    (tmp_path / "tiny.sym").write_text(MLP)
    qe.emit(qe.load(tmp_path / "tiny.sym", n=5), tmp_path / "tiny.py")
    return tmp_path / "tiny.py"


def test_a_certificate_is_tied_to_the_bytes_of_its_files(emitted: Path, qecompile: Callable) -> None:
    assert qecompile("prove", emitted).code == 0
    certificate = json.loads((emitted.parent / "tiny.cert.json").read_text())
    assert certificate["emitted"] == {
        "file": "tiny.py",
        "sha256": hashlib.sha256(emitted.read_bytes()).hexdigest(),
        "metanet": "reader",
    }
    spec = certificate["spec"]
    assert spec["sha256"] == hashlib.sha256((emitted.parent / "tiny.sym").read_bytes()).hexdigest()
    assert (spec["name"], spec["file"], spec["arguments"], spec["used"]) == ("tiny", "tiny.sym", {"n": 5}, {})
    body, _, _ = (emitted.parent / "tiny.cert.json").read_bytes().rpartition(b',"sha256"')
    assert certificate["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_certificate_lists_the_whole_basis(emitted: Path, qecompile: Callable) -> None:
    qecompile("prove", emitted)
    certificate = json.loads((emitted.parent / "tiny.cert.json").read_text())
    spec = qe.load(emitted.parent / "tiny.sym", n=5)
    basis = qe.derive(spec)
    hom = certificate["basis"]["hom"]
    assert {(e["source"], e["target"]): e["dim"] for e in hom} == {
        (p.source, p.target): p.dim for p in basis.pairs()
    }
    for e in hom:
        shown = hom[e["diagrams"]["same"]]["diagrams"] if isinstance(e["diagrams"], dict) else e["diagrams"]
        listed = basis.diagrams(e["source"], e["target"])
        assert [d["blocks"] for d in shown] == [[list(b.legs) for b in d.blocks] for d in listed]
    assert all(count == nullity for _, _, count, nullity in certificate["small"]["dims"])


@pytest.mark.slow
def test_the_separate_checker_confirms_it_and_notices_a_changed_byte(
    emitted: Path, qecompile: Callable
) -> None:
    qecompile("prove", emitted)
    certificate, spec = emitted.parent / "tiny.cert.json", emitted.parent / "tiny.sym"

    def recheck() -> int:
        command = [sys.executable, "-m", "qecompile.recheck", certificate, spec, emitted]
        return subprocess.run(command, check=False, capture_output=True).returncode

    assert recheck() == 0
    for path in (emitted, spec, certificate):
        before = path.read_bytes()
        path.write_bytes(before.replace(b"tiny", b"Tiny", 1))
        assert recheck() != 0, path
        path.write_bytes(before)


def test_used_files_are_hashed_by_their_place(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "layer.sym").write_text(
        "spec layer(n: int = 2) { space h = n : permute  param b : h }"
    )
    (tmp_path / "s.sym").write_text('use "parts/layer.sym"\nspec s { include layer() as one }')
    used = used_files(qe.load(tmp_path / "s.sym"))
    assert used == {
        "parts/layer.sym": hashlib.sha256((tmp_path / "parts/layer.sym").read_bytes()).hexdigest()
    }


# --- the command ------------------------------------------------------------------------------------------


def test_the_command_proves_a_spec(tmp_path: Path, qecompile: Callable) -> None:
    (tmp_path / "heads.sym").write_text(HEADS)
    outcome = qecompile("prove", tmp_path / "heads.sym", "--json")
    assert outcome.code == 0
    assert outcome.json["ok"] is True
    assert [o["name"] for o in outcome.json["obligations"]] == [n for n in WHOLE if n != "syntax"]
    assert {"name", "ok", "method", "detail"} <= set(outcome.json["obligations"][0])
    assert (tmp_path / "heads.sym.cert.json").exists()


def test_the_command_refuses_an_edited_file_and_records_it(emitted: Path, qecompile: Callable) -> None:
    source = emitted.read_text()
    emitted.write_text(source.replace("b_mean = b.mean(1)", "b_mean = b.amax(1)", 1))
    outcome = qecompile("prove", emitted, "-o", emitted.parent / "c.json")
    assert outcome.code == 1
    assert "NOT proved" in outcome.out
    assert json.loads((emitted.parent / "c.json").read_text())["ok"] is False


def test_a_spec_that_has_changed_is_told_apart(emitted: Path, qecompile: Callable) -> None:
    spec = emitted.parent / "tiny.sym"
    spec.write_text(MLP.replace("space y = 2", "space y = 2 "))
    outcome = qecompile("prove", emitted)
    assert (outcome.code, "QE962" in outcome.err) == (2, True)
    assert qecompile("prove", emitted, "--against", spec).code == 0
    spec.write_text(MLP.replace("permute * scale", "permute"))
    assert qecompile("prove", emitted, "--against", spec).code == 1


def test_bad_input_is_told(tmp_path: Path, emitted: Path, qecompile: Callable) -> None:
    (tmp_path / "other.py").write_text("print('hello')\n")
    assert "QE960" in qecompile("prove", tmp_path / "other.py").err
    (tmp_path / "tiny.sym").rename(tmp_path / "moved.sym")
    assert "QE961" in qecompile("prove", emitted).err
    assert qecompile("prove", emitted, "-D", "n=3").code == 2
    assert qecompile("prove", tmp_path / "moved.sym", "--against", emitted).code == 2
    assert qecompile("prove", emitted, "--against", tmp_path / "moved.sym", "-o", emitted).code == 2


def test_the_header_finds_the_spec_with_its_arguments(emitted: Path) -> None:
    spec, metanet, source = find_spec(emitted)
    assert (spec.name, dict(spec.arguments), metanet) == ("tiny", {"n": 5}, "reader")
    assert source == emitted.read_text()


# --- the parts --------------------------------------------------------------------------------------------


def test_texts_are_imported_for_a_while_only() -> None:
    with imported("class Layer: pass") as module:
        name = module.__name__
        assert sys.modules[name] is module
    assert name not in sys.modules


def test_equal_syntax_is_about_meaning() -> None:
    assert same_syntax("x = 1\n", "# x\nx = (1)")
    assert not same_syntax("x = 1", "x = 2")
    assert not same_syntax("def f():\n    'a'\n    return 1", "def f():\n    'a'\n    return 2")
