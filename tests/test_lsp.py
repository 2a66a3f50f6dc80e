"""The language server, spoken to as an editor does: messages to a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsp_client import Client, uri_of
from sym_examples import EXAMPLES, SPECS, UGLY

from qecompile.formatter import format_text
from qecompile.lsp.analysis import analyse
from qecompile.lsp.completion import propose
from qecompile.lsp.hover import describe
from qecompile.lsp.occurrences import find_occurrence, occurrences

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = sorted((ROOT / "tests" / "catalogue").glob("*.sym"))

NET = """\
use "block.sym"
# A perceptron with a block.
spec net(widths: ints = [2, 3, 4], n: int = 2) {
  let L = len(widths) - 1
  space a[0] = widths[0] : fixed
  space a[i] for i in 1..L = widths[i] : permute * scale(pre)
  space head = n : permute {
    space qk = 4 : linear
  }
  param W[i] for i in 1..L : a[i] <- a[i-1]  from "layers.{i-1}.weight"
  param b : a[1]^{pre: 2}
  param Q : head qk <- a[0]
  param K : head qk* <- a[0]
  feature S = Q . K over qk
  include block(size = n) as low with x = head
  expect dim(W[1] -> low.v) == 0
  metanet m { channels 1, 2 mix a[0] full }
}
"""
BLOCK = "spec block(size: int) {\n  space x = size : permute\n  param v : x\n}\n"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One server for the tests that only ask."""
    with Client() as client:
        client.initialize()
        yield client


@pytest.fixture(scope="module")
def net(client: Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an open document without mistakes, which uses a file beside it."""
    folder = tmp_path_factory.mktemp("with space")
    (folder / "block.sym").write_text(BLOCK)
    uri = uri_of(folder / "net.sym")
    assert client.open(uri, NET) == []
    return uri


def at(text: str, marked: str) -> tuple[int, int]:
    """The place of the character behind `|` in a piece of a text."""
    before, _, after = marked.partition("|")
    start = text.index(before + after) + len(before)
    return text.count("\n", 0, start), start - (text.rfind("\n", 0, start) + 1)


def hover(client: Client, uri: str, marked: str, text: str = NET) -> str:
    answer = client.ask("hover", uri, *at(text, marked))
    return answer["contents"]["value"] if answer else ""


def words_at(text: str, locations: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """The lines, counted from 1, and words that locations point at."""
    lines = text.split("\n")
    ranges = [location["range"] for location in locations]
    return [
        (r["start"]["line"] + 1, lines[r["start"]["line"]][r["start"]["character"] : r["end"]["character"]])
        for r in ranges
    ]


# The conversation


def test_a_whole_conversation(tmp_path: Path) -> None:
    with Client() as client:
        capabilities = client.initialize()["capabilities"]
        assert {"hoverProvider", "definitionProvider", "completionProvider"} <= set(capabilities)
        assert capabilities["documentFormattingProvider"]
        uri = uri_of(tmp_path / "a.sym")
        (wrong,) = client.open(uri, "spec s {\n  space a = 3 : permut\n  param b : a\n}\n")
        assert wrong["range"] == {"start": {"line": 1, "character": 16}, "end": {"line": 1, "character": 22}}
        assert (wrong["code"], wrong["severity"], wrong["source"]) == ("QE040", 1, "qecompile")
        assert "help: did you mean `permute`?" in wrong["message"]
        client.change(uri, "spec s {\n  space a = 3 : permute\n  param b : a\n}\n", 2)
        assert client.diagnostics(uri) == []
        client.notify("textDocument/didClose", textDocument={"uri": uri})
        assert client.diagnostics(uri) == []
        assert client.stop() == 0


def test_changes_in_a_row_are_read_once(client: Client, tmp_path: Path) -> None:
    uri = uri_of(tmp_path / "a.sym")
    client.open(uri, "")
    for version in range(2, 8):
        client.change(uri, "spec s {" + " " * version, version)
    client.change(uri, "spec s { space a = 0 : fixed }", 8)
    assert "QE048" in [d["code"] for d in client.diagnostics(uri)]
    client.notify("textDocument/didClose", textDocument={"uri": uri})
    assert client.diagnostics(uri) == []


def test_a_used_file_is_read_again_when_something_is_saved(client: Client, tmp_path: Path) -> None:
    uri, block = uri_of(tmp_path / "net.sym"), tmp_path / "block.sym"
    block.write_text(BLOCK.replace("permute", "permut"))
    (wrong,) = client.open(uri, 'use "block.sym"\nspec s {\n  include block(size = 2) as b\n}\n')
    assert (wrong["code"], wrong["range"]["start"]) == ("QE040", {"line": 0, "character": 4})
    assert wrong["message"].startswith("`block.sym` has a mistake: ")
    assert wrong["relatedInformation"][0]["location"]["uri"] == uri_of(block)
    block.write_text(BLOCK)
    client.save(uri)
    assert client.diagnostics(uri) == []
    client.notify("textDocument/didClose", textDocument={"uri": uri})


# Diagnostics


def test_notes_point_at_the_other_place(client: Client, tmp_path: Path) -> None:
    uri = uri_of(tmp_path / "a.sym")
    (wrong,) = client.open(uri, "spec s {\n  space a = 3 : fixed\n  param b : a\n  param b : a\n}\n")
    (related,) = wrong["relatedInformation"]
    assert related["location"] == {
        "uri": uri,
        "range": {"start": {"line": 2, "character": 8}, "end": {"line": 2, "character": 9}},
    }
    assert related["message"] == "first here"


def test_all_specs_of_a_file_are_read(client: Client, tmp_path: Path) -> None:
    two = "spec two(n: int) { space x = n : fixed param a : x }"
    text = f"spec one {{ param a : x }}\n{two}\nspec three {{ param a : y }}\n"
    found = client.open(uri_of(tmp_path / "a.sym"), text)
    assert sorted((d["code"], d["range"]["start"]["line"], d["severity"]) for d in found) == [
        ("QE032", 1, 3),  # only worth a remark: `two` may be there to be included
        ("QE051", 0, 1),
        ("QE051", 2, 1),
    ]


def test_names_that_nothing_uses_are_warnings(client: Client, tmp_path: Path) -> None:
    found = client.open(
        uri_of(tmp_path / "a.sym"), "spec s {\n  let x = 1\n  space a = 3 : fixed\n  param b : a\n}\n"
    )
    assert [(d["code"], d["severity"]) for d in found] == [("QE028", 2)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_characters_are_counted_as_the_client_does(encoding: str, tmp_path: Path) -> None:
    uri, unit = uri_of(tmp_path / "a.sym"), {"utf-8": 4, "utf-16": 2, "utf-32": 1}[encoding]
    text = 'spec s { space a = 3 : fixed\n param b : a from "\N{GRINNING FACE}" param c : a param d : e\n}'
    line = text.split("\n")[1]
    with Client() as client:
        assert client.initialize([encoding])["capabilities"]["positionEncoding"] == encoding
        (wrong,) = client.open(uri, text)
        assert wrong["range"]["start"] == {"line": 1, "character": line.index("e", 40) - 1 + unit}
        place = client.ask("definition", uri, 1, line.index("a param") - 1 + unit)
        assert words_at(text, place) == [(1, "a")]


@pytest.mark.parametrize("path", CATALOGUE, ids=lambda p: p.stem)
def test_every_mistake_of_the_catalogue_is_shown(client: Client, path: Path) -> None:
    uri = uri_of(path)
    text = path.read_bytes().decode("utf-8", "replace")
    if not text.startswith("# arguments:"):
        assert path.stem in {d["code"] for d in client.open(uri, text)}


HOSTILE = {
    "nothing": "",
    "zero": "\0",
    "half a pair": "spec s { \ud800 }",
    "only opening": "{" * 100_000,
    "nesting": "spec s { " + "space a = 1 : permute { " * 20_000,
    "huge loop": "spec s { space a[i] for i in 1..1000000000 = 1 : fixed }",
    "huge number": "spec s { let n = " + "9" * 100_000 + " }",
    "quotes": '"' * 10_000,
    "line ends": "spec s {\r\r\n\n\r \u2028 \x0c let n = m }\r",
    "uses itself": 'use "a.sym"\nspec s { include s() as t }',
    "uses what is not there": 'use "../../etc/passwd"\nuse "{1/0}"\nuse "."',
    "many specs": "spec s { } " * 4000,
    "long line": "spec s { let x = " + "1 + " * 5000 + "1 }",
    "cycle": "spec s { let a = b let b = a }",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_whatever_the_text_the_server_goes_on(client: Client, name: str, tmp_path: Path) -> None:
    uri = uri_of(tmp_path / "a.sym")
    found = client.open(uri, HOSTILE[name])
    assert all(d["code"] != "QE999" for d in found)
    assert found or name in ("long line",)
    for method in ("hover", "definition", "completion"):
        for line, character in ((0, 0), (0, 12), (3, 7), (10**6, 10**6)):
            client.ask(method, uri, line, character)
    client.format(uri)
    client.notify("textDocument/didClose", textDocument={"uri": uri})


@settings(max_examples=100)
@given(data=st.data(), name=st.sampled_from(sorted(n for n, text in EXAMPLES.items() if len(text) < 3000)))
def test_texts_that_are_being_written(data: st.DataObject, name: str) -> None:
    """A piece of an example is missing or typed anew; every question is answered at every name."""
    text = EXAMPLES[name]
    start = data.draw(st.integers(0, len(text)))
    typed = data.draw(st.text('ai{}[]()<-=:*^.,"# \n', max_size=6))
    text = text[:start] + typed + text[start + data.draw(st.integers(0, 20)) :]
    analysis = analyse(text)
    assert all(d.code != "QE999" for d in analysis.diagnostics)
    for occurrence in occurrences(analysis.file) if analysis.file else ():
        describe(analysis, occurrence)
        assert find_occurrence(analysis.file, occurrence.span.line, occurrence.span.column)
    line = text.count("\n", 0, start) + 1
    propose(text, line, start - text.rfind("\n", 0, start))


@pytest.mark.parametrize("uri", ["untitled:Untitled-1", "file:///nowhere/at/all.sym", "git:/a.sym?x"])
def test_documents_that_lie_nowhere(client: Client, uri: str) -> None:
    assert client.open(uri, "spec s { space a = 3 : fixed param b : a }") == []
    assert client.open(uri, 'use "x.sym"\nspec s { }')[0]["range"]["start"]["line"] == 0


def test_a_document_that_is_not_open_is_no_reason_to_stop(client: Client, net: str) -> None:
    position = {"line": 0, "character": 0}
    client.count += 1
    params = {"textDocument": {"uri": "file:///nowhere.sym"}, "position": position}
    client.send(id=client.count, method="textDocument/hover", params=params)
    assert "error" in client.answers.get(timeout=60)
    assert hover(client, net, "space |head")


# Hover


def test_hover_on_a_parameter(client: Client, net: str) -> None:
    assert hover(client, net, "dim(|W[1]") == (
        "**parameter** `W[1] : a[1] a[0]`, shape 3 x 2\n\n"
        "- `a[1]` (3): permuted; multiplied by `pre`\n"
        "- `a[0]` (2): stays in place\n\n"
        "dimension of the linear invariants: 0\n\n"
        'stored in `"layers.0.weight"`'
    )
    assert "2 of them: `W[1]`, `W[2]`" in hover(client, net, "param |W[i]")
    assert "multiplied by the square of `pre`" in hover(client, net, "param |b")


def test_hover_tells_a_space_from_its_dual(client: Client, net: str) -> None:
    assert "`qk` (4): multiplied by an invertible matrix, separately for each index of `head`" in hover(
        client, net, "param |Q"
    )
    assert "`qk*` (4): multiplied by the inverse transpose of an invertible matrix" in hover(
        client, net, "param |K"
    )


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("<- |a[i-1]", "**space** `a[0] = 2 : fixed`\n\n3 of them: `a[0]`, `a[1]`, `a[2]`"),
        ("mix |a[0]", "1 copy of a group of continuous dimension 0"),
        (
            "space |qk",
            "nested in `head`\n\n2 copies of a group of continuous dimension 16: 32",
        ),
        ("over |qk", "**space** `qk"),
        (": |permute *", "interchangeable"),
        ("let |L", "**value** `L = 2`"),
        ("1..|L", "**value** `L = 2`"),
        ("len(|widths)", "**value** `widths = [2, 3, 4]`"),
        ("spec |net", "5 spaces, 6 parameters"),
        ("feature |S", "**feature** `S = Q . K over qk`"),
        ("low.|v", "**parameter** `low.v : head`, shape 2"),
    ],
)
def test_hover_on_other_names(client: Client, net: str, marked: str, expected: str) -> None:
    assert expected in hover(client, net, marked)


def test_hover_on_nothing(client: Client, net: str) -> None:
    assert hover(client, net, "|# A perceptron") == ""
    assert hover(client, net, "|metanet") == ""


def test_the_range_of_a_hover_is_the_name(client: Client, net: str) -> None:
    answer = client.ask("hover", net, *at(NET, "lo|w.v"))
    assert answer is None or words_at(NET, [answer]) == [(16, "low")]
    assert words_at(NET, [client.ask("hover", net, *at(NET, "he|ad qk <-"))]) == [(12, "head")]


# Definition


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("dim(|W[1]", [(10, "W")]),
        ("a[i] <- |a", [(5, "a"), (6, "a")]),
        ("a|[1]^", [(5, "a"), (6, "a")]),
        ("1..|L = ", [(4, "L")]),
        ("len(|widths)", [(3, "widths")]),
        ("{|i-1}", [(10, "i")]),
        ("widths[|i]", [(6, "i")]),
        ("{|pre: 2", [(6, "pre")]),
        ("over |qk", [(8, "qk")]),
        (". |K over", [(13, "K")]),
        ("> |low.v", [(15, "low")]),
        ("= |head", [(7, "head")]),
        ("(size = |n)", [(3, "n")]),
        ("mix |a[0]", [(5, "a"), (6, "a")]),
        ("spec |net", [(3, "net")]),
    ],
)
def test_definitions_in_the_document(
    client: Client, net: str, marked: str, expected: list[tuple[int, str]]
) -> None:
    locations = client.ask("definition", net, *at(NET, marked))
    assert {location["uri"] for location in locations} == {net}
    assert words_at(NET, locations) == expected


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("include |block", [(1, "block")]),
        ("low.|v", [(3, "v")]),
        ("(|size = n", [(1, "size")]),
        ("with |x", [(2, "x")]),
        ('use "bl|ock', [(1, "")]),
    ],
)
def test_definitions_in_a_used_file(
    client: Client, net: str, marked: str, expected: list[tuple[int, str]]
) -> None:
    locations = client.ask("definition", net, *at(NET, marked))
    assert {location["uri"] for location in locations} == {net.replace("net.sym", "block.sym")}
    assert words_at(BLOCK, locations) == expected


def test_no_definition_of_what_is_declared_nowhere(client: Client, tmp_path: Path) -> None:
    text = "spec s {\n  param b : nowhere\n}\n"
    uri = uri_of(tmp_path / "a.sym")
    client.open(uri, text)
    assert not client.ask("definition", uri, *at(text, "|nowhere"))


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.name)
def test_every_name_of_the_library_has_a_definition(path: Path) -> None:
    analysis = analyse(path.read_text(), str(path))
    assert analysis.file is not None
    for occurrence in occurrences(analysis.file):
        assert occurrence.targets or occurrence.kind == "word", occurrence
        assert describe(analysis, occurrence) or occurrence.kind in ("loop variable", "character"), occurrence


# Completion and formatting


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("", {"spec", "use"}, {"permute"}),
        ("spec s(n: ", {"int", "ints", "text"}, {"space"}),
        ("spec s {\n  ", {"space", "param", "let", "expect", "metanet"}, {"permute"}),
        ("spec s {\n  space a = 3 : per", {"permute", "linear", "fixed"}, set()),
        ("spec s(n: int = 2) {\n  space a = ", {"n", "len"}, {"permute"}),
        ("spec s {\n  space a = 3 : fixed\n  param W : ", {"a", "from"}, {"permute", "W"}),
        ("spec s {\n  space a = 3 : fixed\n  param W : a\n  expect dim(", {"W"}, {"a", "space"}),
        ("spec s {\n  expect ", {"dim", "orbit_dim", "invariants"}, {"permute"}),
        ("spec s {\n  metanet m {\n    ", {"channels", "mix", "readout"}, {"permute"}),
        ("spec s {\n  # space a = 3 : ", {"space"}, {"permute"}),
        ('spec s {\n  param W : a from "lay', set(), {"space"}),
    ],
)
def test_completion(client: Client, tmp_path: Path, text: str, wanted: set[str], unwanted: set[str]) -> None:
    uri = uri_of(tmp_path / "a.sym")
    client.open(uri, text)
    line = text.count("\n")
    answer = client.ask("completion", uri, line, len(text.split("\n")[line]))
    labels = {item["label"] for item in answer["items"]}
    assert wanted <= labels
    assert not unwanted & labels


@pytest.mark.parametrize("name", ["ugly", "mlp.sym"])
def test_formatting_replaces_the_whole_text(client: Client, tmp_path: Path, name: str) -> None:
    text, uri = EXAMPLES[name].replace("\n", "\r\n"), uri_of(tmp_path / "a.sym")
    client.open(uri, text)
    (edit,) = client.format(uri)
    assert edit["newText"] == format_text(text)
    assert edit["range"]["start"] == {"line": 0, "character": 0}
    assert edit["range"]["end"]["line"] >= text.count("\n")
    client.change(uri, edit["newText"], 2)
    client.diagnostics(uri)
    assert client.format(uri) == []


def test_what_cannot_be_read_is_not_formatted(client: Client, tmp_path: Path) -> None:
    uri = uri_of(tmp_path / "a.sym")
    assert client.open(uri, UGLY + "}")
    assert client.format(uri) == []


# The program


def test_the_command_and_its_options() -> None:
    command = str(Path(sys.executable).with_name("qecompile-lsp"))
    program = [command] if Path(command).exists() else [sys.executable, "-m", "qecompile.lsp"]
    version = subprocess.run([*program, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("qecompile ")
    with Client(*program, "--stdio") as client:
        client.initialize()
        assert client.stop() == 0


def test_without_pygls_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pygls'] = None; sys.modules['lsprotocol'] = None; "
        "from qecompile.lsp.__main__ import main; sys.exit(main([]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "the language server needs pygls: pip install 'qecompile[lsp]'\n"


def test_it_imports_no_torch() -> None:
    program = "import sys, qecompile.lsp.server; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
