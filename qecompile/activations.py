"""Which nonlinearities the type of a feature allows (theory.md, section 2).

A pointwise function f commutes with the group if: all charges are 0 and there is no vector axis (any f);
only positive factors act (f(sx) = s f(x) for s > 0, `positive` homogeneity); only signs act (f odd).
Positive factors and signs together, and matrices, leave only gating: x times a function of invariants.
"""

from __future__ import annotations

from dataclasses import dataclass

from qecompile.errors import Diagnostic, SymError
from qecompile.spec import Param, Spec


@dataclass(frozen=True, slots=True)
class Function:
    """A pointwise function: how it is written, and which factors it commutes with."""

    name: str
    source: str
    homogeneous: bool = False
    odd: bool = False


FUNCTIONS = {
    f.name: f
    for f in (
        Function("relu", "F.relu({})", homogeneous=True),
        Function("leaky_relu", "F.leaky_relu({})", homogeneous=True),
        Function("abs", "{}.abs()", homogeneous=True),
        Function("tanh", "{}.tanh()", odd=True),
        Function("sin", "{}.sin()", odd=True),
        Function("atan", "{}.atan()", odd=True),
        Function("asinh", "{}.asinh()", odd=True),
        Function("softsign", "F.softsign({})", odd=True),
        Function("hardtanh", "F.hardtanh({})", odd=True),
        Function("signed_square", "_signed_square({})", odd=True),
        Function("identity", "{}", homogeneous=True, odd=True),
        Function("cos", "{}.cos()"),
        Function("elu", "F.elu({})"),
        Function("gelu", "F.gelu({})"),
        Function("mish", "F.mish({})"),
        Function("relu6", "F.relu6({})"),
        Function("selu", "F.selu({})"),
        Function("sigmoid", "{}.sigmoid()"),
        Function("silu", "F.silu({})"),
        Function("softplus", "F.softplus({})"),
    )
}
UNSPECIFIC = ("auto", "gate")
"""Activations that adapt to every type."""

NAMES = (*UNSPECIFIC, *sorted(FUNCTIONS))


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a function is not allowed: a space, the word that forbids it, and what that word does."""

    space: str
    word: str
    why: str


def obstacles(spec: Spec, p: Param) -> tuple[Obstacle, ...]:
    """Everything that acts on single entries of a parameter by more than a permutation."""
    found = []
    for axis in p.axes:
        space = spec.space[axis.space]
        if space.vector is not None:
            found.append(Obstacle(space.name, space.vector, "mixes the entries of an axis"))
        for character, charge in zip(space.characters, axis.charges, strict=True):
            if character.word == "sign" and charge % 2:
                found.append(Obstacle(space.name, "sign", "turns the sign of entries"))
            elif character.word != "sign" and charge:
                found.append(Obstacle(space.name, character.word, "multiplies entries by positive numbers"))
    return tuple(found)


def allows(function: Function, obstacle: Obstacle) -> bool:
    """Whether a function commutes with what one word does."""
    if function.name == "identity":
        return True
    match obstacle.word:
        case "sign":
            return function.odd
        case "scale" | "dilate":
            return function.homogeneous
        case _:
            return False


def choose_activation(spec: Spec, p: Param, wanted: str = "auto") -> Function | None:
    """The function for one parameter's features; None means gating by invariants.

    Raises:
        SymError: `wanted` is not known, or the type of the parameter forbids it.
    """
    if wanted == "gate":
        return None
    against = obstacles(spec, p)
    if wanted == "auto":
        preferred = (FUNCTIONS["relu"], FUNCTIONS["tanh"])
        return next((f for f in preferred if all(allows(f, o) for o in against)), None)
    if wanted not in FUNCTIONS:
        known = ", ".join(NAMES)
        raise SymError([Diagnostic("QE701", f"unknown activation `{wanted}`", help=f"known are {known}")])
    function = FUNCTIONS[wanted]
    for obstacle in against:
        if not allows(function, obstacle):
            raise SymError([_forbidden(p, function, obstacle, against)])
    return function


def _forbidden(p: Param, function: Function, obstacle: Obstacle, against: tuple[Obstacle, ...]) -> Diagnostic:
    allowed = sorted(n for n, f in FUNCTIONS.items() if all(allows(f, o) for o in against))
    return Diagnostic(
        "QE702",
        f"`{obstacle.word}` on space `{obstacle.space}` forbids the activation `{function.name}` "
        f"on `{p.name}`: it {obstacle.why}",
        help=f"use auto, gate{''.join(f', {n}' for n in allowed)}",
    )
