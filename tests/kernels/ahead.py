"""Compile emitted kernels for GPUs that are not here: `python -m kernels.ahead quick|all|launch|compile`.

The emitted functions are called on tensors without memory, at real sizes; what they would launch is recorded
and compiled with the same options, sizes and alignments as a launch would. Prints one line of JSON for each
kernel and target: registers of a thread, bytes of shared memory. Spilled registers, or more shared memory
than a block has on the target, are errors.

`launch` runs a network and its gradients on a CPU with Triton's own launcher, up to where the GPU would
begin: arguments are bound and specialised, kernels compiled. It prints the kernels in order. `compile` prints
those of the graph that torch.compile makes of a layer and its gradients, with a batch of any size.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from types import ModuleType
from typing import Any

os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")

import torch
import triton
from torch._dynamo.backends.common import aot_autograd
from torch._higher_order_ops.triton_kernel_wrap import kernel_side_table
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource
from triton.runtime.driver import driver

from kernels.cases import OWN, SMALL, emitted, library_spec, own_spec

SHARED = {80: 166912, 90: 232448, 100: 232448, "gfx942": 65536}  # bytes that a block may have
TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
CHANNELS = [(1, 16), (16, 1), (16, 16), (32, 32), (33, 70), (64, 64), (256, 256)]


@dataclass(frozen=True)
class Launch:
    """A kernel with what it would be launched with."""

    kernel: Callable[..., None]
    values: dict[str, Any]
    options: dict[str, int]


def record(module: ModuleType, run: Callable[[], object], precision: str) -> list[Launch]:
    """What a function would launch on tensors without memory."""
    found: list[Launch] = []

    class Recorded:
        def __init__(self, function: Callable[..., None]) -> None:
            self.function = function

        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            def launch(*args: Any, num_warps: int = 4, **kwargs: Any) -> None:
                values = inspect.signature(self.function).bind(*args, **kwargs).arguments
                found.append(Launch(self.function, values, {"num_warps": num_warps}))

            return launch

    module.DEVICES, module.LARGE = ("meta",), 0
    module.tl = triton.language
    module._kernel, module._precision = Recorded, lambda x: precision
    torch.library.wrap_triton = lambda kernel: kernel
    run()
    return found


def mix_and_back(module: ModuleType, form: Any, channels: tuple[int, int], dtype: torch.dtype) -> None:
    """Call a sum and its gradients, at sizes like those of a large network."""
    c, n = channels
    sizes = [8, 12, 64, 784, 16, 8][: sum(map(len, form.axes))]
    shapes = [[*sizes, c], [c, n]]
    for part in form.parts:
        shapes.append([sizes[j] if k in part else 1 for k, axes in enumerate(form.axes) for j in axes] + [n])
    x, weight, *parts = (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
    if parts:
        module.FORMS[tuple(tuple(t.shape[1:-1]) for t in (x, *parts))] = form
    dy = module._mix_op(x, weight, parts)
    module._mix_backward_op(x, weight, parts, dy, True, True, True)


def product_of(module: ModuleType) -> Any:
    """The form of products alone, if a file has one: of tensors with two axes and a batch."""
    form = getattr(module, "PRODUCT", None)
    return form and form._replace(axes=((0, 1, 2),))


def advance_and_back(module: ModuleType, name: str, dtype: torch.dtype) -> None:
    """Take a sum on to the next layer, and back."""
    s = module.STACK[name]
    sizes = [8, 12, 64, 784, 16, 8][: sum(map(len, s.axes))]
    shapes = [[*sizes, 16], [16, 16]]
    for part in s.parts:
        shapes.append([sizes[j] if k in part else 1 for k, axes in enumerate(s.axes) for j in axes] + [16])
    full, weight, *parts = (torch.empty(shape, dtype=dtype, device="meta") for shape in shapes)
    dys = module._advance_op(full, weight, parts, name, True)
    module._advance_backward_op(full, weight, parts, dys, name, True, True, True)


def compiled(launch: Launch, target: GPUTarget) -> Any:
    """The kernel for a target, specialised as a launch specialises it."""
    signature, constants, attributes = {}, {}, {}
    for k, (name, parameter) in enumerate(inspect.signature(launch.kernel).parameters.items()):
        value = launch.values[name]
        if "constexpr" in str(parameter.annotation) or (isinstance(value, int) and value == 1):
            signature[name] = "constexpr"
            constants[name] = value
        elif isinstance(value, torch.Tensor):
            signature[name] = TYPES[value.dtype]
            attributes[(k,)] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i32" if value < 1 << 31 else "i64"
            if value % 16 == 0:
                attributes[(k,)] = [["tt.divisibility", 16]]
    source = ASTSource(triton.jit(launch.kernel), signature, constexprs=constants, attrs=attributes)
    return triton.compile(source, target=target, options=launch.options)


def registers(ptx: str, arch: int) -> tuple[int, int]:
    """Registers of a thread and bytes that it spills, as ptxas reports."""
    tool = get_ptxas(arch)
    tool = getattr(tool, "path", tool[0] if isinstance(tool, tuple) else tool)
    target = re.search(r"\.target (\w+)", ptx).group(1)
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [tool, "-v", f"--gpu-name={target}", file.name, "-o", os.devnull]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
    return int(re.search(r"Used (\d+) registers", said).group(1)), spilled


def vector_registers(assembly: str) -> tuple[int, int]:
    """Vector registers of a thread and those that it spills, as the assembly for AMD says."""
    used, spilled = (
        re.search(rf"\.vgpr_{what}:\s*(\d+)", assembly).group(1) for what in ("count", "spill_count")
    )
    return int(used), int(spilled)


def inspected(launch: Launch, target: int | str) -> dict[str, object]:
    """One kernel on one target; raises AssertionError where it asks for too much."""
    start = time.perf_counter()
    nvidia = isinstance(target, int)
    made = compiled(launch, GPUTarget("cuda", target, 32) if nvidia else GPUTarget("hip", target, 64))
    used, spilled = registers(made.asm["ptx"], target) if nvidia else vector_registers(made.asm["amdgcn"])
    name = launch.kernel.__name__
    channels = [launch.values[k] for k in ("C", "N") if k in launch.values]
    where = f"{name}, channels {channels}, {target}"
    assert spilled == 0, f"{where}: spills {spilled} of {used} registers"
    assert made.metadata.shared <= SHARED[target], f"{where}: {made.metadata.shared} bytes of shared memory"
    seconds = round(time.perf_counter() - start, 2)
    return {
        "kernel": name, "channels": channels, "target": target, "registers": used,
        "shared": made.metadata.shared, "seconds": seconds,
    }  # fmt: skip


def kinds() -> Iterator[Launch]:
    """Each kind of kernel that any spec has, at 16 channels: kernels of a kind differ in names alone."""
    done: set[tuple[object, ...]] = set()
    for name in [*OWN, *SMALL]:
        module = emitted(library_spec(name) if name in SMALL else own_spec(name))
        for form in filter(None, [*getattr(module, "FORMS", {}).values(), product_of(module)]):
            kind = len(form.axes), form.parts
            if kind not in done:
                done.add(kind)
                call = partial(mix_and_back, module, form, (16, 16), torch.float32)
                yield from record(module, call, "ieee")
        for name, s in getattr(module, "STACK", {}).items():
            kind = len(s.axes), s.parts, s.means
            if kind not in done:
                done.add(kind)
                for dtype, precision in ((torch.float32, "ieee"), (torch.bfloat16, "ieee")):
                    yield from record(module, partial(advance_and_back, module, name, dtype), precision)


def cases(how: str) -> Iterator[tuple[Launch, int | str]]:
    """What is compiled for which target: quickly, a pair of kernels; or each kind, width and dtype."""
    matrix = emitted(own_spec("matrix"))
    (form,) = matrix.FORMS.values()
    x = torch.empty(8, 128, 784, 16, device="meta")
    means = record(matrix, lambda: [matrix._mean_op(x, dim) for dim in (1, 2)], "ieee")
    wide = torch.empty(8, 128, 784, 3, 64, device="meta")
    means += record(matrix, lambda: [matrix._two_means_op(y, 1, 2) for y in (x, wide)], "ieee")
    if how == "quick":
        pair = record(matrix, partial(mix_and_back, matrix, form, (16, 16), torch.float32), "ieee")
        yield from product([*pair, means[0], means[2]], (90, "gfx942"))
        return
    every = list(kinds())
    for target in SHARED:
        yield from product([*means, *every], (target,))
        exact = "ieee" if target == "gfx942" else "tf32"  # what a launch asks for
        for channels in CHANNELS:
            for dtype, precision in ((torch.float32, "ieee"), (torch.bfloat16, exact)):
                call = partial(mix_and_back, matrix, form, channels, dtype)
                yield from product(record(matrix, call, precision), (target,))


class NoGPU:
    """As much of a driver as a launch asks before it launches."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


def launched() -> list[str]:
    """The kernels that a network and a layer launch, forward and backward, in order."""
    driver.set_active(NoGPU())
    found: list[str] = []

    class Bound:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            def launch(*args: Any, **kwargs: Any) -> None:
                found.append(self.kernel.fn.__name__)
                self.kernel.warmup(*args, grid=grid, **kwargs)

            return launch

    module = emitted(own_spec("stack"))
    module.DEVICES, module.LARGE = ("cpu",), 0
    torch.library.wrap_triton = Bound
    for make, channels, dtype in (
        (module.MetaNet, (), torch.float32),
        (partial(module.EquivariantLinear, 3, 4), (3,), torch.bfloat16),
    ):
        x = {name: torch.zeros(2, *shape, *channels, dtype=dtype) for name, shape in module.SHAPES.items()}
        y = make(dtype=dtype)(x)
        torch.autograd.backward([t.sum() for t in y.values()])
    return found


def in_a_graph() -> dict[str, object]:
    """The kernels in the graph of a layer and its gradients, and how many first sizes it leaves open."""
    driver.set_active(NoGPU())
    graphs: list[torch.fx.GraphModule] = []

    class Traced(Exception):
        pass

    def stop(graph: torch.fx.GraphModule, *_: object, **__: object) -> None:
        graphs.append(graph)
        raise Traced

    module = emitted(own_spec("stack"))
    module.DEVICES, module.LARGE = ("cpu",), 0
    x = {name: torch.zeros(8, *shape, 3) for name, shape in module.SHAPES.items()}
    for t in x.values():
        torch._dynamo.mark_dynamic(t, 0)
    backend = aot_autograd(fw_compiler=stop, partition_fn=stop)
    with contextlib.suppress(torch._dynamo.exc.BackendCompilerFailed):
        torch.compile(module.EquivariantLinear(3, 4), fullgraph=True, backend=backend)(x)
    (graph,) = graphs
    launches = [n for n in graph.graph.nodes if "triton_kernel_wrapper" in str(n.target)]
    kernels = [kernel_side_table.get_kernel(n.kwargs["kernel_idx"]) for n in launches]
    names = [getattr(k, "base_fn", getattr(k, "fn", None)).__name__ for k in kernels]
    values = [n.meta["val"] for n in graph.graph.find_nodes(op="placeholder")]
    batches = {str(t.shape[0]) for t in values if isinstance(t, torch.Tensor) and t.dim() > 2}
    return {"launched": names, "batches": sorted(batches)}


def main(how: str) -> None:
    """Compile, and print what came out."""
    if how == "launch":
        print(json.dumps({"launched": launched()}))
        return
    if how == "compile":
        print(json.dumps(in_a_graph()))
        return
    for launch, target in cases(how):
        print(json.dumps(inspected(launch, target)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
