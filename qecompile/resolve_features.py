"""`feature` statements: products of parameters, contracted over spaces (theory.md, section 2, polynomials).

Takes the statements of a frame, fills its table of features. In `A . B over s` the axis of s in A and that in
B are summed over together. The result is a tensor on which the group acts iff the sum is an invariant of the
two axes:

- on an *index* space, if the charges of the two cancel: for every `scale` their sum is 0, for `sign` even;
- on a *vector* space, if one axis is covariant and the other contravariant under `linear`, with no condition
  under `orthogonal` and `rotate`, whose axes are self-dual; charges of `dilate` cancel too;
- an axis of a nested space belongs to an axis of its parent, every index value of which has a group of its
  own. Two such axes meet inside one copy only: the axes they belong to become one axis of the result. An axis
  that is summed leaves nothing behind for others to belong to, so those are summed too.

More than two axes of a space would leave open which of them meet, so `s` is an axis of exactly two factors,
once in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qecompile import tree
from qecompile.declarations import Frame
from qecompile.errors import Collector, Note, SymError, fail
from qecompile.expressions import Scope, turns
from qecompile.nesting import lineage
from qecompile.resolve_types import MOST_AXES, STEPS_OF_AN_AXIS
from qecompile.spec import Axis, Feature, Param, Space

Place = tuple[int, int]
"""An axis of a product: the number of the factor, and the position of the axis in it."""

Contraction = tuple[Place, Place]


def declare_features(frame: Frame, statement: tree.FeatureStatement) -> None:
    """Declare every instance of a `feature` statement."""
    table = frame.tables.features
    family = table.open(frame.family(statement.segment), statement.segment.span)
    try:
        for turn in turns(statement.loops, frame.scope, statement.segment.span):
            name = frame.full_name(statement.segment, turn)
            _check_free(frame, name, statement)
            table.claim(name, frame.family(statement.segment), statement.segment)
            table.entries[name] = _read_feature(frame, name, statement, turn)
    except SymError as mistakes:
        family.broken = True
        frame.tables.collector.absorb(mistakes)


def _check_free(frame: Frame, name: str, statement: tree.FeatureStatement) -> None:
    place = frame.tables.params.places.get(name)
    if place is not None:
        message = f"feature `{name}` has the name of a parameter"
        fail("QE050", message, statement.segment.span, Note("the parameter", place))


def _read_feature(frame: Frame, name: str, statement: tree.FeatureStatement, scope: Scope) -> Feature:
    found = Collector()
    factors: list[Param] = []
    over: list[tuple[Space, tree.Reference]] = []
    for reference in _factors(frame, statement.product):
        with found.attempt():
            factors.append(frame.param(reference, scope))
    for reference in statement.over:
        with found.attempt():
            space = frame.space(reference, scope)
            if any(space is other for other, _ in over):
                fail("QE081", f"`{space.name}` stands twice behind `over`", reference.span)
            over.append((space, reference))
    found.pass_on()
    _check_size(name, factors, statement, scope)
    contractions = [_contract(frame, space, reference, factors) for space, reference in over]
    for contraction, (space, reference) in zip(contractions, over, strict=True):
        _check_invariant(space, reference, contraction, factors)
    _check_orphans(over, contractions, factors)
    _check_connected(name, contractions, factors, statement)
    return Feature(name=name, factors=tuple(p.name for p in factors), over=tuple(s.name for s, _ in over))


def _factors(frame: Frame, product: tree.Reference) -> Iterator[tree.Reference]:
    """The parameters of `a.W . b.W`: a name that an `include` gave takes the next segment along."""
    includes = (s for s in frame.spec.statements if isinstance(s, tree.IncludeStatement))
    prefixes = {s.prefix.name.text for s in includes}
    run: list[tree.Segment] = []
    for segment in product.segments:
        run.append(segment)
        if not (segment.name.text in prefixes and segment is not product.segments[-1]):
            yield tree.Reference(tuple(run), segment.span)
            run = []


def _check_size(name: str, factors: Sequence[Param], statement: tree.FeatureStatement, scope: Scope) -> None:
    span = statement.product.span
    if len(factors) < 2:
        help = "a feature contracts two parameters, as in `A . B`"
        fail("QE081", f"feature `{name}` has one factor", span, help=help)
    axes = sum(len(p.axes) for p in factors)
    scope.budget.spend(span, STEPS_OF_AN_AXIS * axes)
    if axes > MOST_AXES:
        fail("QE064", f"the factors have {axes} axes together, and a product has at most {MOST_AXES}", span)


def _contract(frame: Frame, space: Space, reference: tree.Reference, factors: Sequence[Param]) -> Contraction:
    """The two axes that meet over a space."""
    places = [
        (n, k) for n, p in enumerate(factors) for k, axis in enumerate(p.axes) if axis.space == space.name
    ]
    sharing = list(dict.fromkeys(n for n, _ in places))
    if len(sharing) < 2:
        notes = [_declared(frame, p) for p in {p.name: p for p in factors}.values()]
        fail("QE081", f"`{space.name}` is not an axis of two of the factors", reference.span, *notes[:2])
    if len(places) > 2:
        crowded = next((n for n in sharing if sum(m == n for m, _ in places) > 1), None)
        what = f"{len(sharing)} factors have an axis of it"
        if crowded is not None:
            count = sum(m == crowded for m, _ in places)
            what = f"`{factors[crowded].name}` has {count} axes of it"
        message = f"the contraction over `{space.name}` is ambiguous: {what}"
        help = "it joins one axis of one factor with one axis of another"
        fail("QE083", message, reference.span, _declared(frame, factors[crowded or 0]), help=help)
    return places[0], places[1]


def _declared(frame: Frame, p: Param) -> Note:
    return Note(f"`{p.name}` is declared here", frame.tables.params.places.get(p.name))


def _check_invariant(
    space: Space, reference: tree.Reference, contraction: Contraction, factors: Sequence[Param]
) -> None:
    """Fail unless summing over the two axes commutes with the group of the space."""
    (m, _), (n, _) = contraction
    first, second = (_axis(place, factors) for place in contraction)
    names = f"`{factors[m].name}` and `{factors[n].name}`"
    if space.vector == "linear" and first.dual == second.dual:
        kind = "contravariant" if first.dual else "covariant"
        message = f"`{space.name}` is {kind} in both {names}: under `linear` no sum over it is equivariant"
        help = f"one of the two axes must be the dual, `{space.name}*`"
        fail("QE084", message, reference.span, help=help)
    for character, a, b in zip(space.characters, first.charges, second.charges, strict=True):
        total = (a + b) % 2 if character.word == "sign" else a + b
        if total:
            where = f"{a} in `{factors[m].name}`, {b} in `{factors[n].name}`"
            message = f"the charges of `{character.text}` on `{space.name}` do not cancel: {where}"
            help = "charges that are summed over add up to 0; those of `sign` to an even number"
            fail("QE084", message, reference.span, help=help)


def _axis(place: Place, factors: Sequence[Param]) -> Axis:
    return factors[place[0]].axes[place[1]]


def _check_orphans(
    over: Sequence[tuple[Space, tree.Reference]],
    contractions: Sequence[Contraction],
    factors: Sequence[Param],
) -> None:
    """Fail if an axis that is summed has another one inside that is not."""
    summed = {place for contraction in contractions for place in contraction}
    for contraction, (space, reference) in zip(contractions, over, strict=True):
        for n, k in contraction:
            axes = factors[n].axes
            for j, axis in enumerate(axes):
                if k in lineage(axes, j) and (n, j) not in summed:
                    message = f"`{axis.space}` in `{factors[n].name}` belongs to an axis that is summed over"
                    help = f"contract over `{axis.space}` too, or leave `{space.name}` out"
                    fail("QE084", message, reference.span, help=help)


def _check_connected(
    name: str,
    contractions: Sequence[Contraction],
    factors: Sequence[Param],
    statement: tree.FeatureStatement,
) -> None:
    """Fail unless the contractions join all factors into one product."""
    joined = {0}
    for _ in factors:
        for (m, _k), (n, _j) in contractions:
            if m in joined or n in joined:
                joined |= {m, n}
    apart = next((n for n in range(len(factors)) if n not in joined), None)
    if apart is not None:
        message = f"nothing joins `{factors[apart].name}` with `{factors[0].name}` in feature `{name}`"
        help = "name a space that each factor shares with another"
        fail("QE081", message, statement.product.span, help=help)
