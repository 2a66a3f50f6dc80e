"""Test the `expect` statements of a spec.

Takes a checked spec and its basis, gives one `Result` per statement. Statements about the user's own network
import and run it, with torch; the others do without.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace

from qecompile.basis import Basis
from qecompile.errors import Diagnostic, Source, Span, SymError
from qecompile.judgement import is_alpha_live
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
    """What became of one `expect`; `ok` is None if nothing was decided.

    `actual` is a number, or `live` or `dead`, or figures about the network; `detail` explains these.
    """

    expect: Expect
    ok: bool | None
    actual: int | str | None
    detail: str | None = None


def check_expects(spec: Spec, basis: Basis) -> tuple[Result, ...]:
    """One result per `expect` of `spec`, in order."""
    return tuple(_check(expect, spec, basis) for expect in spec.expects)


def _check(expect: Expect, spec: Spec, basis: Basis) -> Result:
    try:
        if expect.kind in ("preserves", "maximal"):
            return _judge_model(expect, spec)
        actual = _measure(expect, spec, basis)
    except SymError as mistake:
        raise SymError([_placed(d, expect, spec) for d in mistake.diagnostics]) from mistake
    except ValueError as limit:  # the orbit of a group that couples too much
        help = "ask for it at smaller sizes, with -D"
        raise SymError([_placed(Diagnostic("QE902", str(limit), help=help), expect, spec)]) from limit
    if isinstance(actual, str):
        return Result(expect, ok=actual == expect.wanted, actual=actual)
    if actual is None or expect.value is None:
        return Result(expect, ok=None, actual=actual)
    return Result(expect, RELATIONS[expect.relation](actual, expect.value), actual)


def _judge_model(expect: Expect, spec: Spec) -> Result:
    """What is found of the network that the spec names."""
    from qecompile.model.audit import check_maximal  # with torch, which other expectations do without
    from qecompile.model.network import Network
    from qecompile.model.preserve import check_preserved

    if expect.kind == "preserves":
        found = check_preserved(Network(spec))
        actual = f"error {found.max_error:.1e}"
        return Result(expect, found.ok, actual, "; ".join(map(str, found.failures)) or None)
    kernel = check_maximal(Network(spec))
    detail = "; ".join([*(d.text for d in kernel.directions), kernel.detail])
    return Result(expect, kernel.ok, f"kernel {kernel.kernel_dim}, orbit {kernel.orbit_dim}", detail)


def _placed(found: Diagnostic, expect: Expect, spec: Spec) -> Diagnostic:
    """The same diagnostic, at the `expect` that led to it if it has no place of its own."""
    span = Span(Source(spec.path, spec.text), expect.line, expect.column, len(expect.text))
    return found if found.span else replace(found, span=span)


def _measure(expect: Expect, spec: Spec, basis: Basis) -> int | str | None:
    """What the statement is about: a number, or what the alpha-maps of the spec's networks are.

    Alpha is live if that of some network is.
    """
    match expect:
        case Expect(kind="dim", source=str(source), target=str(target)):
            return basis.dim(source, target)
        case Expect(kind="diagrams", source=str(source), target=str(target)):
            return len(basis.diagrams(source, target))
        case Expect(kind="invariants", source=str(source)):
            return basis.invariants(source)
        case Expect(kind="orbit_dim"):
            return orbit_dim(spec)
        case Expect(kind="alpha"):
            return "live" if is_alpha_live(spec) else "dead"
        case _:
            return None
