"""Obligation (d), translation: an emitted layer is the family that the diagrams span, in exact integers.

Takes a spec, its basis and a layer, gives the number of weights that were matched. The layer is linear in its
weights w and affine in its input, so for a covector u and an input x

    <u, layer_w(x)> = sum over weights of w_k s_k,    s_k = <u, M_k x>   (<u, v_k> for a weight of the bias),

where M_k is the map that weight k switches on; one backward pass gives all s_k. For a diagram D the number
<u, D x> comes from its definition (`tensors.py`). With integer u and x, x divisible by the sizes that means
divide by, all of this is exact in float64. Where the numbers s_k of a weight are those of one diagram, over
several random (u, x) and up to one rational factor, the weight switches on that diagram; if this pairs the
weights with the diagrams one to one, the matrix between the two is monomial, hence invertible:
**the layer is exactly Hom_G, parametrised without redundancy**.

*Chance of a mistake.* If M_k is no multiple of D, then <u, M_k x> <u', D x'> - <u', M_k x'> <u, D x> is a
non-zero polynomial of degree 4 in entries drawn from 2R + 1 integers: for each further (u, x) the chance of
agreement is at most 4 / (2R + 1) (Schwartz-Zippel). Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
import torch
from torch import Tensor, nn

from qecompile.basis import Basis
from qecompile.spec import Spec
from qecompile.verify.listing import pair_name
from qecompile.verify.modular import Ints
from qecompile.verify.tensors import Contractions, typed

RANGE = 40
PROBES = 8
EXACT = 2.0**53
Pair = tuple[str, str | None]  # target, source; no source for the bias
Codes = tuple[str, ...]
MOST_WEIGHTS, MOST_ENTRIES = 120_000, 400_000


class MismatchError(Exception):
    """The layer is not the family that the diagrams span."""


@dataclass(frozen=True, slots=True)
class Matched:
    """A layer whose weights were paired with the diagrams, one to one."""

    weights: int
    bias: int
    probes: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Random integers: an input that every mean divides, and a covector for every output."""

    x: Mapping[str, Ints]
    u: Mapping[str, Ints]


def draw_probe(spec: Spec, rng: np.random.Generator) -> Probe:
    """Entries of absolute value up to `RANGE`; inputs are multiples of the size of their parameter."""

    def integers(shape: tuple[int, ...]) -> Ints:
        return np.asarray(rng.integers(-RANGE, RANGE + 1, size=shape, dtype=np.int64))

    x = {p.name: np.asarray(integers(p.shape) * prod(p.shape)) for p in spec.parameters}
    return Probe(x, {p.name: integers(p.shape) for p in spec.parameters})


def match_layer(spec: Spec, basis: Basis, layer: nn.Module, seed: int = 0) -> Matched:
    """Pair the weights of a 1 -> 1 layer in float64 with the diagrams of a basis.

    Raises:
        MismatchError: they cannot be paired.
    """
    rng = np.random.default_rng(seed)
    probes = [draw_probe(spec, rng) for _ in range(PROBES)]
    names, weights = _weight_values(layer, probes, rng)
    wanted = _diagram_values(spec, basis, probes)
    unclaimed: dict[tuple[int, ...], str] = {}
    bias = 0
    for (target, source), values in wanted:
        name = pair_name(target, source)
        bias += values.shape[1] if source is None else 0
        for key in columns_up_to_factor(values):
            if key in unclaimed:
                raise MismatchError(f"two diagrams of {name} and {unclaimed[key]} agree on all probes")
            unclaimed[key] = name
    diagrams = len(unclaimed)
    for label, key in zip(names, columns_up_to_factor(weights), strict=True):
        if not any(key):
            raise MismatchError(f"the weight {label} changes nothing")
        if unclaimed.pop(key, None) is None:
            raise MismatchError(f"the weight {label} is no multiple of a diagram that no other weight has")
    if unclaimed:
        name = next(iter(unclaimed.values()))
        raise MismatchError(f"{len(unclaimed)} of {diagrams} diagrams have no weight: one of {name}")
    return Matched(len(names) - bias, bias, PROBES)


def gradient_rows(layer: nn.Module, probes: Sequence[Probe], but: Codes = ()) -> tuple[list[str], Ints]:
    """The numbers <u, d layer(x) / d w_k>, exact: one row for each probe, one column for each weight.

    Weights whose names begin as one of `but` are left out.

    Raises:
        MismatchError: they are no integers.
    """
    parameters = {name: p for name, p in layer.named_parameters() if not name.startswith(but)}
    rows = [exact_integers(gradient(layer, probe, list(parameters.values()))) for probe in probes]
    return [f"{name}[{k}]" for name, p in parameters.items() for k in range(p.numel())], np.stack(rows)


def gradient(layer: nn.Module, probe: Probe, weights: Sequence[Tensor]) -> Tensor:
    """The gradient of <u, layer(x)> with respect to weights, flat; zero where it does not depend on one."""
    value = _pair_with(layer(as_features(probe.x)), probe.u)
    found = torch.autograd.grad(value, list(weights), allow_unused=True)
    none = torch.zeros(0, dtype=torch.float64)
    return torch.cat(
        [
            none,
            *(
                torch.zeros_like(w).reshape(-1) if g is None else g.reshape(-1)
                for w, g in zip(weights, found, strict=True)
            ),
        ]
    )


def _weight_values(
    layer: nn.Module, probes: Sequence[Probe], rng: np.random.Generator
) -> tuple[list[str], Ints]:
    """The numbers s_k, after a look at whether the layer is linear in its weights."""
    parameters = list(layer.parameters())
    with torch.no_grad():
        for p in parameters:
            p.copy_(torch.as_tensor(rng.integers(-3, 4, size=tuple(p.shape))))
    names, rows = gradient_rows(layer, probes)
    current = exact_integers(torch.cat([p.detach().reshape(-1) for p in parameters]))
    for probe, row in zip(probes, rows, strict=True):
        with torch.no_grad():
            value = float(_pair_with(layer(as_features(probe.x)), probe.u))
        if int(row @ current) != value:
            raise MismatchError("the layer is not linear in its weights, or does not compute in integers")
    return names, rows


def _pair_with(y: Mapping[str, Tensor], u: Mapping[str, Ints]) -> Tensor:
    """<u, y>, summed over all outputs; y has one batch entry and one channel."""
    return torch.stack([(y[name][0, ..., 0] * torch.from_numpy(v)).sum() for name, v in u.items()]).sum()


def as_features(x: Mapping[str, Ints]) -> dict[str, Tensor]:
    """Integers [*shape] as float64 features [1, *shape, 1]."""
    return {name: torch.from_numpy(v).to(torch.float64)[None, ..., None] for name, v in x.items()}


def exact_integers(values: Tensor) -> Ints:
    """A float64 tensor as integers.

    Raises:
        MismatchError: an entry is no integer, or too large to be exact.
    """
    if not bool(((values == values.round()) & (values.abs() < EXACT)).all()):
        raise MismatchError("the layer gives numbers that are not integers where its diagrams do")
    return values.to(torch.int64).numpy()


def _diagram_values(spec: Spec, basis: Basis, probes: list[Probe]) -> list[tuple[Pair, Ints]]:
    """For every pair with maps (and every bias): the numbers <u, D x>, one column for each tensor D."""
    contract = Contractions(
        {p.name: np.stack([probe.u[p.name] for probe in probes]) for p in spec.parameters},
        {p.name: np.stack([probe.x[p.name] for probe in probes]) for p in spec.parameters},
    )
    return list(_values(spec, basis, contract))


def _values(spec: Spec, basis: Basis, contract: Contractions) -> Iterator[tuple[Pair, Ints]]:
    for source, target, _, _ in basis.pairs():
        axes = typed(spec, target, source)
        for d in basis.diagrams(source, target):
            yield (target, source), contract.values(d, axes, target, source)
    for target in spec.params:
        axes = typed(spec, target, None)
        for d in basis.invariant_diagrams(target):
            yield (target, None), contract.values(d, axes, target, None)


def columns_up_to_factor(values: Ints) -> Iterator[tuple[int, ...]]:
    """Each column up to a factor: divided by its greatest common divisor, the first entry positive."""
    for column in values.T.tolist():
        common = gcd(*column) or 1
        if next((v for v in column if v), 1) < 0:
            common = -common
        yield tuple(v // common for v in column)
