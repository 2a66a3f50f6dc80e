"""Rules for choices by a condition, and for values that have a law only where a condition holds.

`where(n > 0, n, 1)` has the law of n where n > 0, and none elsewhere. The result carries a guard that says
so; a later choice by the same condition, as in `where(n > 0, x / where(n > 0, n, 1), 0)`, takes it away.
"""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.atoms import Guard, Owner
from qecompile.verify.references import rename_guards, rename_owner
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.movement import expand_type
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import add, broadcast, merge, multiply

VIEWS = (
    "unsqueeze",
    "squeeze",
    "expand",
    "view",
    "reshape",
    "permute",
    "transpose",
    "clone",
    "alias",
    "detach",
)


@rule("choice", "where masked_fill")
def where(call: Call) -> Type:
    """Where(c, x, y): c of charge 0; each of x, y has its law where it is chosen."""
    if call.name == "masked_fill":
        mask, yes, no = "mask", call.type("value"), call.type()
    else:
        mask, yes, no = "condition", call.type(), call.type("other")
    return choose_by(call, mask, call.type(mask), yes, no)


def choose_by(call: Call, mask: str, t: Type, yes: Type, no: Type) -> Type:
    """The type of a choice by the argument `mask`, of which `t` is the type once it is in place."""
    condition = apply_function(replace(t, zero=False), Function(keeps_zero=True), "a condition")
    number, along = _condition(call, mask)
    return expand_type(_choose(condition, yes, no, number, along), call.op.shape)


def _condition(call: Call, name: str) -> tuple[str | None, tuple[int, ...]]:
    """The value number of a condition without its views, and the atoms along which it varies."""
    number, t, origin = call.numbers.get(name), call.type(name), call.origins.get(name)
    while origin is not None and origin.name in VIEWS:
        number, t, origin = origin.numbers.get("self"), origin.type(), origin.origins.get("self")
    return number, tuple(a.id for a in t.atoms.values() if not t.is_uniform(a))


def _choose(condition: Type, yes: Type, no: Type, number: str | None, along: tuple[int, ...]) -> Type:
    if yes.zero != no.zero:  # a product with the condition, or with its contrary
        kept = _released(no if yes.zero else yes, condition, number, along, side=no.zero)
        return multiply(condition if no.zero else replace(condition, links=()), kept)
    condition = replace(condition, links=())
    sides = [_released(t, condition, number, along, side) for t, side in ((yes, True), (no, False))]
    try:
        return multiply(condition, add(*sides))
    except Refused:
        constant = [_is_constant(t) for t in (yes, no)]
        if number is None or constant[0] == constant[1]:
            raise
        return _guarded(sides[constant[0]], condition, number, along, side=constant[1])


def _is_constant(t: Type) -> bool:
    """Whether a value does not depend on the weights that the group acts on, so that it may have no law."""
    return not t.charges and all(a.kind in ("free", "equal") for a in t.atoms.values())


def _guarded(kept: Type, condition: Type, number: str, along: tuple[int, ...], side: bool) -> Type:
    """The chosen value, with its law where the condition chooses it."""
    joint = merge(broadcast(condition, kept), "product")
    if not all(a in joint.names[0] for a in along):
        raise Refused("a condition is reshaped before it is used")
    there: tuple[Owner, ...] = tuple(rename_owner(a, joint.names[0]) for a in along)
    guarded = replace(joint.type, guards=(*joint.type.guards, Guard(number, side, there)))
    return replace(joint, type=guarded).arranged(range(max(len(kept.dims), len(condition.dims))))


def _released(t: Type, condition: Type, number: str | None, along: tuple[int, ...], side: bool) -> Type:
    """The value without the guards that the condition makes sure of."""
    if not any(g.condition == number and g.true == side for g in t.guards):
        return t
    joint = merge(broadcast(condition, t), "product")
    sure = Guard(number or "", side, tuple(rename_owner(a, joint.names[0]) for a in along))
    left = [g for g in t.guards if rename_guards([g], joint.names[1])[0] != sure]
    return replace(t, guards=tuple(left))


RULES: tuple[Rule, ...] = (where,)
