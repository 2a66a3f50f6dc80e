"""The audit: is the declared group the symmetry of the user's network, all of it?

Takes a spec with a `model`, gives an `Audit`: whether the group preserves the network (`preserve.py`), the
dimension of the kernel of its differential against that of the orbit (`kernel.py`), the missing directions in
words (`directions.py`) and as shares of the parameters, and discrete candidates (`candidates.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.errors import Diagnostic, SymError
from qecompile.model.candidates import Candidate, find_candidates
from qecompile.model.estimate import estimated_maximality
from qecompile.model.kernel import MOST_DENSE
from qecompile.model.maximality import Maximality, dense_maximality
from qecompile.model.network import Network
from qecompile.model.points import make_point
from qecompile.model.preserve import Preservation, check_preserved
from qecompile.orbit import factors, orbit_dim
from qecompile.spec import Spec


@dataclass(frozen=True)
class Audit:
    """All that was found."""

    preservation: Preservation
    maximality: Maximality
    candidates: tuple[Candidate, ...]


def audit(network: Network, seed: int = 0) -> Audit:
    """Everything about a network; see the module.

    Raises:
        SymError: the network cannot be run, or the orbit is beyond the limits of exact computation.
    """
    preservation = check_preserved(network, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    points = [make_point(network, generator) for _ in range(2)]
    return Audit(preservation, check_maximal(network, seed), find_candidates(network, points))


def check_maximal(network: Network, seed: int = 0) -> Maximality:
    """The kernel of the differential against the orbit.

    Raises:
        SymError: the network cannot be run.
        ValueError: the orbit is beyond the limits of exact computation.
    """
    generator = torch.Generator().manual_seed(seed + 2)
    declared = orbit_dim(network.spec)
    if any(f.space == network.model.output and f.dim for f in factors(network.spec)):
        why = f"the output moves along with `{network.model.output}`, whose group is continuous"
        return Maximality(declared, declared, False, "none", why, {}, ())
    count = sum(math.prod(p.shape) for p in network.spec.parameters)
    if count <= MOST_DENSE:
        return dense_maximality(network, declared, generator)
    return estimated_maximality(network, declared, count, generator)


def audit_spec(spec: Spec, weights: Mapping[str, Tensor] | None = None, seed: int = 0) -> Audit:
    """The audit of the network that a spec names, near given weights or its own.

    Raises:
        SymError: the spec names no network, it cannot be run, or the orbit is beyond exact search.
    """
    try:
        return audit(Network(spec, weights), seed)
    except ValueError as limit:  # the orbit of a group that couples too much
        help = "audit smaller sizes, with -D"
        raise SymError([Diagnostic("QE902", str(limit), help=help)]) from limit
