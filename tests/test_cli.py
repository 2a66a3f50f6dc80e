"""The command line: what it prints, in text and JSON, and its exit codes."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import qecompile as qe
from qecompile import cli, tables
from qecompile.errors import IRError

MLP = """
spec mlp(widths: ints = [2, 3, 2]) {
  let L = len(widths) - 1
  space a[0]                 = widths[0] : fixed
  space a[i] for i in 1..L-1 = widths[i] : permute * scale
  space a[L]                 = widths[L] : fixed
  param W[i] for i in 1..L : a[i] <- a[i-1]
  param b[i] for i in 1..L : a[i]
  expect dim(W[1] -> W[1]) == 4
  expect dim(W[2] -> W[2]) == 4
  expect dim(b[1] -> W[2]) == 0
}
"""
WRONG = "spec wrong {\n  space h = 4 : permute\n  param b : h\n\n  expect dim(b -> b) == 3\n}\n"
MISTAKE = "spec broken {\n  space h = 4 : permutte\n  param b : h\n}\n"


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    path = tmp_path / "mlp.sym"
    path.write_text(MLP)
    return path


def write(folder: Path, text: str) -> Path:
    path = folder / "given.sym"
    path.write_text(text)
    return path


class TestCheck:
    def test_json_has_the_promised_keys(self, qecompile, mlp):
        outcome = qecompile("check", mlp, "--json")
        assert outcome.code == 0
        found = outcome.json
        assert list(found) == ["spec", "params", "group", "expect", "ok"]
        assert found["params"]["W[1]"] == {"shape": [3, 2], "axes": ["a[1]", "a[0]"]}
        assert found["params"]["W[2]"] == {"shape": [2, 3], "axes": ["a[2]", "a[1]*"]}
        assert found["group"]["continuous_dim"] == 3
        assert all(list(f) == ["space", "group", "copies", "dim"] for f in found["group"]["factors"])
        assert found["expect"][0] == {"text": "dim(W[1] -> W[1]) == 4", "ok": True, "actual": 4}
        assert found["ok"] is True

    def test_text_lists_parameters_group_and_expectations(self, qecompile, mlp):
        outcome = qecompile("check", mlp)
        assert outcome.code == 0
        assert "spec mlp(widths=[2, 3, 2])" in outcome.out
        assert "  W[1]  3 x 2  a[1] a[0]" in outcome.out
        assert "3 passed, 0 failed" in outcome.out
        assert "\x1b" not in outcome.out

    def test_a_failed_expect_is_shown_with_its_line_and_both_numbers(self, qecompile, tmp_path):
        outcome = qecompile("check", write(tmp_path, WRONG))
        assert outcome.code == 1
        row = next(line for line in outcome.out.splitlines() if "FAIL" in line)
        assert row.split() == ["FAIL", "5", "dim(b", "->", "b)", "==", "3", "==", "3", "2"]

    def test_a_failed_expect_fails_in_json_too(self, qecompile, tmp_path):
        outcome = qecompile("check", write(tmp_path, WRONG), "--json")
        assert outcome.code == 1
        assert outcome.json["expect"] == [{"text": "dim(b -> b) == 3", "ok": False, "actual": 2}]
        assert outcome.json["ok"] is False

    @pytest.mark.parametrize("asked", ["preserves model", "maximal model"])
    def test_a_model_that_is_not_there_is_bad_input(self, qecompile, tmp_path, asked):
        text = f'spec s {{ space h = 4 : permute param b : h model "no_such_module:f" expect {asked} }}'
        outcome = qecompile("check", write(tmp_path, text), "--json")
        assert outcome.code == 2
        assert outcome.json["diagnostics"][0]["code"] == "QE300"

    @pytest.mark.parametrize(
        ("asked", "actual"),
        [
            ("dim(b -> b) >= 2", 2),
            ("dim(b -> b) != 3", 2),
            ("diagrams(b -> b) < 3", 2),
            ("invariants(b) == 1", 1),
            ("orbit_dim == 0", 0),
        ],
    )
    def test_every_kind_and_relation(self, qecompile, tmp_path, asked, actual):
        path = write(tmp_path, f"spec s {{ space h = 4 : permute param b : h expect {asked} }}")
        (found,) = qecompile("check", path, "--json").json["expect"]
        assert (found["ok"], found["actual"]) == (True, actual)

    def test_what_is_too_large_to_enumerate_is_told_at_the_expect(self, qecompile, tmp_path):
        path = write(
            tmp_path,
            "spec s {\n space h = 9 : permute\n param T : [h,h,h,h,h,h]\n expect dim(T -> T) == 1\n}",
        )
        outcome = qecompile("check", path, "--json")
        assert outcome.code == 2
        assert [d["line"] for d in outcome.json["diagnostics"]] == [4]

    @pytest.mark.parametrize(
        ("entries", "code"),
        [
            ("activation tanh", "QE702"),
            ("activation nonsense", "QE701"),
            ("readout invariant -> 3", "QE705"),
            ("activation gate", "QE705"),
        ],
    )
    def test_what_build_refuses_is_told_at_the_network(self, qecompile, tmp_path, entries, code):
        path = write(
            tmp_path,
            "spec s {\n space h = 4 : linear\n param b : h\n metanet fine { }\n"
            f" metanet m {{ {entries} }}\n}}",
        )
        for words in (["check", path], ["build", path, "-o", tmp_path / "m.py", "--metanet", "m"]):
            outcome = qecompile(*words, "--json")
            assert outcome.code == 2
            assert [(d["code"], d["line"]) for d in outcome.json["diagnostics"]] == [(code, 5)]


class TestDerive:
    def test_json_leaves_out_pairs_without_maps(self, qecompile, mlp):
        found = qecompile("derive", mlp, "--json").json
        assert list(found) == ["spec", "hom", "invariants"]
        pairs = {(pair["source"], pair["target"]): pair for pair in found["hom"]}
        assert ("b[1]", "W[2]") not in pairs
        assert pairs["W[1]", "W[1]"] == {"source": "W[1]", "target": "W[1]", "dim": 4, "diagrams": 1}
        assert found["invariants"] == {"W[1]": 0, "W[2]": 0, "b[1]": 0, "b[2]": 2}

    def test_text_aligns_its_columns(self, qecompile, mlp):
        outcome = qecompile("derive", mlp)
        assert outcome.code == 0
        start = outcome.out.splitlines().index("equivariant linear maps (pairs of dimension 0 are left out)")
        header, first = outcome.out.splitlines()[start + 1 : start + 3]
        assert header.split() == ["source", "target", "dim", "diagrams"]
        assert len(header) == len(first)


class TestArguments:
    def test_define_overrides_a_parameter(self, qecompile, mlp):
        outcome = qecompile("check", mlp, "-D", "widths=[5,7,2]", "--json")
        assert outcome.json["params"]["W[1]"]["shape"] == [7, 5]
        assert outcome.code == 1  # the expectations were written for other widths

    def test_spec_picks_one_of_several_and_the_last_is_the_default(self, qecompile, tmp_path):
        body = "{ space h = 4 : permute param b : h }"
        path = write(tmp_path, f"spec one {body}\nspec two {body}\n")
        assert qecompile("check", path, "--spec", "one", "--json").json["spec"] == "one"
        assert qecompile("check", path, "--json").json["spec"] == "two"
        assert qecompile("check", path, "--spec", "three").code == 2


class TestBuild:
    def test_json_and_the_file(self, qecompile, mlp, tmp_path):
        target = tmp_path / "out.py"
        outcome = qecompile("build", mlp, "-o", target, "--json")
        assert outcome.code == 0
        assert list(outcome.json) == ["output", "classes", "kernels", "parameters", "parts"]
        assert outcome.json["output"] == str(target)
        assert "EquivariantLinear" in outcome.json["classes"]
        assert outcome.json["kernels"] == []
        net = qe.build(qe.load(mlp)).MetaNet()
        assert outcome.json["parameters"] == sum(p.numel() for p in net.parameters())
        assert sum(outcome.json["parts"].values()) == outcome.json["parameters"]
        assert target.read_text() == qe.pipeline.generate(qe.load(mlp))
        assert sorted(os.listdir(tmp_path)) == ["mlp.sym", "out.py"]

    def test_kernels_unless_they_are_not_wanted(self, qecompile, tmp_path):
        text = "spec s { space a = 40 : permute  space b = 30 : permute  param W : b <- a }"
        source, target = write(tmp_path, text), tmp_path / "out.py"
        outcome = qecompile("build", source, "-o", target, "--json")
        assert "_mix_W_backward" in outcome.json["kernels"]
        assert "`lowering(x)` says what serves" in target.read_text()
        assert "Triton kernels for large tensors" in qecompile("build", source, "-o", target).out
        outcome = qecompile("build", source, "-o", target, "--no-kernels", "--json")
        assert outcome.json["kernels"] == []
        assert "riton" not in target.read_text()

    def test_the_counts_come_before_the_file(self, qecompile, mlp, tmp_path, monkeypatch):
        def fail(*_: object) -> None:
            raise PermissionError(13, "Permission denied", "elsewhere")

        monkeypatch.setattr(cli, "write_source", fail)
        outcome = qecompile("build", mlp, "-o", tmp_path / "out.py")
        assert outcome.code == 2
        assert "EquivariantLinear" in outcome.out
        assert "permission denied" in outcome.err

    def test_the_spec_itself_is_not_overwritten(self, qecompile, mlp):
        outcome = qecompile("build", mlp, "-o", mlp)
        assert outcome.code == 2
        assert mlp.read_text() == MLP

    @pytest.mark.parametrize("place", ["missing/out.py", "."])
    def test_an_output_that_cannot_be_written(self, qecompile, mlp, tmp_path, place):
        outcome = qecompile("build", mlp, "-o", tmp_path / place, "--json")
        assert outcome.code == 2
        assert "cannot write" in outcome.json["diagnostics"][0]["message"]
        assert os.listdir(tmp_path) == ["mlp.sym"]

    def test_a_device_is_written_to_and_not_replaced(self, qecompile, mlp):
        assert qecompile("build", mlp, "-o", "/dev/null").code == 0
        assert Path("/dev/null").is_char_device()


class TestBadInput:
    def test_text_shows_the_place_on_standard_error(self, qecompile, tmp_path):
        path = write(tmp_path, MISTAKE)
        outcome = qecompile("check", path)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"--> {path}:2:17" in outcome.err
        assert "^" in outcome.err
        assert "permute" in outcome.err.split("help:")[1]

    def test_json_gives_the_diagnostics_as_data(self, qecompile, tmp_path):
        outcome = qecompile("check", write(tmp_path, MISTAKE), "--json")
        assert (outcome.code, outcome.err) == (2, "")
        assert outcome.json["ok"] is False
        assert outcome.json["diagnostics"][0]["line"] == 2

    @pytest.mark.parametrize("command", ["check", "derive"])
    def test_files_that_cannot_be_read(self, qecompile, tmp_path, command):
        binary = tmp_path / "binary.sym"
        binary.write_bytes(b"\xff\xfe\x00spec")
        for path in [tmp_path / "missing.sym", tmp_path, binary]:
            outcome = qecompile(command, path)
            assert outcome.code == 2, path
            assert str(path) in outcome.err
            assert "Traceback" not in outcome.err

    @pytest.mark.parametrize(
        "words",
        [
            ["check"],
            ["nonsense"],
            ["check", "{file}", "--nonsense"],
            ["check", "{file}", "-D"],
            ["check", "{file}", "-D", "widths"],
            ["check", "{file}", "-D", "width=[2,3]"],
            ["check", "{file}", "-D", "widths=oops"],
            ["build", "{file}"],
        ],
    )
    def test_command_lines_that_mean_nothing(self, qecompile, mlp, words):
        words = [word.format(file=mlp) for word in words]
        plain, data = qecompile(*words), qecompile(*words, "--json")
        assert (plain.code, data.code) == (2, 2)
        assert plain.err.startswith("error[QE")
        assert data.json["diagnostics"][0]["message"]

    @pytest.mark.parametrize("command", sorted(cli.LATER))
    def test_commands_that_come_later_say_so(self, qecompile, mlp, command):
        outcome = qecompile(command, mlp, "--seed", "3")
        assert (outcome.code, outcome.out) == (2, "")
        assert "not built yet" in outcome.err

    def test_a_mistake_of_the_compiler_is_not_blamed_on_the_user(self, qecompile, mlp, monkeypatch):
        def fail(*_: object) -> None:
            raise IRError("a plan without an end")

        monkeypatch.setattr(cli.pipeline, "derive", fail)
        outcome = qecompile("derive", mlp)
        assert outcome.code == cli.OUR_FAULT
        assert "a plan without an end" in outcome.err


class TestProcess:
    """What only a process of its own can show."""

    def test_version_and_help(self, qecompile):
        assert qecompile("--version").out.startswith("qecompile 0.")
        assert "derive" in qecompile("--help").out
        assert qecompile().code == 2

    @pytest.mark.parametrize("command", ["check", "derive"])
    def test_no_torch_is_imported(self, mlp, command):
        program = (
            "import sys; from qecompile.cli import main; code = main(sys.argv[1:]); "
            "sys.exit('torch was imported' if 'torch' in sys.modules else code)"
        )
        subprocess.run([sys.executable, "-c", program, command, mlp], check=True, capture_output=True)

    @pytest.mark.parametrize(("command", "stream"), [("derive", "stdout"), ("nonsense", "stderr")])
    def test_a_reader_that_leaves_early_is_no_mistake(self, mlp, command, stream):
        run = subprocess.Popen(
            [sys.executable, "-m", "qecompile", command, mlp],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        gone, read = (run.stdout, run.stderr) if stream == "stdout" else (run.stderr, run.stdout)
        gone.close()
        with read:
            assert read.read() == ""
        assert run.wait() == (cli.NO_READER if stream == "stdout" else cli.BAD_INPUT)

    def test_an_interrupt_leaves_quietly(self, mlp):
        program = (
            "import signal, sys; from qecompile import cli; "
            "signal.signal(signal.SIGINT, signal.default_int_handler); "  # ignored in background jobs
            f"cli.pipeline.derive = lambda spec: signal.raise_signal({int(signal.SIGINT)}); "
            "sys.exit(cli.main(sys.argv[1:]))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, "derive", mlp], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout, run.stderr) == (cli.INTERRUPTED, "", "")


class TestPython:
    def test_the_public_names(self):
        names = {"Group", "SymError", "__version__", "build", "derive", "emit", "infer", "load", "parse"}
        names |= {"prove"} | {"act_checkpoint", "read_checkpoint", "stream_checkpoint"}
        names |= {"load_element", "save_element", "align"}
        assert set(qe.__all__) == names <= set(dir(qe))
        assert all(getattr(qe, name) for name in qe.__all__)
        assert not hasattr(qe, "nonsense")

    def test_load_takes_arguments_by_name(self, mlp):
        spec = qe.load(mlp, widths=[784, 64, 10])
        assert spec.params["W[1]"].shape == (64, 784)

    def test_parse_raises_with_a_place(self):
        with pytest.raises(qe.SymError) as caught:
            qe.parse(MISTAKE)
        assert (caught.value.line, caught.value.column) == (2, 17)

    def test_emit_does_not_depend_on_hashing(self, mlp, tmp_path):
        texts = set()
        for seed in "0123":
            target = tmp_path / f"{seed}.py"
            program = "import sys, qecompile as qe; qe.emit(qe.load(sys.argv[1]), sys.argv[2])"
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            subprocess.run([sys.executable, "-c", program, mlp, target], check=True, env=environment)
            texts.add(target.read_text())
        assert len(texts) == 1


class TestBuiltModule:
    @pytest.fixture
    def module(self, mlp):
        return qe.build(qe.load(mlp))

    def test_equal_specs_share_one_module(self, module, mlp):
        assert qe.build(qe.load(mlp)) is module
        assert qe.build(qe.load(mlp, widths=[2, 4, 2])) is not module

    def test_its_source_can_be_read(self, module):
        import inspect

        assert "class EquivariantLinear" in inspect.getsource(module.EquivariantLinear)

    def test_its_objects_can_be_pickled_into_another_process(self, module, mlp, tmp_path):
        saved = tmp_path / "layer.pickle"
        saved.write_bytes(pickle.dumps(module.EquivariantLinear(1, 1)))
        program = (
            "import sys, pickle, qecompile as qe; qe.build(qe.load(sys.argv[1])); "
            "print(type(pickle.load(open(sys.argv[2], 'rb'))).__name__)"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, mlp, saved], check=True, capture_output=True, text=True
        )
        assert run.stdout.strip() == "EquivariantLinear"

    def test_its_folder_goes_with_the_process(self, mlp):
        program = "import sys, qecompile as qe; print(qe.build(qe.load(sys.argv[1])).__file__)"
        run = subprocess.run([sys.executable, "-c", program, mlp], check=True, capture_output=True, text=True)
        assert not Path(run.stdout.strip()).parent.exists()


class TestRendering:
    def test_a_terminal_gets_colour_and_the_same_words(self):
        table = tables.Table("sizes", ("name", "size"), (("a[0]", "784"),))
        coloured = tables.render(["before", table], width=60)
        assert "\x1b[" in coloured
        for word in ["before", "sizes", "a[0]", "784"]:
            assert word in coloured

    def test_a_table_without_rows_has_a_header(self):
        assert tables.render([tables.Table("none", ("a", "b"), ())]) == "none\n  a  b"


def test_json_is_the_only_thing_on_standard_output(qecompile: Callable[..., object], mlp: Path) -> None:
    for command in ["check", "derive"]:
        assert json.loads(qecompile(command, mlp, "--json").out)


def test_warnings_go_to_standard_error_and_fail_nothing(qecompile, tmp_path) -> None:
    path = tmp_path / "w.sym"
    path.write_text("spec w { let k = 3  space a = 2 : permute  param p : a }")
    outcome = qecompile("check", path, "--json")
    assert outcome.code == 0
    assert outcome.json["ok"]
    assert "warning[QE028]: `k` is never used" in outcome.err
