"""Emitted layers and networks: equivariant, complete, without redundancy, for specs drawn at random."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
import torch
from emitted import equivariance_error, family_rank, features, module_of, randomised, weights
from hypothesis import HealthCheck, assume, given, settings
from strategies import spec_of, specs

from qecompile.basis import derive, total_affine, total_dim
from qecompile.codegen.emit import emit_source, parameter_counts
from qecompile.errors import SymError
from qecompile.groups import Group
from qecompile.resolve import load, parse
from qecompile.spec import MetaNet, Mix, Spec

MANY = settings(max_examples=120, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
SMALL = {
    "mlp": {"widths": [5, 4, 3, 2]},
    "cnn": {},
    "mha": {},
    "lora": {},
    "siren": {"widths": [2, 4, 3, 2]},
    "bert": {"layers": 2, "width": 8, "heads": 2, "hidden": 6, "vocab": 5, "length": 4},
    "llama": {"layers": 2, "width": 6, "groups": 2, "queries": 2, "size": 4, "hidden": 5, "vocab": 3},
}


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def affordable(spec: Spec) -> bool:
    """Whether the rank of the whole family can be computed in a moment."""
    return bool(spec.parameters) and total_dim(derive(spec)) <= 400


@MANY
@given(specs())
def test_layers_are_equivariant(spec: Spec) -> None:
    assume(affordable(spec))
    layer = randomised(module_of(spec).EquivariantLinear(2, 3, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10


@MANY
@given(specs())
def test_weights_parametrise_the_whole_space_without_redundancy(spec: Spec) -> None:
    assume(affordable(spec))
    basis = derive(spec)
    layer = module_of(spec).EquivariantLinear(1, 1, dtype=torch.float64)
    rank, count = family_rank(spec, layer)
    assert rank == count == total_dim(basis) + total_affine(basis)


@MANY
@given(specs())
def test_readouts_and_networks_respect_the_group(spec: Spec) -> None:
    assume(affordable(spec))
    module, group = module_of(spec), Group(spec)
    g = group.sample(torch.Generator().manual_seed(1))
    if hasattr(module, "InvariantReadout"):
        readout = randomised(module.InvariantReadout(2, 3, dtype=torch.float64))
        x = features(spec, 2, 2)
        torch.testing.assert_close(readout(group.act(g, x, channels=True)), readout(x), rtol=1e-8, atol=1e-8)
    net = randomised(module.MetaNet(dtype=torch.float64))
    theta = weights(spec, 2)
    expected, moved = group.act(g, net(theta)), net(group.act(g, theta))
    size = max(float(t.abs().max()) for t in expected.values())
    for name in expected:
        assert float((moved[name] - expected[name]).abs().max()) <= 1e-8 * max(size, 1e-300)


@pytest.mark.slow
@settings(MANY, max_examples=1500)
@given(specs())
def test_many_more_layers(spec: Spec) -> None:
    assume(affordable(spec))
    basis = derive(spec)
    layer = module_of(spec).EquivariantLinear(1, 1, dtype=torch.float64)
    rank, count = family_rank(spec, layer)
    assert rank == count == total_dim(basis) + total_affine(basis)
    assert equivariance_error(spec, randomised(layer)) < 1e-10


@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_spec_of_the_library(name: str, root) -> None:
    spec = load(root / "specs" / f"{name}.sym", arguments=SMALL[name])
    module, group = module_of(spec), Group(spec)
    layer = randomised(module.EquivariantLinear(2, 3, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10
    net = module.MetaNet(dtype=torch.float64)
    assert sum(p.numel() for p in net.parameters()) == parameter_counts(spec)["MetaNet"]
    theta = weights(spec, 3)
    g = group.sample(torch.Generator().manual_seed(3))
    if spec.metanets and spec.metanets[0].outputs:
        torch.testing.assert_close(net(group.act(g, theta)), net(theta), rtol=1e-8, atol=1e-8)
    else:
        expected, moved = group.act(g, net(theta)), net(group.act(g, theta))
        for key in expected:
            torch.testing.assert_close(moved[key], expected[key], rtol=1e-8, atol=1e-8)


# --- coded spaces and contexts -------------------------------------------------------------------------

CODED = """
spec s {{
  space x = 9 : fixed   space h = 4 : permute * scale   space y = 3 : fixed
  param W : h <- x   param b : h   param V : y <- h   param c : y
  metanet m {{ channels 1, 4, 4  readout invariant -> 2  {options} }}
}}
"""


@pytest.mark.parametrize(
    ("options", "per_pair"),
    [
        ("mix x full", None),
        ("mix x encode(3)", 1 + (3 + 1) ** 2 + (9 + 9)),
        ("mix x lowrank(2)", 1 + (2 + 1) ** 2 + (9 + 9)),
        ("mix x encode(9)  mix y encode(1)", None),
        ("mix x encode(20)", None),
        ("context lowrank(2)", None),
        ("context lowrank(1)  mix x encode(2)", None),
    ],
)
def test_smaller_families_are_equivariant_too(options: str, per_pair: int | None) -> None:
    spec = parse(CODED.format(options=options))
    module = module_of(spec)
    layer = randomised(module.EquivariantLinear(3, 2, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10
    net = module.MetaNet(dtype=torch.float64)
    assert sum(p.numel() for p in net.parameters()) == parameter_counts(spec)["MetaNet"]
    one = module.EquivariantLinear(1, 1, bias=False, dtype=torch.float64)
    fixed_weights = [p for name, p in one.named_parameters() if "code" not in name]
    if per_pair is not None:
        assert sum(p.numel() for p in fixed_weights) == per_pair


def test_a_coded_family_lies_in_the_complete_one_and_has_full_rank() -> None:
    spec = parse(CODED.format(options="mix x encode(3)"))
    rank, count = family_rank(spec, module_of(spec).EquivariantLinear(1, 1, dtype=torch.float64))
    basis = derive(spec)
    assert rank == count < total_dim(basis) + total_affine(basis)


def test_large_fixed_spaces_are_coded_unless_the_user_says_full() -> None:
    text = "spec s { space x = 200 : fixed  space h = 2 : permute  param W : h <- x  %s }"
    silent, said = parse(text % ""), parse(text % "metanet m { channels 1, 2  mix x full }")
    assert "mix x encode(8)" in emit_source(silent)
    assert "mix x" not in emit_source(said)
    layer = module_of(said).EquivariantLinear(1, 1)
    assert sum(p.numel() for p in layer.parameters()) == 2 * 200 * 200 + 200


# --- the text ------------------------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_bytes_whatever_the_hash_seed(root) -> None:
    program = (
        "from qecompile.resolve import load; from qecompile.codegen.emit import emit_source; import hashlib;"
        "print([hashlib.sha256(emit_source(load(f'specs/{n}.sym')).encode()).hexdigest() for n in"
        " ('mlp', 'cnn', 'mha', 'lora', 'siren')])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("name", sorted(SMALL))
def test_emitted_files_import_only_torch(name: str, root) -> None:
    source = emit_source(load(root / "specs" / f"{name}.sym", arguments=SMALL[name]))
    imported = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported <= {"__future__", "itertools", "math", "torch"}


def test_emission_never_imports_torch(root) -> None:
    program = (
        "import sys; from qecompile.resolve import load; from qecompile.codegen.emit import emit_source;"
        "emit_source(load('specs/mha.sym')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0


def test_names_that_collide_or_are_python_words() -> None:
    spec = parse(
        "spec s { space class = 2 : permute  space x = 3 : permute  space n = 2 : permute "
        "param self : class <- x  param torch : x  param x_n : n <- x  param y : n  param None : class  "
        "param a[1] : x  param a1 : x  param return : n  param F : n }"
    )
    layer = randomised(module_of(spec).EquivariantLinear(2, 2, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10


NAMES_OF_EMITTED_CODE = """
    norm2 y_h x_h y_scalar x_scalar encode_i decode_i epsilon_3 index_h weight_h bias reduce_features
    reduce_fixed fix_gauge activate SHAPES ALLOWED_h x n c y self torch F nn Tensor theta found left right
    gate W_by_h W_mean p_y_h W_from_h values options
""".split()


@pytest.mark.parametrize("name", NAMES_OF_EMITTED_CODE)
def test_spaces_and_parameters_may_be_called_like_anything_in_the_file(name: str) -> None:
    spec = parse(
        f"""spec s {{ space {name} = 3 : permute * scale  space i = 12 : fixed  space r = 3 : rotate
              param W : {name} <- i   param {name} : {name}   param norm1 : {name}   param y_{name} : {name}
              param V : i <- {name}   param M : r r   param U : [{name}, {name}, r]
              metanet m {{ channels 1, 3  readout invariant -> 2  mix i encode(2) }} }}"""
    )
    module, group = module_of(spec), Group(spec)
    layer = randomised(module.EquivariantLinear(2, 2, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10
    net, theta = module.MetaNet(dtype=torch.float64), weights(spec, 2)
    moved = group.act(group.sample(torch.Generator().manual_seed(0)), theta)
    torch.testing.assert_close(net(moved), net(theta), rtol=1e-9, atol=1e-9)


def test_a_space_called_bias_with_a_scattered_bias() -> None:
    spec = parse("spec s { space bias = 3 : sign  param T : [bias, bias, bias, bias]  param v : bias }")
    layer = module_of(spec).EquivariantLinear(1, 1)
    basis = derive(spec)
    assert sum(p.numel() for p in layer.parameters()) == total_dim(basis) + total_affine(basis)


@pytest.mark.parametrize(
    "declarations",
    [
        "space a[i] for i in 1..4 = 8 : fixed  param T : [a[1], a[2], a[3], a[4]]",
        "space f = 64 : fixed { space g = 64 : fixed }  param W : f g",
        "space t = 512 : dilate  space x = 64 : dilate  param W : t <- x",
        "space a = 64 : permute  space k = 7 : fixed  param T : [a, k, k, k]  param S : [a, a, k, k]",
        "space a = 64 : fixed  space b = 64 : fixed  param T : [a, b]",
        "space a = 784 : fixed  space h = 8 : permute  space y = 9 : fixed param W : h <- a param V : y <- h",
    ],
)
def test_default_mixing_bounds_what_is_built(declarations: str) -> None:
    counts = parameter_counts(parse(f"spec s {{ {declarations} }}"))
    assert counts["MetaNet"] < 2 * 16 * 16 * 2**15


def test_coded_families_are_equivariant_in_odd_places() -> None:
    for declarations in (
        "space f = 9 : fixed { space g = 10 : fixed }  space h = 2 : permute param W : f g h param v : f",
        "space t = 12 : dilate  space x = 9 : dilate  param W : t <- x  param v : t",
        "space h = 2 : permute { space f = 12 : fixed  space q = 2 : linear }  param W : h f q param v : h f",
    ):
        spec = parse(f"spec s {{ {declarations} }}")
        free = [s.name for s in spec.spaces if s.size >= 9]
        net = MetaNet(name="m", channels=(1, 2), mix=tuple(Mix(space=f, mode="encode", rank=2) for f in free))
        module = module_of(spec.model_copy(update={"metanets": (net,)}))
        layer = module.EquivariantLinear(2, 2, dtype=torch.float64)
        assert equivariance_error(spec, randomised(layer)) < 1e-10
        rank, count = family_rank(spec, module.EquivariantLinear(1, 1, dtype=torch.float64))
        assert rank == count


def test_several_networks_need_a_name() -> None:
    spec = parse(
        "spec s { space a = 2 : permute  param p : a  metanet one { channels 1, 2 } "
        "metanet two { channels 1, 3  readout invariant -> 1 } }"
    )
    with pytest.raises(SymError, match="declares 2 networks"):
        emit_source(spec)
    with pytest.raises(SymError, match="no network `three`"):
        emit_source(spec, "three")
    assert "The network `two`" in emit_source(spec, "two")


def test_the_file_says_which_parameters_no_invariant_sees() -> None:
    spec = parse(
        "spec s { space a = 2 : permute  space q = 3 : linear  param p : a  param v : q "
        "metanet m { channels 1, 2  readout invariant -> 1 } }"
    )
    assert "No invariant of degree one or two sees v." in emit_source(spec)


def test_a_gate_without_invariants_is_refused() -> None:
    text = "spec s { space q = 3 : linear  param v : q  metanet m { channels 1, 2  activation gate } }"
    with pytest.raises(SymError, match="`gate` needs an invariant"):
        emit_source(parse(text))


def test_a_spec_without_parameters_is_refused() -> None:
    with pytest.raises(SymError, match="no parameter"):
        emit_source(parse("spec s { }"))


def test_low_rank_factors_over_different_spaces_are_seen_beyond_their_means() -> None:
    """B : o <- r and A : r <- i have no dual types; their second moments still meet."""
    spec = parse(
        "spec s { space o = 6 : permute  space i = 5 : permute  space r = 2 : linear  param B : o <- r "
        "param A : r <- i  metanet m { channels 1, 8, 8  readout invariant -> 1 } }"
    )
    torch.manual_seed(0)
    net, theta = module_of(spec).MetaNet(dtype=torch.float64), weights(spec, 1)
    noise = torch.randn(1, 2, 5, dtype=torch.float64)
    noise -= noise.mean(2, keepdim=True)
    other = {**theta, "A": theta["A"] + noise}
    assert float((net(other) - net(theta)).abs()) > 1e-4


def test_an_invariant_readout_without_invariants_is_refused() -> None:
    text = "spec s { space a = 2 : linear  param p : a  metanet m { channels 1, 2  readout invariant -> 3 } }"
    with pytest.raises(SymError, match="needs an invariant"):
        emit_source(parse(text))


def test_as_many_codes_as_values_are_complete_mixing() -> None:
    spec = spec_of({"a": "3 fixed"}, {"p": "a"})
    net = MetaNet(name="m", channels=(1, 2), mix=(Mix(space="a", mode="encode", rank=3),))
    layer = module_of(spec.model_copy(update={"metanets": (net,)})).EquivariantLinear(1, 1)
    assert sum(p.numel() for p in layer.parameters()) == 9 + 3


def test_no_codes_are_emitted_for_a_space_without_axes() -> None:
    spec = parse(
        "spec s { space x = 3 : fixed  space h = 2 : permute  param b : h"
        "  metanet m { channels 1, 2  readout equivariant  mix x lowrank(1) } }"
    )
    assert "self.encode" not in emit_source(spec)


def test_only_plain_fixed_spaces_are_mixed_freely() -> None:
    spec = spec_of({"a": "3 permute"}, {"p": "a"})
    net = MetaNet(name="m", channels=(1, 2), mix=(Mix(space="a", mode="encode", rank=2),))
    with pytest.raises(SymError, match="plain fixed space"):
        emit_source(spec.model_copy(update={"metanets": (net,)}))


def test_a_gauge_beside_a_levi_civita_row_that_no_invariant_reads() -> None:
    spec = parse("spec s { space a = 2 : rotate * dilate space b = 3 : dilate param P : a a param Q : b }")
    assert module_of(spec).MetaNet(dtype=torch.float64)(weights(spec, 2)).keys() == {"P", "Q"}
