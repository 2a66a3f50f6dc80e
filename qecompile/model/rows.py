"""Linear combinations in a form that people read: of few terms, with simple coefficients.

Takes orthonormal columns that span combinations, gives rows of coefficients.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

MOST_TERMS, MOST_COLUMNS = 4, 12


def complement(kernel: Tensor, orbit: Tensor) -> list[list[float]]:
    """Combinations in `kernel` that are new beside `orbit`, one after the other; of few terms if possible."""
    rows = [*_short_rows(kernel), *reduced_rows(kernel.mT)]
    known = orbit.mT
    found = []
    for row in rows:
        both = torch.cat([known, torch.tensor([row], dtype=torch.float64)])
        if int(torch.linalg.matrix_rank(both, rtol=1e-6)) > known.shape[0]:
            known = both
            found.append(row)
    return found


def _short_rows(kernel: Tensor) -> list[list[float]]:
    """The combinations of up to `MOST_TERMS` columns, whole ones first; none where there are many columns."""
    count, dim = kernel.shape
    if not dim or count > MOST_COLUMNS:
        return []
    found = []
    for size in range(1, MOST_TERMS + 1):
        for chosen in combinations(range(count), size):
            others = [k for k in range(count) if k not in chosen]
            _, s, vh = torch.linalg.svd(kernel[others], full_matrices=True)
            left = dim - int((s > 1e-6).sum())
            row = kernel @ vh[-1]
            if left == 1 and bool((row[list(chosen)].abs() > 1e-5).all()):
                found += reduced_rows(row[None])
    return sorted(found, key=lambda row: (sum(map(bool, row)), not all(map(is_neat, row))))


def reduced_rows(rows: Tensor, tolerance: float = 1e-5) -> list[list[float]]:
    """The reduced row echelon form, with small numbers set to 0 and simple ones rounded.

    >>> reduced_rows(torch.tensor([[2.0, 0.0, -2.0], [2.0, 1.0, -2.0]]))
    [[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    left = rows.clone().double()
    done = 0
    for column in range(left.shape[1]):
        if done == left.shape[0]:
            break
        pivot = done + int(left[done:, column].abs().argmax())
        if float(left[pivot, column].abs()) < tolerance:
            continue
        left[[done, pivot]] = left[[pivot, done]]
        left[done] /= left[done, column].clone()
        for other in range(left.shape[0]):
            if other != done:
                left[other] -= left[other, column].clone() * left[done]
        done += 1
    return [[_neat(x) for x in row] for row in left[:done].tolist()]


def _neat(x: float) -> float:
    for parts in (1, 2, 3, 4):
        if abs(x * parts - round(x * parts)) < 1e-4:
            return round(x * parts) / parts + 0.0
    return x


def is_neat(x: float) -> bool:
    """Whether a coefficient is a simple fraction, as charges against each other are."""
    return any(float(x * parts).is_integer() and abs(x) <= 4 for parts in (1, 2, 3, 4))


def combinations_within(residual: Tensor, tolerance: float = 1e-6) -> Tensor:
    """The combinations of columns that a residual does not see, as orthonormal columns.

    Args:
        residual: [rows, columns]: what each direction has outside of the space in question.
        tolerance: singular values up to it count as zero.
    """
    if residual.shape[0] > residual.shape[1]:
        residual = torch.linalg.qr(residual, mode="r")[1]
    _, s, vh = torch.linalg.svd(residual, full_matrices=True)
    rank = int((s > tolerance).sum())
    found: Tensor = vh[rank:].mT
    return found
