"""Obligation (d), types: the networks of an emitted file are typed, every operation by its rule.

Takes a module of emitted shape, gives the obligation. `MetaNet` is typed whole; of the other classes those
that it does not contain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType

from torch import nn

from qecompile.spec import Spec
from qecompile.verify.claims import ClaimError, Output
from qecompile.verify.equivariance import Verdict, check_module
from qecompile.verify.imported import public_classes
from qecompile.verify.obligations import Obligation, fails, holds

ROLES: dict[str, tuple[tuple[int, ...], Output]] = {  # those that contain others first
    "InvariantReadout": ((2, 3), "invariant"),
    "EquivariantReadout": ((2,), "equivariant"),
    "Activation": ((2,), "equivariant"),
    "EquivariantLinear": ((2, 3), "equivariant"),
    "Invariants": ((2, 2), "invariant"),
}


def prove_types(spec: Spec, module: ModuleType, first_channels: int = 1) -> Obligation:
    """Type every network of an emitted file; one that cannot be made, or that a rule fails on, is refused."""
    try:
        return _prove_types(spec, module, first_channels)
    except Exception as mistake:  # of the file's code, or of a rule: either way there is no derivation
        return fails("types", f"no derivation: {type(mistake).__name__}: {mistake}")


def _prove_types(spec: Spec, module: ModuleType, first_channels: int) -> Obligation:
    classes = public_classes(module)
    verdicts: dict[str, Verdict] = {}
    reached: set[type] = set()
    if "MetaNet" in classes:
        net = classes["MetaNet"]()
        reached = {type(part) for part in net.modules()}
        channels = None if first_channels == 1 else first_channels
        verdicts["MetaNet"] = _verdict(lambda: check_module(spec, net, channels=channels, search=False))
    for name, (arguments, output) in ROLES.items():
        if name in classes and classes[name] not in reached:
            made: nn.Module = classes[name](*arguments)
            reached |= {type(part) for part in made.modules()}
            verdicts[name] = _verdict(
                lambda made=made, n=arguments[0], output=output: check_module(  # type: ignore[misc]
                    spec, made, channels=n, output=output, search=False
                )
            )
    for name, verdict in verdicts.items():
        if not verdict.ok:
            return fails("types", f"{name}: {verdict}")
    return types_hold(verdicts.values())


def types_hold(verdicts: Iterable[Verdict]) -> Obligation:
    """The obligation that follows from verdicts which all are positive."""
    found = list(verdicts)
    claims = [v.claim for v in found]
    return holds(
        "types",
        modules=len(found),
        operations=sum(len(v.steps) for v in found),
        equivariant=claims.count("equivariant"),
        quasi=claims.count("quasi-equivariant"),
        invariant=claims.count("invariant"),
    )


def _verdict(check: Callable[[], Verdict]) -> Verdict:
    """What the type system says; what it cannot even begin with is a refusal too."""
    try:
        return check()
    except ClaimError as mistake:
        return Verdict(False, "refused", notes=(str(mistake),))
