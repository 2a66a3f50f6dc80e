"""Rules that reduce axes: sums, extremes, norms, moments, order statistics.

Whatever is reduced must carry charge 0 along the axes that go, and nothing that stays may belong to them
(`references.reduce_atoms`). A sum is linear and lets every law of the rest through. Another reduction is a
function of many numbers, and lets through what its degree and parity allow, as in `pointwise.py`.
"""

from __future__ import annotations

from fractions import Fraction
from math import prod

from qecompile.verify.atoms import free
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, rule
from qecompile.verify.rules.joining import join
from qecompile.verify.rules.pointwise import FUNCTIONS, Function, apply_function
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type
from qecompile.verify.unify import multiply

DEGREE_1, DEGREE_1_EVEN = Function(Fraction(1), None, True), Function(Fraction(1), "even", True)
DEGREE_2_EVEN = Function(Fraction(2), "even", True)
NUMBERS = Function(Fraction(0), None)
TRUTHS = Function(Fraction(0), "even")


def _over(call: Call) -> tuple[int, ...]:
    """The dimensions that are reduced: all, where none are named."""
    return call.dims("dim")


@rule("sum", "sum mean nansum nanmean")
def sum_rule(call: Call) -> Type:
    """Sum_i x[i]: charge 0 along i, and no copy of anything left at i."""
    t = call.type()
    if call.name.startswith("nan"):  # which entries are NaN survives factors, not a change of basis
        t = apply_function(t, FUNCTIONS["neg"], call.name)
    return reduce_dims(t, _over(call), bool(call.get("keepdim", False)))


SYMMETRIC = {
    "amax": DEGREE_1,
    "amin": DEGREE_1,
    "std": DEGREE_1_EVEN,
    "var": DEGREE_2_EVEN,
    "logsumexp": Function(),
    "count_nonzero": TRUTHS,
    "any": TRUTHS,
    "all": TRUTHS,
}


@rule("symmetric reduction", " ".join(SYMMETRIC))
def symmetric(call: Call) -> Type:
    """F(x[1], ..., x[n]) in any order: degree 1 for extremes and std, 2 for var; std and var are even."""
    return reduce_by(
        call.type(), SYMMETRIC[call.name], call.name, _over(call), bool(call.get("keepdim", False))
    )


def reduce_by(t: Type, f: Function, name: str, over: tuple[int, ...], keep: bool) -> Type:
    """The type of a function of the entries along some dimensions that does not see their order."""
    return apply_function(reduce_dims(t, over, keep, linear=False), f, name)


@rule("moments", "var_mean std_mean")
def moments(call: Call) -> Result:
    """The moments, and the mean."""
    keep, t = bool(call.get("keepdim", False)), call.type()
    spread = SYMMETRIC[call.name[:3]]
    return reduce_by(t, spread, call.name, _over(call), keep), reduce_dims(t, _over(call), keep)


@rule("product", "prod")
def prod_rule(call: Call) -> Type:
    """Prod_i x[i]: the charges of the rest times the number of factors."""
    t, over = call.type(), _over(call)
    count = prod(t.shape[d] for d in over)
    f = Function(Fraction(count), "odd" if count % 2 else "even", True)
    return reduce_by(t, f, "prod", over, bool(call.get("keepdim", False)))


@rule("norm", "norm linalg_vector_norm linalg_norm linalg_matrix_norm frobenius_norm")
def norm(call: Call) -> Type:
    """Degree 1 and even; of order 2 along an orthogonal vector axis: sqrt(sum_i x[i] x[i])."""
    t, keep = call.type(), bool(call.get("keepdim", False))
    over, order = call.dims("dim"), call.get("ord", call.get("p"))
    if call.name == "linalg_matrix_norm" and call.get("dim") is None:
        over, order = over[-2:], order or "fro"
    flat = call.name in ("norm", "linalg_vector_norm") or len(over) == 1 or order in (None, "fro")
    if any(a.kind == "vector" for a in t.atoms.values()):
        if not flat or order not in (None, 2, 2.0, "fro"):
            raise Refused(
                f"a norm of order {order} along a vector axis", "rotations keep the norm of order 2 only"
            )
        return apply_function(reduce_dims(multiply(t, t), over, keep), FUNCTIONS["sqrt"], "norm")
    atoms = [a for d in over for a in t.dims[d]]
    if not flat and any(t.depends(a.owner, b.id) for a in atoms for b in atoms):
        raise Refused(f"the norm {order!r} of matrices in which every row has its own axes", "flatten them")
    return reduce_by(t, TRUTHS if order == 0 else DEGREE_1_EVEN, "norm", over, keep)


# --- order ------------------------------------------------------------------------------------------------


@rule("extreme with place", "max min median nanmedian mode kthvalue")
def extreme(call: Call) -> Result:
    """The value, of degree 1; its place has a meaning along fixed axes only."""
    t = call.type()
    if "other" in call.given:
        raise Refused("`max` of two tensors is traced as `maximum`")
    if call.get("dim") is None and call.name != "kthvalue":
        return reduce_by(t, DEGREE_1, call.name, tuple(range(len(t.dims))), False)
    over, keep = (call.dim(default=-1),), bool(call.get("keepdim", False))
    value = reduce_by(t, DEGREE_1, call.name, over, keep)
    return value, _places(t, over[0], value)


def _places(t: Type, d: int, value: Type) -> Type | Refused:
    """The type of places along a fixed axis; `value` has the other axes."""
    for a in t.dims[d] if t.dims else ():
        if a.kind != "free" and not t.is_uniform(a):
            return Refused(f"a place along `{a.name}` is used as a number", "use the value at that place")
    return apply_function(value, NUMBERS, "a place")


@rule("place of extreme", "argmax argmin")
def arg_extreme(call: Call) -> Type:
    """A place along a fixed axis: positive charges are gone."""
    t = call.type()
    if call.get("dim") is None:
        raise Refused(f"`{call.name}` over all axes at once has no rule", "name the axis")
    d, keep = call.dim(), bool(call.get("keepdim", False))
    found = _places(t, d, reduce_by(t, DEGREE_1, call.name, (d,), keep))
    if isinstance(found, Refused):
        raise found
    return found


@rule("quantile", "quantile nanquantile")
def quantile(call: Call) -> Type:
    """Order statistics, of degree 1, in front if there are several."""
    t, q = call.type(), call.type("q")
    if not q.is_invariant:
        raise Refused("the group changes which quantiles are taken")
    over = (call.dim(),) if call.get("dim") is not None else tuple(range(len(t.dims)))
    value = reduce_by(t, DEGREE_1, call.name, over, bool(call.get("keepdim", False)))
    return with_dims(value, [(free(n),) for n in q.shape] + list(value.dims))


@rule("sort", "sort msort topk")
def sort(call: Call) -> Result:
    """Order statistics along a new fixed axis, of degree 1: the permutation is gone."""
    t = call.type()
    d = call.dim(default=0 if call.name == "msort" else -1)
    rest = reduce_by(t, DEGREE_1, call.name, (d,), True)
    size = (call.op.parts or (call.op.shape,))[0][d]
    if call.get("sorted", True) is not True and not isinstance(_places(t, d, rest), Type):
        raise Refused("the largest entries, unsorted, keep the order of the axis", "sort them")
    values = with_dims(rest, [*rest.dims[:d], (free(size),), *rest.dims[d + 1 :]])
    if call.name == "msort":
        return values
    return values, _places(t, d, values)


@rule("running reduction", "cumsum cumprod logcumsumexp diff")
def running(call: Call) -> Type:
    """Along an axis with an order, a fixed one: linear, or charge 0."""
    t, d = call.type(), call.dim(default=-1)
    if ends := [name for name in ("prepend", "append") if call.get(name) is not None]:
        t = join([t, *map(call.type, ends)], d)
    for a in t.dims[d]:
        if a.kind != "free" and not t.is_uniform(a):
            raise Refused(
                f"entries before one along `{a.name}` are reduced", "an axis under the group has no order"
            )
    reduce_dims(t, (d,), linear=False)
    ordered = with_dims(t, [*t.dims[:d], (free(call.op.shape[d]),), *t.dims[d + 1 :]])
    return ordered if call.name in ("cumsum", "diff") else apply_function(ordered, Function(), call.name)


@rule("running extreme", "cummax cummin")
def running_extreme(call: Call) -> Result:
    """Max(x[1], ..., x[k]) along a fixed axis, of degree 1, and its place."""
    t, d = call.type(), call.dim(default=-1)
    in_order = ordered(t, d, call.op.parts[0][d], "entries before one are compared")
    return apply_function(in_order, DEGREE_1, call.name), apply_function(in_order, NUMBERS, "a place")


@rule("order of entries", "argsort")
def argsort(call: Call) -> Type:
    """Places along a fixed axis, in order of the entries there: positive charges are gone."""
    t, d = call.type(), call.dim(default=-1)
    in_order = ordered(t, d, call.op.shape[d], "equal entries are told apart by their places")
    return apply_function(in_order, NUMBERS, "a place")


RULES: tuple[Rule, ...] = (
    sum_rule,
    symmetric,
    moments,
    prod_rule,
    norm,
    extreme,
    arg_extreme,
    quantile,
    sort,
    running,
    running_extreme,
    argsort,
)
