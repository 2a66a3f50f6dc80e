"""The rewrites in order, with the checker after each.

Takes a plan, gives the schedule that is written down. `ensures` says what a pass promises; a pass that breaks
its promise, or gives a schedule that is not well formed, is a mistake of the compiler and is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from qecompile.errors import IRError
from qecompile.plan.nodes import Plan
from qecompile.schedule.check import check
from qecompile.schedule.lower import lower, lower_reduce
from qecompile.schedule.nodes import Gather, Load, Mean, Schedule, Sum
from qecompile.schedule.rewrite import (
    accumulate_in_place,
    fold_small_parts,
    join_streams,
    merge_equal_ops,
    multiply_onto_sums,
    name_values,
    stream_large_means,
    stream_large_products,
    take_means_of_means,
)
from qecompile.spec import Spec

Observer = Callable[[str, Schedule], None]


def nothing_to_say(_: Schedule) -> str | None:
    """The promise of a pass that only promises a well-formed schedule."""
    return None


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite, its name, and what it promises: a text says how the promise was broken."""

    name: str
    rewrite: Callable[[Schedule], Schedule]
    ensures: Callable[[Schedule], str | None] = nothing_to_say


def repeated_op(s: Schedule) -> str | None:
    """Two operations that compute the same, if any; what is gathered for a type keeps a name of its own."""
    seen: dict[object, str] = {}
    for op in s.reduce:
        if not isinstance(op, (Load, Gather)):
            key = (type(op), *(getattr(op, f) for f in op.__slots__ if f != "out"))
            if key in seen:
                return f"{op.out.name} repeats {seen[key]}"
            seen[key] = op.out.name
    return None


def stored_sum(s: Schedule) -> str | None:
    """A target that is added up in new memory, if any."""
    return next(
        (f"{op.out.name} is not in place" for op in s.expand if isinstance(op, Sum) and not op.in_place), None
    )


def second_stream(s: Schedule) -> str | None:
    """A large value that is read by two streams, if any."""
    first: dict[str, str] = {}
    for op in s.reduce:
        if isinstance(op, Mean) and op.streams and not op.joins:
            if op.source in first:
                return f"{op.out.name} reads {op.source} again, after {first[op.source]}"
            first[op.source] = op.out.name
    return None


OPTIMISE = (
    Pass("merge-equal-ops", merge_equal_ops, repeated_op),
    Pass("means-of-means", take_means_of_means, repeated_op),
    Pass("fold-small-parts", fold_small_parts),
    Pass("accumulate-in-place", accumulate_in_place, stored_sum),
    Pass("multiply-onto-sums", multiply_onto_sums),
    Pass("stream-large-products", stream_large_products),
    Pass("stream-large-means", stream_large_means),
    Pass("join-streams", join_streams, second_stream),
)


def ignore(_name: str, _schedule: Schedule) -> None:
    """Observe nothing."""


def run(s: Schedule, passes: Iterable[Pass], observe: Observer = ignore) -> Schedule:
    """Apply passes; after each the schedule is checked, then shown to `observe`."""
    check(s, after="lower")
    observe("lower", s)
    for p in passes:
        s = p.rewrite(s)
        check(s, after=p.name)
        if broken := p.ensures(s):
            raise IRError(f"pass `{p.name}` broke its promise: {broken}")
        observe(p.name, s)
    return s


@dataclass(frozen=True, slots=True)
class Labels:
    """What emitted code calls parameters and spaces, and the names that values must leave to others."""

    of: Mapping[str, str]
    short: Mapping[str, str]
    taken: tuple[str, ...] = ()


def schedule_layer(plan: Plan, spec: Spec, labels: Labels, observe: Observer = ignore) -> Schedule:
    """The schedule of a whole layer, optimised and named."""
    return _named(run(lower(plan, spec), OPTIMISE, observe), labels, observe)


def schedule_reduce(plan: Plan, spec: Spec, labels: Labels) -> Schedule:
    """The reductions of a plan, optimised and named."""
    return _named(run(lower_reduce(plan, spec), OPTIMISE), labels, ignore)


def _named(s: Schedule, labels: Labels, observe: Observer) -> Schedule:
    named = Pass("name-values", lambda s: name_values(s, labels.of, labels.short, labels.taken))
    return run(s, (named,), lambda name, s: observe(name, s) if name == named.name else None)
