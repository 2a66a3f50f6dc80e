"""The group in words: what each of its words means, and what happens to an axis."""

from __future__ import annotations

from collections.abc import Iterator

from qecompile.spec import Axis, Space, Spec

MEANING = {
    "fixed": "every index value has its own meaning and stays in place: inputs, classes, kernel offsets",
    "permute": "S(n): the index values are interchangeable, as neurons, channels, heads and experts are",
    "scale": "one positive number for each index value multiplies it, as for ReLU neurons",
    "sign": "+1 or -1 for each index value multiplies it, as for tanh and sine neurons",
    "linear": "GL(n): any change of basis of the whole axis, as of queries against keys",
    "orthogonal": "O(n): changes of orthonormal basis of the whole axis",
    "rotate": "SO(n): rotations of the whole axis, as of a plane of rotary positions",
    "dilate": "one positive number multiplies the whole axis",
}
"""The words of a group, for someone who meets them for the first time."""

_MATRICES = {"linear": "an invertible matrix", "orthogonal": "an orthogonal matrix", "rotate": "a rotation"}


def describe_axis(axis: Axis, spec: Spec) -> str:
    """What a group element does to one axis of a parameter.

    >>> h = Space(name="h", size=3, permuted=True)
    >>> describe_axis(Axis(space="h"), Spec(name="s", spaces=(h,), parameters=()))
    'permuted'
    """
    space = spec.space[axis.space]
    actions = "; ".join(_actions(axis, space))
    if not actions:
        return "stays in place"
    return f"{actions}, separately for each index of `{space.parent}`" if space.parent else actions


def _actions(axis: Axis, space: Space) -> Iterator[str]:
    if space.permuted:
        yield "permuted"
    if space.vector is not None:
        yield "multiplied by " + ("the inverse transpose of " * axis.dual) + _MATRICES[space.vector]
    for character, charge in zip(space.characters, axis.charges, strict=True):
        if character.word == "sign" and charge % 2:
            yield f"multiplied by the sign `{character.name}`"
        elif character.word != "sign" and charge:
            yield _multiplied(character.name, charge)


def _multiplied(name: str, charge: int) -> str:
    """How a character of a charge acts, as in "divided by the square of `scale`"."""
    verb = "multiplied" if charge > 0 else "divided"
    power = {1: "", 2: "the square of ", 3: "the cube of "}.get(abs(charge), f"power {abs(charge)} of ")
    return f"{verb} by {power}`{name}`"
