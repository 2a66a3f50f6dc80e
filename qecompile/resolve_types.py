"""`param` statements: the axes of a type, their charges and the axes they belong to.

Takes the statements of a frame, fills its table of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from qecompile import tree
from qecompile.declarations import Frame, Tables
from qecompile.errors import Collector, Note, Span, SymError, fail, suggest
from qecompile.expressions import Scope, integer, turns
from qecompile.resolve_sources import read_source
from qecompile.spec import Axis, Param, Space
from qecompile.syntax_errors import HEADS

MOST_AXES = 32
STEPS_OF_AN_AXIS = 10


def declare_params(frame: Frame, statement: tree.ParamStatement) -> None:
    """Declare every instance of a `param` statement."""
    table = frame.tables.params
    family = table.open(frame.family(statement.segment), statement.segment.span)
    try:
        for turn in turns(statement.loops, frame.scope, statement.segment.span):
            _declare_one(frame, statement, turn)
    except SymError as mistakes:
        family.broken = True
        frame.tables.collector.absorb(mistakes)


def _declare_one(frame: Frame, statement: tree.ParamStatement, scope: Scope) -> None:
    table = frame.tables.params
    name = frame.full_name(statement.segment, scope)
    table.claim(name, frame.family(statement.segment), statement.segment)
    axes, spaces = read_type(frame, statement.type, scope)
    written = (*statement.type.out, *statement.type.into)
    source = read_source(statement.source, written, spaces, scope) if statement.source else None
    shape = tuple(s.size for s in spaces)
    table.entries[name] = Param(name=name, axes=axes, shape=shape, source=source)


def read_type(
    frame: Frame, written: tree.TypeTree, scope: Scope
) -> tuple[tuple[Axis, ...], tuple[Space, ...]]:
    """The axes of a type and their spaces; raises every mistake in them at once."""
    found = Collector()
    _check_count(written, scope)
    axes: list[Axis] = []
    spaces: list[Space] = []
    for axis, incoming in [*((a, False) for a in written.out), *((a, True) for a in written.into)]:
        try:
            space = frame.space(axis.space, scope)
            spaces.append(space)
            axes.append(_read_axis(axis, space, incoming, scope))
            _warn_of_charge(frame, axis, space)
        except SymError as mistakes:
            found.absorb(mistakes)
            if axis.space.segments[0].name.text in HEADS:
                break  # a statement that is written in another way, and was taken for axes
    found.pass_on()
    return _attach(axes, spaces, (*written.out, *written.into)), tuple(spaces)


def _check_count(written: tree.TypeTree, scope: Scope) -> None:
    axes = (*written.out, *written.into)
    if len(axes) > MOST_AXES:
        fail(
            "QE064",
            f"a type has at most {MOST_AXES} axes, and this has {len(axes)}",
            axes[MOST_AXES].space.span,
        )
    for axis in axes:
        scope.budget.spend(axis.space.span, STEPS_OF_AN_AXIS)


def _read_axis(written: tree.AxisTree, space: Space, incoming: bool, scope: Scope) -> Axis:
    """One axis; standing on the IN side dualises it once more."""
    duals = [m for m in written.marks if isinstance(m, tree.DualMark)]
    charged = [m for m in written.marks if not isinstance(m, tree.DualMark)]
    if len(duals) > 1:
        help = "the dual of a dual is the axis itself"
        fail(
            "QE063",
            f"`{space.name}` is made dual twice",
            duals[1].span,
            Note("first here", duals[0].span),
            help=help,
        )
    if len(charged) > 1:
        help = "one mark gives all charges, as in `a^{pre: 1, post: -1}`"
        note = Note("first here", charged[0].span)
        fail("QE063", f"`{space.name}` is given charges twice", charged[1].span, note, help=help)
    dual = bool(duals) != incoming
    charges = _read_charges(charged[0], space, scope) if charged else (1,) * len(space.characters)
    effective = tuple(-c for c in charges) if dual else charges
    return Axis(space=space.name, dual=dual and space.vector == "linear", charges=effective)


def _read_charges(mark: tree.ChargeMark | tree.ChargesMark, space: Space, scope: Scope) -> tuple[int, ...]:
    if isinstance(mark, tree.ChargesMark):
        return _read_named(mark, space, scope)
    if space.vector is not None and not space.characters:
        message = f"an axis of `{space.name}` has no charge: its group is `{space.group}`"
        fail("QE062", message, mark.span, help="charges count powers of `scale`, `sign` and `dilate`")
    return (integer(mark.charge, scope, "a number as charge"),) * len(space.characters)


def _warn_of_charge(frame: Frame, written: tree.AxisTree, space: Space) -> None:
    """A charge where there is nothing to have one is allowed, and often a slip."""
    marks = [m for m in written.marks if isinstance(m, tree.ChargeMark)]
    zero = marks and isinstance(marks[0].charge, tree.Number) and marks[0].charge.value == 0
    if marks and not zero and not space.characters:
        message = f"this charge has no effect: the group of `{space.name}` is `{space.group}`"
        help = f"leave it out; for two axes write `{written.space.segments[-1].name.text}` twice"
        frame.tables.warnings.error("QE065", message, marks[0].span, help=help)


def _read_named(mark: tree.ChargesMark, space: Space, scope: Scope) -> tuple[int, ...]:
    names = [c.name for c in space.characters]
    given: dict[str, int] = {}
    places: dict[str, tree.Word] = {}
    for word, charge in mark.charges:
        if word.text not in names:
            known = ", ".join(f"`{n}`" for n in names)
            help = suggest(word.text, names, f"its characters: {known}" if names else "it has no characters")
            message = f"space `{space.name}` has no character `{word.text}`"
            fail("QE061", message, word.span, help=help)
        if word.text in given:
            note = Note("first here", places[word.text].span)
            fail("QE063", f"the charge of `{word.text}` is given twice", word.span, note)
        places[word.text] = word
        given[word.text] = integer(charge, scope, "a number as charge")
    return tuple(given.get(name, 0) for name in names)


def _attach(
    axes: Sequence[Axis], spaces: Sequence[Space], written: Sequence[tree.AxisTree]
) -> tuple[Axis, ...]:
    """The axes, each with the position of the axis that it belongs to."""
    attached = []
    for position, (axis, space) in enumerate(zip(axes, spaces, strict=True)):
        if space.parent is not None:
            owner = nearest(space.parent, position, [s.name for s in spaces])
            if owner is None:
                message = f"an axis of `{space.name}` needs an axis of its parent `{space.parent}`"
                help = f"put `{space.parent}` before it"
                fail("QE060", message, written[position].space.span, help=help)
            axis = axis.model_copy(update={"parent": owner})
        attached.append(axis)
    return tuple(attached)


def nearest(parent: str, position: int, names: Sequence[str]) -> int | None:
    """The nearest position of `parent` left of `position`, else right of it.

    >>> nearest("head", 2, ["head", "qk", "vo", "head"])
    0
    """
    left = [n for n in range(position) if names[n] == parent]
    right = [n for n in range(position + 1, len(names)) if names[n] == parent]
    return left[-1] if left else next(iter(right), None)


def check_charges(tables: Tables) -> None:
    """Warn of characters by which no axis is multiplied, in none of the spaces that a statement declares."""
    acting = {
        (axis.space, k)
        for p in tables.params.entries.values()
        for axis in p.axes
        for k, (charge, character) in enumerate(
            zip(axis.charges, tables.spaces.entries[axis.space].characters, strict=True)
        )
        if (charge % 2 if character.word == "sign" else charge)
    }
    used = dict.fromkeys(axis.space for p in tables.params.entries.values() for axis in p.axes)
    alike: dict[Span, list[Space]] = {}
    for name in used:
        alike.setdefault(tables.spaces.places[name], []).append(tables.spaces.entries[name])
    for place, spaces in alike.items():
        for k, character in enumerate(spaces[0].characters):
            if not any((space.name, k) in acting for space in spaces):
                what = f"`{character.text}` of space `{spaces[0].name}`"
                message = f"{what} multiplies nothing: no axis has a charge of it"
                help = "leave the word out, or give an axis a charge"
                tables.warnings.error("QE066", message, place, help=help)
