"""What is shown about a name: Markdown for an `Occurrence`.

Takes an analysis and an occurrence in it, gives a text or None. For parameters: type, shape, what the group
does to each axis, and how many linear functions it leaves alone. Sizes are those of the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from qecompile import tree
from qecompile.basis import derive
from qecompile.declarations import instance_name
from qecompile.errors import Collector, SymError
from qecompile.expressions import Scope, evaluate_lets
from qecompile.lsp.analysis import Analysis
from qecompile.lsp.group_words import MEANING, describe_axis
from qecompile.lsp.occurrences import Occurrence
from qecompile.orbit import factors
from qecompile.report import axis_texts, shape_text
from qecompile.spec import Param, Spec

MOST_NAMES = 4


def describe(analysis: Analysis, occurrence: Occurrence) -> str | None:
    """What is known about what stands at a place, as Markdown.

    >>> from qecompile.lsp.analysis import analyse
    >>> from qecompile.lsp.occurrences import find_occurrence
    >>> analysis = analyse("spec s { space a = 3 : permute  param b : a }")
    >>> print(describe(analysis, find_occurrence(analysis.file, 1, 39)))
    **parameter** `b : a`, shape 3
    <BLANKLINE>
    - `a` (3): permuted
    <BLANKLINE>
    dimension of the linear invariants: 1
    """
    if occurrence.kind == "word" and occurrence.name in MEANING:
        return f"`{occurrence.name}`: {MEANING[occurrence.name]}"
    describe_kind = _KINDS.get(occurrence.kind)
    spec = analysis.spec(occurrence.spec.name.text) if occurrence.spec else None
    if spec is None or describe_kind is None or occurrence.spec is None:
        return None
    return "\n\n".join(describe_kind(spec, occurrence.spec, occurrence)) or None


# Kinds


def _parameter(spec: Spec, written: tree.SpecTree, occurrence: Occurrence) -> Iterator[str]:
    """Its type and shape, the action on every axis, the invariants and where it is stored."""
    names = _instances(occurrence, spec, written, spec.params)
    if not names:
        yield from _feature(spec, written, occurrence)
        return
    param = spec.params[names[0]]
    axes = axis_texts(param, spec)
    yield f"**parameter** `{param.name} : {' '.join(axes) or '[]'}`, shape {shape_text(param.shape)}"
    yield from _others(names)
    if axes:
        sizes = zip(axes, param.axes, strict=True)
        yield "\n".join(
            f"- `{text}` ({spec.space[axis.space].size}): {describe_axis(axis, spec)}" for text, axis in sizes
        )
    yield from _invariants(spec, param)
    if param.source is not None:
        layout = f' as "{param.source.layout}"' if param.source.layout else ""
        yield f'stored in `"{param.source.key}"{layout}`'


def _invariants(spec: Spec, param: Param) -> Iterator[str]:
    try:
        yield f"dimension of the linear invariants: {derive(spec).invariants(param.name)}"
    except SymError:  # too many diagrams to enumerate
        return


def _feature(spec: Spec, written: tree.SpecTree, occurrence: Occurrence) -> Iterator[str]:
    """Its factors."""
    known = {f.name: f for f in spec.features}
    for name in _instances(occurrence, spec, written, known)[:1]:
        feature = known[name]
        yield f"**feature** `{name} = {' . '.join(feature.factors)} over {', '.join(feature.over)}`"


def _space(spec: Spec, written: tree.SpecTree, occurrence: Occurrence) -> Iterator[str]:
    """Its size and group, how many copies there are, and their dimension."""
    names = _instances(occurrence, spec, written, spec.space)
    for name in names[:1]:
        space = spec.space[name]
        inside = f", nested in `{space.parent}`" if space.parent else ""
        yield f"**space** `{name} = {space.size} : {space.group}`{inside}"
        yield from _others(names)
        (factor,) = (f for f in factors(spec) if f.space == name)
        copies = "1 copy" if factor.copies == 1 else f"{factor.copies} copies"
        yield f"{copies} of a group of continuous dimension {factor.dim}: {factor.total} together"


def _value(spec: Spec, written: tree.SpecTree, occurrence: Occurrence) -> Iterator[str]:
    """The number, the list or the text."""
    value = _scope(spec, written).values.get(occurrence.name)
    if value is not None:
        shown = f'"{value}"' if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
        yield f"**value** `{occurrence.name} = {shown}`"


def _spec(spec: Spec, written: tree.SpecTree, occurrence: Occurrence) -> Iterator[str]:
    """Its values and how much it declares."""
    values = ", ".join(f"{p.name.text}: {p.type.text}" for p in written.parameters)
    yield f"**spec** `{spec.name}({values})`"
    yield f"{len(spec.spaces)} spaces, {len(spec.parameters)} parameters"


_Describe = Callable[[Spec, tree.SpecTree, Occurrence], Iterable[str]]
_KINDS: Mapping[str, _Describe] = {
    "parameter": _parameter,
    "feature": _feature,
    "space": _space,
    "value": _value,
    "spec": _spec,
}


# Instances


def _instances(
    occurrence: Occurrence, spec: Spec, written: tree.SpecTree, known: Iterable[str]
) -> Sequence[str]:
    """The full names that a path means: one if its indices are known, else all of the family."""
    scope = _scope(spec, written)
    try:
        name = ".".join(instance_name(segment, scope) for segment in occurrence.path)
    except SymError:  # it stands in a loop
        family = [segment.name.text for segment in occurrence.path]
        return [n for n in known if [part.partition("[")[0] for part in n.split(".")] == family]
    return [name] if name in known else []


def _scope(spec: Spec, written: tree.SpecTree) -> Scope:
    """The values of a spec."""
    scope = Scope(dict(spec.arguments))
    lets = [s for s in written.statements if isinstance(s, tree.LetStatement)]
    return replace(scope, values=evaluate_lets(lets, scope, Collector()))


def _others(names: Sequence[str]) -> Iterator[str]:
    """The names that are declared together, if there are several."""
    if len(names) > 1:
        shown = names if len(names) <= MOST_NAMES else [*names[: MOST_NAMES - 2], "...", names[-1]]
        yield f"{len(names)} of them: " + ", ".join(n if n == "..." else f"`{n}`" for n in shown)
