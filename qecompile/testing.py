"""For your own tests: is a module equivariant under the group of a spec?

`assert_equivariant` and `assert_invariant` measure it on random weights and group elements, factor by factor
of the group, in float32 and float64. `prove_equivariant` proves it for all weights and elements, by types,
and takes the same options. All of them raise an `AssertionError` that says which symmetry is broken and in
which output, or which operation of the module cannot be typed and in which line.

    from qecompile.testing import assert_equivariant, prove_equivariant

    def test_my_layer():
        assert_equivariant("specs/mlp.sym", MyLayer(), channels=16)
        prove_equivariant("specs/mlp.sym", MyLayer(), channels=16)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from qecompile.pipeline import load
from qecompile.spec import Spec
from qecompile.verify.claims import ClaimError, MisshapenError, Output, read_claims
from qecompile.verify.equivariance import Verdict, check_module
from qecompile.verify.export import Adapted, device_of
from qecompile.verify.running import as_function
from qecompile.verify.sample import TOGETHER, TOLERANCE, Gap, measure

__all__ = ["ClaimError", "Gap", "Verdict", "assert_equivariant", "assert_invariant", "prove_equivariant"]

Layout = Literal["last", "first"]
LOOSE = 0.05  # in half precision


def assert_equivariant(
    spec: Spec | str | os.PathLike[str],
    module: Callable[..., object],
    *,
    channels: int | None = None,
    layout: Layout = "last",
    output: Output | None = None,
    pack: Callable[[dict[str, Tensor]], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
    output_types: Mapping[str, str | None] | None = None,
    dtypes: Iterable[torch.dtype] = (torch.float64, torch.float32),
    tolerance: float | Mapping[torch.dtype, float] | None = None,
    trials: int = 3,
    scale: float = 1.0,
    seed: int = 0,
    weights: Callable[[int], Mapping[str, Tensor]] | None = None,
) -> None:
    """Measure f(g.theta) against g.f(theta).

    The module runs in eval mode, on a batch of two and on copies of its tensors in each dtype.

    Args:
        spec: a spec, or the path of a `.sym` file.
        module: an `nn.Module` or a function of a dict of weights; with `pack`, of anything.
        channels: how many channels the inputs have; None for none.
        layout: where channels stand.
        output: what all outputs are; by default those under the name of a parameter are equivariant, others
            invariant.
        pack: from the dict of weights to the arguments of the module.
        unpack: from the result of the module to tensors.
        output_types: the parameter whose type an output has, or None, by name of the output.
        dtypes: in which to measure.
        tolerance: the largest relative gap to accept, or one for each dtype; by default 1e-8 in float64 and
            2e-3 in float32.
        trials: how many weights and group elements to draw.
        scale: bound on the logarithms of scales and singular values.
        seed: of the first trial.
        weights: gives weights [2, ...] by name for a seed, where normal numbers are no weights of your
            network (variances, say).

    Raises:
        AssertionError: a gap is larger than accepted, or NaN, or an output has the wrong shape.
        ClaimError: it is not clear what is claimed.
    """
    __tracebackhide__ = True
    wanted, adapted = _read(spec), Adapted(module, pack, unpack)
    for dtype in dtypes:
        limit = tolerance.get(dtype) if isinstance(tolerance, Mapping) else tolerance
        limit = TOLERANCE.get(dtype, LOOSE) if limit is None else limit
        gaps = measure(
            as_function(adapted, dtype),
            wanted,
            lambda outputs: read_claims(outputs, wanted, output, output_types),
            channels=channels,
            layout=layout,
            dtype=dtype,
            device=device_of(adapted),
            trials=trials,
            scale=scale,
            seed=seed,
            draw=weights,
        )
        try:
            broken = [gap for gap in gaps if not gap.size <= limit]
        except MisshapenError as mistake:
            raise AssertionError(str(mistake)) from None
        if broken:
            raise AssertionError(_report(wanted, broken, limit))


def assert_invariant(
    spec: Spec | str | os.PathLike[str], module: Callable[..., object], **options: Any
) -> None:
    """Measure f(g.theta) against f(theta): `assert_equivariant` where all outputs are invariant."""
    __tracebackhide__ = True
    assert_equivariant(spec, module, **{**options, "output": "invariant"})


def prove_equivariant(
    spec: Spec | str | os.PathLike[str],
    module: Callable[..., object],
    *,
    channels: int | None = None,
    layout: Layout = "last",
    output: Output | None = None,
    pack: Callable[[dict[str, Tensor]], object] | None = None,
    unpack: Callable[[Any], object] | None = None,
    output_types: Mapping[str, str | None] | None = None,
    quasi: bool = False,
) -> Verdict:
    """Prove what `assert_equivariant` measures, for all weights of the module, all theta and all g.

    With `quasi`, a quasi-equivariant module passes too: its output stays in the orbit, moved by another
    element than its input (an alpha-map).

    Returns:
        The verdict, whose `steps` are the proof.

    Raises:
        AssertionError: there is no proof; with a counterexample in numbers, if one was found.
        ClaimError: it is not clear what is claimed.
    """
    __tracebackhide__ = True
    verdict = check_module(
        _read(spec),
        module,
        channels=channels,
        layout=layout,
        output=output,
        pack=pack,
        unpack=unpack,
        output_types=output_types,
    )
    if not verdict.ok:
        raise AssertionError(str(verdict))
    if verdict.claim == "quasi-equivariant" and not quasi:
        raise AssertionError(f"quasi-equivariant only, not equivariant: {verdict.cocycle}")
    return verdict


def _read(spec: Spec | str | os.PathLike[str]) -> Spec:
    return spec if isinstance(spec, Spec) else load(spec)


def _report(spec: Spec, broken: list[Gap], limit: float) -> str:
    """The largest gap of each factor, the worst first, single factors before all of them together."""
    worst: dict[str, Gap] = {}
    for gap in broken:
        if gap.factor not in worst or not gap.size <= worst[gap.factor].size:
            worst[gap.factor] = gap
    order = sorted(worst.values(), key=lambda gap: (gap.factor == TOGETHER, -gap.size))
    outputs = {gap.claim for gap in broken}
    head = (
        f"not equivariant under the group of spec {spec.name}: "
        f"{len(outputs)} output(s) off by more than {limit:.2g}"
    )
    return "\n".join([head, *(f"  {gap}" for gap in order)])
