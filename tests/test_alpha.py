"""Derived alpha-maps: what is said about every group word, the range of epsilon, and what is emitted."""

from __future__ import annotations

import ast
import copy
import pickle
import subprocess
import sys

import pytest
import torch
from emitted import equivariance_error, module_of, randomised, weights

from qecompile.alpha import alpha_factors, check_epsilon, check_mixing, epsilon_bound
from qecompile.codegen.emit import emit_source, parameter_counts
from qecompile.errors import SymError
from qecompile.groups import Group
from qecompile.report import alpha_share
from qecompile.resolve import load, parse
from qecompile.spec import Alpha, MetaNet, Space, Spec

WORDS = """spec words {
  space f = 3 : fixed
  space p = 4 : permute
  space s = 5 : permute * scale
  space e = 5 : sign
  space b = 3 : permute * scale(pre) * scale(post) * sign
  space t = 2 : scale
  space d = 3 : dilate
  space l = 4 : linear
  space one = 1 : linear
  space o = 3 : orthogonal
  space o1 = 1 : orthogonal
  space r = 3 : rotate
  space r1 = 1 : rotate
  space h = 2 : permute {
    space q = 3 : fixed { space plane = 2 : rotate * dilate }
    space v = 6 : linear
  }
}"""


def test_every_group_word_has_its_identity_component_and_its_dimension() -> None:
    found = {f.space: (f.component, f.dim) for f in alpha_factors(parse(WORDS))}
    assert found == {
        "f": ("trivial", 0),
        "p": ("trivial", 0),
        "s": ("R>0^5", 5),
        "e": ("trivial", 0),
        "b": ("R>0^3 x R>0^3", 6),
        "t": ("R>0^2", 2),
        "d": ("R>0", 1),
        "l": ("GL+(4)", 16),
        "one": ("GL+(1)", 1),
        "o": ("SO(3)", 3),
        "o1": ("trivial", 0),
        "r": ("SO(3)", 3),
        "r1": ("trivial", 0),
        "h": ("trivial", 0),
        "q": ("trivial", 0),
        "plane": ("SO(2)^6 x R>0^6", 12),
        "v": ("GL+(6)^2", 72),
    }


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("f", "none: the group is trivial"),
        ("p", "none: S(4) is discrete, so a continuous alpha is constant on it"),
        ("s", "permute: none: S(5) is discrete, so a continuous alpha is constant on it; "
              "scale: 1 + eps*sin(gamma), 0 < eps < 1"),
        ("e", "none: {+1,-1}^5 is discrete, so a continuous alpha is constant on it"),
        ("d", "1 + eps*sin(gamma), 0 < eps < 1"),
        ("l", "I + eps*sin(Gamma), 0 < eps < 1/4"),
        ("one", "I + eps*sin(Gamma), 0 < eps < 1"),
        ("o", "Cayley transform of eps*(sin(Gamma) - sin(Gamma)^T), 0 < eps < 1000"),
        ("o1", "none: O(1) = {+1,-1} is discrete, so a continuous alpha is constant on it"),
        ("r1", "none: SO(1) is trivial, so a continuous alpha is constant on it"),
    ],
)  # fmt: skip
def test_the_map_comes_with_its_bound_or_the_reason_why_there_is_none(space: str, said: str) -> None:
    assert {f.space: f.map for f in alpha_factors(parse(WORDS))}[space] == said


def test_a_covariant_map_on_matrices_has_the_bound_of_its_eigenvalues() -> None:
    maps = {f.space: f.map for f in alpha_factors(parse(WORDS), "covariant")}
    assert maps["l"].endswith("eigenvalues of P*Q^T in the unit disc, 0 < eps < 1")
    assert "K equivariant and skew" in maps["r"]


@pytest.mark.parametrize("n", [1, 2, 3, 16])
def test_the_raw_bound_of_linear_is_sharp(n: int) -> None:
    """Where every sine is -1, I + eps sin is singular at the bound and invertible below."""
    bound = float(epsilon_bound(Space(name="v", size=n, vector="linear")))
    worst = -torch.ones(n, n, dtype=torch.float64)
    eye = torch.eye(n, dtype=torch.float64)
    assert abs(torch.linalg.det(eye + bound * worst)) < 1e-12
    assert torch.linalg.det(eye + 0.999 * bound * worst) > 0


@pytest.mark.parametrize(
    ("space", "family", "epsilon", "said"),
    [
        ("a = 3 : permute * scale", "shared", 1.0, "which can take alpha out of the group of `a`"),
        ("a = 4 : linear", "shared", 0.25, "4 x 4, is invertible for eps < 1/4 only"),
        ("a = 4 : linear", "independent", 0.3, "choose epsilon below 1/4"),
        ("a = 4 : linear", "covariant", 1.0, "choose epsilon below 1"),
        ("a = 4 : dilate", "covariant", 1.5, "1 + eps*sin(gamma) is positive for eps < 1 only"),
        ("a = 4 : linear", "shared", 0.2500001, "epsilon is 0.2500001, which can"),
        ("a = 4 : scale", "shared", float("inf"), "choose epsilon below 1"),
        ("a = 4 : scale", "shared", float("nan"), "epsilon is nan: it must be positive"),
        ("a = 4 : scale", "shared", -0.1, "epsilon is -0.1: it must be positive"),
        ("a = 4 : linear", "independent", 0, "epsilon lies between 0 and 1/4"),
        ("a = 4 : rotate", "shared", 0.0, "epsilon lies between 0 and 1000"),
        ("a = 4 : rotate", "covariant", 1000.5, "choose epsilon below 1000"),
        ("a = 4 : orthogonal", "shared", float("inf"), "single precision gives no rotations above 1000"),
        ("a = 4 : rotate * dilate", "covariant", 1, "choose epsilon below 1"),
        ("a = 4 : permute", "shared", 1, "it lies between 0 and 1"),
    ],
)  # fmt: skip
def test_an_epsilon_out_of_range_names_the_space_and_the_bound(space, family, epsilon, said) -> None:
    spec = parse(f"spec s {{ space {space}  param p : a }}")
    problem = check_epsilon(spec.spaces, Alpha(family=family, options=(("epsilon", epsilon),)))
    assert said in problem.render()
    net = MetaNet(name="m", channels=(1, 2), alpha=Alpha(family=family, options=(("epsilon", epsilon),)))
    with pytest.raises(SymError, match="epsilon is"):
        emit_source(spec.model_copy(update={"metanets": (net,)}))


@pytest.mark.parametrize(
    ("space", "family", "epsilon"),
    [
        ("4 : linear", "shared", 0.2499),
        ("4 : linear", "covariant", 0.99),
        ("3 : rotate", "shared", 7.0),
        ("3 : rotate", "shared", 999.0),
        ("1 : linear", "independent", 0.999),
    ],
)
def test_an_epsilon_within_range_is_taken(space: str, family: str, epsilon: float) -> None:
    spec = parse(f"spec s {{ space a = {space}  param p : a }}")
    assert check_epsilon(spec.spaces, Alpha(family=family, options=(("epsilon", epsilon),))) is None


NETWORK = """spec s {{
  space x = 3 : fixed   space h = 4 : permute * scale   space q = 2 : linear
  param W : h <- x   param b : h   param V : x <- h   param P : q <- x   param R : x <- q
  metanet m {{ channels {channels}  alpha {alpha}  readout {readout} }}
}}"""


def network(alpha: str, channels: str = "1, 6, 6", readout: str = "invariant -> 3") -> Spec:
    return parse(NETWORK.format(alpha=alpha, channels=channels, readout=readout))


@pytest.mark.parametrize(
    ("channels", "readout", "mixer"),
    [
        ("1, 6, 6", "invariant -> 3", "`linear2` mixes channels 6 -> 6"),
        ("1, 1, 6, 4", "invariant -> 3", "`linear3` mixes channels 6 -> 4"),
        ("1, 6", "equivariant", "`readout equivariant` mixes channels 6 -> 1"),
    ],
)
def test_independent_elements_before_a_map_that_mixes_are_refused(channels, readout, mixer) -> None:
    with pytest.raises(SymError, match="equal functions would get unequal outputs") as refused:
        network("independent()", channels, readout)
    assert mixer in str(refused.value)
    assert refused.value.line == 4
    fine = network("none", channels, readout)
    (net,) = fine.metanets
    made = fine.model_copy(
        update={"metanets": (net.model_copy(update={"alpha": Alpha(family="independent")}),)}
    )
    with pytest.raises(SymError, match="equal functions would get unequal outputs"):
        emit_source(made)


def test_independent_elements_are_fine_where_nothing_mixes_or_nothing_moves() -> None:
    last = network("independent()", "1, 6")
    assert check_mixing(last.spaces, last.metanets[0]) is None
    one = network("independent()", "1, 1, 6")
    assert check_mixing(one.spaces, one.metanets[0]) is None
    still = parse("spec s { space a = 3 : permute  param p : a  metanet m { alpha independent() } }")
    assert check_mixing(still.spaces, still.metanets[0]) is None


# --- the emitted module --------------------------------------------------------------------------------

FAMILIES = {
    "shared": network("shared(epsilon = 0.1)"),
    "every statistic": network("shared(stats = [mean, var, std, min, max, q0, q5, q50, q100])"),
    "editor": network("shared()", readout="equivariant"),
    "covariant": network("covariant(epsilon = 0.5)"),
    "independent": network("independent(epsilon = 0.1)", "1, 6"),
    "one channel": network("covariant()", "1, 1, 1"),
}
EVERY = pytest.mark.parametrize("spec", FAMILIES.values(), ids=FAMILIES)


@EVERY
def test_counts_are_those_of_the_module(spec: Spec) -> None:
    counts = parameter_counts(spec)
    net = module_of(spec).MetaNet()
    assert counts.pop("MetaNet") == sum(p.numel() for p in net.parameters())
    assert counts == {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}


@EVERY
def test_a_network_with_an_alpha_map_is_a_good_citizen(spec: Spec) -> None:
    torch.manual_seed(0)
    net = module_of(spec).MetaNet()
    theta = {name: w.float() for name, w in weights(spec, 3).items()}
    expected = flat(net(theta))
    assert torch.equal(flat(torch.fx.symbolic_trace(net)(theta)), expected)
    assert torch.equal(
        flat(torch.func.functional_call(net, dict(net.named_parameters()), (theta,))), expected
    )
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(flat(other(theta)), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(flat(net(theta)).float(), expected, rtol=0.2, atol=0.2)
    alone = torch.vmap(lambda t: flat(net({name: w[None] for name, w in t.items()})))(theta)
    torch.testing.assert_close(alone.flatten(), expected_by_entry(net, theta))
    assert module_of(spec).MetaNet(device="meta").linear1 is not None
    assert (
        module_of(spec).MetaNet(dtype=torch.float64)({name: w.double() for name, w in theta.items()})
        is not None
    )


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_and_empty_batches(spec: Spec, dtype: torch.dtype) -> None:
    """Inverses are computed in single precision: half of it has none."""
    net = module_of(spec).MetaNet(dtype=dtype)
    output = flat(net({name: w.to(dtype) for name, w in weights(spec, 2).items()}))
    assert output.dtype == dtype
    assert output.isfinite().all()
    assert flat(net({name: w[:0].to(dtype) for name, w in weights(spec, 2).items()})).numel() == 0


@pytest.mark.parametrize("name", ["every statistic", "covariant", "independent"])
def test_alpha_maps_are_exported_and_compiled_as_one_graph(name: str) -> None:
    spec = FAMILIES[name]
    net = module_of(spec).MetaNet()
    theta = {name: w.float() for name, w in weights(spec, 3).items()}
    batch = torch.export.Dim("batch")
    exported = torch.export.export(net, (theta,), dynamic_shapes=({name: {0: batch} for name in theta},))
    two = {name: w[:2] for name, w in theta.items()}
    torch.testing.assert_close(flat(exported.module()(two)), flat(net(two)))
    torch._dynamo.reset()
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(flat(compiled(theta)), flat(net(theta)))


def flat(output: torch.Tensor | dict[str, torch.Tensor]) -> torch.Tensor:
    """All numbers of an output, whether it is one tensor or one per parameter."""
    return torch.cat([v.flatten() for v in (output.values() if isinstance(output, dict) else [output])])


def expected_by_entry(net: torch.nn.Module, theta: dict[str, torch.Tensor]) -> torch.Tensor:
    count = next(iter(theta.values())).shape[0]
    return torch.cat([flat(net({name: w[k : k + 1] for name, w in theta.items()})) for k in range(count)])


@EVERY
def test_every_parameter_gets_a_finite_gradient(spec: Spec) -> None:
    net = module_of(spec).MetaNet()
    flat(net({name: w.float() for name, w in weights(spec, 3).items()})).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@EVERY
def test_distances_tell_how_far_alpha_is_from_the_identity(spec: Spec) -> None:
    torch.manual_seed(0)
    net = module_of(spec).MetaNet(dtype=torch.float64)
    theta = weights(spec, 3)
    found = net.alpha_distances(theta)
    assert [*found] == [f"linear{k + 1}" for k in range(len(spec.metanets[0].channels) - 1)]
    for by_factor in found.values():
        assert [*by_factor] == ["h", "q"]
        for least, mean, most in by_factor.values():
            assert 0 <= least <= mean <= most
        assert 0 < by_factor["h"][2] < 0.5
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "alpha" in name:
                p.zero_()
    assert all(d == (0.0, 0.0, 0.0) for layer in net.alpha_distances(theta).values() for d in layer.values())


def test_the_header_says_what_alpha_is_and_what_it_costs() -> None:
    source = emit_source(FAMILIES["covariant"])
    assert "# Alpha: covariant, behind every layer, with" in source
    assert "#   q: I + 0.5 sin(gamma) P Q^T, invertible." in source


def test_a_factor_without_a_covariant_map_stays_the_identity_and_the_header_says_so() -> None:
    """Vectors without covectors: nothing is conjugated by GL but multiples of the identity."""
    spec = parse(
        "spec s { space q = 2 : linear  space h = 3 : permute * scale  param v : q  param W : [h, h^0] "
        "metanet m { channels 1, 4, 4  alpha covariant()  readout invariant -> 1 } }"
    )
    source = emit_source(spec)
    assert "#   q: the identity; no features of degree one or two give a covariant map." in source
    assert [
        *module_of(spec)
        .MetaNet()
        .alpha_distances({name: w.float() for name, w in weights(spec, 1).items()})["linear1"]
    ] == ["h"]


@pytest.mark.parametrize("family", ["shared", "covariant", "independent"])
def test_a_discrete_group_has_no_alpha_and_gets_none(family: str) -> None:
    spec = parse(
        f"spec s {{ space a = 3 : permute * sign  param p : a  "
        f"metanet m {{ channels 1, 4  alpha {family}()  readout invariant -> 1 }} }}"
    )
    source = emit_source(spec)
    assert f"# Alpha: none, though `{family}` is asked for: it would be the identity." in source
    assert "class Alpha" not in source


@pytest.mark.parametrize("family", ["shared", "covariant", "independent"])
def test_a_network_without_layers_has_nothing_for_alpha_to_follow(family: str) -> None:
    spec = parse(
        "spec s { space a = 3 : permute * scale  param p : a  "
        f"metanet m {{ channels 2  alpha {family}() }} }}"
    )
    source = emit_source(spec)
    assert f"# Alpha: none, though `{family}` is asked for: there is no layer that it could follow." in source
    assert "class Alpha" not in source


@pytest.mark.parametrize("name", ["mlp", "mha", "cnn_bn", "llama"])
@pytest.mark.parametrize("family", ["shared", "covariant"])
def test_alpha_is_a_few_per_cent_of_the_layers_of_real_specs(name: str, family: str, root) -> None:
    small = {
        "llama": {"layers": 2, "width": 6, "groups": 2, "queries": 2, "size": 4, "hidden": 5, "vocab": 3}
    }
    spec = load(root / "specs" / f"{name}.sym", arguments=small.get(name, {}))
    base = spec.metanets[0] if spec.metanets else MetaNet(name="m", channels=(1, 16, 16))
    net = base.model_copy(update={"alpha": Alpha(family=family)})
    counts = parameter_counts(spec.model_copy(update={"metanets": (net,)}))
    assert 0 < alpha_share(counts) < 0.05


def test_the_width_of_the_network_can_be_chosen() -> None:
    widths = [parameter_counts(network(f"shared(hidden = {h})"))["alpha1"] for h in (3, 30)]
    assert widths[0] < widths[1]
    assert "nn.Linear(25, 30, **options)" in emit_source(network("shared(hidden = 30)"))


def test_features_move_by_every_charge_and_every_matrix() -> None:
    """`move` is the action of the group: the emitted one and the compiler's agree."""
    spec = parse(
        """spec s {
          space D = 2 : permute
          space h = 2 : permute { space q = 3 : linear
            space f = 2 : fixed { space w = 2 : rotate * dilate } }
          space c = 3 : permute * scale(pre) * scale(post)   space o = 2 : orthogonal
          param A : h q <- D   param B : [D, h, q*]   param P : [w, D, f, h]   param O : o o
          param K : [c^{pre: 1}, D]   param var : c^{pre: 2}   param K2 : [D, c^{post: -1, pre: -3}]
          param s : []
          metanet m { channels 1, 2  alpha shared()  readout equivariant } }"""
    )
    module, group = module_of(spec), Group(spec)
    g = group.sample(torch.Generator().manual_seed(0))
    still = {s.name: torch.arange(s.size).expand(g.parts[s.name].source.shape)
             for s in spec.spaces if s.permuted}  # fmt: skip
    parts = {name: type(p)(still.get(name, p.source), p.matrix, p.characters) for name, p in g.parts.items()}
    g = type(g)(parts)
    element = {
        "q": parts["q"].matrix[None], "w.rotate": parts["w"].matrix[None],
        "w.dilate": parts["w"].characters[0][None, ..., None], "o": parts["o"].matrix[None],
        "c.pre": parts["c"].characters[0][None, :, None], "c.post": parts["c"].characters[1][None, :, None],
    }  # fmt: skip
    x = {p.name: torch.randn(1, *p.shape, 5, dtype=torch.float64) for p in spec.parameters}
    moved = module.move(x, element)
    for name, expected in group.act(g, x, channels=True).items():
        torch.testing.assert_close(moved[name], expected)


def test_emission_with_alpha_is_the_same_for_every_hash_seed(root) -> None:
    program = (
        "from qecompile.resolve import load; from qecompile.codegen.emit import emit_source; import hashlib;"
        "print([hashlib.sha256(emit_source(load(f'tests/golden/{n}.sym')).encode()).hexdigest()"
        " for n in ('alpha', 'alpha_shared')])"
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
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1


@EVERY
def test_emitted_text_is_python_that_imports_torch_only(spec: Spec) -> None:
    tree = ast.parse(emit_source(spec))
    names = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert names <= {"math", "itertools", "torch"}


def test_layers_stay_equivariant_beside_an_alpha() -> None:
    spec = FAMILIES["shared"]
    layer = randomised(module_of(spec).EquivariantLinear(2, 3, dtype=torch.float64))
    assert equivariance_error(spec, layer) < 1e-10
