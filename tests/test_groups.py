"""The group and its action: laws, conventions, the definition entry by entry, and real networks."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from strategies import describe, spec_of, specs
from torch import Tensor
from torch.nn import functional as F

from qecompile.group_elements import Element, Part
from qecompile.groups import Group
from qecompile.spec import Param, Spec

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
HEADS = spec_of(
    {"D": "5 permute", "h": "3 permute", "h.q": "4 linear", "h.v": "2 linear"},
    {
        "Q": "h q <- D",
        "bQ": "h q",
        "K": "h q* <- D",
        "bK": "h q*",
        "V": "h v <- D",
        "bV": "h v",
        "O": "D <- h v",
    },
)
DEEP = spec_of(
    {"a": "2 permute * sign", "a.b": "3 permute * scale", "b.c": "2 permute", "b.v": "2 rotate * dilate"},
    {"T": "b c a v b v*", "S": "a^2 b^-1 a* b^0 c v*", "x": "a", "nothing": ""},
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_theta(
    spec: Spec, *batch: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    generator = seeded(seed)
    return {
        p.name: torch.randn((*batch, *p.shape), generator=generator, dtype=torch.float64).to(dtype)
        for p in spec.parameters
    }


def assert_same(actual: dict[str, Tensor], expected: dict[str, Tensor], **tolerance: float) -> None:
    assert [*actual] == [*expected]
    for name in expected:
        torch.testing.assert_close(actual[name], expected[name], **(tolerance or CLOSE))


# --- laws ---------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(specs(bound=400))
def test_elements_form_a_group(spec: Spec) -> None:
    group, generator = Group(spec), seeded()
    g, h, k = (group.sample(generator, scale=0.7) for _ in range(3))
    one = group.identity()
    left, right = group.compose(group.compose(g, h), k), group.compose(g, group.compose(h, k))
    assert group.distance(left, right) < 1e-9
    assert group.distance(group.compose(g, one), g) == group.distance(group.compose(one, g), g) == 0
    assert group.distance(group.compose(g, group.inverse(g)), one) < 1e-9
    assert group.distance(group.compose(group.inverse(g), g), one) < 1e-9
    assert group.distance(group.inverse(group.inverse(g)), g) < 1e-9


@settings(max_examples=150)
@given(specs(bound=400))
def test_the_action_is_a_linear_action(spec: Spec) -> None:
    group, generator = Group(spec), seeded()
    g, h = group.sample(generator, scale=0.7), group.sample(generator, scale=0.7)
    x, y = random_theta(spec, 2), random_theta(spec, 2, seed=1)
    assert_same(group.act(group.identity(), x), x, rtol=0, atol=0)
    assert_same(group.act(group.compose(g, h), x), group.act(g, group.act(h, x)))
    assert_same(group.act(group.inverse(g), group.act(g, x)), x)
    combined = group.act(g, {name: 2 * x[name] - y[name] for name in x})
    gx, gy = group.act(g, x), group.act(g, y)
    assert_same(combined, {name: 2 * gx[name] - gy[name] for name in x})


@pytest.mark.parametrize("spec", [HEADS, DEEP], ids=["heads", "deep"])
def test_a_law_that_a_wrong_convention_breaks(spec: Spec) -> None:
    """The laws hold on specs on which g h and h g, and the copies at i and p(i), are all different."""
    group = Group(spec)
    g, h = group.sample(seeded(1)), group.sample(seeded(2))
    assert group.distance(group.compose(g, h), group.compose(h, g)) > 0.01
    x = random_theta(spec)
    assert_same(group.act(group.compose(g, h), x), group.act(g, group.act(h, x)))


# --- the definition -----------------------------------------------------------------------------------


def axis_matrix(spec: Spec, g: Element, p: Param, k: int, copy: tuple[int, ...]) -> Tensor:
    """The matrix by which `g` acts along axis `k`, for the copy that its parents *end up* in."""
    axis, space, part = p.axes[k], spec.space[p.axes[k].space], g.parts[p.axes[k].space]
    n = space.size
    if space.is_vector:
        matrix = torch.eye(n, dtype=torch.float64) if part.matrix is None else part.matrix[copy]
        if axis.dual and space.vector == "linear":
            matrix = torch.linalg.inv(matrix).T
        return matrix * math.prod(
            c[copy].item() ** e for c, e in zip(part.characters, axis.charges, strict=True)
        )
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for j in range(n):
        weights = (c[copy][j].item() ** e for c, e in zip(part.characters, axis.charges, strict=True))
        matrix[j, part.source[copy][j] if space.permuted else j] = math.prod(weights)
    return matrix


def dense_matrix(spec: Spec, g: Element, p: Param) -> Tensor:
    """The matrix of `g` on a parameter, [entries, entries], one entry at a time."""

    def copy_of(k: int, j: tuple[int, ...]) -> tuple[int, ...]:
        parent = p.axes[k].parent
        return () if parent is None else (*copy_of(parent, j), j[parent])

    entries = [*itertools.product(*map(range, p.shape))]
    dense = torch.zeros(len(entries), len(entries), dtype=torch.float64)
    for row, j in enumerate(entries):
        along = [axis_matrix(spec, g, p, k, copy_of(k, j)) for k in range(len(p.axes))]
        for column, i in enumerate(entries):
            dense[row, column] = math.prod(m[a, b].item() for m, a, b in zip(along, j, i, strict=True))
    return dense


@settings(max_examples=60)
@given(specs(bound=150, count=4))
def test_the_action_is_the_tensor_product_of_the_axes(spec: Spec) -> None:
    group = Group(spec)
    g = group.sample(seeded(), scale=0.7)
    for p in spec.parameters:
        if math.prod(p.shape) <= 40:
            x = random_theta(spec)[p.name]
            expected = dense_matrix(spec, g, p) @ x.flatten()
            actual = group.act(g, {p.name: x})[p.name]
            torch.testing.assert_close(actual.flatten(), expected, msg=lambda m: m + describe(spec), **CLOSE)


def test_copies_are_named_by_where_they_end_up() -> None:
    group = Group(HEADS)
    g = group.sample(seeded(3))
    source, matrix = g.parts["h"].source, g.parts["q"].matrix
    assert sorted(source.tolist()) == [0, 1, 2]
    assert source.tolist() not in ([0, 1, 2], torch.argsort(source).tolist())  # neither trivial nor symmetric
    x = random_theta(HEADS)["bQ"]
    y = group.act(g, {"bQ": x})["bQ"]
    for j in range(3):
        torch.testing.assert_close(y[j], matrix[j] @ x[source[j]], **CLOSE)


def test_charges_are_exponents_and_duals_invert() -> None:
    spec = spec_of(
        {"h": "2 scale(pre) * sign(post)", "v": "3 dilate", "q": "2 linear", "o": "2 orthogonal"},
        {"a": "h^2,0", "b": "h^-1,3", "c": "h^0,2", "d": "v^-2", "q": "q*", "o": "o*"},
    )
    group = Group(spec)
    g = group.sample(seeded())
    y = group.act(g, {p.name: torch.ones(p.shape, dtype=torch.float64) for p in spec.parameters})
    pre, post = g.parts["h"].characters
    torch.testing.assert_close(y["a"], pre**2)
    torch.testing.assert_close(y["b"], post / pre)
    assert y["c"].tolist() == [1, 1]
    torch.testing.assert_close(y["d"], (g.parts["v"].characters[0] ** -2).expand(3))
    ones = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(y["q"], torch.linalg.inv(g.parts["q"].matrix).T @ ones)
    torch.testing.assert_close(y["o"], g.parts["o"].matrix @ ones)


def test_size_one_and_scalars() -> None:
    words = ["permute * scale * sign", "linear", "orthogonal", "rotate * dilate"]
    spec = spec_of(
        {"h": f"1 {words[0]}", **{f"h.v{k}": f"1 {word}" for k, word in enumerate(words[1:])}},
        {"x": "h v0 v1 v2", "y": "h v0* v1* v2*", "scalar": ""},
    )
    group = Group(spec)
    g, h = group.sample(seeded(1)), group.sample(seeded(2))
    x = random_theta(spec, 3)
    assert x["scalar"].shape == (3,)
    assert_same(group.act(group.compose(g, h), x), group.act(g, group.act(h, x)))
    assert torch.equal(group.act(g, x)["scalar"], x["scalar"])
    assert g.parts["v2"].matrix.flatten().tolist() == [1]  # SO(1)


def test_a_parent_on_the_right_of_its_child() -> None:
    spec = spec_of({"h": "3 permute", "h.m": "2 permute * scale"}, {"left": "m h", "right": "h m"})
    group = Group(spec)
    g, x = group.sample(seeded()), torch.randn(2, 3, generator=seeded(), dtype=torch.float64)
    y = group.act(g, {"left": x, "right": x.T})
    assert torch.equal(y["left"], y["right"].T)


# --- random elements ----------------------------------------------------------------------------------


def test_samples_depend_on_the_generator_only() -> None:
    group = Group(HEADS)
    generator = seeded(5)
    first, second = group.sample(generator), group.sample(generator)
    assert group.distance(group.sample(seeded(5)), first) == 0
    assert group.distance(first, second) > 0
    single = group.sample(seeded(5), dtype=torch.float32)
    assert single.parts["q"].matrix.dtype == torch.float32
    assert torch.equal(single.parts["q"].matrix, first.parts["q"].matrix.float())
    assert torch.equal(single.parts["h"].source, first.parts["h"].source)


def test_samples_stay_in_the_documented_range_and_reach_every_component() -> None:
    spec = spec_of(
        {"h": "40 permute * scale * sign", "g": "60 fixed", "g.q": "3 linear", "g.o": "3 orthogonal",
         "g.r": "3 rotate", "g.d": "2 dilate"},
        {},
    )  # fmt: skip
    g = Group(spec).sample(seeded(), scale=0.5)
    scale, sign = g.parts["h"].characters
    assert -0.5 <= scale.log().min() < -0.3 < 0.3 < scale.log().max() <= 0.5
    assert set(sign.tolist()) == {-1, 1}
    assert -0.5 <= g.parts["d"].characters[0].log().min() < -0.3
    singular = torch.linalg.svdvals(g.parts["q"].matrix).log()
    assert -0.5 - 1e-9 < singular.min() < singular.max() < 0.5 + 1e-9
    for name, signs in {"q": {-1, 1}, "o": {-1, 1}, "r": {1}}.items():
        assert set(torch.linalg.det(g.parts[name].matrix).sign().tolist()) == signs
    for name in ("o", "r"):
        m = g.parts[name].matrix
        torch.testing.assert_close(m @ m.mT, torch.eye(3, dtype=m.dtype).expand_as(m), **CLOSE)


def test_every_permutation_is_sampled() -> None:
    spec = spec_of({"e": "200 fixed", "e.h": "3 permute"}, {})
    rows = Group(spec).sample(seeded()).parts["h"].source.tolist()
    assert {tuple(row) for row in rows} == {*itertools.permutations(range(3))}


def test_scale_zero_keeps_norms_and_bad_scales_are_refused() -> None:
    spec = spec_of({"h": "4 scale", "q": "3 linear"}, {"x": "q h"})
    group = Group(spec)
    g = group.sample(seeded(), scale=0)
    x = random_theta(spec)
    torch.testing.assert_close(group.act(g, x)["x"].norm(), x["x"].norm(), **CLOSE)
    for scale in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite number >= 0"):
            group.sample(seeded(), scale=scale)
    with pytest.raises(ValueError, match="a floating dtype, not"):
        group.sample(seeded(), dtype=torch.int64)


# --- what `act` takes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [HEADS, DEEP], ids=["heads", "deep"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.3), (torch.float16, 0.05)]
)
def test_every_floating_dtype(spec: Spec, dtype: torch.dtype, tolerance: float) -> None:
    group = Group(spec)
    exact = group.sample(seeded(), scale=0.5)
    x = random_theta(spec, dtype=dtype)
    expected = group.act(exact, {name: t.double() for name, t in x.items()})
    for element in (exact, exact.to(dtype), exact.to(torch.float32)):
        y = group.act(element, x)
        assert all(t.dtype == dtype for t in y.values())
        assert_same({n: t.double() for n, t in y.items()}, expected, rtol=tolerance, atol=tolerance)


def test_elements_of_half_precision_compose_and_invert() -> None:
    group = Group(HEADS)
    g = group.sample(seeded(), scale=0.5, dtype=torch.bfloat16)
    back = group.inverse(g)
    assert back.parts["q"].matrix.dtype == torch.bfloat16
    assert group.distance(group.compose(g, back), group.identity()) < 0.1
    assert group.compose(g, group.sample(seeded())).parts["q"].matrix.dtype == torch.float64


@pytest.mark.parametrize("spec", [HEADS, DEEP], ids=["heads", "deep"])
def test_batches_and_channels(spec: Spec) -> None:
    group = Group(spec)
    g = group.sample(seeded())
    x = random_theta(spec, 2, 3)
    y = group.act(g, x)
    for i, j in itertools.product(range(2), range(3)):
        single = group.act(g, {name: t[i, j] for name, t in x.items()})
        assert_same({name: t[i, j] for name, t in y.items()}, single)
    last = {name: t.movedim(1, -1) for name, t in x.items()}
    assert_same(group.act(g, last, channels=True), {name: t.movedim(1, -1) for name, t in y.items()})
    empty = {name: t[:0] for name, t in x.items()}
    assert all(t.shape == empty[name].shape for name, t in group.act(g, empty).items())
    assert_same(torch.func.vmap(lambda one: group.act(g, one))(x), y)


def test_the_input_is_not_changed_and_may_be_partial() -> None:
    group = Group(HEADS)
    x = random_theta(HEADS)
    before = {name: t.clone() for name, t in x.items()}
    assert [*group.act(group.sample(seeded()), {"O": x["O"]})] == ["O"]
    group.act(group.sample(seeded()), x)
    assert_same(x, before, rtol=0, atol=0)
    assert group.act(group.sample(seeded()), {}) == {}


def test_gradients_are_those_of_the_dense_matrix() -> None:
    group = Group(DEEP)
    g = group.sample(seeded())
    p = DEEP.params["x"]
    x = random_theta(DEEP)["x"]
    jacobian = torch.func.jacrev(lambda t: group.act(g, {"x": t})["x"])(x)
    torch.testing.assert_close(jacobian, dense_matrix(DEEP, g, p), **CLOSE)
    leaf = random_theta(DEEP)["T"].requires_grad_()
    assert torch.autograd.gradcheck(lambda t: group.act(g, {"T": t})["T"], leaf)


def test_a_contraction_of_dual_axes_transforms_by_its_own_type() -> None:
    group = Group(HEADS)
    g, x = group.sample(seeded()), random_theta(HEADS, 2)
    contract = "...hqx,...hqy->...hxy"
    axes = (HEADS.params["Q"].axes[0], HEADS.params["Q"].axes[2], HEADS.params["K"].axes[2])
    y = group.act(g, x)
    expected = group.act_on(g, axes, torch.einsum(contract, x["Q"], x["K"]))
    torch.testing.assert_close(torch.einsum(contract, y["Q"], y["K"]), expected, **CLOSE)


# --- mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theta", "channels", "message"),
    [
        ({"bQ": torch.zeros(4, 3)}, False, r"bQ: expected shape \[batch..., 3, 4\], got \[4, 3\]"),
        ({"bQ": torch.zeros(4)}, False, r"bQ: expected shape \[batch..., 3, 4\], got \[4\]"),
        ({"bQ": torch.zeros(3, 4)}, True, r"bQ: expected shape \[batch..., 3, 4, C\], got \[3, 4\]"),
        ({"bQ": torch.zeros(())}, True, r"bQ: expected shape \[batch..., 3, 4, C\], got \[\]"),
        (
            {"bQ": torch.zeros(3, 4, dtype=torch.int64)},
            False,
            "bQ: expected a floating dtype, got torch.int64",
        ),
        ({"W": torch.zeros(3, 4)}, False, r"spec test has no parameter W; it has \['Q', "),
    ],
)
def test_mistakes_name_the_parameter_and_both_shapes(theta, channels: bool, message: str) -> None:
    group = Group(HEADS)
    with pytest.raises(ValueError, match=message):
        group.act(group.identity(), theta, channels=channels)


def test_a_scalar_parameter_needs_a_channel_axis_if_told_so() -> None:
    group = Group(DEEP)
    assert group.act(group.identity(), {"nothing": torch.ones(())})["nothing"] == 1
    with pytest.raises(ValueError, match=r"nothing: expected shape \[batch..., C\], got \[\]"):
        group.act(group.identity(), {"nothing": torch.ones(())}, channels=True)


def test_elements_of_another_group_are_refused() -> None:
    group = Group(HEADS)
    smaller = spec_of({"D": "4 permute", "h": "3 permute", "h.q": "4 linear", "h.v": "2 linear"}, {})
    for other in (Group(DEEP).identity(), Group(smaller).identity()):
        for call in (
            lambda g: group.act(g, {}),
            lambda g: group.compose(group.identity(), g),
            lambda g: group.compose(g, group.identity()),
            group.inverse,
            lambda g: group.distance(g, group.identity()),
            lambda g: group.act_on(g, (), torch.ones(())),
        ):
            with pytest.raises(ValueError, match="the element has"):
                call(other)


# --- values -------------------------------------------------------------------------------------------


def test_elements_are_frozen_and_print_in_one_line() -> None:
    spec = spec_of({"a": "1 fixed", "h": "2 permute * scale", "h.q": "9 linear"}, {})
    group = Group(spec)
    g = group.identity()
    assert (
        repr(g) == "Element(a: fixed; h: source [0, 1], character 0 [1.0, 1.0]; q: matrix float64 [2, 9, 9])"
    )
    assert repr(group) == "Group(a [1]: fixed, h [2]: permute * scale, q [2, 9]: linear)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        g.parts = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        g.parts["h"] = Part()  # type: ignore[index]


def test_nan_and_different_permutations_are_not_close() -> None:
    group = Group(HEADS)
    g = group.sample(seeded())
    assert group.distance(g, group.identity()) == math.inf
    broken = group.identity()
    broken.parts["q"].matrix[0, 0, 0] = math.nan
    assert math.isnan(group.distance(broken, group.identity()))


def test_a_group_without_spaces() -> None:
    group = Group(spec_of({}, {"t": ""}))
    g = group.sample(seeded())
    assert group.distance(group.compose(g, group.inverse(g)), group.identity()) == 0
    assert group.act(g, {"t": torch.tensor([3.0])})["t"].tolist() == [3.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("spec", [HEADS, DEEP], ids=["heads", "deep"])
def test_elements_and_parameters_on_a_gpu(spec: Spec) -> None:
    group, x = Group(spec), random_theta(spec, 2)
    g, h = group.sample(seeded(1)), group.sample(seeded(2))
    expected = group.act(group.compose(g, group.inverse(h)), x)
    on_gpu = {name: t.cuda() for name, t in x.items()}
    there = group.sample(seeded(1), device="cuda")
    product = group.compose(there, group.inverse(h.to(device="cuda")))
    assert product.device.type == "cuda"
    for element in (product, product.to(device="cpu")):
        assert_same({n: t.cpu() for n, t in group.act(element, on_gpu).items()}, expected)


# --- networks: the function does not change -----------------------------------------------------------


def assert_function_is_kept(spec: Spec, network, *inputs: Tensor, scale: float = 1.0) -> None:
    """`network(theta, *inputs)` is the same at theta and at g theta, and is not constant."""
    group, x = Group(spec), random_theta(spec, seed=7)
    before = network(x, *inputs)
    assert before.std() > 1e-3
    for seed in range(3):
        g = group.sample(seeded(seed), scale=scale)
        moved = group.act(g, x)
        assert any((moved[name] - x[name]).abs().max() > 0.1 for name in x)
        torch.testing.assert_close(network(moved, *inputs), before, rtol=1e-7, atol=1e-7)


def sample_input(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(11), dtype=torch.float64)


def perceptron(activation, word: str):
    """A spec and a network, of two hidden layers."""
    spec = spec_of(
        {"a": "3 fixed", "b": f"6 {word}", "c": f"5 {word}", "d": "2 fixed"},
        {"W1": "b <- a", "b1": "b", "W2": "c <- b", "b2": "c", "W3": "d <- c", "b3": "d"},
    )

    def network(t: dict[str, Tensor], x: Tensor) -> Tensor:
        hidden = activation(x @ t["W1"].T + t["b1"])
        return activation(hidden @ t["W2"].T + t["b2"]) @ t["W3"].T + t["b3"]

    return spec, network


@pytest.mark.parametrize(
    ("activation", "word"),
    [(torch.relu, "permute * scale"), (torch.tanh, "permute * sign"), (torch.sin, "permute * sign")],
)
def test_a_perceptron_keeps_its_function(activation, word: str) -> None:
    assert_function_is_kept(*perceptron(activation, word), sample_input(8, 3))


@pytest.mark.parametrize(
    ("activation", "word"), [(torch.tanh, "permute * scale"), (torch.relu, "permute * sign")]
)
def test_a_perceptron_of_another_activation_does_not(activation, word: str) -> None:
    with pytest.raises(AssertionError, match="not close"):
        assert_function_is_kept(*perceptron(activation, word), sample_input(8, 3))


def test_attention_keeps_its_function_up_to_its_residual_permutation() -> None:
    spec = spec_of(
        {"D": "5 permute", "h": "3 permute", "h.q": "4 linear", "h.v": "2 linear", "i": "3 fixed"},
        {"E": "D <- i", "norm": "D", "Q": "h q <- D", "bQ": "h q", "K": "h q* <- D", "bK": "h q*",
         "V": "h v <- D", "bV": "h v", "O": "D <- h v", "U": "i <- D"},
    )  # fmt: skip

    def network(t: dict[str, Tensor], tokens: Tensor) -> Tensor:
        x = tokens @ t["E"].T
        y = F.layer_norm(x, (5,), weight=t["norm"])
        q = torch.einsum("hqd,nd->hnq", t["Q"], y) + t["bQ"][:, None]
        k = torch.einsum("hqd,nd->hnq", t["K"], y) + t["bK"][:, None]
        v = torch.einsum("hvd,nd->hnv", t["V"], y) + t["bV"][:, None]
        mixed = F.scaled_dot_product_attention(q, k, v)
        return (x + torch.einsum("dhv,hnv->nd", t["O"], mixed)) @ t["U"].T

    assert_function_is_kept(spec, network, sample_input(7, 3))


def test_grouped_query_attention_with_rotary_positions_keeps_its_function() -> None:
    spec = spec_of(
        {"D": "6 fixed", "g": "2 permute", "g.r": "3 permute", "g.f": "2 fixed",
         "f.plane": "2 rotate * dilate", "g.v": "3 linear"},
        {"Q": "g r f plane <- D", "K": "g f plane* <- D", "V": "g v <- D", "O": "D <- g r v"},
    )  # fmt: skip

    def rotary(x: Tensor) -> Tensor:
        """Rotate plane f at position n by n / (f + 1); [..., n, f, 2]."""
        angle = torch.arange(x.shape[-3], dtype=x.dtype)[:, None] / torch.tensor([1.0, 2.0], dtype=x.dtype)
        a, b = x[..., 0], x[..., 1]
        return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)

    def network(t: dict[str, Tensor], x: Tensor) -> Tensor:
        q = rotary(torch.einsum("grfpd,nd->grnfp", t["Q"], x))
        k = rotary(torch.einsum("gfpd,nd->gnfp", t["K"], x))
        v = torch.einsum("gvd,nd->gnv", t["V"], x)
        weights = torch.einsum("grnfp,gmfp->grnm", q, k).softmax(-1)
        return torch.einsum("dgrv,grnm,gmv->nd", t["O"], weights, v)

    assert_function_is_kept(spec, network, 0.3 * sample_input(5, 6))


def test_a_mixture_of_experts_keeps_its_function() -> None:
    spec = spec_of(
        {"D": "4 fixed", "e": "3 permute", "e.m": "5 permute * scale"},
        {"W1": "e m <- D", "W2": "e D m*", "route": "e <- D"},
    )

    def network(t: dict[str, Tensor], x: Tensor) -> Tensor:
        hidden = torch.einsum("emd,nd->nem", t["W1"], x).relu()
        return torch.einsum("edm,nem,ne->nd", t["W2"], hidden, (x @ t["route"].T).softmax(-1))

    assert_function_is_kept(spec, network, sample_input(6, 4))


def test_convolution_and_batch_norm_keep_their_function() -> None:
    spec = spec_of(
        {"x": "2 fixed", "c": "4 permute * scale(pre) * scale(post)", "y": "3 fixed", "k": "3 fixed"},
        {"K": "c^1,0 x* k k", "mean": "c^1,0", "root": "c^1,0", "gamma": "c^0,1", "beta": "c^0,1",
         "K2": "y c^0,-1 k k"},
    )  # fmt: skip

    def network(t: dict[str, Tensor], x: Tensor) -> Tensor:
        y = F.batch_norm(F.conv2d(x, t["K"]), t["mean"], t["root"] ** 2, t["gamma"], t["beta"], eps=0.0)
        return F.conv2d(y.relu(), t["K2"])

    assert_function_is_kept(spec, network, sample_input(2, 2, 7, 7))


def test_low_rank_factors_keep_their_product() -> None:
    spec = spec_of({"o": "5 fixed", "i": "6 fixed", "r": "2 linear"}, {"B": "o <- r", "A": "r <- i"})
    assert_function_is_kept(spec, lambda t: t["B"] @ t["A"])
