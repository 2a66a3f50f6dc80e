"""What is known of values that obey no law: logarithms, and their laws where no sign is changed.

Takes an operation with such arguments, or one whose rule was refused, gives types for its results where these
follow (`logs.py`, `mirrors.py`), or raw values that know more of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qecompile.verify.components import Form, combined, component_forms, stacked
from qecompile.verify.logs import Logarithm, new_log, of_logs
from qecompile.verify.mirrors import Mirrors, is_of_sign, plain_results
from qecompile.verify.raw import Raw
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type

Hint = (
    Type | Logarithm | Form | None
)  # of a result: its type; a type with guards of signs is no more than a hint


def hints(call: Call, mirrors: Mirrors) -> Sequence[Hint]:
    """What is known of each result; nothing if there are none."""
    found = of_logs(call)
    if found is None and (log := new_log(call)) is not None:
        found = (Logarithm(log),)
    if found is not None:
        return found
    if forms := _forms(call):
        return forms
    plain = plain_results(call) or ()
    if len(plain) == 1 and plain[0] is not None:
        return (mirrors.symmetrised(call, plain[0]),)
    return plain


def _forms(call: Call) -> Sequence[Hint]:
    """What components of vectors, and forms of them, make."""
    if call.name == "stack" and isinstance(given := call.get("tensors"), tuple):
        parts = [v.form for v in given if isinstance(v, Raw) and isinstance(v.form, Form)]
        made = stacked(parts, call.integer("dim", 0)) if len(parts) == len(given) else None
        return (made,) if made else ()
    forms = {n: v.form for n, v in call.given.items() if isinstance(v, Raw) and isinstance(v.form, Form)}
    if forms:
        combination = combined(call, forms)
        return (combination,) if combination else ()
    return component_forms(call) or ()


def settled(found: Sequence[Hint]) -> Type | tuple[Type, ...] | None:
    """The types of all results, if they are known."""
    types = tuple(t for t in found if isinstance(t, Type) and not any(map(is_of_sign, t.guards)))
    if not types or len(types) < len(found):
        return None
    return types[0] if len(types) == 1 else types


def rule_of(call: Call) -> str:
    """What a proof calls a type that was found by way of values without one."""
    given = [part for v in call.given.values() for part in (v if isinstance(v, tuple) else (v,))]
    raws = [v for v in given if isinstance(v, Raw)]
    return (
        "logarithm"
        if any(v.log for v in raws)
        else "components"
        if any(v.form for v in raws)
        else "mirror images"
    )


def with_hint(value: Type | Raw, hint: Hint) -> Type | Raw:
    """A raw value with what is known of it."""
    if not isinstance(value, Raw) or hint is None:
        return value
    if isinstance(hint, Logarithm):
        return replace(value, log=hint.of)
    if isinstance(hint, Form):
        return replace(value, form=hint)
    return replace(value, plain=hint) if any(map(is_of_sign, hint.guards)) else hint
