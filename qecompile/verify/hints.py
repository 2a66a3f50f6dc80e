"""What is known of values that obey no law: logarithms, and their laws where no sign is changed.

Takes an operation with such arguments, or one whose rule was refused, gives types for its results where these
follow (`logs.py`, `mirrors.py`), or raw values that know more of themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qecompile.verify.logs import Logarithm, new_log, of_logs
from qecompile.verify.mirrors import Mirrors, is_of_sign, plain_results
from qecompile.verify.raw import Raw
from qecompile.verify.rules.call import Call
from qecompile.verify.types import Type

Hint = Type | Logarithm | None  # of a result: its type; a type with guards of signs is no more than a hint


def hints(call: Call, mirrors: Mirrors) -> Sequence[Hint]:
    """What is known of each result; nothing if there are none."""
    found = of_logs(call)
    if found is None and (log := new_log(call)) is not None:
        found = (Logarithm(log),)
    if found is not None:
        return found
    plain = plain_results(call) or ()
    if len(plain) == 1 and plain[0] is not None:
        return (mirrors.symmetrised(call, plain[0]),)
    return plain


def settled(found: Sequence[Hint]) -> Type | tuple[Type, ...] | None:
    """The types of all results, if they are known."""
    types = tuple(t for t in found if isinstance(t, Type) and not any(map(is_of_sign, t.guards)))
    if not types or len(types) < len(found):
        return None
    return types[0] if len(types) == 1 else types


def with_hint(value: Type | Raw, hint: Hint) -> Type | Raw:
    """A raw value with what is known of it."""
    if not isinstance(value, Raw) or hint is None:
        return value
    if isinstance(hint, Logarithm):
        return replace(value, log=hint.of)
    return replace(value, plain=hint) if any(map(is_of_sign, hint.guards)) else hint
