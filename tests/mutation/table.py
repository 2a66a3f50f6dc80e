"""What docs/mutation.md says: every operator and every spec with its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .campaign import Mutant
from .operators import OPERATORS
from .rewrites import REWRITES
from .variants import VARIANTS

COLUMNS: dict[str, Callable[[Mutant], bool]] = {
    "drawn": lambda m: True,
    "crash": lambda m: m.status == "crashed",
    "equivalent": lambda m: m.status == "equivalent",
    "counted": lambda m: m.status == "counted",
    "break the law": lambda m: bool(m.broken),
    "refused": lambda m: m.verdict.refused,
    "types": lambda m: m.verdict.types is not None,
    "exact layer": lambda m: m.verdict.types is None and m.verdict.exact is not None,
    "neither": lambda m: m.status == "counted" and not m.verdict.types and not m.verdict.exact,
    "survive": lambda m: m.status == "counted" and not m.verdict.refused,
}


def rows_by(mutants: Sequence[Mutant], key: Callable[[Mutant], str], names: Iterable[str]) -> list[str]:
    """One line a name, and their sum."""
    groups = {name: [m for m in mutants if key(m) == name] for name in names}
    lines = [_row(name, found) for name, found in groups.items() if found]
    return [*lines, _row("**all**", [m for found in groups.values() for m in found])]


def _row(name: str, mutants: Sequence[Mutant]) -> str:
    figures = [sum(map(test, mutants)) for test in COLUMNS.values()]
    return f"| {name} | {' | '.join(str(n) if n else '' for n in figures)} |"


def markdown(mutants: Sequence[Mutant], rewrites: dict[str, tuple[int, int]], command: str) -> str:
    """The page: what was done, the two tables, the rewrites, and what every operator stands for."""
    counted = [m for m in mutants if m.status == "counted"]
    survived = [m for m in counted if not m.verdict.refused]
    head = f"| {{}} | {' | '.join(COLUMNS)} |\n|---|{'---:|' * len(COLUMNS)}"
    accepted, tried = (sum(n[i] for n in rewrites.values()) for i in (0, 1))
    lines = [
        INTRODUCTION.format(
            command=command,
            counted=len(counted),
            refused=len(counted) - len(survived),
            broken=sum(bool(m.broken) for m in counted),
            typed=sum(m.verdict.types is not None for m in counted if m.broken),
            operators=len({m.operator for m in counted}),
            specs=len({m.variant.partition("/")[0] for m in counted}),
            accepted=accepted,
            tried=tried,
        ),
        "## By operator",
        "",
        head.format("operator"),
        *rows_by(mutants, lambda m: m.operator, (o.name for o in OPERATORS)),
        "",
        "## By spec",
        "",
        head.format("spec"),
        *rows_by(mutants, lambda m: m.variant.replace("/different", "").replace("/equal", ""), _names()),
        "",
        "## Correct rewrites",
        "",
        "| rewrite | what it does | modules | accepted |",
        "|---|---|---:|---:|",
        *(
            f"| {r.name} | {r.what} | {tried} | {ok} |"
            for r in REWRITES
            for ok, tried in [rewrites.get(r.name, (0, 0))]
        ),
        "",
        "## What the operators stand for",
        "",
        "| operator | mistake |",
        "|---|---|",
        *(f"| {o.name} | {o.mistake} |" for o in OPERATORS),
    ]
    if survived:
        lines += ["", "## Survivors", "", *(f"- `{mutant}`" for mutant in survived)]
    return "\n".join(lines) + "\n"


def _names() -> list[str]:
    return list(dict.fromkeys(v.name.replace("/different", "").replace("/equal", "") for v in VARIANTS))


INTRODUCTION = """# Mutants

Written by `{command}`; do not edit.

A *mutant* is an emitted module with one mistake in it. The tool takes every spec of `specs/` at two small
sizes (spaces of different sizes, and of equal ones, where a wrong axis goes through) and the golden specs,
and makes the mistakes listed below at places drawn by a seed. A mutant **counts** if it computes another
function than its original: every layer and network runs in float64 with the same weights on several inputs,
dead neurons and entries of very different size among them. What crashes is refused by Python, what is
equivalent is no mistake; neither is counted. A counted mutant **breaks the law** if, measured with a random
group element for every entry of a batch, some part of it is not equivariant or invariant any more; the others
keep the symmetry but are not the complete layer, or not the network, that the spec declares.

- {refused} of {counted} counted mutants of {operators} operators over {specs} specs are refused by `prove`.
- {typed} of the {broken} that break the law are refused by the type system alone.
- {accepted} of {tried} correct rewrites of whole modules are accepted.

The columns: *refused* by `prove`, which looks at a file from several sides, the comparison with the
compiler's own output first; *types*, refused by the type system alone, before any number is computed; *exact
layer*, of the rest, refused by the exact check alone, because the weights of the layer do not switch on the
diagrams one by one; *neither*, the others: another network that is as equivariant as the one declared, such
as one with another activation, or the same family of layers with its weights in another order.
"""
