"""Rules for square matrices over their last two axes: inverses, exponentials, determinants, solutions.

A matrix with axes (v, w*) transforms as A -> M A N^-1, so its inverse has axes (w, v*); with axes (i, j) of
one permuted space as A -> P D A D' P^T with diagonal D, D', so its inverse has the opposite charges.
"""

from __future__ import annotations

from dataclasses import replace

from qecompile.verify.atoms import Atom, Charge, fresh, show_charge
from qecompile.verify.canonical import make
from qecompile.verify.parts import is_constant
from qecompile.verify.references import with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, rule
from qecompile.verify.rules.pointwise import FUNCTIONS, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import product


def _matrix(call: Call) -> Type:
    return call.type("A" if "A" in call.given else "self")


def _axes(t: Type, name: str) -> tuple[Atom, Atom]:
    """The atoms of the last two axes."""
    if len(t.dims) < 2 or t.zero:
        raise Refused(f"`{name}` needs matrices")
    row, column = t.dims[-2:]
    if any(a.kind in ("vector", "pair", "epsilon", "turn") for dim in t.dims[:-2] for a in dim) or t.guards:
        raise Refused(
            f"`{name}` is not linear, and another axis of the matrices is a vector", "contract it first"
        )
    if len(row) != 1 or len(column) != 1:
        raise Refused(f"`{name}` of matrices with merged axes has no rule")
    for atom in (row[0], column[0]):
        if atom.kind not in ("vector", "index", "free", "equal", "epsilon", "turn"):
            raise Refused(f"`{name}` along `{atom.name}`")
        if any(map(is_constant, atom.parts)):
            raise Refused(f"`{name}` of a matrix whose entries have no space yet", "fill all blocks")
    check_apart(t, {row[0].id}, {column[0].id}, name)
    return row[0], column[0]


def check_apart(t: Type, rows: set[int], columns: set[int], name: str) -> None:
    """Refuse where an axis or a factor is one for every row and column at once, and no matrix on one side."""
    for here, there in ((rows, columns), (columns, rows)):
        owned = [t.atoms[k].name for k in there if any(t.depends(k, above) for above in here)]
        both = [show_charge(c) for c in t.charges if _reads(t, c, here) and _reads(t, c, there)]
        if owned or both:
            raise Refused(
                f"`{name}` of matrices in which every row has its own `{(owned or both)[0]}`",
                "the group must act on all rows as one matrix, and on all columns as one",
            )


def _reads(t: Type, charge: Charge, atoms: set[int]) -> bool:
    return any(t.depends(s, k) for s in charge.subject for k in atoms)


def _check_endomorphism(t: Type, name: str) -> None:
    """Both axes are of one copy, and A -> M A M^-1."""
    row, column = _axes(t, name)
    product([(t, [*range(len(t.dims) - 2), "both", "both"])], list(range(len(t.dims) - 2)))
    kinds = {row.kind, column.kind}
    if kinds not in ({"vector"}, {"index"}) and not kinds <= {"free", "equal", "turn"}:
        raise Refused(f"`{name}` of a matrix with axes `{row.name}` and `{column.name}`")


@rule("function of matrix", "matrix_exp linalg_matrix_exp matrix_power linalg_matrix_power")
def matrix_function(call: Call) -> Type:
    """F(M A M^-1) = M f(A) M^-1."""
    t = _matrix(call)
    _check_endomorphism(t, call.name)
    if t.charges:
        raise Refused(
            f"`{call.name}` is not homogeneous, and the matrix has charges", "divide the charges out first"
        )
    return replace(t, links=())


@rule("inverse", "inverse linalg_inv linalg_pinv")
def inverse(call: Call) -> Type:
    """(M A N^-1)^-1 = N A^-1 M^-1: rows and columns change places; of one number the reciprocal."""
    t = _matrix(call)
    if t.dims[-2:] == ((), ()) and not any(a.kind in ("vector", "pair") for a in t.atoms.values()):
        return apply_function(t, FUNCTIONS["reciprocal"], call.name)
    return _inverse_type(t, call)


def _inverse_type(t: Type, call: Call) -> Type:
    row, column = _axes(t, call.name)
    if "vector" in {row.kind, column.kind} and row.kind != column.kind:
        raise Refused(f"the inverse of a matrix with axes `{row.name}` and `{column.name}`")
    if call.name == "linalg_pinv" and ("linear" in {row.word, column.word} or t.charges):
        raise Refused("a pseudo-inverse does not follow changes of basis or scales", "use the inverse")
    turned = [replace(a, dual=not a.dual if a.word == "linear" else False) for a in (column, row)]
    charges = tuple(replace(c, power=-c.power) for c in t.charges)
    return make([*t.dims[:-2], (turned[0],), (turned[1],)], charges, (), t.guards)


@rule("solution", "linalg_solve")
def solve(call: Call) -> Type:
    """A^-1 B, with the type of the inverse; turns of the plane commute, and give a turn."""
    a, b = call.type("A"), call.type("B")
    if call.get("left", True) is not True:
        raise Refused("`solve` from the right has no rule", "transpose both sides")
    if len(b.dims) != len(a.dims):
        raise Refused("`solve` with a vector on the right has no rule", "use a matrix of one column")
    batch = list(range(len(a.dims) - 2))
    if _is_turn(a) and _is_turn(b):
        rest = [(with_dims(t, t.dims[:-2]), batch) for t in (_inverse_type(a, call), b)]
        turned, group = product(rest, batch), fresh()
        return with_dims(
            turned, [*turned.dims, *((Atom(fresh(), "turn", 2, group=group),) for _ in range(2))]
        )
    return product(
        [(_inverse_type(a, call), [*batch, "i", "k"]), (b, [*batch, "k", "j"])], [*batch, "i", "j"]
    )


def _is_turn(t: Type) -> bool:
    """Whether the matrices are turns of the plane, times numbers."""
    ends = [a for dim in t.dims[-2:] for a in dim]
    together = len({a.group for a in ends}) == 1
    return len(ends) == 2 and together and all(a.kind in ("turn", "epsilon") and a.size == 2 for a in ends)


def _keeps_volume(t: Type, atom: Atom) -> bool:
    """Whether nothing but rotations acts on an axis."""
    return atom.kind == "free" or t.is_uniform(atom) or (atom.kind == "vector" and atom.word == "rotate")


@rule("determinant", "det linalg_det logdet slogdet linalg_slogdet")
def determinant(call: Call) -> Result:
    """Det(M A M^-1) = det A, and det(A Q) = det A for rotations Q."""
    t = _matrix(call)
    if not all(_keeps_volume(t, atom) for atom in _axes(t, call.name)):
        _check_endomorphism(t, call.name)
    if t.charges:
        raise Refused("the determinant of a matrix with charges has no rule", "divide the charges out first")
    found = with_dims(t, t.dims[:-2])
    return (found, found) if "slogdet" in call.name else found


RULES: tuple[Rule, ...] = (matrix_function, inverse, solve, determinant)
