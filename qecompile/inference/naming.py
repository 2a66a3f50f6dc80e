"""Names for parameters and spaces: short ones from the keys of the network, with an index in families.

Takes a draft, gives it names. A family are keys that differ in one number, as the layers of an
`nn.Sequential`; its members are counted from 1. A parameter is `W`, `K` (kernels), `g` (gains), `b` with
as much of the module path as tells families apart. A space is named after what gives it: heads, a stream,
or the module.
"""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise

from qecompile.inference.draft import Draft, Piece, Place

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])|(?<=_l)\d+$")
WORDS = frozenset(
    "as at expect feature for from if in include let metanet model over param part"
    " space spec use with".split()
)
STREAM = 4
"""A space that so many modules have is the stream between them."""


def name_all(draft: Draft) -> None:
    """Name every parameter and every space."""
    families = _families(draft)
    _name_parameters(families)
    _name_spaces(draft)


def _families(draft: Draft) -> dict[tuple[str, int, str, int], list[Piece]]:
    """Parameters by key without the number that varies, that number's place, letter and part."""
    varying = defaultdict[tuple[str, str, int], set[tuple[str, ...]]](set)
    for p in draft.pieces:
        varying[NUMBER.sub("#", p.key), _letter(p), _part(p)].add(tuple(NUMBER.findall(p.key)))
    families = defaultdict[tuple[str, int, str, int], list[Piece]](list)
    for p in draft.pieces:
        numbers = varying[NUMBER.sub("#", p.key), _letter(p), _part(p)]
        mine = tuple(NUMBER.findall(p.key))
        at = next((k for k in range(len(mine)) if len({n[k] for n in numbers}) > 1), None)
        p.slot = -1 if at is None else at
        rest = p.key if at is None else replace_number(p.key, at, "#")
        families[rest, p.slot, _letter(p), _part(p)].append(p)
    return families


def replace_number(key: str, at: int, by: str) -> str:
    """A key with one of its numbers replaced.

    >>> replace_number("layers.0.sub.1.weight", 1, "#")
    'layers.0.sub.#.weight'
    """
    count = iter(range(len(key)))
    return NUMBER.sub(lambda found: by if next(count) == at else found[0], key)


def number_of(piece: Piece) -> int:
    """The number in its key that varies in its family."""
    return int(NUMBER.findall(piece.key)[piece.slot])


def plain_name(name: str) -> str:
    """A name as a spec may have it.

    >>> plain_name("space"), plain_name("my-net")
    ('space_', 'my_net')
    """
    found = re.sub(r"\W", "_", name)
    return f"{found}_" if found in WORDS or not found.isidentifier() else found


def _letter(p: Piece) -> str:
    last = p.key.rpartition(".")[2]
    kernel = "K" if len(p.shape) > 2 else "W" if len(p.shape) == 2 else "g"
    known = {"weight": kernel, "bias": "b", "running_mean": "mean", "running_var": "var"}
    if last in known:
        return known[last]
    stem = NUMBER.sub("", last).removesuffix("_l")
    for word in ("weight", "bias"):
        if word in stem:
            rest = stem.replace(word, "").strip("_").replace("__", "_")
            return f"{known[word]}_{rest}" if rest else known[word]
    return stem


def _part(p: Piece) -> int:
    return -1 if p.packed is None else p.packed[1]


def _name_parameters(families: dict[tuple[str, int, str, int], list[Piece]]) -> None:
    words = {f: [w for w in re.split(r"[.]", f[0])[:-1] if w != "#"] for f in families}
    depth = dict.fromkeys(families, 0)
    while True:
        names = {f: _joined(f, words[f][len(words[f]) - depth[f] :]) for f in families}
        same = [f for f in families if [*names.values()].count(names[f]) > 1 and depth[f] < len(words[f])]
        if not same:
            break
        for f in same:
            depth[f] += 1
    taken = set[str]()
    for f, members in families.items():
        base = plain_name(names[f])
        while base in taken:
            base += "_"
        taken.add(base)
        for k, p in enumerate(sorted(members, key=lambda p: number_of(p) if p.slot >= 0 else 0), start=1):
            p.base, p.index = base, k if p.slot >= 0 else None


def _joined(family: tuple[str, int, str, int], words: list[str]) -> str:
    part = "" if family[3] < 0 else ("_Q", "_K", "_V")[family[3]] if _is_triple(family) else f"_p{family[3]}"
    letter = family[2].removesuffix("_in_proj") if _is_triple(family) else family[2]
    return re.sub(r"\W", "_", "_".join([letter, *words])) + part


def _is_triple(family: tuple[str, int, str, int]) -> bool:
    return family[3] < 3 and ("in_proj" in family[0] or "qkv" in family[0].lower())


def _name_spaces(draft: Draft) -> None:
    groups = defaultdict[str, list[Place]](list)
    for s in draft.spaces:
        base, s.index = _wanted(draft, s)
        groups[base].append(s)
    for base, members in groups.items():
        indices = [s.index or 0 for s in members]
        rising = indices[0] > 0 and all(a + 1 == b for a, b in pairwise(indices))
        for k, s in enumerate(members, start=1):
            alone = len(members) == 1
            s.base = plain_name(f"{base}_{s.size}" if s.key[0] and not alone else base)
            s.index = None if alone or s.key[0] else s.index if rising else k
    taken = set[str]()
    for s in draft.spaces:
        while s.name in taken:
            s.base += "_"
        taken.add(s.name)


def _wanted(draft: Draft, s: Place) -> tuple[str, int | None]:
    if s.key[0]:
        return s.key[0], None
    holders = [*draft.legs(s)]
    given = [(p, k) for p, k in holders if p.legs[k].stored == 0 and "norm" not in p.key] or holders
    first = given[0][0]
    index = first.index
    inside = [t for t in draft.spaces if t.parent is s]
    if inside:
        return "head" if all(t.vector for t in inside) else "group", index
    if s.parent is not None and s.vector:
        outward = any(p.legs[k].stored > 0 for p, k in holders)
        return "vo" if outward else "qk", index
    if s.parent is not None:
        beside = any(t.vector for t in draft.spaces if t.parent is s.parent)
        return "q" if beside else "m", index
    modules = {p.key.rpartition(".")[0] for p, _ in holders}
    if any(len(p.shape) > 2 for p, _ in holders):
        return "c", index
    if len(modules) >= STREAM and len({p.key.split(".")[0] for p, _ in holders}) > 1 and len(given) > 2:
        return "D", index
    words = [w for w in first.key.split(".")[:-1] if not w.isdigit()]
    return re.sub(r"\W", "_", words[-1]) if words else "h", index
