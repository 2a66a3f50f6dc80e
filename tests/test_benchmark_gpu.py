"""The GPU program without a GPU: it says so and reports nothing; on the clock of a processor it runs through.

What it would measure is not tested here, but that it counts, compares, refuses wrong kernels and tells goals.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from types import ModuleType
from unittest.mock import Mock, create_autospec

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_cases import Check, Kit, Workload, perceptron, prepare, read_kit, workload, write_kit
from benchmarks.gpu_clock import CpuClock, CudaClock, Measured, Timing, alternate
from benchmarks.gpu_correct import ROUNDING, check_all, error, poisoned
from benchmarks.gpu_modules import draw, load, stack
from benchmarks.gpu_report import check_table, plain, plot, tables
from benchmarks.gpu_runs import Figures, fitting_batch, measure
from qecompile.pipeline import generate
from qecompile.tables import render

TINY = (40, 50, 30)
STEPS = (4, 4, 4)


@pytest.fixture(scope="module")
def tiny() -> Workload:
    return workload(TINY, 2, STEPS)


@pytest.fixture(scope="module")
def kit(tiny) -> Kit:
    source = generate(perceptron(TINY, STEPS, "silu"), kernels=True)
    check = Check("tiny", source, 2, ((4, 4), (3, 5)), ("float32", "bfloat16"), network=True)
    return Kit((check,), (tiny,))


@pytest.fixture(scope="module")
def report(kit) -> dict:
    return gpu.run(kit, CpuClock(), 1, ("nfn",), json.dumps)


# --- the program -----------------------------------------------------------------------------------------


def test_without_a_gpu_nothing_is_reported(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--json", str(tmp_path / "figures.json")]) == 2
    said = capsys.readouterr()
    assert "sees no CUDA GPU" in said.err
    assert "nothing was measured" in said.err
    assert not said.out
    assert not list(tmp_path.iterdir())


@pytest.fixture
def as_if(monkeypatch) -> None:
    """As if this processor were a GPU."""
    monkeypatch.setattr(gpu, "why_no_gpu", lambda: None)
    monkeypatch.setattr(gpu, "CudaClock", CpuClock)


def test_the_command_keeps_its_figures(as_if, kit, tmp_path) -> None:
    write_kit(replace(kit, checks=()), tmp_path / "kit.json")
    words = ["--kit", str(tmp_path / "kit.json"), "--json", str(tmp_path / "out.json"), "--rounds", "2"]
    assert gpu.main([*words, "--quick"]) == 0
    kept = json.loads((tmp_path / "out.json").read_text())
    assert [(data["workload"], data["dtype"]) for data in kept["workloads"]] == [
        ("40-50-30", "float32"),
        ("40-50-30", "bfloat16"),
    ]


def test_the_exit_code_tells_of_kernels_that_fail(as_if, kit, tmp_path) -> None:
    (timed,) = kit.workloads
    fails = replace(timed, source=timed.source + "\ndef _advanced(layer, x):\n    raise RuntimeError('no')\n")
    write_kit(Kit((), (fails,)), tmp_path / "kit.json")
    assert gpu.main(["--kit", str(tmp_path / "kit.json"), "--quick"]) == 1


def test_a_kit_is_written_without_a_gpu(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["--quick", "--write-kit", str(tmp_path / "kit.json")]) == 0
    assert [w.name for w in read_kit(tmp_path / "kit.json").workloads] == ["784-128-128-10"]
    assert gpu.main(["--kit", str(tmp_path / "kit.json")]) == 2


def test_everything_is_checked_then_timed(report) -> None:
    assert report["correct"]
    assert [(c["what"], c["dtype"]) for c in report["checks"]] == [
        (what, dtype)
        for dtype in ("float32", "bfloat16")
        for what in ("layer 4 -> 4", "layer 3 -> 5", "network")
    ]
    single, half = report["workloads"]
    kinds = ("forward", "forward + backward")
    ours = [f"{what}, {kind}" for what in ("layer", "network", "network in torch", "stack") for kind in kinds]
    assert list(half["milliseconds"]) == ["copy", "product", *ours]
    assert set(single["milliseconds"]) - set(half["milliseconds"]) <= {f"nfn, {kind}" for kind in kinds}
    assert not single["failures"]
    assert report["facts"]["card"] is None


def test_figures_stand_side_by_side(report) -> None:
    row = report["workloads"][0]["milliseconds"]["stack, forward + backward"]
    assert all(row[name] > 0 for name in ("median", "minimum", "alone", "floor", "prediction"))
    assert row["over floor"] == pytest.approx(row["median"] / row["floor"])
    text = render(tables(report["workloads"][0]))
    assert "over four reads and writes" in text
    assert "not measured" in text  # torch.compile was left out


@pytest.mark.slow
def test_a_kit_is_measured_without_the_compiler(kit, tmp_path) -> None:
    write_kit(kit, tmp_path / "kit.json")
    assert read_kit(tmp_path / "kit.json") == kit
    program = f"""
import sys
sys.modules |= dict.fromkeys(("lark", "pydantic", "flint", "typer", "safetensors"))
from pathlib import Path
from benchmarks.gpu import read_kit, run
from benchmarks.gpu_clock import CpuClock
assert run(read_kit(Path({str(tmp_path / "kit.json")!r})), CpuClock(), 1, (), print)["workloads"]
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_the_kit_has_every_spec_of_the_library(root) -> None:
    names = {check.name for check in prepare().checks}
    assert {path.stem for path in (root / "specs").glob("*.sym")} <= names


# --- wrong kernels ---------------------------------------------------------------------------------------

WRONG = {
    "unwritten": "0 * _mix_right(x, weight, *parts) + x.new_empty(*x.shape[:-1], weight.shape[1])",
    "inexact": "_mix_right(x, weight, *parts) * (1 + 1e-3)",
    "noisy": "_mix_right(x, weight, *parts) * (1 + 1e-6 * torch.rand(()))",
}


@pytest.mark.parametrize("how", WRONG)
def test_a_wrong_kernel_stops_the_program(how, kit, capsys) -> None:
    wrong = f"""
_mix_right = _mix


def _mix(x, weight, *parts):
    return {WRONG[how]} if DEVICES else _mix_right(x, weight, *parts)
"""
    (check,) = kit.checks
    broken = replace(
        check, source=check.source + wrong, channels=((4, 4),), dtypes=("float32",), network=False
    )
    found = gpu.run(Kit((broken,), kit.workloads), CpuClock(), 1, (), lambda report: None)
    assert not found["correct"]
    assert found["workloads"] == []
    assert "nothing was timed" in capsys.readouterr().err
    outcome, *_ = found["checks"]
    assert outcome["repeats"] == (how == "inexact")
    assert (outcome["forward"] == torch.inf) == (how == "unwritten")
    assert (outcome["forward"] > ROUNDING["float32"]) == (how != "noisy")


def test_a_kernel_that_fails_does_not_hide_the_others(kit) -> None:
    (check,) = kit.checks
    fails = "\ndef _mix(x, w, *parts):\n    return 1 // 0 if DEVICES else _plain_mix(x, w, *parts)\n"
    broken = replace(check, source=check.source + fails, dtypes=("float32",))
    outcomes = list(check_all([broken, check], CpuClock()))
    assert [o.ok for o in outcomes] == [False] * 3 + [True] * 6
    assert "ZeroDivisionError" in outcomes[0].problem
    assert "ZeroDivisionError" in render([check_table(outcomes)])


def test_kernels_have_to_be_launched(kit) -> None:
    """A device that has kernels, and a file that finds no Triton: it is right, but not by kernels."""

    class Claims(CpuClock):
        kernels = True

    (check,) = kit.checks
    lost = check.source + "TRITON = False\n"
    layer = replace(check, source=lost, channels=((4, 4),), dtypes=("float32",), network=False)
    outcome, *_ = check_all([layer], Claims())
    assert outcome.forward < ROUNDING["float32"]
    assert outcome.launches == 0
    assert not outcome.ok
    assert "WRONG" in render([check_table([outcome])])


def test_new_memory_holds_nan_while_kernels_are_checked() -> None:
    with poisoned(CpuClock()):
        assert torch.empty(1000).isnan().all()
    assert not torch.are_deterministic_algorithms_enabled()
    assert error([torch.tensor([torch.nan, 0.0])], [torch.ones(2)]) == torch.inf


# --- what is counted and timed ---------------------------------------------------------------------------


def test_the_stack_reads_and_writes_each_layer_once(tiny) -> None:
    assert tiny.entries == 40 * 50 + 50 + 50 * 30 + 30
    least, *work = tiny.counts["stack, forward"]
    assert least == 2 * (2 * 4 * tiny.entries)
    assert least < work[0] + work[1] < 1.2 * least
    assert tiny.counts["network, forward"][0] == least + (4 + 1) * tiny.entries


def test_the_stack_computes_what_the_layers_do(tiny) -> None:
    clock = CpuClock()
    loaded = load(tiny.source, clock, large=0)
    net = loaded.kernels.MetaNet(dtype=torch.float64)
    layer = loaded.plain.EquivariantLinear(4, 4, dtype=torch.float64)
    layer.load_state_dict(net.linear1.state_dict())
    x = draw(loaded.kernels, 2, 4, clock, torch.float64, seed=0)
    full, row, column = stack(loaded.kernels, net, 1)(x)[:3]
    torch.testing.assert_close(full + row + column, layer(x)["W[1]"])


def test_batches_fit_the_memory(tiny) -> None:
    clock = CpuClock()
    assert fitting_batch(replace(tiny, batch=64), clock) == 64
    clock.memory_bytes = 40 * 4 * tiny.entries * 4 * 20
    assert fitting_batch(replace(tiny, batch=64), clock) == 16


def test_a_run_that_fails_leaves_the_others(tiny) -> None:
    def fails() -> None:
        raise MemoryError("too large\nfor this")

    measured = alternate(CpuClock(), {"bad": fails, "good": lambda: None}, 4)
    assert measured.failures == {"bad": "MemoryError: too large"}
    assert [len(t.seconds) for t in measured.timings.values()] == [4]


def figures(tiny: Workload, milliseconds: dict[str, float]) -> Figures:
    """As if runs had taken so long, on a device that copies a byte in a nanosecond."""
    timings = {name: Timing((1e-3 * ms,) * 3) for name, ms in milliseconds.items()}
    entries = 2 * 4 * tiny.entries
    timings |= {"copy": Timing((2 * 4e-9 * entries,)), "product": Timing((1e-6,))}
    measured = Measured(timings, {})
    return Figures(tiny, "float32", 2, measured, Measured({}, {}), 4 * entries, 8 * entries, cache_bytes=1)


def test_goals_are_ratios_of_medians(tiny) -> None:
    floor = 1e3 * 4e-9 * 2 * tiny.counts["stack, forward"][0]
    traffic = 1e3 * 4e-9 * 2 * sum(tiny.counts["stack, forward + backward"][1:3])
    times = {
        "stack, forward": 1.2 * floor,
        "stack, forward + backward": 1.5 * traffic,
        "network, forward": 1.0,
        "network under torch.compile, forward": 2.5,
        "network, forward + backward": 1.0,
    }
    data = plain(figures(tiny, times))
    assert [g["verdict"] for g in data["goals"]] == ["met", "missed", "met", "not measured"]
    assert [g["measured"] for g in data["goals"][:3]] == pytest.approx([1.2, 1.5, 2.5])
    small = plain(replace(figures(tiny, times), cache_bytes=1 << 30))
    assert {g["verdict"] for g in small["goals"]} == {"the cache holds it"}


def test_a_plot_where_there_is_matplotlib(report, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    assert plot(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_runs_are_compiled_too(tiny, monkeypatch) -> None:
    compiler = partial(torch.compile, backend="aot_eager")
    monkeypatch.setattr(torch, "compile", compiler)
    found = measure(tiny, CpuClock(), "float32", 1, ("compile",))
    assert not found.measured.failures
    assert found.measured.timings["network under torch.compile, forward + backward"].best > 0


# --- the clock of a GPU ----------------------------------------------------------------------------------


@pytest.fixture
def card(monkeypatch) -> Mock:
    """A card that checks how it is called: with the signatures of this torch."""
    made = Mock(L2_cache_size=50 << 20, total_memory=100 << 30)
    for name, answer in {
        "current_device": 0,
        "get_device_properties": made,
        "get_device_name": "a card",
        "get_device_capability": (9, 0),
        "synchronize": None,
        "empty_cache": None,
        "_sleep": None,
    }.items():
        called = create_autospec(getattr(torch.cuda, name), return_value=answer)
        monkeypatch.setattr(torch.cuda, name, called)
    event = create_autospec(torch.cuda.Event)
    event.return_value.elapsed_time.return_value = 2.0
    monkeypatch.setattr(torch.cuda, "Event", event)
    monkeypatch.setattr(torch, "empty", Mock())
    triton = ModuleType("triton")
    triton.__version__ = "3"
    monkeypatch.setitem(sys.modules, "triton", triton)
    return event


def test_a_run_is_timed_by_events_of_the_device(card) -> None:
    clock, ran = CudaClock(), []
    assert clock.seconds(lambda: ran.append(1)) == 2e-3
    assert len(ran) == 1
    assert not torch.cuda._sleep.called
    assert clock.seconds(lambda: None, queued=True) == 2e-3
    assert torch.cuda._sleep.called
    assert card.call_args.kwargs == {"enable_timing": True}
    facts = clock.facts()
    assert (facts["card"], facts["capability"], facts["l2_bytes"]) == ("a card", "9.0", 50 << 20)
    assert torch.empty.call_args.args[0] * 4 >= 4 * clock.cache_bytes
