"""The law of a sum: charges that all summands have, each up to what its links make equal.

Takes the charges and links of values that are added, gives those of the sum.

*Statement.* Where a value is 0 unless linked indices are equal, only the sums of its powers over each set of
linked axes matter: s_i^a s_j^b x_ij = s_i^(a + b) x_ij if x_ij = 0 for i != j. So values with links have one
law if there are powers w with the wanted sums over the linked sets of each of them: X[i, j, k] under
s_i^-1 s_j s_k may be the sum of Y, 0 unless j = k, under s_i^-1 s_j^2, and of Z, 0 unless i = j, under s_k.
For two values this is a flow on the bipartite graph that has their linked sets as vertices and the axes as
edges: its matrix is totally unimodular, so where it has a solution it has one in integers, and elimination
finds it modulo 2 as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import reduce
from itertools import combinations

from qecompile.verify.atoms import Character, Charge, Owner, show_law
from qecompile.verify.canonical import add_up, merge_links
from qecompile.verify.refused import Refused

Links = tuple[frozenset[int], ...]
Law = tuple[tuple[Charge, ...], Links]
Subject = tuple[Owner, ...]
Row = dict[Subject, Fraction]


def common_law(laws: Sequence[Law], order: list[int]) -> Law:
    """The charges that all summands have, and what is linked in all of them.

    Raises:
        Refused: they have no law in common.
    """
    return reduce(lambda one, other: _join(one, other, order), laws) if laws else ((), ())


def _join(one: Law, other: Law, order: list[int]) -> Law:
    common = _common_links(one[1], other[1])
    for charges, _ in sorted((one, other), key=lambda law: sum(map(len, law[1]))):
        if all(add_up(charges, links, order) == add_up(c, links, order) for c, links in (one, other)):
            return charges, common
    found = _spread(one, other, order)
    if found is None:
        both = (show_law(add_up(charges, links, order)) for charges, links in (one, other))
        raise Refused(
            f"the values change by different factors: {' and '.join(both)}",
            "add only what has equal charges; multiply or divide by a tensor to change a charge",
        )
    return found, common


def _spread(one: Law, other: Law, order: list[int]) -> tuple[Charge, ...] | None:
    """Powers with the sums that both laws ask for, character by character."""
    found: list[Charge] = []
    for character in sorted({c.character for c in (*one[0], *other[0])}):
        subjects = {c.subject for c in (*one[0], *other[0]) if c.character == character}
        while more := {s for old in subjects for s in _led_elsewhere(old, one[1] + other[1])} - subjects:
            subjects |= more
        rows = [row for law in (one, other) for row in _sums(law, character, subjects, order)]
        found += [Charge(character, s, p) for s, p in _solve(rows).items() if p]
    charges = add_up(found, (), order)
    fits = all(add_up(charges, links, order) == add_up(c, links, order) for c, links in (one, other))
    return charges if fits else None


def _led_elsewhere(subject: Subject, links: Links) -> Iterator[Subject]:
    """The subjects with one axis replaced by one that it is linked to."""
    for k, s in enumerate(subject):
        yield from ((*subject[:k], a, *subject[k + 1 :]) for link in links if s in link for a in link)


def _sums(
    law: Law, character: Character, subjects: Iterable[Subject], order: list[int]
) -> list[tuple[list[Subject], Fraction]]:
    """The subjects that the links make one, with the sum of their powers."""
    charges, links = law
    first = {a: next(b for b in order if b in link) for link in links for a in link}
    sets: dict[Subject, list[Subject]] = {}
    for subject in sorted(subjects, key=repr):
        sets.setdefault(_led(subject, first), []).append(subject)
    total = dict.fromkeys(sets, Fraction(0))
    for c in charges:
        if c.character == character:
            total[_led(c.subject, first)] += c.power
    return [(members, total[name]) for name, members in sets.items()]


def _led(subject: Subject, first: Mapping[int, int]) -> Subject:
    return tuple(first.get(s, s) if isinstance(s, int) else s for s in subject)


def _solve(rows: Iterable[tuple[list[Subject], Fraction]]) -> Row:
    """Powers with these sums if there are any, else some that miss a few: the caller looks."""
    left = [(dict.fromkeys(members, Fraction(1)), total) for members, total in rows]
    pivots: list[tuple[Subject, Row, Fraction]] = []
    while left:
        row, total = left.pop()
        if not (row := {s: n for s, n in row.items() if n}):
            continue
        pivot = min(row, key=repr)
        scale = row[pivot]
        row, total = {s: n / scale for s, n in row.items()}, total / scale
        pivots.append((pivot, row, total))
        left = [(_minus(r, row, r.get(pivot, Fraction(0))), t - total * r.get(pivot, 0)) for r, t in left]
    powers: Row = {}
    for pivot, row, total in reversed(pivots):
        powers[pivot] = total - sum((n * powers.get(s, 0) for s, n in row.items() if s != pivot), Fraction(0))
    return powers


def _minus(row: Row, other: Row, times: Fraction) -> Row:
    return {s: row.get(s, Fraction(0)) - times * other.get(s, 0) for s in row.keys() | other.keys()}


def _common_links(one: Links, other: Links) -> Links:
    pairs = [{frozenset(p) for link in some for p in combinations(sorted(link), 2)} for some in (one, other)]
    return merge_links(pairs[0] & pairs[1], {a for pair in pairs[0] for a in pair})
