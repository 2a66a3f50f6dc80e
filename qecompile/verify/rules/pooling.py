"""Rules for what torch.nn offers besides: pooling over places, padding, distances between rows.

Pooling and padding look at neighbours, so an axis that they cut into windows must have an order: a fixed one.
Pooled to a single place, an axis may have any order, and pooling is a mean or a maximum over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from qecompile.verify.atoms import free
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, rule
from qecompile.verify.rules.pointwise import FUNCTIONS, Function, apply_function
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply

LARGEST = Function(Fraction(1), None, True)
LENGTH = Function(Fraction(1), "even", True)


@rule("padding", "pad constant_pad_nd")
def padding(call: Call) -> Type:
    """Entries are added or cut at the ends of fixed axes: zeros obey every law, other numbers charge 0."""
    t, widths = call.type(), call.ints("pad")
    filled = call.get("value", 0)
    if str(call.get("mode", "constant")) == "constant" and filled not in (0, 0.0, False):
        t = add(t, apply_function(t, Function(), "padding with a number"))
    for k in range(len(widths) // 2):
        d = len(t.dims) - 1 - k
        if widths[2 * k] or widths[2 * k + 1]:
            t = ordered(t, d, call.op.shape[d], "entries are added or cut")
    return t


@rule(
    "pooling", "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d avg_pool1d avg_pool2d avg_pool3d"
)
def average_pool(call: Call) -> Type:
    """Means over windows of fixed axes, or over whole axes with charge 0."""
    return _pooled(call, call.op.shape)


@rule(
    "largest in window",
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d max_pool1d max_pool2d max_pool3d "
    "max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices",
)
def max_pool(call: Call) -> Result:
    """Maxima over windows of fixed axes, or over whole axes with charge 0: degree 1."""
    found = apply_function(_pooled(call, (call.op.parts or (call.op.shape,))[0]), LARGEST, call.name)
    place = Refused("the place of a maximum in a window is used as a number", "use the value")
    return (found, place) if call.op.parts else found


def _places(call: Call) -> int:
    """How many axes of places there are: the number in the name of the operation."""
    return int(call.name[call.name.index("pool") + 4])


def _whole(call: Call, t: Type, last: range) -> list[int]:
    """The axes that one window covers, all of each."""
    if "adaptive" in call.name:
        return [d for d in last if call.op.shape[d] == 1]
    sizes, pads = call.ints("kernel_size"), call.ints("padding", (0,))
    sizes, pads = (given * len(last) if len(given) == 1 else given for given in (sizes, pads))
    return [d for d, size, pad in zip(last, sizes, pads, strict=True) if size == t.shape[d] and pad == 0]


def _pooled(call: Call, shape: Sequence[int]) -> Type:
    """The type after windows of the last axes have become single places, whichever function of them it is."""
    t, places = call.type(), _places(call)
    last = range(len(t.dims) - places, len(t.dims))
    whole = _whole(call, t, last)
    t = reduce_dims(t, whole, keep=True, linear=False)
    for d in last:
        if d not in whole:
            t = ordered(t, d, shape[d], "neighbours are pooled")
    return t


# --- distances --------------------------------------------------------------------------------------------


@rule("distance", "cdist pairwise_distance")
def distance(call: Call) -> Type:
    """|x[i] - y[j]| over the last axis: degree 1 and even; an orthogonal vector axis for p = 2."""
    pairs = call.name == "cdist"
    one, other = call.type("x1"), call.type("x2")
    if call.name == "pairwise_distance" and call.get("eps", 1e-6) != 0:
        one = add(one, apply_function(one, Function(), "adding eps"))
    if pairs:
        one = with_dims(one, [*one.dims[:-1], (), one.dims[-1]])
        other = with_dims(other, [*other.dims[:-2], (), *other.dims[-2:]])
    found = _length(add(one, other), call.get("p", 2))
    return with_dims(found, [*found.dims, ()]) if call.get("keepdim", False) else found


def _length(t: Type, p: object) -> Type:
    """The norm along the last axis."""
    last = (len(t.dims) - 1,)
    if not any(a.kind == "vector" for a in t.dims[-1]):
        return apply_function(reduce_dims(t, last, linear=False), LENGTH, "a norm")
    if p != 2:
        raise Refused(f"a norm of order {p} along a vector axis", "rotations keep the norm of order 2 only")
    return apply_function(reduce_dims(multiply(t, t), last), FUNCTIONS["sqrt"], "a norm")


@rule("cosine similarity", "cosine_similarity")
def cosine_similarity(call: Call) -> Type:
    """Sum_c x[c] y[c] / max(|x| |y|, eps): odd in both; the eps breaks positive charges."""
    one, other = call.type("x1"), call.type("x2")
    over = (call.dim(of="x1", default=1),)
    lengths = [
        apply_function(reduce_dims(multiply(t, t), over), Function(None, "even", True), "a norm with eps")
        for t in (one, other)
    ]
    return multiply(reduce_dims(multiply(one, other), over), *lengths)


# --- windows ----------------------------------------------------------------------------------------------


@rule("windows", "unfold")
def windows(call: Call) -> Type:
    """X[k : k + size] for every k-th place of a fixed axis, along a new one."""
    t, d = call.type(), call.dim("dimension")
    found = ordered(t, d, call.op.shape[d], "neighbours are put side by side")
    return with_dims(found, [*found.dims, (free(call.op.shape[-1]),)])


@rule(
    "interpolation",
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
    "upsample_bicubic2d upsample_trilinear3d",
)
def interpolation(call: Call) -> Type:
    """Sums of neighbours with constant weights along the last, fixed axes."""
    t = call.type("self" if "self" in call.given else "input")
    for d in range(len(t.dims) - int(call.name[-2]), len(t.dims)):
        t = ordered(t, d, call.op.shape[d], "neighbours are interpolated")
    return t


RULES: tuple[Rule, ...] = (
    padding,
    average_pool,
    max_pool,
    distance,
    cosine_similarity,
    windows,
    interpolation,
)
