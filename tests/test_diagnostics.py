"""What users read when something is wrong: one file of `catalogue/` per code, and the border cases.

After a change of wording, `UPDATE_CATALOGUE=1 pytest tests/test_diagnostics.py` writes the expected texts
again; read their diff like code.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from qecompile import errors
from qecompile.errors import Collector, Source, Span, SymError
from qecompile.resolve import load, parse, parse_arguments

CATALOGUE = Path(__file__).parent / "catalogue"
PACKAGE = Path(errors.__file__).parent
FRONT_END = """errors alpha lexical syntax syntax_errors syntax_tree expressions arguments files frames
  declarations names resolve resolve_claims resolve_features resolve_metanets resolve_sources resolve_spaces
  resolve_types""".split()

WITHOUT_EXAMPLE = {
    "QE000": "needs more mistakes than anyone wants to read",
    "QE001": "files that cannot be read",
    "QE002": "bytes that are no text",
    "QE004": "the name of the spec comes from the caller",
    "QE005": "files that are too large",
    "QE104": "needs a second file",
}


def mistakes(text: str, **keywords: object) -> SymError:
    with pytest.raises(SymError) as caught:
        parse(text, **keywords)  # type: ignore[arg-type]
    return caught.value


def shown(text: str, path: str, arguments: dict[str, object]) -> SymError:
    """The mistakes of a text; of one without mistakes, its warnings."""
    try:
        return SymError(parse(text, path=path, arguments=arguments).warnings)  # type: ignore[arg-type]
    except SymError as error:
        return error


def codes(error: SymError) -> list[str]:
    return [d.code for d in error.diagnostics]


# The catalogue


@pytest.mark.parametrize("path", sorted(CATALOGUE.glob("*.sym")), ids=lambda p: p.stem)
def test_catalogue(path: Path) -> None:
    text = path.read_text()
    first = text.partition("\n")[0]
    given = first.removeprefix("# arguments: ").split() if first.startswith("# arguments: ") else []
    error = shown(text, path.name, parse_arguments(given))
    expected = path.with_suffix(".txt")
    if os.environ.get("UPDATE_CATALOGUE"):
        expected.write_text(f"{error}\n")
    assert f"{error}\n" == expected.read_text()
    assert path.stem in codes(error)


def test_every_code_of_the_front_end_has_an_example() -> None:
    used = set()
    for module in FRONT_END:
        used |= set(re.findall(r'"(QE[01]\d\d)"', (PACKAGE / f"{module}.py").read_text()))
    assert {p.stem for p in CATALOGUE.glob("*.sym")} == used - set(WITHOUT_EXAMPLE)
    assert set(WITHOUT_EXAMPLE) <= used


def test_no_message_names_a_terminal_of_the_grammar() -> None:
    shown = "".join(p.read_text() for p in CATALOGUE.glob("*.txt"))
    assert not re.search(r"\b(RBRACE|LBRACE|RPAR|LSQB|NAME|STRING|INT|_[A-Z]+|__ANON)\b", shown)


# Several mistakes in one run


def test_every_independent_mistake_is_reported_in_the_order_of_the_file() -> None:
    error = mistakes("""spec s(n: int = 2, m: bool = 1) {
  let k = k + n + m
  space a = 0 : permute
  space b = 3 : permut * linear
  space c = 3 : rotate { space d = 2 : fixed }
  param A : e <- a
  param B : b d c^2
  param B : []
  expect dim(A -> Z) == q
  metanet m { channels 0 mix c full }
}""")
    assert [(d.code, d.span.line) for d in error.diagnostics if d.span] == [
        ("QE034", 1),
        ("QE022", 2),
        ("QE048", 3),
        ("QE040", 4),
        ("QE047", 5),
        ("QE051", 6),
        ("QE050", 8),
        ("QE051", 9),
        ("QE020", 9),
        ("QE091", 10),
    ]


def test_mistakes_of_form_do_not_hide_each_other() -> None:
    error = mistakes("""spec s {
  space space = 3 : fixed
  parm q : space
  space c = 3 : permute scale
  space d = 3 : permute *
  param x : c d e
  metanet m {
    chanels 1, 2
    readout invarient -> 3
    mix
  }
  expect dim(x, x) == 1
  let y = 3 +
  expect dim(x -> x) = 1
}""")
    assert [d.span.line for d in error.diagnostics if d.span] == [2, 3, 4, 5, 8, 9, 10, 12, 13, 14]


def test_what_follows_from_a_mistake_is_not_reported() -> None:
    error = mistakes("""spec s {
  let n = 1 // 0
  space a[i] for i in 1..n = 3 : permute
  space b = n : permute { space q = 2 : linear }
  space c = 2 : permute * linear
  param W[i] for i in 2..3 : a[i] <- a[i-1] b q c
  feature F = W[2] . W[3] over c
  expect dim(W[2] -> W[3]) == n
}""")
    assert codes(error) == ["QE024", "QE041"]


def test_a_mistake_in_a_loop_is_reported_once() -> None:
    assert codes(mistakes("spec s { space a = 2 : fixed param W[i] for i in 1..9 : a b }")) == ["QE051"]


def test_a_missing_token_is_reported_behind_the_one_before() -> None:
    error = mistakes("spec s {\n  let n =\n\n  space a = n : fixed\n}")
    assert (error.line, error.column) == (2, 10)
    assert "expected an expression after `=`" in str(error)


PLACES_IN_A_TEXT = {"": 25, "(": 25, "nn": 25, "'": 25, ";": 25, "let": 25, "1->": 26, "1 2": 26, "1 +": 28}


def test_a_mistake_inside_a_text_is_shown_there() -> None:
    for inside, column in PLACES_IN_A_TEXT.items():
        error = mistakes(f'spec s(n: int = 2) {{\n  # ...\n  param p : [] from "a.{{{inside}}}{{n}}"\n}}')
        assert (len(error.diagnostics), error.line, error.column) == (1, 3, column), inside
        assert 'param p : [] from "a.{' in str(error)


def test_very_many_mistakes() -> None:
    error = mistakes("spec s {" + "".join(f" param p{i} : x" for i in range(500)) + " }")
    assert len(error.diagnostics) == errors.MOST_SHOWN + 1
    assert error.diagnostics[-1].code == "QE000"


# Files


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.sym"
    os.mkfifo(fifo)
    (tmp_path / "loop.sym").symlink_to(tmp_path / "loop.sym")
    for path in (
        tmp_path / "none.sym",
        tmp_path,
        fifo,
        tmp_path / "loop.sym",
        Path("a\0b"),
        Path("/dev/null"),
    ):
        with pytest.raises(SymError) as caught:
            load(path)
        assert codes(caught.value) == ["QE001"]
        assert caught.value.line is None


@pytest.mark.parametrize("data", [b"\xff\xfe", b"spec s { \x80 }", b"spec \0", b"spec s { # \x1b[31m }"])
def test_files_that_are_no_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.sym"
    path.write_bytes(data)
    with pytest.raises(SymError) as caught:
        load(path)
    assert codes(caught.value) == ["QE002"]


@pytest.mark.parametrize("text", ["", " \n\t", "# only a comment", "\ufeff"])
def test_empty_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.sym"
    path.write_text(text)
    with pytest.raises(SymError, match="declares no spec"):
        load(path)


def test_unknown_spec_of_a_file() -> None:
    error = mistakes("spec perceptron { space a = 1 : fixed param p : a }", name="percepton")
    assert codes(error) == ["QE004"]
    assert "did you mean `perceptron`?" in str(error)


def test_used_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.sym").write_text('use "b.sym" spec a { include b() as b }')
    (tmp_path / "in" / "b.sym").write_text('use "a.sym" spec b { include a() as a }')
    (tmp_path / "in" / "bad.sym").write_text("spec bad { space }")
    (tmp_path / "out.sym").write_text("spec out { space a = 1 : fixed param p : a }")
    main = tmp_path / "in" / "main.sym"
    for used, expected in [
        ("../out.sym", ["QE101"]),
        (str(tmp_path / "out.sym"), ["QE101"]),
        ("none.sym", ["QE001"]),
        (".", ["QE001"]),
        ("main.sym", ["QE102"]),
        ("a.sym", ["QE102"]),
        ("bad.sym", ["QE104", "QE010"]),
    ]:
        main.write_text(f'use "{used}" spec main {{ space a = 1 : fixed param p : a }}')
        with pytest.raises(SymError) as caught:
            load(main)
        assert sorted(codes(caught.value)) == sorted(expected), used


def test_a_mistake_in_a_used_spec_is_shown_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "block.sym").write_text(
        "spec block(n: int = 1) {\n  space a = n - 5 : fixed\n  param p : a\n}"
    )
    main = tmp_path / "main.sym"
    main.write_text('use "block.sym" spec main { include block(n = 2) as b[i] for i in 1..3 }')
    with pytest.raises(SymError) as caught:
        load(main)
    assert codes(caught.value) == ["QE048"]
    assert " --> block.sym:2:13" in str(caught.value)


def test_files_that_use_each_other_without_end(tmp_path: Path) -> None:
    for i in range(300):
        uses = " ".join(f'use "{name}{i + 1}.sym"' for name in "ab")
        for name in "ab":
            (tmp_path / f"{name}{i}.sym").write_text(f"{uses} spec {name}{i} {{ }}")
    with pytest.raises(SymError, match="more than 16 deep"):
        load(tmp_path / "a0.sym")
    for name in "ab":
        (tmp_path / f"{name}12.sym").write_text(f"spec {name}12 {{ }}")
    assert len(load(tmp_path / "a0.sym").text.splitlines()) == 25


def test_mistakes_of_a_file_and_of_those_that_it_uses_come_together(tmp_path: Path) -> None:
    (tmp_path / "block.sym").write_text("spec block { let n = m space a = n : fixed param p : a }")
    main = tmp_path / "main.sym"
    main.write_text(
        'use "block.sym" use "none.sym" spec main { include block() as b include c() as c param p : x }'
    )
    with pytest.raises(SymError) as caught:
        load(main)
    assert sorted(codes(caught.value)) == ["QE001", "QE020", "QE051"]
    main.write_text('use "block.sym" spec main { include block() as b include blok() as c }')
    with pytest.raises(SymError) as caught:
        load(main)
    assert sorted(codes(caught.value)) == ["QE020", "QE100"]


# Arguments

ARGUMENTS = (
    'spec s(n: int = 2, w: ints = [3], t: text = "a") { space a = n + w[0] : fixed param p : a from t }'
)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n": "3"},
        {"n": [3]},
        {"n": True},
        {"n": 2.0},
        {"n": None},
        {"n": 10**30},
        {"w": 3},
        {"w": "3"},
        {"w": [1.5]},
        {"w": [[1]]},
        {"w": [10**30]},
        {"w": range(10**6)},
        {"t": 3},
        {"t": "x" * 10**6},
    ],
)
def test_arguments_of_a_wrong_type(arguments: dict[str, object]) -> None:
    text = ARGUMENTS.replace("from t", 'from "{t}"')
    assert codes(mistakes(text, arguments=arguments)) == ["QE031"]


@pytest.mark.parametrize(
    "definition", ["", "n", "=3", "3=n", "n=" + "9" * 50, "n=[1,2", "n=[a]", "n=[1,,2]", "n=[1.5]", "n-m=3"]
)
def test_definitions_of_a_wrong_form(definition: str) -> None:
    with pytest.raises(SymError) as caught:
        parse_arguments(["fine=1", definition])
    assert codes(caught.value) == ["QE033"]


def test_a_definition_given_twice() -> None:
    with pytest.raises(SymError, match="`n` is given twice"):
        parse_arguments(["n=1", "n=2"])


# Work is bounded

MANY = "spec s0 { space a = 3 : fixed param p : a } "
HOSTILE = {
    "digits": "spec s { let x = " + "9" * 100_000 + " }",
    "brackets": "spec s { let x = " + "(" * 5000 + "1" + ")" * 5000 + " }",
    "open brackets": "{" * 100_000,
    "nested spaces": "spec s {" + "space a = 3 : fixed {" * 900 + "}" * 900 + "}",
    "minus signs": "spec s { let x = " + "-" * 9001 + "1 space a = x : fixed param p : a }",
    "long sum": "spec s { let x = 1" + " + 1" * 4900 + " space a = x : foo param p : a }",
    "long product": "spec s { let x = 9" + " * 999999999" * 500 + " }",
    "long loop": "spec s { space a = 3 : fixed param W[i] for i in 1..1000000000 : a }",
    "filtered loop": "spec s { space a = 3 : fixed param W[i] for i in 1..1000000000 if i < 2 : a }",
    "loops in loops": "spec s { space a[i,j,k] for i in 1..999 for j in 1..999 for k in 1..999 = 1 : fixed }",
    "long list": "spec s { let x = sum([1..1000000000]) }",
    "many sums": "spec s { let l = [1..9999] let x = " + " + ".join(["sum(l)"] * 900) + " }",
    "growing texts": 'spec s { let t0 = "ab" '
    + "".join(f'let t{i + 1} = "{{t{i}}}{{t{i}}}" ' for i in range(60))
    + ' space a = 3 : fixed param p : a from "{t60}" }',
    "growing includes": MANY
    + "".join(f"spec s{i + 1} {{ include s{i}() as x include s{i}() as y }} " for i in range(15)),
    "deep includes": MANY + "".join(f"spec s{i + 1} {{ include s{i}() as x }} " for i in range(500)),
    "chained lets": "spec s { "
    + "".join(f"let x{i} = x{i + 1} " for i in range(2000))
    + " let x2000 = 0 space a = x0 : fixed param p : a }",
    "cycle of lets": "spec s { "
    + "".join(f"let x{i} = x{i + 1} " for i in range(2000))
    + " let x2000 = x0 }",
    "many axes": "spec s { space h = 3 : permute { space q = 2 : linear } param p : h " + "q " * 5000 + "}",
    "axes in a loop": "spec s { space a = 3 : fixed param p[i] for i in 1..9000 : " + "a " * 30 + "}",
    "many broken statements": "spec s {" + "space a = 3 permute\n" * 1500 + "}",
    "many unknown names": "spec s {"
    + "".join(f"space a{i} = 3 : fixed param p{i} : b{i} " for i in range(800))
    + "}",
    "quotes": '"' * 100_000,
    "braces in a text": 'spec s { let x = "' + "{1+" * 3000 + '" }',
    "one word": "a" * 900_000,
    "one long line": "spec s { " + "let x = 1 " * 2000 + "}",
    "spaces": "spec s { model" + " " * 500_000 + "x }",
    "keywords": "model " * 9000,
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_input_is_refused_soon(name: str) -> None:
    start = time.process_time()
    error = mistakes(HOSTILE[name])
    assert time.process_time() - start < 2
    assert max(len(line) for line in str(error).splitlines()) < 400


# Rendering


def test_a_long_line_is_cut_around_the_mistake() -> None:
    text = "x" * 300 + "!" + "y" * 300
    rendered = Span(Source("a.sym", text), 1, 301).render(1)
    assert rendered[0] == " --> a.sym:1:301"
    assert rendered[2][rendered[3].index("^")] == "!"
    assert len(rendered[2]) < 130


def test_what_cannot_be_printed_is_not() -> None:
    text = "a\t\x1b[31m\ud800 b"
    rendered = Span(Source("a.sym", text), 1, 10).render(1)
    assert rendered[2] == "1 | a  [31m  b"
    assert rendered[3] == "  |          ^"


def test_lines_are_those_of_the_parser() -> None:
    source = Source("a.sym", "one \N{LINE SEPARATOR} still one\ntwo")
    assert source.line(2) == "two"


def test_diagnostics_are_data() -> None:
    (diagnostic,) = mistakes("spec s { space a = 3 : permute * linear param p : a }").diagnostics
    assert diagnostic.to_json() == {
        "code": "QE041",
        "severity": "error",
        "message": "`linear` acts on the whole axis and cannot join `permute`",
        "path": "<text>",
        "line": 1,
        "column": 34,
        "length": 6,
        "notes": [
            {"message": "`permute` acts on single index values", "path": "<text>", "line": 1, "column": 24}
        ],
        "help": "nest it, as in: space head = 4 : permute { space qk = 16 : linear }",
    }


def test_a_skipped_part_without_a_mistake_is_the_fault_of_the_compiler() -> None:
    collector = Collector()
    with collector.attempt():
        raise SymError(())
    with pytest.raises(errors.IRError):
        collector.finish()


# Warnings


def test_what_is_never_used_is_a_warning_and_no_mistake() -> None:
    spec = parse("spec s(n: int = 2) { let k = 3  space a = 2 : permute  space b = 2 : fixed  param p : b }")
    assert [d.code for d in spec.warnings] == ["QE028"] * 3
    assert {d.severity for d in spec.warnings} == {"warning"}
    assert parse("spec s(n: int = 2) { space b = n : fixed  param p : b }").warnings == ()


# Groups as textbooks write them, and colour


@pytest.mark.parametrize(
    ("written", "word"), [("S(3)", "permute"), ("GL(3)", "linear"), ("SO(3)", "rotate"), ("O", "orthogonal")]
)
def test_groups_as_textbooks_write_them(written: str, word: str) -> None:
    error = mistakes(f"spec s {{ space a = 3 : {written}  param p : a }}")
    assert error.diagnostics[0].help == f"write `{word}`, without a size: it is the size of the space"


def test_colour_is_asked_for_and_changes_no_letter() -> None:
    error = mistakes("spec s { space a = 3 : permut  param p : b }")
    for diagnostic in error.diagnostics:
        coloured = diagnostic.render(colour=True)
        assert "\x1b[1;31m" in coloured
        assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == diagnostic.render()
        assert "\x1b" not in diagnostic.render()


# Slips of people who know other languages


SLIPS = {
    "metanet {\n channels 1, 2\n}": "a metanet is written as: metanet NAME {",
    "metanet m:\n channels 1, 2": "a metanet is written as: metanet NAME {",
    "include block as b": "without arguments: NAME()",
    "param q : a\ninclude block as b": "without arguments: NAME()",
    "param q : [a, 1]": "an axis of size 1 is left out",
    "param q : a 1": "an axis of size 1 is left out",
    "param q : a <- 3": "space k = 3 : fixed",
    "param tower.W : a": "a name that is declared has no dots",
    "space t.a = 2 : fixed": "a name that is declared has no dots",
    "let n = 2 ** 3": "there are no powers",
    "let n = 2 ^ 3": "there are no powers",
    "for i in 1..3 {\n space c[i] = 2 : fixed\n}": "a loop stands behind the name",
    "for i in 1..3:\n space c[i] = 2 : fixed": "a loop stands behind the name",
    "if 1 == 2 {\n space c = 2 : fixed\n}": "a condition stands behind a loop",
    "space c[i] for i in range(3) = 2 : fixed": "write `0..2`",
    "space c = 2 : permute:\n space d = 2 : fixed": "blocks stand in braces",
    "// a comment": "`#` starts a comment",
    "metanet m { channels [1, 16] }": "write the numbers one by one",
    "metanet m { channels 1, w }": "write the numbers one by one",
    "let n = 3 \u2013 1": "write `-`",
}


@pytest.mark.parametrize("slip", sorted(SLIPS))
def test_slips_that_are_understood(slip: str) -> None:
    error = mistakes(f"spec s(w: ints = [2]) {{\n space a = 3 : permute\n param p : a\n{slip}\n}}")
    helps = [d.help for d in error.diagnostics if d.help]
    assert any(SLIPS[slip] in help for help in helps), str(error)
    assert len(error.diagnostics) <= 2


def test_a_spec_without_braces_is_one_mistake() -> None:
    for head in ("spec s", "spec s(n: int = 2)"):
        (only,) = mistakes(f"{head}:\n  space a = 3 : permute\n  param p : a\n").diagnostics
        assert only.help == "blocks stand in braces, as in: spec NAME(n: int = 3) { ... }"


def test_a_colon_inside_a_line_opens_no_block() -> None:
    error = mistakes("spec s {\n  space a = 3 : permute : fixed\n  param p :\n}")
    assert [(d.help, d.span.line) for d in error.diagnostics if d.span] == [(None, 2), (None, 3)]


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\u200b", "U+200B ZERO WIDTH SPACE"),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("\ue000", "U+E000"),
    ],
)
def test_a_character_that_cannot_be_seen_is_named(character: str, name: str) -> None:
    (only,) = mistakes(f"spec s {{ space a{character} = 3 : permute  param p : a }}").diagnostics
    assert only.message == f"the character {name} has no meaning here"
    assert only.span is not None
    assert only.span.column == 17


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    text = "\ufeffspec s { space a = 3 : permute  param p : b }"
    assert mistakes(text).column == 43
    (tmp_path / "a.sym").write_text(text, encoding="utf-8")
    with pytest.raises(SymError) as caught:
        load(tmp_path / "a.sym")
    assert caught.value.column == 43


def test_very_long_names_are_cut_in_the_middle() -> None:
    name = "b" + "a" * 5000 + "c"
    for text in (
        f"spec s {{ space a = 3 : permute  param p : {name} }}",
        f"spec s {{ space {name} = 0 : permute }}",
        f"spec s {{ space a = 3 : permute  param {name} : a  feature {name} = p . q over a }}",
    ):
        error = mistakes(text)
        data = [str(d.to_json()) for d in error.diagnostics]
        for shown in (*str(error).splitlines(), *data):
            assert len(shown) < 1200
        assert any("`baaa" in d and "aac`" in d for d in data)


# Warnings of charges


def test_a_charge_without_a_character_is_a_warning() -> None:
    spec = parse("spec s { space a = 3 : permute  param p : a^2  param q : a^0  param r : [a^-1] }")
    assert [(d.code, d.span.column) for d in spec.warnings if d.span] == [("QE065", 45), ("QE065", 76)]


def test_a_character_that_no_axis_has_a_charge_of_is_a_warning() -> None:
    text = "spec s {{ space a[i] for i in 1..2 = 3 : permute * {0}  param p : a[1]^{1}  param q : a[2]^0 }}"
    for word, charge, warned in [("scale", 0, 1), ("scale", -1, 0), ("sign", 2, 1), ("sign", 1, 0)]:
        found = parse(text.format(word, charge)).warnings
        assert [d.code for d in found] == ["QE066"] * warned, (word, charge)


def test_a_character_of_one_sign_only_is_no_warning() -> None:
    """A batch norm divides by what it was multiplied with: nothing has the opposite charge."""
    text = "spec s { space c = 3 : permute * scale  param K : c  param mean : c  param var : c^2 }"
    assert parse(text).warnings == ()


def test_very_many_warnings_stop_nothing() -> None:
    lets = " ".join(f"let x{i} = 1" for i in range(500))
    spec = parse(f"spec s {{ {lets}  space a = 3 : permute  param p : a }}")
    assert len(spec.warnings) == errors.MOST_SHOWN


# Networks


BODY = "spec s {{\n  space h = 3 : permute * scale\n  param b : h\n  metanet m {{ {0} }}\n}}"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("activation sine", "QE701"),
        ("activation tanh", "QE702"),
        ("channels 1, 1000001", "QE091"),
        ("channels " + ", ".join(["1"] * 1001), "QE091"),
        ("readout invariant -> 1000000000000", "QE091"),
        ("context lowrank(2000000)", "QE091"),
        ("alpha shared(hidden = 1e9)", "QE094"),
    ],
)
def test_networks_that_cannot_be_are_refused_where_they_are_asked_for(entry: str, code: str) -> None:
    error = mistakes(BODY.format(entry))
    assert (codes(error), error.line) == ([code], 4)


def test_every_activation_that_a_type_allows_is_allowed() -> None:
    for name in ("auto", "gate", "relu", "abs"):
        assert parse(BODY.format(f"activation {name}")).metanets[0].activation == name


def test_a_fixed_space_with_a_group_inside_is_not_mixed() -> None:
    text = """spec s {
      space x = 2 : fixed { space y = 2 : fixed { space z = 2 : permute } }
      space v = 2 : fixed { space w = 2 : fixed }
      param p : x y z v w
      metanet m { mix x full  mix v full  mix w full }
    }"""
    error = mistakes(text)
    assert (codes(error), error.line, error.column) == (["QE092"], 5, 23)
    assert "the group of `z`, which is nested in it, is `permute`" in str(error)
