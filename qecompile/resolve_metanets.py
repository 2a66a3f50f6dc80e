"""`metanet` blocks: the networks to emit.

Takes the statements of a frame, gives `MetaNet` values. Names, numbers and activations are checked here;
whether a network can be had, and an alpha-map, is decided by the stages that design it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar, cast, get_args

from qecompile import tree
from qecompile.activations import UNSPECIFIC, choose_activation
from qecompile.alpha import check_epsilon, check_mixing, tightest_bound
from qecompile.declarations import Frame
from qecompile.errors import Collector, Note, Span, SymError, fail, suggest
from qecompile.expressions import Scope, evaluate, integer_value, turns
from qecompile.spec import DEFAULT_CHANNELS, Alpha, MetaNet, Mix, Spec

LARGEST_WIDTH = 1_000_000
"""Channels, outputs, hidden units or codes: more than any layer has."""

MOST_LAYERS = 1_000

ALPHA_OPTIONS = ("epsilon", "stats", "hidden")
STATISTICS = ("mean", "var", "std", "min", "max")

AlphaFamily = Literal["shared", "covariant", "independent"]
MixMode = Literal["full", "encode", "lowrank"]
Entry = TypeVar("Entry", bound=tree.MetaNetEntry)


def read_metanets(frame: Frame) -> tuple[MetaNet, ...]:
    """The `metanet` blocks of a spec."""
    seen: dict[str, tree.Word] = {}
    found = []
    for statement in frame.spec.statements:
        if not isinstance(statement, tree.MetaNetStatement):
            continue
        name = statement.name
        if name.text in seen:
            note = Note("first here", seen[name.text].span)
            frame.tables.collector.error("QE050", f"metanet `{name.text}` is declared twice", name.span, note)
        seen.setdefault(name.text, name)
        with frame.tables.collector.attempt():
            found.append(_read_metanet(frame, statement))
    return tuple(found)


def _read_metanet(frame: Frame, statement: tree.MetaNetStatement) -> MetaNet:
    collector = frame.tables.collector
    channels: tuple[int, ...] = DEFAULT_CHANNELS
    activation, alpha, outputs, rank = "auto", None, None, None
    if entry := _only(statement.entries, tree.ChannelsEntry, collector):
        channels = _read_channels(entry, frame.scope, collector)
    if function := _only(statement.entries, tree.ActivationEntry, collector):
        activation = function.function.text
    if family := _only(statement.entries, tree.AlphaEntry, collector):
        alpha = _read_alpha(family, collector)
    if (readout := _only(statement.entries, tree.ReadoutEntry, collector)) and readout.outputs:
        with collector.attempt():
            outputs = _positive(readout.outputs, frame.scope, "outputs")
    if context := _only(statement.entries, tree.ContextEntry, collector):
        with collector.attempt():
            rank = _positive(context.rank, frame.scope, "the rank")
    net = MetaNet(
        name=statement.name.text,
        channels=channels,
        activation=activation,
        alpha=alpha,
        outputs=outputs,
        mix=_read_mixes(frame, statement),
        context_rank=rank,
    )
    if family is not None and alpha is not None:
        _check_alpha(frame, family, net, alpha)
    return net


def _only(entries: Sequence[tree.MetaNetEntry], kind: type[Entry], collector: Collector) -> Entry | None:
    """The one entry of a kind; more are a mistake."""
    found = [e for e in entries if isinstance(e, kind)]
    for second in found[1:]:
        note = Note("first here", found[0].keyword.span)
        collector.error(
            "QE090", f"`{second.keyword.text}` stands twice in this block", second.keyword.span, note
        )
    return found[0] if found else None


def _read_channels(entry: tree.ChannelsEntry, scope: Scope, collector: Collector) -> tuple[int, ...]:
    """The numbers, without those that are wrong, which are recorded."""
    if len(entry.values) > MOST_LAYERS:
        message = f"a network has at most {MOST_LAYERS} layers, and this lists {len(entry.values)} numbers"
        collector.error("QE091", message, entry.values[MOST_LAYERS].span)
        return DEFAULT_CHANNELS
    numbers = []
    for value in entry.values:
        with collector.attempt():
            numbers.append(_positive(value, scope, "channels"))
    return tuple(numbers)


def _positive(value: tree.Expression, scope: Scope, what: str) -> int:
    found = evaluate(value, scope)
    if isinstance(found, tuple) and what == "channels":
        help = "write the numbers one by one, as in: channels 1, 16, 16"
        fail("QE023", "`channels` are numbers, and this is a list", value.span, help=help)
    number = integer_value(found, value.span)
    if number < 1:
        fail("QE091", f"{what} must be at least 1, and this is {number}", value.span)
    if number > LARGEST_WIDTH:
        fail("QE091", f"{what} must be at most {LARGEST_WIDTH}, and this is {number}", value.span)
    return number


# Activations


def metanet_places(spec: tree.SpecTree) -> tuple[tuple[str, Span], ...]:
    """Where each network of a spec is declared, by name."""
    nets = (s for s in spec.statements if isinstance(s, tree.MetaNetStatement))
    return tuple((net.name.text, net.name.span) for net in nets)


def check_activations(spec: Spec, written: tree.SpecTree, collector: Collector) -> None:
    """Record the activations that are unknown, or that the type of a parameter forbids."""
    nets = (s for s in written.statements if isinstance(s, tree.MetaNetStatement))
    for entry in (e for net in nets for e in net.entries if isinstance(e, tree.ActivationEntry)):
        if entry.function.text not in UNSPECIFIC:
            with collector.attempt():
                _check_activation(spec, entry.function)


def _check_activation(spec: Spec, function: tree.Word) -> None:
    for p in spec.parameters:
        try:
            choose_activation(spec, p, function.text)
        except SymError as refused:
            raise SymError([replace(d, span=function.span) for d in refused.diagnostics]) from None


# Mixing


def _read_mixes(frame: Frame, statement: tree.MetaNetStatement) -> tuple[Mix, ...]:
    seen: dict[str, tree.MixEntry] = {}
    mixes = []
    acted = _spaces_acted_on(frame) if any(isinstance(e, tree.MixEntry) for e in statement.entries) else {}
    for entry in statement.entries:
        if isinstance(entry, tree.MixEntry):
            with frame.tables.collector.attempt():
                for turn in turns(entry.loops, frame.scope, entry.keyword.span):
                    mixes.append(_read_mix(frame, entry, turn, seen, acted))
    return tuple(mixes)


def _spaces_acted_on(frame: Frame) -> dict[str, str]:
    """The spaces on which, or inside which, a group acts, each with such a space."""
    spaces = frame.tables.spaces.entries
    acted: dict[str, str] = {}
    for space in spaces.values():
        at: str | None = space.name if space.group != "fixed" else None
        while at is not None and at not in acted:
            acted[at] = space.name
            at = spaces[at].parent
    return acted


def _read_mix(
    frame: Frame,
    entry: tree.MixEntry,
    scope: Scope,
    seen: dict[str, tree.MixEntry],
    acted: Mapping[str, str],
) -> Mix:
    space = frame.space(entry.space, scope)
    if space.name in acted:
        inner = frame.tables.spaces.entries[acted[space.name]]
        note = Note(f"`{inner.name}` is declared here", frame.tables.spaces.places[inner.name])
        whose = "its group" if inner is space else f"the group of `{inner.name}`, which is nested in it,"
        message = f"`{space.name}` cannot be mixed: {whose} is `{inner.group}`"
        help = "only the axes of a `fixed` space are mixed freely"
        fail("QE092", message, entry.space.span, note, help=help)
    if space.name in seen:
        note = Note("first here", seen[space.name].keyword.span)
        fail("QE090", f"`mix {space.name}` stands twice in this block", entry.keyword.span, note)
    seen[space.name] = entry
    rank = None if entry.rank is None else _positive(entry.rank, scope, "the rank")
    return Mix(space=space.name, mode=cast(MixMode, entry.mode.text), rank=rank)


# Alpha


def _read_alpha(entry: tree.AlphaEntry, collector: Collector) -> Alpha | None:
    families: tuple[AlphaFamily, ...] = get_args(AlphaFamily)
    family = next((f for f in families if f == entry.family.text), None)
    if family is None and entry.family.text != "none":
        known = (*families, "none")
        help = suggest(entry.family.text, known, "the families are " + ", ".join(f"`{f}`" for f in known))
        collector.error(
            "QE093", f"there is no alpha family `{entry.family.text}`", entry.family.span, help=help
        )
    if family is None:
        return None
    seen: dict[str, tree.Word] = {}
    options = []
    for name, value in entry.options:
        with collector.attempt():
            if name.text in seen:
                fail(
                    "QE090",
                    f"`{name.text}` is given twice",
                    name.span,
                    Note("first here", seen[name.text].span),
                )
            seen[name.text] = name
            options.append((name.text, _read_option(name, value)))
    return Alpha(family=family, options=tuple(options))


def _check_alpha(frame: Frame, entry: tree.AlphaEntry, net: MetaNet, alpha: Alpha) -> None:
    """Record an epsilon that leaves the group, and elements of single channels that are mixed later."""
    spaces = frame.tables.spaces
    if problem := check_epsilon(spaces.entries.values(), alpha):
        place, value = next((name.span, v) for name, v in entry.options if name.text == "epsilon")
        tightest = tightest_bound(spaces.entries.values(), alpha.family) if value != 0 else None
        note = () if tightest is None else (_declared(frame, tightest[1].name),)
        frame.tables.collector.add(replace(problem, span=place, notes=note))
    if problem := check_mixing(spaces.entries.values(), net):
        frame.tables.collector.add(replace(problem, span=entry.family.span))


def _declared(frame: Frame, space: str) -> Note:
    return Note(f"`{space}` is declared here", frame.tables.spaces.places.get(space))


def _read_option(name: tree.Word, value: float | tuple[tree.Word, ...]) -> float | tuple[str, ...]:
    if name.text not in ALPHA_OPTIONS:
        help = suggest(
            name.text, ALPHA_OPTIONS, "the options are " + ", ".join(f"`{o}`" for o in ALPHA_OPTIONS)
        )
        fail("QE094", f"alpha has no option `{name.text}`", name.span, help=help)
    if name.text == "stats":
        return _read_statistics(name, value)
    if isinstance(value, tuple):
        fail("QE094", f"`{name.text}` is a number", name.span)
    if name.text == "hidden" and (value < 1 or value != int(value)):
        fail("QE094", f"hidden is {value:g}", name.span, help="it is a whole number, at least 1")
    if name.text == "hidden" and value > LARGEST_WIDTH:
        fail("QE094", f"hidden is {value:g}", name.span, help=f"it is at most {LARGEST_WIDTH}")
    return value


def _read_statistics(name: tree.Word, value: float | tuple[tree.Word, ...]) -> tuple[str, ...]:
    if not isinstance(value, tuple) or not value:
        fail("QE094", "`stats` is a list of names", name.span, help="as in: stats = [mean, var, q25]")
    for word in value:
        if word.text not in STATISTICS and not re.fullmatch(r"q\d{1,2}|q100", word.text):
            help = suggest(
                word.text, STATISTICS, "known: " + ", ".join(f"`{s}`" for s in (*STATISTICS, "q25"))
            )
            fail("QE094", f"there is no statistic `{word.text}`", word.span, help=help)
    return tuple(word.text for word in value)
