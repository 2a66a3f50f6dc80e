"""A spec against the entries of a checkpoint: what is found, missing, of the wrong form, and unused.

Takes a `Spec` and what a checkpoint says of its entries, gives a `Match`. Reads no numbers and needs no
torch, so every mistake is known before the first tensor is read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from qecompile.checkpoints.layouts import Placement, expected_shape, fit, read_layout
from qecompile.checkpoints.stored import FLOATING, Stored, quote
from qecompile.checkpoints.suggestions import KeySuggester, suggest_form
from qecompile.errors import Diagnostic, Note, Span, SymError, fail, suggest
from qecompile.spec import Param, Spec

MOST_SHARING = 1000
"""Parameters that may stand in one entry, as experts do."""

MOST_ADVISED = 500
"""Mistakes for which something that would fit is looked for."""

MOST_NAMED = 4
"""Names in a message."""


@dataclass(frozen=True, slots=True)
class Found:
    """A parameter, the entry it stands in, and where in it."""

    param: Param
    stored: Stored
    placement: Placement


@dataclass(frozen=True, slots=True)
class Wrong:
    """A parameter that cannot be read, and why; `found` is the entry, if there is one."""

    kind: Literal["missing", "mismatched"]
    code: str
    param: Param
    key: str
    message: str
    expected: tuple[int | str, ...]
    found: Stored | None = None
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """What became of every parameter that was asked for, and which entries nothing asked for.

    Attributes:
        spec: the spec.
        path: the checkpoint, for messages.
        found: the parameters that can be read, in the order of the spec.
        wrong: the others, in the order of the spec.
        unused: the names of entries that no parameter reads, in the order of the file.
    """

    spec: Spec
    path: str
    found: tuple[Found, ...]
    wrong: tuple[Wrong, ...]
    unused: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every parameter that was asked for can be read."""
        return not self.wrong

    def by_entry(self) -> dict[str, list[Found]]:
        """The parameters that can be read, by the entry that they stand in, in the order of the spec."""
        entries: dict[str, list[Found]] = {}
        for found in self.found:
            entries.setdefault(found.stored.name, []).append(found)
        return entries

    def partly_used(self) -> dict[str, int]:
        """The entries of which parameters read a part only, and how many numbers nothing reads."""
        left = {
            name: math.prod(sharing[0].stored.shape) - sum(math.prod(f.param.shape) for f in sharing)
            for name, sharing in self.by_entry().items()
        }
        return {name: count for name, count in left.items() if count > 0}

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """One diagnostic per declaration and kind of mistake; those of a loop are told together."""
        places = dict(self.spec.places)
        alike: dict[tuple[str, Span | str], list[Wrong]] = {}
        for wrong in self.wrong:
            name = wrong.param.name
            alike.setdefault((wrong.code, places.get(name, name)), []).append(wrong)
        return tuple(_diagnose(group, places.get(group[0].param.name)) for group in alike.values())

    def require(self) -> None:
        """Fail unless every parameter that was asked for can be read.

        Raises:
            SymError: some cannot; with all of `diagnostics`.
        """
        if self.wrong:
            raise SymError(self.diagnostics())

    def require_apart(self) -> None:
        """Fail unless every number that is read belongs to one parameter only.

        Raises:
            SymError: two parameters share numbers; with all of `clashes`.
        """
        if clashes := self.clashes():
            raise SymError(clashes)

    def clashes(self) -> tuple[Diagnostic, ...]:
        """One diagnostic per entry of which two parameters read the same numbers."""
        places = dict(self.spec.places)
        clashes = []
        for name, sharing in self.by_entry().items():
            pairs = combinations(sharing, 2)
            pair = next(((a, b) for a, b in pairs if a.placement.overlaps(b.placement)), None)
            if pair is not None:
                first, second = pair[0].param.name, pair[1].param.name
                message = f"`{first}` and `{second}` are the same numbers of entry {quote(name)}"
                note = Note(f"`{first}` is declared here", places.get(first))
                help = "tell them apart with `at`, or leave one out"
                clashes.append(Diagnostic("QE214", message, places.get(second), (note,), help))
        return tuple(clashes)


def match(spec: Spec, path: str, entries: Mapping[str, Stored], names: Iterable[str] | None = None) -> Match:
    """Look every parameter up.

    Args:
        spec: the spec.
        path: the checkpoint, for messages.
        entries: its entries by name, in the order of the file.
        names: the parameters to look up; by default those with a `from` clause.

    Raises:
        SymError: a parameter that was asked for is not in the spec, or the spec does not say where it is
            stored; or more than `MOST_SHARING` parameters stand in one entry.
    """
    params = _choose(spec, names)
    _check_sharing(params)
    keys = {p.source.key for p in params if p.source}
    unused = tuple(name for name in entries if name not in keys)
    results = [_look_up(param, entries) for param in params]
    found = tuple(r for r in results if isinstance(r, Found))
    wrong = [r for r in results if isinstance(r, Wrong)]
    suggester = KeySuggester(unused)
    wrong[:MOST_ADVISED] = [_advise(spec, w, suggester) for w in wrong[:MOST_ADVISED]]
    return Match(spec, path, found, tuple(wrong), unused)


def _choose(spec: Spec, names: Iterable[str] | None) -> list[Param]:
    if names is None:
        stored = [p for p in spec.parameters if p.source]
        return stored or _choose(spec, spec.params)
    wanted = dict.fromkeys(names)
    mistakes = []
    for name in wanted:
        if name not in spec.params:
            help = suggest(name, spec.params)
            mistakes.append(
                Diagnostic("QE216", f"spec `{spec.name}` has no parameter {quote(name)}", help=help)
            )
    chosen = [p for p in spec.parameters if p.name in wanted]
    homeless = [p for p in chosen if p.source is None]
    if homeless:
        mistakes.append(_diagnose_homeless(spec, homeless))
    if mistakes:
        raise SymError(mistakes)
    return chosen


def _diagnose_homeless(spec: Spec, params: list[Param]) -> Diagnostic:
    first = params[0].name
    message = f"the spec does not say where {_name_all(params)} {'is' if len(params) == 1 else 'are'} stored"
    help = f'add the entry, as in: param {first} : ... from "layers.0.weight"'
    return Diagnostic("QE215", message, dict(spec.places).get(first), help=help)


def _name_all(params: list[Param]) -> str:
    """The names of some parameters, and how many more there are."""
    shown = ", ".join(f"`{p.name}`" for p in params[:MOST_NAMED])
    return shown if len(params) <= MOST_NAMED else f"{shown} and {len(params) - MOST_NAMED} more"


def _check_sharing(params: list[Param]) -> None:
    counts = Counter(p.source.key for p in params if p.source)
    for key, count in counts.most_common(1):
        if count > MOST_SHARING:
            fail("QE214", f"{count} parameters stand in entry {quote(key)}; at most {MOST_SHARING} may")


def _look_up(param: Param, entries: Mapping[str, Stored]) -> Found | Wrong:
    """The entry of one parameter with a `from` clause."""
    layout = read_layout(param)
    expected = expected_shape(layout)
    key = param.source.key if param.source else ""
    stored = entries.get(key)
    if stored is None:
        return Wrong("missing", "QE210", param, key, f"there is no entry {quote(key)}", expected)
    placement = fit(layout, stored.shape)
    if placement is None:
        message = f"entry {quote(key)} has shape {size_text(stored.shape)}, not {size_text(expected)}"
        return Wrong("mismatched", "QE211", param, key, message, expected, stored)
    if stored.dtype not in FLOATING:
        message = f"entry {quote(key)} holds numbers of type {stored.dtype}"
        return Wrong("mismatched", "QE212", param, key, message, expected, stored)
    return Found(param, stored, placement)


def _advise(spec: Spec, wrong: Wrong, suggester: KeySuggester) -> Wrong:
    """The same mistake, with what to do about it."""
    if wrong.found is None:
        return replace(wrong, help=suggester.advise(wrong.key))
    if wrong.code == "QE212":
        return replace(wrong, help=f"parameters are stored as {', '.join(FLOATING[:-1])} or {FLOATING[-1]}")
    arguments = [name for name, value in spec.arguments if not isinstance(value, str)]
    return replace(wrong, help=suggest_form(wrong.param, wrong.found.shape, arguments))


def _diagnose(alike: list[Wrong], span: Span | None) -> Diagnostic:
    first, others = alike[0], [w.param for w in alike[1:]]
    notes = (Note(f"the same goes for {_name_all(others)}"),) if others else ()
    return Diagnostic(first.code, f"`{first.param.name}`: {first.message}", span, notes, first.help)


def size_text(shape: Iterable[int | str]) -> str:
    """A shape, or what is known of one, for messages.

    >>> size_text(("part * 64", 64))
    '[part * 64, 64]'
    """
    return f"[{', '.join(map(str, shape))}]"
