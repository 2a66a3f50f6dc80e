"""The type of a constant whose numbers are known: what they show, exactly, about its symmetry.

Takes a tensor, gives a type. Along each axis a constant is *uniform*, or *equal* together with others (it is
unchanged if one permutation acts on all of them: identity matrices, masks of the diagonal), or a multiple of
the Levi-Civita tensor together with others, or of a rotation of the plane together with another, or free. A
swap and a cycle generate S(n), so that two comparisons decide each group.
"""

from __future__ import annotations

from itertools import combinations, permutations

import torch
from torch import Tensor

from qecompile.verify.atoms import Atom, Kind, free, fresh, uniform
from qecompile.verify.canonical import make
from qecompile.verify.types import Type

LARGEST = 1 << 22  # entries; a larger constant is looked at for uniform axes only


def constant_type(value: Tensor) -> Type:
    """The type of a constant, with all the symmetry that is found.

    >>> print(constant_type(torch.eye(3)))
    [equal 3, equal 3'] (zero unless equal 3 = equal 3')
    >>> print(constant_type(torch.ones(2, 3)), constant_type(torch.arange(3)))
    [uniform 2, uniform 3] [free 3]
    """
    if value.numel() and not value.is_complex() and bool((value == 0).all()):
        return make([(uniform(n),) for n in value.shape], zero=True)
    atoms: dict[int, Atom] = {}
    for d, n in enumerate(value.shape):
        if n > 0 and bool((value == value.narrow(d, 0, 1)).all()):
            atoms[d] = uniform(n)
    links: list[frozenset[int]] = []
    rest = [d for d in range(value.dim()) if d not in atoms]
    if value.numel() <= LARGEST:
        for size in sorted({value.shape[d] for d in rest}):
            links += _find_groups(value, [d for d in rest if value.shape[d] == size], atoms)
    return make([(atoms.get(d) or free(n),) for d, n in enumerate(value.shape)], links=links)


def _find_groups(value: Tensor, dims: list[int], atoms: dict[int, Atom]) -> list[frozenset[int]]:
    """Enter the atoms of axes of one size that belong together; gives what is linked."""
    links: list[frozenset[int]] = []
    candidates = [c for k in range(len(dims), 1, -1) for c in combinations(dims, k)]
    for found in candidates:
        if any(d in atoms for d in found):
            continue
        if _is_equal(value, found):
            number = fresh()
            atoms |= {d: Atom(fresh(), "equal", value.shape[d], group=number) for d in found}
            if len(found) == 2 and _is_diagonal(value, found):
                links.append(frozenset(atoms[d].id for d in found))
        elif _is_epsilon(value, found) or _is_turn(value, found):
            number = fresh()
            kind: Kind = "epsilon" if _is_epsilon(value, found) else "turn"
            atoms |= {d: Atom(fresh(), kind, value.shape[d], group=number) for d in found}
    return links


def _is_equal(value: Tensor, dims: tuple[int, ...]) -> bool:
    """Whether no permutation of the index, in all of these axes at once, changes the value."""
    n = value.shape[dims[0]]
    cycle = torch.arange(n, device=value.device).roll(1)
    swap = torch.arange(n, device=value.device)
    swap[:2] = swap[:2].flip(0)
    for image in (swap, cycle):
        moved = value
        for d in dims:
            moved = moved.index_select(d, image)
        if not torch.equal(moved, value):
            return False
    return True


def _is_diagonal(value: Tensor, dims: tuple[int, ...]) -> bool:
    off = ~torch.eye(value.shape[dims[0]], dtype=torch.bool, device=value.device)
    return not bool(value.movedim(dims, (-2, -1))[..., off].any())


def _is_epsilon(value: Tensor, dims: tuple[int, ...]) -> bool:
    """Whether the value is the Levi-Civita tensor over these axes, times what depends on the others."""
    n = value.shape[dims[0]]
    if len(dims) != n or n > 6:
        return False
    last = _signed(value).movedim(dims, tuple(range(-n, 0)))
    factor = last[(..., *range(n))]
    signs = torch.zeros([n] * n, dtype=last.dtype, device=value.device)
    for image in permutations(range(n)):
        signs[image] = -1 if sum(a > b for a, b in combinations(image, 2)) % 2 else 1
    return torch.equal(last, factor[(..., *[None] * n)] * signs)


def _is_turn(value: Tensor, dims: tuple[int, ...]) -> bool:
    """Whether the value is a I + b J over these two axes of size 2."""
    if len(dims) != 2 or value.shape[dims[0]] != 2:
        return False
    last = _signed(value).movedim(dims, (-2, -1))
    return torch.equal(last[..., 0, 0], last[..., 1, 1]) and torch.equal(last[..., 0, 1], -last[..., 1, 0])


def _signed(value: Tensor) -> Tensor:
    """The same numbers in a dtype that has negative ones: -1 as a truth value is 1, and as a byte 255."""
    return value if value.dtype.is_floating_point or value.is_complex() else value.to(torch.float64)
