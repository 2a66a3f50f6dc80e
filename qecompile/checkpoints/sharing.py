"""Parameters of a spec that read the same numbers of a checkpoint, as far as the spec alone can tell.

Takes a `Spec`, gives warnings; reads no file. The size of a stored axis with a slice is not in the spec: what
is told holds for the smallest entry that has room for every slice. `matching.py` compares with a checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from qecompile.checkpoints.layouts import Factor, Layout, Placement, fit, read_layout
from qecompile.checkpoints.matching import MOST_SHARING
from qecompile.checkpoints.stored import quote
from qecompile.errors import Diagnostic, Note
from qecompile.spec import Param, Spec


class Reader(NamedTuple):
    """A parameter that reads a part of an entry, and where it would stand in the smallest one."""

    param: Param
    layout: Layout
    placement: Placement | None = None


def shared_numbers(spec: Spec) -> tuple[Diagnostic, ...]:
    """One warning for each entry that two parameters read alike, or that cannot have the form both ask for.

    >>> from qecompile.spec import Axis, Entry, Space
    >>> b, c = (Param(name=n, axes=(Axis(space="a"),), shape=(2,), source=Entry(key="bias")) for n in "bc")
    >>> spec = Spec(name="s", spaces=(Space(name="a", size=2),), parameters=(b, c))
    >>> [w.message for w in shared_numbers(spec)]
    ['`b` and `c` are the same numbers of entry `bias`']
    """
    by_key: dict[str, list[Param]] = {}
    for p in spec.parameters:
        if p.source is not None:
            by_key.setdefault(p.source.key, []).append(p)
    warnings = []
    for key, params in by_key.items():
        if 1 < len(params) <= MOST_SHARING:
            readers = _place([Reader(p, read_layout(p)) for p in params])
            if unfit := _find_unfit(readers):
                warnings.append(
                    _warn(spec, *unfit, f"cannot both stand in entry {quote(key)}: their forms differ")
                )
            elif alike := _find_overlap(readers):
                warnings.append(_warn(spec, *alike, f"are the same numbers of entry {quote(key)}"))
    return tuple(warnings)


def _place(readers: Sequence[Reader]) -> list[Reader]:
    """The readers with their places in the smallest entry; none where the numbers of axes differ."""
    if len({len(r.layout) for r in readers}) > 1:
        return list(readers)
    shape = [_smallest_size([r.layout[k] for r in readers]) for k in range(len(readers[0].layout))]
    return [r._replace(placement=fit(r.layout, shape)) for r in readers]


def _smallest_size(groups: Sequence[tuple[Factor, ...]]) -> int:
    """The size that a group without a slice says, else the smallest multiple of all with room for the slices.

    >>> _smallest_size([(Factor("part", value=2), Factor("h", 0, 4)), (Factor("part"), Factor("k", 0, 6))])
    12
    """
    known = [math.prod(f.size for f in group if f.size is not None) for group in groups]
    values = [[f.value for f in group if f.size is None] for group in groups]
    for size, slices in zip(known, values, strict=True):
        if not slices:
            return size
    step = math.lcm(*known)
    wanted = max((max(slices) + 1) * size for size, slices in zip(known, values, strict=True))
    return -(-wanted // step) * step


def _find_unfit(readers: Sequence[Reader]) -> tuple[Param, Param] | None:
    """A reader that does not fit, and another that does, or one of another number of axes."""
    unfit = [r for r in readers if r.placement is None]
    if not unfit:
        return None
    fitting = [r for r in readers if r.placement is not None]
    other = next((r for r in unfit if len(r.layout) != len(unfit[0].layout)), None)
    first, second = (fitting[0], unfit[0]) if fitting else (unfit[0], other or unfit[1])
    return first.param, second.param


def _find_overlap(readers: Sequence[Reader]) -> tuple[Param, Param] | None:
    """Two readers of one number. Those of one layout differ in slices only, and meet if these are equal."""
    kinds: dict[object, dict[object, Reader]] = {}
    for reader in readers:
        kind = tuple(tuple(f.size for f in group) for group in reader.layout)
        values = tuple(f.value for group in reader.layout for f in group)
        alike = kinds.setdefault(kind, {})
        if values in alike:
            return alike[values].param, reader.param
        alike[values] = reader
    for one, other in combinations(kinds.values(), 2):
        for a in one.values():
            for b in other.values():
                if a.placement and b.placement and a.placement.overlaps(b.placement):
                    return a.param, b.param
    return None


def _warn(spec: Spec, first: Param, second: Param, what: str) -> Diagnostic:
    places = dict(spec.places)
    note = Note(f"`{first.name}` is declared here", places.get(first.name))
    message = f"`{first.name}` and `{second.name}` {what}"
    help = "tell them apart with `at`, or leave one out"
    return Diagnostic("QE214", message, places.get(second.name), (note,), help, severity="warning")
