"""A small TextMate tokeniser: enough of what editors do with a `.tmLanguage.json` file to test ours.

Knows `match`, `begin` and `end`, captures by number, `name`, `contentName`, `patterns` and `include` of the
repository or `$self`; patterns go through Python's `re`, so the grammar must stay in what that shares with
Oniguruma. Rules, as in editors: lines are tokenised one by one; the innermost open rule decides; of all
patterns, the leftmost match wins, then the first in order, and the end of the open rule before all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Rule = Mapping[str, Any]
compiled = cache(re.compile)


@dataclass(frozen=True)
class Grammar:
    """A grammar as read from its file."""

    data: Rule

    def expand(self, patterns: Sequence[Rule]) -> Iterator[Rule]:
        """The rules that patterns stand for, includes followed."""
        for rule in patterns:
            name = rule.get("include")
            if name == "$self":
                yield from self.expand(self.data["patterns"])
            elif name is not None:
                yield from self.expand([self.data["repository"][name.removeprefix("#")]])
            elif "match" in rule or "begin" in rule:
                yield rule
            else:
                yield from self.expand(rule["patterns"])

    def scopes(self, text: str) -> list[tuple[str, ...]]:
        """For every character the scopes around it, outermost first."""
        found: list[tuple[str, ...]] = []
        opened: list[Rule] = []
        for line in text.splitlines(keepends=True):
            found += self._line(line, opened)
        return found

    def _line(self, line: str, opened: list[Rule]) -> list[tuple[str, ...]]:
        """The scopes of one line; `opened` are the rules that are open, and left open at its end."""
        found = [_around(opened)] * len(line)
        at, visited = 0, set()
        while (step := self._next(line, at, opened)) is not None:
            rule, match, ends = step
            if ends:
                opened.pop()
            outer = _around(opened)
            named = (*outer, *([rule["name"]] if "name" in rule else []))
            captures = rule.get(
                ("endCaptures" if ends else "beginCaptures") if "begin" in rule else "captures", {}
            )
            found[match.start() : match.end()] = [named] * (match.end() - match.start())
            for number, capture in captures.items():
                start, end = match.span(int(number))
                found[start:end] = [(*named, capture["name"])] * (end - start)
            if "begin" in rule and not ends:
                opened.append(rule)
            found[match.end() :] = [_around(opened)] * (len(line) - match.end())
            state = (match.end(), len(opened), id(opened[-1]) if opened else 0)
            if state in visited:  # matched nothing and changed nothing
                break
            visited.add(state)
            at = match.end()
        return found

    def _next(self, line: str, at: int, opened: list[Rule]) -> tuple[Rule, re.Match[str], bool] | None:
        """The next match, its rule, and whether it ends the open rule."""
        patterns = opened[-1].get("patterns", []) if opened else self.data["patterns"]
        choices = [(opened[-1], opened[-1]["end"], True)] if opened else []
        choices += [(r, r.get("match") or r["begin"], False) for r in self.expand(patterns)]
        matches = [(r, m, ends) for r, p, ends in choices if (m := compiled(p).search(line, at))]
        return min(matches, key=lambda choice: choice[1].start(), default=None)


def _around(opened: Sequence[Rule]) -> tuple[str, ...]:
    names = ((rule.get("name"), rule.get("contentName")) for rule in opened)
    return tuple(name for pair in names for name in pair if name)
