"""Reading checkpoints: layouts, what is told about a checkpoint that does not fit, and hostile files."""

from __future__ import annotations

import itertools
import json
import math
import os
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from checkpoint_files import ATTENTION, MLP, data_start, entry, write_raw
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import qecompile as qe
from qecompile.checkpoints.contents import read_entries
from qecompile.checkpoints.header import LARGEST_HEADER, LARGEST_UNICODE_HEADER, MOST_VALUES
from qecompile.checkpoints.layouts import Comb
from qecompile.checkpoints.records import LARGEST_PICKLE
from qecompile.checkpoints.suggestions import KeySuggester
from qecompile.spec import Spec


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def mlp_state() -> dict[str, torch.Tensor]:
    W1, b1, W2, b2 = tensors((4, 3), (4,), (2, 4), (2,))
    return {"layers.0.weight": W1, "layers.0.bias": b1, "layers.2.weight": W2, "layers.2.bias": b2}


def mistakes(spec: Spec, path: Path, names: list[str] | None = None) -> list[str]:
    """The diagnostics of reading a checkpoint, each in one text."""
    with pytest.raises(qe.SymError) as caught:
        qe.read_checkpoint(spec, path, names)
    return [d.render() for d in caught.value.diagnostics]


def only_mistake(spec: Spec, path: Path, names: list[str] | None = None) -> str:
    (found,) = mistakes(spec, path, names)
    return found


def stored_as(path: Path, statement: str, *shape: int, dtype: torch.dtype = torch.float32) -> str:
    """What is told about one parameter whose entry `k` has a shape."""
    save_file({"k": torch.zeros(shape, dtype=dtype)}, path)
    return only_mistake(qe.parse(f"spec s {{ {statement} }}"), path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


class TestReading:
    def test_parameters_come_by_name_in_the_order_of_the_spec(self, path):
        state = mlp_state()
        save_file(state, path)
        spec = qe.parse(MLP)
        theta = qe.read_checkpoint(spec, path)
        assert [*theta] == [*spec.params]
        assert all(theta[name].shape == p.shape for name, p in spec.params.items())
        assert all(torch.equal(theta[name], state[p.source.key]) for name, p in spec.params.items())

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
    def test_dtypes_stay(self, path, dtype):
        state = {name: t.to(dtype) for name, t in mlp_state().items()}
        save_file(state, path)
        theta = qe.read_checkpoint(qe.parse(MLP), path)
        assert all(t.dtype == dtype for t in theta.values())
        assert torch.equal(theta["W[2]"], state["layers.2.weight"])

    def test_slices_of_one_entry(self, path):
        (stored,) = tensors((18, 6))
        save_file({"in_proj_weight": stored}, path)
        theta = qe.read_checkpoint(qe.parse(ATTENTION), path, ["W_Q", "W_K", "W_V"])
        for k, name in enumerate(theta):
            assert torch.equal(theta[name], stored[6 * k : 6 * k + 6].view(2, 3, 6))

    def test_slices_between_other_factors(self, path):
        text = """spec neox { space D = 2 : fixed  space head = 3 : permute { space qk = 4 : linear }
          param W_Q : head qk  <- D from "qkv" as "(head part qk) D" at part = 0
          param W_K : head qk* <- D from "qkv" as "(head part qk) D" at part = 1 }"""
        (stored,) = tensors((24, 2))
        save_file({"qkv": stored}, path)
        theta = qe.read_checkpoint(qe.parse(text), path)
        assert torch.equal(theta["W_K"], stored.view(3, 2, 4, 2)[:, 1])

    def test_scalars_and_axes_of_size_1(self, path):
        save_file({"s": torch.tensor(3.0), "u": torch.full((1, 2, 1), 5.0)}, path)
        spec = qe.parse(
            'spec s { space h = 2 : permute param s : [] from "s" param u : h from "u" as "1 h (1 1)" }'
        )
        theta = qe.read_checkpoint(spec, path)
        assert theta["s"].shape == ()
        assert theta["s"] == 3
        assert torch.equal(theta["u"], torch.tensor([5.0, 5.0]))

    def test_what_is_read_shares_no_memory(self, path):
        save_file({"k": torch.zeros(2, 2)}, path)
        spec = qe.parse(
            "spec s { space h = 1 : fixed space x = 2 : fixed "
            'param p : h <- x from "k" as "(n h) x" at n = 0 param q : x <- x from "k" }'
        )
        theta = qe.read_checkpoint(spec, path)
        theta["p"] += 1
        assert not theta["q"].any()

    def test_streaming_gives_the_same(self, path):
        save_file(mlp_state(), path)
        spec = qe.parse(MLP)
        theta = qe.read_checkpoint(spec, path)
        streamed = dict(qe.stream_checkpoint(spec, path))
        assert streamed.keys() == theta.keys()
        assert all(torch.equal(streamed[name], theta[name]) for name in theta)

    def test_parameters_of_included_specs_and_indexed_spaces(self, path):
        text = """
          spec block(n: int) {
            space D = 2 : permute
            space head[i] for i in 1..n = 3 : permute { space qk[i] = 2 : linear }
            param Q[i] for i in 1..n : head[i] qk[i] <- D  from "q{i}" as "D (head qk)"
          }
          spec two { include block(n = 2) as layer }"""
        first, second = tensors((2, 6), (2, 6))
        save_file({"q1": first, "q2": second}, path)
        theta = qe.read_checkpoint(qe.parse(text), path)
        assert torch.equal(theta["layer.Q[2]"], second.view(2, 3, 2).permute(1, 2, 0))


LETTERS = "abcd"


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[int], list[list[str | int]], int, int]:
    """Sizes of axes; per stored axis its factors (axes by number, a slice as `part`); its count and value."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    factors: list[str | int] = draw(st.permutations(range(len(sizes))))
    count = draw(st.integers(1, 3))
    if draw(st.booleans()):
        factors = [*factors]
        factors.insert(draw(st.integers(0, len(factors))), "part")
    cuts = draw(st.lists(st.integers(0, len(factors)), max_size=3).map(sorted))
    groups = [list(factors[a:b]) for a, b in itertools.pairwise([0, *cuts, len(factors)])]
    return sizes, groups, count, draw(st.integers(0, count - 1))


def layout_spec(sizes: list[int], groups: list[list[str | int]], value: int) -> Spec:
    spaces = " ".join(f"space {x} = {n} : permute" for x, n in zip(LETTERS, sizes, strict=False))
    layout = " ".join(f"({' '.join(LETTERS[f] if isinstance(f, int) else f for f in g)})" for g in groups)
    at = f"at part = {value}" if any("part" in g for g in groups) else ""
    axes = " ".join(LETTERS[: len(sizes)])
    return qe.parse(f'spec s {{ {spaces} param p : {axes} from "k" as "{layout}" {at} }}')


def stored_index(
    index: tuple[int, ...], sizes: list[int], groups: list[list[str | int]], count: int, value: int
) -> tuple[int, ...]:
    """Where an entry of the parameter is stored, factor by factor."""
    found = []
    for group in groups:
        position = 0
        for factor in group:
            size, i = (sizes[factor], index[factor]) if isinstance(factor, int) else (count, value)
            position = position * size + i
        found.append(position)
    return tuple(found)


@settings(max_examples=60)
@given(layouts())
def test_layouts_mean_what_their_definition_says(tmp_path_factory, drawn):
    sizes, groups, count, value = drawn
    shape = [math.prod(sizes[f] if isinstance(f, int) else count for f in g) for g in groups]
    stored = torch.arange(math.prod(shape), dtype=torch.float64).view(shape)
    path = tmp_path_factory.mktemp("layout") / "k.safetensors"
    save_file({"k": stored}, path)
    read = qe.read_checkpoint(layout_spec(sizes, groups, value), path)["p"]
    assert read.shape == tuple(sizes)
    for index in itertools.product(*map(range, sizes)):
        assert read[index] == stored[stored_index(index, sizes, groups, count, value)]


@settings(max_examples=200)
@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_combs_meet_iff_they_share_an_index(outer, other_outer, data):
    size = outer * other_outer * data.draw(st.integers(1, 4))
    combs = []
    for divisor in (outer, other_outer):
        period = size // divisor
        length = data.draw(st.integers(1, period))
        combs.append(Comb(period, data.draw(st.integers(0, period - length)), length))
    first, second = ({i for i in range(size) if c.first <= i % c.period < c.first + c.length} for c in combs)
    assert combs[0].meets(combs[1]) == bool(first & second)


class TestLayoutsOfSpecs:
    def test_a_slice_is_not_called_like_an_axis(self):
        with pytest.raises(qe.SymError, match="called like an axis"):
            qe.parse('spec s { space h = 2 : fixed param p : h from "k" as "(h h)" at h = 0 }')

    def test_a_stored_axis_has_one_slice(self):
        with pytest.raises(qe.SymError, match="cannot be told apart"):
            qe.parse('spec s { space h = 2 : fixed param p : h from "k" as "(m n h)" at m = 0 at n = 0 }')
        spec = 'spec s { space h = 2 : fixed param p : h from "k" as "(m h) (n)" at m = 0 at n = 0 }'
        assert qe.parse(spec).params["p"].source.at == (("m", 0), ("n", 0))


class TestMistakes:
    HEADS = "space D = 5 : permute space head = 2 : permute { space qk = 3 : linear }"

    def test_all_are_told_at_once_in_place(self, path):
        state = mlp_state()
        state["layers.2.weight"] = state["layers.2.weight"].T.contiguous()
        state["layers.2.bias"] = torch.arange(2)
        del state["layers.0.bias"]
        save_file(state, path)
        found = mistakes(qe.parse(MLP), path)
        assert [text.partition("]")[0] for text in found] == ["error[QE211", "error[QE210", "error[QE212"]
        assert "<text>:7:9" in found[0]
        assert 'it would fit with: as "a[1] a[2]"' in found[0]
        assert "no entry `layers.0.bias`" in found[1]
        assert "holds numbers of type I64" in found[2]

    def test_the_turns_of_a_loop_are_told_together(self, path):
        save_file({"a": torch.zeros(1)}, path)
        first, second = mistakes(qe.parse(MLP, widths=[3, 4, 4, 4, 4, 4, 4, 2]), path)
        assert "`W[1]`: there is no entry" in first
        assert "note: the same goes for `W[2]`, `W[3]`, `W[4]`, `W[5]` and 2 more" in first
        assert "`b[1]`: there is no entry" in second

    @pytest.mark.parametrize(
        ("statement", "shape", "advice"),
        [
            ('param W : head qk <- D from "k"', (6, 5), 'as "(head qk) D"'),
            ('param W : head qk <- D from "k"', (5, 6), 'as "D (head qk)"'),
            ('param W : head qk <- D from "k" as "(head qk) D"', (5, 6), 'as "D (head qk)"'),
            ('param W : head qk <- D from "k"', (5, 2, 3), 'as "D head qk"'),
            ('param W : head qk <- D from "k"', (18, 5), 'as "(part head qk) D" at part = 0'),
            (
                'param W : head qk <- D from "k" as "(p head qk) D" at p = 1',
                (5, 12),
                'as "D (p head qk)" at p = 1',
            ),
            ('param W : [] from "k"', (1,), 'as "1"'),
            ('param W : D from "k"', (5, 1), 'as "D 1"'),
        ],
    )  # fmt: skip
    def test_what_would_fit_is_suggested(self, path, statement, shape, advice):
        used = "param all : [D, head, qk]"
        found = stored_as(path, f"{self.HEADS} {statement} {used}", *shape)
        assert found.endswith(f"fit with: {advice}")
        plain = statement.partition(" as ")[0]
        spec = qe.parse(f"spec s {{ {self.HEADS} {plain} {advice} {used} }}")
        assert qe.read_checkpoint(spec, path)["W"].shape == spec.params["W"].shape

    @pytest.mark.parametrize(
        ("statement", "shape", "advice"),
        [
            ('param W : head qk <- D from "k" as "(p head qk) D" at p = 3', (18, 5), "there are 3"),
            ('param W : head qk <- D from "k"', (7, 7), 'as in: as "(head qk) D"'),
            ('param W : head <- D from "k"', (2, 7), "`D` has 5 values here and 7 in the file"),
        ],
    )
    def test_what_else_could_be_meant(self, path, statement, shape, advice):
        found = stored_as(path, f"{self.HEADS} {statement} param all : [D, head, qk]", *shape)
        assert advice in found.partition("help: ")[2]

    def test_equal_names_are_told_apart_by_their_index(self, path):
        spaces = "space a[i] for i in 1..2 = i + 1 : permute"
        assert 'as "a[1] a[2]"' in stored_as(path, f'{spaces} param W : a[2] <- a[1] from "k"', 2, 3)

    def test_sizes_name_the_arguments_of_the_spec(self, path):
        save_file({"k": torch.zeros(7)}, path)
        spec = qe.parse('spec s(n: int = 5, t: text = "x") { space h = n : fixed param p : h from "k" }')
        assert "5 values here and 7 in the file: set `n` with -D" in only_mistake(spec, path)

    def test_shapes_of_many_axes_are_not_searched(self, path):
        spaces = " ".join(f"space x{i} = 1 : fixed" for i in range(20))
        axes = " ".join(f"x{i}" for i in range(20))
        assert "QE211" in stored_as(path, f'{spaces} param p : {axes} from "k"', *[1] * 40, 2)

    @pytest.mark.parametrize(
        ("key", "near"),
        [
            ("encoder.layer.1.weight", "bert.encoder.layer.1.weight"),
            ("encoder.layer.7.weight", "bert.encoder.layer.0.weight"),
            ("bert.encoder.layers.1.weigth", "bert.encoder.layer.1.weight"),
            ("model.head.bias", "head.bias"),
            ("something.else", None),
        ],
    )
    def test_keys(self, key, near):
        names = ["bert.encoder.layer.0.weight", "bert.encoder.layer.1.weight", "head.bias"]
        assert KeySuggester(names).suggest(key) == near

    def test_a_key_like_no_other_shows_what_is_there(self, path):
        save_file({f"{c}{c}": torch.zeros(1) for c in "uvwxyz"}, path)
        found = mistakes(qe.parse(MLP), path)[0]
        assert found.endswith("help: not used yet: `uu`, `vv`, `ww`, `xx` and 2 more")

    def test_parameters_without_an_entry_matter_only_if_asked_for(self, path):
        save_file({"k": torch.zeros(2)}, path)
        spec = qe.parse('spec s { space h = 2 : fixed param p : h from "k" param q : h param r : h }')
        assert [*qe.read_checkpoint(spec, path)] == ["p"]
        assert "where `q`, `r` are stored" in only_mistake(spec, path, ["r", "p", "q"])
        assert "no parameter `s`" in only_mistake(spec, path, ["s"])

    def test_a_spec_without_entries(self, path):
        save_file({"k": torch.zeros(2)}, path)
        spec = qe.parse("spec s { space h = 2 : fixed param p : h }")
        assert "does not say where `p` is stored" in only_mistake(spec, path)

    def test_too_many_parameters_in_one_entry(self, path):
        save_file({"k": torch.zeros(2)}, path)
        text = 'spec s { space h = 2 : fixed param p[i] for i in 0..1000 : h from "k" as "(n h)" at n = i }'
        assert "at most 1000" in only_mistake(qe.parse(text), path)

    @pytest.mark.parametrize(
        "dtype", [torch.int8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16]
    )
    def test_dtypes_that_are_no_parameters(self, path, dtype):
        found = stored_as(path, 'space h = 2 : fixed param p : h from "k"', 2, dtype=dtype)
        assert "error[QE212]" in found


class TestCheckCommand:
    @pytest.fixture
    def spec(self, tmp_path: Path) -> Path:
        path = tmp_path / "mlp.sym"
        path.write_text(MLP)
        return path

    def test_json_of_a_checkpoint_that_fits(self, qecompile, spec, path):
        save_file({**mlp_state(), "extra": torch.zeros(3)}, path)
        outcome = qecompile("check", spec, "--checkpoint", path, "--json")
        assert outcome.code == 0
        assert outcome.json["checkpoint"] == {
            "ok": True,
            "missing": [],
            "unused": ["extra"],
            "partly_used": {},
            "mismatched": [],
        }
        assert outcome.json["ok"] is True

    def test_json_of_one_that_does_not(self, qecompile, spec, path):
        state = mlp_state()
        state["model.layers.2.bias"] = state.pop("layers.2.bias")
        state["layers.0.weight"] = torch.zeros(3, 4)
        save_file(state, path)
        outcome = qecompile("check", spec, "--checkpoint", path, "--json")
        assert outcome.code == 1
        assert outcome.json["ok"] is False
        found = outcome.json["checkpoint"]
        assert found["ok"] is False
        assert found["unused"] == ["model.layers.2.bias"]
        (missing,), (mismatched,) = found["missing"], found["mismatched"]
        assert (missing["param"], missing["key"]) == ("b[2]", "layers.2.bias")
        assert missing["help"] == "did you mean `model.layers.2.bias`?"
        assert (mismatched["param"], mismatched["expected"]) == ("W[1]", [4, 3])
        assert mismatched["found"] == {"dtype": "F32", "shape": [3, 4]}
        assert mismatched["help"] == 'it would fit with: as "a[0] a[1]"'

    def test_text(self, qecompile, tmp_path, path):
        spec = tmp_path / "attention.sym"
        spec.write_text(ATTENTION.replace('  param b_V : head vo        from "in_proj_bias"', "  #"))
        save_file(
            dict(in_proj_weight=torch.zeros(18, 6), in_proj_bias=torch.zeros(18), x=torch.zeros(1)), path
        )
        outcome = qecompile("check", spec, "--checkpoint", path)
        assert outcome.code == 1
        assert "error[QE210]: `W_O`: there is no entry `out_proj.weight`" in outcome.out
        assert f"parameters in `{path}`: 5 found, 2 missing, 0 mismatched" in outcome.out
        assert "unused entries: `x`" in outcome.out
        assert "entries used in part: `in_proj_bias`" in outcome.out

    def test_numbers_that_are_read_twice_are_a_warning(self, qecompile, tmp_path, path):
        spec = tmp_path / "tied.sym"
        spec.write_text('spec s { space h = 2 : fixed param p : h from "k" param q : h from "k" }')
        save_file({"k": torch.zeros(2)}, path)
        outcome = qecompile("check", spec, "--checkpoint", path)
        assert outcome.code == 0
        assert "warning[QE214]: `p` and `q` are the same numbers" in outcome.out

    def test_a_damaged_file_is_bad_input(self, qecompile, spec, path):
        path.write_bytes(b"12345678{}")
        plain, data = (qecompile("check", spec, "--checkpoint", path, *more) for more in [(), ("--json",)])
        assert (plain.code, plain.out) == (2, "")
        assert plain.err.startswith("error[QE201]")
        assert data.json["diagnostics"][0]["code"] == "QE201"

    @pytest.mark.parametrize(
        "name", ["model.onnx", "model.safetensors.index.json", "model", "gone.safetensors"]
    )
    def test_files_of_other_kinds(self, qecompile, spec, tmp_path, name):
        outcome = qecompile("check", spec, "--checkpoint", tmp_path / name)
        assert outcome.code == 2
        assert outcome.err.startswith("error[QE200]")

    def test_things_that_are_no_files(self, qecompile, spec, tmp_path):
        folder, pipe = tmp_path / "folder.safetensors", tmp_path / "pipe.pt"
        folder.mkdir()
        os.mkfifo(pipe)
        assert "is a directory" in qecompile("check", spec, "--checkpoint", folder).err
        assert "is not a regular file" in qecompile("check", spec, "--checkpoint", pipe).err

    def test_names_in_a_file_cannot_control_the_terminal(self, qecompile, spec, path):
        save_file({**mlp_state(), "\x1b[2Jx\ny": torch.zeros(1), "x" * 500: torch.zeros(1)}, path)
        outcome = qecompile("check", spec, "--checkpoint", path)
        assert "`?[2Jx?y`" in outcome.out
        assert "x" * 101 not in outcome.out

    def test_torch_is_not_imported_for_safetensors(self, spec, path):
        save_file(mlp_state(), path)
        program = (
            "import sys; from qecompile.cli import main; code = main(sys.argv[1:]); "
            "sys.exit('torch was imported' if 'torch' in sys.modules else code)"
        )
        words = [sys.executable, "-c", program, "check", spec, "--checkpoint", path]
        subprocess.run(words, check=True, capture_output=True)


F32 = entry("F32", [1], 0, 4)
LYING_HEADERS = {
    "no object": (b"[]", b"", "does not start with `{`"),
    "empty": (b"", b"", "does not start with `{`"),
    "space in front": (b" {}", b"", "does not start with `{`"),
    "no JSON": (b'{"a":', b"", "is not JSON"),
    "more behind it": (b"{} {}", b"", "is not JSON"),
    "not UTF-8": (b'{"\xff":1}', b"", "not text in UTF-8: byte 3"),
    "an entry twice": (b'{"a":{},"a":{}}', b"", "`a` stands twice"),
    "a field twice": (b'{"a":{"dtype":"F32","dtype":"F32"}}', b"", "`dtype` stands twice"),
    "half a character": (rb'{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"1234", "no text"),
    "nested deeply": (b'{"a":' + b"[" * 100_000, b"", "nested too deeply"),
    "a long number": (b'{"a":' + b"1" * 5000 + b"}", b"", "is not JSON"),
    "no dictionary": ({"a": 1}, b"", "has not exactly the fields"),
    "a field too few": ({"a": {"dtype": "F32", "shape": [1]}}, b"1234", "has not exactly the fields"),
    "a field too many": ({"a": {**F32, "more": 1}}, b"1234", "has not exactly the fields"),
    "unknown dtype": ({"a": entry("F31", [1], 0, 4)}, b"1234", "unknown dtype `F31`"),
    "dtype no text": ({"a": {**F32, "dtype": 1}}, b"1234", "has no dtype"),
    "negative size": ({"a": entry("F32", [-1], 0, 4)}, b"1234", "shape that is no list"),
    "true as size": (
        b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}',
        b"1234",
        "shape that is no",
    ),
    "fraction as size": ({"a": {**F32, "shape": [1.0]}}, b"1234", "shape that is no list"),
    "NaN as size": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', b"1234", "shape that is no"),
    "size beyond 64 bits": ({"a": entry("F32", [2**63], 0, 4)}, b"1234", "shape that is no list"),
    "many axes": ({"a": entry("F32", [1] * 65, 0, 4)}, b"1234", "at most 64 sizes"),
    "sizes that overflow": ({"a": entry("F32", [2**62, 4], 0, 0)}, b"", "needs 73786976294838206464 bytes"),
    "half a byte": ({"a": entry("F4", [1], 0, 1)}, b"1", "needs 1 bytes"),
    "offsets back to front": ({"a": entry("F32", [1], 4, 0)}, b"1234", "offsets"),
    "one offset": ({"a": {**F32, "data_offsets": [4]}}, b"1234", "offsets"),
    "negative offset": ({"a": entry("F32", [1], -4, 0)}, b"1234", "offsets"),
    "too few bytes": ({"a": entry("F32", [2], 0, 4)}, b"1234", "needs 8 bytes and has 4"),
    "past the end": ({"a": entry("F32", [2], 0, 8)}, b"1234", "ends 4 bytes behind the file"),
    "far past the end": ({"a": entry("U8", [2**62], 0, 2**62)}, b"1234", "behind the file"),
    "overlap": ({"a": entry("U8", [3], 0, 3), "b": entry("U8", [3], 1, 4)}, b"1234", "`a` and `b` overlap"),
    "same place": ({"a": F32, "b": F32}, b"1234", "`a` and `b` overlap"),
    "gap": ({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"123", "in front of entry `b`"),
    "bytes at the end": ({"a": F32}, b"12345", "1 bytes at its end"),
    "metadata no object": ({"__metadata__": []}, b"", "its metadata are no object"),
    "metadata no text": ({"__metadata__": {"a": 1}}, b"", "the value of `a` in its metadata is no text"),
}


class TestHostileHeaders:
    @pytest.mark.parametrize("name", LYING_HEADERS)
    def test_lying_headers(self, path, name):
        header, data, words = LYING_HEADERS[name]
        write_raw(path, header, data)
        (found,) = mistakes(qe.parse(MLP), path)
        assert found.startswith(f"error[QE201]: `{path}"[:60])
        assert words in found

    @pytest.mark.parametrize("length", [3, 4, LARGEST_HEADER + 1, 2**63, 2**64 - 1])
    def test_lying_lengths(self, path, length):
        write_raw(path, b"{}", length=length)
        assert "its header claims" in only_mistake(qe.parse(MLP), path)

    def test_a_file_of_torch_by_the_wrong_name(self, path):
        torch.save(mlp_state(), path)
        assert "name it `.pt`" in only_mistake(qe.parse(MLP), path)

    def test_every_wrong_entry_is_told(self, path):
        write_raw(path, {"a": 1, "b": F32, "c": entry("X", [], 0, 4)}, b"1234")
        assert len(mistakes(qe.parse(MLP), path)) == 2
        write_raw(path, {f"a{i}": 1 for i in range(1000)})
        assert len(mistakes(qe.parse(MLP), path)) == 101

    def test_cut_anywhere(self, tmp_path, path):
        save_file(mlp_state(), path, metadata={"a": "b"})
        whole = path.read_bytes()
        cut = tmp_path / "cut.safetensors"
        for n in range(len(whole)):
            cut.write_bytes(whole[:n])
            with pytest.raises(qe.SymError):
                read_entries(cut)
        cut.write_bytes(whole)
        assert len(read_entries(cut)) == 4

    @settings(max_examples=150)
    @given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
    def test_changed_bytes_are_refused_or_read(self, tmp_path_factory, changes):
        path = tmp_path_factory.mktemp("flip") / "model.safetensors"
        save_file(mlp_state(), path)
        content = bytearray(path.read_bytes())
        header_end = data_start(content)
        for position, value in changes:
            content[position % header_end] = value
        path.write_bytes(content)
        try:
            theta = qe.read_checkpoint(qe.parse(MLP), path)
        except qe.SymError:
            return
        assert [t.shape for t in theta.values()] == [(4, 3), (2, 4), (4,), (2,)]

    def test_a_file_that_shrinks_while_it_is_read(self, path):
        save_file(mlp_state(), path)
        stream = qe.stream_checkpoint(qe.parse(MLP), path)
        next(stream)
        os.truncate(path, data_start(path.read_bytes()))
        with pytest.raises(qe.SymError, match="became shorter"):
            list(stream)

    def test_costs_are_bounded(self, tmp_path):
        """Two seconds and 500 MB, with the start of the command."""
        spec = tmp_path / "mlp.sym"
        spec.write_text(MLP)
        half = LARGEST_HEADER // 2
        headers = {
            "one text": b'{"__metadata__":{"a":"' + b"x" * (half - 40) + b'"},"a":1}',
            "long text with one wide character": b'{"a":"'
            + b"x" * LARGEST_UNICODE_HEADER
            + rb'\ud83d\ude00"}',
            "many texts": b'{"a":[' + b",".join(b'"%d"' % i for i in range(MOST_VALUES - 9)) + b"]}",
            "too many": b'{"a":[' + b",".join([b"[]"] * MOST_VALUES) + b"]}",
            "many names": b"{" + b",".join(b'"%d":1' % i for i in range(MOST_VALUES // 2)) + b"}",
            "digits": b'{"a":' + b"1" * half + b"}",
            "spaces": b"{" + b" " * half,
        }
        bound = 500 * 2**20
        for name, header in headers.items():
            path = write_raw(tmp_path / "hostile.safetensors", header)
            run = subprocess.run(
                [sys.executable, "-m", "qecompile", "check", spec, "--checkpoint", path],
                capture_output=True,
                text=True,
                timeout=20,  # generous: the machine may be busy
                check=False,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (bound, bound)),
            )
            assert (run.returncode, run.stdout) == (2, ""), (name, run.stderr)
            assert run.stderr.startswith("error[QE201]"), name


class Evil:
    """Unpickling it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> object:
        return os.system, (self.command,)


class TestFilesOfTorch:
    @pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
    def test_names_of_nested_tensors_join_the_keys(self, tmp_path, suffix):
        path = tmp_path / f"model{suffix}"
        state = mlp_state()
        torch.save({"state_dict": state, "epoch": 3, "moments": [torch.zeros(2)], 5: torch.ones(1)}, path)
        assert [*read_entries(path)] == [*(f"state_dict.{key}" for key in state), "moments.0", "5"]
        theta = qe.read_checkpoint(qe.parse(MLP.replace('"layers', '"state_dict.layers')), path)
        assert torch.equal(theta["W[1]"], state["layers.0.weight"])

    def test_views_and_parameters(self, tmp_path):
        path = tmp_path / "model.pt"
        state = mlp_state()
        state["layers.0.weight"] = torch.nn.Parameter(state["layers.0.weight"].T.contiguous().T)
        torch.save(state, path)
        theta = qe.read_checkpoint(qe.parse(MLP), path)
        assert torch.equal(theta["W[1]"], state["layers.0.weight"])
        assert not theta["W[1]"].requires_grad
        assert theta["W[1]"].is_contiguous()

    def test_pickles_are_not_executed(self, tmp_path):
        trace = tmp_path / "trace"
        path = tmp_path / "evil.pt"
        torch.save({"layers.0.weight": Evil(f"touch {trace}")}, path)
        found = only_mistake(qe.parse(MLP), path)
        assert found.startswith("error[QE202]")
        assert "system" in found
        assert "nothing was executed" in found
        path.write_bytes(pickle.dumps(Evil(f"touch {trace}")))
        assert "error[QE202]" in only_mistake(qe.parse(MLP), path)
        assert not trace.exists()

    def test_damaged_files(self, tmp_path):
        path = tmp_path / "model.pt"
        torch.save(mlp_state(), path)
        whole = path.read_bytes()
        for n in [0, 1, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1]:
            path.write_bytes(whole[:n])
            assert "error[QE202]" in only_mistake(qe.parse(MLP), path)

    def test_the_old_format(self, tmp_path):
        path = tmp_path / "model.pt"
        torch.save(mlp_state(), path, _use_new_zipfile_serialization=False)
        assert "save it again with a newer torch" in only_mistake(qe.parse(MLP), path)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda name, data: data[:4] if "/data/" in name else data, "outside of its record"),
            (lambda name, data: None if "/data/" in name else data, "damaged"),
            (lambda name, data: b"9" * 5000 if name.endswith("alignment") else data, "damaged"),
            (lambda name, data: b"\x80\x02" + b"]" * 1000 if name.endswith("pkl") else data, "damaged"),
            (lambda name, data: bytes(LARGEST_PICKLE + 1) if name.endswith("pkl") else data, "more than"),
        ],
    )
    def test_lying_records(self, tmp_path, change, words):
        good, path = tmp_path / "good.pt", tmp_path / "model.pt"
        torch.save(mlp_state(), good)
        with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
            for record in old.infolist():
                data = change(record.filename, old.read(record))
                if data is not None:
                    new.writestr(record.filename, data)
        found = only_mistake(qe.parse(MLP), path)
        assert found.startswith("error[QE202]")
        assert words in found

    def test_compressed_records(self, tmp_path):
        path = tmp_path / "model.pt"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("model/data.pkl", bytes(10**6))
        assert "is compressed" in only_mistake(qe.parse(MLP), path)

    def test_containers_within_themselves(self, tmp_path):
        path = tmp_path / "model.pt"
        round: dict[str, object] = {**mlp_state()}
        round["self"] = round
        wide: dict[str, object] = {}
        for _ in range(60):
            wide = {"a": wide, "b": wide}
        round["wide"] = wide
        torch.save(round, path)
        assert [*read_entries(path)] == [*mlp_state()]

    def test_tensors_that_are_no_plain_numbers(self, tmp_path):
        path = tmp_path / "model.pt"
        state = mlp_state()
        state["layers.0.weight"] = state["layers.0.weight"].to_sparse()
        torch.save(state, path)
        assert "F32 (torch.sparse_coo, cpu)" in only_mistake(qe.parse(MLP), path)

    def test_two_tensors_of_one_name(self, tmp_path):
        path = tmp_path / "model.pt"
        torch.save({"a.b": torch.zeros(1), "a": {"b": torch.zeros(1)}}, path)
        assert "two tensors in it are called `a.b`" in only_mistake(qe.parse(MLP), path)


def test_a_header_of_another_writer(path):
    """Entries in any order, spaces at the end of the header, empty entries."""
    header = {"b": entry("F32", [1], 4, 8), "none": entry("F32", [0, 5], 4, 4), "a": F32, "__metadata__": {}}
    write_raw(path, json.dumps(header).encode() + b"   ", b"\0\0\x80?\0\0\0@")
    assert [*read_entries(path)] == ["a", "none", "b"]
    spec = qe.parse('spec s { space h = 1 : fixed param p : h from "b" }')
    assert qe.read_checkpoint(spec, path)["p"] == 2
    assert load_file(path)["b"] == 2
