"""What is claimed of inputs and outputs: the types of tensors that belong to parameters.

Takes types, refuses those that do not obey a law.
"""

from __future__ import annotations

from qecompile.spec import Spec
from qecompile.verify.canonical import param_type
from qecompile.verify.refused import Refused
from qecompile.verify.types import Type


def tensor_type(spec: Spec, param: str, shape: tuple[int, ...], channels_last: bool = True) -> Type:
    """The type of a tensor [batch, *axes, *channels] (or [batch, *channels, *axes]) of a parameter."""
    p = spec.params[param]
    extra = len(shape) - 1 - len(p.axes)
    channels = shape[1 + len(p.axes) :] if channels_last else shape[1 : 1 + extra]
    if extra < 0 or shape != (
        (shape[0], *p.shape, *channels) if channels_last else (shape[0], *channels, *p.shape)
    ):
        raise Refused(f"a tensor of shape {list(shape)} is no {param}, which has shape [batch, {p.shape}]")
    return param_type(spec, p, shape[0], channels, channels_last)


def check_invariant(t: Type) -> None:
    """Refuse unless nothing acts on the value.

    Raises:
        Refused: the group, or an alpha, moves it.
    """
    if t.is_invariant:
        return
    moved = [a.name for a in t.atoms.values() if a.kind not in ("batch", "free") and not t.is_uniform(a)]
    moved += [c.character.space or f"alpha {c.character.name}" for c in t.charges]
    shown = ", ".join(f"`{m}`" for m in dict.fromkeys(moved)) or "a condition that may fail"
    raise Refused(f"it is moved by {shown}", "pool over these axes, and cancel charges")
