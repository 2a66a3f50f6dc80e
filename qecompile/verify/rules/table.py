"""The rule table: every operation that has a rule, by name.

`describe` writes it as Markdown; `docs/rules.md` is that text. To add an operation, add its name to the rule
that it obeys, or write a rule: a function from a `Call` to a type, listed in the `RULES` of its family.
"""

from __future__ import annotations

from collections.abc import Mapping

from qecompile.verify.rules import (
    choosing,
    combining,
    contracting,
    diagonals,
    filling,
    indexing,
    joining,
    linalg,
    movement,
    normalising,
    picking,
    pointwise,
    pooling,
    recurrent,
    reducing,
    spectra,
)
from qecompile.verify.rules.call import Rule

FAMILIES = (
    movement,
    picking,
    indexing,
    joining,
    diagonals,
    pointwise,
    combining,
    choosing,
    contracting,
    reducing,
    normalising,
    filling,
    linalg,
    pooling,
    spectra,
    recurrent,
)
RULES: Mapping[str, Rule] = {name: rule for family in FAMILIES for rule in family.RULES for name in rule.ops}
