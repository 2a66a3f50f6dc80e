"""What specs mean: every form of the language, and the values that it resolves to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qecompile.errors import SymError
from qecompile.resolve import load, parse, parse_arguments
from qecompile.spec import Alpha, Axis, Entry, Feature, Input, MetaNet, Mix, Spec

SPECS = Path(__file__).parent.parent / "specs"

MLP = """
spec mlp(widths: ints = [784, 128, 128, 10]) {
  let L = len(widths) - 1

  space a[0]                 = widths[0] : fixed
  space a[i] for i in 1..L-1 = widths[i] : permute * scale
  space a[L]                 = widths[L] : fixed

  param W[i] for i in 1..L : a[i] <- a[i-1]  from "layers.{2*(i-1)}.weight"
  param b[i] for i in 1..L : a[i]            from "layers.{2*(i-1)}.bias"

  expect dim(W[2] -> W[2]) == 1
  expect dim(b[1] -> W[2]) == 0
}
"""


def body(statements: str, **arguments: object) -> Spec:
    """The spec with these statements."""
    return parse(f"spec s {{ {statements} }}", arguments=arguments)  # type: ignore[arg-type]


def axes(spec: Spec, name: str) -> list[tuple[str, bool, tuple[int, ...], int | None]]:
    return [(a.space, a.dual, a.charges, a.parent) for a in spec.params[name].axes]


# The examples of the language page


def test_the_perceptron() -> None:
    spec = parse(MLP)
    assert [(s.name, s.size, s.group) for s in spec.spaces] == [
        ("a[0]", 784, "fixed"),
        ("a[1]", 128, "permute * scale"),
        ("a[2]", 128, "permute * scale"),
        ("a[3]", 10, "fixed"),
    ]
    assert list(spec.params) == ["W[1]", "W[2]", "W[3]", "b[1]", "b[2]", "b[3]"]
    assert spec.params["W[1]"].shape == (128, 784)
    assert axes(spec, "W[2]") == [("a[2]", False, (1,), None), ("a[1]", False, (-1,), None)]
    assert spec.params["W[2]"].source == Entry(key="layers.2.weight")
    assert [(e.text, e.source, e.target, e.value) for e in spec.expects] == [
        ("dim(W[2] -> W[2]) == 1", "W[2]", "W[2]", 1),
        ("dim(b[1] -> W[2]) == 0", "b[1]", "W[2]", 0),
    ]
    assert (spec.expects[0].line, spec.expects[0].column) == (12, 3)
    assert spec.arguments == (("widths", (784, 128, 128, 10)),)


def test_an_argument_changes_the_number_of_layers() -> None:
    spec = parse(MLP.replace("expect", "#"), arguments={"widths": [64, 10]})
    assert list(spec.params) == ["W[1]", "b[1]"]
    assert spec.params["W[1]"].shape == (10, 64)


def test_attention() -> None:
    spec = body("""
      space D = 64 : permute
      space head = 4 : permute {
        space qk = 16 : linear
        space vo = 16 : linear
      }
      space ff = 256 : permute * scale
      param W_Q : head qk  <- D
      param b_Q : head qk
      param W_K : head qk* <- D
      param W_V : head vo  <- D
      param W_O : D <- head vo
      param W_1 : ff <- D
      param W_2 : D <- ff
    """)
    assert axes(spec, "W_Q") == [("head", False, (), None), ("qk", False, (), 0), ("D", False, (), None)]
    assert axes(spec, "W_K")[1] == ("qk", True, (), 0)
    assert axes(spec, "W_O") == [("D", False, (), None), ("head", False, (), None), ("vo", True, (), 1)]
    assert axes(spec, "W_2")[1] == ("ff", False, (-1,), None)
    assert spec.space["qk"].parent == "head"


def test_grouped_queries_with_rotary_planes() -> None:
    spec = body("""
      space D = 8 : permute
      space group = 2 : permute {
        space q = 4 : permute
        space freq = 8 : fixed { space plane = 2 : rotate * dilate }
        space vo = 16 : linear
      }
      param W_Q : group q freq plane <- D
      param W_K : group freq plane* <- D
      param W_V : group vo <- D
      param W_O : D <- group q vo
    """)
    assert axes(spec, "W_Q")[3] == ("plane", False, (1,), 2)
    assert axes(spec, "W_K")[2] == ("plane", False, (-1,), 1)
    assert axes(spec, "W_O")[1:] == [("group", False, (), None), ("q", False, (), 1), ("vo", True, (), 1)]
    assert spec.space["plane"].group == "rotate * dilate"


def test_low_rank_adapter_with_spaces_named_by_keywords() -> None:
    spec = body("""
      space rank = 8 : linear  space out = 3 : fixed  space in = 4 : fixed
      param B : out <- rank
      param A : rank <- in
    """)
    assert axes(spec, "B")[1] == ("rank", True, (), None)
    assert axes(spec, "A") == [("rank", False, (), None), ("in", False, (), None)]


def test_experts() -> None:
    spec = body("""
      space D = 5 : permute
      space expert = 8 : permute { space m = 32 : permute * scale }
      param W_in  : expert m <- D
      param W_out : [expert, D, m*]
      param route : expert <- D
    """)
    assert axes(spec, "W_in")[1] == ("m", False, (1,), 0)
    assert axes(spec, "W_out") == [
        ("expert", False, (), None),
        ("D", False, (), None),
        ("m", False, (-1,), 0),
    ]


def test_convolution_with_batch_norm() -> None:
    spec = body("""
      space x = 3 : fixed  space y = 4 : fixed  space k = 3 : fixed
      space c = 16 : permute * scale(pre) * scale(post)
      param K     : [c^{pre: 1}, x*, k, k]
      param mean  : c^{pre: 1}
      param var   : c^{pre: 2}
      param gamma : c^{post: 1}
      param K2    : [y, c^{post: -1}, k, k]
    """)
    charges = {name: next(a.charges for a in p.axes if a.space == "c") for name, p in spec.params.items()}
    assert charges == {"K": (1, 0), "mean": (1, 0), "var": (2, 0), "gamma": (0, 1), "K2": (0, -1)}
    assert spec.params["K"].shape == (16, 3, 3, 3)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.sym")), ids=lambda p: p.stem)
def test_every_spec_of_the_repository_resolves(path: Path) -> None:
    spec = load(path)
    assert spec.path == str(path)
    assert spec.params


def test_sign_perceptron_charges() -> None:
    spec = load(SPECS / "siren.sym")
    assert [a.charges for a in spec.params["W[2]"].axes] == [(1,), (-1,)]
    assert spec.space["a[1]"].group == "permute * sign"


# Axes


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("a", (1, 1)),
        ("a*", (-1, -1)),
        ("a^2", (2, 2)),
        ("a^0", (0, 0)),
        ("a^-1", (-1, -1)),
        ("a^(1 + n)", (4, 4)),
        ("a^2*", (-2, -2)),
        ("a*^2", (-2, -2)),
        ("a^{pre: 3}", (3, 0)),
        ("a^{pre: n - 1, flip: -1}*", (-2, 1)),
        ("a^{}", (0, 0)),
        ("[] <- a", None),
        ("b <- a", (-1, -1)),
        ("b <- a*", (1, 1)),
        ("b <- a^2", (-2, -2)),
        ("b <- a^2*", (2, 2)),
        ("[b, a^{flip: 1},]", (0, 1)),
    ],
)
def test_charges(type: str, expected: tuple[int, ...] | None) -> None:
    statements = f"""
      let n = 3  space a = 2 : permute * scale(pre) * sign(flip)  space b = 3 : fixed
      param p : {type}  param q : a^(n) b
    """
    if expected is None:
        with pytest.raises(SymError):
            body(statements)
        return
    axis = body(statements).params["p"].axes[-1]
    assert axis == Axis(space="a", charges=expected)


@pytest.mark.parametrize(
    ("group", "type", "dual", "charges"),
    [
        ("linear", "v", False, ()),
        ("linear", "v*", True, ()),
        ("linear", "b <- v", True, ()),
        ("linear", "b <- v*", False, ()),
        ("orthogonal", "v*", False, ()),
        ("rotate", "b <- v", False, ()),
        ("dilate", "v*", False, (-1,)),
        ("dilate(d)", "b <- v^{d: 3}", False, (-3,)),
        ("rotate * dilate", "b <- v^2", False, (-2,)),
    ],
)
def test_vector_axes(group: str, type: str, dual: bool, charges: tuple[int, ...]) -> None:
    spec = body(f"space v = 2 : {group}  space b = 3 : fixed  param p : {type}  param q : b v")
    assert spec.params["p"].axes[-1] == Axis(space="v", dual=dual, charges=charges)


def test_a_charge_without_characters_says_nothing() -> None:
    spec = body("space a[i] for i in 0..1 = 2 : fixed  param p[i] for i in 0..1 : a[i]^2")
    assert spec.params["p[0]"].axes == (Axis(space="a[0]"),)


def test_scalar() -> None:
    assert body("space a = 1 : fixed  param p : []  param q : a").params["p"].shape == ()


@pytest.mark.parametrize(
    ("type", "parents"),
    [
        ("h q", [None, 0]),
        ("q h", [1, None]),
        ("h q h q", [None, 0, None, 2]),
        ("h h q q", [None, None, 1, 1]),
        ("q h h", [1, None, None]),
        ("h <- h q", [None, None, 1]),
        ("h <- q h", [None, 0, None]),
        ("h q <- q", [None, 0, 0]),
    ],
)
def test_the_axis_that_a_nested_axis_belongs_to(type: str, parents: list[int | None]) -> None:
    spec = body(f"space h = 2 : permute {{ space q = 3 : linear }} param p : {type}")
    assert [a.parent for a in spec.params["p"].axes] == parents


# Values


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 // 2", 3),
        ("-7 // 2 + 10", 6),
        ("-7 % 3", 2),
        ("6 / 3", 2),
        ("10 - 3 - 2", 5),
        ("- - 4", 4),
        ("len([3, 4, 5])", 3),
        ("len([])+1", 1),
        ("sum([1..4])", 10),
        ("sum([1..3, 10, 5..4])", 16),
        ("min(3, 4) + max([7, 2])", 10),
        ("[3, 4, 5][1]", 4),
        ("w[len(w) - 1]", 9),
        ("1 + (2 < 3)", 2),
        ("1 + (2 >= 3)", 1),
        ('1 + (t == "tanh")', 2),
        ("1 + (w == [5, 9])", 2),
        ("later + 1", 43),
    ],
)
def test_expressions(expression: str, value: int) -> None:
    text = f"""
      spec s(w: ints = [5, 9], t: text = "tanh") {{
        let x = {expression}
        let later = 6 * 7
        space a = x : fixed
        param p[i] for i in 1..0 if t == "" : a^(w[0] + later) <- a
        param q : a
      }}
    """
    assert parse(text).space["a"].size == value


def test_loops() -> None:
    spec = body("""
      space w[i, j] for i in 1..2 for j in i..2 if i + j != 3 = i + j : fixed
      param p[i] for i in 1..2 : w[i, i]
    """)
    assert list(spec.space) == ["w[1,1]", "w[2,2]"]
    assert [s.size for s in spec.spaces] == [2, 4]
    assert list(spec.params) == ["p[1]", "p[2]"]


def test_an_empty_loop_declares_nothing() -> None:
    spec = body("space a = 2 : fixed  param p[i] for i in 3..1 : a  param q : a")
    assert list(spec.params) == ["q"]


def test_nested_spaces_see_the_loop_around_them() -> None:
    spec = body("""
      let L = 2
      space D = 3 : permute
      space head[i] for i in 1..L = 4 : permute {
        space qk[i] = 8 * i : linear
        space e[i, j] for j in 1..2 = j : fixed
      }
      param Q[i] for i in 1..L : head[i] qk[i] e[i, 1] e[i, 2] <- D
    """)
    assert list(spec.space) == [
        "D",
        "head[1]",
        "qk[1]",
        "e[1,1]",
        "e[1,2]",
        "head[2]",
        "qk[2]",
        "e[2,1]",
        "e[2,2]",
    ]
    assert spec.space["qk[2]"].size == 16
    assert spec.space["qk[2]"].parent == "head[2]"
    assert [a.parent for a in spec.params["Q[2]"].axes] == [None, 0, 0, 0, None]


def test_spaces_and_values_have_names_of_their_own() -> None:
    spec = parse("spec s(rank: int = 3) { space rank = rank : linear  param W : rank <- rank }")
    assert spec.params["W"].shape == (3, 3)


WORDS = """in at as if_ of out group q model feature metanet include spec use over with input dim alpha
  full encode lowrank preserves live mix channels fixed permute int ints text len sum""".split()


@pytest.mark.parametrize("word", WORDS)
def test_words_of_the_language_can_name_spaces(word: str) -> None:
    spaces = f"space x = 2 : fixed space {word} = 3 : permute"
    spec = body(f"{spaces} param p : x {word} <- {word} x {word} param q : {word}")
    assert spec.params["p"].shape == (2, 3, 3, 2, 3)
    listed = body(
        f"space x = 2 : fixed space {word} = 3 : permute param p : [x, {word}, {word}*] param {word} : {word}"
    )
    assert listed.params[word].shape == (3,)


# Checkpoint entries


def test_layouts_keep_full_names() -> None:
    spec = body("""
      space D = 4 : permute
      space head[i] for i in 1..2 = 2 : permute { space qk[i] = 3 : linear }
      param Q[i] for i in 1..2 : head[i] qk[i] <- D
        from "h.{i - 1}.in_proj" as "(part head qk[{i}]) D" at part = 2 - i
    """)
    assert spec.params["Q[1]"].source == Entry(
        key="h.0.in_proj", layout="(part head[1] qk[1]) D", at=(("part", 1),)
    )


def test_layouts_of_repeated_and_unit_axes() -> None:
    spec = body('space c = 2 : permute space k = 3 : fixed param K : [c, k, k] from "K" as "1 c (k  k)"')
    source = spec.params["K"].source
    assert source is not None
    assert source.layout == "1 c (k k)"


def test_texts() -> None:
    spec = parse(
        'spec s(prefix: text = "net") { space a = 2 : fixed param p : a from "{prefix}.{{x}}.{len([1])}" }',
        arguments={"prefix": "m"},
    )
    assert spec.params["p"].source == Entry(key="m.{x}.1")


# Statements


def test_expect_statements() -> None:
    spec = body("""
      space a[i] for i in 1..2 = 3 : permute
      param p[i] for i in 1..2 : a[i]
      model "package.module:callable" with input normal(8, 784)
      expect diagrams(p[1] -> p[2]) <= 2 - 1
      expect invariants(p[i]) == i for i in 1..2 if i > 1
      expect orbit_dim != 4
      expect preserves model
      expect maximal model
      expect alpha live
    """)
    assert [(e.kind, e.text, e.wanted) for e in spec.expects] == [
        ("diagrams", "diagrams(p[1] -> p[2]) <= 1", None),
        ("invariants", "invariants(p[2]) == 2", None),
        ("orbit_dim", "orbit_dim != 4", None),
        ("preserves", "preserves model", None),
        ("maximal", "maximal model", None),
        ("alpha", "alpha live", "live"),
    ]
    assert spec.model is not None
    assert spec.model.target == "package.module:callable"
    assert spec.model.inputs == (Input(distribution="normal", shape=(8, 784)),)


def test_inputs_of_a_model() -> None:
    spec = body("""
      let vocab = 10
      space a = 2 : permute  param p : a
      model "m:f" with input uniform(2, 3), ids = tokens(4, 5, below = vocab), mask = ones(4, 5)
    """)
    assert spec.model is not None
    assert [(i.keyword, i.distribution, i.shape, i.below) for i in spec.model.inputs] == [
        (None, "uniform", (2, 3), None),
        ("ids", "tokens", (4, 5), 10),
        ("mask", "ones", (4, 5), None),
    ]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("gauss(3)", "`gauss` is no way to draw an input"),
        ("normal()", "the input has no sizes"),
        ("normal(3, 0)", "the input has a size of 0"),
        ("tokens(3)", "nothing says how many tokens there are"),
        ("tokens(3, below = 0)", "there are 0 tokens"),
        ("tokens(3, below = 2, below = 3)", "`below` is given twice"),
        ("normal(3, below = 2)", "`normal` has no option `below`"),
        ("x = normal(3), normal(3)", "an input without a name follows one with a name"),
        ("x = normal(3), x = normal(3)", "the input `x` is given twice"),
        ("normal(3) output b", "the output space `b` is nested"),
    ],
)
def test_inputs_that_cannot_be_drawn(inputs: str, message: str) -> None:
    with pytest.raises(SymError) as caught:
        body(
            f'space a = 2 : permute {{ space b = 2 : fixed }}  param p : a b  model "m:f" with input {inputs}'
        )
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [("QE085", message)]


def test_metanet_defaults() -> None:
    spec = body("space a = 2 : fixed param p : a metanet m { }")
    assert spec.metanets == (MetaNet(name="m", channels=(1, 16, 16)),)


def test_metanet_entries_in_any_order() -> None:
    spec = body("""
      space a[i] for i in 0..2 = 4 : fixed
      param p : a[0] a[1] a[2]
      metanet m {
        context lowrank(4)
        readout invariant -> 2 * 5
        mix a[i] lowrank(i) for i in 1..2
        alpha shared(epsilon = 0.1, stats = [mean, var, q25, q50, q75])
        mix a[0] encode(6)
        activation relu
        channels 1, 32, 32
      }
      metanet n { alpha none readout equivariant mix a[0] full }
    """)
    m, n = spec.metanets
    assert m == MetaNet(
        name="m",
        channels=(1, 32, 32),
        activation="relu",
        alpha=Alpha(
            family="shared", options=(("epsilon", 0.1), ("stats", ("mean", "var", "q25", "q50", "q75")))
        ),
        outputs=10,
        mix=(
            Mix(space="a[1]", mode="lowrank", rank=1),
            Mix(space="a[2]", mode="lowrank", rank=2),
            Mix(space="a[0]", mode="encode", rank=6),
        ),
        context_rank=4,
    )
    assert (n.alpha, n.outputs, n.mix) == (None, None, (Mix(space="a[0]", mode="full"),))


def test_features() -> None:
    spec = body("""
      space D = 3 : permute space h[i] for i in 1..2 = 2 : permute { space q[i] = 2 : linear }
      param Q[i] for i in 1..2 : h[i] q[i] <- D
      param K[i] for i in 1..2 : h[i] q[i]* <- h[i]
      param E : D
      feature QK[i] for i in 1..2 = Q[i].K[i] over q[i]
      feature all = Q[1] . K[1] . E over q[1], D
    """)
    assert spec.features == (
        Feature(name="QK[1]", factors=("Q[1]", "K[1]"), over=("q[1]",)),
        Feature(name="QK[2]", factors=("Q[2]", "K[2]"), over=("q[2]",)),
        Feature(name="all", factors=("Q[1]", "K[1]", "E"), over=("q[1]", "D")),
    )


# Several specs and files


def test_the_last_spec_is_taken_unless_one_is_named() -> None:
    text = "spec a { space x = 1 : fixed param p : x } spec b { space y = 2 : fixed param q : y }"
    assert parse(text).name == "b"
    assert parse(text, "a").name == "a"


BLOCK = """
spec block(width: int = 4, key: text = "") {
  space D = width : permute
  space h[i] for i in 1..2 = 3 : permute * scale
  param W[i] for i in 1..2 : h[i] <- D  from "{key}w{i}"
  feature F = W[1] . W[2] over D
  expect orbit_dim == 6
}
"""


def test_include_joins_names_and_shares_spaces() -> None:
    spec = parse(
        BLOCK
        + """
        spec net {
          space stream = 5 : permute
          include block(width = 5, key = "layers.{i}.") as layer[i] for i in 0..1 with D = stream
          include block() as last
          param head : stream <- layer[1].h[2] last.D layer[0].D
          feature G = layer[0].W[1] . layer[1].W[2] over stream
          expect dim(head -> last.W[1]) == 0
        }"""
    )
    assert list(spec.space) == [
        "stream",
        *(f"layer[{i}].h[{j}]" for i in (0, 1) for j in (1, 2)),
        *("last.D", "last.h[1]", "last.h[2]"),
    ]
    assert [a.space for a in spec.params["layer[1].W[2]"].axes] == ["layer[1].h[2]", "stream"]
    assert [a.space for a in spec.params["head"].axes] == ["stream", "layer[1].h[2]", "last.D", "stream"]
    assert spec.params["layer[1].W[2]"].source == Entry(key="layers.1.w2")
    assert [f.name for f in spec.features] == ["layer[0].F", "layer[1].F", "last.F", "G"]
    assert spec.features[-1].factors == ("layer[0].W[1]", "layer[1].W[2]")
    assert [e.target for e in spec.expects] == ["last.W[1]"]


def test_use_reads_a_file_beside(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "block.sym").write_text(BLOCK)
    main = tmp_path / "main.sym"
    main.write_text('use "parts/block.sym"\nspec net { include block() as b param p : b.D }')
    spec = load(main)
    assert list(spec.space) == ["b.D", "b.h[1]", "b.h[2]"]
    before = spec.digest
    (tmp_path / "parts" / "block.sym").write_text(BLOCK.replace("expect", "expect "))
    assert load(main).digest != before


def test_a_spec_records_its_arguments_in_its_digest() -> None:
    text = "spec s(n: int = 2) { space a = n : fixed param p : a }"
    assert parse(text).digest == parse(text).digest
    assert parse(text).digest != parse(text, arguments={"n": 3}).digest


# Arguments


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        ("x=3", 3),
        ("x=-3", -3),
        ("x = [1, 2,]", (1, 2)),
        ("x=[]", ()),
        ("x=gelu", "gelu"),
        ('x="3"', "3"),
        ("x=a=b", "a=b"),
        ("x=", ""),
    ],
)
def test_parse_arguments(definition: str, value: object) -> None:
    assert parse_arguments([definition]) == {"x": value}


def test_lists_of_any_kind_are_arguments() -> None:
    text = "spec s(w: ints) { space a = w[0] : fixed param p : a }"
    assert parse(text, arguments={"w": [4, 5]}) == parse(text, arguments={"w": range(4, 6)})


# Layout is free


ABOUT_THE_TEXT = {
    "text": "",
    "path": "<text>",
    "expects": (),
    "places": (),
    "metanet_places": (),
    "warnings": (),
}


def same(text: str) -> Spec:
    return parse(text).model_copy(update=ABOUT_THE_TEXT)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.replace("\n", " "),
        lambda t: t.replace(" ", "\t"),
        lambda t: t.replace("\n", ' # \N{GREEK SMALL LETTER ALPHA} } ] " space\n'),
        lambda t: t.replace(" ", "\n\f\n"),
        lambda t: t.replace(" <- ", "<-").replace(" : ", ":").replace(" = ", "=").replace(" * ", "*"),
        lambda t: t.replace(" ", "\N{NO-BREAK SPACE}"),
        lambda t: "\n\n" + t + "# no line end",
    ],
)
def test_layout_is_free(change) -> None:  # type: ignore[no-untyped-def]
    assert same(change(MLP)) == same(MLP)


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_bytes(b"\xef\xbb\xbf" + MLP.encode())
    assert same(path.read_text("utf-8-sig")) == load(path).model_copy(update=ABOUT_THE_TEXT)


# Nothing but a spec or a SymError ever comes back

PIECES = """spec use space param let expect feature model metanet include from as at for in if over with input
a b head qk W L i 0 1 2 "key" "a.{i}" "{" ( ) [ ] { } { } = == != < <= : : , . .. <- -> * ^ + - / // % # @
fixed permute scale sign linear orthogonal rotate dilate dim diagrams invariants orbit_dim preserves
maximal alpha live dead channels activation readout invariant equivariant mix full encode lowrank context
int ints text len sum min max a[1] a[i] a* a^2""".split()


def resolves_or_explains(text: str) -> None:
    try:
        parse(text)
    except SymError as error:
        explained = [d.render() for d in error.diagnostics]
    else:
        explained = ["fine"]
    assert all(explained)
    assert explained


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_sequence_of_words(words: list[str]) -> None:
    resolves_or_explains(" ".join(words))
    resolves_or_explains(
        "spec s { space a[i] for i in 1..2 = 2 : permute param W : a[1] " + " ".join(words) + " }"
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    resolves_or_explains(text)
    resolves_or_explains("spec s { " + text + " }")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_small_change_of_a_spec(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(sorted(p.read_text() for p in SPECS.glob("*.sym"))))
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 8))
    piece = data.draw(st.sampled_from(PIECES) | st.text(max_size=3))
    resolves_or_explains(text[:start] + piece + text[start + length :])
