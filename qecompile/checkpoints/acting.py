"""A group element applied to a checkpoint: the same network, with other numbers.

Takes a spec, a checkpoint and an element, gives a checkpoint of the same form. The header, the metadata, the
entries that the spec does not name and those that the group leaves alone are copied as they are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from qecompile.checkpoints.contents import is_safetensors
from qecompile.checkpoints.matching import Found, match
from qecompile.checkpoints.reading import Archive, enough_memory, open_checkpoint, view_parameter
from qecompile.checkpoints.replace import check_target, replace_file
from qecompile.checkpoints.stored import quote
from qecompile.errors import fail
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.spec import Param, Spec


@dataclass(frozen=True, slots=True)
class Acted:
    """What `act_checkpoint` did: the entries that it changed, and those that it copied."""

    changed: tuple[str, ...]
    kept: tuple[str, ...]


def sample_element(spec: Spec, seed: int, scale: float = 1.0) -> Element:
    """The random element of the group of `spec` that belongs to a seed; see `Group.sample`.

    Raises:
        SymError: there is not enough memory for it.
        ValueError: `scale` is negative or not finite.
    """
    with enough_memory():
        return Group(spec).sample(torch.Generator().manual_seed(seed), scale=scale)


def act_checkpoint(
    spec: Spec,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    element: Element,
    *,
    overwrite: bool = False,
) -> Acted:
    """Apply a group element to the parameters in a checkpoint and write the result, of the same form.

    One entry at a time is in memory. Numbers are transformed in float64 and rounded to the dtype of the file.
    At any moment `out` is what it was before or complete, even if the process is killed.

    Args:
        spec: the spec; every parameter of it needs a `from` clause.
        path: the checkpoint to read.
        out: the checkpoint to write, of the same kind; it may be `path` if `overwrite` is true.
        element: an element of the group of `spec`.
        overwrite: whether to replace a file that exists.

    Raises:
        SymError: a file cannot be read or written; the checkpoint does not fit the spec (see
            `read_checkpoint`); two parameters are the same numbers of one entry; or a number is too large
            for its dtype afterwards.
        ValueError: `element` is not an element of the group of `spec`.
    """
    check_kind(path, out)
    check_target(out, overwrite)
    group = Group(spec)
    with enough_memory(), open_checkpoint(path) as archive:
        matched = match(spec, os.fsdecode(path), archive.entries, spec.params)
        matched.require()
        matched.require_apart()
        sharing = {
            name: moved
            for name, all_found in matched.by_entry().items()
            if (moved := [f for f in all_found if _is_moved(spec, f.param)])
        }

        def change(name: str) -> Tensor:
            return _act_on_entry(archive, name, sharing[name], group, element)

        with replace_file(out, overwrite) as file:
            archive.rewrite(file, sharing.keys(), change)
    names = [(name, name in sharing) for name in archive.entries]
    return Acted(tuple(n for n, changed in names if changed), tuple(n for n, changed in names if not changed))


def check_kind(path: str | os.PathLike[str], out: str | os.PathLike[str]) -> None:
    """Refuse to write a checkpoint of one kind as a file of the other.

    Raises:
        SymError: the names are of two kinds.
    """
    if is_safetensors(path) != is_safetensors(out):
        fail("QE220", f"{quote(os.fsdecode(out))} would be another kind of file than the checkpoint")


def _is_moved(spec: Spec, param: Param) -> bool:
    """Whether the group does anything to a parameter."""
    return any(spec.space[a.space].group != "fixed" for a in param.axes)


def _act_on_entry(
    archive: Archive, name: str, sharing: list[Found], group: Group, element: Element
) -> Tensor:
    """The numbers of an entry with every parameter in it transformed."""
    stored = archive.read(name)
    for found in sharing:
        view = view_parameter(stored, found.placement)
        before = view.to(torch.float64)
        after = group.act(element, {found.param.name: before})[found.param.name].to(stored.dtype)
        if bool(before.isfinite().all() & ~after.isfinite().all()):
            message = f"numbers of `{found.param.name}` become too large for {found.stored.dtype}"
            fail("QE222", message, help="take an element nearer to the identity, as with a smaller --scale")
        view.copy_(after)
    return stored
