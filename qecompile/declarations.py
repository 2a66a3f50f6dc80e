"""What a spec declares while it is being resolved, and how references find it.

A `Frame` is one spec at work: the spec itself, or one that it includes under a prefix. References inside a
frame are local; tables hold full names, as in `layer[2].a[1]`.

A declaration that went wrong leaves its name claimed but without an entry. A reference to it fails without
a message, because the mistake is reported already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from qecompile import tree
from qecompile.errors import Collector, Note, Span, SymError, fail, suggest
from qecompile.expressions import Scope, integer
from qecompile.files import SpecFile
from qecompile.spec import Feature, Param, Space
from qecompile.syntax_errors import HEADS

Declared = TypeVar("Declared")


@dataclass(slots=True)
class Family:
    """The instances that one or more statements give a name: `a[0]`, `a[1]`, ... of `a`."""

    span: Span
    names: list[str] = field(default_factory=list)
    broken: bool = False


@dataclass(slots=True)
class Table(Generic[Declared]):
    """All declarations of one kind by full name, in order."""

    kind: str
    entries: dict[str, Declared] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)

    def open(self, family: str, span: Span) -> Family:
        """Announce that a statement declares instances of `family`."""
        return self.families.setdefault(family, Family(span))

    def claim(self, name: str, family: str, segment: tree.Segment) -> None:
        """Take a name for a declaration; fail if it is taken."""
        before = self.places.get(name)
        if before is segment.span:
            help = (
                f"each turn of its loop declares it; add the loop variables, as in `{segment.name.text}[i]`"
            )
            fail("QE050", f"{self.kind} `{name}` is declared more than once", before, help=help)
        if before is not None:
            fail("QE050", f"{self.kind} `{name}` is declared twice", segment.span, Note("first here", before))
        self.places[name] = segment.span
        self.families[family].names.append(name)

    def find(self, name: str, family: str, span: Span, prefix: str) -> Declared:
        """The declaration of a full name, or fail with what is known about it."""
        entry = self.entries.get(name)
        if entry is not None:
            return entry
        known = self.families.get(family)
        if name in self.places or (known is not None and known.broken):
            raise SymError(())
        shown = name.removeprefix(prefix)
        if known is not None:
            note = Note(f"`{family.removeprefix(prefix)}` is declared here", known.span)
            fail("QE051", f"there is no {self.kind} `{shown}`", span, note, help=_instances(known, prefix))
        local = [f.removeprefix(prefix) for f in self.families if f.startswith(prefix)]
        help = HEADS.get(shown) or suggest(family.removeprefix(prefix), local)
        fail("QE051", f"there is no {self.kind} `{shown}`", span, help=help)


def _instances(family: Family, prefix: str) -> str:
    names = [f"`{n.removeprefix(prefix)}`" for n in family.names]
    if not names:
        return "its loop has no turns"
    shown = names if len(names) <= 3 else [*names[:2], "...", names[-1]]
    return f"declared: {', '.join(shown)}"


@dataclass(slots=True)
class Tables:
    """What a spec and everything that it includes declare."""

    collector: Collector
    warnings: Collector = field(default_factory=lambda: Collector(warns=True))
    spaces: Table[Space] = field(default_factory=lambda: Table("space"))
    params: Table[Param] = field(default_factory=lambda: Table("parameter"))
    features: Table[Feature] = field(default_factory=lambda: Table("feature"))
    includes: Table[Frame] = field(default_factory=lambda: Table("include"))


@dataclass(frozen=True, slots=True)
class Binding:
    """The space of an including spec that stands for one of the included spec, and where that is said."""

    name: str
    span: Span


@dataclass(slots=True)
class Frame:
    """One spec at work; `bindings` says which of its own spaces another space stands for."""

    spec: tree.SpecTree
    file: SpecFile
    scope: Scope
    tables: Tables
    prefix: str = ""
    bindings: Mapping[str, Binding] = field(default_factory=dict)
    parents: tuple[tree.SpecTree, ...] = ()

    def full_name(self, segment: tree.Segment, scope: Scope) -> str:
        """The full name of a declaration in one turn of its loops."""
        return self.prefix + instance_name(segment, scope)

    def family(self, segment: tree.Segment) -> str:
        """The full name of a declaration without its indices."""
        return self.prefix + segment.name.text

    def space(self, reference: tree.Reference, scope: Scope) -> Space:
        """The space that a reference means."""
        frame, last = self._owner(reference, scope)
        local = instance_name(last, scope)
        if local in frame.bindings:
            bound = frame.bindings[local].name
            return self.tables.spaces.find(bound, bound, reference.span, "")
        return frame._find(self.tables.spaces, last, scope, reference.span)

    def param(self, reference: tree.Reference, scope: Scope) -> Param:
        """The parameter that a reference means."""
        frame, last = self._owner(reference, scope)
        if frame.family(last) not in self.tables.params.families:
            frame._refuse_feature(last, reference.span)
        return frame._find(self.tables.params, last, scope, reference.span)

    def _refuse_feature(self, segment: tree.Segment, span: Span) -> None:
        """Fail if a name that no parameter has is that of a feature."""
        for feature in (s for s in self.spec.statements if isinstance(s, tree.FeatureStatement)):
            if feature.segment.name.text == segment.name.text:
                note = Note("it is declared here", feature.segment.span)
                help = "`expect` and `feature` speak of parameters: name the factors"
                fail("QE052", f"`{segment.name.text}` is a feature, not a parameter", span, note, help=help)

    def _owner(self, reference: tree.Reference, scope: Scope) -> tuple[Frame, tree.Segment]:
        """The frame that declares what a reference means, and the segment that names it there."""
        frame, (*prefixes, last) = self, reference.segments
        for segment in prefixes:
            frame = frame._find(self.tables.includes, segment, scope, segment.span)
        return frame, last

    def _find(self, table: Table[Declared], segment: tree.Segment, scope: Scope, span: Span) -> Declared:
        return table.find(self.full_name(segment, scope), self.family(segment), span, self.prefix)


def instance_name(segment: tree.Segment, scope: Scope) -> str:
    """The canonical name of a segment, as in `w[1,2]`."""
    if not segment.indices:
        return segment.name.text
    indices = [integer(index, scope, "a number as index") for index in segment.indices]
    for index, place in zip(indices, segment.indices, strict=True):
        if index < 0:
            fail(
                "QE053",
                f"the index of `{segment.name.text}` is {index} here",
                place.span,
                help="indices start at 0",
            )
    return f"{segment.name.text}[{','.join(map(str, indices))}]"
