"""What a spec says, as values: spaces, axes, networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .values import Value


@dataclass(frozen=True)
class Space:
    """A node of the forest of spaces; `characters` are pairs of a name and a word."""

    name: str
    size: int
    permuted: bool
    vector: str | None
    characters: tuple[tuple[str, str], ...]
    parent: str | None

    @property
    def is_vector(self) -> bool:
        """Whether the group acts on the whole axis."""
        return self.vector is not None or any(word == "dilate" for _, word in self.characters)


@dataclass(frozen=True)
class Axis:
    """An axis: `charges` are those that act (the dual is applied), `parent` is the axis it belongs to."""

    space: str
    dual: bool
    charges: tuple[int, ...]
    parent: int | None


@dataclass(frozen=True)
class MetaNet:
    """What a `metanet` block says of the module: what it gives, and what restricts or follows its layers."""

    channels: tuple[int, ...] = (1, 16, 16)
    outputs: int | None = None
    alpha: str | None = None
    mixes: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    context: int | None = None


@dataclass(frozen=True)
class Elaborated:
    """What a spec says for some arguments; `used` has the hashes of the files that it uses."""

    arguments: Mapping[str, Value]
    spaces: Mapping[str, Space]
    params: Mapping[str, tuple[Axis, ...]]
    metanets: Mapping[str, MetaNet]
    used: Mapping[str, str]
    model: str | None

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a parameter."""
        return tuple(self.spaces[a.space].size for a in self.params[name])

    def as_json(self) -> Mapping[str, Any]:
        """The spaces and parameters in the form of a certificate."""
        params = [{"name": n, "axes": [asdict(a) for a in axes]} for n, axes in self.params.items()]
        return {"spaces": [asdict(s) for s in self.spaces.values()], "params": params}
