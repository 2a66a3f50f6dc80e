"""Rules for normalisations: entries compared with a statistic of an axis.

The statistic is a symmetric reduction, so the axis must carry charge 0; the numbers that stay carry it to
every entry again. The epsilon in a denominator breaks positive charges; a shift or a bias breaks signs.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from qecompile.verify.canonical import weight_type
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, rule
from qecompile.verify.rules.movement import regroup_type
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import add, multiply


def _over(t: Type, dims: Iterable[int], f: Function, name: str) -> Type:
    """A function of every entry and of all entries along some dimensions in any order."""
    reduce_dims(t, dims, linear=False)
    return apply_function(t, f, name)


def _scaled(t: Type, call: Call, place: int | None) -> Type:
    """X w + b, with weights along the last dimensions, or along dimension `place`."""
    for name, combine in (("weight", multiply), ("bias", add)):
        if call.get(name) is not None:
            weight = weight_type(call.type(name).shape)
            if place is not None:
                weight = with_dims(weight, [weight.dims[0], *[()] * (len(t.dims) - place - 1)])
            t = combine(t, weight)
    return t


@rule("softmax", "softmax log_softmax _softmax _log_softmax")
def softmax(call: Call) -> Type:
    """Exp x[i] / sum_i exp x[i]: charge 0."""
    t = call.type()
    return _over(t, (call.dim(),), Function(), "softmax")


@rule("layer norm", "layer_norm native_layer_norm")
def layer_norm(call: Call) -> Type:
    """(x - mean) / std w + b over the last axes: odd without b."""
    t = call.type("input")
    wide = len(call.ints("normalized_shape"))
    dims = range(len(t.dims) - wide, len(t.dims))
    return _scaled(_over(t, dims, _law(call), "layer_norm"), call, None)


def _law(call: Call) -> Function:
    """Odd; of degree 0 if nothing is added to the variance."""
    return Function(Fraction(0) if call.get("eps") == 0 else None, "odd")


@rule("root mean square norm", "rms_norm")
def rms_norm(call: Call) -> Type:
    """X / sqrt(mean x^2) w over the last axes: odd."""
    t = call.type("input")
    wide = len(call.ints("normalized_shape"))
    dims = range(len(t.dims) - wide, len(t.dims))
    if any(a.kind == "vector" for d in dims for a in t.dims[d]):  # sum x^2 is kept by rotations
        size = reduce_dims(multiply(t, t), dims, keep=True)
        scaled = multiply(t, apply_function(size, Function(None, "even"), "rms_norm"))
    else:
        scaled = _over(t, dims, Function(None, "odd"), "rms_norm")
    return _scaled(scaled, call, None)


@rule("group norm", "group_norm")
def group_norm(call: Call) -> Type:
    """(x - mean) / std over a group of channels and all places, then w and b by channel."""
    t, groups = call.type("input"), call.integer("num_groups")
    cut = regroup_type(t, (t.shape[0], groups, t.shape[1] // groups, *t.shape[2:]))
    reduce_dims(cut, range(2, len(cut.dims)), linear=False)
    return _scaled(apply_function(t, _law(call), "group_norm"), call, 1)


@rule("instance norm", "instance_norm")
def instance_norm(call: Call) -> Type:
    """(x - mean) / std over all places of a channel, or with stored numbers; w and b by channel."""
    t = call.type("input")
    if not call.get("use_input_stats", True):
        return _by_stored(t, call)
    return _scaled(_over(t, range(2, len(t.dims)), _law(call), "instance_norm"), call, 1)


@rule("batch norm", "batch_norm _native_batch_norm_legit_no_training")
def batch_norm(call: Call) -> Result:
    """By channel: stored numbers in eval mode, else statistics over batch and places."""
    if not call.op.parts:
        return _batch_norm(call)
    statistics = Refused("the statistics of a batch norm are used")
    return _batch_norm(call), statistics, statistics


def _batch_norm(call: Call) -> Type:
    t = call.type("input")
    over = [d for d in range(len(t.dims)) if d != 1]
    if call.get("training", False) or call.get("running_mean") is None:
        return _scaled(_over(t, over, _law(call), "batch_norm"), call, 1)
    return _by_stored(t, call)


def _by_stored(t: Type, call: Call) -> Type:
    """(x - mean) / std w + b with numbers that are stored by channel."""
    stored = weight_type(call.type("running_mean").shape)
    shift = with_dims(stored, [stored.dims[0], *[()] * (len(t.dims) - 2)])
    return _scaled(add(multiply(t, shift), shift), call, 1)


RULES: tuple[Rule, ...] = (softmax, layer_norm, rms_norm, group_norm, instance_norm, batch_norm)
