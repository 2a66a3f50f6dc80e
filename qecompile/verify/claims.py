"""What a module claims: which of its outputs transforms as which parameter, and which do not change.

Takes nested outputs (tensors, or what stands for them in a graph) and a spec, gives one `Claim` a leaf. An
output is called by its keys and positions joined by dots: `W[1]` in a dict, `0.W[1]` where that dict is the
first of a tuple, and an output that is one tensor has the empty name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from qecompile.spec import Param, Spec
from qecompile.verify.graph import Ref

Output = Literal["equivariant", "invariant"]


class ClaimError(ValueError):
    """It is not clear what is claimed."""


class MisshapenError(ValueError):
    """An output does not have the shape of what it should be."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One output: where it stands, its value, and the parameter whose type it has; None if invariant."""

    path: tuple[str | int, ...]
    value: object
    param: Param | None

    @property
    def label(self) -> str:
        """The name of the output."""
        return ".".join(map(str, self.path))

    def __str__(self) -> str:
        name = f"output `{self.label}`" if self.label else "the output"
        return f"{name} is " + (f"equivariant as {self.param.name}" if self.param else "invariant")


def read_claims(
    outputs: object,
    spec: Spec,
    output: Output | None = None,
    types: Mapping[str, str | None] | None = None,
) -> tuple[Claim, ...]:
    """One claim for every tensor among the outputs.

    Args:
        outputs: nested dicts, tuples and lists.
        spec: of the parameters.
        output: what is claimed of all of them; by default those under the name of a parameter are
            equivariant and the others invariant.
        types: by name of an output, the parameter whose type it has, or None if it is invariant.

    Raises:
        ClaimError: an output that should be equivariant has no type.

    Example:
        >>> from qecompile.spec import Axis, Space
        >>> b = Param(name="b", axes=(Axis(space="h"),), shape=(4,))
        >>> spec = Spec(name="s", spaces=(Space(name="h", size=4, permuted=True),), parameters=(b,))
        >>> [str(claim) for claim in read_claims({"b": Ref("x"), "mean": Ref("y")}, spec)]
        ['output `b` is equivariant as b', 'output `mean` is invariant']
    """
    named = dict(types or {})
    if wrong := [name for name in named.values() if name is not None and name not in spec.params]:
        raise ClaimError(
            f"output_types: spec {spec.name} has no parameter {wrong[0]}; it has {[*spec.params]}"
        )
    found = []
    for keys, value in _leaves(outputs, ()):
        label = ".".join(map(str, keys))
        name = keys[-1] if keys and keys[-1] in spec.params and output != "invariant" else None
        name = named.pop(label, name)
        if name is None and output == "equivariant" and not (types and label in types):
            raise ClaimError(
                f"output `{label}` does not have the name of a parameter: say which type it has, with "
                f"output_types={{{label!r}: {next(iter(spec.params), '')!r}}} or the like"
            )
        found.append(Claim(keys, value, spec.params[name] if isinstance(name, str) else None))
    if named:
        raise ClaimError(f"there is no output `{next(iter(named))}`; there are {[c.label for c in found]}")
    if not found:
        raise ClaimError("the module gives no tensor")
    return tuple(found)


def _leaves(value: object, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], object]]:
    if isinstance(value, (torch.Tensor, Ref)):
        yield keys, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, (*keys, key))
    elif isinstance(value, (tuple, list)):
        for k, part in enumerate(value):
            yield from _leaves(part, (*keys, k))
    elif not isinstance(value, (int, float, bool, str, type(None))):
        raise ClaimError(
            f"the module gives a {type(value).__name__}: turn it into a dict of tensors with `unpack`"
        )
