"""Run emitted kernels in Triton's interpreter, and compare: `python -m kernels.interpreted [NAME ...]`.

Forward against the exact interpreter of the plan, on small integers; backward against plain torch in float64.
Memory that a kernel should have written starts as NaN. Prints one line of JSON for each case: the kernels
that ran, the programs of the largest grid, the largest error relative to the largest value, seconds.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import json
import sys
import time
from types import ModuleType

import torch
from emitted import features, randomised, weights
from test_schedule import inputs, layer_and_numbers, plan_of
from torch import Tensor

from kernels.cases import OWN, SMALL, emitted, library_spec, own_spec
from kernels.variants import advances, repeats, variants
from qecompile.codegen.kernels.stack import FUNCTIONS
from qecompile.resolve import parse
from qecompile.schedule.interpret import interpret
from qecompile.schedule.lower import lower
from qecompile.spec import Spec

MOST_PROGRAMS = 50

torch.use_deterministic_algorithms(True)  # new memory is filled with NaN


class Launches:
    """Which kernels were launched, and on how many programs at most."""

    def __enter__(self) -> Launches:
        self.seen: set[str] = set()
        self.programs = 0
        self.original = torch.library.wrap_triton
        torch.library.wrap_triton = self.observe
        return self

    def __exit__(self, *_: object) -> None:
        torch.library.wrap_triton = self.original

    def observe(self, kernel):
        launches, run = self, self.original(kernel)

        class Counted:
            def __getitem__(self, grid):
                launches.seen.add(kernel.fn.__name__)
                launches.programs = max(launches.programs, torch.Size(grid).numel())
                return run[grid]

        return Counted()


def with_kernels(spec: Spec) -> ModuleType:
    """The module of a spec whose kernels take tensors in main memory, of any size."""
    module = emitted(spec)
    if hasattr(module, "DEVICES"):
        module.DEVICES, module.LARGE = ("cpu",), 0
    return module


def run(layer: torch.nn.Module, x: dict[str, Tensor]) -> list[Tensor]:
    """Outputs, then the gradients of inputs and of parameters for drawn gradients of the outputs."""
    x = {name: t.clone().requires_grad_() for name, t in x.items()}
    layer.zero_grad()
    y = layer(x)
    outputs = list(y.values()) if isinstance(y, dict) else [y]
    generator = torch.Generator().manual_seed(0)
    dy = [torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.dtype) for t in outputs]
    torch.autograd.backward(outputs, dy)
    grads = [*(t.grad for t in x.values()), *(p.grad for p in layer.parameters())]
    return [t.detach() for t in (*outputs, *grads) if t is not None]


def error(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference relative to the largest value of the same tensor; NaN counts as infinite."""
    largest = 0.0
    for a, b in zip(found, expected, strict=True):
        gap = (a.double() - b).abs().max() / b.abs().max().clamp(min=1)
        largest = max(largest, float(gap.nan_to_num(nan=torch.inf)))
    return largest


def both_precisions(layer: torch.nn.Module, x: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """What kernels give in float32, and what plain torch gives in float64."""
    plain = run(layer, x)  # kernels leave float64 to torch
    return run(layer.float(), {name: t.float() for name, t in x.items()}), plain


def check_spec(spec: Spec, module: ModuleType) -> float:
    """The layer of a spec: values exactly, gradients against plain torch; its invariants likewise."""
    plan, x = plan_of(spec), inputs(spec)
    layer, numbers = layer_and_numbers(spec, plan, module=module)
    expected = interpret(lower(plan, spec), x, numbers)
    exact = [torch.tensor(value.top.astype(float) / value.bottom) for value in expected.values()]
    given = {name: torch.tensor(value.astype(float)) for name, value in x.items()}
    assert list(expected) == list(layer(given))
    found, plain = both_precisions(layer, given)
    largest = max(error(found[: len(exact)], exact), error(found, plain))
    if hasattr(module, "Invariants"):
        invariants = randomised(module.Invariants(2, 3, dtype=torch.float64))
        largest = max(largest, error(*both_precisions(invariants, given)))
    if hasattr(module, "STACK"):
        largest = max(largest, check_network(spec, module))
    return largest


def check_network(spec: Spec, module: ModuleType) -> float:
    """A network that hands sums on from layer to layer, against itself in float64, which writes them.

    Nothing, where plain torch in float32 is as far from that.
    """
    net = randomised(module.MetaNet(dtype=torch.float64))
    channels = spec.metanets[0].channels[0] if spec.metanets else 1
    theta = weights(spec, 2) if channels == 1 else features(spec, 2, channels)
    found, exact = both_precisions(net, theta)
    module.DEVICES = ()
    rounded = run(net, {name: t.float() for name, t in theta.items()})
    module.DEVICES = ("cpu",)
    gap = error(found, exact)
    return 0.0 if gap <= 1.5 * error(rounded, exact) else gap


def check(name: str) -> dict[str, object]:
    """One case by name."""
    start = time.perf_counter()
    spec = library_spec(name) if name in SMALL else own_spec(name)
    module = with_kernels(spec)
    with Launches() as launches:
        gap = check_spec(spec, module)
    wanted = {f.__name__ for form in getattr(module, "FORMS", {}).values() for f in form[2:4]}
    product = getattr(module, "PRODUCT", None)
    wanted |= {f.__name__ for f in product[2:4]} if product else set()
    wanted |= {f.__name__ for entry in getattr(module, "STACK", {}).values() for f in entry[-2:]}
    wanted |= {f for f in ("_sum_axis", "_sum_two_axes") if hasattr(module, f)}
    pairs = {"_sum_axis"} if "_sum_two_axes" in wanted else set()  # no mean may be left alone
    assert wanted - pairs <= launches.seen <= wanted, f"{name}: {sorted(wanted ^ launches.seen)}"
    assert launches.programs <= MOST_PROGRAMS, f"{name}: a grid of {launches.programs} programs"
    assert gap < 1e-5, f"{name}: off by {gap}"
    return {
        "case": name,
        "kernels": sorted(launches.seen),
        "programs": launches.programs,
        "error": gap,
        "seconds": round(time.perf_counter() - start, 2),
    }


def check_variants() -> dict[str, object]:
    """The kernels of one spec at other sizes, channel counts, dtypes and layouts."""
    start = time.perf_counter()
    module = with_kernels(own_spec("matrix"))
    with Launches() as launches:
        errors = {**dict(variants(module)), **dict(advances(module))}
    worst = max(errors, key=lambda name: errors[name])
    assert errors[worst] <= 1, f"{worst}: {errors[worst]} times what is allowed"
    assert repeats(module)
    assert launches.programs <= MOST_PROGRAMS
    return {
        "case": "variants",
        "kernels": sorted(launches.seen),
        "checks": len(errors),
        "programs": launches.programs,
        "worst": worst,
        "error": errors[worst],
        "seconds": round(time.perf_counter() - start, 2),
    }


def check_functions() -> dict[str, object]:
    """Networks with each pointwise function that kernels know."""
    start = time.perf_counter()
    errors = {}
    with Launches() as launches:
        for name in FUNCTIONS:
            spec = parse(
                f"spec {name} {{ {OWN['matrix']}  metanet m {{ channels 1, 3, 2  activation {name} }} }}"
            )
            errors[name] = check_network(spec, with_kernels(spec))
    worst = max(errors, key=lambda name: errors[name])
    assert errors[worst] < 1e-5, f"{worst}: off by {errors[worst]}"
    return {
        "case": "functions",
        "kernels": sorted(launches.seen),
        "checks": len(errors),
        "error": errors[worst],
        "seconds": round(time.perf_counter() - start, 2),
    }


OTHERS = {"functions": check_functions, "variants": check_variants}


def main(names: list[str]) -> None:
    """Check the cases, by default all."""
    for name in names or [*OWN, *SMALL, *OTHERS]:
        print(json.dumps(OTHERS[name]() if name in OTHERS else check(name)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
