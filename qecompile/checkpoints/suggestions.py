"""What would make a parameter and a stored tensor fit: another layout, another size, another key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from qecompile.checkpoints.layouts import (
    Factor,
    Layout,
    factor_sizes,
    fit,
    layout_text,
    read_layout,
    slice_counts,
)
from qecompile.checkpoints.stored import quote
from qecompile.spec import Param

MOST_AXES = 5
"""Axes of a parameter, and of a stored tensor, for which layouts are tried: at most 5! orders."""

MOST_PATTERNS = 2000
"""Names that differ in more than numbers, among which the nearest is looked for."""

MOST_SHOWN = 4
"""Names in a message."""


def suggest_form(param: Param, shape: tuple[int, ...], arguments: Iterable[str]) -> str:
    """What to do about a parameter that a stored tensor of this shape does not fit.

    Args:
        param: a parameter with a `from` clause.
        shape: the stored shape.
        arguments: the names of the arguments of the spec.
    """
    for name, value, count in slice_counts(read_layout(param), shape):
        return f"`at {name} = {value}` counts from 0, and there are {count}"
    if layout := suggest_layout(param, shape):
        return f"it would fit with: {layout}"
    ways = []
    if sizes := suggest_sizes(param, shape):
        known = " or ".join(f"`{name}`" for name in arguments)
        ways.append(f"{sizes}: set {known} with -D" if known else sizes)
    if layout := suggest_layout(param, shape, Factor("part")):
        ways.append(f"a part of it would fit with: {layout}")
    return "; or ".join(ways) or 'say how it is stored, as in: as "(head qk) D"'


def suggest_layout(param: Param, shape: tuple[int, ...], part: Factor | None = None) -> str | None:
    """The clause with which a stored tensor of this shape would fit, as in `as "(head qk) D"`.

    Tried are, nearest first: the groups of the present layout in another order; the axes in any order, with
    neighbours joined. If the layout has no slice, `part` is one to put in front of a group.
    """
    for layout in _candidates(param, shape, part):
        if fit(layout, shape) is not None:
            at = next((f"at {f.name} = {f.value}" for group in layout for f in group if f.axis is None), "")
            return f'as "{layout_text(layout, _short_names(param))}" {at}'.rstrip()
    return None


def _candidates(param: Param, shape: tuple[int, ...], part: Factor | None) -> Iterator[Layout]:
    layout = read_layout(param)
    if max(len(param.axes), len(layout), len(shape)) > MOST_AXES:
        return
    yield from permutations(layout)
    factors = [f for group in layout for f in group]
    slices = [f for f in factors if f.axis is None]
    axes = sorted((f for f in factors if f.axis is not None), key=lambda f: f.axis or 0)
    if len(slices) <= 1:
        for order in permutations(axes):
            yield from _group(order, shape, slices[0] if slices else part)


def _group(axes: Sequence[Factor], shape: tuple[int, ...], slice_: Factor | None) -> Iterator[Layout]:
    """Join neighbouring axes to make up the sizes of `shape`; `slice_` takes what one size leaves."""
    if not shape:
        if not axes and slice_ is None:
            yield ()
        return
    for count in range(len(axes) + 1):
        group = tuple(axes[:count])
        starts = [(group, slice_)] if slice_ is None else [(group, slice_), ((slice_, *group), None)]
        for first, rest in starts:
            if factor_sizes(first, shape[0]) is not None:
                for others in _group(axes[count:], shape[1:], rest):
                    yield (first, *others)


def _short_names(param: Param) -> list[str]:
    """The names of the axes as a layout may write them: without indices, where that is clear."""
    prefix = param.name.rpartition(".")[0]
    names = [a.space.removeprefix(f"{prefix}.") if prefix else a.space for a in param.axes]
    short = [re.sub(r"\[[^\]]*\]$", "", name) for name in names]
    clear = len(set(short)) == len(set(names))
    return short if clear else names


def suggest_sizes(param: Param, shape: tuple[int, ...]) -> str | None:
    """Which spaces have another size in a stored tensor, if it has the axes of the parameter's layout."""
    layout = read_layout(param)
    if len(layout) != len(shape):
        return None
    other = []
    for group, size in zip(layout, shape, strict=True):
        if len(group) == 1 and group[0].size not in (None, size):
            other.append(f"{quote(group[0].name)} has {group[0].size} values here and {size} in the file")
    return ", ".join(other) or None


class KeySuggester:
    """Finds the entry that a key probably means.

    Names are compared up to their numbers, so that a thousand layers cost as much as one.

    >>> KeySuggester(["model.layer.0.weight", "model.layer.1.weight"]).suggest("model.layers.1.weight")
    'model.layer.1.weight'
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._patterns: dict[str, dict[tuple[str, ...], str]] = {}
        self._nearest: dict[str, str | None] = {}
        for name in self._names:
            pattern = _pattern(name)
            if pattern in self._patterns or len(self._patterns) < MOST_PATTERNS:
                self._patterns.setdefault(pattern, {}).setdefault(_numbers(name), name)

    def advise(self, key: str) -> str | None:
        """A line about what `key` could have meant; None if there is nothing that it could mean."""
        if near := self.suggest(key):
            return f"did you mean {quote(near)}?"
        shown = ", ".join(quote(name) for name in self._names[:MOST_SHOWN])
        more = len(self._names) - MOST_SHOWN
        return f"not used yet: {shown}{f' and {more} more' if more > 0 else ''}" if shown else None

    def suggest(self, key: str) -> str | None:
        """The name that is `key` but for a prefix, else one spelt like it; if possible with its numbers."""
        pattern = _pattern(key)
        if pattern not in self._nearest:
            self._nearest[pattern] = self._find(pattern)
        near = self._nearest[pattern]
        if near is None:
            return None
        names = self._patterns[near]
        return names.get(_numbers(key)) or next(iter(names.values()))

    def _find(self, pattern: str) -> str | None:
        for known in self._patterns:
            if known.endswith(f".{pattern}") or pattern.endswith(f".{known}"):
                return known
        close = difflib.get_close_matches(pattern, self._patterns, n=1, cutoff=0.7)
        return close[0] if close else None


def _pattern(name: str) -> str:
    return re.sub(r"\d+", "#", name[:200])


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", name[:200]))
