"""Rewrites that keep the meaning of a module: `prove` must accept each of them.

What a person would do to an emitted file by hand: other names, other formulas for the same numbers, another
layout. Every rewrite is made wherever it can be made, all at once.
"""

from . import broadcasts, layout, products, reductions, words  # noqa: F401
from .base import REWRITES, Rewrite

__all__ = ["REWRITES", "Rewrite"]
