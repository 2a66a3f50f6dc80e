"""Emitted Triton kernels, without a GPU: they compute what the plan says, and are good citizens of torch.

Values come from Triton's interpreter, limits from compiling for GPUs ahead of time, each in a process of its
own (`tests/kernels`). How the operators behave under autograd, tracing and transforms is tested here, with
their bodies in plain torch.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from emitted import features, randomised, weights
from kernels.cases import OWN, SMALL, emitted, own_spec
from test_blocks import agree_with_plain_torch, close, outputs, plainly, tensors_of
from torch import Tensor
from torch.autograd import forward_ad

from qecompile.codegen.emit import KERNELS_BELOW, emit_source
from qecompile.loading import import_source
from qecompile.provenance import split_kernels
from qecompile.resolve import parse

TESTS = Path(__file__).resolve().parent

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="triton is not installed: pip install 'qecompile[kernels]' (Linux)",
)


def lines_of(program: str, *words: str) -> list[dict[str, object]]:
    """What a program of `tests/kernels` prints, one value a line."""
    command = [sys.executable, "-m", f"kernels.{program}", *words]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


# --- what kernels compute --------------------------------------------------------------------------------

QUICK = ["diagonals", "stack", "moe"]


@needs_triton
def test_kernels_compute_what_the_plan_says() -> None:
    found = lines_of("interpreted", *QUICK)
    assert [line["case"] for line in found] == QUICK
    assert all(line["kernels"] for line in found)


@needs_triton
@pytest.mark.slow
def test_kernels_of_every_spec_of_the_library_and_of_our_own() -> None:
    found = lines_of("interpreted", *SMALL, *OWN, "functions")
    library = {path.stem for path in (TESTS.parent / "specs").glob("*.sym")}
    assert {line["case"] for line in found} == {*library, *OWN, "functions"}


@needs_triton
@pytest.mark.slow
def test_kernels_at_other_sizes_channels_dtypes_and_layouts() -> None:
    (found,) = lines_of("interpreted", "variants")
    assert found["checks"] > 100


@needs_triton
def test_kernels_compile_for_gpus_that_are_not_here() -> None:
    assert {line["target"] for line in lines_of("ahead", "quick")} == {90, "gfx942"}


@needs_triton
@pytest.mark.slow
def test_every_kind_of_kernel_compiles_for_every_target() -> None:
    assert {line["target"] for line in lines_of("ahead", "all")} == {80, 90, 100, "gfx942"}


@needs_triton
@pytest.mark.slow
def test_launches_are_bound_and_compiled_as_on_a_gpu() -> None:
    """Two layers and the readout take one pass each, forward and backward; the last sum is written once."""
    (line,) = lines_of("ahead", "launch")
    small = {"_sum_axis", "_sum_two_axes", "_mix_rows", "_mix_rows_backward"}  # for what is not in the stack
    launched = [name for name in line["launched"] if name not in small]
    network = ["_advance_W1"] * 3 + ["_mix_W1", "_mix_W1_backward"] + ["_advance_W1_backward"] * 3
    assert launched == [*network, "_mix_W1", "_mix_W1_backward"]


# --- a good citizen --------------------------------------------------------------------------------------


def through_operators(module: ModuleType) -> ModuleType:
    """The module, with every tensor sent through its operators, whose bodies are plain torch."""
    module.DEVICES, module.LARGE, module.TRITON = ("cpu",), 0, True
    module.DTYPES = (torch.float32, torch.float64)
    module._on_device = lambda x: False
    return module


@pytest.fixture(params=["matrix", "diagonals"])
def built(request) -> tuple[ModuleType, torch.nn.Module, dict[str, Tensor]]:
    """A layer in float64 whose large operations are operators, and features for it."""
    source = Path(emitted(own_spec(request.param)).__file__).read_text()
    module = through_operators(import_source(source + f"# {request.node.name}\n", name="operators"))
    layer = randomised(module.EquivariantLinear(2, 2, dtype=torch.float64))
    return module, layer, features(own_spec(request.param), 2, 2, seed=1)


def test_values_and_gradients_are_those_of_plain_torch(built) -> None:
    agree_with_plain_torch(*built)


@pytest.mark.parametrize("built", ["diagonals"], indirect=True)
def test_gradients_of_every_order(built) -> None:
    module, layer, x = built
    function, tensors = outputs(module, layer, list(x)), tensors_of(layer, x)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


def test_only_the_gradients_that_are_needed(built) -> None:
    _, layer, x = built
    layer.requires_grad_(False)
    given = {name: t.clone().requires_grad_(name == "v") for name, t in x.items()}
    sum(t.sum() for t in layer(given).values()).backward()
    assert given["v"].grad is not None
    assert all(t.grad is None for name, t in given.items() if name != "v")


@pytest.mark.parametrize("built", ["matrix"], indirect=True)
def test_operators_keep_their_promises(built) -> None:
    """Schemas, derivatives and shapes without data, as torch itself checks them."""
    module, _, _ = built
    module._register()
    library = getattr(torch.ops, emitted_library(module))
    shape, *shapes = next(iter(module.FORMS))
    x = torch.randn(2, *shape, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    parts = [torch.randn(2, *s, 3, dtype=torch.float64, requires_grad=True) for s in shapes]
    torch.library.opcheck(library.mix.default, (x, weight, parts))
    dy = torch.randn(2, *shape, 3, dtype=torch.float64)
    backward = (x.detach(), weight.detach(), [p.detach() for p in parts], dy, True, True, True)
    torch.library.opcheck(library.mix_backward.default, backward)
    torch.library.opcheck(library.mean.default, (x, 1))
    torch.library.opcheck(library.two_means.default, (x, 1, 2))
    torch.library.opcheck(library.mix.default, (x, weight, []))
    torch.library.opcheck(library.mix_backward.default, (*backward[:2], [], dy, True, True, False))


def emitted_library(module: ModuleType) -> str:
    """The namespace of a file's operators."""
    text = Path(module.__file__).read_text()
    return text.split("torch.ops.", 1)[1].split(".", 1)[0]


def test_one_node_each_in_a_symbolic_trace(built) -> None:
    module, layer, x = built
    traced = torch.fx.symbolic_trace(layer)
    calls = [node.target.__name__ for node in traced.graph.nodes if node.op == "call_function"]
    written = Path(module.__file__).read_text().count(" = _mix(")
    assert calls.count("_mix") == written > len(module.FORMS) > 0  # sums, and products alone
    close(traced(x), layer(x))


def test_compiled_graphs_hold_the_operators(built) -> None:
    module, layer, x = built
    torch._dynamo.reset()
    close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), plainly(module, layer, x))
    assert not module.REGISTER  # by the compiler, which met the operators first


@pytest.mark.parametrize("built", ["diagonals"], indirect=True)
def test_function_transforms(built) -> None:
    module, layer, x = built
    alone = torch.vmap(lambda t: {k: v[0] for k, v in layer({k: v[None] for k, v in t.items()}).items()})(x)
    close(alone, plainly(module, layer, x))
    dx = {name: torch.randn_like(t) for name, t in x.items()}
    _, dy = torch.func.jvp(layer, (x,), (dx,))
    close(dy, torch.func.jvp(lambda t: plainly(module, layer, t), (x,), (dx,))[1])
    name = next(iter(x))

    def loss(call):
        return lambda w: call({**x, "v": w})[name].square().sum()

    hessian = torch.func.hessian(loss(layer))(x["v"])
    expected = torch.func.hessian(loss(lambda t: plainly(module, layer, t)))(x["v"])
    torch.testing.assert_close(hessian, expected, rtol=1e-9, atol=1e-9)


def test_forward_mode_gradients_are_not_lost(built) -> None:
    _, layer, x = built
    with torch.no_grad(), forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(t, torch.ones_like(t)) for name, t in x.items()}
        tangents = [forward_ad.unpack_dual(y).tangent for y in layer(dual).values()]
    assert all(t is not None and float(t.abs().max()) > 0 for t in tangents)


def test_two_copies_of_a_file_live_side_by_side(built) -> None:
    module, layer, x = built
    before = layer(x)
    twin = ModuleType("twin")
    exec(compile(Path(module.__file__).read_text(), module.__file__, "exec"), twin.__dict__)
    other = through_operators(twin).EquivariantLinear(2, 2, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    close(other(x), before)
    close(layer(x), before)


# --- networks that hand sums on --------------------------------------------------------------------------


@pytest.fixture(params=["stack", "counted"])
def network(request) -> tuple[ModuleType, torch.nn.Module, dict[str, Tensor], list[str]]:
    """A network in float64, weights for it, and the parameters whose sums were handed on so far."""
    spec = own_spec(request.param)
    source = Path(emitted(spec).__file__).read_text()
    module = through_operators(import_source(source + f"# {request.node.name}\n", name="networks"))
    net = randomised(module.MetaNet(dtype=torch.float64))
    channels = spec.metanets[0].channels[0]
    theta = weights(spec, 2) if channels == 1 else features(spec, 2, channels)
    seen: list[str] = []
    advanced = module._advanced

    def watched(layer, x):
        seen.extend(name for name in module.STACK if type(x[name]) is module._Sum)
        return advanced(layer, x)

    module._advanced = watched
    return module, net, theta, seen


def plain_network(module: ModuleType, net: torch.nn.Module, theta: dict[str, Tensor]):
    """The network with every sum written, in plain torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGE", 1 << 60)
        return net(theta)


def results(module: ModuleType, net: torch.nn.Module, theta: dict[str, Tensor], run) -> list[Tensor]:
    """Outputs, gradients, and the gradient of a gradient's square."""
    given = {name: t.clone().requires_grad_() for name, t in theta.items()}
    y = run(module, net, given)
    y = list(y.values()) if isinstance(y, dict) else [y]
    wanted = [*given.values(), *net.parameters()]
    loss = sum(t.sin().sum() for t in y)
    first = torch.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
    square = sum(g.square().sum() for g in first if g is not None)
    second = torch.autograd.grad(square, wanted, allow_unused=True)
    once = torch.autograd.grad(
        sum(t.sin().sum() for t in flat(run(module, net, given))), wanted, allow_unused=True
    )
    return [t for t in (*y, *first, *second, *once) if t is not None]


def flat(y) -> list[Tensor]:
    return list(y.values()) if isinstance(y, dict) else [y]


def test_networks_compute_the_same_without_writing_sums(network) -> None:
    module, net, theta, seen = network
    found = results(module, net, theta, lambda _, net, theta: net(theta))
    assert seen
    assert set(seen) == set(module.STACK)
    expected = results(module, net, theta, plain_network)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("network", ["stack"], indirect=True)
def test_handing_on_is_an_operator_that_keeps_its_promises(network) -> None:
    module, _, _, _ = network
    module._register()
    library = getattr(torch.ops, emitted_library(module))
    name, s = next(iter(module.STACK.items()))
    full = torch.randn(2, *module.SHAPES[name], 3, dtype=torch.float64, requires_grad=True)
    shapes = module._part_shapes(full, s)
    parts = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for some in (parts, []):
        torch.library.opcheck(library.advance.default, (full, weight, some, name, bool(some)))
        plain = module._plain_advance(full, weight, some, s, bool(some))
        dys = [torch.randn_like(y) for y in plain]
        detached = [full.detach(), weight.detach(), [p.detach() for p in some], [d.detach() for d in dys]]
        torch.library.opcheck(library.advance_backward.default, (*detached, name, bool(some), True, True))


@pytest.mark.parametrize("network", ["stack"], indirect=True)
def test_what_looks_into_a_network_sees_every_layer(network) -> None:
    """Hooks, symbolic traces, compilers and transforms get the network as it is written."""
    module, net, theta, seen = network
    expected = flat(plain_network(module, net, theta))
    met: list[torch.nn.Module] = []
    handle = net.linear2.register_forward_hook(lambda layer, x, y: met.append(layer))
    runs = [net]
    flat(net(theta))
    handle.remove()
    assert met == [net.linear2]
    runs.append(torch.fx.symbolic_trace(net))
    torch._dynamo.reset()
    runs.append(torch.compile(net, fullgraph=True, backend="aot_eager"))
    runs.append(lambda x: torch.vmap(lambda t: unbatched(net({k: v[None] for k, v in t.items()})))(x))
    for run in runs[1:]:
        for a, b in zip(flat(run(theta)), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    assert not seen


def unbatched(y):
    return {name: t[0] for name, t in y.items()} if isinstance(y, dict) else y[0]


# --- without a GPU nothing changes -----------------------------------------------------------------------


def test_on_a_cpu_files_with_kernels_compute_as_files_without() -> None:
    spec = own_spec("diagonals")
    plain, module = import_source(emit_source(spec), name="plain"), emitted(spec)
    x = {name: torch.randn(2, *shape, 2) for name, shape in module.SHAPES.items()}
    layer = randomised(plain.EquivariantLinear(2, 2))
    other = module.EquivariantLinear(2, 2)
    other.load_state_dict(layer.state_dict())
    close(other(x), layer(x))
    assert {module.lowering(t) for t in x.values()} == {"torch"}
    exported = torch.export.export(other, (x,))
    assert "qecompile" not in str(exported.graph)


def test_importing_a_file_with_kernels_does_not_import_triton() -> None:
    file = emitted(own_spec("matrix")).__file__
    program = f"import runpy, sys; runpy.run_path({file!r}); sys.exit('triton' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_files_say_which_lowering_serves_even_without_kernels() -> None:
    module = import_source(
        emit_source(parse("spec s { space a = 3 : permute  param v : a }"), kernels=True), name="small"
    )
    assert module.lowering(torch.ones(1, 3, 2)) == "torch"


def test_a_file_with_kernels_is_one_without_and_a_section_behind_it() -> None:
    for text, announced in ((OWN["matrix"], ""), (OWN["matrix"].replace("10", "200"), f"{KERNELS_BELOW}\n")):
        spec = parse(f"spec s {{ {text} }}")
        plain, both = emit_source(spec), emit_source(spec, kernels=True)
        above, section = split_kernels(both)
        assert "lowering" in section
        assert ("tl.constexpr" in section) == bool(announced)
        assert announced in above
        assert above.replace(announced, "") == plain
