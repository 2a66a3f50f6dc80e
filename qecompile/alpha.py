"""Derived alpha-maps: for every space the identity component of its group, and how alpha is parametrised.

Takes a `Spec`, gives text and numbers. Builds nothing; `plan/alpha.py` decides how a network computes them.

*Statement* (theory.md, section 3). The space Theta of all weights is connected, so a continuous alpha: Theta
-> G that is the identity somewhere stays in the identity component of G, and is constant on every discrete
factor: there is none for `fixed`, `permute`, `sign`, and none on the components of GL(n) and O(n). With
gamma any continuous function of theta,

    scale, dilate     1 + eps sin(gamma)                 is positive                        for eps < 1;
    linear            I + eps sin(Gamma), entrywise:     the absolute row sums of what is   for eps < 1/n;
                      added to I are at most n eps, and below 1 it is invertible, on a path to I
    rotate,           (I - K)^-1 (I + K) of the skew     a rotation, since I - K has no     for every eps;
    orthogonal        K = eps (Gamma - Gamma^T):         eigenvalue 0

In floating point I - K is inverted with an error of about eps times that of a number: above 1000 single
precision gives no rotation any more, and such an epsilon is refused.

A covariant alpha on `linear` is I + eps sin(gamma) E with an equivariant endomorphism E = P Q^T whose
eigenvalues lie in the unit disc: those of the sum lie within eps of 1, so it is invertible for eps < 1,
whatever n is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fractions import Fraction

from qecompile.errors import Diagnostic
from qecompile.orbit import Factor, factors
from qecompile.spec import Alpha, MetaNet, Space, Spec

RAW_FAMILIES = ("shared", "independent")
MOST_TURN = 1000


@dataclass(frozen=True, slots=True)
class AlphaFactor:
    """What one space contributes: the identity component of all its copies, its dimension, and the map."""

    space: str
    component: str
    dim: int
    map: str


def alpha_factors(spec: Spec, family: str = "shared") -> tuple[AlphaFactor, ...]:
    """One factor per space, in order of declaration, with the map that a family of alphas has there.

    >>> h = Space(name="h", size=3, permuted=True)
    >>> q = Space(name="q", size=4, vector="linear", parent="h")
    >>> for f in alpha_factors(Spec(name="s", spaces=(h, q), parameters=())):
    ...     print(f.space, f.component, f.dim, f.map, sep=" | ")
    h | trivial | 0 | none: S(3) is discrete, so a continuous alpha is constant on it
    q | GL+(4)^3 | 48 | I + eps*sin(Gamma), 0 < eps < 1/4
    """
    return tuple(
        AlphaFactor(s.name, _component(s, f), f.total, "; ".join(_maps(s, family)))
        for s, f in zip(spec.spaces, factors(spec), strict=True)
    )


def epsilon_bound(space: Space, family: str = "shared") -> Fraction | None:
    """The number that epsilon stays below, so that alpha stays in the group; None if there is no alpha.

    >>> [epsilon_bound(Space(name="v", size=16, vector="linear"), f) for f in ("shared", "covariant")]
    [Fraction(1, 16), Fraction(1, 1)]
    """
    if space.vector == "linear":
        return Fraction(1, space.size if family in RAW_FAMILIES else 1)
    if any(c.word in ("scale", "dilate") for c in space.characters):
        return Fraction(1)
    return Fraction(MOST_TURN) if has_alpha(space) else None


def has_alpha(space: Space) -> bool:
    """Whether the identity component of the group of a space is more than the identity."""
    turns = space.vector == "linear" or (space.vector is not None and space.size > 1)
    return turns or any(c.word != "sign" for c in space.characters)


def tightest_bound(spaces: Iterable[Space], family: str) -> tuple[Fraction, Space] | None:
    """The least of the bounds on epsilon, and the first space that has it; None if there is no bound."""
    bounds = [(bound, s) for s in spaces if (bound := epsilon_bound(s, family)) is not None]
    return min(bounds, key=lambda found: found[0], default=None)


def check_epsilon(spaces: Collection[Space], alpha: Alpha) -> Diagnostic | None:
    """What is wrong with the epsilon of a clause: the space where it would leave the group, and the bound."""
    value = dict(alpha.options).get("epsilon")
    if not isinstance(value, int | float):
        return None
    bound, space = tightest_bound(spaces, alpha.family) or (Fraction(1), None)
    shown = repr(value).removesuffix(".0")
    if not value > 0:
        reason = "alpha would be the identity" if value == 0 else "it must be positive"
        help = f"epsilon lies between 0 and {bound}, both left out"
        return Diagnostic("QE094", f"epsilon is {shown}: {reason}", help=help)
    if value < bound:
        return None
    if space is None:
        return Diagnostic("QE094", f"epsilon is {shown}", help="it lies between 0 and 1, both left out")
    reason = _leaves(space, alpha.family)
    return Diagnostic(
        "QE094",
        f"epsilon is {shown}, which can take alpha out of the group of `{space.name}`: {reason}",
        help=f"choose epsilon below {bound}" + _other_way(space, alpha.family),
    )


def _leaves(space: Space, family: str) -> str:
    """Why epsilon is bounded on a space."""
    n = space.size
    if space.vector != "linear" and any(c.word != "sign" for c in space.characters):
        return "1 + eps*sin(gamma) is positive for eps < 1 only"
    if space.vector != "linear":
        return f"single precision gives no rotations above {MOST_TURN}"
    if family in RAW_FAMILIES:
        return f"I + eps*sin(Gamma), {n} x {n}, is invertible for eps < {Fraction(1, n)} only"
    return "I + eps*sin(gamma)*P*Q^T is invertible for eps < 1 only"


def _other_way(space: Space, family: str) -> str:
    if space.vector == "linear" and space.size > 1 and family == "shared":
        return ", or `covariant`, which any epsilon below 1 keeps in the group"
    return ""


def mixing_map(net: MetaNet) -> str | None:
    """The first map behind a layer that mixes its channels, as in "`linear2` mixes channels 16 -> 16"."""
    after = [*net.channels[2:], *(() if net.outputs else (1,))]
    for k, (a, b) in enumerate(zip(net.channels[1:], after, strict=False), start=2):
        if a > 1:
            mixer = f"linear{k}" if k <= len(net.channels) - 1 else "readout equivariant"
            return f"`{mixer}` mixes channels {a} -> {b}"
    return None


def check_mixing(spaces: Iterable[Space], net: MetaNet) -> Diagnostic | None:
    """What is wrong with an independent alpha: the first map that mixes channels moved apart."""
    if net.alpha is None or net.alpha.family != "independent" or not any(map(has_alpha, spaces)):
        return None
    mixes = mixing_map(net)
    if mixes is None:
        return None
    message = (
        "`alpha independent` gives every channel a group element of its own, "
        f"and {mixes}: equal functions would get unequal outputs"
    )
    help = (
        "use `shared` or `covariant`; `independent` is sound for one layer, as in `channels 1, 16`, "
        "with an invariant readout"
    )
    return Diagnostic("QE095", message, help=help)


def _component(space: Space, factor: Factor) -> str:
    """The identity component over all copies, as in `R>0^6 x SO(3)^2`."""
    count = factor.copies
    parts = []
    if space.vector == "linear":
        parts.append(_power(f"GL+({space.size})", count))
    elif space.vector is not None and space.size > 1:
        parts.append(_power(f"SO({space.size})", count))
    for c in space.characters:
        if c.word == "scale":
            parts.append(_power("R>0", count * space.size))
        elif c.word == "dilate":
            parts.append(_power("R>0", count))
    return " x ".join(parts) or "trivial"


def _power(group: str, count: int) -> str:
    return group if count == 1 else f"{group}^{count}"


def _maps(space: Space, family: str) -> list[str]:
    """The map of every word of a space, with its bound, or why there is none."""
    words = [("permute", "")] if space.permuted else []
    words += [(space.vector, "")] if space.vector else []
    words += [(c.word, "" if c.name == c.word else f"({c.name})") for c in space.characters]
    if not words:
        return ["none: the group is trivial"]
    found = [(word + name, _map(word, space, family)) for word, name in words]
    return [text for _, text in found] if len(found) == 1 else [f"{word}: {text}" for word, text in found]


def _map(word: str, space: Space, family: str) -> str:
    n = space.size
    constant = "so a continuous alpha is constant on it"
    match word:
        case "permute":
            return f"none: S({n}) is discrete, {constant}"
        case "sign":
            return f"none: {_power('{+1,-1}', n)} is discrete, {constant}"
        case "scale" | "dilate":
            return "1 + eps*sin(gamma), 0 < eps < 1"
        case "linear" if family in RAW_FAMILIES:
            return f"I + eps*sin(Gamma), 0 < eps < {'1' if n == 1 else f'1/{n}'}"
        case "linear":
            return "I + eps*sin(gamma)*P*Q^T equivariant, eigenvalues of P*Q^T in the unit disc, 0 < eps < 1"
        case _ if n == 1:
            group = "SO(1) is trivial" if word == "rotate" else "O(1) = {+1,-1} is discrete"
            return f"none: {group}, {constant}"
        case _ if family in RAW_FAMILIES:
            skew = "eps*(sin(Gamma) - sin(Gamma)^T), 0 < eps < 1000"
            return f"Cayley transform of {skew}"
        case _:
            return "Cayley transform of eps*sin(gamma)*K with K equivariant and skew, 0 < eps < 1000"
