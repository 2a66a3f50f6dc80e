"""One checkpoint brought close to another: the same network, its neurons in the other one's order.

Takes a spec and two checkpoints, gives the second as a group element leaves it (`alignment/`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from qecompile.alignment.align import Alignment, align
from qecompile.checkpoints.acting import act_checkpoint, check_kind
from qecompile.checkpoints.reading import enough_memory, read_checkpoint
from qecompile.checkpoints.replace import check_target
from qecompile.checkpoints.stored import quote
from qecompile.errors import fail
from qecompile.spec import Spec

Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Aligned:
    """What `align_checkpoints` did: how close the two came, and the entries that it changed and copied."""

    alignment: Alignment
    changed: tuple[str, ...]
    kept: tuple[str, ...]


def align_checkpoints(
    spec: Spec,
    a: Path,
    b: Path,
    out: Path,
    *,
    restarts: int = 0,
    seed: int = 0,
    overwrite: bool = False,
) -> Aligned:
    """Find the group element that brings the weights in b close to those in a, and write what it makes of b.

    Args:
        spec: the spec of both; every parameter of it needs a `from` clause.
        a: the checkpoint that stays.
        b: the checkpoint that is brought close to it.
        out: the checkpoint to write, of the kind of b; it may be b if `overwrite` is true.
        restarts: how many random beginnings to try, too; see `align`.
        seed: of what is drawn.
        overwrite: whether to replace a file that exists.

    Raises:
        SymError: a file cannot be read or written, or does not fit the spec; a number is not finite, or
            becomes too large for its dtype; or scipy is missing.
    """
    check_kind(b, out)
    check_target(out, overwrite)
    if os.path.realpath(out) == os.path.realpath(a) != os.path.realpath(b):
        fail("QE951", f"{quote(os.fsdecode(out))} stands for two files", help="choose another name")
    with enough_memory():
        there, here = (read_checkpoint(spec, path, spec.params) for path in (a, b))
        for path, theta in ((a, there), (b, here)):
            for name, x in theta.items():
                if not x.isfinite().all():
                    message = f"`{name}` in {quote(os.fsdecode(path))} has numbers that are not finite"
                    fail("QE223", message, help="they cannot be compared with others")
        found = align(spec, there, here, restarts=restarts, seed=seed)
    acted = act_checkpoint(spec, b, out, found.element, overwrite=overwrite)
    return Aligned(found, acted.changed, acted.kept)
