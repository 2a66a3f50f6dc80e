"""Emitted modules as citizens of torch: tracing, compiling, export, copies, dtypes, errors, variance."""

from __future__ import annotations

import copy
import io
import pickle
from types import ModuleType

import pytest
import torch
from emitted import module_of, weights
from torch import Tensor

from qecompile.groups import Group
from qecompile.resolve import load, parse
from qecompile.spec import Spec

SPECS = {
    "mlp": {"widths": [6, 4, 3, 2]},
    "mha": {},
    "siren": {"widths": [2, 4, 3, 2]},
}


@pytest.fixture(scope="module", params=sorted(SPECS))
def built(request, pytestconfig) -> tuple[Spec, ModuleType, torch.nn.Module, dict[str, Tensor]]:
    spec = load(pytestconfig.rootpath / "specs" / f"{request.param}.sym", arguments=SPECS[request.param])
    module = module_of(spec)
    torch.manual_seed(0)
    theta = {name: w.float() for name, w in weights(spec, 3).items()}
    return spec, module, module.MetaNet(), theta


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a.float(), b.float(), rtol=tolerance, atol=tolerance)


def test_symbolic_trace(built) -> None:
    _, _, net, theta = built
    traced = torch.fx.symbolic_trace(net)
    close(traced(theta), net(theta), 0)


def test_compile_as_one_graph(built) -> None:
    _, _, net, theta = built
    torch._dynamo.reset()
    close(torch.compile(net, fullgraph=True, backend="aot_eager")(theta), net(theta))


@pytest.mark.slow
def test_compile_with_inductor(built) -> None:
    _, _, net, theta = built
    torch._dynamo.reset()
    close(torch.compile(net, fullgraph=True)(theta), net(theta), 1e-4)


def test_export_with_any_batch(built) -> None:
    _, _, net, theta = built
    batch = torch.export.Dim("batch")
    exported = torch.export.export(net, (theta,), dynamic_shapes=({name: {0: batch} for name in theta},))
    two = {name: w[:2] for name, w in theta.items()}
    close(exported.module()(two), net(two))


def test_functional_call_grad_and_vmap(built) -> None:
    _, _, net, theta = built
    parameters = dict(net.named_parameters())
    close(torch.func.functional_call(net, parameters, (theta,)), net(theta), 0)
    gradient = torch.func.grad(lambda p: torch.func.functional_call(net, p, (theta,)).square().sum())(
        parameters
    )
    net.zero_grad()
    net(theta).square().sum().backward()
    for name, p in net.named_parameters():
        close(gradient[name], p.grad, 1e-4)
    alone = torch.vmap(lambda t: net({name: w[None] for name, w in t.items()})[0])(theta)
    close(alone, net(theta))


def test_copies(built) -> None:
    _, module, net, theta = built
    stream = io.BytesIO()
    torch.save(net.state_dict(), stream)
    stream.seek(0)
    fresh = module.MetaNet()
    fresh.load_state_dict(torch.load(stream, weights_only=True))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), fresh):
        close(other(theta), net(theta), 0)


def test_every_parameter_gets_a_gradient(built) -> None:
    _, module, _, theta = built
    torch.manual_seed(1)
    net = module.MetaNet()
    net(theta).square().sum().backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not missing


def test_dtypes(built) -> None:
    _, module, net, theta = built
    double = module.MetaNet(dtype=torch.float64)
    double.load_state_dict(net.state_dict())
    close(double({name: w.double() for name, w in theta.items()}), net(theta), 1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = net(theta)
    close(rough, net(theta), 0.1)


def test_mistakes_name_the_parameter_and_both_shapes(built) -> None:
    spec, _, net, theta = built
    first = spec.parameters[0]
    missing = {name: w for name, w in theta.items() if name != first.name}
    with pytest.raises(KeyError, match=rf"{first.name.replace('[', '.').replace(']', '.')} of shape"):
        net(missing)
    wrong = {**theta, first.name: theta[first.name][:, :1]}
    with pytest.raises(ValueError, match=r"expected shape \[B, .*\], got \[3, 1, .*\]"):
        net(wrong)
    with pytest.raises(TypeError, match=r"float64.*float32"):
        net({**theta, first.name: theta[first.name].double()})


def test_batches_that_differ_and_things_that_are_no_tensors(built) -> None:
    spec, module, net, theta = built
    last = spec.parameters[-1].name
    with pytest.raises(ValueError, match="the batch of the others"):
        net({**theta, last: theta[last][:2]})
    with pytest.raises(TypeError, match="must be a tensor, got list"):
        net({**theta, last: [1.0]})
    with pytest.raises(TypeError, match="expected a dict"):
        net([1, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(TypeError, match="float64"):
        net({**theta, last: theta[last].double()})
    if hasattr(module, "InvariantReadout"):
        with pytest.raises(KeyError, match="is missing"):
            module.InvariantReadout(4, 2)({})


META = {
    "masked": "space h = 2 : permute  param W : [h, h]  param V : [h, h]",
    "coded": "space x = 100 : fixed  space h = 3 : permute  param W : h <- x",
    "epsilon": "space r = 4 : rotate  param M : r r  param v : r",
}


@pytest.mark.parametrize("kind", sorted(META))
def test_modules_made_on_the_meta_device_can_be_filled(kind: str) -> None:
    spec = parse(f"spec s {{ {META[kind]} }}")
    module = module_of(spec)
    torch.manual_seed(0)
    net = module.MetaNet(dtype=torch.float64)
    theta = weights(spec, 2)
    for empty in (module.MetaNet(device="meta", dtype=torch.float64), _on_meta(module)):
        filled = empty.to_empty(device="cpu")
        filled.load_state_dict(net.state_dict())
        for name, out in filled(theta).items():
            close(out, net(theta)[name], 0)


def _on_meta(module: ModuleType) -> torch.nn.Module:
    with torch.device("meta"):
        return module.MetaNet(dtype=torch.float64)


def test_the_empty_batch(built) -> None:
    _, _, net, theta = built
    assert len(net({name: w[:0] for name, w in theta.items()})) == 0


# --- scales --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_invariance_at_extreme_scales(scale: float) -> None:
    spec = parse(
        "spec s { space i = 3 : fixed  space h = 4 : permute * scale  param W : h <- i  param b : h "
        "param V : i <- h  metanet m { channels 1, 8  readout invariant -> 2 } }"
    )
    torch.manual_seed(0)
    net = module_of(spec).MetaNet(dtype=torch.float64)
    theta = weights(spec, 2)
    factors = torch.tensor([scale, 1.0, 1 / scale, scale * 7])
    moved = {
        "W": theta["W"] * factors[:, None],
        "b": theta["b"] * factors,
        "V": theta["V"] / factors,
    }
    torch.testing.assert_close(net(moved), net(theta), rtol=1e-9, atol=1e-9)


def test_dead_neurons_and_all_zero_weights_give_finite_outputs_and_gradients() -> None:
    spec = parse(
        "spec s { space i = 3 : fixed  space h = 4 : permute * scale  param W : h <- i  param b : h "
        "param V : i <- h  metanet m { channels 1, 8  readout invariant -> 2 } }"
    )
    torch.manual_seed(0)
    net = module_of(spec).MetaNet(dtype=torch.float64)
    theta = weights(spec, 2)
    theta["W"][:, 1] = 0
    theta["b"][:, 1] = 0
    dead = {name: w.clone().requires_grad_() for name, w in theta.items()}
    zero = {name: torch.zeros_like(w).requires_grad_() for name, w in theta.items()}
    for given in (dead, zero):
        out = net(given)
        out.sum().backward()
        assert out.isfinite().all()
        assert all(w.grad.isfinite().all() for w in given.values())
    group = Group(spec)
    g = group.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(group.act(g, dead)), net(dead), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-15, 1e-10, 1e-6, 1e6, 1e10, 1e15])
def test_gradients_stay_finite_in_float32_at_any_scale(scale: float) -> None:
    spec = parse(
        "spec s { space i = 3 : fixed  space h = 4 : permute * scale(pre) * scale(post)  "
        "param K : [h^{pre: 1}, i]  param v : h^{pre: 2}  param g : h^{post: 1}  param V : [i, h^{post: -1}] "
        "metanet m { channels 1, 8  readout invariant -> 2 } }"
    )
    torch.manual_seed(0)
    net = module_of(spec).MetaNet()
    theta = {name: w.float() for name, w in weights(spec, 2).items()}
    moved = {
        "K": theta["K"] * scale,
        "v": theta["v"] * scale * scale,
        "g": theta["g"] / scale,
        "V": theta["V"] * scale,
    }
    moved = {name: w.requires_grad_() for name, w in moved.items()}
    out = net(moved)
    torch.testing.assert_close(out, net(theta), rtol=1e-3, atol=1e-3)
    out.sum().backward()
    assert all(w.grad.isfinite().all() for w in moved.values())
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


# --- variance ------------------------------------------------------------------------------------------

WIDE = """
spec s(n: int = 4) {
  space i = 5 : fixed   space a = n : permute   space b = n : permute * sign   space o = 3 : fixed
  space t = n : permute { space k = 3 : linear }
  param W : a <- i   param c : a   param V : b <- a   param d : b   param U : o <- b   param e : o
  param S : a <- a   param Q : t k <- i   param K : t k* <- i   param z : []
}
"""


@pytest.mark.parametrize("width", [4, 16, 64, 256, 1024])
def test_initial_layers_keep_the_variance(width: int) -> None:
    spec = parse(WIDE, arguments={"n": width})
    torch.manual_seed(0)
    batch = max(4, 256 // width)
    draws: dict[str, list[Tensor]] = {p.name: [] for p in spec.parameters}
    with torch.no_grad():
        for _ in range(12 if width <= 64 else 4):
            layer = module_of(spec).EquivariantLinear(8, 8)
            x = {p.name: torch.randn(batch, *p.shape, 8) for p in spec.parameters}
            for name, y in layer(x).items():
                draws[name].append(y.square().mean())
    for name, squares in draws.items():
        assert 0.6 < float(torch.stack(squares).mean()) < 1.6, name


def test_variance_survives_inputs_that_are_all_equal() -> None:
    """Means of equal entries do not shrink: the share of averaged inputs is bounded, not their number."""
    spec = parse(WIDE, arguments={"n": 32})
    torch.manual_seed(0)
    squares = []
    with torch.no_grad():
        for _ in range(40):
            layer = module_of(spec).EquivariantLinear(8, 8)
            x = {
                p.name: torch.randn(1, *[1] * len(p.shape), 8).expand(1, *p.shape, 8) for p in spec.parameters
            }
            squares.append(torch.stack([y.square().mean() for y in layer(x).values()]))
    assert 0.3 < float(torch.stack(squares).mean()) < 2.0
