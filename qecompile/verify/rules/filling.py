"""Rules for constants that are made in the shape of another tensor."""

from __future__ import annotations

from qecompile.verify.atoms import uniform
from qecompile.verify.canonical import make
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.movement import expand_type
from qecompile.verify.types import Type


@rule("zeros", "zeros zeros_like new_zeros zero")
def zeros(call: Call) -> Type:
    """0 obeys every law."""
    return make([(uniform(n),) for n in call.op.shape], zero=True)


@rule("ones", "ones ones_like new_ones scalar_tensor")
def ones(call: Call) -> Type:
    """A constant is uniform: unchanged by every permutation."""
    return make([(uniform(n),) for n in call.op.shape])


@rule("full", "full full_like new_full fill")
def full(call: Call) -> Type:
    """One number everywhere is uniform, and has the law of that number."""
    return expand_type(call.type("fill_value" if "fill_value" in call.given else "value"), call.op.shape)


@rule("empty", "empty empty_like new_empty")
def empty(call: Call) -> Type:
    """No law: what is in there is not known."""
    raise Refused("a tensor without values is read", "use zeros")


RULES: tuple[Rule, ...] = (zeros, ones, full, empty)
