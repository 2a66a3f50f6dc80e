"""The syntax tree of a `.sym` file: frozen values with the place each was written at.

Made by `syntax.py`, read by the resolver. Nothing is checked here: names may be undeclared, numbers may be
out of range. An optional part that was not written is None or empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.errors import Span


@dataclass(frozen=True, slots=True)
class Word:
    """One identifier as written."""

    text: str
    span: Span


# Expressions


@dataclass(frozen=True, slots=True)
class Number:
    """An integer literal."""

    value: int
    span: Span


@dataclass(frozen=True, slots=True)
class Text:
    """A text in double quotes; an expression in braces is kept as its tree."""

    pieces: tuple[str | Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    """A parameter of the spec, a `let` or a loop variable."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Range:
    """`first..last` inside a list: both ends included."""

    first: Expression
    last: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Listing:
    """A list literal."""

    items: tuple[Expression | Range, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to expressions."""

    function: Word
    arguments: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Index:
    """`value[i][j]...`; flat, so that a long chain is not a deep tree."""

    value: Expression
    indices: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Negative:
    """An expression behind an odd number of minus signs."""

    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Chain:
    """`first op x op y ...` with operators of one precedence, evaluated from the left."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left relation right`; 1 if it holds, else 0."""

    left: Expression
    relation: str
    right: Expression
    span: Span


Expression = Number | Text | Name | Listing | Call | Index | Negative | Chain | Comparison


@dataclass(frozen=True, slots=True)
class Loop:
    """`for variable in first..last if condition`."""

    variable: Word
    first: Expression
    last: Expression
    condition: Expression | None


# Names of things


@dataclass(frozen=True, slots=True)
class Segment:
    """`a` or `w[1, 2]`: a name, perhaps with indices."""

    name: Word
    indices: tuple[Expression, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Reference:
    """`a[1]`, or `block[2].a[1]` for something that an `include` brought in."""

    segments: tuple[Segment, ...]
    span: Span


# Spaces and parameters


@dataclass(frozen=True, slots=True)
class GroupWord:
    """One word of a group, perhaps with the name of its character: `scale(pre)`."""

    word: Word
    character: Word | None


@dataclass(frozen=True, slots=True)
class SpaceStatement:
    """`space NAME = SIZE : GROUP { nested }`."""

    segment: Segment
    loops: tuple[Loop, ...]
    size: Expression
    group: tuple[GroupWord, ...]
    nested: tuple[SpaceStatement, ...]


@dataclass(frozen=True, slots=True)
class DualMark:
    """`*` behind an axis."""

    span: Span


@dataclass(frozen=True, slots=True)
class ChargeMark:
    """`^2`: one charge for every character of the space."""

    charge: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class ChargesMark:
    """`^{pre: 1}`: charges by the names of the characters."""

    charges: tuple[tuple[Word, Expression], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class AxisTree:
    """An axis of a type: a space, and the marks behind it."""

    space: Reference
    marks: tuple[DualMark | ChargeMark | ChargesMark, ...]


@dataclass(frozen=True, slots=True)
class TypeTree:
    """A type: the axes on the OUT side, and those on the IN side."""

    out: tuple[AxisTree, ...]
    into: tuple[AxisTree, ...]


@dataclass(frozen=True, slots=True)
class SourceTree:
    """`from "key" as "layout" at part = 0`."""

    key: Text
    layout: Text | None
    slices: tuple[tuple[Word, Expression], ...]


@dataclass(frozen=True, slots=True)
class ParamStatement:
    """`param NAME : TYPE from ...`."""

    segment: Segment
    loops: tuple[Loop, ...]
    type: TypeTree
    source: SourceTree | None


# Other statements


@dataclass(frozen=True, slots=True)
class LetStatement:
    """`let NAME = EXPRESSION`."""

    name: Word
    value: Expression


@dataclass(frozen=True, slots=True)
class FeatureStatement:
    """`feature NAME = A . B over space`; `product` is `A . B` as one run of segments."""

    segment: Segment
    loops: tuple[Loop, ...]
    product: Reference
    over: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class DrawnInput:
    """One input of a model: `normal(8, 784)`, or `ids = tokens(8, 16, below = vocab)`."""

    keyword: Word | None
    distribution: Word
    shape: tuple[Expression, ...]
    named: tuple[tuple[Word, Expression], ...]


@dataclass(frozen=True, slots=True)
class ModelStatement:
    """`model "package.module:callable" with input normal(8, 784) output D`."""

    target: Text
    inputs: tuple[DrawnInput, ...]
    output: Reference | None
    span: Span


@dataclass(frozen=True, slots=True)
class IncludeStatement:
    """`include NAME(argument = value) as PREFIX with space = reference`."""

    spec: Word
    arguments: tuple[tuple[Word, Expression], ...]
    prefix: Segment
    loops: tuple[Loop, ...]
    bindings: tuple[tuple[Segment, Reference], ...]


@dataclass(frozen=True, slots=True)
class ExpectStatement:
    """`expect CLAIM`: `verb` is its first word, `references` its parameters.

    `value` and `relation` are there for a claim about a number, `wanted` for `alpha live` and `alpha dead`.
    """

    verb: Word
    references: tuple[Reference, ...]
    relation: str
    value: Expression | None
    wanted: str | None
    loops: tuple[Loop, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ChannelsEntry:
    """`channels 1, 32, 32`."""

    keyword: Word
    values: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class ActivationEntry:
    """`activation auto`."""

    keyword: Word
    function: Word


@dataclass(frozen=True, slots=True)
class AlphaEntry:
    """`alpha shared(epsilon = 0.1, stats = [mean, var])`."""

    keyword: Word
    family: Word
    options: tuple[tuple[Word, float | tuple[Word, ...]], ...]


@dataclass(frozen=True, slots=True)
class ReadoutEntry:
    """`readout invariant -> 10`; `outputs` is None for `readout equivariant`."""

    keyword: Word
    outputs: Expression | None


@dataclass(frozen=True, slots=True)
class MixEntry:
    """`mix a[0] encode(6)`."""

    keyword: Word
    space: Reference
    mode: Word
    rank: Expression | None
    loops: tuple[Loop, ...]


@dataclass(frozen=True, slots=True)
class ContextEntry:
    """`context lowrank(4)`."""

    keyword: Word
    rank: Expression


MetaNetEntry = ChannelsEntry | ActivationEntry | AlphaEntry | ReadoutEntry | MixEntry | ContextEntry


@dataclass(frozen=True, slots=True)
class MetaNetStatement:
    """`metanet NAME { ... }`."""

    name: Word
    entries: tuple[MetaNetEntry, ...]


Statement = (
    LetStatement
    | SpaceStatement
    | ParamStatement
    | FeatureStatement
    | ModelStatement
    | IncludeStatement
    | ExpectStatement
    | MetaNetStatement
)


# Files


@dataclass(frozen=True, slots=True)
class Parameter:
    """`NAME: TYPE = DEFAULT` in the head of a spec."""

    name: Word
    type: Word
    default: Expression | None


@dataclass(frozen=True, slots=True)
class SpecTree:
    """`spec NAME(parameters) { statements }`."""

    name: Word
    parameters: tuple[Parameter, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class FileTree:
    """A whole file: the paths it uses and the specs it declares."""

    uses: tuple[Text, ...]
    specs: tuple[SpecTree, ...]
