"""Quasi-equivariance: what raw values may do to typed ones, and when that is the action of one group element.

Takes an operation with typed and raw arguments, gives the type of the result; takes the types of all outputs,
decides whether they make a quasi-equivariant map.

*Statement.* A quasi-equivariant value is v = alpha(theta) . u with u strictly typed. Multiplying by positive
raw numbers a(theta) adds a charge of the raw character `a`, read at the indices that a varies along;
contracting a vector axis with an invertible raw matrix moves it into another frame. These keep the books for
u: every rule treats them as charges and frames of the group, so that nothing mixes what was moved
differently, and what is without them in its type is without alpha. At the end alpha must act as one group
element (`orbit_claim.py`): each raw character stands for one character of one space, with the power that the
charge of each axis asks for, and all vector axes of one space are in one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from qecompile.verify.atoms import Atom, Character, Charge, Frame, Owner
from qecompile.verify.canonical import make
from qecompile.verify.raw import Raw
from qecompile.verify.raw_results import test_type
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call
from qecompile.verify.rules.contracting import parse_equation
from qecompile.verify.rules.movement import expand_type
from qecompile.verify.types import Type
from qecompile.verify.unify import Label, product

Term = tuple[Type | Raw, list[Label]]


def apply_raw(call: Call) -> Type | None:
    """The type of a product of typed values with one raw one; None if the operation is no such product."""
    match call.name:
        case "mul" | "multiply" | "div" | "divide" if call.get("rounding_mode") is None:
            one, other = call.given.get("self"), call.given.get("other")
            if isinstance(one, Type) and isinstance(other, Raw) and _is_factor(other):
                return multiply_raw(one, other, Fraction(1 if "mul" in call.name else -1), call.op.shape)
            if isinstance(one, Raw) and isinstance(other, Type) and "mul" in call.name and _is_factor(one):
                return multiply_raw(other, one, Fraction(1), call.op.shape)
        case "gt" | "ne" if call.given.get("other") == 0:
            one = call.given.get("self")
            return test_type(one) if isinstance(one, Raw) else None
        case "einsum":
            equation, values = call.get("equation"), call.get("tensors")
            if isinstance(equation, str) and isinstance(values, tuple):
                terms, out = parse_equation(equation, [len(v.shape) for v in values])
                return _contract(list(zip(values, terms, strict=True)), out)
        case "matmul" | "bmm" | "mm":
            one = call.given.get("self")
            other = call.given.get("other", call.given.get("mat2"))
            if isinstance(one, (Type, Raw)) and isinstance(other, (Type, Raw)):
                return _matmul(one, other)
    return None


def _is_factor(raw: Raw) -> bool:
    """Whether a raw value is a factor of an alpha, or was meant to be one: it is bounded."""
    return raw.positive or (raw.interval[0] > -10 and raw.interval[1] < 10)


MOVERS = ("invertible", "rotation")


def _is_mover(raw: Raw) -> bool:
    """Whether a raw value is a matrix of an alpha, or was meant to be one."""
    square = len(raw.shape) > 1 and raw.shape[-1] == raw.shape[-2]
    return square and ((raw.matrix is not None and raw.matrix.kind in MOVERS) or _is_factor(raw))


# --- positive numbers -------------------------------------------------------------------------------------


def multiply_raw(t: Type, raw: Raw, power: Fraction, shape: Sequence[int]) -> Type:
    """A typed value times positive raw numbers, or divided by them."""
    if not raw.positive:
        low, high = raw.interval
        raise Refused(
            f"a tensor is multiplied by numbers between {low:g} and {high:g} that obey no law "
            f"({raw.refusal.name}: {raw.refusal.reason})",
            "a factor 1 + epsilon sin(.) stays in the group for epsilon below 1 only",
        )
    t = expand_type(t, tuple(shape))
    behind = len(shape) - len(raw.shape)
    along: dict[int, Atom] = {}
    for d, axis in enumerate(raw.axes):
        if axis is not None:
            along[axis] = _single(t, d + behind)
    t = _loosened(t, {a.id for a in along.values()})
    subject = tuple(along[axis].id for axis in sorted(along))
    charge = Charge(Character("", raw.base, "raw"), subject, power * raw.power)
    return make(t.dims, (*t.charges, charge), t.links, t.guards, t.zero)


def _single(t: Type, d: int) -> Atom:
    """The only atom of a dimension along which raw numbers vary."""
    if len(t.dims[d]) != 1:
        raise Refused("raw numbers vary along a merged axis", "multiply before axes are merged")
    (atom,) = t.dims[d]
    if atom.kind in ("vector", "pair"):
        raise Refused(
            f"raw numbers vary along the vector axis `{atom.name}`: no element of the group does that"
        )
    if atom.places and atom.places != tuple(range(atom.size)):  # else charges are read at wrong places
        raise Refused("raw numbers vary along picked places", "multiply before places are picked")
    return atom


def _loosened(t: Type, along: set[int]) -> Type:
    """The type without statements that factors along these atoms make untrue: constant, equal, epsilon."""
    groups = {a.group for a in t.atoms.values() if a.id in along and a.kind in ("equal", "epsilon", "turn")}
    dims = [[replace(a, kind="free", group=0) if a.group in groups else a for a in dim] for dim in t.dims]
    return replace(t, dims=tuple(map(tuple, dims)))


# --- matrices ---------------------------------------------------------------------------------------------


def _matmul(one: Type | Raw, other: Type | Raw) -> Type | None:
    ranks = len(one.shape), len(other.shape)
    if min(ranks) < 2:
        return None
    wide = max(ranks) - 2
    batch = [list(range(wide - rank + 2, wide)) for rank in ranks]
    return _contract([(one, [*batch[0], "i", "k"]), (other, [*batch[1], "k", "j"])], [*range(wide), "i", "j"])


def _contract(terms: list[Term], out: Sequence[Label]) -> Type | None:
    """A contraction of typed values with one raw one: numbers, or matrices that move a vector axis."""
    raws = [(v, labels) for v, labels in terms if isinstance(v, Raw)]
    typed = [(v, labels) for v, labels in terms if isinstance(v, Type)]
    if len(raws) != 1 or not typed:
        return None
    raw, mine = raws[0]
    theirs = {label for _, labels in typed for label in labels}
    if set(mine) <= theirs & set(out) and len(set(mine)) == len(mine) and _is_factor(raw):
        t = product(typed, out)
        places = {label: axis for label, axis in zip(mine, raw.axes, strict=True)}
        spread = replace(raw, shape=t.shape, axes=tuple(places.get(label) for label in out), matrix=None)
        return multiply_raw(t, spread, Fraction(1), t.shape)
    if len(mine) < 2 or not _is_mover(raw):
        return None
    *front, row, column = mine
    for new, old, turned in ((row, column, False), (column, row, True)):
        fits = new in out and new not in theirs and old in theirs and old not in out
        if fits and set(front) <= theirs & set(out):
            renamed = [(t, [new if label == old else label for label in labels]) for t, labels in typed]
            return _moved(product(renamed, out), raw, list(out), front, new, turned)
    return None


def _moved(t: Type, raw: Raw, out: list[Label], front: list[Label], new: Label, turned: bool) -> Type:
    """The type after the vector axis at label `new` has been moved by the matrices of a raw value."""
    atom, known = _vector(t, out.index(new)), raw.matrix
    if raw.shape[-1] != atom.size:
        raise Refused(f"`{atom.name}` is multiplied by a matrix of size {raw.shape[-1]}, which is broadcast")
    if known is None or known.kind not in MOVERS:
        low, high = raw.interval
        raise Refused(
            f"`{atom.name}` is moved by matrices with entries between {low:g} and {high:g} that obey no law "
            "and are not proved invertible",
            f"I + epsilon sin(.) stays in the group for epsilon below 1/{atom.size} only",
        )
    inverse, transposed = known.inverse, known.transposed != turned
    if known.kind == "rotation":
        inverse, transposed = inverse != transposed, False
    elif atom.word != "linear":
        raise Refused(
            f"the vector axis `{atom.name}` leaves the group: the matrix is not proved to be a rotation"
        )
    if known.kind != "rotation" and transposed != atom.dual:
        raise Refused(
            f"the vector axis `{atom.name}` is moved by the wrong matrix of an alpha",
            "a vector is moved by M, a dual one by the transposed inverse of M",
        )
    backwards = inverse != (atom.dual if known.kind != "rotation" else False)
    axes = dict(zip(front, raw.axes[:-2], strict=True))
    along: dict[int, Owner] = {}
    loose: set[int] = set()
    for label, axis in axes.items():
        if axis is not None:
            along[axis] = _single(t, out.index(label)).id
            loose.add(_single(t, out.index(label)).id)
    t = _loosened(t, loose)
    frame = Frame(known.name + ("^-1" if backwards else ""), tuple(along[k] for k in sorted(along)))
    dims = [[replace(a, frame=(*a.frame, frame)) if a.id == atom.id else a for a in dim] for dim in t.dims]
    return with_dims(t, dims)


def _vector(t: Type, d: int) -> Atom:
    dim = t.dims[d]
    if len(dim) != 1 or dim[0].kind != "vector":
        shown = " ".join(a.name for a in dim) or "1"
        raise Refused(f"the axis ({shown}) is mixed by matrices that obey no law")
    return dim[0]
