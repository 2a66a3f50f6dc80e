"""The values of a plan. A plan says everything about a layer except how it is written down.

A layer computes, for every intermediate type: *reduce* each source (one `Row` each), mix channels and
free multiplicities with one matrix, *expand* to each target (one `Column` each). The matrix has one
entry per basis element of the group's equivariant maps, or per allowed entry where `PlanType.mask`
says that some combinations are not diagrams, or would be dependent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from qecompile.factor import AxisRole, LocalType

TypeKey = tuple[tuple[str, LocalType], ...]


@dataclass(frozen=True, slots=True)
class PlanAxis:
    """An axis of an intermediate type: its space, size and role; `parent` is -1 or another axis.

    `neutral` says that no charge acts on it, `contra` that M^-T does.
    """

    space: str
    size: int
    role: AxisRole
    parent: int
    neutral: bool
    contra: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """A multiplicity of a row or column: axes that become channels, or a coded axis of `size` codes."""

    axes: tuple[int, ...]
    size: int
    coded: bool = False


@dataclass(frozen=True, slots=True)
class Epsilon:
    """A Levi-Civita tensor on axes of the parameter and axes of the type, in this order."""

    axes: tuple[int, ...]
    type_axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """How one parameter meets one intermediate type, by positions among the parameter's axes.

    `through[k]` are the axes that carry axis k of the type (empty if a Levi-Civita tensor does).
    `pooled` blocks are averaged, or broadcast along; several axes in a block mean their diagonal.
    `pairs` of vector axes are traced, or filled with an identity.
    """

    param: str
    through: tuple[tuple[int, ...], ...]
    pooled: tuple[tuple[int, ...], ...]
    spread: tuple[Spread, ...]
    pairs: tuple[tuple[int, int], ...]
    epsilons: tuple[Epsilon, ...]

    @property
    def multiplicity(self) -> int:
        """How many channels one channel of the parameter gives, or takes."""
        return prod(s.size for s in self.spread)

    @property
    def is_plain(self) -> bool:
        """Whether the tensor is only viewed: nothing is averaged, traced, coded or taken from a diagonal."""
        groups = [*self.through, *(s.axes for s in self.spread)]
        return (
            not (self.pooled or self.pairs or self.epsilons)
            and all(len(g) == 1 for g in groups)
            and not any(s.coded for s in self.spread)
        )


@dataclass(frozen=True, slots=True)
class Mask:
    """The entries of a type's matrix that are basis elements, where not all of them are.

    Entries are numbered in row-major order of (type indices with their own weights, row, column);
    `entries[k]` is the position of the k-th weight.
    """

    shape: tuple[int, int, int]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlanType:
    """One intermediate type with its rows and columns; `name` is unique in the plan.

    `axes` stand as the emitted tensors have them; `order[k]` is the place of axis k in `key`.
    """

    name: str
    key: TypeKey
    axes: tuple[PlanAxis, ...]
    order: tuple[int, ...]
    rows: tuple[Side, ...]
    columns: tuple[Side, ...]
    mask: Mask | None

    @property
    def height(self) -> int:
        """Rows of the matrix for one input channel."""
        return sum(r.multiplicity for r in self.rows)

    @property
    def width(self) -> int:
        """Columns of the matrix for one output channel."""
        return sum(c.multiplicity for c in self.columns)

    @property
    def own(self) -> tuple[int, ...]:
        """The axes whose every index value has a matrix of its own."""
        return tuple(k for k, a in enumerate(self.axes) if a.role == "each")

    @property
    def weights(self) -> int:
        """The number of weights for one pair of channels."""
        if self.mask is not None:
            return len(self.mask.entries)
        return prod(self.axes[k].size for k in self.own) * self.height * self.width

    @property
    def is_neutral(self) -> bool:
        """Whether the group only permutes entries of this type: no charges, no vector axes."""
        return all(a.neutral and a.role != "strand" for a in self.axes) and not any(
            any(local.charges) for _, local in self.key
        )


@dataclass(frozen=True, slots=True)
class Code:
    """A fixed space whose axes are mixed through `rank` codes instead of completely."""

    space: str
    size: int
    mode: Literal["encode", "lowrank"]
    rank: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole layer.

    `affine` lists the columns of the invariant type that carry a bias value. With a `context_rank` the
    matrix of that type, in which every parameter meets every other, is a product through so many
    features of `out_channels` channels each: a smaller family, equivariant like the complete one.
    """

    types: tuple[PlanType, ...]
    affine: tuple[int, ...]
    codes: tuple[Code, ...]
    context_rank: int | None = None

    @property
    def weights(self) -> int:
        """The number of weights for one pair of channels, without codes and a factorised context."""
        return sum(t.weights for t in self.types if not self.is_factorised(t))

    @property
    def is_complete(self) -> bool:
        """Whether the layer is the whole space of equivariant maps."""
        return not self.codes and self.context_rank is None

    def is_factorised(self, t: PlanType) -> bool:
        """Whether the matrix of a type is a product of two."""
        return self.context_rank is not None and t.key == () and bool(t.rows)

    def layer_weights(self, in_channels: int, out_channels: int) -> int:
        """The number of parameters of a layer, bias included."""
        count = self.weights * in_channels * out_channels + len(self.affine) * out_channels
        for t in self.types:
            if self.is_factorised(t):
                inner = (self.context_rank or 0) * out_channels
                count += inner * (t.height * in_channels + t.width * out_channels)
        return count + sum(2 * c.size * c.rank for c in self.codes if c.mode == "lowrank")

    @property
    def invariant(self) -> PlanType | None:
        """The type that the group fixes, if any parameter has an invariant."""
        return next((t for t in self.types if t.key == ()), None)
