"""Test the `expect` statements of a spec.

Takes a checked spec and its basis, gives one `Result` per statement. Statements about the user's own
network or about alpha-maps are not answered here: they come back as not checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace

from qecompile.basis import Basis
from qecompile.errors import Diagnostic, Source, Span, SymError
from qecompile.orbit import orbit_dim
from qecompile.spec import Expect, Spec

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one `expect`: `ok` and `actual` are None if it was not checked."""

    expect: Expect
    ok: bool | None
    actual: int | None


def check_expects(spec: Spec, basis: Basis) -> tuple[Result, ...]:
    """One result per `expect` of `spec`, in order."""
    return tuple(_check(expect, spec, basis) for expect in spec.expects)


def _check(expect: Expect, spec: Spec, basis: Basis) -> Result:
    try:
        actual = _measure(expect, spec, basis)
    except SymError as mistake:
        raise SymError([_placed(d, expect, spec) for d in mistake.diagnostics]) from mistake
    except ValueError as limit:  # the orbit of a group that couples too much
        help = "ask for it at smaller sizes, with -D"
        raise SymError([_placed(Diagnostic("QE902", str(limit), help=help), expect, spec)]) from limit
    if actual is None or expect.value is None:
        return Result(expect, ok=None, actual=actual)
    return Result(expect, RELATIONS[expect.relation](actual, expect.value), actual)


def _placed(found: Diagnostic, expect: Expect, spec: Spec) -> Diagnostic:
    """The same diagnostic, at the `expect` that led to it if it has no place of its own."""
    span = Span(Source(spec.path, spec.text), expect.line, expect.column, len(expect.text))
    return found if found.span else replace(found, span=span)


def _measure(expect: Expect, spec: Spec, basis: Basis) -> int | None:
    """The integer on the left of the relation; None for the kinds that have none."""
    match expect:
        case Expect(kind="dim", source=str(source), target=str(target)):
            return basis.dim(source, target)
        case Expect(kind="diagrams", source=str(source), target=str(target)):
            return len(basis.diagrams(source, target))
        case Expect(kind="invariants", source=str(source)):
            return basis.invariants(source)
        case Expect(kind="orbit_dim"):
            return orbit_dim(spec)
        case _:
            return None
