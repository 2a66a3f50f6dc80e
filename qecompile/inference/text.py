"""A draft as the text of a `.sym` file, families folded into loops.

Takes a named draft, gives text that the formatter has laid out. Members of a family that follow one
another are one declaration if their axes are the same, or differ by their index as the members do; the
numbers in their keys must be evenly spaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from qecompile.formatter import format_text
from qecompile.inference.draft import Draft, Leg, Piece, Place
from qecompile.inference.naming import number_of, replace_number


@dataclass(frozen=True)
class Heading:
    """What stands around the declarations: the spec's name, opening comments, the model and its inputs."""

    name: str
    comments: tuple[str, ...]
    model: str | None
    inputs: str
    orbit_dim: int | None = None


def write(draft: Draft, heading: Heading) -> str:
    """The text of the spec."""
    lines = [f"# {c}" if c else "#" for c in heading.comments]
    lines.append(f"spec {heading.name} {{")
    for s in [s for s in draft.spaces if s.parent is None]:
        if s not in _folded_away(draft, s):
            lines += _space(draft, s)
    lines.append("")
    for _, family in groupby(draft.pieces_in_order, key=lambda p: p.base):
        lines += _family([*family])
    if heading.model is not None:
        lines += ["", f'model "{heading.model}" with input {heading.inputs}', "expect preserves model"]
    if heading.orbit_dim is not None:
        lines += [""] if heading.model is None else []
        lines.append(f"expect orbit_dim == {heading.orbit_dim}")
    return format_text("\n".join([*lines, "}", ""]))


# --- spaces ---------------------------------------------------------------------------------------------


def _run_of(draft: Draft, s: Place) -> list[Place]:
    """The spaces that are declared with this one: those that follow it in its family and are like it."""
    if s.index is None:
        return [s]
    family = sorted((t for t in draft.spaces if t.base == s.base and t.index), key=lambda t: t.index or 0)
    runs: list[list[Place]] = []
    for t in family:
        last = runs[-1][-1] if runs else None
        if last and t.index == (last.index or 0) + 1 and _form(draft, t) == _form(draft, last):
            runs[-1].append(t)
        else:
            runs.append([t])
    return next(run for run in runs if s in run)


def _form(draft: Draft, s: Place) -> tuple[object, ...]:
    """What must be equal in one declaration, children included; sizes may differ if there are none."""
    children = [t for t in draft.spaces if t.parent is s]
    inner = tuple((t.base, (t.index or 0) - (s.index or 0), t.size, _form(draft, t)) for t in children)
    return (tuple(s.words), inner, s.size if children else 0)


def _folded_away(draft: Draft, s: Place) -> list[Place]:
    return _run_of(draft, s)[1:]


def _space(draft: Draft, s: Place) -> list[str]:
    run = _run_of(draft, s)
    lines = [f"# {note}" for note in s.notes]
    size = str(s.size)
    if len({t.size for t in run}) > 1:
        lines.append(f"let sizes_{s.base} = [{', '.join(str(t.size) for t in run)}]")
        size = f"sizes_{s.base}[{_shifted('i', -(run[0].index or 0))}]"
    loop = f" for i in {run[0].index}..{run[-1].index}" if len(run) > 1 else ""
    name = f"{s.base}[i]" if loop else s.name
    return lines + _declared(draft, s, name, loop, size)


def _declared(draft: Draft, s: Place, name: str, loop: str, size: str) -> list[str]:
    children = [t for t in draft.spaces if t.parent is s]
    line = f"space {name}{loop} = {size} : {' * '.join(s.words)}"
    if not children:
        return [line]
    inner = []
    for t in children:
        inner += [f"# {note}" for note in t.notes]
        offset = (t.index or 0) - (s.index or 0)
        own = f"{t.base}[{_shifted('i', offset)}]" if loop and t.index is not None else t.name
        inner += _declared(draft, t, own, "", str(t.size))
    return [line + " {", *inner, "}"]


def _shifted(name: str, by: int) -> str:
    return name if not by else f"{name}+{by}" if by > 0 else f"{name}-{-by}"


# --- parameters -----------------------------------------------------------------------------------------


def _family(family: Sequence[Piece]) -> list[str]:
    """The declarations of a family."""
    lines, k = list[str](), 0
    while k < len(family):
        run = [family[k]]
        while k + len(run) < len(family) and _fits([*run, family[k + len(run)]]):
            run.append(family[k + len(run)])
        lines.append(_parameter(run))
        k += len(run)
    return lines


def _fits(run: Sequence[Piece]) -> bool:
    """Whether parameters can be one declaration."""
    first = run[0]
    if first.index is None or len({number_of(b) - number_of(a) for a, b in pairwise(run)}) > 1:
        return False
    if len({(len(p.legs), *((leg.stored, leg.place.base, *_mark(leg)) for leg in p.legs)) for p in run}) > 1:
        return False
    if len({_layout(p) for p in run}) > 1:
        return False
    return all(_index([p.legs[k].place for p in run], run) is not None for k in range(len(first.legs)))


def _index(places: Sequence[Place], run: Sequence[Piece]) -> str | None:
    """The index of a space in a loop over i: none, a number, or i and an offset; None if there is no such."""
    indices = [p.index for p in places]
    if len(set(indices)) == 1:
        return "" if indices[0] is None else f"[{indices[0]}]"
    offsets = {(i or 0) - (p.index or 0) for i, p in zip(indices, run, strict=True)}
    return f"[{_shifted('i', offsets.pop())}]" if len(offsets) == 1 else None


def _mark(leg: Leg) -> tuple[str, str]:
    """What follows an axis: as it stands, and where it stands on the IN side (empty there if it is plain)."""
    if leg.place.vector is not None:
        return ("*", "") if leg.dual else ("", "*")
    labels, q = leg.place.labels, leg.charges
    if not q or set(q) == {1}:
        return "", "" if not q else "?"
    if set(q) == {-1}:
        return "*", ""
    if set(q) == {0}:
        return "^0", "?"
    if len(q) == 1:
        return f"^{q[0]}" if q[0] >= 0 else f"^{{{labels[0]}: {q[0]}}}", "?"
    return f"^{{{', '.join(f'{n}: {c}' for n, c in zip(labels, q, strict=True))}}}", "?"


def _parameter(run: Sequence[Piece]) -> str:
    first = run[0]
    loop = f" for i in {first.index}..{run[-1].index}" if len(run) > 1 else ""
    names = [
        leg.place.base + (_index([p.legs[k].place for p in run], run) or "")
        for k, leg in enumerate(first.legs)
    ]
    marks = [_mark(leg) for leg in first.legs]
    outer = [k for k, leg in enumerate(first.legs) if leg.stored == 0]
    inner = [k for k, leg in enumerate(first.legs) if leg.stored > 0]
    is_map = len(first.shape) == 2 and "weight" in first.key and first.base[0] == "W"
    shown = [n + m[0] for n, m in zip(names, marks, strict=True)]
    if is_map and outer and inner and all(marks[k][1] == "" for k in inner):
        type = f"{' '.join(shown[k] for k in outer)} <- {' '.join(names[k] for k in inner)}"
    elif len(shown) == 1:
        type = shown[0]
    elif all(leg.stored == 0 for leg in first.legs) and shown:
        type = " ".join(shown)
    else:
        type = f"[{', '.join(shown)}]"
    name = f"{first.base}[i]" if loop else first.name
    return f'param {name}{loop} : {type} from "{_key(run)}"{_layout(first)}'


def _key(run: Sequence[Piece]) -> str:
    first = run[0]
    if len(run) == 1:
        return first.key
    start, step = number_of(first), number_of(run[1]) - number_of(first)
    at = start - step * (first.index or 0)  # number = step i + at
    if step == 1:
        return replace_number(first.key, first.slot, f"{{{_shifted('i', at)}}}")
    inner = f"{step}*i" if not at else f"{step}*(i-1)" if at == -step else f"{step}*(i-1)+{at + step}"
    if 0 > at > -step or at < -step:
        inner = f"{step}*i-{-at}"
    return replace_number(first.key, first.slot, f"{{{inner}}}")


def _layout(p: Piece) -> str:
    """The clause that says how the stored tensor is laid out, if its axes are not those of the type."""
    words = list[str]()
    plain = True
    for k in range(len(p.shape)):
        legs = [leg.place.base for leg in p.legs if leg.stored == k]
        if p.packed and p.packed[0] == k:
            legs = ["part", *legs]
        plain = plain and len(legs) == 1
        words.append(f"({' '.join(legs)})" if len(legs) > 1 else legs[0] if legs else "1")
    if plain:
        return ""
    at = f" at part = {p.packed[1]}" if p.packed else ""
    return f' as "{" ".join(words)}"{at}'
