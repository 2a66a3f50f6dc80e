"""What a certificate lists: its diagrams are read, judged and counted.

Takes the parsed JSON, gives dimensions; refuses what is no basis. A list must be all products of parts under
each root (`diagrams.py`), and a pair that is not listed must have no maps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .diagrams import Forest, Part, check_parts, small_sizes
from .nullity import Problem, Wrong, nullity
from .reading import Json, canonical, require
from .values import BadInput

Placed = tuple[tuple[tuple[int, ...], Problem], ...]
Dims = dict[tuple[str | None, str], int]


def check_basis(basis: Json, forest: Forest) -> Dims:
    """The dimensions of all maps, and from None of all invariants; every list must be a basis."""
    names, dims = list(forest.spec.params), {}
    if basis.keys() != {"hom", "affine"}:
        raise BadInput("the basis has not the entries `hom` and `affine`")
    for kind, sources in (("hom", names), ("affine", [None])):
        entries, known = basis[kind], dict[tuple[int, Placed], int]()
        lists = read_lists(entries)
        places = {(entry.get("source"), entry["target"]): k for k, entry in enumerate(entries)}
        wanted = [(p, q) for p in sources for q in names]
        if len(places) != len(entries) or places.keys() - set(wanted):
            raise Wrong(f"`{kind}` lists a pair twice, or one that the spec has not")
        for source, target in wanted:
            problems = tuple((where, problem) for _, where, problem in forest.problems(target, source))
            k = places.get((source, target))
            diagrams = lists[k] if k is not None else ()
            key = id(diagrams), problems  # `lists` keeps them alive
            try:
                if key not in known:
                    known[key] = dimension(diagrams, problems)
            except Wrong as wrong:
                raise Wrong(f"from {source or 'nothing'} to {target}: {wrong}") from None
            dims[source, target] = dim = known[key]
            if k is not None:
                entry = {"target": target, "dim": dim, "diagrams": entries[k]["diagrams"]}
                require({"entry": entries[k]}, "entry", {"source": source, **entry} if source else entry)
    return dims


def read_lists(entries: Sequence[Json]) -> list[tuple[Part, ...]]:
    """The diagrams of every entry; an entry may name an earlier one that has the same."""
    lists: list[tuple[Part, ...]] = []
    for entry in entries:
        diagrams = entry["diagrams"]
        if isinstance(diagrams, list):
            lists.append(tuple(map(read_diagram, diagrams)))
            continue
        same = diagrams["same"]
        if type(same) is not int or len(diagrams) != 1 or not 0 <= same < len(lists):
            raise BadInput("an entry names no earlier list of diagrams")
        if not isinstance(entries[same]["diagrams"], list):
            raise BadInput("an entry names a list of diagrams that is not written out")
        lists.append(lists[same])
    return lists


def read_diagram(d: Json) -> Part:
    """A diagram on all axes of a pair."""

    def groups(given: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(k for k in group) for group in given)

    supports = tuple((tuple(s["blocks"]), groups(s["patterns"])) for s in d["support"] or ())
    part = Part(groups(d["blocks"]), groups(d["pairs"]), groups(d["epsilons"]), supports)
    written: Json = {
        "blocks": part.blocks,
        "pairs": part.pairs,
        "epsilons": part.epsilons,
    }
    listed = [{"blocks": heads, "patterns": patterns} for heads, patterns in supports]
    written = {**written, "support": listed or None}
    numbers = [k for group in (*part.groups, *(g for h, ps in supports for g in (h, *ps))) for k in group]
    if canonical(d) != canonical(written) or any(type(k) is not int for k in numbers):
        raise BadInput("a diagram is not of the form of one")
    if any(not group for group in (*part.groups, *(h for h, _ in supports))):
        raise BadInput("a diagram has an empty group of axes")
    return part


def counts(basis: Json, dims: Dims) -> dict[str, int]:
    """The figures of obligations that can be counted here."""
    maps = [dim for (source, _), dim in dims.items() if source is not None]
    pairs, total = sum(dim > 0 for dim in maps), sum(maps)
    invariants = sum(dims.values()) - total
    diagrams, affine = (sum(map(len, read_lists(basis[kind]))) for kind in ("hom", "affine"))
    return {
        "invariance.diagrams": diagrams,
        "invariance.pairs": pairs,
        "invariance.affine": affine,
        "dimension.pairs": pairs,
        "dimension.zero": len(maps) - pairs,
        "dimension.total": total,
        "dimension.invariants": invariants,
        "weights.maps": total,
        "weights.invariants": invariants,
        "family.weights": total + invariants,
    }


def dimension(diagrams: Sequence[Part], problems: Placed) -> int:
    """The dimension of a space of maps that a list of diagrams is a basis of, else refused.

    The list must be all products of its parts under each root. No list says that some root has no part.
    """
    if not diagrams:
        if all(nullity(problem, small_sizes(problem)) for _, problem in problems):
            raise Wrong("there are maps, and none is listed")
        return 0
    split = [tuple(restricted(d, places) for places, _ in problems) for d in diagrams]
    parts = [tuple(dict.fromkeys(column)) for column in zip(*split, strict=True)]
    if len(set(split)) != len(split) or len(split) != math.prod(map(len, parts)):
        raise Wrong("the diagrams are not all products of those under each root, each once")
    for d, row in zip(diagrams, split, strict=True):
        kept = sum(len(p.groups) + len(p.supports) for p in row)
        if len(d.groups) + len(d.supports) != kept:
            raise Wrong("a diagram joins axes under different roots, or names one that is not there")
    return math.prod(check_parts(problem, found) for (_, problem), found in zip(problems, parts, strict=True))


def restricted(d: Part, places: Sequence[int]) -> Part:
    """What a diagram says of the axes at some places, renumbered."""
    local = {place: k for k, place in enumerate(places)}

    def inside(groups: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
        return tuple(sorted(tuple(sorted(local[k] for k in g)) for g in groups if local.keys() >= set(g)))

    here = ((heads, patterns) for heads, patterns in d.supports if local.keys() >= set(heads))
    supports = sorted((tuple(local[k] for k in heads), patterns) for heads, patterns in here)
    return Part(inside(d.blocks), inside(d.pairs), inside(d.epsilons), tuple(supports))


def check_small(values: Json, forest: Forest) -> str:
    """Refuse dimensions at sizes of at most 2, where diagrams are dependent, that are not the nullity there.

    There is one for every list of diagrams that is written out.
    """
    sizes = {name: min(space.size, 2) for name, space in forest.spec.spaces.items()}
    rows = []
    for entry in (*values["basis"]["hom"], *values["basis"]["affine"]):
        if isinstance(entry["diagrams"], list):
            source, target = entry.get("source"), entry["target"]
            found = math.prod(
                nullity(problem, tuple(sizes[name] for name in forest.members[root]))
                for root, _, problem in forest.problems(target, source)
            )
            rows.append([source, target, found, found])
    require(values, "small", {"sizes": sizes, "dims": rows})
    return f"{len(rows)} dimensions at sizes of at most 2"
