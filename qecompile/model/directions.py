"""Directions that leave the function alone, in words.

Takes an oracle that says which combinations of given directions are in the kernel, and the same for the
orbit's tangent space; gives `Direction`s that are in the first and not in the second:

- an entry of one parameter alone: it has no influence;
- the same entry of several parameters of one type against each other: only a combination of them matters;
- all entries along an axis together: a shift, as before a softmax or a norm;
- one index value of a space, multiplied in the parameters that have it: a `scale` with the charges found;
- one index value of a space mixed into another: `linear`, or where only rotations are, `orthogonal`.

Each is a small linear problem at one or two places, at any number of parameters. What has another form is
told by the shares of the parameters in the missing directions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import torch
from torch import Tensor

from qecompile.model.candidates import Position, positions_of, slice_at
from qecompile.model.network import Weights
from qecompile.model.rows import complement, is_neat
from qecompile.nesting import lineage
from qecompile.orbit_algebra import count_copies
from qecompile.spec import Space, Spec

Oracle = Callable[[list[Weights]], Tensor]
"""Directions, each by the parameters that it moves, to their combinations in a space, as columns."""

Kind = Literal["free", "against", "shift", "scale", "linear", "orthogonal"]
MOST_ENTRIES = 256
MOST_PLACES = 16
MOST_POSITIONS = 64
"""Axes of one space, in all parameters, of which combinations are looked for."""

MOST_NAMED = 4


@dataclass(frozen=True)
class Direction:
    """A family of directions, the parameters that it moves, its dimension if all are new, and a sentence."""

    kind: Kind
    space: str | None
    moves: tuple[str, ...]
    dims: int
    text: str


def name_directions(
    spec: Spec,
    theta: Weights,
    kernel: Oracle,
    orbit: Callable[[frozenset[str]], Oracle],
    entries: int = MOST_ENTRIES,
) -> tuple[Direction, ...]:
    """What can be put into words of the kernel beyond the orbit.

    Args:
        spec: the spec.
        theta: where the kernel is.
        kernel: says what is in the kernel.
        orbit: says what is in the tangent space of the orbit, up to movements of some parameters.
        entries: up to how many entries of a parameter are tried together, for movements of it alone.
    """
    finder = _Finder(spec, theta, kernel, orbit(frozenset()))
    free, partly = finder.free(entries)
    finder = _Finder(spec, theta, kernel, orbit(frozenset(d.moves[0] for d in free)), free)
    against, shifts = [*finder.against()], [*finder.shifts()]
    shifted = {(d.moves[0], theta[d.moves[0]].numel() // spec.space[d.space].size) for d in shifts if d.space}
    balanced = {name for d in against for name in d.moves}
    families = [d for s in spec.spaces for d in (*finder.scales(s), *finder.mixtures(s))]
    families = [d for d in families if not set(d.moves) <= balanced]
    told = {d.moves for d in families}
    rest = [d for d, count in partly if (d.moves[0], count) not in shifted and d.moves not in told]
    return (*free, *rest, *against, *shifts, *families)


class _Finder:
    def __init__(
        self, spec: Spec, theta: Weights, kernel: Oracle, orbit: Oracle, free: Sequence[Direction] = ()
    ) -> None:
        self.spec, self.theta, self._kernel, self._orbit = spec, theta, kernel, orbit
        self._free = {d.moves[0] for d in free}

    def _missing(self, columns: list[Weights]) -> list[list[float]]:
        """Coefficients of the combinations in the kernel, less those in the orbit, in reduced form."""
        found = self._kernel(columns) if columns else torch.zeros(0, 0)
        return complement(found, self._orbit(columns)) if found.shape[1] else []

    def free(self, entries: int) -> tuple[list[Direction], list[tuple[Direction, int]]]:
        """Parameters without influence; and those that can move by themselves, with the dimensions."""
        free, partly = [], []
        for name, t in self.theta.items():
            flat = range(t.numel())
            tried = flat if t.numel() <= entries else flat[:: t.numel() // min(entries, 32)]
            rows = self._missing([{name: _unit(t, j)} for j in tried])
            if not rows:
                continue
            if len(rows) == len(tried):
                text = f"`{name}` has no influence on the function"
                free.append(Direction("free", None, (name,), t.numel(), text))
            elif len(tried) == t.numel():
                text = f"`{name}` can move by itself in {len(rows)} of its {t.numel()} dimensions"
                partly.append((Direction("free", None, (name,), len(rows), text), len(rows)))
        return free, partly

    def against(self) -> Iterator[Direction]:
        """Parameters of one type of which only combinations matter."""
        groups: dict[object, list[str]] = {}
        for p in self.spec.parameters:
            if p.name not in self._free:
                groups.setdefault(p.axes, []).append(p.name)
        for names in groups.values():
            if len(names) < 2 or len(names) > MOST_ENTRIES:
                continue
            last = self.theta[names[0]].numel() - 1
            for row in _same(self._missing([{n: _unit(self.theta[n], j)} for n in names]) for j in (0, last)):
                moved = {n: c for n, c in zip(names, row, strict=True) if c}
                if len(moved) > 1:
                    text = f"each entry of {_terms(moved)} can move so, against each other"
                    yield Direction("against", None, tuple(moved), self.theta[names[0]].numel(), text)

    def shifts(self) -> Iterator[Direction]:
        """Axes along which one number can be added everywhere."""
        for p in self.spec.parameters:
            for k, axis in enumerate(p.axes):
                if p.name in self._free or p.shape[k] == 1:
                    continue
                places = [*product(*(range(n) for i, n in enumerate(p.shape) if i != k))]
                tried = places[:: -(-len(places) // MOST_PLACES)]
                if len(self._missing([{p.name: _along(p.shape, k, at)} for at in tried])) == len(tried):
                    text = f"one number can be added to all entries of `{p.name}` along `{axis.space}`"
                    dims = self.theta[p.name].numel() // p.shape[k]
                    yield Direction("shift", axis.space, (p.name,), dims, text)

    def scales(self, s: Space) -> Iterator[Direction]:
        """Index values that can be multiplied, with the charges of the parameters."""
        positions = [q for q in positions_of(self.spec, s.name) if q[0] not in self._free]
        if s.vector == "linear" or len(positions) > MOST_POSITIONS:
            return
        places = {0, s.size - 1}
        found = [self._missing([self._multiplied(q, i) for q in positions]) for i in sorted(places)]
        for row in _same(iter(found)):
            charges = {q: c for q, c in zip(positions, row, strict=True) if c}
            if len(charges) < 2 or not all(is_neat(c) for c in charges.values()):
                continue
            text = f"each index value of `{s.name}` can be scaled: {_charges(charges, self.spec)}"
            names = tuple(dict.fromkeys(n for n, _ in charges))
            yield Direction("scale", s.name, names, s.size * count_copies(self.spec, s.name), text)

        supports = [{tuple(map(bool, row)) for row in rows if not all(map(is_neat, row))} for rows in found]
        for support in sorted(set.intersection(*supports), reverse=True):
            names = tuple(dict.fromkeys(q[0] for q, moved in zip(positions, support, strict=True) if moved))
            if 1 < len(names) <= MOST_NAMED:
                listed = ", ".join(f"`{n}`" for n in names)
                text = (
                    f"at each index value of `{s.name}`, {listed} can move together, in a ratio that varies"
                )
                yield Direction("against", s.name, names, s.size * count_copies(self.spec, s.name), text)

    def mixtures(self, s: Space) -> Iterator[Direction]:
        """Index values that can be mixed with each other."""
        positions = [q for q in positions_of(self.spec, s.name) if q[0] not in self._free]
        if s.vector == "linear" or s.size == 1 or len(positions) > MOST_POSITIONS:
            return
        found = []
        for i, j in ((0, s.size - 1), (s.size - 1, 0)):
            units = [self._mixed(q, i, j) for q in positions] + [self._mixed(q, j, i) for q in positions]
            found.append(self._missing(units))
        moving = [row for row in found[0] if sum(map(bool, row)) > 1]
        if len(found[0]) != len(found[1]) or not moving:
            return
        names = tuple(
            dict.fromkeys(positions[c % len(positions)][0] for row in moving for c, x in enumerate(row) if x)
        )
        if all(self.theta[n].numel() == _entries(self.spec, n, s) for n in names):
            return  # one number for an index value: no mixture, but one against another
        one_way = any(not any(row[: len(positions)]) or not any(row[len(positions) :]) for row in moving)
        kind: Kind = "linear" if len(moving) > 1 or one_way else "orthogonal"
        kind = "linear" if len(moving) > 1 or s.vector else kind
        listed = ", ".join(f"`{n}`" for n in names)
        text = f"index values of `{s.name}` can be mixed in {listed}, as under `{kind}`"
        pairs = s.size * (s.size - 1) // (1 if kind == "linear" else 2)
        yield Direction(kind, s.name, names, pairs * count_copies(self.spec, s.name), text)

    def _multiplied(self, position: Position, value: int) -> Weights:
        name = position[0]
        moved = torch.zeros_like(self.theta[name])
        at = slice_at(self.spec, position, value)
        moved[at] = self.theta[name][at]
        return {name: moved}

    def _mixed(self, position: Position, into: int, value: int) -> Weights:
        name = position[0]
        moved = torch.zeros_like(self.theta[name])
        at = slice_at(self.spec, position, into)
        moved[at] = self.theta[name][slice_at(self.spec, position, value)]
        return {name: moved}


def _entries(spec: Spec, name: str, s: Space) -> int:
    """How many index values of a space, in all copies, a parameter meets, if it meets each once."""
    axes = spec.params[name].axes
    k = next(k for k, a in enumerate(axes) if a.space == s.name)
    return math.prod(spec.params[name].shape[i] for i in lineage(axes, k))


def _same(places: Iterator[list[list[float]]]) -> list[list[float]]:
    """The rows that are the same at all places."""
    first, *others = places
    return [row for row in first if all(row in other for other in others)]


def _unit(t: Tensor, j: int) -> Tensor:
    unit = torch.zeros(t.numel(), dtype=torch.float64)
    unit[j] = 1.0
    return unit.view(t.shape)


def _along(shape: Sequence[int], k: int, at: Sequence[int]) -> Tensor:
    """1 along axis `k` at one place of the others, else 0."""
    ones = torch.zeros(tuple(shape), dtype=torch.float64)
    ones.movedim(k, -1)[tuple(at)] = 1.0
    return ones


def _terms(moved: dict[str, float]) -> str:
    return ", ".join(f"`{name}` ({c:+.3g})" for name, c in moved.items())


def _charges(charges: dict[Position, float], spec: Spec) -> str:
    """As in "`W[1]` with charge 1, `W[2]` with charge -1"; whole charges where they can be whole."""
    factor = next((f for f in (1, 2, 3, 4) if all(float(c * f).is_integer() for c in charges.values())), 1)
    shown = []
    for (name, k), c in charges.items():
        several = sum(n == name for n, _ in charges) > 1
        shown.append(f"`{name}`{f' (axis {k})' if several else ''} with charge {c * factor:.3g}")
    return ", ".join(shown)


def columns_of(directions: Sequence[Weights], like: Weights) -> Tensor:
    """Directions as the columns of a matrix over all parameters, each of length 1."""
    rows = [
        torch.cat(
            [
                d[n].reshape(-1) if n in d else torch.zeros(t.numel(), dtype=torch.float64)
                for n, t in like.items()
            ]
        )
        for d in directions
    ]
    matrix = torch.stack(rows, dim=1)
    return matrix
