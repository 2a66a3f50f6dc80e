"""Parse tree to syntax tree: one method per rule of the grammar, each a constructor call.

Takes what lark gives, gives the values of `tree.py`. Values that are wrong in themselves (a number of too
many digits, a brace in a text that is not closed) are recorded and replaced, so that the rest goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lark import Token, Transformer, Tree, v_args
from lark.exceptions import VisitError
from lark.tree import Meta

from qecompile import tree
from qecompile.errors import Collector, Source, Span

MOST_DIGITS = 18
"""Digits of a number: every value of the language fits a signed 64-bit integer."""

_BRACES = re.compile(r"(\{\{|\}\}|\{[^{}]*\}|[{}])")

ExpressionParser = Callable[[Source, Span, str, Collector], tree.Expression | None]


def cover(first: Span, last: Span) -> Span:
    """The span from the start of one to the end of another, or to the end of its line."""
    if first.line == last.line:
        return Span(first.source, first.line, first.column, last.column + last.length - first.column)
    return Span(first.source, first.line, first.column, max(first.length, 1))


def _present(children: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(c for c in children if c is not None)


def build_file(
    parsed: Tree[Token], source: Source, collector: Collector, parse_expression: ExpressionParser
) -> tree.FileTree:
    """The syntax tree of a whole file; `parse_expression` reads what stands in the braces of texts."""
    result: tree.FileTree = _build(parsed, _TreeBuilder(source, collector, parse_expression))
    return result


def build_expression(
    parsed: Tree[Token], source: Source, collector: Collector, parse_expression: ExpressionParser
) -> tree.Expression:
    """The syntax tree of one expression."""
    result: tree.Expression = _build(parsed, _TreeBuilder(source, collector, parse_expression))
    return result


def _build(parsed: Tree[Token], builder: _TreeBuilder) -> Any:
    try:
        return builder.transform(parsed)
    except VisitError as error:
        raise error.orig_exc from None


@v_args(inline=True)
class _TreeBuilder(Transformer[Token, Any]):
    """One method per rule of the grammar, called with the values of the rule's parts."""

    def __init__(self, source: Source, collector: Collector, parse_expression: ExpressionParser) -> None:
        super().__init__()
        self._source = source
        self._collector = collector
        self._parse_expression = parse_expression

    def _span(self, token: Token) -> Span:
        return Span(self._source, token.line or 1, token.column or 1, max(1, len(token)))

    def _extent(self, meta: Meta) -> Span:
        """The span of a rule, brackets included, cut at the end of its first line."""
        length = meta.end_column - meta.column if meta.end_line == meta.line else 1
        return Span(self._source, meta.line, meta.column, max(1, length))

    # Tokens

    def NAME(self, token: Token) -> tree.Word:
        return tree.Word(str(token), self._span(token))

    def INT(self, token: Token) -> tree.Number:
        span = self._span(token)
        if len(token) > MOST_DIGITS:
            self._collector.error("QE015", f"this number has more than {MOST_DIGITS} digits", span)
            return tree.Number(1, span)
        return tree.Number(int(token), span)

    def STRING(self, token: Token) -> tree.Text:
        start = self._span(token)
        pieces: list[str | tree.Expression] = []
        at = start.column + 1
        for piece in _BRACES.split(str(token)[1:-1]):
            if piece:
                pieces.append(self._piece(piece, Span(self._source, start.line, at, len(piece))))
            at += len(piece)
        return tree.Text(tuple(pieces), start)

    def _piece(self, piece: str, span: Span) -> str | tree.Expression:
        if piece in ("{{", "}}"):
            return piece[0]
        if piece in ("{", "}"):
            help = f"write `{piece}{piece}` for the character itself"
            self._collector.error("QE012", f"this `{piece}` has no partner in the text", span, help=help)
            return piece
        if piece[0] != "{":
            return piece
        inside = Span(self._source, span.line, span.column + 1, max(1, span.length - 2))
        return self._parse_expression(self._source, inside, piece[1:-1], self._collector) or piece

    EXPECT = PAIRING = INVARIANTS = ORBIT_DIM = MODEL_CLAIM = ALPHA_CLAIM = LIVENESS = NAME
    CHANNELS = ACTIVATION = ALPHA = READOUT = MIX = CODING = CONTEXT = FULL = NAME

    # Expressions

    def number(self, value: tree.Number) -> tree.Number:
        return value

    def text(self, value: tree.Text) -> tree.Text:
        return value

    def name(self, word: tree.Word) -> tree.Name:
        return tree.Name(word.text, word.span)

    @v_args(inline=True, meta=True)
    def call(self, meta: Meta, function: tree.Word, *arguments: tree.Expression | None) -> tree.Call:
        return tree.Call(function, _present(arguments), self._extent(meta))

    def range(self, first: tree.Expression, last: tree.Expression) -> tree.Range:
        return tree.Range(first, last, cover(first.span, last.span))

    @v_args(inline=True, meta=True)
    def listing(self, meta: Meta, *items: Any) -> tree.Listing:
        return tree.Listing(_present(items), self._extent(meta))

    @v_args(inline=True, meta=True)
    def indexed(self, meta: Meta, value: tree.Expression, *indices: tree.Expression) -> tree.Index:
        return tree.Index(value, indices, self._extent(meta))

    def unary(self, *children: Any) -> tree.Expression:
        *signs, value = children
        span = cover(self._span(signs[0]), value.span)
        odd: tree.Expression = tree.Negative(value, span) if len(signs) % 2 else value
        return odd

    def sum(self, first: tree.Expression, *rest: Any) -> tree.Chain:
        pairs = tuple((str(op), value) for op, value in zip(rest[::2], rest[1::2], strict=True))
        return tree.Chain(first, pairs, cover(first.span, rest[-1].span))

    product = sum

    def comparison(self, left: tree.Expression, relation: Token, right: tree.Expression) -> tree.Comparison:
        return tree.Comparison(left, str(relation), right, cover(left.span, right.span))

    def loops(self, *loops: tree.Loop) -> tuple[tree.Loop, ...]:
        return loops

    def loop(self, variable: tree.Word, first: Any, last: Any, condition: Any) -> tree.Loop:
        return tree.Loop(variable, first, last, condition)

    # Names

    @v_args(inline=True, meta=True)
    def segment(self, meta: Meta, name: tree.Word, *indices: tree.Expression | None) -> tree.Segment:
        return tree.Segment(name, _present(indices), self._extent(meta))

    def reference(self, *segments: tree.Segment) -> tree.Reference:
        return tree.Reference(segments, cover(segments[0].span, segments[-1].span))

    axis_segment = segment
    axis_space = reference

    # Spaces and parameters

    def word(self, word: tree.Word, character: tree.Word | None) -> tree.GroupWord:
        return tree.GroupWord(word, character)

    def group(self, *words: tree.GroupWord) -> tuple[tree.GroupWord, ...]:
        return words

    def nested(self, *spaces: tree.SpaceStatement) -> tuple[tree.SpaceStatement, ...]:
        return spaces

    def space(self, segment: Any, loops: Any, size: Any, group: Any, nested: Any) -> tree.SpaceStatement:
        return tree.SpaceStatement(segment, loops, size, group, nested or ())

    def dual(self, star: Token) -> tree.DualMark:
        return tree.DualMark(self._span(star))

    def charge(self, value: tree.Number) -> tree.ChargeMark:
        return tree.ChargeMark(value, value.span)

    def negative_charge(self, minus: Token, value: tree.Number) -> tree.ChargeMark:
        span = cover(self._span(minus), value.span)
        return tree.ChargeMark(tree.Negative(value, span), span)

    def computed_charge(self, value: tree.Expression) -> tree.ChargeMark:
        return tree.ChargeMark(value, value.span)

    @v_args(inline=True, meta=True)
    def charges(self, meta: Meta, *charges: Any) -> tree.ChargesMark:
        return tree.ChargesMark(_present(charges), self._extent(meta))

    def charge_of(self, character: tree.Word, value: tree.Expression) -> tuple[tree.Word, tree.Expression]:
        return character, value

    def axis(self, space: tree.Reference, *marks: Any) -> tree.AxisTree:
        return tree.AxisTree(space, marks)

    def axes(self, *axes: tree.AxisTree) -> tuple[tree.AxisTree, ...]:
        return axes

    def arrow(self, out: tuple[tree.AxisTree, ...], into: Any) -> tree.TypeTree:
        return tree.TypeTree(out, into or ())

    def listed(self, *axes: tree.AxisTree | None) -> tree.TypeTree:
        return tree.TypeTree(_present(axes), ())

    def slice(self, name: tree.Word, value: tree.Expression) -> tuple[tree.Word, tree.Expression]:
        return name, value

    def source(self, key: tree.Text, layout: tree.Text | None, *slices: Any) -> tree.SourceTree:
        return tree.SourceTree(key, layout, slices)

    def param(self, segment: Any, loops: Any, type: Any, source: Any) -> tree.ParamStatement:
        return tree.ParamStatement(segment, loops, type, source)

    # Other statements

    def let(self, name: tree.Word, value: tree.Expression) -> tree.LetStatement:
        return tree.LetStatement(name, value)

    def feature(self, segment: Any, loops: Any, product: Any, *over: tree.Reference) -> tree.FeatureStatement:
        return tree.FeatureStatement(segment, loops, product, over)

    def drawn_size(self, size: tree.Expression) -> tree.Expression:
        return size

    def drawn_bound(self, name: tree.Word, value: tree.Expression) -> tuple[tree.Word, tree.Expression]:
        return name, value

    def drawn(self, keyword: tree.Word | None, distribution: tree.Word, *sizes: Any) -> tree.DrawnInput:
        named = tuple(s for s in _present(sizes) if isinstance(s, tuple))
        return tree.DrawnInput(
            keyword, distribution, tuple(s for s in _present(sizes) if not isinstance(s, tuple)), named
        )

    def model(self, target: tree.Text, *inputs: Any) -> tree.ModelStatement:
        outputs = [i for i in inputs if isinstance(i, tree.Reference)]
        drawn = tuple(i for i in inputs if isinstance(i, tree.DrawnInput))
        return tree.ModelStatement(target, drawn, outputs[0] if outputs else None, target.span)

    def arguments(self, *arguments: Any) -> tuple[Any, ...]:
        return _present(arguments)

    def argument(self, name: tree.Word, value: tree.Expression) -> tuple[tree.Word, tree.Expression]:
        return name, value

    bindings = arguments

    def binding(self, inner: tree.Segment, outer: tree.Reference) -> tuple[tree.Segment, tree.Reference]:
        return inner, outer

    def include(
        self, spec: Any, arguments: Any, prefix: Any, loops: Any, bindings: Any
    ) -> tree.IncludeStatement:
        return tree.IncludeStatement(spec, arguments, prefix, loops, bindings or ())

    # Expectations: each claim gives the fields from `verb` to `wanted`

    def pairing(self, verb: Any, source: Any, target: Any, relation: Token, value: Any) -> tuple[Any, ...]:
        return verb, (source, target), str(relation), value, None

    def invariants(self, verb: Any, source: Any, relation: Token, value: Any) -> tuple[Any, ...]:
        return verb, (source,), str(relation), value, None

    def orbit_dim(self, verb: Any, relation: Token, value: Any) -> tuple[Any, ...]:
        return verb, (), str(relation), value, None

    def model_claim(self, verb: tree.Word) -> tuple[Any, ...]:
        return verb, (), "==", None, None

    def alpha_claim(self, verb: tree.Word, wanted: tree.Word) -> tuple[Any, ...]:
        return verb, (), "==", None, wanted.text

    def expect(self, keyword: tree.Word, claim: tuple[Any, ...], loops: Any) -> tree.ExpectStatement:
        verb, references, relation, value, wanted = claim
        return tree.ExpectStatement(verb, references, relation, value, wanted, loops, keyword.span)

    # Metanets

    def channels(self, keyword: tree.Word, *values: tree.Expression) -> tree.ChannelsEntry:
        return tree.ChannelsEntry(keyword, values)

    def activation(self, keyword: tree.Word, function: tree.Word) -> tree.ActivationEntry:
        return tree.ActivationEntry(keyword, function)

    def alpha(self, keyword: tree.Word, family: tree.Word, options: Any) -> tree.AlphaEntry:
        return tree.AlphaEntry(keyword, family, options or ())

    options = arguments

    def number_option(self, name: tree.Word, number: Token) -> tuple[tree.Word, float]:
        return name, float(number)

    def names_option(self, name: tree.Word, *names: Any) -> tuple[tree.Word, tuple[tree.Word, ...]]:
        return name, _present(names)

    def invariant(self, keyword: tree.Word, outputs: tree.Expression) -> tree.ReadoutEntry:
        return tree.ReadoutEntry(keyword, outputs)

    def equivariant(self, keyword: tree.Word) -> tree.ReadoutEntry:
        return tree.ReadoutEntry(keyword, None)

    def full(self, mode: tree.Word) -> tuple[tree.Word, None]:
        return mode, None

    def coding(self, mode: tree.Word, rank: tree.Expression) -> tuple[tree.Word, tree.Expression]:
        return mode, rank

    def mix(self, keyword: Any, space: Any, mode: Any, loops: Any) -> tree.MixEntry:
        word, rank = mode
        return tree.MixEntry(keyword, space, word, rank, loops)

    def context(self, keyword: tree.Word, rank: tree.Expression) -> tree.ContextEntry:
        return tree.ContextEntry(keyword, rank)

    def metanet(self, name: tree.Word, *entries: tree.MetaNetEntry) -> tree.MetaNetStatement:
        return tree.MetaNetStatement(name, entries)

    # Files

    def parameter(self, name: tree.Word, type: tree.Word, default: Any) -> tree.Parameter:
        return tree.Parameter(name, type, default)

    def parameters(self, *parameters: Any) -> tuple[tree.Parameter, ...]:
        return _present(parameters)

    def spec(self, name: tree.Word, parameters: Any, *statements: Any) -> tree.SpecTree:
        return tree.SpecTree(name, parameters or (), statements)

    def use(self, path: tree.Text) -> tree.Text:
        return path

    def file(self, *children: Any) -> tree.FileTree:
        uses = tuple(c for c in children if isinstance(c, tree.Text))
        return tree.FileTree(uses, tuple(c for c in children if isinstance(c, tree.SpecTree)))
