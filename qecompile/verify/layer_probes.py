"""Obligation (d), at the file's own sizes: the number of weights, and exact probes of the layer.

Takes the class `EquivariantLinear` of a module, gives figures or says what is wrong. Codes (`encode_*`,
`decode_*`: how a large fixed space is mixed) are replaced by integers, so that all is exact in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from qecompile.basis import joint_invariants
from qecompile.invariants import Diagram
from qecompile.signature import Half, Placed, Signatures
from qecompile.spec import Spec
from qecompile.verify.exact import act, draw_element
from qecompile.verify.translate import (
    MismatchError,
    as_features,
    columns_up_to_factor,
    draw_probe,
    gradient,
    gradient_rows,
)

CODES = ("encode_", "decode_")
ELEMENTS, TRIES = 3, 3
MOST_NUMBERS, MOST_WEIGHTS = 2_000_000, 200_000

Layer = Callable[..., nn.Module]


@dataclass(frozen=True, slots=True)
class Mixing:
    """What the emitted layer leaves out of the complete basis: codes by space, the rank of the context."""

    codes: tuple[tuple[str, int], ...] = ()
    context: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left out."""
        return not self.codes and self.context is None


@dataclass(frozen=True, slots=True)
class Expected:
    """Weights of a layer, as the diagrams and the mixing have it: for a pair of channels, and of the bias.

    `context` is (rank, rows, columns) where the maps through one number are sums of `rank` products.
    """

    linear: int
    bias: int
    context: tuple[int, int, int] | None = None

    def layer(self, in_channels: int, out_channels: int, *, bias: bool) -> int:
        """The weights of a layer, without those of codes."""
        count = self.linear * in_channels * out_channels + bias * self.bias * out_channels
        if self.context is not None:
            rank, rows, columns = self.context
            count += rank * out_channels * (rows * in_channels + columns * out_channels)
        return count


def expected_weights(spec: Spec, mixing: Mixing) -> Expected:
    """The weights that a layer must have.

    On a coded space an axis passes from source to target or is pooled against so many codes.
    """
    halves = Signatures(spec, dict(mixing.codes)).halves
    names = list(halves)
    count = _Counter(halves)
    linear = sum(count.maps(q, p) for q in names for p in names)
    bias = sum(count.maps(q, None) for q in names)
    rows = sum(count.maps(None, p) for p in names)
    if mixing.context is None or mixing.context >= min(rows, bias):
        return Expected(linear, bias)
    apart = sum(count.maps_apart(q, p) for q in names for p in names)
    return Expected(linear - apart, bias, (mixing.context, rows, bias))


class Maps(NamedTuple):
    """The number of maps under one root, and of those that are apart: that join no axis to one beyond."""

    all: int
    apart: int


class _Counter:
    """Counts the diagrams of pairs, root by root."""

    def __init__(self, halves: Mapping[str, Mapping[str, Placed]]) -> None:
        self._halves = halves
        self._known: dict[tuple[int, int], Maps] = {}
        self._ids: dict[Half, int] = {}

    def maps(self, target: str | None, source: str | None) -> int:
        """The number of maps; None stands for the scalar type."""
        return prod(maps.all for maps in self._pairs(target, source))

    def maps_apart(self, target: str, source: str) -> int:
        """The number of those maps that pass through one number.

        Theirs are the diagrams that join no axis of the target to one of the source. On small spaces these
        are fewer than the pairs of invariants, which together would need more blocks than there are indices.
        A number of charge 2, such as the trace on a dilated space, is no invariant and does not count.
        """
        return prod(maps.apart for maps in self._pairs(target, source))

    def _pairs(self, target: str | None, source: str | None) -> list[Maps]:
        """Root by root, the maps between the halves of two parameters."""
        q = self._halves[target] if target is not None else {}
        p = self._halves[source] if source is not None else {}
        return [self._under(q.get(root), p.get(root)) for root in q.keys() | p.keys()]

    def _under(self, target: Placed | None, source: Placed | None) -> Maps:
        key = (self._number(target), self._number(source))
        if key not in self._known:
            self._known[key] = _count_maps(target.half if target else None, source.half if source else None)
        return self._known[key]

    def _number(self, placed: Placed | None) -> int:
        return -1 if placed is None else self._ids.setdefault(placed.half, len(self._ids))


def _count_maps(target: Half | None, source: Half | None) -> Maps:
    first = target.size if target else 0  # the first axis of the source
    found = joint_invariants(target, source)
    neutral = joint_invariants(None, source) and joint_invariants(target, None)
    apart = sum(d.count for d in found if not _joins(d, first)) if neutral else 0
    return Maps(sum(d.count for d in found), apart)


def _joins(diagram: Diagram, first: int) -> bool:
    """Whether a diagram joins axes before `first` to others."""
    joined = [*(block.legs for block in diagram.blocks), *diagram.pairs, *diagram.epsilons]
    return any(min(legs) < first <= max(legs) for legs in joined)


def count_weights(expected: Expected, layer: Layer) -> None:
    """See that the file's layer has the expected number of weights, for any channels.

    The factors of a context of low rank may have other sizes than the numbers of invariants: on small spaces
    some are read by no map, and where places are kept apart some are read in part. So any sizes serve there.

    Raises:
        MismatchError: it has not.
    """
    found = {key: _weights_of(layer, *key) for key in ((1, 1, True), (3, 2, True), (2, 3, False))}
    if expected.context is not None:
        expected = _with_sizes(expected, found[1, 1, True], found[3, 2, True])
    for (a, b, bias), weights in found.items():
        wanted = expected.layer(a, b, bias=bias)
        if weights != wanted:
            raise MismatchError(f"the layer {a} -> {b} has {weights} weights, not {wanted}")


def _weights_of(layer: Layer, a: int, b: int, bias: bool) -> int:
    made = layer(a, b, bias=bias, device="meta")
    return sum(p.numel() for name, p in made.named_parameters() if not name.startswith(CODES))


def _with_sizes(expected: Expected, one: int, more: int) -> Expected:
    """With the sizes of the context that a layer 1 -> 1 and a layer 3 -> 2 tell; unchanged if they do not.

    With n rows and m columns the first has rank (n + m) weights for them, and the second 2 rank (3 n + 2 m).
    """
    assert expected.context is not None
    rank, *_ = expected.context
    rest = replace(expected, context=None)
    sums = one - rest.layer(1, 1, bias=True), more - rest.layer(3, 2, bias=True)
    both, weighted = sums[0] // rank, sums[1] // (2 * rank)
    rows, columns = weighted - 2 * both, 3 * both - weighted
    return replace(expected, context=(rank, rows, columns)) if min(rows, columns) > 0 else expected


def affordable(spec: Spec, weights: int) -> bool:
    """Whether exact probes at these sizes are within reach."""
    return sum(prod(p.shape) for p in spec.parameters) <= MOST_NUMBERS and weights <= MOST_WEIGHTS


def probe_layer(spec: Spec, layer: Layer, seed: int = 0) -> tuple[int, int]:
    """Probe the layer at its own sizes: the numbers of weights and of group elements that were tried.

    Raises:
        MismatchError: it is not equivariant, or a weight is dead or tied to another.
    """
    rng = np.random.default_rng(seed)
    made = layer(1, 1, dtype=torch.float64)
    _fill_with_integers(made, rng)
    for _ in range(ELEMENTS):
        g = draw_element(spec, rng)
        x = as_features(draw_probe(spec, rng).x)
        with torch.no_grad():
            moved, expected = made(act(spec, g, x)), act(spec, g, made(x))
        for name, value in expected.items():
            if not torch.equal(moved[name], value):
                raise MismatchError(f"output {name} does not follow an exact group element")
    for left in reversed(range(TRIES)):
        try:
            return _probe_weights(spec, made, rng), ELEMENTS
        except MismatchError:
            if (
                not left
            ):  # in few small integers two weights can be alike by chance, again and again they cannot
                raise
            _fill_with_integers(made, rng)
    raise AssertionError("unreachable")


def _probe_weights(spec: Spec, made: nn.Module, rng: np.random.Generator) -> int:
    """The number of weights; each of them must have an effect of its own."""
    probes = [draw_probe(spec, rng) for _ in range(6)]
    codes = [p for name, p in made.named_parameters() if name.startswith(CODES)]
    if codes and not bool(torch.stack([gradient(made, probe, codes) for probe in probes]).any(0).all()):
        raise MismatchError("an entry of a learned code changes nothing")
    seen: dict[tuple[int, ...], str] = {}
    names, rows = gradient_rows(made, probes, but=CODES)
    for name, key in zip(names, columns_up_to_factor(rows), strict=True):
        if not any(key):
            raise MismatchError(f"the weight {name} changes nothing")
        if key in seen:
            raise MismatchError(f"the weights {seen[key]} and {name} always act alike")
        seen[key] = name
    return len(names) + sum(p.numel() for p in codes)


def _fill_with_integers(layer: nn.Module, rng: np.random.Generator) -> None:
    """Small random integers for all weights, and for the codes among the buffers.

    Codes of full rank: with parallel ones two weights would act alike, by chance.
    """
    codes = {
        name: t for name, t in (*layer.named_parameters(), *layer.named_buffers()) if name.startswith(CODES)
    }
    with torch.no_grad():
        for name, t in {**dict(layer.named_parameters()), **codes}.items():
            drawn = rng.integers(-3, 4, size=tuple(t.shape))
            while name in codes and np.linalg.matrix_rank(drawn) < min(t.shape):
                drawn = rng.integers(-3, 4, size=tuple(t.shape))
            t.copy_(torch.as_tensor(drawn))
