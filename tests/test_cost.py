"""The cost model: what operations move and compute, counted; and the plan that `build` shows."""

from __future__ import annotations

import json

import pytest
from test_schedule import plan_of, schedule_of

from qecompile import cli
from qecompile.pipeline import plan_layer
from qecompile.resolve import parse
from qecompile.schedule.cost import Machine, Sizes, Work, costs, floor, total
from qecompile.schedule.lower import lower

SIZES = Sizes(batch=8, in_channels=16, out_channels=16)
MATRIX = "spec s { space a = 64 : permute  space b = 128 : permute  param W : b <- a  param v : b }"
STACK = MATRIX.replace("v : b }", "v : b  metanet m { channels 16, 16, 16 } }")
FULL = 8 * 128 * 64 * 16


def test_the_floor_is_one_read_and_one_write() -> None:
    spec = parse(MATRIX)
    small = 8 * 128 * 16
    assert floor(schedule_of(spec), SIZES) == Work(2 * (FULL + small))
    assert floor(schedule_of(spec), SIZES, backward=True) == Work(5 * (FULL + small))


def test_four_full_passes_forward_whatever_the_number_of_diagrams() -> None:
    """One stream reads the input for its means; the parts are written, the product reads and writes."""
    work = total(costs(schedule_of(parse(MATRIX)), SIZES))
    assert 4 < work.entries / FULL < 4.3
    assert work.flops == pytest.approx(2 * 16 * FULL, rel=0.1)


def test_in_a_stack_one_read_and_one_write_forward_and_three_backward() -> None:
    """Forward reads and writes the tensor; backward reads it again, its gradient, and writes one."""
    found = costs(plan_layer(parse(STACK), kernels=True), SIZES)
    assert 2 < total(found).entries / FULL < 2.3
    assert 5 < total(found, backward=True).entries / FULL < 5.6


def test_what_needs_whole_sums_gets_them() -> None:
    """One layer, wide layers, a diagonal, a product of two tensors, gates."""
    wide = STACK.replace("16, 16, 16", "16, 64, 16")
    single = STACK.replace("16, 16, 16", "16, 16  readout invariant -> 2")
    square = STACK.replace("W : b <- a", "W : b <- b")
    twice = STACK.replace("param v : b", "param v : b  param U : b <- a")
    gated = STACK.replace("16, 16, 16", "16, 16, 16  activation gate")
    for text in (wide, single, square, twice, gated):
        spec = parse(text)
        assert plan_layer(spec, kernels=True) == plan_layer(spec)


def test_passes_save_traffic() -> None:
    spec = parse(MATRIX)
    plain, best = (total(costs(s, SIZES)) for s in (lower(plan_of(spec), spec), schedule_of(spec)))
    assert plain.entries > 2 * best.entries
    assert plain.flops == best.flops


def test_work_grows_with_layers_not_with_their_pairs() -> None:
    text = """spec s(L: int = 2) {{ space a[i] for i in 0..L = 32 : permute
        param W[i] for i in 1..L : a[i] <- a[i-1]  param b[i] for i in 1..L : a[i] }}""".format()
    found = [
        total(costs(schedule_of(parse(text, arguments={"L": depth})), SIZES)).entries for depth in (4, 8, 12)
    ]
    assert found[2] - found[1] == pytest.approx(found[1] - found[0], rel=1e-2)


def test_a_prediction_adds_moving_and_multiplying() -> None:
    machine = Machine(bytes_per_second=4e9, flops_per_second=1e9)
    assert machine.seconds(Work(moved=10**9, in_products=5, flops=10**9), SIZES) == 2.0


def test_build_shows_the_plan(tmp_path, capsys) -> None:
    (tmp_path / "s.sym").write_text(MATRIX)
    command = ["build", str(tmp_path / "s.sym"), "-o", str(tmp_path / "s.py"), "--print-plan"]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert "x_b_a @ weight_b_a + y_a along 1 + " in text
    assert "times the floor" in text
    assert cli.main([*command, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert plan["operations"][0]["name"] == "W"
    assert plan["bytes"] > plan["floor_bytes"] > 0
