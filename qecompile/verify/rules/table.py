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
    looking_up,
    movement,
    normalising,
    picking,
    pointwise,
    pooling,
    recurrent,
    reducing,
    spectra,
    writing,
)
from qecompile.verify.rules.call import Rule

FAMILIES = (
    movement,
    picking,
    indexing,
    looking_up,
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
    writing,
)
INTRODUCTION = """# The rule table

Written by `qecompile.verify.rules.table.describe`; a test compares. The type of a value says how it changes
when the group acts on the weights it was computed from: which of its axes are permuted or multiplied by a
matrix, and to which powers (*charges*) characters multiply its entries. `qecompile/verify/types.py` defines
the words. A rule gives the type of a result from those of the arguments; an operation that is not here is
refused by its name.

A *fixed* axis is one on which nothing acts, such as channels. An axis *belongs* to another if every index of
that one has a copy of it. A *pair* is an axis along which a vector and a dual one have been multiplied: it
may be summed.
"""
BEYOND = """## Values that obey no law by themselves

An operation whose rule does not apply gives a *raw* value. It is refused where it matters for an output, but
something may be known of it that gives a law to what is made of it later. In a proof these are rules too:

- `logarithm` (`logs.py`): of log x it is known that exp of it obeys a law, with positive charges. So does
  exp of sums, multiples, means and maxima of logarithms; differences of charge 0, a softmax and a spread
  along an axis have a law as they are.
- `mirror images` (`mirrors.py`): of f(x) the law is known that it obeys where no sign is changed, and that
  f(-x) takes its place where one is. So f(x) + f(-x), f(x) f(-x) and max(f(x), f(-x)) are even, f(x) -
  f(-x) is odd.
- `components` (`components.py`): entries of vectors, and sums of their products with known coefficients,
  have a law if these are the coefficients of a scalar product, a determinant, a turn or a cross product.
- `alpha` (`cocycle.py`): positive numbers, invertible matrices and rotations move a value to another
  cocycle.

A weight that is constant piece by piece along an axis, as a code for each layer on all neurons in one list,
is typed with an axis of such pieces where a fixed axis is refused (`pieces.py`).

"""
RULES: Mapping[str, Rule] = {op: rule for family in FAMILIES for rule in family.RULES for op in rule.ops}


def describe() -> str:
    """The table as Markdown."""
    lines = [INTRODUCTION]
    for family in FAMILIES:
        title = (family.__doc__ or "").partition("\n")[0].removesuffix(".")
        lines += [f"## {title}", "", "| rule | law | operations |", "|---|---|---|"]
        for rule in family.RULES:
            ops = "see below" if rule.name == "function" else ", ".join(f"`{op}`" for op in rule.ops)
            lines.append(f"| {rule.name} | {_cell(rule.law.removesuffix('.'))} | {ops} |")
        lines.append("")
    lines += [
        *BEYOND.splitlines(),
        "## Functions of one number",
        "",
        "| functions | degree | parity | f(0) = 0 |",
        "|---|---|---|---|",
    ]
    for names, f in pointwise.GROUPS:
        degree = "" if f.degree is None else str(f.degree)
        shown = ", ".join(f"`{name}`" for name in names.split())
        lines.append(f"| {shown} | {degree} | {f.parity or ''} | {'yes' if f.keeps_zero else ''} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
