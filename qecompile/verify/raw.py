"""Raw values: those that obey no law, and what is known of them all the same.

Takes nothing, gives the vocabulary; `raw_results.py` computes with it. A raw value becomes part of a proof in
two ways only. If interval arithmetic proves it positive, it is a field of positive numbers; if it is the
identity plus a matrix with row sums below 1, it is invertible (Gershgorin); a Cayley transform or exponential
of a skew matrix is a rotation. `cocycle.py` says what such values may do to typed ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from qecompile.verify.steps import Refusal
from qecompile.verify.types import Type

Interval = tuple[float, float]
ANYTHING: Interval = (-math.inf, math.inf)


@dataclass(frozen=True)
class Matrix:
    """What is known of the matrices over the last two axes of a raw value.

    Attributes:
        kind: `skew`; `cayley+` and `cayley-` for I + S and I - S with a skew S; `invertible` or `rotation`.
        name: of S, or of the matrix M of which this is M, M^-1, M^T or M^-T.
        inverse: whether it is an inverse of M.
        transposed: whether it is transposed.
    """

    kind: str
    name: str
    inverse: bool = False
    transposed: bool = False


@dataclass(frozen=True)
class Raw:
    """A value that obeys no law.

    Attributes:
        refusal: why not.
        shape: its shape.
        interval: bounds on its entries.
        base: which value it is a view of, by value number, to the power `power`.
        axes: for each dimension the axis of the base that it is; None where the size is 1.
        power: see `base`.
        matrix: what is known of it as a matrix.
        test: the type of whether it is 0, with vector axes that are still to be reduced. A vector is 0
            whatever its basis, so that the largest size of its entries has no law, and whether it is 0 has.
        log: the type of exp of it, if it is a logarithm (`logs.py`).
        plain: its type where no sign is changed (`mirrors.py`).
        form: how it is made of components of vectors, if it is (`components.py`).
    """

    refusal: Refusal
    shape: tuple[int, ...]
    interval: Interval
    base: str
    axes: tuple[int | None, ...]
    power: Fraction = Fraction(1)
    matrix: Matrix | None = None
    test: Type | None = None
    log: Type | None = None
    plain: Type | None = None
    form: object = None

    @property
    def positive(self) -> bool:
        """Whether all entries are proved positive."""
        return self.interval[0] > 0


def new_raw(refusal: Refusal, number: str, shape: tuple[int, ...], interval: Interval = ANYTHING) -> Raw:
    """A raw value of which no more is known."""
    return Raw(refusal, shape, interval, number, tuple(k if n > 1 else None for k, n in enumerate(shape)))


SAME = ("clone", "detach", "contiguous", "alias", "to", "_to_copy")
VIEWS = (*SAME, "unsqueeze", "squeeze", "expand", "view", "reshape", "permute", "transpose", "movedim", "mT")
