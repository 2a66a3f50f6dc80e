"""What acts along the axes of a permuted space besides permutations: scales, signs, matrices.

Takes a draft of permutations and its network at generic points, gives spaces their words and axes their
charges; all of it is tried again, as a whole, before it is written. For positions P (a parameter and one
of its axes) of a space and an index value i, let d_P be the derivative of the function as the weights at i
along P grow in proportion to themselves. Charges q keep the function to first order iff sum_P q_P d_P = 0:
the integer kernel of a few columns. (theory.md: s_i acts with s_i^q_P on P.) For matrices the columns are
the derivatives along E_ij on P and along -E_ji, which is how the dual acts; a kernel vector of ones that
has each position in one of the two is `linear`, and that of all columns is `orthogonal`. Signs are tried,
by subsets of positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import torch
from torch import Tensor

from qecompile.inference.draft import Draft, Leg, Piece, Place
from qecompile.model.candidates import multiplied, slice_at
from qecompile.model.network import Drawn, Network, Weights
from qecompile.model.points import Point

DRAWS = 8
NULL = 1e-7
NEARLY = 1e-4
STEP = 1e-6
MOST_SUBSETS = 7
MOST_CHARGE = 4
MOST_COMBINED = 5
Spot = tuple[Piece, int]


def find_fibres(draft: Draft, network: Network, points: Sequence[Point], generator: torch.Generator) -> None:
    """Give every permuted space what else it allows."""
    point = points[0]
    inputs = [network.draw(generator, wide=k % 2 == 1) for k in range(DRAWS)]
    trial = Trial(network, points, inputs)
    for place in draft.spaces:
        spots = [*draft.legs(place)]
        if not place.permuted:
            continue
        if any(t.parent is place for t in draft.spaces):
            continue  # what multiplies it whole is in what acts on the spaces inside
        if place.size == 1 or not _matrices(trial, point, place, spots):
            _characters(trial, point, place, spots)
        if place.size == 1 and not place.characters:
            place.permuted = False


def nest_by_trial(draft: Draft, network: Network, points: Sequence[Point]) -> None:
    """Put a permuted space inside of another if each index value of that one has a permutation of its own.

    It must stand beside the other wherever it stands; two index values change places at one of the other.
    """
    for place in draft.spaces:
        spots = [*draft.legs(place)]
        inside = any(t.parent is place for t in draft.spaces)
        if not place.permuted or place.size == 1 or place.parent or inside:
            continue
        for other in draft.spaces:
            beside = all([leg.place for leg in piece.legs].count(other) == 1 for piece, _ in spots)
            if other is place or not other.permuted or other.parent or other.size == 1 or not beside:
                continue
            moved = [_swapped_within(p.theta, spots, other) for p in points]
            if all(p.error(network, m) <= p.tolerance for p, m in zip(points, moved, strict=True)):
                place.parent = other
                break


def _swapped_within(theta: Weights, spots: Sequence[Spot], other: Place) -> Weights:
    """The weights with index values 0 and 1 exchanged along some axes, at index value 0 of another space."""
    moved = dict(theta)
    for piece, k in spots:
        at = next(i for i, leg in enumerate(piece.legs) if leg.place is other)
        t = moved[piece.name].clone()
        here, two = t.select(at, 0), slice(0, 2)
        here = here.movedim(k - (at < k), 0)
        here[two] = here[two].flip(0)
        moved[piece.name] = t
    return moved


class Trial:
    """The network at its points, and the inputs at which derivatives are taken."""

    def __init__(self, network: Network, points: Sequence[Point], inputs: Sequence[Drawn]) -> None:
        self.network, self.points, self.inputs = network, points, inputs
        self.has_forward, self.exact = True, False

    def along(self, point: Point, spot: Spot, change: tuple[int, int, float]) -> Tensor:
        """The derivative of the function as index value i along a spot grows by `factor` times index value j.

        By central differences, which are quick; exactly if that is asked for and every operator allows it.
        """
        (piece, k), (i, j, factor) = spot, change
        there, here = (slice_at(self.network.spec, (piece.name, k), n) for n in (i, j))
        tangents = {n: torch.zeros_like(t) for n, t in point.theta.items()}
        tangents[piece.name][there] = factor * point.theta[piece.name][here]
        return torch.cat([self._pushed(point.theta, tangents, x) for x in self.inputs])

    def _pushed(self, theta: Weights, tangents: Weights, x: Drawn) -> Tensor:
        if self.exact and self.has_forward:
            try:
                pushed = torch.func.jvp(lambda t: self.network(t, x), (dict(theta),), (dict(tangents),))
                found: Tensor = pushed[1]
                return found.detach()
            except Exception:  # whatever an operator without forward derivative raises
                self.has_forward = False
        ahead, back = (
            self.network.values({n: t + step * tangents[n] for n, t in theta.items()}, x)
            for step in (STEP, -STEP)
        )
        return (ahead - back) / (2 * STEP)

    def keeps(self, spots: Sequence[Spot], index: int) -> bool:
        """Whether -1 at an index value, along some spots, keeps the function at all points."""
        where = [(piece.name, k) for piece, k in spots]
        return all(
            p.error(self.network, multiplied(self.network, where, index, -1.0, p.theta)) <= p.tolerance
            for p in self.points
        )


# --- characters -----------------------------------------------------------------------------------------


def _characters(trial: Trial, point: Point, place: Place, spots: list[Spot]) -> None:
    columns, live = _columns(trial, point, place, spots)
    charges = [q for q in integer_kernel(columns[:, live]) if max(map(abs, q)) <= MOST_CHARGE]
    full = [dict(zip(live, q, strict=True)) for q in charges]
    found = [("scale", _upright([q[_alike(k, live, spots)] for k in range(len(spots))], spots)) for q in full]
    signs = _parities([qs for _, qs in found])
    if not signs:
        signs = [[int(k in chosen) for k in range(len(spots))] for chosen in _subsets(live, spots)]
    kept = list[tuple[str, list[int]]]()
    for flips in signs:
        chosen = [s for s, flip in zip(spots, flips, strict=True) if flip]
        new = independent([*(qs for _, qs in kept), flips])
        if chosen and new and all(trial.keeps(chosen, i) for i in {0, place.size - 1}):
            kept.append(("sign", flips))
            if not found:
                break
    every = found + kept
    place.characters = tuple(word for word, _ in every)
    for k, (piece, at) in enumerate(spots):
        leg = piece.legs[at]
        leg.charges = tuple(qs[k] for _, qs in every)
        down = next(
            (q < 0 for (w, _), q in zip(every, leg.charges, strict=True) if w == "scale" and q),
            leg.stored > 0,
        )
        if down:  # e = 1 / e: written as the scale beside it, or as what reads the axis
            leg.charges = tuple(
                -q if w == "sign" else q for (w, _), q in zip(every, leg.charges, strict=True)
            )


def _live(columns: Tensor) -> list[int]:
    sizes = columns.norm(dim=0)
    return [k for k in range(columns.shape[1]) if sizes[k] > NULL * max(float(sizes.max()), 1e-300)]


def _parities(charges: list[list[int]]) -> list[list[int]]:
    """Which positions a sign may flip, given the scales: their charges and sums of some, modulo 2."""
    few = charges[:MOST_COMBINED]
    sums = [c for n in range(1, len(few) + 1) for c in combinations(few, n)]
    found = [[sum(column) % 2 for column in zip(*c, strict=True)] for c in sums]
    return [f for f in found if any(f)]


def independent(rows: Sequence[Sequence[int]]) -> bool:
    """Whether rows of 0 and 1 are independent modulo 2.

    >>> independent([[1, 1, 0], [0, 1, 1]]), independent([[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    (True, False)
    """
    reduced = list[int]()
    for row in rows:
        bits = sum(1 << k for k, bit in enumerate(row) if bit)
        for other in reduced:
            bits = min(bits, bits ^ other)
        if not bits:
            return False
        reduced.append(bits)
    return True


def _upright(q: list[int], spots: Sequence[Spot]) -> list[int]:
    """Charges or their negatives: what gives the axis has positive ones."""
    first = next((c for c, (p, k) in zip(q, spots, strict=True) if c and p.legs[k].stored == 0), 1)
    return q if first > 0 else [-c for c in q]


def _columns(trial: Trial, point: Point, place: Place, spots: list[Spot]) -> tuple[Tensor, list[int]]:
    """The derivatives at a few index values, one below the other: a unit may be off for all inputs."""
    values = sorted({0, 1, 2, place.size - 1} & {*range(place.size)})
    columns = torch.stack([torch.cat([trial.along(point, s, (i, i, 1.0)) for i in values]) for s in spots], 1)
    live = _live(columns)
    sizes = torch.linalg.svdvals(columns[:, live] / columns[:, live].norm(dim=0)) if live else columns[:0, 0]
    if not trial.exact and bool(((sizes > NULL) & (sizes < NEARLY)).any()):
        trial.exact = True  # what nearly vanishes needs more digits
        found = _columns(trial, point, place, spots)
        trial.exact = False
        return found
    return columns, live


def _subsets(live: list[int], spots: list[Spot]) -> list[tuple[int, ...]]:
    """Sets of positions that a sign may act on: all first, then the others, largest first.

    Of many positions those of one part that are rows go together (a gate flips whole), and so do all columns.
    """
    groups: dict[object, list[int]] = {}
    for k in live:
        piece, at = spots[k]
        row = piece.legs[at].stored == 0
        part = piece.packed[1] if piece.packed else -1
        groups.setdefault(k if len(live) <= MOST_SUBSETS else (row and part, row), []).append(k)
    if len(groups) > MOST_SUBSETS:
        return [tuple(live)]
    sizes = range(len(groups), 0, -1)
    chosen = [c for n in sizes for c in combinations(groups.values(), n)]
    return [tuple(sorted(k for group in c for k in group)) for c in chosen if sum(map(len, c)) > 1]


def integer_kernel(columns: Tensor) -> list[list[int]]:
    """Integers q with sum_k q_k column_k = 0, a basis of them; each begins with a positive number.

    >>> integer_kernel(torch.tensor([[1.0, 0.5, 3.0], [2.0, 1.0, 5.0]], dtype=torch.float64))
    [[1, -2, 0]]
    """
    count = columns.shape[1]
    if not count:
        return []
    lengths = columns.norm(dim=0)
    _, values, rows = torch.linalg.svd(columns / lengths, full_matrices=True)
    rank = int((values > NULL * values[0]).sum())
    null = rows[rank:] / lengths
    found, row = list[list[int]](), 0
    null = null / null.abs().amax(1, keepdim=True) if len(null) else null
    for k in range(count):
        if row == len(null):
            break
        best = row + int(null[row:, k].abs().argmax())
        if float(null[best, k].abs()) < 1e-6 * float(null[row:].abs().max()):
            continue
        null[[row, best]] = null[[best, row]]
        null[row] = null[row] / null[row, k]
        for other in range(len(null)):
            if other != row:
                null[other] = null[other] - null[other, k] * null[row]
        row += 1
    for vector in null[
        :row
    ].tolist():  # what vanishes but for the epsilon of a norm blurs it: it is judged after
        exact = [Fraction(x).limit_denominator(4) for x in vector]
        if all(abs(float(e) - x) < 1e-2 for e, x in zip(exact, vector, strict=True)):
            scale = max(e.denominator for e in exact)
            whole = [e * scale for e in exact]
            if all(e.denominator == 1 for e in whole):
                found.append([int(e) for e in whole])
    return [q for q in found if remainder(columns, q) <= NULL]


def remainder(columns: Tensor, q: Sequence[int]) -> float:
    """How far sum_k q_k column_k is from 0, relative to its largest term."""
    terms = columns * torch.tensor(q, dtype=columns.dtype)
    return float(terms.sum(1).norm() / terms.norm(dim=0).max())


# --- matrices -------------------------------------------------------------------------------------------


def _matrices(trial: Trial, point: Point, place: Place, spots: list[Spot]) -> bool:
    """Make a space `linear` or `orthogonal` if it is; whether it was."""
    pairs = sorted({(0, 1), (place.size - 1, 0)})
    plain = [torch.cat([trial.along(point, s, (i, j, 1.0)) for i, j in pairs]) for s in spots]
    dual = [torch.cat([trial.along(point, s, (j, i, -1.0)) for i, j in pairs]) for s in spots]
    columns = torch.stack([*plain, *dual], 1)
    live, n = _live(columns), len(spots)
    seen = sorted({k % n for k in live})
    for q in integer_kernel(columns[:, live]):
        taken = [k for k, c in zip(live, q, strict=True) if c]
        if set(q) <= {0, 1} and sorted(k % n for k in taken) == seen:
            duals = {k % n: k >= n for k in taken}
            _set_matrix(place, spots, "linear", [duals[_alike(k, seen, spots)] for k in range(n)])
            return True
    both = columns.sum(1)
    if len(live) == 2 * n and float(both.norm()) < NULL * float(columns.norm()):
        _set_matrix(place, spots, "orthogonal", [False] * n)
        return True
    return False


def _alike(k: int, seen: Sequence[int], spots: Sequence[Spot]) -> int:
    """A position without influence, as a key's bias under softmax, goes with the weight beside it."""
    if k in seen:
        return k

    def beside(other: int) -> tuple[bool, bool, bool]:
        (p, i), (q, j) = spots[k], spots[other]
        same = p.key.rpartition(".")[0] == q.key.rpartition(".")[0]
        parts = [x.packed[1] if x.packed else -1 for x in (p, q)]
        return same, parts[0] == parts[1], p.legs[i].stored == q.legs[j].stored

    return max(seen, key=beside)


def _set_matrix(place: Place, spots: list[Spot], word: str, duals: list[bool]) -> None:
    place.permuted, place.vector, place.characters = False, word, ()
    flip = duals[0]
    for (piece, k), dual in zip(spots, duals, strict=True):
        leg: Leg = piece.legs[k]
        leg.charges, leg.dual = (), dual != flip
