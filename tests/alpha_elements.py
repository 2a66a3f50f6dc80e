"""Elements of an emitted alpha-map as elements of the compiler's `Group`, so that its laws can be stated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qecompile.group_elements import Element, Part
from qecompile.groups import Group
from qecompile.plan.factors import continuous_factors
from qecompile.spec import Spec

Features = dict[str, Tensor]


def element_of(spec: Spec, found: dict[str, Tensor], entry: int = 0, channel: int = 0) -> Element:
    """The element that an emitted `Alpha.elements` gives for one batch entry and one channel.

    Where all channels share the element, its numbers have one channel and its matrices no channel axis.
    """
    identity = Group(spec).identity()
    parts = dict(identity.parts)
    for f in continuous_factors(spec):
        if f.label not in found:
            continue
        g, old = found[f.label][entry].detach().to(torch.float64), parts[f.space]
        if f.is_matrix:
            matrix = g if g.dim() == len(f.copies) + 2 else g[channel]
            parts[f.space] = Part(old.source, matrix, old.characters)
        else:
            characters = list(old.characters)
            characters[f.character] = g[..., channel if g.shape[-1] > 1 else 0]
            parts[f.space] = Part(old.source, old.matrix, tuple(characters))
    return Element(parts)


def element_at(spec: Spec, alpha: nn.Module, x: Features, channel: int = 0) -> Element:
    """alpha(x), for features of one batch entry."""
    return element_of(spec, alpha.elements(x), channel=channel)


def cocycle(spec: Spec, alpha: nn.Module, g: Element, x: Features, channel: int = 0) -> Element:
    """a(g, x) = alpha(g . x) g alpha(x)^-1."""
    group = Group(spec)
    moved = element_at(spec, alpha, group.act(g, x, channels=True), channel)
    return group.compose(group.compose(moved, g), group.inverse(element_at(spec, alpha, x, channel)))


def one_channel(x: Features, channel: int) -> Features:
    """One channel of features."""
    return {name: t[..., channel : channel + 1] for name, t in x.items()}


def gap(a: Features, b: Features) -> float:
    """The largest difference, relative to the largest entry."""
    size = max(float(t.abs().max()) for t in b.values())
    return max(float((a[name] - b[name]).abs().max()) for name in b) / max(size, 1e-300)
