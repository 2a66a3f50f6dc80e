"""Expectations as tests: pytest collects `.sym` files, one test an `expect`.

`pytest specs/` runs every expectation of every spec there, at the default arguments of the spec. A test is
called by the text of its expectation and fails with the number that was derived; mistakes in the file are
reported as the command does. A spec that cannot stand alone, because a parameter has no default, gives one
skipped test that says so. Turn this off with `-p no:qecompile`.

Everything but pytest is imported when a `.sym` file is met, and torch only for expectations about a `model`,
which they import and run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from qecompile.basis import Basis
    from qecompile.spec import Expect, Spec
    from qecompile.tree import SpecTree


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SymFile | None:
    """A `.sym` file is a collector."""
    return SymFile.from_parent(parent, path=file_path) if file_path.suffix == ".sym" else None


def _shown(path: Path) -> str:
    """The path as the command would be given it: from the working folder, if the file is inside."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _explain(error: pytest.ExceptionInfo[BaseException]) -> str | None:
    """Mistakes in the file as diagnostics; anything else as pytest shows it."""
    from qecompile.errors import SymError

    return str(error.value) if isinstance(error.value, SymError) else None


class SymFile(pytest.File):
    """A file: one collector a spec."""

    def collect(self) -> Iterable[SymSpec]:
        """The specs that the file declares, in order."""
        from qecompile.errors import Collector
        from qecompile.files import Loader, as_source, read_text
        from qecompile.resolve import choose_spec

        shown, mistakes = _shown(self.path), Collector()
        loader = Loader(mistakes, self.path.resolve().parent, open=[self.path.resolve()])
        file = loader.load(as_source(read_text(self.path, shown=shown), shown), self.path.resolve())
        if file is not None:
            choose_spec(file, None, mistakes)
        mistakes.finish()
        specs = file.parsed.specs if file else ()
        return [SymSpec.from_parent(self, name=tree.name.text, tree=tree) for tree in specs]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Diagnostics of the file."""
        return _explain(excinfo) or super().repr_failure(excinfo)


class SymSpec(pytest.Collector):
    """A spec of a file: one test an expectation."""

    def __init__(self, *, tree: SpecTree, **known: Any) -> None:
        super().__init__(**known)
        self.tree = tree

    def collect(self) -> Iterable[pytest.Item]:
        """The expectations in order; those of one text are told apart by a number."""
        missing = [p.name.text for p in self.tree.parameters if p.default is None]
        if missing:
            return [Alone.from_parent(self, name="needs arguments", missing=missing)]
        from qecompile.pipeline import derive, load

        spec = load(_shown(self.path), self.name)
        basis, seen = derive(spec), Counter[str]()
        tests = []
        for expect in spec.expects:
            seen[expect.text] += 1
            name = expect.text if seen[expect.text] == 1 else f"{expect.text} ({seen[expect.text]})"
            tests.append(Expectation.from_parent(self, name=name, spec=spec, basis=basis, expect=expect))
        return tests

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Diagnostics of the spec."""
        return _explain(excinfo) or super().repr_failure(excinfo)


class Alone(pytest.Item):
    """The one test of a spec that has parameters without a default."""

    def __init__(self, *, missing: list[str], **known: Any) -> None:
        super().__init__(**known)
        self.missing = missing

    def runtest(self) -> None:
        """Say why nothing is tested."""
        pytest.skip(f"without a value for {', '.join(self.missing)}: give it a default, or include this spec")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the spec is."""
        return self.path, None, self.name


class Failed(Exception):
    """An expectation does not hold; the text says what was derived."""


class Expectation(pytest.Item):
    """One `expect`."""

    def __init__(self, *, spec: Spec, basis: Basis, expect: Expect, **known: Any) -> None:
        super().__init__(**known)
        self.spec, self.basis, self.expect = spec, basis, expect

    def runtest(self) -> None:
        """Compare what is derived with what is expected."""
        from qecompile.checks import check_expects

        expect = self.expect
        (result,) = check_expects(self.spec.model_copy(update={"expects": (expect,)}), self.basis)
        if result.ok is None:
            pytest.skip(f"not decided: {result.detail}")
        if not result.ok and result.detail:
            raise Failed(f"`{expect.text}`: {result.actual}: {result.detail}")
        if not result.ok:
            wanted = expect.wanted if expect.value is None else f"{expect.relation} {expect.value}"
            raise Failed(f"`{expect.text}`: expected {wanted}, derived {result.actual}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What was expected, what is, and the line."""
        if not isinstance(excinfo.value, Failed):
            return _explain(excinfo) or super().repr_failure(excinfo, style)
        from qecompile.errors import Source, Span

        source, at = Source(self.spec.path, self.spec.text), self.expect
        place = Span(source, at.line, at.column, len(at.text)).render(len(str(at.line)))
        return "\n".join([str(excinfo.value), *place])

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the expectation is."""
        return self.path, self.expect.line - 1, self.name
