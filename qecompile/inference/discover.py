"""From a module and example inputs to the text of its spec: the whole of it, in order.

    module --capture--> graph --follow--> axes --make_draft--> spaces --find_fibres--> words --write--> text

Every factor is tried on the module before it is written: each word of each space by itself and all
together, in float64, at three sets of weights (`model/preserve.py`). What changes the function is taken
back, and a comment says so. What no rule understands is listed in the comments, and its axes are fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap
from typing import cast

import torch
from torch import Tensor, nn
from torch.fx import Node

from qecompile import resolve
from qecompile.errors import fail
from qecompile.inference.capture import Captured, capture
from qecompile.inference.draft import Draft, Piece, Place, make_draft
from qecompile.inference.fibres import find_fibres, nest_by_trial
from qecompile.inference.flow import Found, follow
from qecompile.inference.naming import NUMBER, name_all, plain_name, replace_number
from qecompile.inference.text import Heading, write
from qecompile.model.network import Network
from qecompile.model.points import make_point
from qecompile.model.preserve import check_preserved
from qecompile.orbit import orbit_dim
from qecompile.spec import Input

NO_TARGET = "module:made"


def infer(
    module: nn.Module,
    *inputs: object,
    model: str | None = None,
    name: str | None = None,
    declared: Sequence[Input] = (),
    **kwargs: object,
) -> str:
    """The spec of a module's symmetry, as text.

    Args:
        module: the network.
        *inputs: example inputs, as the module takes them. Their sizes and kinds matter, their numbers do not.
        model: what to write as `model`, as in `my_networks:make`; without it the text names no model.
        name: the name of the spec; that of the module's class by default.
        declared: how inputs are drawn, where the example inputs do not say it.
        **kwargs: example inputs by name.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
        >>> [line.strip() for line in infer(net, torch.zeros(4, 3)).splitlines() if "space h" in line]
        ['space h = 5 : permute * scale']

    Raises:
        SymError: the module cannot be traced or run.
    """
    captured = capture(module, inputs, kwargs)
    shown = [*map(_written, declared)]
    shown = shown or [_declare(captured, n, x) for n, x in (*((None, x) for x in inputs), *kwargs.items())]
    heading = Heading(plain_name(name) if name else _name(module), (), model, ", ".join(shown))
    found = follow(captured)
    draft = make_draft(found, captured.tensors)
    if not draft.pieces:
        fail("QE311", "no parameter of the module reaches what it gives", help="there is nothing to describe")
    unread = [n for n in captured.tensors if n not in found.axes]
    draft.notes = [f"`{n}` is left out: nothing reads it." for n in unread]
    name_all(draft)
    demoted = _hold(draft, captured.module, heading)
    network = _network(draft, captured.module, heading)
    generator = torch.Generator().manual_seed(1)
    points = [make_point(network, generator) for _ in range(2)]
    nest_by_trial(draft, network, points)
    if any(s.parent for s in draft.spaces):
        name_all(draft)
        network = _network(draft, captured.module, heading)
    find_fibres(draft, network, points, generator)
    name_all(draft)
    demoted += _hold(draft, captured.module, heading)
    _explain(draft, found)
    return _finished(draft, heading, captured, demoted)


def _network(draft: Draft, module: nn.Module, heading: Heading) -> Network:
    target = replace(heading, model=heading.model or NO_TARGET)
    return Network(resolve.parse(write(draft, target)), module=module)


def _hold(draft: Draft, module: nn.Module, heading: Heading) -> list[str]:
    """Try all words, and take back those that change the function; what was taken back."""
    demoted = list[str]()
    while True:
        network = _network(draft, module, heading)
        failures = check_preserved(network).failures
        if not failures:
            return demoted
        places = {s.name: s for s in draft.spaces}
        for failure in failures:
            at = places.get(failure.space)
            words = [(at, failure.word)] if at else [(s, w) for s in draft.spaces for w in s.words]
            for place, word in words:
                _take_back(draft, place, word)
            said = f"`{failure.word}` of `{failure.space}` would change the function by {failure.error:.0e}"
            demoted.append(said)


def _take_back(draft: Draft, place: Place, word: str) -> None:
    if word == "permute" or word == place.vector:
        place.permuted, place.vector = False, None
        for piece, k in draft.legs(place):
            piece.legs[k].dual = False
        for child in [t for t in draft.spaces if t.parent is place]:
            child.parent = None
    elif word in place.words:
        at = place.words.index(word) - (1 if place.permuted else 0)
        place.characters = place.characters[:at] + place.characters[at + 1 :]
        for piece, k in draft.legs(place):
            leg = piece.legs[k]
            leg.charges = leg.charges[:at] + leg.charges[at + 1 :]


# --- the text -------------------------------------------------------------------------------------------


def _finished(draft: Draft, heading: Heading, captured: Captured, demoted: Sequence[str]) -> str:
    spec = _network(draft, captured.module, heading).spec
    try:
        dimension = orbit_dim(spec)
    except ValueError:  # beyond exact search
        dimension = None
    comments = [f"{heading.name}: the symmetry of a network, inferred from it by `qecompile infer`", ""]
    comments += [*_bullets(draft), ""]
    comments += ["Every word was tried on the network in float64: alone, and with all others."]
    comments += [*_ties(captured), *draft.notes]
    if draft.unknown:
        comments += ["", "Not understood, so that every axis they touch stays `fixed`:"]
        comments += [f"  - `{op}`{f' in {where}' if where else ''}" for op, where in draft.unknown]
    if demoted:
        comments += ["", "Taken back, as the trial did not confirm it:", *(f"  - {d}" for d in demoted)]
    full = replace(heading, comments=tuple(comments), orbit_dim=dimension)
    text = write(draft, full)
    resolve.parse(text)
    return text


BULLETS = {
    "permute": "the index values of a `permute` space change places, wherever the space stands",
    "scale": "an index value of a `scale` space is multiplied by s > 0 where it is given, divided where read",
    "sign": "an index value of a `sign` space is negated in what gives it and in what reads it",
    "linear": "a `linear` space changes its basis: nothing stands between what gives and what reads it",
    "orthogonal": "an `orthogonal` space changes its orthonormal basis",
}


def _bullets(draft: Draft) -> list[str]:
    """What keeps the function, by the words that occur."""
    words = {w.split("(")[0] for s in draft.spaces for w in s.words} - {"fixed"}
    if not words:
        return ["No symmetry was found: every axis is told apart."]
    return ["The function does not change when", *(f"  - {t}" for w, t in BULLETS.items() if w in words)]


def _explain(draft: Draft, found: Found) -> None:
    """Say of every space what gives it, what reads it and what joined its axes."""
    for s in draft.spaces:
        if s.words == ["fixed"]:
            if not s.key[0] and found.atoms.is_fixed(s.key[1]):
                s.notes.append(f"fixed: {found.atoms.all[found.atoms.root(s.key[1])].why}")
            continue
        holders = [*draft.legs(s)]
        one = s.index is None or not any(t.base == s.base and t is not s for t in draft.spaces)
        looked_up = [
            any(leg.place.key[0] in ("token", "x") and not leg.stored for leg in p.legs) for p, _ in holders
        ]
        gives = [
            _module(p, one)
            for (p, k), up in zip(holders, looked_up, strict=True)
            if up or (p.legs[k].stored == 0 and len(p.shape) > 1)
        ]
        reads = [
            _module(p, one)
            for (p, k), up in zip(holders, looked_up, strict=True)
            if p.legs[k].stored and not up
        ]
        tied = found.atoms.all[found.atoms.root(s.key[1])].tied
        tied = tied if one else [NUMBER.sub("*", t) for t in tied]
        tied = [f"`{op}`" for op, _, _ in (t.partition(" in ") for t in tied) if op in JOINING]
        said = [_list(word, names) for word, names in (("given by", gives), ("read by", reads))]
        said.append(_list("joined by", tied))
        s.notes += wrap("; ".join(w for w in said if w), 90)


JOINING = (
    "add",
    "mul",
    "sub",
    "div",
    "layer_norm",
    "cat",
    "einsum",
    "matmul",
    "scaled_dot_product_attention",
)


def _module(p: Piece, one: bool) -> str:
    key = p.key if one or p.index is None else replace_number(p.key, p.slot, "*")
    return f"`{key.rpartition('.')[0] or key}`"


def _list(word: str, names: Sequence[str]) -> str:
    different = [*dict.fromkeys(n for n in names if n)]
    more = ", ..." if len(different) > 3 else ""
    return f"{word} {', '.join(different[:3])}{more}" if different else ""


def _ties(captured: Captured) -> list[str]:
    tied = [(n, first) for n, first in captured.aliases.items() if n != first]
    return [f"`{n}` is tied to `{first}`: one parameter stands for both." for n, first in tied]


def _name(module: nn.Module) -> str:
    return plain_name(type(module).__name__.lower())


def _declare(captured: Captured, keyword: str | None, x: object) -> str:
    """How an input is drawn."""
    if not isinstance(x, Tensor):
        fail("QE311", f"an input is a {type(x).__name__}, and no tensor", help="infer takes tensors")
    sizes = ", ".join(map(str, x.shape))
    drawn = f"normal({sizes})" if x.is_floating_point() else f"tokens({sizes}, below = {_below(captured, x)})"
    return f"{keyword} = {drawn}" if keyword else drawn


def _written(i: Input) -> str:
    sizes = ", ".join(map(str, i.shape)) + (f", below = {i.below}" if i.below is not None else "")
    return f"{f'{i.keyword} = ' if i.keyword else ''}{i.distribution}({sizes})"


def _below(captured: Captured, x: Tensor) -> int:
    """How many tokens there are: the rows of the table that an input looks up in."""
    rows = list[int]()
    for node in captured.nodes:
        if "embedding" in str(node.target):
            table, index = cast(tuple[Node, Node], node.args[:2])
            if index.name in captured.inputs and index.meta["val"].shape == x.shape:
                rows.append(int(table.meta["val"].shape[0]))
    return min(rows, default=int(x.max()) + 1 if x.numel() else 1)
