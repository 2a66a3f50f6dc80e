"""Schedules: what passes do to them, and that they and emitted code compute what they did before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from types import ModuleType

import numpy as np
import pytest
import torch
from emitted import module_of
from hypothesis import HealthCheck, assume, given, settings
from strategies import spec_of, specs

from qecompile.basis import derive, total_dim
from qecompile.codegen.reduce import labels
from qecompile.codegen.writer import Variables
from qecompile.errors import IRError
from qecompile.plan.build import build_plan
from qecompile.plan.codes import choose_codes
from qecompile.plan.nodes import Plan, Side
from qecompile.resolve import load, parse
from qecompile.schedule.check import check
from qecompile.schedule.interpret import Exact, Numbers, interpret
from qecompile.schedule.lower import lower
from qecompile.schedule.nodes import Gather, Load, Mean, Mix, Schedule, Sum
from qecompile.schedule.passes import OPTIMISE, run, schedule_layer
from qecompile.schedule.text import show_schedule
from qecompile.signature import Signatures
from qecompile.spec import Spec

SOME = settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
CODED = """
spec s {
  space x = 9 : fixed   space h = 4 : permute   space y = 3 : fixed
  param W : h <- x   param b : h   param V : y <- h   param c : y
  metanet m { channels 2, 2  mix x encode(3)  context lowrank(2) }
}
"""


def plan_of(spec: Spec) -> Plan:
    net = spec.metanets[0] if spec.metanets else None
    codes = choose_codes(spec, net)
    rank = net.context_rank if net else None
    return build_plan(Signatures(spec, {c.space: c.rank for c in codes}), codes, rank)


def schedule_of(spec: Spec) -> Schedule:
    plan = plan_of(spec)
    return schedule_layer(plan, spec, labels(plan, Variables(spec)))


def drawn(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    return generator.integers(-3, 4, size=shape).astype(object)


def layer_and_numbers(
    spec: Spec, plan: Plan, seed: int = 0, module: ModuleType | None = None
) -> tuple[torch.nn.Module, Numbers]:
    """An emitted layer with small integer weights, and the same weights for the interpreter."""
    generator = np.random.default_rng(seed)
    layer = (module or module_of(spec)).EquivariantLinear(2, 2, dtype=torch.float64)
    weights: dict[str, np.ndarray] = {}
    short = Variables(spec).short
    with torch.no_grad():
        for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
            if (
                name.startswith(("weight", "left", "right", "encode", "decode", "bias"))
                and "index" not in name
            ):
                values = drawn(tuple(tensor.shape), generator)
                tensor.copy_(torch.tensor(values.astype(float)))
                weights[name] = values
    for code in plan.codes:
        for side in ("encode", "decode"):
            weights[f"{side}_{code.space}"] = weights[f"{side}_{short[code.space]}"]
    return layer, Numbers(2, weights, weights.get("bias"), plan.affine)


def inputs(spec: Spec, seed: int = 1) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {p.name: drawn((2, *p.shape, 2), generator) for p in spec.parameters}


def equal(a: Mapping[str, Exact], b: Mapping[str, Exact]) -> bool:
    return a.keys() == b.keys() and all((a[k].top * b[k].bottom == b[k].top * a[k].bottom).all() for k in a)


def agree(layer: torch.nn.Module, x: Mapping[str, np.ndarray], expected: Mapping[str, Exact]) -> None:
    y = layer({name: torch.tensor(value.astype(float)) for name, value in x.items()})
    for name, value in expected.items():
        exact = torch.tensor(value.top.astype(float) / value.bottom)
        torch.testing.assert_close(y[name], exact, rtol=1e-12, atol=1e-11)


# --- the oracle ------------------------------------------------------------------------------------------


@SOME
@given(specs())
def test_passes_change_nothing_and_emitted_code_computes_the_same(spec: Spec) -> None:
    assume(spec.parameters and total_dim(derive(spec)) <= 400)
    plan, x = plan_of(spec), inputs(spec)
    layer, numbers = layer_and_numbers(spec, plan)
    plain = interpret(lower(plan, spec), x, numbers)

    def unchanged(name: str, s: Schedule) -> None:
        assert equal(interpret(s, x, numbers), plain), name

    run(lower(plan, spec), OPTIMISE, unchanged)
    assert equal(interpret(schedule_of(spec), x, numbers), plain)
    with torch.no_grad():
        agree(layer, x, plain)


def test_codes_and_factorised_contexts() -> None:
    spec = parse(CODED)
    plan, x = plan_of(spec), inputs(spec)
    layer, numbers = layer_and_numbers(spec, plan)
    plain = interpret(lower(plan, spec), x, numbers)
    assert equal(interpret(schedule_of(spec), x, numbers), plain)
    with torch.no_grad():
        agree(layer, x, plain)


def test_the_interpreter_is_exact() -> None:
    """The mean of 1, 0 and 0 is a third, not nearly a third."""
    spec = spec_of({"a": "3 permute"}, {"v": "a"})
    x = {"v": np.array([1, 0, 0], dtype=object).reshape(1, 3, 1)}
    zero, one = np.zeros((1, 1), dtype=object), np.ones((1, 1), dtype=object)
    numbers = Numbers(1, {"weight_scalar": one, "weight_a": zero})
    (found,) = interpret(schedule_of(spec), x, numbers).values()
    assert {str(value) for value in found.fractions().flat} == {"1/3"}


# --- what passes do --------------------------------------------------------------------------------------

MATRIX = "spec s { space a = 4 : permute  space b = 5 : permute  param W : a <- b  param v : a }"


def test_a_schedule_in_words() -> None:
    assert show_schedule(schedule_of(parse(MATRIX))).splitlines()[:9] == [
        "reduce",
        "  W        = load W",
        "  W_by_a   = mean W over dim 1",
        "  W_by_b   = mean W over dim 0",
        "  W_mean   = mean W_by_a over dim 0",
        "  v        = load v",
        "  v_mean   = mean v over dim 0",
        "  x_scalar = gather W_mean | v_mean",
        "  x_a      = gather W_by_a | v",
    ]


def test_equal_reductions_are_merged() -> None:
    """Both types that read the diagonal of T take it once."""
    spec = spec_of({"a": "4 permute"}, {"T": "a a"})
    plan = plan_of(spec)
    before, after = lower(plan, spec), run(lower(plan, spec), OPTIMISE[:1])
    assert sum(1 for op in before.reduce if not isinstance(op, (Load, Gather))) == 6
    assert sum(1 for op in after.reduce if not isinstance(op, (Load, Gather))) == 5


def test_totals_come_from_row_means() -> None:
    s = schedule_of(parse(MATRIX))
    assert [op.source for op in s.reduce if isinstance(op, Mean) and op.out.name == "W_mean"] == ["W_by_a"]


def test_a_large_parameter_is_read_once_for_all_its_means() -> None:
    """Also if the axes are many, and a mean over several is one of a mean."""
    spec = spec_of({"a": "12 permute", "b": "11 permute", "c": "10 permute"}, {"T": "a b c", "v": "b"})
    s = schedule_of(spec)
    load = next(op.out.name for op in s.reduce if isinstance(op, Load) and op.param == "T")
    means = [op for op in s.reduce if isinstance(op, Mean) and op.source == load]
    assert sorted(op.over for op in means) == [(0,), (1,), (2,)]
    assert all(op.streams for op in means)
    assert [op.joins for op in means] == [False, True, True]


def test_a_mean_joins_the_stream_right_before_it_only() -> None:
    s = schedule_of(spec_of({"a": "40 permute", "b": "30 permute"}, {"W": "a b"}))
    joining = next(k for k, op in enumerate(s.reduce) if isinstance(op, Mean) and op.joins)
    ops = list(s.reduce)
    ops.insert(
        joining, ops.pop(next(k for k, op in enumerate(ops) if isinstance(op, Mean) and not op.streams))
    )
    with pytest.raises(IRError, match="joins a stream that is not there"):
        check(replace(s, reduce=tuple(ops)), after="a test")


def test_small_parts_are_added_before_they_are_broadcast() -> None:
    (target,) = (op for op in schedule_of(parse(MATRIX)).expand if isinstance(op, Sum) and op.param == "W")
    assert target.in_place
    assert sum(len(part.inner) for part in target.parts) == 1


def test_the_checker_names_the_pass_and_the_operation() -> None:
    s = schedule_of(parse(MATRIX))
    without = Schedule(s.reduce[1:], s.expand)
    with pytest.raises(IRError, match=r"after `broken`: W_by_a = mean W over dim 1: reads W, which nothing"):
        check(without, after="broken")
    twice = Schedule((s.reduce[0], *s.reduce), s.expand)
    with pytest.raises(IRError, match="defines a name twice"):
        check(twice, after="broken")


def test_operations_grow_linearly_with_layers(root) -> None:
    sizes = [
        len(schedule_of(load(root / "specs" / "llama.sym", arguments={"layers": layers})).ops)
        for layers in (2, 4, 6)
    ]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    assert any(isinstance(op, Mix) for op in schedule_of(parse(MATRIX)).expand)


def test_lowering_looks_at_each_row_and_column_once(root, monkeypatch) -> None:
    """The work of planning grows with the parameters, not with their pairs."""
    looked: list[int] = []
    for layers in (2, 4, 6):
        spec = load(root / "specs" / "llama.sym", arguments={"layers": layers})
        plan, count = plan_of(spec), 0

        def counted(side: Side) -> int:
            nonlocal count
            count += 1
            return prod(s.size for s in side.spread)

        with monkeypatch.context() as patch:
            patch.setattr(Side, "multiplicity", property(counted))
            lower(plan, spec)
        looked.append(count)
    assert looked[2] - looked[1] == looked[1] - looked[0]


def test_types_that_read_one_tensor_keep_inputs_of_their_own() -> None:
    spec = parse("spec s { space a = 1000 : dilate  param p : [a, a*] }")  # so large that its axes are coded
    schedule = schedule_of(spec)
    gathered = [op.rows for op in schedule.reduce if isinstance(op, Gather)]
    assert len(set(gathered)) < len(gathered)
