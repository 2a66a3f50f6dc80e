"""Linear algebra modulo the prime P = 2^31 - 1, on int64 arrays.

Takes and gives arrays of integers, those it gives between 0 and P - 1. Exact: nothing rounds or overflows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from flint import nmod_mat

P = 2**31 - 1
Ints = npt.NDArray[np.int64]


def multiply(a: Ints, b: Ints) -> Ints:
    """The product of two matrices modulo P, in halves of 16 bits so that no int64 overflows.

    >>> multiply(np.array([[P - 1]]), np.array([[P - 2]])).tolist()
    [[2]]
    """
    high, low = a >> 16, a & 0xFFFF
    product: Ints = (((high @ b % P) << 16) + low @ b) % P
    return product


def inverse(a: Ints) -> Ints:
    """The inverse of a square matrix modulo P.

    Raises:
        ZeroDivisionError: the matrix is singular modulo P.
    """
    return _array(_matrix(a).inv()).reshape(a.shape)


def left_kernel(a: Ints) -> Ints:
    """A basis, in rows, of the vectors x with x a = 0 modulo P."""
    columns = a[:, a.any(axis=0)]  # the other columns ask nothing
    rows = len(columns)
    kernel, nullity = _matrix(columns.T).nullspace()
    return np.ascontiguousarray(_array(kernel).reshape(rows, rows)[:, :nullity].T)


def rank(a: Ints) -> int:
    """The rank of an integer matrix modulo P.

    It is **never larger than the rank over the rationals**: a minor that does not vanish modulo P does not
    vanish. So a matrix of full rank modulo P has full rank, exactly; the reverse may fail.

    >>> rank(np.array([[1, 2], [2, 4]])), rank(np.array([[P, 0], [0, 1]]))
    (1, 1)
    """
    found: int = _matrix(a).rank() if a.size else 0
    return found


def _matrix(a: Ints) -> nmod_mat:
    rows, columns = a.shape
    return nmod_mat(rows, columns, (a % P).ravel().tolist(), P)


def _array(matrix: nmod_mat) -> Ints:
    return np.array([int(x) for x in matrix.entries()], dtype=np.int64)


__all__ = ["Ints", "P", "inverse", "left_kernel", "multiply", "rank"]
