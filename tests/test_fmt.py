"""The formatter: what it makes of a file, that it loses nothing, and that its result is stable."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sym_examples import EXAMPLES, SPECS, UGLY

from qecompile.errors import Collector, Source, SymError
from qecompile.files import as_source
from qecompile.format_breaks import WIDTH
from qecompile.format_tokens import END, read_tokens, read_words
from qecompile.formatter import format_text
from qecompile.resolve import parse
from qecompile.spec import Spec
from qecompile.syntax import parse_file

ROOT = Path(__file__).resolve().parent.parent

NEAT = """\
# top
use "a.sym"  # why
use "b.sym"

spec s(  # params
       n: int = 3,  # the n
       # own
       w: ints = [1, 2..3*n-1,]) {  # open
  # first
  space a[i]  # name
    for i in 1..n-1 if i < -1 = w[0] * 2 // 3  # size
    # group
    : permute * scale(pre) {  # nested
    space b = -2 : linear
    # last in nested
  }  # closed
  space z    = 3 : fixed {}
  space head = 4 : permute { space qk = 16 : linear }
  model "m:f" with input normal(8, 784)
  include t() as f[i] for i in 1..2
  feature Q = W . f[1].b . W over a
  let sizes =
    [100000, 200000, 300000, 400000, 500000, 600000, 700000, 800000, 900000, 1000000, 1100000, 1200000,
     1300000]
  expect orbit_dim == len(w) * (n * (n / 2) * 2 + n * n * n + n)
    + n * (n * (n / 2) * 2 + n * n * n + n + sizes[0])
  param W[1, i+1] for i in 1..2 : [a[1]^{pre: 1, post: -2 * n}*, z*, z^-1, z^(n + 1)]
    from "key.{n}" as "(a b) c" at part = 0
  param long_name : head qk* <- z  # beside
  param c         : head qk  <- z
  metanet m {
    channels 1, 2
    alpha shared(epsilon = -0.1, stats = [mean, var])
    readout invariant -> 10
    mix a[0] encode(6)
    mix head full
    context lowrank(3)
  }
  metanet e {}
  # end
}

# after
spec t {}  # t

spec u {
  # only comment
}

# eof
"""


def words_of(text: str) -> list[tuple[str, str]]:
    """The words and comments of a text, in order."""
    found = []
    for word in read_words(text):
        found += [*word.comments, word.text, word.beside]
    return [word for word in found if word]


def meaning(text: str, folder: Path) -> Spec | tuple[str, ...]:
    """What a text says, without where it says it: its spec, or its mistakes."""
    try:
        spec = parse(text, path=str(folder / "example.sym"))
    except SymError as error:
        return tuple(sorted(f"{d.code} {d.message}" for d in error.diagnostics))
    expects = tuple(e.model_copy(update={"line": 0, "column": 0}) for e in spec.expects)
    warnings = tuple(d.message for d in spec.warnings)
    model = spec.model and spec.model.model_copy(update={"place": None})
    about = {"text": "", "places": (), "metanet_places": (), "expects": expects, "warnings": warnings}
    return spec.model_copy(update={**about, "model": model})


def is_valid(text: str) -> bool:
    collector = Collector()
    return parse_file(Source("example", text), collector) is not None and not collector.found


# What it makes of a file


def test_an_ugly_file_becomes_a_neat_one() -> None:
    assert format_text(UGLY) == NEAT


@pytest.mark.parametrize(
    ("ugly", "neat"),
    [
        ("", ""),
        ("\n\n", ""),
        ("# only a comment", "# only a comment\n"),
        ("use'a'".replace("'", '"'), 'use "a"\n'),
        ("spec s{}spec t{}", "spec s {}\n\nspec t {}\n"),
        ("spec s {\r\n  # a\r\n}\r\n", "spec s {\n  # a\n}\n"),
        ("\ufeff".encode().decode("utf-8-sig") + "spec s {}", "spec s {}\n"),
        ("spec s { let n = -(-(3))%2==- 1 }", "spec s {\n  let n = -(-(3)) % 2 == -1\n}\n"),
        ("spec s { let n = [1..(2-n)*3,w[min(1,n-1)]][0] }", None),
    ],
)
def test_small_files(ugly: str, neat: str | None) -> None:
    neat = "spec s {\n  let n = [1..(2-n)*3, w[min(1, n-1)]][0]\n}\n" if neat is None else neat
    assert format_text(ugly) == neat


def test_lists_of_similar_statements_are_aligned_where_no_line_gets_too_wide() -> None:
    wide = f"let {'n' * 70} = 1"
    long = f"let k = {'1 + ' * 15}1"
    lines = format_text(f"spec s {{ let a = 1 let bcd = 2 {wide} {long} let e = 3 }}").splitlines()
    assert lines[1:4] == [f"  let {n.ljust(70)} = {v}" for n, v in [("a", 1), ("bcd", 2), ("n" * 70, 1)]]
    assert lines[4:6] == [f"  {long}", "  let e = 3"]


def test_comments_and_blank_lines_end_a_list() -> None:
    text = "spec s {\n  let a = 1\n\n  let bcd = 2\n  # now\n  let efghi = 3\n}\n"
    assert format_text(text) == text


def test_comments_of_neighbours_stand_below_each_other() -> None:
    text = "spec s {\n  let a   = 1      # one\n  let bcd = 2\n  let e   = 3 + 4  # two\n}\n"
    assert format_text(text) == text


def test_what_a_checkpoint_calls_a_long_parameter_stands_below_it() -> None:
    key = "k" * 90
    text = f'spec s {{ param W : a <- b from "{key}" as "a b" param bias : a from "{key}" }}'
    below = f'    from "{key}"'
    assert format_text(text).splitlines()[1:-1] == [
        "  param W    : a <- b",
        f'{below} as "a b"',
        "  param bias : a",
        below,
    ]


def test_nothing_is_wider_than_a_line_unless_it_must_be() -> None:
    long = "aaaaaaaaaa " * 40
    text = f'spec s {{ param W : {long} <- {long} from "{"k" * 200}" }}'
    lines = format_text(text).splitlines()
    assert [line for line in lines if len(line) > WIDTH] == [f'    from "{"k" * 200}"']


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.name)
def test_the_library_is_laid_out_so(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text) == text, f"qecompile fmt {path}"


# What it keeps


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_it_keeps_words_comments_and_meaning_and_is_stable(name: str, tmp_path: Path) -> None:
    text = EXAMPLES[name]
    (tmp_path / "mlp.sym").write_text((ROOT / "specs" / "mlp.sym").read_text())  # for those that use it
    neat = format_text(text)
    assert words_of(neat) == words_of(text)
    assert meaning(neat, tmp_path) == meaning(text, tmp_path)
    assert format_text(neat) == neat
    assert neat.endswith("\n")
    assert not re.search(r"\n\n\n|[ \t]$|\{\n\n|\n\n *\}", neat, re.MULTILINE)


LOOKING_AHEAD = {"_MODEL", "_FEATURE", "_METANET", "_INCLUDE"}
"""Words that are keywords because of the next ones: those must not be taken apart."""

SMALL = {name: text for name, text in EXAMPLES.items() if len(text) < 4000}


def pieces(text: str) -> list[tuple[str, str, bool]]:
    """Every word, the gap in front of it, and whether more may be put into the gap."""
    found, end, free = [], 0, True
    for token in read_tokens(text):
        found.append((str(token), text[end : token.start_pos], free))
        end = token.end_pos
        free = token.type not in LOOKING_AHEAD and (
            free or token.type in ("EQUAL", "LBRACE", "LPAR", "STRING")
        )
    return found


PIECES = {name: pieces(text) for name, text in SMALL.items()}
SPACES = st.sampled_from(["", " ", "  ", "\t", " \n ", "\n\t"])
COMMENTS = st.sampled_from(["", "", "", " ", "\n", "\n\n\n", " # beside\n", "\n # own\n", "\n\n #a\n#b\n\n"])


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(SMALL)), data=st.data())
def test_the_layout_that_an_author_chose_does_not_matter(name: str, data: st.DataObject) -> None:
    """Spaces and line breaks change nothing, as long as blank lines and comments stay where they are."""
    starts = {"spec", "use", "space", "param", "let", "expect"}
    text = ""
    for word, gap, free in PIECES[name]:
        if "\n" in gap or "#" in gap:
            text += re.sub(
                r"(?<=\n)[ \t]*(?=[^ \t\n]|$)", lambda _: data.draw(SPACES).replace("\n", " "), gap
            )
        else:
            extra = data.draw(SPACES) if free else ""
            text += extra.replace("\n", " ") + gap if word in starts | {"}"} else extra + gap
        text += word
    assert format_text(text) == format_text(SMALL[name])


@settings(max_examples=60)
@given(name=st.sampled_from(sorted(SMALL)), data=st.data())
def test_comments_may_stand_between_any_two_words(name: str, data: st.DataObject) -> None:
    text = "".join(gap + (data.draw(COMMENTS) if free else "") + word for word, gap, free in PIECES[name])
    neat = format_text(text)
    assert words_of(neat) == words_of(text)
    assert format_text(neat) == neat
    assert meaning(neat, ROOT / "specs") == meaning(text, ROOT / "specs")


@settings(max_examples=200)
@given(st.lists(st.sampled_from([w for name in SMALL for w, *_ in PIECES[name]]), max_size=30).map(" ".join))
def test_whatever_has_the_right_form_can_be_formatted(text: str) -> None:
    text = f"spec s {{ {text} }}"
    if is_valid(text):
        assert words_of(format_text(text)) == words_of(text)


def test_unusual_white_space_is_white_space() -> None:
    text = "spec s\x0b{\xa0let\u2003n\u2028=\x0c1 # a\u2028b \r}"
    assert format_text(text) == "spec s {\n  let n = 1  # a\u2028b\n}\n"
    assert words_of(format_text(text)) == words_of(as_source(text, "example").text)


@pytest.mark.parametrize(
    "text",
    [
        "spec s { " + "let x = 1 " * 3900 + "}",
        "spec s { let x = " + "1 + " * 9900 + "1 }",
        "spec s { let x = [" + "1, " * 9900 + "] }",
        "spec s { param p : " + "a " * 19000 + "}",
        "spec s { " + "# c\n" * 200_000 + "}",
    ],
)
def test_large_files_are_laid_out_soon(text: str) -> None:
    start = time.process_time()
    format_text(text)
    assert time.process_time() - start < 10


# The command


def test_files_are_rewritten_and_named(qecompile: Callable, tmp_path: Path) -> None:
    ugly, neat = tmp_path / "ugly.sym", tmp_path / "neat.sym"
    ugly.write_text(UGLY)
    ugly.chmod(0o640)
    neat.write_text(NEAT)
    before = neat.stat().st_mtime_ns
    outcome = qecompile("fmt", ugly, neat)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"formatted {ugly}\n1 file changed, 1 unchanged\n"
    assert (ugly.read_text(), neat.read_text()) == (NEAT, NEAT)
    assert stat.S_IMODE(ugly.stat().st_mode) == 0o640
    assert neat.stat().st_mtime_ns == before
    assert sorted(os.listdir(tmp_path)) == ["neat.sym", "ugly.sym"]


def test_line_ends_of_windows_are_replaced(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_bytes(NEAT.replace("\n", "\r\n").encode())
    assert qecompile("fmt", path, "--check").code == 1
    assert qecompile("fmt", path).code == 0
    assert path.read_bytes() == NEAT.encode()


def test_check_writes_nothing_and_fails_if_a_file_would_change(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text(UGLY)
    outcome = qecompile("fmt", "--check", path)
    assert (outcome.code, outcome.out) == (1, f"would format {path}\n1 file would change, 0 unchanged\n")
    assert path.read_text() == UGLY
    path.write_text(NEAT)
    assert qecompile("fmt", "--check", path).code == 0


def test_diff_can_be_applied(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text(UGLY.rstrip("\n"))
    outcome = qecompile("fmt", "--diff", path)
    assert outcome.code == 0
    assert "\\ No newline at end of file" in outcome.out
    assert f"--- {path}\n+++ {path} (formatted)\n" in outcome.out
    assert qecompile("fmt", "--diff", "--check", path).code == 1
    assert path.read_text() == UGLY.rstrip("\n")
    subprocess.run(["patch", "--quiet", path], input=outcome.out, text=True, check=True)
    assert path.read_text() == NEAT


def test_stdout_prints_the_file_and_nothing_else(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text(UGLY)
    outcome = qecompile("fmt", "--stdout", path)
    assert (outcome.code, outcome.out, outcome.err) == (0, NEAT, "")
    assert path.read_text() == UGLY


def test_json(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text(UGLY)
    outcome = qecompile("fmt", path, "--json", "--check", "--stdout", "--diff")
    assert outcome.code == 1
    (file,) = outcome.json["files"]
    assert (file["path"], file["changed"], file["text"]) == (str(path), True, NEAT)
    assert file["diff"].startswith("--- ")
    assert outcome.json["ok"] is False
    assert qecompile("fmt", path, "--json").json == {
        "files": [{"path": str(path), "changed": True}],
        "ok": True,
    }


def test_bad_files_are_told_and_the_others_formatted(qecompile: Callable, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.sym", tmp_path / "bad.sym"
    good.write_text(UGLY)
    bad.write_text("spec s {\n  space a = 3 fixed\n  let = 4\n}\n")
    outcome = qecompile("fmt", bad, tmp_path / "missing.sym", good)
    assert outcome.code == 2
    assert outcome.err.count("error[QE") == 3
    assert f"--> {bad}:2:14" in outcome.err
    assert good.read_text() == NEAT
    assert qecompile("fmt", bad, good, "--json").json["diagnostics"][0]["line"] == 2


def test_what_does_not_resolve_can_be_formatted(qecompile: Callable, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text("spec s { param W:nowhere }")
    assert qecompile("fmt", path).code == 0
    assert path.read_text() == "spec s {\n  param W : nowhere\n}\n"


def test_a_file_that_cannot_be_written(
    qecompile: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qecompile import cli

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli, "write_source", fail)
    path = tmp_path / "a.sym"
    path.write_text(UGLY)
    outcome = qecompile("fmt", path)
    assert outcome.code == 2
    assert f"cannot write `{path}`: permission denied" in outcome.err
    assert path.read_text() == UGLY


def test_formatting_imports_no_torch() -> None:
    program = "import sys, qecompile.formatter; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_end_of_a_file_is_a_word() -> None:
    assert [(w.kind, w.above) for w in read_words("# a\n\n\n")] == [(END, ("# a", ""))]
