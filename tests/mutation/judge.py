"""What is said about a mutant: by `prove`, and by the type system alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from qecompile.verify.equivariance import check_module

from .effect import INS, OUTS
from .loading import load, parts_of
from .variants import Variant

COMPOSED = ("InvariantReadout", "EquivariantReadout", "MetaNet")


@dataclass(frozen=True)
class Verdict:
    """Who refused a mutant, and why.

    Attributes:
        types: the refusal of the type system alone, if it refused a part.
        obligation: the first obligation of `prove` that failed, if one did.
        detail: what that obligation said.
    """

    types: str | None = None
    obligation: str | None = None
    detail: str = ""

    @property
    def refused(self) -> bool:
        """Whether `prove` refused the mutant."""
        return self.obligation is not None


def judge(variant: Variant, text: str, changed: tuple[str, ...], broken: tuple[str, ...]) -> Verdict:
    """Have a mutant judged whose named parts differ, some of them breaking their law."""
    return Verdict(types=type_refusal(variant, text, changed, broken))


def type_refusal(
    variant: Variant, text: str, changed: tuple[str, ...], broken: tuple[str, ...] = ()
) -> str | None:
    """The first refusal of the type system, on one line.

    Networks are made of the other parts, so they are looked at where no other part differs, or where no
    other part breaks its law.
    """
    simple = [name for name in changed if not name.startswith(COMPOSED)]
    if not simple or (broken and not set(broken) & set(simple)):
        simple += [name for name in changed if name not in simple]
    order = sorted(simple, key=lambda name: name not in broken)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = {part.name: part for part in parts_of(load(text), INS, OUTS)}
        for name in order:
            part = parts[name]
            verdict = check_module(variant.spec, part.module, channels=part.channels, search=False)
            if not verdict.ok:
                return f"{name}: {' '.join(str(verdict.refusal).split())}"
    return None
