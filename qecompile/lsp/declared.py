"""What a spec declares, by name, and how references reach into the specs that it includes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from qecompile import tree
from qecompile.errors import Span
from qecompile.files import SpecFile

Names = Mapping[str, tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class Declared:
    """The names of one spec; a name stands for every statement that declares it, whatever the indices."""

    spec: tree.SpecTree
    file: SpecFile
    spaces: Names
    parameters: Names
    features: Names
    values: Names
    includes: Names

    @classmethod
    def of(cls, spec: tree.SpecTree, file: SpecFile) -> Declared:
        """The names of a spec that stands in a file."""
        statements = spec.statements
        return cls(
            spec,
            file,
            spaces=_places(s.segment.name for s in all_spaces(statements)),
            parameters=_places(s.segment.name for s in statements if isinstance(s, tree.ParamStatement)),
            features=_places(s.segment.name for s in statements if isinstance(s, tree.FeatureStatement)),
            values=_places(
                (
                    *(p.name for p in spec.parameters),
                    *(s.name for s in statements if isinstance(s, tree.LetStatement)),
                )
            ),
            includes=_places(s.prefix.name for s in statements if isinstance(s, tree.IncludeStatement)),
        )

    def find(self, kind: str, name: str) -> tuple[Span, ...]:
        """Where a space, a parameter (or feature), a feature or an include of a name is declared."""
        match kind:
            case "space":
                return self.spaces.get(name, ())
            case "parameter":
                return self.parameters.get(name) or self.features.get(name, ())
            case "feature":
                return self.features.get(name, ())
            case _:
                return self.includes.get(name, ())

    def included(self, prefix: str) -> Declared | None:
        """The names behind a prefix that an `include` gave; those of the first, if several gave it."""
        for statement in self.spec.statements:
            if isinstance(statement, tree.IncludeStatement) and statement.prefix.name.text == prefix:
                found = self.file.find(statement.spec.text)
                return Declared.of(*found) if found else None
        return None

    def factors(self, product: tree.Reference) -> Iterator[tuple[tree.Segment, ...]]:
        """The factors of `a . block.b`: the name of an include takes the next segment along."""
        run: list[tree.Segment] = []
        for segment in product.segments:
            run.append(segment)
            if segment.name.text not in self.includes:
                yield tuple(run)
                run = []
        if run:
            yield tuple(run)


def all_spaces(statements: Iterable[object]) -> Iterator[tree.SpaceStatement]:
    """The space statements, those inside others included."""
    for statement in statements:
        if isinstance(statement, tree.SpaceStatement):
            yield statement
            yield from all_spaces(statement.nested)


def _places(words: Iterable[tree.Word]) -> Names:
    found: dict[str, tuple[Span, ...]] = {}
    for word in words:
        found[word.text] = (*found.get(word.text, ()), word.span)
    return found
