"""Dimensions of the continuous group of a spec and of its orbits.

Takes a `Spec`, gives integers. Exact; no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.spec import Space, Spec


@dataclass(frozen=True, slots=True)
class Factor:
    """What one space contributes to the group.

    Attributes:
        space: name of the space.
        group: its group as the user writes it.
        copies: how many copies of the space there are: the product of the sizes of those it is nested in.
        dim: dimension, as a Lie group, of one copy.
    """

    space: str
    group: str
    copies: int
    dim: int

    @property
    def total(self) -> int:
        """Dimension of all copies together."""
        return self.copies * self.dim


def factors(spec: Spec) -> tuple[Factor, ...]:
    """One factor per space, in order of declaration.

    >>> h = Space(name="h", size=3, permuted=True)
    >>> q = Space(name="q", size=4, vector="linear", parent="h")
    >>> factors(Spec(name="s", spaces=(h, q), parameters=()))
    (Factor(space='h', group='permute', copies=1, dim=0), Factor(space='q', group='linear', copies=3, dim=16))
    """
    copies: dict[str, int] = {}
    for s in spec.spaces:
        copies[s.name] = copies[s.parent] * spec.space[s.parent].size if s.parent else 1
    return tuple(Factor(s.name, s.group, copies[s.name], _dim(s)) for s in spec.spaces)


def continuous_dim(spec: Spec) -> int:
    """Dimension of the group as a Lie group.

    >>> continuous_dim(Spec(name="s", spaces=(Space(name="d", size=4, vector="rotate"),), parameters=()))
    6
    """
    return sum(f.total for f in factors(spec))


def _dim(s: Space) -> int:
    """Dimension of one copy of the group of one space."""
    words = [c.word for c in s.characters]
    matrix = {
        "linear": s.size**2,
        "orthogonal": s.size * (s.size - 1) // 2,
        "rotate": s.size * (s.size - 1) // 2,
    }
    return (matrix[s.vector] if s.vector else 0) + s.size * words.count("scale") + words.count("dilate")
