"""The mistakes: one module a family, every operator with the mistake that it stands for."""

from . import (  # noqa: F401
    alpha,
    axes,
    batch,
    charges,
    constants,
    networks,
    pointwise,
    positions,
    reductions,
    slices,
    terms,
    weights,
)
from .base import OPERATORS, Operator

__all__ = ["OPERATORS", "Operator"]
