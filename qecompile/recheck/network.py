"""Whether an emitted network keeps the declared law: invariant, equivariant or quasi-equivariant.

To 1e-5 in float64, under scales of up to a thousand. With an alpha-map that is no equivariant one, the output
must stay in its orbit (`orbit.py`). Weights and inputs are random: a sample, unlike what is found of a layer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .elements import Draws, Features, worst
from .nullity import Wrong
from .orbit import affordable, one_orbit
from .spec import MetaNet
from .watched import LEFT_OUT, Watched, check_modes, typed


def check_network(whole: nn.Module, net: MetaNet, draws: Draws) -> str:
    """Refuse a network that does not keep its law."""
    channels = () if net.channels[0] == 1 else net.channels[:1]
    theta = draws.inputs(3, *channels, exact=False)
    network = Watched(whole)
    with torch.no_grad():
        for p in whole.parameters():
            p.copy_(draws.normal(*p.shape) / max(1, *p.shape[:1]) ** 0.5)
        check_modes(whole, lambda m: by_name(Watched(m)(typed(theta, m))), "MetaNet", near=1e-2)
        before = network(theta)
        check_output(before, net)
        for b in range(3):
            alone = network({k: t[b : b + 1] for k, t in theta.items()})
            together, part = (list(by_name(y).values()) for y in (before, alone))
            if worst(part, [t[b : b + 1] for t in together]) > 1e-5:
                raise Wrong("the network lets entries of a batch meet")
        if isinstance(before, dict) and net.alpha not in (None, "covariant"):
            return check_orbits(network, theta, before, draws, channels=bool(channels))
        law = "equivariant" if isinstance(before, dict) else "invariant"
        for decades in range(4):
            g = draws.element(exact=False, decades=decades)
            after = network(draws.act(g, theta, channels=bool(channels)))
            if isinstance(before, dict):
                moved = draws.act(g, before, channels=False)
                error = worst([after[k] for k in moved], list(moved.values()))
            else:
                error = worst([after], [before])
            if error > 1e-5:
                raise Wrong(f"the network is not {law}: it is off by {error:.3g} under scales of 1e{decades}")
    return f"MetaNet is {law} to 1e-5 in float64, under scales of up to a thousand"


def by_name(y: Tensor | Features) -> Features:
    """Outputs by name, of which a readout to numbers has one."""
    return {"": y} if isinstance(y, Tensor) else y


def check_output(found: Any, net: MetaNet) -> None:
    """Refuse an output of another form than the readout declares, or of no use."""
    if isinstance(found, dict) != (net.outputs is None):
        raise Wrong("the network's readout is not the one that the spec declares")
    if worst([t[:1] for t in by_name(found).values()], [t[1:2] for t in by_name(found).values()]) < 1e-4:
        raise Wrong("the network gives one answer to different weights")
    if isinstance(found, Tensor):
        if found.shape != (3, net.outputs):
            raise Wrong(f"the network gives {list(found.shape)}, not {net.outputs} numbers for each input")


def check_orbits(network: Watched, theta: Features, before: Features, draws: Draws, channels: bool) -> str:
    """Refuse a quasi-equivariant network whose output leaves its orbit."""
    if not affordable(draws, sum(t[0].numel() for t in before.values())):
        return f"{LEFT_OUT}: that alpha moves the output of MetaNet along its orbit only, which is too large"
    for _ in range(3):
        g = draws.element(exact=False)
        after = network(draws.act(g, theta, channels=channels))
        moved = draws.act(g, before, channels=False)
        if one_orbit(draws, {k: t[:1] for k, t in moved.items()}, {k: t[:1] for k, t in after.items()}):
            return "MetaNet is quasi-equivariant in float64: an h with F(g.theta) = h.g.F(theta) is found"
    raise Wrong(
        "the network is not quasi-equivariant: no group element takes its output to that of the orbit"
    )
