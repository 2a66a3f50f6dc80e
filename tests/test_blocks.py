"""What is emitted for large tensors: the same function as plain sums, a good citizen of torch, few passes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from types import ModuleType

import pytest
import torch
from emitted import module_of, randomised
from hypothesis import HealthCheck, assume, given, settings
from strategies import specs
from test_schedule import agree, inputs, layer_and_numbers, plan_of
from torch import Tensor
from torch.autograd import forward_ad
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from qecompile.basis import derive, total_dim
from qecompile.codegen.emit import emit_source
from qecompile.resolve import parse
from qecompile.schedule import rewrite
from qecompile.schedule.interpret import interpret
from qecompile.schedule.lower import lower
from qecompile.spec import Spec

LARGE = """
spec s {
  space a = 3 : permute   space b = 5 : permute
  param W : b <- a   param v : b   param T : [b, a, b]
  metanet m { channels 2, 2 }
}
"""


@pytest.fixture
def built(monkeypatch) -> tuple[ModuleType, torch.nn.Module, dict[str, Tensor]]:
    """A layer whose tensors all count as large, in blocks of a few entries."""
    monkeypatch.setattr(rewrite, "WORTH_BLOCKS", 1)
    module = module_of(parse(LARGE))
    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(module, "BLOCK", 20)
    layer = randomised(module.EquivariantLinear(2, 2, dtype=torch.float64))
    generator = torch.Generator().manual_seed(1)
    x = {
        name: torch.randn(3, *shape, 2, generator=generator, dtype=torch.float64)
        for name, shape in module.SHAPES.items()
    }
    return module, layer, x


def plainly(module: ModuleType, layer: torch.nn.Module, x: dict[str, Tensor]) -> dict[str, Tensor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LARGE", 1 << 60)
        return layer(x)


def close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-11, atol=1e-11)


def outputs(module: ModuleType, layer: torch.nn.Module, names: list[str]):
    """The layer as a function of tensors: features by `names`, then its parameters in order."""

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        x = dict(zip(names, tensors, strict=False))
        weights = dict(zip(dict(layer.named_parameters()), tensors[len(names) :], strict=True))
        y = torch.func.functional_call(layer, weights, (x,))
        return tuple(y[name] for name in names)

    return function


def tensors_of(layer: torch.nn.Module, x: dict[str, Tensor]) -> list[Tensor]:
    return [t.detach().clone().requires_grad_() for t in (*x.values(), *layer.parameters())]


# --- the same function -----------------------------------------------------------------------------------


@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(specs())
def test_blocks_compute_what_the_plan_says(spec: Spec) -> None:
    assume(spec.parameters and total_dim(derive(spec)) <= 400)
    plan, x = plan_of(spec), inputs(spec)
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(rewrite, "WORTH_BLOCKS", 1)
        layer, numbers = layer_and_numbers(spec, plan)
        module = module_of(spec)
        if hasattr(module, "LARGE"):
            patch.setattr(module, "LARGE", 0)
            patch.setattr(module, "BLOCK", 7, raising=False)
        agree(layer, x, interpret(lower(plan, spec), x, numbers))


def agree_with_plain_torch(module: ModuleType, layer: torch.nn.Module, x: dict[str, Tensor]) -> None:
    """See that a layer has the values and the gradients of its plain functions."""
    found: list[list[Tensor]] = []
    for run in (lambda _, layer, x: layer(x), plainly):
        given = {name: t.clone().requires_grad_() for name, t in x.items()}
        layer.zero_grad()
        y = run(module, layer, given)
        sum(t.sin().sum() for t in y.values()).backward()
        found.append([*y.values(), *(t.grad for t in given.values()), *(p.grad for p in layer.parameters())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)


def test_values_and_gradients_are_those_of_plain_sums(built) -> None:
    agree_with_plain_torch(*built)


def test_gradients_of_every_order(built) -> None:
    module, layer, x = built
    function, tensors = outputs(module, layer, list(x)), tensors_of(layer, x)
    assert torch.autograd.gradcheck(function, tensors, fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, tensors, fast_mode=True)


def test_only_the_gradients_that_are_needed(built) -> None:
    _, layer, x = built
    layer.requires_grad_(False)
    given = {name: t.clone().requires_grad_(name == "W") for name, t in x.items()}
    layer(given)["W"].sum().backward()
    assert given["W"].grad is not None
    assert given["T"].grad is None
    assert all(p.grad is None for p in layer.parameters())


def test_inputs_that_are_views(built) -> None:
    module, layer, x = built
    turned = {name: t.transpose(0, 1).contiguous().transpose(0, 1) for name, t in x.items()}
    close(layer(turned), plainly(module, layer, x))
    expanded = {name: t[:1].expand(3, *t.shape[1:]) for name, t in x.items()}
    close(layer(expanded), plainly(module, layer, expanded))


def test_the_empty_batch_and_batches_of_one(built) -> None:
    module, layer, x = built
    for size in (0, 1):
        few = {name: t[:size] for name, t in x.items()}
        close(layer(few), plainly(module, layer, few))


# --- a good citizen --------------------------------------------------------------------------------------


def test_one_node_each_in_a_symbolic_trace(built) -> None:
    module, layer, x = built
    traced = torch.fx.symbolic_trace(layer)
    calls = [node.target.__name__ for node in traced.graph.nodes if node.op == "call_function"]
    assert calls.count("_mix") == emitted_calls(module, "_mix(") > 0
    close(traced(x), layer(x))


def emitted_calls(module: ModuleType, call: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rewrite, "WORTH_BLOCKS", 1)
        return emit_source(parse(LARGE)).count(f" = {call}")


def test_exported_and_compiled_graphs_hold_plain_operators(built) -> None:
    _, layer, x = built
    batch = torch.export.Dim("batch")
    exported = torch.export.export(layer, (x,), dynamic_shapes=({name: {0: batch} for name in x},))
    assert "matmul" in str(exported.graph)
    assert "autograd_function" not in str(exported.graph)
    close(exported.module()({name: t[:2] for name, t in x.items()}), layer({n: t[:2] for n, t in x.items()}))
    torch._dynamo.reset()
    close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x))


def test_function_transforms(built) -> None:
    module, layer, x = built
    close(
        torch.vmap(lambda t: {k: v[0] for k, v in layer({k: v[None] for k, v in t.items()}).items()})(x),
        layer(x),
    )
    dx = {name: torch.randn_like(t) for name, t in x.items()}
    _, dy = torch.func.jvp(layer, (x,), (dx,))
    close(dy, torch.func.jvp(lambda t: plainly(module, layer, t), (x,), (dx,))[1])
    hessian = torch.func.hessian(lambda w: layer({**x, "v": w})["W"].square().sum())(x["v"])
    expected = torch.func.hessian(lambda w: plainly(module, layer, {**x, "v": w})["W"].square().sum())(x["v"])
    torch.testing.assert_close(hessian, expected, rtol=1e-9, atol=1e-9)


def test_forward_mode_gradients_are_not_lost(built) -> None:
    _, layer, x = built
    with torch.no_grad(), forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(t, torch.ones_like(t)) for name, t in x.items()}
        tangent = forward_ad.unpack_dual(layer(dual)["W"]).tangent
    assert tangent is not None
    assert float(tangent.abs().max()) > 0


def test_automatic_casts(built) -> None:
    module, layer, x = built
    layer, x = layer.float(), {name: t.float() for name, t in x.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = layer(x)
    torch.testing.assert_close(rough["W"].float(), plainly(module, layer, x)["W"], rtol=0.1, atol=0.1)


def test_sums_over_blocks_are_as_exact_as_their_entries(built) -> None:
    """Of bfloat16, sums are kept in float32 from block to block: errors do not grow with their number."""
    module, layer, x = built
    dtypes = (torch.bfloat16, torch.float64)
    x = {name: (t[:1] + 3).expand(64, *t.shape[1:]).bfloat16() for name, t in x.items()}
    layer = layer.bfloat16()
    found: list[list[Tensor]] = []
    for dtype in dtypes:
        given = {name: t.to(dtype, copy=True).requires_grad_() for name, t in x.items()}
        same = randomised(module.EquivariantLinear(2, 2, dtype=dtype))
        same.load_state_dict(layer.state_dict())
        y = same(given)
        torch.autograd.backward(list(y.values()), [torch.ones_like(t) for t in y.values()])
        grads = [t.grad for t in (*given.values(), *same.parameters())]
        found.append([t.detach() for t in (*y.values(), *grads)])
    for rough, exact in zip(*found, strict=True):
        scale = float(exact.abs().max()) + 1e-9
        assert float((rough.double() - exact).abs().max()) < 0.03 * scale


# --- work, counted ---------------------------------------------------------------------------------------


class Reads(TorchDispatchMode):
    """Counts how often an operator other than a view reads a tensor of at least a size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        read = [t for t in tree_leaves(args) if isinstance(t, Tensor)]
        storages = {t.untyped_storage().data_ptr() for t in read}
        is_view = isinstance(out, Tensor) and out.untyped_storage().data_ptr() in storages
        if not is_view and "new_" not in function.name():
            self.count += sum(t.numel() >= self.size for t in read)
        return out


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that torch had taken at any time while it ran, above that at the start."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as observed:
        kept = run()
    del kept
    events = [e for e in observed.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())))


def large_layer() -> tuple[torch.nn.Module, dict[str, Tensor], int]:
    """A layer, its input, and the entries of the largest tensor of its input."""
    spec = parse("spec s { space a = 256 : permute  space b = 320 : permute  param W : b <- a  param v : b }")
    layer = module_of(spec).EquivariantLinear(16, 16)
    x = {"W": torch.randn(4, 320, 256, 16), "v": torch.randn(4, 320, 16)}
    return layer, x, x["W"].numel()


def test_the_forward_pass_reads_and_writes_in_blocks() -> None:
    """No operator goes through a whole tensor: means, product and sum work on what is cached."""
    layer, x, size = large_layer()
    with torch.no_grad(), Reads(size) as reads:
        layer(x)
    assert reads.count == 0
    with torch.no_grad(), Reads(size) as reads:
        x["W"].mean(1)
    assert reads.count == 1


def test_memory_beside_outputs_and_gradients_is_a_tenth_of_the_output() -> None:
    layer, x, _ = large_layer()
    output = 4 * sum(t.numel() for t in x.values())
    with torch.no_grad():
        assert peak_bytes(lambda: layer(x)) < 1.1 * output
    x = {name: t.requires_grad_() for name, t in x.items()}
    dy = {name: torch.randn_like(t) for name, t in x.items()}

    def train() -> dict[str, Tensor]:
        y = layer(x)
        torch.autograd.backward(list(y.values()), list(dy.values()))
        return y

    assert peak_bytes(train) < 2.1 * output
