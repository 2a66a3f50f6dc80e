"""Elements of the group of a spec as files in safetensors.

Every tensor of a part is an entry: `head/source` (the index value that moves to each place), `qk/matrix`, and
`ff/characters/scale`, all with the spaces that the space is nested in as leading axes, outermost first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import torch
from safetensors.torch import save
from torch import Tensor

from qecompile.checkpoints.contents import is_safetensors
from qecompile.checkpoints.replace import check_target, replace_file
from qecompile.checkpoints.safetensors_file import SafetensorsFile
from qecompile.checkpoints.stored import FLOATING, Stored, quote
from qecompile.errors import Collector, fail
from qecompile.group_elements import Element, Part, part_shapes
from qecompile.nesting import copy_shapes
from qecompile.spec import Space, Spec

TOLERANCE = 1e-6
"""How far a matrix of `orthogonal` or `rotate` may be from an orthogonal one."""


def save_element(spec: Spec, element: Element, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write an element of the group of `spec` to a file in safetensors.

    Raises:
        SymError: the file cannot be written, or exists and `overwrite` is false.
    """
    check_element_target(path, overwrite)
    tensors = {}
    for space in spec.spaces:
        values = (t for _, t in element.parts[space.name].tensors())
        for (key, _), value in zip(_layout(spec, space), values, strict=True):
            tensors[key] = value.detach().cpu().contiguous()
    with replace_file(path, overwrite) as file:
        file.write(save(tensors, {"format": "qecompile group element", "spec": spec.name}))


def check_element_target(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Fail if `save_element` could not write to `path`.

    Raises:
        SymError: see `replace.check_target`; or the name does not end in `.safetensors`.
    """
    if not is_safetensors(path):
        fail("QE230", f"{quote(os.fsdecode(path))}: group elements are written in safetensors")
    check_target(path, overwrite)


def load_element(spec: Spec, path: str | os.PathLike[str]) -> Element:
    """Read an element of the group of `spec` from a file that `save_element` wrote.

    Raises:
        SymError: the file cannot be read or is damaged, or what it holds is no element of this group.
    """
    shown = quote(os.fsdecode(path))
    if not is_safetensors(path):
        fail("QE230", f"{shown} is no group element: those are in safetensors")
    collector = Collector()
    with SafetensorsFile(path) as file:
        for problem in _find_differences(spec, file.entries):
            collector.error("QE230", f"{shown} is no element of the group of `{spec.name}`: {problem}", None)
        collector.finish()
        parts = {s.name: _read_part(s, [file.read(key) for key, _ in _layout(spec, s)]) for s in spec.spaces}
    for space in spec.spaces:
        for problem in _find_strangers(space, parts[space.name]):
            message = f"{shown} is no element of the group of `{spec.name}`: `{space.name}` has {problem}"
            collector.error("QE230", message, None)
    collector.finish()
    return Element(parts)


def _layout(spec: Spec, space: Space) -> list[tuple[str, tuple[int, ...]]]:
    """The entries of one space: their names and shapes, in the order of `Part.tensors`."""
    names = iter(space.characters)
    found = []
    for word, shape in part_shapes(space, copy_shapes(spec)[space.name]):
        last = word if word in ("source", "matrix") else f"characters/{next(names).name}"
        found.append((f"{space.name}/{last}", shape))
    return found


def _find_differences(spec: Spec, entries: Mapping[str, Stored]) -> Iterator[str]:
    """In what the entries of a file are not those of an element."""
    wanted = dict(entry for space in spec.spaces for entry in _layout(spec, space))
    for key, shape in wanted.items():
        stored = entries.get(key)
        dtypes = ("I64",) if key.endswith("/source") else FLOATING
        if stored is None:
            yield f"entry {quote(key)} is missing"
        elif stored.shape != shape:
            yield f"entry {quote(key)} has shape {list(stored.shape)}, not {list(shape)}"
        elif stored.dtype not in dtypes:
            yield f"entry {quote(key)} holds numbers of type {stored.dtype}, not {dtypes[0]}"
    yield from (f"there is an entry {quote(key)} too much" for key in entries if key not in wanted)


def _read_part(space: Space, tensors: list[Tensor]) -> Part:
    values = iter(tensors)
    source = next(values) if space.permuted else None
    matrix = next(values) if space.vector else None
    return Part(source, matrix, tuple(values))


def _find_strangers(space: Space, part: Part) -> Iterator[str]:
    """What in a part of the right shape belongs to no element of the group of a space."""
    if part.source is not None and not _is_permutation(part.source):
        yield "a `source` that is no permutation"
    if part.matrix is not None and not _is_in_group(space, part.matrix):
        yield f"a matrix that is not in the group `{space.vector}`"
    for character, values in zip(space.characters, part.characters, strict=True):
        signs = character.word == "sign"
        if not bool(((values.abs() == 1) if signs else (values > 0) & values.isfinite()).all()):
            yield f"a `{character.name}` that is not {'+1 or -1' if signs else 'positive'}"


def _is_permutation(source: Tensor) -> bool:
    return bool((source.sort(dim=-1).values == torch.arange(source.shape[-1])).all())


def _is_in_group(space: Space, matrix: Tensor) -> bool:
    """Whether matrices [..., n, n] are finite and invertible and, where that is asked, orthogonal."""
    wide = matrix.to(torch.float64)
    if not bool(wide.isfinite().all()):
        return False
    if space.vector == "linear":
        return bool((torch.linalg.matrix_rank(wide) == space.size).all())
    eye = torch.eye(space.size, dtype=torch.float64)
    turned = bool(((wide @ wide.mT - eye).abs() < TOLERANCE).all())
    return turned and (space.vector == "orthogonal" or bool((torch.linalg.det(wide) > 0).all()))
