"""Specs for tests: `spec_of` writes one down in a few words, `specs` draws small random ones.

Both build the pydantic values directly, so that tests of the basis do not depend on the parser. The
strategy covers the whole language of spaces: every group word and legal combination, nesting to depth
three, several named characters, sizes from 1 (where most words degenerate) to 4 (below and above the
stability thresholds), axes that repeat, and nested axes on either side of their parents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import strategies as st

from qecompile.spec import Axis, Character, Param, Space, Spec

VECTOR_WORDS = ("linear", "orthogonal", "rotate")
INDEX_GROUPS = (
    "fixed",
    "permute",
    "scale",
    "sign",
    "permute * scale",
    "permute * sign",
    "scale * sign",
    "permute * scale * sign",
    "scale(pre) * scale(post)",
    "permute * scale(pre) * scale(post)",
    "permute * sign(pre) * sign(post)",
)
VECTOR_GROUPS = (
    "linear",
    "orthogonal",
    "rotate",
    "dilate",
    "rotate * dilate",
    "orthogonal * dilate",
    "rotate * dilate(pre) * dilate(post)",
)


# --- by hand ------------------------------------------------------------------------------------------


def spec_of(spaces: Mapping[str, str], types: Mapping[str, str]) -> Spec:
    """A spec from words, as in `spec_of({"h": "2 permute", "h.q": "3 linear"}, {"W": "h q <- h q"})`.

    A space is its size and its group, a nested one is named after its parent. A type is written as in the
    language, without brackets: `a`, `a*`, `a^2` (in every character), or `a^1,-1` (one charge for each).

    >>> spec = spec_of({"h": "2 permute", "h.q": "3 linear"}, {"W": "h q <- h q"})
    >>> spec.params["W"].shape, [a.dual for a in spec.params["W"].axes]
    ((2, 3, 2, 3), [False, False, True, True])
    """
    nodes = []
    for path, words in spaces.items():
        size, group = words.split(maxsplit=1)
        nodes.append(space_of(path.split(".")[-1], int(size), group, parent=([None, *path.split(".")])[-2]))
    known = {s.name: s for s in nodes}
    return Spec(name="test", spaces=tuple(nodes), parameters=tuple(params_of(known, types)))


def space_of(name: str, size: int, group: str, parent: str | None = None) -> Space:
    """A space from its group as the user writes it."""
    words = re.findall(r"(\w+)(?:\((\w+)\))?", group)
    return Space(
        name=name,
        size=size,
        permuted=("permute", "") in words,
        vector=next((w for w, _ in words if w in VECTOR_WORDS), None),
        characters=tuple(
            Character(name=label or w, word=w) for w, label in words if w in ("scale", "sign", "dilate")
        ),
        parent=parent,
    )


def params_of(known: Mapping[str, Space], types: Mapping[str, str]) -> Iterator[Param]:
    """Parameters from their types."""
    for name, text in types.items():
        axes, out = [], True
        for word in text.split():
            if word == "<-":
                out = False
                continue
            label, star, charges = re.fullmatch(r"(\w+)(\*?)(?:\^(.*))?", word).groups()
            s, dual = known[label], bool(star) == out
            given = [int(c) for c in charges.split(",")] if charges else [1] * len(s.characters)
            if len(given) < len(s.characters):
                given = given * len(s.characters)
            axes.append(Axis(space=label, dual=dual, charges=tuple(-c if dual else c for c in given)))
        yield param_of(name, axes, known)


def param_of(name: str, axes: Sequence[Axis], known: Mapping[str, Space]) -> Param:
    """A parameter, each nested axis given to the nearest axis of its parent on its left, else right."""
    placed = []
    for k, axis in enumerate(axes):
        owner = known[axis.space].parent
        left = [i for i in range(k) if axes[i].space == owner]
        right = [i for i in range(k + 1, len(axes)) if axes[i].space == owner]
        placed.append(axis.model_copy(update={"parent": left[-1] if left else right[0] if right else None}))
    return Param(name=name, axes=tuple(placed), shape=tuple(known[a.space].size for a in axes))


def with_tensors(spaces: Mapping[str, str], of: str, rank: int) -> Spec:
    """A spec with the parameters T0, T1, ..., T`rank`: powers of one type, written as words."""
    return spec_of(spaces, {f"T{k}": " ".join([of] * k) for k in range(rank + 1)})


# --- drawn at random ----------------------------------------------------------------------------------

sizes = st.sampled_from([2, 1, 3, 4])
charges = st.sampled_from([1, -1, 0, 2, -2, 3])


@st.composite
def forests(draw, index_groups=INDEX_GROUPS, vector_groups=VECTOR_GROUPS) -> tuple[Space, ...]:
    """One to three trees of at most six spaces, at most three deep."""
    spaces: list[Space] = []

    def grow(parent: str | None, depth: int) -> None:
        group = draw(st.sampled_from(index_groups + vector_groups))
        size = draw(sizes if depth == 1 else st.sampled_from([2, 1, 3]))
        spaces.append(space_of(f"s{len(spaces)}", size, group, parent))
        name = spaces[-1].name
        if group in index_groups and depth < 3:
            for _ in range(draw(st.sampled_from([1, 0, 2, 1]))):
                if len(spaces) < 6:
                    grow(name, depth + 1)

    for _ in range(draw(st.integers(1, 3))):
        if len(spaces) < 6:
            grow(None, 1)
    return tuple(spaces)


@st.composite
def params(draw, name: str, spaces: tuple[Space, ...], bound: int) -> Param:
    """A parameter of at most `bound` entries: up to four chosen axes, and the parents that they need."""
    known = {s.name: s for s in spaces}
    choices = spaces + tuple(s for s in spaces if s.parent)  # nested spaces twice as often
    chosen: list[str] = []
    for _ in range(draw(st.sampled_from([2, 1, 3, 4, 0]))):
        missing = [draw(st.sampled_from(choices))]
        while (owner := missing[-1].parent) is not None and owner not in chosen:
            missing.append(known[owner])
        grown = [*chosen, *(s.name for s in missing)]
        if math.prod(known[s].size for s in grown) > bound or len(grown) > 6:
            continue
        for s in reversed(missing):
            chosen.insert(draw(st.integers(0, len(chosen))), s.name)
    axes = []
    for s in chosen:
        drawn = tuple(draw(charges) for _ in known[s].characters)
        axes.append(Axis(space=s, dual=draw(st.booleans()), charges=drawn))
    return param_of(name, axes, known)


@st.composite
def specs(
    draw, bound: int = 1500, index_groups=INDEX_GROUPS, vector_groups=VECTOR_GROUPS, count: int = 3
) -> Spec:
    """A spec with two or more parameters, the pairs of which mostly have at most `bound` unknowns."""
    spaces = draw(forests(index_groups, vector_groups))
    first = draw(params("P0", spaces, draw(st.sampled_from([8, math.isqrt(bound), bound // 8]))))
    rest = bound // max(math.prod(first.shape), math.isqrt(bound))
    others = [draw(params(f"P{i}", spaces, rest)) for i in range(1, draw(st.integers(2, count)))]
    return Spec(name="drawn", spaces=spaces, parameters=(first, *others))


def pairs(spec: Spec, bound: int) -> Iterator[tuple[str, str]]:
    """The ordered pairs of parameters, also (p, p), between which a map has at most `bound` entries."""
    for p in spec.parameters:
        for q in spec.parameters:
            if math.prod(p.shape) * math.prod(q.shape) <= bound:
                yield p.name, q.name


def describe(spec: Spec) -> str:
    """The spec in a few lines, for the message of a failing test."""
    lines = [f"{s.parent or ''}.{s.name} = {s.size} : {s.group}" for s in spec.spaces]
    for p in spec.parameters:
        axes = [f"{a.space}{'*' * a.dual}{list(a.charges) or ''}@{a.parent}" for a in p.axes]
        lines.append(f"{p.name}: {' '.join(axes)}")
    return "\n".join(lines)
