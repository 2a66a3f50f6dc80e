"""Measuring equivariance: the difference of f(g.theta) and g.f(theta) for random g and theta.

Takes a function of weights, what it claims and a spec, gives one `Gap` for every factor of the group and
every output. A *factor* is one word of one space: only its part of g differs from the identity, so that a
failure tells which symmetry is broken; at the end all factors act at once.

g acts on the first entry of a batch of two and leaves the second alone, so a function that lets the entries
of a batch meet is not equivariant. Weights come in three sizes (a constant added under a root is seen only
where the weights are small). A gap is the largest difference over the largest entry of the output, for each
entry of the batch; an output that is zero up to rounding, as x - mean(x) summed, is compared with the
weights. NaN and infinity are gaps of infinite size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.group_elements import Element, Part
from qecompile.groups import Group
from qecompile.spec import Param, Space, Spec
from qecompile.verify.claims import Claim, MisshapenError

Layout = str  # "last": [B, *shape, C]; "first": [B, C, *shape]
MAGNITUDES = (1.0, 1e-3, 1e2)
TOGETHER = "all factors together"
TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-3}


@dataclass(frozen=True, slots=True)
class Gap:
    """The difference of f(g.theta) and g.f(theta) in one output, under one factor of the group.

    Attributes:
        factor: as in `a[1]: permute`.
        claim: as in "output `W[2]` is equivariant as W[2]".
        size: relative to the output; infinite if a number is NaN or infinite.
        index: of the entry that differs most.
        found: that entry of f(g.theta).
        expected: that entry of g.f(theta).
        dtype: of the weights.
        seed: with which this gap is found again.
    """

    factor: str
    claim: str
    size: float
    index: tuple[int, ...]
    found: float
    expected: float
    dtype: torch.dtype
    seed: int

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"under `{self.factor}`: {self.claim}, but is off by {self.size:.2g} of its size: "
            f"entry {list(self.index)} is {self.found:.6g}, expected {self.expected:.6g} "
            f"({dtype}, seed {self.seed})"
        )


def measure(
    function: Callable[[dict[str, Tensor]], object],
    spec: Spec,
    claims: Callable[[object], tuple[Claim, ...]],
    *,
    channels: int | None = None,
    layout: Layout = "last",
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    trials: int = 3,
    scale: float = 1.0,
    seed: int = 0,
    draw: Callable[[int], Mapping[str, Tensor]] | None = None,
) -> Iterator[Gap]:
    """The gaps of `function`, trial by trial and factor by factor.

    Args:
        function: from weights [2, *shape] (with channels, see `layout`) by name of parameter, to outputs.
        spec: whose group acts.
        claims: what is claimed of each output, as `read_claims` tells.
        channels: how many channels the inputs have; None for none, and no axis for them.
        layout: `last` for [B, *shape, C], `first` for [B, C, *shape]; outputs too, where they have channels.
        dtype: of the weights.
        device: of the weights.
        trials: how many weights and elements to draw.
        scale: bound on the logarithms of factors, see `Group.sample`.
        seed: of the first trial.
        draw: weights [2, ...] for a seed; normal ones by default.

    Raises:
        MisshapenError: the shape of an output is not that of its parameter.
    """
    group = Group(spec)
    for trial in range(seed, seed + trials):
        drawn = draw(trial) if draw else random_weights(spec, channels, layout, trial)
        theta = {name: x.to(dtype=dtype, device=device) for name, x in drawn.items()}
        before = claims(call(function, theta, trial))
        for factor, g in factors(group, trial, scale):
            moved = {n: move(group, g, spec.params[n], x, layout, n) for n, x in theta.items()}
            floor = _largest([*theta.values(), *moved.values()]) * torch.finfo(dtype).eps ** 0.4
            for one, two in zip(before, claims(call(function, moved, trial)), strict=True):
                found, expected = tensor(two), tensor(one)
                if one.param:
                    expected = move(group, g, one.param, expected, layout, one.label)
                if found.shape != expected.shape:
                    raise MisshapenError(f"{one}, but its shape depends on the numbers: {list(found.shape)}")
                size, at = _gap(found, expected, floor)
                yield Gap(factor, str(one), size, at, _entry(found, at), _entry(expected, at), dtype, trial)


def _largest(tensors: list[Tensor]) -> float:
    return max((float(x.abs().max()) for x in tensors if x.numel()), default=0.0)


def _entry(x: Tensor, at: tuple[int, ...]) -> float:
    return float(x[at].real) if x.numel() else 0.0


def random_weights(spec: Spec, channels: int | None, layout: Layout, seed: int) -> dict[str, Tensor]:
    """Normal weights of one of three sizes, in float64, a batch of two."""
    generator = torch.Generator().manual_seed(seed)
    last = () if channels is None else (channels,)
    size = MAGNITUDES[seed % len(MAGNITUDES)]
    shapes = {
        p.name: (2, *last, *p.shape) if layout == "first" else (2, *p.shape, *last) for p in spec.parameters
    }
    return {
        name: size * torch.randn(shape, generator=generator, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def call(function: Callable[[dict[str, Tensor]], object], theta: Mapping[str, Tensor], seed: int) -> object:
    """The outputs; the function may change its inputs in place, and draws the same numbers each time."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function({name: x.clone() for name, x in theta.items()})


def factors(group: Group, seed: int, scale: float = 1.0) -> Iterator[tuple[str, Element]]:
    """Elements that differ from the identity in one word of one space, by name; then one that differs in all.

    Trials with an odd seed get reflections from O(n), those with an even seed rotations.
    """
    generator = torch.Generator().manual_seed(seed)
    whole = {name: part for name, part in group.identity().parts.items()}
    identity = dict(whole)
    names = []
    for space in group.spec.spaces:
        for k, (word, still) in enumerate(identity[space.name].tensors()):
            moving = _drawn(group, space, k, still, generator, scale)
            if space.vector == "orthogonal" and word == "matrix":
                moving = _with_determinant(moving, -1.0 if seed % 2 else 1.0)
            names.append(f"{space.name}: {_word(space, word)}")
            yield names[-1], Element({**identity, space.name: _replaced(identity[space.name], k, moving)})
            whole[space.name] = _replaced(whole[space.name], k, moving)
    if len(names) > 1:
        yield TOGETHER, Element(whole)


def _drawn(
    group: Group, space: Space, k: int, still: Tensor, generator: torch.Generator, scale: float
) -> Tensor:
    """One tensor of a random element; the identity only if eight draws give no other."""
    for _ in range(8):
        part = group.sample(generator, scale=scale).parts[space.name]
        moving = [tensor for _, tensor in part.tensors()][k]
        if not torch.equal(moving, still):
            break
    return moving


def _with_determinant(matrix: Tensor, sign: float) -> Tensor:
    flip = torch.ones_like(matrix[..., 0])
    flip[..., 0] = sign * torch.linalg.det(matrix).sign()
    return flip[..., None] * matrix


def _replaced(part: Part, k: int, tensor: Tensor) -> Part:
    """The part with another k-th tensor, in the order of `Part.tensors`."""
    tensors = iter([tensor if i == k else old for i, (_, old) in enumerate(part.tensors())])
    return part.convert(lambda _: next(tensors))


def _word(space: Space, word: str) -> str:
    if word in ("source", "matrix"):
        return "permute" if word == "source" else str(space.vector)
    character = space.characters[int(word.removeprefix("character "))]
    return character.word if character.name == character.word else f"{character.word}({character.name})"


def move(group: Group, g: Element, param: Param, x: Tensor, layout: Layout, label: str) -> Tensor:
    """`x` with g acting on the first entry of the batch; what is no axis of `param` is channels."""
    rank = len(param.shape)
    more = x.dim() - 1 - rank
    shape = x.shape[x.dim() - rank :] if layout == "first" else x.shape[1 : 1 + rank]
    if more < 0 or tuple(shape) != param.shape:
        wanted = ["B", *(["C"] if layout == "first" and more else []), *param.shape]
        wanted += ["C"] if layout == "last" and more else []
        raise MisshapenError(
            f"`{label}` of shape {list(x.shape)} cannot be of type {param.name}: expected "
            f"[{', '.join(map(str, wanted))}]"
        )
    first = x[:1]
    if layout == "last":
        acted = group.act(
            g, {param.name: first.flatten(1 + rank) if more else first[..., None]}, channels=True
        )
    else:
        acted = group.act(g, {param.name: first})
    return torch.cat([acted[param.name].reshape(first.shape), x[1:]])


def tensor(claim: Claim) -> Tensor:
    """The value of a claim as a tensor of real or complex numbers."""
    assert isinstance(claim.value, Tensor)
    x = claim.value
    return x if x.is_floating_point() or x.is_complex() else x.double()


def _gap(found: Tensor, expected: Tensor, floor: float) -> tuple[float, tuple[int, ...]]:
    """The largest relative difference, and where it is; what is below `floor` counts as rounding."""
    if not found.numel():
        return 0.0, ()
    batch = found.shape[0] if found.dim() else 1
    one, two = found.reshape(batch, -1), expected.reshape(batch, -1)
    largest = torch.maximum(one.abs(), two.abs()).amax(1, keepdim=True).clamp(min=max(floor, 1e-300))
    relative = ((one - two).abs() / largest).nan_to_num(nan=math.inf).flatten()
    at = relative.argmax()
    return float(relative[at]), tuple(int(i) for i in torch.unravel_index(at, found.shape))
