"""The checked spec: frozen values that every later stage reads.

Takes nothing, gives the vocabulary. A `Spec` is made by `resolve.py` (or directly in a test); its
validators hold the invariants that later stages rely on, so that none of them checks again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qecompile.errors import Diagnostic, Span

VectorWord = Literal["linear", "orthogonal", "rotate"]
CharacterWord = Literal["scale", "sign", "dilate"]


class Frozen(BaseModel):
    """A value: no field can be set, no unknown field is taken."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Character(Frozen):
    """A one-dimensional representation: how an index value (or a whole vector axis) is multiplied.

    `scale` and `dilate` multiply by a positive number to the power *charge*, `sign` by +1 or -1.
    """

    name: str
    word: CharacterWord

    @property
    def text(self) -> str:
        """The character as the user would write it, as in `scale(pre)`."""
        return self.word if self.name == self.word else f"{self.word}({self.name})"


class Space(Frozen):
    """One node of the forest of spaces: a size and a group word (theory.md, section 1).

    An *index* space permutes its index (`permuted`) or not, and may multiply each index value by
    characters; each index value carries its own copy of the groups of the nested spaces. A *vector*
    space is acted on by a matrix (`vector`) and by `dilate` characters; it has no nested spaces.
    """

    name: str
    size: int = Field(ge=1)
    permuted: bool = False
    vector: VectorWord | None = None
    characters: tuple[Character, ...] = ()
    parent: str | None = None

    @property
    def is_vector(self) -> bool:
        """Whether a matrix or a single number acts on the whole axis."""
        return self.vector is not None or any(c.word == "dilate" for c in self.characters)

    @property
    def group(self) -> str:
        """The group as the user would write it, as in `permute * scale(pre)`."""
        words = ["permute"] if self.permuted else []
        words += [self.vector] if self.vector else []
        words += [c.text for c in self.characters]
        return " * ".join(words) or "fixed"

    @model_validator(mode="after")
    def _index_or_vector(self) -> Space:
        if self.is_vector and (self.permuted or any(c.word != "dilate" for c in self.characters)):
            raise ValueError(f"space {self.name} mixes an index word with a vector word")
        if self.vector == "linear" and self.characters:
            raise ValueError(f"space {self.name}: dilate is a subgroup of linear")
        return self


class Axis(Frozen):
    """One axis of a parameter.

    `dual` matters on vector axes only (M becomes M^-T). `charges` has one entry per character of the
    space and is what acts: the dual has been applied, so a plain axis of charge 1 that stands on the
    IN side has charge -1 here. `parent` is the position, in the same parameter, of the axis that an
    axis of a nested space belongs to.
    """

    space: str
    dual: bool = False
    charges: tuple[int, ...] = ()
    parent: int | None = None


class Entry(Frozen):
    """Where a parameter is stored: key, einops layout of the stored tensor, literal slices of it."""

    key: str
    layout: str | None = None
    at: tuple[tuple[str, int], ...] = ()


class Param(Frozen):
    """A parameter of the user's network: a tensor product of axes."""

    name: str
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    source: Entry | None = None


class Expect(Frozen):
    """An `expect` statement: what it asks, the integer it is compared with, and its text."""

    kind: Literal["dim", "diagrams", "invariants", "orbit_dim", "preserves", "maximal", "alpha"]
    source: str | None = None
    target: str | None = None
    relation: Literal["==", "!=", "<", "<=", ">", ">="] = "=="
    value: int | None = None
    wanted: str | None = None
    text: str
    line: int
    column: int


class Mix(Frozen):
    """How the axes of one fixed space are mixed: completely, by `rank` positional codes, or learned."""

    space: str
    mode: Literal["full", "encode", "lowrank"]
    rank: int | None = None


class Alpha(Frozen):
    """The `alpha` clause of a `metanet` block."""

    family: Literal["shared", "covariant", "independent"]
    options: tuple[tuple[str, float | tuple[str, ...]], ...] = ()


DEFAULT_CHANNELS = (1, 16, 16)


class MetaNet(Frozen):
    """A `metanet` block: the network to emit. `outputs` is None for an equivariant readout."""

    name: str
    channels: tuple[int, ...] = DEFAULT_CHANNELS
    activation: str = "auto"
    alpha: Alpha | None = None
    outputs: int | None = None
    mix: tuple[Mix, ...] = ()
    context_rank: int | None = None


class Feature(Frozen):
    """A `feature` statement: a contraction of two or more parameters over the named spaces."""

    name: str
    factors: tuple[str, ...]
    over: tuple[str, ...]


class Input(Frozen):
    """How one input of a model is drawn.

    `normal` and `uniform` (from 0 to 1) are floating, `ones` too; `tokens` are integers from 0, less
    than `below`. With a `keyword` it is passed by that name.
    """

    distribution: Literal["normal", "uniform", "ones", "tokens"]
    shape: tuple[int, ...]
    below: int | None = None
    keyword: str | None = None


class Model(Frozen):
    """A `model` clause: the network whose function the group must preserve, its inputs, and its place.

    With `output` the last axis of what the network gives is an axis of that space, and moves along.
    """

    target: str
    inputs: tuple[Input, ...] = ()
    output: str | None = None
    place: Span | None = None


class Spec(Frozen):
    """A whole spec. Spaces come in order of declaration, so every parent precedes its children.

    `warnings` are about the text: what it says is allowed, and perhaps not meant. `places` says where each
    parameter is declared, by name, and `metanet_places` where each network is, for messages of later stages.
    """

    name: str
    spaces: tuple[Space, ...]
    parameters: tuple[Param, ...]
    expects: tuple[Expect, ...] = ()
    metanets: tuple[MetaNet, ...] = ()
    features: tuple[Feature, ...] = ()
    model: Model | None = None
    arguments: tuple[tuple[str, int | tuple[int, ...] | str], ...] = ()
    path: str = "<text>"
    text: str = ""
    warnings: tuple[Diagnostic, ...] = ()
    places: tuple[tuple[str, Span], ...] = ()
    metanet_places: tuple[tuple[str, Span], ...] = ()

    @cached_property
    def params(self) -> Mapping[str, Param]:
        """The parameters by name, in order of declaration."""
        return MappingProxyType({p.name: p for p in self.parameters})

    @cached_property
    def space(self) -> Mapping[str, Space]:
        """The spaces by name, in order of declaration."""
        return MappingProxyType({s.name: s for s in self.spaces})

    @cached_property
    def children(self) -> Mapping[str | None, tuple[Space, ...]]:
        """The spaces nested directly in each space; under None, the roots."""
        found: dict[str | None, list[Space]] = {None: []} | {s.name: [] for s in self.spaces}
        for s in self.spaces:
            found[s.parent].append(s)
        return MappingProxyType({name: tuple(nested) for name, nested in found.items()})

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the text and the arguments."""
        return hashlib.sha256(f"{self.text}\0{self.arguments!r}".encode()).hexdigest()

    @model_validator(mode="after")
    def _consistent(self) -> Spec:
        seen: dict[str, Space] = {}
        for s in self.spaces:
            if s.name in seen:
                raise ValueError(f"space {s.name} is declared twice")
            if s.parent is not None and (s.parent not in seen or seen[s.parent].is_vector):
                raise ValueError(f"space {s.name} must be nested in an earlier index space")
            seen[s.name] = s
        if len(self.params) != len(self.parameters):
            raise ValueError("two parameters have one name")
        for p in self.parameters:
            _check_axes(p, seen)
        return self


def _check_axes(p: Param, spaces: Mapping[str, Space]) -> None:
    if p.shape != tuple(spaces[a.space].size for a in p.axes):
        raise ValueError(f"the shape of {p.name} is not that of its axes")
    for a in p.axes:
        s = spaces[a.space]
        if len(a.charges) != len(s.characters):
            raise ValueError(f"{p.name}: an axis of {s.name} needs {len(s.characters)} charges")
        owner = p.axes[a.parent].space if a.parent is not None else None
        if owner != s.parent:
            raise ValueError(f"{p.name}: an axis of {s.name} must belong to an axis of {s.parent}")
