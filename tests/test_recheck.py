"""The checker of certificates: it agrees with the compiler, stands alone, and notices what is changed.

Certificates are taken to it as they are and tampered with: an attacker changes anything in a certificate, the
spec or the emitted file, and recomputes every hash.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certificates import MLP, SQUARE, Case, certificate_of, hash_of, remade, text_of
from hypothesis import HealthCheck, given, settings
from strategies import specs
from sym_examples import EXAMPLES, ROOT, SPECS

import qecompile as qe
from qecompile.basis import total_affine, total_dim
from qecompile.proving import prover
from qecompile.recheck import command, emitted, large, obligations
from qecompile.recheck.diagrams import Forest
from qecompile.recheck.elaborate import elaborate
from qecompile.recheck.listing import check_basis
from qecompile.recheck.values import BadInput
from qecompile.spec import Spec
from qecompile.verify.certificate import sealed
from qecompile.verify.obligations import TABLE

GRAMMAR = ROOT / "grammars" / "sym.lark"
quick = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))

NESTED = """
spec nested {
  space D = 3 : permute
  space g = 2 : permute {
    space f = 3 : fixed { space p = 2 : rotate * dilate }
    space v = 2 : linear
  }
  space t = 2 : sign { space o = 2 : orthogonal }
  param Q : g f p <- D
  param K : g f p* <- D
  param V : g v <- D
  param O : D <- g v
  param S : [t, o, t, o]
  param R : [t, t]
  param s : []
}
"""


def as_certified(spec: Spec) -> str:
    """The spaces and parameters as a certificate lists them."""
    spaces = [{**s.model_dump(), "characters": [[c.name, c.word] for c in s.characters]} for s in spec.spaces]
    params = [{"name": p.name, "axes": [a.model_dump() for a in p.axes]} for p in spec.parameters]
    return json.dumps({"spaces": spaces, "params": params})


@pytest.fixture
def mlp(tmp_path: Path) -> Case:
    return Case(tmp_path, MLP)


@pytest.fixture
def nested(tmp_path: Path) -> Case:
    return Case(tmp_path, NESTED, emit=False)


@pytest.fixture
def square(tmp_path: Path) -> Case:
    return Case(tmp_path, SQUARE)


@pytest.fixture
def proved(mlp: Case) -> Case:
    """The perceptron with a certificate that was earned."""
    assert mlp.emitted is not None
    proof = prover(mlp.spec).prove_source(mlp.emitted.read_text(), mlp.emitted.name)
    mlp.certificate = json.loads(json.dumps(proof.certificate()))
    return mlp


# --- it agrees with the compiler ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_both_elaborators_read_the_same_in_every_example(name: str, tmp_path: Path) -> None:
    path = tmp_path / "example.sym"
    path.write_text(EXAMPLES[name], encoding="utf-8")
    try:
        spec = qe.load(path)
    except qe.SymError:
        pytest.skip("laid out badly on purpose, or cannot stand alone")
    found = elaborate(path, spec.name, dict(spec.arguments), GRAMMAR)
    assert json.dumps(found.as_json()) == as_certified(spec)


LANGUAGE = {
    "lets in any order, texts and lists": """
spec s(n: int = len([1, 2..4]), w: ints = [n, n * 2, 7 // 2, -n % 3 + 1], t: text = "a{{{n}}}") {
  let c = b - 1   let b = sum(w) + min(w) * max(1, 2)
  space a[i] for i in 0..n-1 if i != 1 = w[i % 2] + (t == "a{{4}}") : permute
  space z[i, j] for i in 1..2 for j in i..2 = c / c : fixed
  param p[i] for i in 2..n-1 : a[i] <- z[1, 2] a[0]
}""",
    "charges and parents": """
spec s {
  space h = 2 : permute * scale(pre) * sign { space v = 3 : linear  space u = 2 : rotate * dilate }
  space o = 3 : orthogonal
  param a : [v*, h^{pre: 2}, h*, v, u^-2, u*^(1 - 3)]
  param b : h^2 v <- u h^0 v*
  param c : []
  param d : o <- o*
}""",
    "several characters and a torus": """
spec s {
  space c = 2 : scale * scale(post) * permute
  space k = 2 : dilate
  param a : [c^{scale: 1, post: -1}*, k*, k^3]
  param b : c <- c^{}
}""",
}


@pytest.mark.parametrize("text", LANGUAGE.values(), ids=LANGUAGE.keys())
def test_both_elaborators_read_the_same(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.sym"
    path.write_text(text, encoding="utf-8")
    spec = qe.load(path)
    found = elaborate(path, spec.name, dict(spec.arguments), GRAMMAR)
    assert json.dumps(found.as_json()) == as_certified(spec)


def test_both_elaborators_include_the_same(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "block.sym").write_text(
        "spec block(n: int) { space D = 4 : permute  space h[i] for i in 1..n = 3 : permute * scale"
        "  param W[i] for i in 1..n : h[i] <- D }"
    )
    path = tmp_path / "net.sym"
    path.write_text(
        'use "lib/block.sym"\nspec net { space S = 4 : permute  param E : S'
        "  include block(n = k) as layer[k] for k in 1..2 with D = S"
        "  include block(n = 1) as last  param H : last.D <- layer[2].h[2] }"
    )
    spec = qe.load(path)
    found = elaborate(path, "net", {}, GRAMMAR)
    assert json.dumps(found.as_json()) == as_certified(spec)
    assert found.used == {"lib/block.sym": hash_of(tmp_path / "lib" / "block.sym")}


def test_both_tables_of_obligations_say_the_same() -> None:
    assert obligations.TABLE == {name: (entry.method, entry.sentence) for name, entry in TABLE.items()}


@given(specs())
@quick
def test_both_elaborators_read_drawn_specs(tmp_path_factory: pytest.TempPathFactory, spec: Spec) -> None:
    path = tmp_path_factory.mktemp("drawn") / "drawn.sym"
    path.write_text(text_of(spec))
    found = elaborate(path, spec.name, {}, GRAMMAR)
    assert json.dumps(found.as_json()) == as_certified(qe.load(path))


@given(specs(bound=600))
@quick
def test_every_drawn_basis_is_confirmed(tmp_path_factory: pytest.TempPathFactory, spec: Spec) -> None:
    path = tmp_path_factory.mktemp("drawn") / "drawn.sym"
    path.write_text(text_of(spec))
    assert dims_of(path, qe.load(path)) == {
        (p, q): qe.derive(spec).dim(p, q) if p else qe.derive(spec).invariants(q)
        for q in spec.params
        for p in (None, *spec.params)
    }


def dims_of(path: Path, spec: Spec) -> dict[tuple[str | None, str], int]:
    """The dimensions that the checker confirms for the basis of a spec."""
    forest = Forest(elaborate(path, spec.name, dict(spec.arguments), GRAMMAR))
    return check_basis(certificate_of(spec)["basis"], forest)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_basis_of_every_spec_of_the_library_is_confirmed(path: Path) -> None:
    spec = qe.load(path)
    dims = dims_of(path, spec)
    assert sum(dims.values()) == total_dim(qe.derive(spec)) + total_affine(qe.derive(spec))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["siren", "lora", "mha"])
def test_what_the_compiler_proves_is_confirmed(name: str, tmp_path: Path) -> None:
    path, emitted, certificate = ROOT / "specs" / f"{name}.sym", tmp_path / "it.py", tmp_path / "it.json"
    spec = qe.load(path)
    qe.emit(spec, emitted)
    prover(spec).prove_source(emitted.read_text(), emitted.name).save(certificate)
    assert command.main([str(certificate), str(path), str(emitted)]) == 0


def test_a_spec_with_every_kind_of_fibre_is_confirmed(
    nested: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = [e["diagrams"] for e in nested.certificate["basis"]["hom"] if isinstance(e["diagrams"], list)]
    assert any(d["support"] for diagrams in lists for d in diagrams)
    assert nested.status() == 0
    assert capsys.readouterr().out.endswith("all confirmed\n")


# --- it stands alone ----------------------------------------------------------------------------------


def test_it_loads_nothing_of_the_compiler(mlp: Case) -> None:
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('qecompile.recheck', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print(*(name for name in sys.modules if name.split('.')[0] == 'qecompile'))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *mlp.arguments(mlp.certificate)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert {"qecompile.recheck.command", "qecompile.recheck.emitted"} <= loaded
    assert not {n for n in loaded if not n.startswith("qecompile.recheck")} - {
        "qecompile",
        "qecompile.version",
    }


def test_a_copy_of_the_folder_runs_by_itself(mlp: Case) -> None:
    copied = mlp.folder / "elsewhere" / "judge"
    shutil.copytree(ROOT / "qecompile" / "recheck", copied, ignore=shutil.ignore_patterns("__pycache__"))
    call = [sys.executable, "-I", str(copied), *mlp.arguments(mlp.certificate)]
    ran = subprocess.run([*call, "--grammar", str(GRAMMAR)], capture_output=True, text=True, cwd=mlp.folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("all confirmed\n")
    ran = subprocess.run(call, capture_output=True, text=True, cwd=mlp.folder)
    assert (ran.returncode, ran.stderr) == (2, "")
    assert "--grammar" in ran.stdout


# --- changed certificates -----------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all leaves of a JSON value, empty containers included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield from (leaf for key, part in inner for leaf in leaves(part, (*path, key)))
    if not inner:
        yield path


def changes(value: Any) -> list[Any]:
    """What an attacker may write instead of a leaf."""
    match value:
        case bool():
            return [not value, int(value)]
        case int():
            return [value + 1, value - 1, float(value), str(value)]
        case float():
            return [value + 1, -1.0]
        case str():
            return [value + "x", value[1:] if value else "y", 3]
        case None:
            return ["x", 0]
    return [[7] if value == [] else {"x": 1}]


def changed(certificate: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A certificate with another value at one place, under its new hash."""
    certificate = copy.deepcopy(certificate)
    *outer, last = path
    part = certificate
    for key in outer:
        part = part[key]
    part[last] = new
    return certificate


@pytest.mark.parametrize("which", ["proved", pytest.param("nested", marks=pytest.mark.slow)])
def test_every_changed_leaf_is_noticed(which: str, request: pytest.FixtureRequest) -> None:
    case: Case = request.getfixturevalue(which)
    tried = 0
    for path in leaves(case.certificate):
        if path == ("qecompile",) and case.emitted is None:
            continue  # which version wrote it is told by the emitted file's head, and without one by nothing
        value = case.certificate
        for key in path:
            value = value[key]
        for new in changes(value):
            tried += 1
            assert case.status(changed(case.certificate, path, new)) in (1, 2), (path, value, new)
    assert tried > 400


def test_everything_left_out_or_added_is_noticed(proved: Case) -> None:
    def containers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        inner = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        )
        for key, part in inner:
            yield (*path, key)
            yield from containers(part, (*path, key))

    for path in containers(proved.certificate):
        less, more = copy.deepcopy(proved.certificate), copy.deepcopy(proved.certificate)
        one, two = less, more
        for key in path[:-1]:
            one, two = one[key], two[key]
        del one[path[-1]]
        if isinstance(two, list):
            two.append(two[path[-1]])
        else:
            two["extra"] = two[path[-1]]
        assert proved.status(less) in (1, 2), path
        assert proved.status(more) in (1, 2), path


def test_the_hash_alone_is_noticed(mlp: Case) -> None:
    text = sealed(mlp.certificate)
    assert mlp.status(text[:-11] + "0" * 7 + text[-4:]) == 1


def test_every_changed_byte_of_a_certificate_is_noticed(mlp: Case) -> None:
    """White space, the order of entries and other ways to write a number or a letter included."""
    text, draw = sealed(mlp.certificate), random.Random(6)
    assert mlp.status(text) == 0
    for at in draw.sample(range(len(text)), 100):
        for new in ("", chr(ord(text[at]) ^ (1 << draw.randrange(7))), text[at] + " "):
            assert mlp.status(text[:at] + new + text[at + 1 :]) in (1, 2), (at, new)
    alike = [
        text + " ",
        text + "{}",
        "\ufeff" + text,
        text.replace("\n", "\r\n"),
        text.replace('"ok": true', '"ok":true'),
        text.replace('"ok"', '"\\u006fk"'),
        text.replace('"small"', '"basis": {},\n"small"'),
        json.dumps(json.loads(text)),
        json.dumps(dict(reversed(json.loads(text).items())), indent=1),
    ]
    for other in alike:
        assert other != text
        assert mlp.status(other) in (1, 2), other[:300]


def test_a_certificate_that_says_that_the_proof_failed_is_refused(mlp: Case) -> None:
    assert mlp.status({**mlp.certificate, "ok": False}) == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_basis_with_a_map_less_is_noticed_though_all_numbers_fit(nested: Case, seed: int) -> None:
    """A diagram is left out, or replaced by a copy or by one of another pair; dimensions are kept in line."""
    draw = random.Random(seed)
    certificate = copy.deepcopy(nested.certificate)
    entries = certificate["basis"][draw.choice(["hom", "affine"])]
    entry = draw.choice([e for e in entries if isinstance(e["diagrams"], list)])
    diagrams = entry["diagrams"]
    k = draw.randrange(len(diagrams))
    match draw.choice(["drop", "double", "foreign"]):
        case "drop":
            entry["dim"] = entry["dim"] // len(diagrams) * (len(diagrams) - 1)
            del diagrams[k]
        case "double":
            diagrams.append(diagrams[k])
            entry["dim"] *= 2
        case _:
            other = draw.choice([e for e in entries if e is not entry])["diagrams"]
            if isinstance(other, dict) or other[0] in diagrams:
                other = [{"blocks": [], "pairs": [], "epsilons": [], "support": None}]
            diagrams[k] = other[0]
    assert nested.status(certificate) == 1


def test_dependent_diagrams_are_noticed(tmp_path: Path) -> None:
    """Under O(1) three pairings of four axes are one map; listing another of them for it changes no count."""
    case = Case(tmp_path, "spec s { space o = 1 : orthogonal  param a : [o, o] }", emit=False)
    entry = case.certificate["basis"]["hom"][0]
    assert entry["dim"] == 1
    pairs = entry["diagrams"][0]["pairs"]
    assert case.status() == 0
    extra = {**entry["diagrams"][0], "pairs": [[0, 2], [1, 3]] if [0, 2] not in pairs else [[0, 1], [2, 3]]}
    entry["diagrams"].append(extra)
    entry["dim"] = 2
    assert case.status(case.certificate) == 1


def test_a_certificate_of_another_spec_is_refused(mlp: Case, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert mlp.status(Case(other, MLP.replace("permute * scale", "permute")).certificate) == 1
    assert mlp.status(Case(other, MLP.replace("int = 3", "int = 4")).certificate) == 1


def test_other_arguments_are_another_certificate(mlp: Case) -> None:
    larger = qe.load(mlp.path, hidden=5)
    certificate = certificate_of(larger, mlp.emitted)
    assert mlp.status(certificate) == 1  # the emitted file is that of three hidden neurons
    assert mlp.emitted is not None
    qe.emit(larger, mlp.emitted, kernels=False)
    assert mlp.status(certificate_of(larger, mlp.emitted)) == 0


# --- changed files ------------------------------------------------------------------------------------


def test_every_changed_byte_of_a_file_is_noticed(mlp: Case) -> None:
    assert mlp.emitted is not None
    draw = random.Random(5)
    for path in (mlp.path, mlp.emitted):
        data = path.read_bytes()
        for at in draw.sample(range(len(data)), 60):
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :])
            assert mlp.status() == 1
        path.write_bytes(data[:-1])
        assert mlp.status() == 1
        path.write_bytes(data)
    assert mlp.status() == 0


def test_a_used_file_is_part_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "part.sym").write_text("spec part { space a = 2 : permute  param W : a <- a }")
    case = Case(tmp_path, 'use "part.sym"\nspec s { include part() as p }', emit=False)
    used = {"part.sym": hash_of(tmp_path / "part.sym")}
    assert case.status(certificate_of(case.spec, used=used)) == 0
    assert case.status() == 1  # the certificate does not name it
    (tmp_path / "part.sym").write_text("spec part { space a = 2 : permute  param W : a <- a } ")
    assert case.status(certificate_of(case.spec, used=used)) == 1


# Mistakes in an emitted file, under a certificate with all hashes right: the mathematics refuses them.

NO_GRADIENT = """class _Blank(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:
        return dy


class EquivariantLinear"""
SQUARE_MUTANTS = {
    "a term is dropped": [(" + y_h[..., n : 2 * n][:, :, None]", "")],
    "rows for columns": [("y_h[..., n : 2 * n][:, :, None]", "y_h[..., n : 2 * n][:, None]")],
    "a transpose is forgotten": [("A.permute(0, 2, 1, -1)", "A")],
    "a block is transposed": [("x_v_v = M", "x_v_v = M.permute(0, 2, 1, -1)")],
    "a mean stops early": [("b_mean = b.mean(1)", "b_mean = b[:, :2].mean(1)")],
    "a maximum for a mean": [("A_by_h_2 = A.mean(2)", "A_by_h_2 = A.amax(2)")],
    "a mean over the batch": [("b_mean = b.mean(1)", "b_mean = b.mean((0, 1)).expand(len(b), -1)")],
    "a row for the diagonal": [('A_by_h = torch.einsum("biic->bic", A)', "A_by_h = A[:, 0]")],
    "a trace twice": [("A_mean_2 = A_by_h_2.mean(1)", "A_mean_2 = A_mean")],
    "rows and diagonal change places": [("A_by_h_2 = A.mean(2)", "A_by_h_2 = A_by_h * 1")],
    "a mistake in large tensors only": [
        ("b_mean = b.mean(1)", "b_mean = b.mean(1) if len(b) < 9 else b[:, 0]")
    ],
    "a mistake without gradients only": [
        ("b_mean = b.mean(1)", "b_mean = b.mean(1) if torch.is_grad_enabled() else b[:, 0]")
    ],
    "a weight that only gradients see": [
        ("class EquivariantLinear", NO_GRADIENT),
        ("x_h_h @ self.weight_h_h", "_Blank.apply(x_h_h @ self.weight_h_h)"),
    ],
    "a weight that only gradients see, which fit the value": [
        ("class EquivariantLinear", NO_GRADIENT.replace("zeros_like(x)", "zeros_like(x) + x.detach() * 0")),
        (
            "y_h_h = x_h_h @ self.weight_h_h",
            "w = self.weight_h_h\n"
            "        y_h_h = x_h_h @ (w.detach().flip(0) + _Blank.apply(w - w.detach()))",
        ),
    ],
    "another shape": [('"A": (3, 3)', '"A": (3, 4)')],
    "parameters in another order": [('    "b": (3,),\n', ""), ('    "A"', '    "b": (3,),\n    "A"')],
    "a restriction that the spec does not ask for": [("# MetaNet:", "#   mix h encode(2): so.\n# MetaNet:")],
    "an invariant readout": [("return self.readout(x)", 'return self.readout(x)["b"].mean(1, keepdim=True)')],
    "a gate for every entry": [('x["M"] * gate[:, None, None, :c]', 'x["M"].relu()')],
    "it does not run": [("A_by_h_2 = A.mean(2)", "A_by_h_2 = A.mean(7)")],
}
MLP_MUTANTS = {
    "a weight that repeats another": [
        (
            "self.weight_h = ",
            "self.more = nn.Parameter(torch.ones(2 * in_channels, 2 * out_channels, **options))\n"
            "        self.weight_h = ",
        ),
        ("y_h = x_h @ self.weight_h", "y_h = x_h @ (self.weight_h + self.more)"),
    ],
    "an activation that no scale passes": [('"W": F.relu(x["W"])', '"W": torch.tanh(x["W"])')],
    "a scale that is not divided out": [("V = V * norm1[:, None]", "V = V * 1")],
    "a pooling that stops early": [("V_by_y = V.mean(2)", "V_by_y = V[:, :, 1:].mean(2)")],
    "an answer that depends on nothing": [("return self.readout(x)", "return 0 * self.readout(x)")],
    "a bias where none can be": [("W = y_h_2[..., : 2 * n]", "W = 1 + y_h_2[..., : 2 * n]")],
}


@pytest.mark.parametrize("mutant", SQUARE_MUTANTS.values(), ids=SQUARE_MUTANTS.keys())
def test_mistakes_in_a_layer_are_refused(mutant: list[tuple[str, str]], tmp_path: Path) -> None:
    assert remade(Case(tmp_path, SQUARE), mutant) == 1


@pytest.mark.parametrize("mutant", MLP_MUTANTS.values(), ids=MLP_MUTANTS.keys())
def test_mistakes_in_a_network_are_refused(mutant: list[tuple[str, str]], mlp: Case) -> None:
    assert remade(mlp, mutant) == 1


ALPHA = """
spec moved {
  space h = 3 : permute * scale
  space v = 2 : linear
  param W : h <- h
  param b : h
  param Q : v <- h^0
  param K : h^0 <- v
  metanet field { channels 1, 4  alpha shared(epsilon = 0.2)  readout equivariant }
}
"""
ALPHA_MUTANTS = {
    "alpha forgets a tensor": [('"b": x["b"] * scale_h', '"b": x["b"]')],
    "alpha forgets a dual": [('dual_v, x["K"])', 'matrix_v, x["K"])')],
    "a scale with the wrong charge": [('"b": x["b"] * scale_h', '"b": x["b"] / scale_h')],
}


def test_an_alpha_map_that_stays_in_the_orbit_is_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Case(tmp_path, ALPHA).status() == 0
    assert "quasi-equivariant" in capsys.readouterr().out


@pytest.mark.parametrize("mutant", ALPHA_MUTANTS.values(), ids=ALPHA_MUTANTS.keys())
def test_mistakes_in_an_alpha_map_are_refused(mutant: list[tuple[str, str]], tmp_path: Path) -> None:
    assert remade(Case(tmp_path, ALPHA), mutant) == 1


def test_the_same_maps_written_in_another_way_are_confirmed(tmp_path: Path) -> None:
    """A sum for a mean is a multiple of a map: the family of maps is the same."""
    case = Case(tmp_path, SQUARE)
    assert case.status() == 0
    assert remade(case, [("b_mean = b.mean(1)", "b_mean = b.sum(1)")]) == 0


def test_large_tensors_which_are_worked_on_by_blocks_are_confirmed(tmp_path: Path) -> None:
    """A mean of one axis alone, means of two axes in one stream, products onto sums."""
    spaces = "space a = 40 : permute  space b = 30 : permute  space c = 1100 : permute"
    text = f"spec large {{ {spaces}  param W : b <- a  param v : c  metanet m {{ channels 2, 2 }} }}"
    case = Case(tmp_path, text)
    source = (tmp_path / "it.py").read_text()
    assert all(f" {call}(" in source for call in ("= _means", "= _mean", "= _mix"))
    assert case.status() == 0


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "from pathlib import Path",
        "open('MARK', 'w')",
        "torch.save(torch.ones(1), 'MARK')",
        "torch.serialization.os.mkdir('MARK')",
        "exec('x = 1')",
        "torch.Tensor.sum = None",
        "SHAPES.__class__",
        "torch.set_default_dtype(torch.float32)",
        "nn.Module.__init__.__globals__",
        "hidden = torch",
        "import torch as t",
        "from torch import serialization",
        "(lambda t: t.serialization)(torch)",
        "class Counting(nn.Module):\n    def forward(self, x):\n        self.calls = 1\n        return x",
    ],
)
def test_a_source_that_reaches_out_is_not_run(line: str, mlp: Case) -> None:
    line = line.replace("MARK", str(mlp.folder / "mark"))
    assert remade(mlp, [("SHAPES: dict", f"{line}\n\nSHAPES: dict")]) == 1
    assert not (mlp.folder / "mark").exists()


# --- input that cannot be read ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"format": "qecompile-certificate-2"}',
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"format": 1, "format": 2}',
        '{"format": NaN}',
        '{"format": ' + "9" * 10_000 + "}",
        "\x00\ud800".encode("utf-8", "replace").decode("utf-8", "replace"),
    ],
)
def test_what_is_no_certificate_cannot_be_checked(mlp: Case, text: str) -> None:
    assert mlp.status(text) == 2


def test_a_cut_certificate_cannot_be_checked(mlp: Case) -> None:
    text = sealed(mlp.certificate)
    assert {mlp.status(text[:end]) for end in range(0, len(text), len(text) // 40)} == {2}


def test_files_that_are_not_there_cannot_be_checked(mlp: Case) -> None:
    certificate, spec, emitted = mlp.arguments(mlp.certificate)
    missing, folder = str(mlp.folder / "missing"), str(mlp.folder)
    for wrong in (missing, folder):
        assert command.main([wrong, spec, emitted]) == 2
        assert command.main([certificate, wrong, emitted]) == 2
        assert command.main([certificate, spec, wrong]) == 2
    assert command.main([certificate, spec]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "spec s { space a = 2 : permute  for }",
        "spec s { space a = 2 : permute * linear }",
        "spec s { let n = n  space a = n : permute }",
        "spec s { space a[i] for i in 1..1000000000000 = 2 : permute }",
        "spec s { space a = 9223372036854775807 * 3 : permute }",
        "spec s { space a = " + "-(" * 5000 + "1" + ")" * 5000 + " : permute }",
        'use "it.sym" spec s { }',
        'use "../other.sym" spec s { }',
        "spec s { include s() as t }",
        "spec s { space a = 2 : permute  param W : b }",
        "spec s { space a = 2 : permute { space v = 2 : linear }  param W : v }",
        "\xff",
    ],
)
def test_a_spec_that_says_nothing_cannot_be_elaborated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "it.sym"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(BadInput):
        elaborate(path, "s", {}, GRAMMAR)


# --- what is too large --------------------------------------------------------------------------------


def test_a_large_layer_is_checked_as_far_as_it_can_be_run(
    square: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was found to be wrong, but not all could be confirmed: no script may take that for a yes."""
    monkeypatch.setattr(emitted, "MOST_NUMBERS", 10)
    assert square.status() == 3
    said = capsys.readouterr().out
    assert (
        "follows two group elements without rounding; it has 38 weights, none dead and no two alike" in said
    )
    assert "NOT RE-CHECKED: that the weights are independent, and the law of MetaNet; with 16 entries" in said
    monkeypatch.setattr(large, "MOST_NUMBERS", 10)
    assert square.status() == 3
    assert "NOT RE-CHECKED: what the emitted file computes; with 16 entries" in capsys.readouterr().out


@pytest.mark.parametrize("mutant", ["a term is dropped", "rows for columns", "a row for the diagonal"])
def test_mistakes_in_a_large_layer_are_refused(
    mutant: str, square: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emitted, "MOST_NUMBERS", 10)
    assert remade(square, SQUARE_MUTANTS[mutant]) == 1
