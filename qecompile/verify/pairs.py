"""A spec taken apart: the types that maps are made of, one root space and one pair of parameters at a time.

Takes a `Spec`, gives small specs of two parameters (or one) under one root, each once.

*Lemma.* The group is a product over the root spaces, G = G_1 x ... x G_k, and a parameter is a tensor product
V_1 (x) ... (x) V_k on which G_j acts on V_j alone. Then Hom_G(V, W) is the tensor product of the
Hom_{G_j}(V_j, W_j), and so are invariants: dimensions multiply, and diagrams are products of diagrams. So
completeness and independence need only be shown for one root at a time; parameters that look alike
under a root are one case, however many layers a network has.

This is the same lemma that `signature.py` uses, written again: a proof does not borrow the hands of the
accused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from qecompile.spec import Axis, Character, Param, Space, Spec

TARGET, SOURCE = "target", "source"


@dataclass(frozen=True, slots=True)
class Part:
    """The axes of one parameter under one root, by position in the parameter; `parent` counts within.

    Parts of one `kind` have equal axes.
    """

    axes: tuple[Axis, ...]
    positions: tuple[int, ...]
    kind: int


@dataclass(frozen=True, slots=True)
class Case:
    """A pair of parts under one root, or one part and nothing: a question for the basis.

    `forest` are the spaces of the root, renamed by their place. None stands for a parameter without axes
    there.
    """

    forest: tuple[Space, ...]
    target: tuple[Axis, ...] | None
    source: tuple[Axis, ...] | None

    def spec(self, sizes: Mapping[str, int] | None = None) -> Spec:
        """The case as a spec with the parameters `target` and `source`, perhaps at other sizes."""
        new = sizes or {}
        spaces = tuple(s.model_copy(update={"size": new.get(s.name, s.size)}) for s in self.forest)
        known = {s.name: s.size for s in spaces}
        parameters = [Param(name=TARGET, axes=self.target or (), shape=_shape(self.target or (), known))]
        if self.source is not None:
            parameters.append(Param(name=SOURCE, axes=self.source, shape=_shape(self.source, known)))
        return Spec(name="case", spaces=spaces, parameters=tuple(parameters))

    @property
    def source_name(self) -> str | None:
        """The source's name in `spec`, if there is a source."""
        return None if self.source is None else SOURCE

    @property
    def sizes(self) -> tuple[tuple[str, int], ...]:
        """The declared size of every space."""
        return tuple((s.name, s.size) for s in self.forest)

    def legs(self) -> dict[str, int]:
        """How many axes each space has, in both parts together."""
        counts = {s.name: 0 for s in self.forest}
        for axis in (*(self.target or ()), *(self.source or ())):
            counts[axis.space] += 1
        return counts


def _shape(axes: tuple[Axis, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(sizes[a.space] for a in axes)


class Cases:
    """The parts of every parameter of a spec, and the cases that its pairs of parameters are made of."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.roots = tuple(s.name for s in spec.children[None])
        self._forest: dict[str, tuple[Space, ...]] = {}
        self._short: dict[str, str] = {}
        self._kinds: dict[tuple[str, tuple[Axis, ...]], int] = {}
        self._made: dict[tuple[str, int | None, int | None], Case] = {}
        root_of: dict[str, str] = {}
        for root in self.roots:
            below = list(_below(spec, root))
            root_of |= {s.name: root for s in below}
            self._short |= {s.name: f"s{k}" for k, s in enumerate(below)}
            self._forest[root] = tuple(self._renamed(s) for s in below)
        self.parts = {p.name: self._split(p, root_of) for p in spec.parameters}

    def pair(self, target: str, source: str | None) -> dict[str, Case]:
        """The cases, by root, whose product are the maps from `source` to `target` (or the invariants)."""
        mine = self.parts[target]
        theirs = self.parts[source] if source is not None else {}
        roots = [r for r in self.roots if r in mine or r in theirs]
        return {r: self._case(r, mine.get(r), theirs.get(r)) for r in roots}

    def distinct(self) -> tuple[Case, ...]:
        """Every case that some pair of parameters (or some bias) needs, each once."""
        found: dict[Case, None] = {}
        for root in self.roots:
            parts = {here.axes: here for p in self.parts.values() if (here := p.get(root))}
            absent = any(root not in p for p in self.parts.values())
            options: list[Part | None] = list(parts.values())
            for target, source in product([*options, None], [*options, None]):
                needed = source is None or target is not None or absent
                if (target or source) and needed:
                    found.setdefault(self._case(root, target, source))
        return tuple(found)

    def _case(self, root: str, target: Part | None, source: Part | None) -> Case:
        key = (root, target.kind if target else None, source.kind if source else None)
        if key not in self._made:
            axes = [part.axes if part else None for part in (target, source)]
            self._made[key] = Case(self._forest[root], *axes)
        return self._made[key]

    def _renamed(self, space: Space) -> Space:
        """The same space under a name that says only where it stands in its tree."""
        characters = tuple(Character(name=f"c{k}", word=c.word) for k, c in enumerate(space.characters))
        parent = None if space.parent is None else self._short[space.parent]
        return Space(
            name=self._short[space.name],
            size=space.size,
            permuted=space.permuted,
            vector=space.vector,
            characters=characters,
            parent=parent,
        )

    def _split(self, param: Param, root_of: Mapping[str, str]) -> dict[str, Part]:
        split = {}
        for root in dict.fromkeys(root_of[a.space] for a in param.axes):
            positions = tuple(k for k, a in enumerate(param.axes) if root_of[a.space] == root)
            place = {position: k for k, position in enumerate(positions)}
            axes = tuple(
                Axis(
                    space=self._short[a.space],
                    dual=a.dual,
                    charges=a.charges,
                    parent=None if a.parent is None else place[a.parent],
                )
                for a in (param.axes[k] for k in positions)
            )
            split[root] = Part(axes, positions, self._kinds.setdefault((root, axes), len(self._kinds)))
        return split


def _below(spec: Spec, name: str) -> Iterator[Space]:
    """A space and all that is nested in it, parents first."""
    yield spec.space[name]
    for child in spec.children[name]:
        yield from _below(spec, child.name)
