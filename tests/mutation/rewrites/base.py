"""What a rewrite is, and how it is made everywhere at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..shapes import Module
from ..source import Change, Edit


@dataclass(frozen=True)
class Rewrite:
    """A kind of rewrite: its name, what it does, and the new text of a module (`None`: nothing to do)."""

    name: str
    what: str
    apply: Callable[[Module], str | None]


REWRITES: list[Rewrite] = []


def rewrite(name: str) -> Callable[[Callable[[Module], str | None]], Callable[[Module], str | None]]:
    """Register a function from a module to its new text."""

    def register(apply: Callable[[Module], str | None]) -> Callable[[Module], str | None]:
        assert apply.__doc__, name
        REWRITES.append(Rewrite(name, " ".join(apply.__doc__.split()), apply))
        return apply

    return register


def everywhere(name: str) -> Callable[[Callable[[Module], Iterator[Change]]], None]:
    """Register a function that proposes changes, which are all made as long as they do not overlap."""

    def register(propose: Callable[[Module], Iterator[Change]]) -> None:
        def apply(m: Module) -> str | None:
            edits: list[Edit] = []
            for change in sorted(propose(m), key=_extent):
                if not edits or _extent(change)[0] >= edits[-1].end:
                    edits += sorted(change.edits, key=lambda e: e.start)
            return m.apply(Change("module", 0, "", "", tuple(edits))) if edits else None

        apply.__doc__ = propose.__doc__
        rewrite(name)(apply)

    return register


def _extent(change: Change) -> tuple[int, int]:
    return min(e.start for e in change.edits), -max(e.end for e in change.edits)
