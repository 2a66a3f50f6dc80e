"""When kernels of an emitted file are launched, where, and how: everything that decides it, without a GPU."""

from __future__ import annotations

import builtins
import contextlib
import dis
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace

import pytest
import torch
from emitted import randomised, weights
from kernels.cases import SPECS, emitted, own_spec
from test_kernels import lines_of, needs_triton, through_operators
from torch import nn

from qecompile.codegen.emit import emit_source
from qecompile.loading import import_source
from qecompile.report import kernel_names
from qecompile.resolve import load


@pytest.fixture
def module(request) -> ModuleType:
    """A file with a stack, imported for one test alone."""
    source = Path(emitted(own_spec("stack")).__file__).read_text()
    return import_source(source + f"# {request.node.name}\n", name="launches")


def test_a_launch_is_on_the_device_of_its_tensors(module, monkeypatch) -> None:
    """Triton launches on the current device, which need not be that of the tensors."""
    said: list[str] = []

    @contextlib.contextmanager
    def device_of(x) -> Iterator[None]:
        said.append(f"device of {x}")
        yield
        said.append("back")

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr(module, "_kernel", lambda function: function)
    monkeypatch.setattr(
        torch.library, "wrap_triton", lambda f: {(3,): lambda *a, **k: said.append(f"{f}{a}{k}")}
    )
    module._launch("kernel", (3,), "x", 2, STEPS=1)
    assert said == ["device of x", "kernel('x', 2){'STEPS': 1}", "back"]


def test_rows_are_counted_in_32_bits_with_room_for_a_last_tile(module) -> None:
    module.DEVICES, module.TRITON = ("cpu",), True
    one = torch.zeros(1)

    def serves(rows: int, channels: int) -> bool:
        return module._launches(one.expand(rows, channels))

    assert serves((1 << 31) - (1 << 16), 1)
    assert serves(1 << 30, 256)  # more entries than 32 bits count
    assert not serves((1 << 31) - 64, 1)
    assert not serves(1 << 31, 1)


def test_small_foreign_and_mixed_tensors_are_left_to_torch(module) -> None:
    module.DEVICES, module.LARGE, module.TRITON = ("cpu",), 8, True
    x = torch.zeros(4, 3)
    assert module._launches(x, x)
    assert not module._launches(x[:2], x)
    assert not module._launches(x, x.bfloat16())
    assert not module._launches(x.double())
    assert not module._launches(x.to("meta"))
    assert not module._launches(x[:0])
    assert module._launches(nn.Parameter(x))
    with torch.autocast("cpu"):
        assert not module._launches(x)
    module.TRITON = False
    assert not module._launches(x)


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("torch.backends.cuda.matmul.allow_tf32", True, True),
        ("torch.backends.cuda.matmul.allow_tf32", False, False),
        ("torch.backends.cuda.matmul.fp32_precision", "tf32", True),
        ("torch.backends.cuda.matmul.fp32_precision", "ieee", False),
        ("torch.backends.fp32_precision", "tf32", True),
    ],
)
def test_tf32_only_where_it_is_allowed_or_exact(setting, value, allowed, monkeypatch) -> None:
    """However that is said: reading the older setting is an error where the newer one was written."""
    module = emitted(own_spec("matrix"))

    def precision(dtype: torch.dtype) -> str:
        return module._precision(SimpleNamespace(dtype=dtype, device=torch.device("cuda")))

    assert (precision(torch.float32), precision(torch.bfloat16)) == ("ieee", "tf32")
    before = torch.backends.cuda.matmul.fp32_precision, torch.backends.fp32_precision
    try:
        exec(f"{setting} = {value!r}")
        assert precision(torch.float32) == ("tf32" if allowed else "ieee")
        assert precision(torch.float16) == "tf32"
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cuda.matmul.fp32_precision, torch.backends.fp32_precision = before


def test_threads_find_the_operators_known(module) -> None:
    """As those of `nn.DataParallel` do, which call a network at the same time."""
    slow, ready, failed = threading.Event(), threading.Barrier(4), []
    module.REGISTER.append(lambda: slow.wait(0.05))  # the first to be done
    name = module.__file__ and Path(module.__file__).read_text().split("torch.ops.", 1)[1].split(".", 1)[0]

    def call() -> None:
        ready.wait()
        module._register()
        if not hasattr(getattr(torch.ops, name), "mix_backward"):
            failed.append(threading.get_ident())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed
    assert not module.REGISTER


@pytest.mark.parametrize("changed", ["nothing", "wrapped", "patched", "subclass", "global hook", "own hook"])
def test_a_layer_that_is_not_as_written_gets_whole_features(module, changed) -> None:
    """Sums are handed on between layers of the file alone: others could not read them."""
    through_operators(module)
    net = randomised(module.MetaNet(dtype=torch.float64))
    theta = weights(own_spec("stack"), 2)
    expected = net(theta)
    read: list[object] = []

    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x):
            read.extend(x.values())
            return self.inner(x)

    class Derived(module.EquivariantLinear):
        forward = Wrapped.forward

        @property
        def inner(self):
            return super().forward

    with contextlib.ExitStack() as stack:
        if changed == "wrapped":
            net.linear2 = Wrapped(net.linear2)
        elif changed == "patched":
            inner = net.linear2.forward
            net.linear2.forward = lambda x: read.extend(x.values()) or inner(x)
        elif changed == "subclass":
            net.linear2.__class__ = Derived
        elif changed == "global hook":
            hook = nn.modules.module.register_module_forward_pre_hook(
                lambda m, inputs: read.extend(inputs[0].values()) if m is net.linear2 else None
            )
            stack.callback(hook.remove)
        elif changed == "own hook":
            net.linear2.register_forward_pre_hook(lambda m, inputs: read.extend(inputs[0].values()))
        handed = module._stacks(net, theta)
        found = net(theta)
    assert handed == (changed == "nothing")
    assert all(isinstance(t, torch.Tensor) for t in read)
    assert bool(read) == (changed != "nothing")
    for name, y in expected.items():
        torch.testing.assert_close(found[name], y, rtol=1e-9, atol=1e-9)


KINDS = {"mean": r"_sum_\w+", "product": r"_mix_rows", "sum": r"_mix_(?!rows)\w+", "stack": r"_advance_\w+"}
AT_DEFAULT_SIZES = {
    "bert": "mean product sum",
    "cnn": "",  # no tensor has as many as a thousand entries
    "cnn_bn": "mean product",
    "deepsets": "mean product",
    "gpt2": "mean product sum",
    "llama": "mean product sum",
    "lora": "",  # no tensor has as many as a thousand entries
    "lstm": "mean product",
    "mha": "mean sum",
    "mixer": "mean product",
    "mlp": "mean product sum stack",
    "mlp_tanh": "product sum stack",
    "moe": "mean product sum stack",
    "resnet": "mean product",
    "rnn": "product stack",
    "siren": "product stack",
    "transformer": "mean product sum",
}
"""Which kernels the files of `specs/` have: where no network hands sums on, gates read whole features."""


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.sym")), ids=lambda path: path.stem)
def test_every_spec_of_the_library_has_kernels_for_what_is_large(path: Path) -> None:
    """And what kernels and their launches name is there: that it is not would be seen on a GPU alone."""
    few = {"layers": 1} if path.stem in ("bert", "gpt2", "llama") else {}
    spec = load(path, arguments=few)
    source = emit_source(spec, spec.metanets[0].name if spec.metanets else None, kernels=True)
    names = {name for name in kernel_names(source) if "_backward" not in name}
    found = {kind for kind, form in KINDS.items() if any(re.fullmatch(form, name) for name in names)}
    assert found == set(AT_DEFAULT_SIZES[path.stem].split())
    known = vars(import_source(source, name=path.stem)).keys() | vars(builtins).keys() | {"tl"}
    code = [compile(source, path.stem, "exec")]
    for part in code:
        code += [inner for inner in part.co_consts if isinstance(inner, CodeType)]
        missing = {i.argval for i in dis.get_instructions(part) if i.opname == "LOAD_GLOBAL"} - known
        assert not missing, part.co_name


@needs_triton
@pytest.mark.slow
def test_compiled_graphs_launch_kernels_for_any_batch() -> None:
    """What torch.compile makes of a layer for training, one graph for all batches."""
    (line,) = lines_of("ahead", "compile")
    assert all(not size.isdigit() for size in line["batches"])
    assert line["batches"]
    for kernel in ("_mix_W1", "_mix_rows"):
        assert line["launched"].count(f"{kernel}_backward") == line["launched"].count(kernel) > 0
    assert {"_sum_axis", "_sum_two_axes"} <= set(line["launched"])
