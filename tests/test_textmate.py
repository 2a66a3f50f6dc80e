"""The colours of `.sym` files in editors: every word of every example gets the scope that suits it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sym_examples import EXAMPLES
from textmate import Grammar

from qecompile.format_tokens import read_tokens
from qecompile.resolve_spaces import WORDS as GROUP_WORDS
from qecompile.syntax import grammar

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "editors" / "sym.tmLanguage.json"
GRAMMAR = Grammar(json.loads(FILE.read_text(encoding="utf-8")))

EVERYTHING = """
use "blocks.sym"  # other specs
spec every(n: int = 3, w: ints = [1, 2..n], kind: text = "a") {
  let L = len(w) - sum([1]) + min(n, 2) * max(w) / 1 // 1 % 7
  space x = 2 : fixed
  space a[i] for i in 1..L if i % 2 == 0 = w[i] : permute * scale(pre) * sign(post) {
    space v = n : rotate * dilate
    space o = n : orthogonal
    space in = n : linear
  }
  param W[1] : a[1] in* <- x^-1 from "layers.{2*(i-1)}.{{w}}" as "(part a) x" at part = 0
  param over : [a[1]^{pre: 1, post: -2}, x^(n + 1), scale, over, at, model]
  feature Q = W . over over x, a[1]
  model "m:f" with input normal(8, 784), ids = tokens(8, below = 10) output a[0]
  include t(n = 3) as b[i] for i in 1..2 with x = a
  expect dim(W[1] -> W[1]) <= 1
  expect diagrams(dim -> W[1]) == 1 for i in 1..2
  expect invariants(W[1]) != 1
  expect orbit_dim >= 0
  expect preserves model
  expect maximal model
  expect alpha live
  expect alpha dead
  metanet m {
    channels 1, 16
    activation auto
    alpha shared(epsilon = -0.1e-3, stats = [mean, q25])
    readout invariant -> 10
    readout equivariant
    mix a[0] encode(6)
    mix x full
    mix x lowrank(2)
    context lowrank(3)
  }
}
"""

TEXTS = {**EXAMPLES, "everything": EVERYTHING}
KEYWORDS = {t.name for t in grammar().terminals if re.match(r"\(?[?:]*[a-z]", t.pattern.value)}
WANTED = {
    **dict.fromkeys(KEYWORDS, "keyword."),
    **dict.fromkeys(("INT", "NUMBER"), "constant.numeric."),
    **dict.fromkeys(("RELATION", "INTO", "ONTO", "RANGE", "CIRCUMFLEX"), "keyword.operator."),
    **dict.fromkeys(("PLUS", "MINUS", "STAR", "DIVIDE", "FLOOR", "MODULO", "EQUAL"), "keyword.operator."),
    **dict.fromkeys(
        ("LPAR", "RPAR", "LSQB", "RSQB", "LBRACE", "RBRACE", "COMMA", "COLON", "DOT"), "punctuation."
    ),
    "STRING": "string.quoted.",
}
NAMES = ("variable.", "entity.name.", "support.", "storage.type.")


def scopes_of_tokens(text: str) -> Iterator[tuple[str, str, set[tuple[str, ...]]]]:
    """Every token with its terminal of the grammar and the scopes of its characters."""
    scopes = GRAMMAR.scopes(text)
    for token in list(read_tokens(text))[:-1]:
        yield str(token), token.type, set(scopes[token.start_pos : token.end_pos])


def scope_of(text: str, word: str) -> str:
    """The innermost scope at the first place of a word."""
    return GRAMMAR.scopes(text)[text.index(word)][-1]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_word_has_the_scope_of_its_kind(name: str) -> None:
    for word, kind, scopes in scopes_of_tokens(TEXTS[name]):
        outer = {stack[:1] for stack in scopes}
        if kind == "STRING":
            assert outer == {("string.quoted.double.sym",)}, word
        else:
            (stack,) = scopes
            innermost = stack[-1] if stack else ""
            assert innermost.startswith(WANTED.get(kind, NAMES)), (word, kind, innermost)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_comments_are_comments_and_nothing_else_is(name: str) -> None:
    text = TEXTS[name]
    scopes = GRAMMAR.scopes(text)
    commented = {k for k, stack in enumerate(scopes) if stack and stack[-1].startswith("comment.")}
    words = {k for t in read_tokens(text) for k in range(t.start_pos, t.end_pos)}
    assert not commented & words
    assert all(k in commented or c.isspace() for k, c in enumerate(text) if k not in words)


def test_the_example_of_this_file_has_every_keyword_and_group_word() -> None:
    found = {(word, kind) for word, kind, _ in scopes_of_tokens(EVERYTHING)}
    for terminal in grammar().terminals:
        if terminal.name in KEYWORDS:
            alternatives = re.match(r"\(\?:([\w|]+)\)|(\w+)", terminal.pattern.value)
            assert alternatives
            for word in (alternatives[1] or alternatives[2]).split("|"):
                assert (word, terminal.name) in found
    assert {(word, "NAME") for word in GROUP_WORDS} <= found


@pytest.mark.parametrize("word", GROUP_WORDS)
def test_group_words_are_told_from_names(word: str) -> None:
    text = f"spec s {{\n  space {word} = 3 : permute * {word}\n  param p : {word}\n}}\n"
    found = [stack for k, stack in enumerate(GRAMMAR.scopes(text)) if text.startswith(word, k)]
    scopes = [stack[-1] for stack in found]
    if word == "permute":
        scopes.pop(1)
    assert scopes == ["entity.name.type.space.sym", "support.type.group.sym", "variable.other.space.sym"]


@pytest.mark.parametrize(
    ("text", "word", "scope"),
    [
        (EVERYTHING, "every", "entity.name.type.spec.sym"),
        (EVERYTHING, "n: int", "variable.parameter.sym"),
        (EVERYTHING, "ints", "storage.type.sym"),
        (EVERYTHING, "len", "support.function.sym"),
        (EVERYTHING, "W[1] :", "entity.name.function.param.sym"),
        (EVERYTHING, "i in 1..L", "variable.parameter.loop.sym"),
        (EVERYTHING, "pre)", "variable.other.character.sym"),
        (EVERYTHING, "pre: 1", "variable.other.character.sym"),
        (EVERYTHING, "{2*", "punctuation.section.interpolation.sym"),
        (EVERYTHING, "2*(", "constant.numeric.sym"),
        (EVERYTHING, "{{w", "constant.character.escape.sym"),
        (EVERYTHING, "over, at", "variable.other.space.sym"),
        (EVERYTHING, "at, model", "variable.other.space.sym"),
        (EVERYTHING, "model]", "variable.other.space.sym"),
        (EVERYTHING, "dim -> W", "variable.other.sym"),
        (EVERYTHING, "t(n", "entity.name.type.spec.sym"),
        (EVERYTHING, "b[i] for", "entity.name.namespace.sym"),
        (EVERYTHING, "m {", "entity.name.class.metanet.sym"),
        (EVERYTHING, "auto", "support.constant.sym"),
        (EVERYTHING, "# other", "comment.line.number-sign.sym"),
    ],
)
def test_words_in_their_places(text: str, word: str, scope: str) -> None:
    assert scope_of(text, word) == scope


def test_a_text_that_is_not_closed_ends_with_its_line() -> None:
    text = 'spec s {\n  param W : a from "half{i\n  param b : a\n}\n'
    assert scope_of(text, "param b") == "keyword.declaration.sym"
    assert scope_of(text, "b : a") == "entity.name.function.param.sym"


def every_rule(rule: object) -> Iterator[dict[str, object]]:
    if isinstance(rule, dict):
        yield rule
    for part in rule.values() if isinstance(rule, dict) else rule if isinstance(rule, list) else ():
        yield from every_rule(part)


def test_patterns_mean_the_same_in_oniguruma() -> None:
    """Nothing that Python and editors write differently, and no name that leads nowhere."""
    for rule in every_rule(GRAMMAR.data):
        for key in ("match", "begin", "end"):
            if isinstance(pattern := rule.get(key), str):
                re.compile(pattern)
                assert not re.search(r"\(\?P|\(\?[a-z]|\\[AZGKhH]|\[\]|\[\^\]|[*+?}]\+|\[\[", pattern), (
                    pattern
                )
        if isinstance(name := rule.get("include"), str):
            assert name.removeprefix("#") in GRAMMAR.data["repository"]
        if isinstance(name := rule.get("name"), str) and rule is not GRAMMAR.data:
            assert name.endswith(".sym")
