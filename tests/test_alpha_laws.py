"""The laws of quasi-equivariance (theory.md, section 3), on emitted modules.

F(x) = alpha(x) . beta(x), with beta an emitted layer: a(e, x) = e, a(gh, x) = a(g, h.x) a(h, x), and F(g.x) =
a(g, x) . F(x), so that the output stays in the orbit. alpha stays in the group whatever the weights are.
"""

from __future__ import annotations

import pytest
import torch
from alpha_elements import Features, cocycle, element_at, gap, one_channel
from emitted import features, module_of, randomised, weights

from qecompile.group_elements import Element, Part
from qecompile.groups import Group
from qecompile.resolve import parse
from qecompile.spec import Spec

SPACES = {
    "mlp": """space x = 3 : fixed   space h = 4 : permute * scale   space k = 3 : permute * scale
        param W : h <- x   param b : h   param V : k <- h   param c : k   param U : x <- k""",
    "attention": """space D = 3 : permute
        space head = 2 : permute { space qk = 2 : linear   space vo = 3 : linear }
        param W_Q : head qk <- D   param b_Q : head qk   param W_K : head qk* <- D
        param W_V : head vo <- D   param W_O : D <- head vo""",
    "rope": """space D = 3 : permute
        space group = 2 : permute { space freq = 2 : fixed { space plane = 2 : rotate * dilate } }
        param W_Q : group freq plane <- D   param W_K : group freq plane* <- D""",
    "batch norm": """space y = 2 : fixed   space c = 3 : permute * scale(pre) * scale(post)
        param K : [c^{pre: 1}, y]   param mean : c^{pre: 1}   param var : c^{pre: 2}
        param gamma : c^{post: 1}   param K2 : [y, c^{post: -1}]""",
    "length": """space D = 4 : permute   space d = 3 : rotate * dilate   space o = 3 : orthogonal
        param W : d <- D   param v : d   param X : o <- D   param y : o""",
}


def network(name: str, alpha: str) -> Spec:
    channels = "1, 4" if "independent" in alpha else "1, 4, 4"
    readout = "invariant -> 2" if "independent" in alpha else "equivariant"
    return parse(
        f"spec s {{ {SPACES[name]}\n metanet m {{ channels {channels}  alpha {alpha}  readout {readout} }} }}"
    )


@pytest.fixture(autouse=True)
def _no_gradients():
    torch.manual_seed(0)
    with torch.no_grad():
        yield


class Layer:
    """F(x) = alpha(x) . beta(x), with the group and an element of it at hand."""

    def __init__(self, name: str, family: str) -> None:
        self.spec = network(name, f"{family}()")
        module = module_of(self.spec)
        self.group = Group(self.spec)
        self.beta = randomised(module.EquivariantLinear(2, 4, dtype=torch.float64))
        self.alpha = module.Alpha(4, dtype=torch.float64)
        self.channels = range(4) if family == "independent" else [0]
        self.x = features(self.spec, 1, 2)

    def element(self, seed: int) -> Element:
        return self.group.sample(torch.Generator().manual_seed(seed))

    def output(self, x: Features) -> Features:
        return self.alpha(self.beta(x))

    def alpha_of(self, x: Features, channel: int) -> Element:
        return element_at(self.spec, self.alpha, self.beta(x), channel)

    def a(self, g: Element, x: Features, channel: int = 0) -> Element:
        """The cocycle of F, that of alpha at the features that it is computed from."""
        return cocycle(self.spec, self.alpha, g, self.beta(x), channel)


LAYERS = [(name, family) for name in SPACES for family in ("shared", "independent")]


@pytest.fixture(params=LAYERS, ids=lambda p: "-".join(p))
def layer(request) -> Layer:
    return Layer(*request.param)


def test_the_identity_has_the_identity_as_cocycle(layer: Layer) -> None:
    e = layer.group.identity()
    for c in layer.channels:
        assert layer.group.distance(layer.a(e, layer.x, c), e) < 1e-12


def test_alpha_is_not_the_identity(layer: Layer) -> None:
    assert layer.group.distance(layer.alpha_of(layer.x, 0), layer.group.identity()) > 1e-4


def test_the_cocycle_law(layer: Layer) -> None:
    g, h = layer.element(1), layer.element(2)
    hx = layer.group.act(h, layer.x, channels=True)
    for c in layer.channels:
        whole = layer.a(layer.group.compose(g, h), layer.x, c)
        parts = layer.group.compose(layer.a(g, hx, c), layer.a(h, layer.x, c))
        assert layer.group.distance(whole, parts) < 1e-9


def test_the_output_stays_in_the_orbit(layer: Layer) -> None:
    """g' is recovered from alpha alone, and takes F(x) to F(g.x), channel by channel if need be."""
    g = layer.element(3)
    before, after = layer.output(layer.x), layer.output(layer.group.act(g, layer.x, channels=True))
    for c in range(4):
        g_prime = layer.a(g, layer.x, c if len(layer.channels) > 1 else 0)
        moved = layer.group.act(g_prime, one_channel(before, c), channels=True)
        assert gap(one_channel(after, c), moved) < 1e-9


def test_quasi_is_more_than_equivariant(layer: Layer) -> None:
    """g' differs from g, and g itself does not take F(x) to F(g.x)."""
    g = layer.element(3)
    before, after = layer.output(layer.x), layer.output(layer.group.act(g, layer.x, channels=True))
    assert gap(after, layer.group.act(g, before, channels=True)) > 1e-5


@pytest.mark.parametrize("name", SPACES)
def test_a_covariant_alpha_is_conjugated(name: str) -> None:
    layer = Layer(name, "covariant")
    g = layer.element(4)
    gx = layer.group.act(g, layer.x, channels=True)
    for c in range(4):
        conjugated = layer.group.compose(
            layer.group.compose(g, layer.alpha_of(layer.x, c)), layer.group.inverse(g)
        )
        assert layer.group.distance(layer.alpha_of(gx, c), conjugated) < 1e-9
    moved = layer.group.act(g, layer.output(layer.x), channels=True)
    assert gap(layer.output(gx), moved) < 1e-9
    assert layer.group.distance(layer.alpha_of(layer.x, 0), layer.alpha_of(layer.x, 1)) > 1e-5


@pytest.mark.parametrize("name", SPACES)
def test_a_whole_network_with_a_shared_alpha_stays_in_the_orbit(name: str) -> None:
    """F(g.theta) = A(g.theta) g A(theta)^-1 . F(theta), with A the product of the alphas of all layers."""
    spec = network(name, "shared()")
    module, group = module_of(spec), Group(spec)
    net = module.MetaNet(dtype=torch.float64)

    def total(theta: Features) -> Element:
        x = {name: t.unsqueeze(-1) for name, t in theta.items()}
        found = group.identity()
        for linear, alpha, activation in (
            (net.linear1, net.alpha1, getattr(net, "activation1", None) or module.activate),
            (net.linear2, net.alpha2, getattr(net, "activation2", None) or module.activate),
        ):
            y = linear(x)
            found = group.compose(element_at(spec, alpha, y), found)
            x = activation(alpha(y))
        return found

    theta = weights(spec, 1)
    g = group.sample(torch.Generator().manual_seed(5))
    moved = group.act(g, theta)
    g_prime = group.compose(group.compose(total(moved), g), group.inverse(total(theta)))
    assert gap(net(moved), group.act(g_prime, net(theta))) < 1e-9
    assert gap(net(moved), group.act(g, net(theta))) > 1e-5


# --- alpha stays in the group ---------------------------------------------------------------------------

WEIGHTS = {
    "random": lambda shape: torch.randn(shape),
    "huge": lambda shape: 1e30 * torch.randn(shape),
    "tiny": lambda shape: 1e-30 * torch.randn(shape),
    "huge and tiny": lambda shape: 10 ** (60 * torch.rand(shape) - 30) * torch.randn(shape).sign(),
    "zero": lambda shape: torch.zeros(shape),
    "equal": lambda shape: torch.full(shape, 3.0),
    "equal and huge": lambda shape: torch.full(shape, 1e30),
    "one entry": lambda shape: torch.zeros(shape).index_fill_(0, torch.tensor(0), 1.0),
    "denormal": lambda shape: torch.full(shape, 1e-40),
    "nearly equal": lambda shape: 1 + 1e-6 * torch.randn(shape),
}


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("family", ["shared", "covariant", "independent"])
@pytest.mark.parametrize("name", SPACES)
def test_alpha_stays_in_the_group_whatever_the_weights(name: str, family: str, kind: str) -> None:
    spec = network(name, f"{family}()")
    alpha = module_of(spec).Alpha(4)
    with torch.no_grad():
        for p in alpha.parameters():
            p.normal_()
    torch.manual_seed(1)
    x = {p.name: WEIGHTS[kind]((2, *p.shape, 4)) for p in spec.parameters}
    sizes = {s.name: s.size for s in spec.spaces}
    for label, g in alpha.elements(x).items():
        assert g.isfinite().all(), label
        if "dilate" in label or label in ("h", "k", "c.pre", "c.post"):
            assert ((g - 1).abs() <= 0.1 + 1e-6).all()
        elif label in ("qk", "vo"):
            assert (torch.linalg.det(g) > 0).all()
            if family == "covariant":
                assert ((torch.linalg.eigvals(g.double()) - 1).abs() < 0.1 + 1e-3).all()
            else:
                bound = 1 - sizes[label] * min(0.1, 0.5 / 3)
                assert (torch.linalg.svdvals(g) >= bound - 1e-5).all()
        else:
            eye = torch.eye(g.shape[-1])
            torch.testing.assert_close(g @ g.mT, eye.expand(g.shape), atol=1e-5, rtol=0)
            assert (torch.linalg.det(g) > 0).all()


@pytest.mark.parametrize("kind", ["random", "tiny", "zero", "equal", "one entry", "nearly equal"])
@pytest.mark.parametrize("family", ["shared", "covariant", "independent"])
def test_gradients_through_alpha_are_finite_where_its_weights_are_degenerate(family: str, kind: str) -> None:
    spec = network("mlp", f"{family}()")
    alpha = module_of(spec).Alpha(4)
    torch.manual_seed(1)
    x = {p.name: WEIGHTS[kind]((2, *p.shape, 4)).requires_grad_() for p in spec.parameters}
    with torch.enable_grad():
        sum(g.square().sum() for g in alpha.elements(x).values()).backward()
    assert all(t.grad is None or t.grad.isfinite().all() for t in x.values())
    assert all(p.grad.isfinite().all() for p in alpha.parameters())


def test_an_epsilon_beyond_the_bound_would_leave_the_group() -> None:
    """What the compiler refuses: at 1 a scale vanishes, at 1/n a matrix is singular."""
    spec = network("mlp", "shared(epsilon = 0.999)")
    alpha = module_of(spec).Alpha(4, dtype=torch.float64)
    for name, p in alpha.named_parameters():
        p.zero_()
        if name == "gamma_h.bias":
            p[0] = -torch.pi / 2
    least = float(alpha.elements(features(spec, 1, 4))["h"].min())
    assert 0 < least < 0.0011


# --- sections and seeds --------------------------------------------------------------------------------

PAIR = "spec s { space h = 2 : permute * scale  param b : h  param d : h  %s }"


def swap_of(group: Group) -> Element:
    """The element that exchanges the two index values and scales nothing."""
    e = group.identity()
    return Element({"h": Part(torch.tensor([1, 0]), None, e.parts["h"].characters)})


def test_at_a_symmetric_point_strict_equivariance_forces_a_symmetric_output_and_quasi_does_not() -> None:
    """theta = ((1, 1), (2, 2)) is fixed by the swap; so is a strict output, and a quasi one by a(swap)."""
    strict = parse(PAIR % "metanet m { channels 1, 4, 4  alpha none  readout equivariant }")
    quasi = parse(PAIR % "metanet m { channels 1, 4, 4  alpha shared()  readout equivariant }")
    group = Group(quasi)
    swap = swap_of(group)
    theta = {"b": torch.ones(1, 2).double(), "d": 2 * torch.ones(1, 2).double()}
    assert gap(group.act(swap, theta), theta) == 0

    plain = module_of(strict).MetaNet(dtype=torch.float64)(theta)
    assert gap(group.act(swap, plain), plain) == 0

    net = module_of(quasi).MetaNet(dtype=torch.float64)
    broken = net(theta)
    assert gap(group.act(swap, broken), broken) > 1e-4


def test_a_seed_extends_to_one_map_exactly_if_the_stabiliser_fixes_it() -> None:
    """F(g.t) = a(g, t).s has one value at each point of the orbit iff a(g, t).s = s whenever g.t = t."""
    spec = parse(PAIR % "metanet m { channels 1, 1  alpha shared()  readout equivariant }")
    group, alpha = Group(spec), module_of(spec).Alpha(1, dtype=torch.float64)
    swap = swap_of(group)
    t = {"b": torch.ones(1, 2, 1).double(), "d": 2 * torch.ones(1, 2, 1).double()}
    moved = element_at(spec, alpha, t)
    a = cocycle(spec, alpha, swap, t)
    assert group.distance(a, group.compose(group.compose(moved, swap), group.inverse(moved))) < 1e-12

    symmetric = {"b": torch.full((1, 2, 1), 5.0).double(), "d": torch.full((1, 2, 1), -1.0).double()}
    allowed = group.act(moved, symmetric, channels=True)  # fixed by a(swap, t), and not symmetric itself
    assert gap(group.act(a, allowed, channels=True), allowed) < 1e-12
    assert gap(group.act(swap, allowed, channels=True), allowed) > 1e-4

    g = group.sample(torch.Generator().manual_seed(6))
    other = group.compose(g, swap)  # takes t to the same point
    assert gap(group.act(g, t, channels=True), group.act(other, t, channels=True)) == 0
    for seed, is_one_map in ((allowed, True), (symmetric, False)):
        one = group.act(cocycle(spec, alpha, g, t), seed, channels=True)
        two = group.act(cocycle(spec, alpha, other, t), seed, channels=True)
        assert (gap(one, two) < 1e-9) == is_one_map
