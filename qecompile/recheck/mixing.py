"""What an emitted layer leaves out of the complete basis, and how many weights are left.

A layer may mix a fixed space through few *codes*: an axis then passes from the source to the target, or is
pooled against the codes, each axis by itself. The head of an emitted file says so. A spec asks for it by
`mix`; where it says nothing, only layers of more than `SILENT_FROM` maps may be restricted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from .nullity import Wrong
from .spec import Elaborated, MetaNet

SILENT_FROM = 1 << 15
Dims = Mapping[tuple[str | None, str], int]
"""Dimensions by source, None for the invariants, and target."""


def stated_mixing(source: bytes) -> tuple[dict[str, tuple[str, int]], bool]:
    """What the head of a file says: codes by space, and whether there is a context."""
    head = source.decode("utf-8", "replace").split("\n\n", 1)[0]
    found = re.findall(r"^#   mix (\S+) (encode|lowrank)\((\d+)\):", head, re.M)
    context = re.search(r"^#   context lowrank\(", head, re.M)
    return {space: (mode, int(rank)) for space, mode, rank in found}, context is not None


def restrict(
    dims: Dims, spec: Elaborated, net: MetaNet, codes: Mapping[str, tuple[str, int]], context: bool
) -> Dims | None:
    """The dimensions that a layer with codes should have; None if they are not counted here."""
    said = {s: (mode, k) for s, (mode, k) in net.mixes.items() if mode != "full" and k < spec.spaces[s].size}
    if {s: code for s, code in codes.items() if s in net.mixes} != said or (context and net.context is None):
        raise Wrong("the emitted file restricts mixing in other ways than the spec says")
    silent = codes.keys() - net.mixes.keys()
    if silent and sum(dims.values()) <= SILENT_FROM:
        raise Wrong(f"the emitted layer is not complete: mixing over {', '.join(silent)} is restricted")
    nested = [s for s in spec.spaces.values() if (s.name in codes and s.parent) or s.parent in codes]
    if context or nested or any(spec.spaces[s].is_vector for s in codes):
        return None
    restricted = {}
    for (source, target), dim in dims.items():
        for s, (_, k) in codes.items():
            p, q = (sum(a.space == s for a in spec.params[n]) if n else 0 for n in (source, target))
            passing = (math.comb(p, j) * math.perm(q, j) * k ** (p + q - 2 * j) for j in range(min(p, q) + 1))
            dim = dim // spec.spaces[s].size ** (p + q) * sum(passing)
        restricted[source, target] = dim
    return restricted
