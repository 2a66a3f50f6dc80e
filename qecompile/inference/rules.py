"""Rules of operators that compute: what each does to the axes of its arguments.

Each takes the flow, the node and its arguments, and gives the axes of the result. Where two tensors meet
entry by entry, or are summed over together, their axes are one; where an operator tells positions apart,
as a convolution does with the offsets of its kernel, the axis is fixed.
"""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from qecompile.inference.rules_shape import SHAPES, Rule
from qecompile.inference.values import Flow, NotUnderstood, Value, shape_of, shapes_of

POINTWISE = """
relu relu6 leaky_relu gelu silu mish tanh sigmoid hardswish hardsigmoid hardtanh elu selu celu softplus
logsigmoid log_sigmoid softsign sin cos tan sinh cosh asin acos atan exp expm1 log log1p log2 sqrt rsqrt
square abs neg negative sign floor ceil round erf reciprocal clamp clamp_min clamp_max threshold pow add
sub rsub mul div true_divide maximum minimum where masked_fill eq ne lt le gt ge logical_not logical_and
logical_or bitwise_not lerp addcmul addcdiv dropout feature_dropout alpha_dropout type_as lift_fresh_copy
nan_to_num hardshrink softshrink tanhshrink isnan isinf atan2
""".split()

REDUCTIONS = "sum mean amax amin prod var std logsumexp linalg_vector_norm norm all any".split()

POOLS = """
max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
adaptive_avg_pool3d upsample_nearest2d upsample_bilinear2d
""".split()


def pointwise(flow: Flow, node: Node, *args: Any, **kwargs: Any) -> Value:
    """Entry by entry, with broadcasting."""
    return flow.meet([flow.settled(x) for x in (*args, *kwargs.values()) if isinstance(x, Node)])


def reduction(flow: Flow, node: Node, x: Node, at: Any = None, *rest: Any, **kwargs: Any) -> Value:
    """Over axes, each of whose positions counts alike."""
    given, shape = flow.settled(x), shape_of(node)
    at = kwargs.get("dim", at)
    if node.target.__name__.split(".")[0] in ("linalg_vector_norm", "norm"):  # type: ignore[union-attr]
        at = kwargs.get("dim", rest[0] if rest else None)
    places = range(len(given)) if at is None or at == [] else [at] if isinstance(at, int) else at
    gone = {k % len(given) for k in places}
    if len(shape) == len(given):
        return tuple(() if k in gone else d for k, d in enumerate(given))
    return tuple(d for k, d in enumerate(given) if k not in gone)


def extremum(flow: Flow, node: Node, x: Node, *rest: Any, **kwargs: Any) -> Any:
    """Greatest or least numbers: of two tensors, of one, or along an axis, places unused."""
    if rest and isinstance(rest[0], Node):
        return pointwise(flow, node, x, *rest)
    if not isinstance(node.meta["val"], (tuple, list)):
        return reduction(flow, node, x)
    if any(user.args[1:] != (0,) for user in node.users):
        raise NotUnderstood
    (shape, _), given = shapes_of(node), flow.settled(x)
    k = rest[0] % len(given)
    value = (*given[:k], *([()] if len(shape) == len(given) else []), *given[k + 1 :])
    return (value, value)


def along(flow: Flow, node: Node, x: Node, *_: object, **__: object) -> Value:
    """Softmax: over an axis that stays."""
    return flow.settled(x)


def linear(flow: Flow, node: Node, x: Node, weight: Node, bias: Node | None = None) -> Value:
    """The product x W^T + b."""
    given, w = flow.settled(x), flow.settled(weight)
    flow.atoms.unify(given[-1], w[-1])
    if bias is not None:
        flow.atoms.unify(w[0], flow.settled(bias)[0])
    return (*given[:-1], *w[:-1])


def matmul(flow: Flow, node: Node, x: Node, y: Node) -> Value:
    """The product a b, with broadcasting."""
    return _product(flow, flow.settled(x), flow.settled(y))


def _product(flow: Flow, a: Value, b: Value) -> Value:
    """The product a b, over the last axis of a and the last but one of b."""
    flow.atoms.unify(a[-1], b[-2] if len(b) > 1 else b[-1])
    many = flow.meet([a[:-2], b[:-2]])
    return (*many, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


def add_product(flow: Flow, node: Node, x: Node, a: Node, b: Node, **_: object) -> Value:
    """The sum x + a b."""
    return flow.meet([_product(flow, flow.settled(a), flow.settled(b)), flow.settled(x)])


def einsum(flow: Flow, node: Node, equation: str, given: list[Node], **_: object) -> Value:
    """Letters are axes."""
    letters, arrow, out = equation.replace(" ", "").partition("->")
    if "." in letters or not arrow:
        raise NotUnderstood
    known: dict[str, Any] = {}
    for word, x in zip(letters.split(","), given, strict=True):
        for letter, dim in zip(word, flow.settled(x), strict=True):
            if letter not in known or (flow.atoms.size(known[letter]) == 1 < flow.atoms.size(dim)):
                known[letter] = dim
            elif flow.atoms.size(dim) == flow.atoms.size(known[letter]):
                flow.atoms.unify(known[letter], dim)
    return tuple(known[letter] for letter in out)


def attention(
    flow: Flow, node: Node, q: Node, k: Node, v: Node, mask: Node | None = None, *rest: Any, **kwargs: Any
) -> Value:
    """softmax(q k^T + mask) v."""
    if kwargs.get("enable_gqa"):
        raise NotUnderstood
    a, b, c = (flow.settled(x) for x in (q, k, v))
    scores = _product(flow, a, (*b[:-2], b[-1], b[-2]))
    mask = kwargs.get("attn_mask", mask)
    if mask is not None:
        scores = flow.meet([scores, flow.settled(mask)])
    return _product(flow, scores, c)


def convolution(
    flow: Flow, node: Node, x: Node, weight: Node, bias: Node | None = None, *rest: Any, **kwargs: Any
) -> Value:
    """Channels meet channels, group by group; offsets and places are told apart."""
    given, w, shape = flow.settled(x), flow.settled(weight), shape_of(weight)
    atoms = flow.atoms
    if len(given) != len(w):
        raise NotUnderstood
    groups = kwargs.get("groups", rest[3] if len(rest) > 3 else 1)
    for dim in (*given[2:], *w[2:]):
        atoms.fix(dim, "the offsets of a convolution")
    if groups == 1:
        atoms.unify(given[1], w[1])
    else:
        group = atoms.new(groups)
        atoms.unify(given[1], (group, *w[1]))
        per = atoms.new(shape[0] // groups)
        atoms.unify(w[0], (group, per))
        for inner in (*w[1], per):
            for leaf in atoms.leaves((inner,)):
                atoms.all[leaf].before = group if leaf != group else None
    if bias is not None:
        atoms.unify(w[0], flow.settled(bias)[0])
    return (given[0], w[0], *flow.fresh(shape_of(node)[2:], "it is a place in an image"))


def transposed(
    flow: Flow, node: Node, x: Node, weight: Node, bias: Node | None = None, *rest: Any, **kwargs: Any
) -> Value:
    """A transposed convolution: the kernel has its inputs first."""
    given, w = flow.settled(x), flow.settled(weight)
    if len(given) != len(w) or kwargs.get("groups", rest[3] if len(rest) > 3 else 1) != 1:
        raise NotUnderstood
    for dim in (*given[2:], *w[2:]):
        flow.atoms.fix(dim, "the offsets of a convolution")
    flow.atoms.unify(given[1], w[0])
    if bias is not None:
        flow.atoms.unify(w[1], flow.settled(bias)[0])
    return (given[0], w[1], *flow.fresh(shape_of(node)[2:], "it is a place in an image"))


def pooling(flow: Flow, node: Node, x: Node, *_: object, **__: object) -> Value:
    """Places are told apart, unless one is left."""
    given, shape = flow.settled(x), shape_of(node)
    kept = [k for k in range(len(shape)) if len(given) == len(shape) and shape_of(x)[k] == shape[k]]
    last = len(shape) - int(node.target.__name__.split(".")[0][-2])  # type: ignore[union-attr]
    kept = [k for k in kept if k < last]
    for k, dim in enumerate(given):
        if k not in kept:
            flow.atoms.fix(dim, "it is a place in an image")
    places = flow.fresh(shape, "it is a place in an image")
    return tuple(given[k] if k in kept else places[k] for k in range(len(shape)))


def pad(flow: Flow, node: Node, x: Node, padding: list[int], *_: object) -> Value:
    """Places are added."""
    dims, shape = list(flow.settled(x)), shape_of(node)
    for k in range(len(padding) // 2):
        flow.atoms.fix(dims[-1 - k])
        dims[-1 - k] = flow.atoms.dim(shape[-1 - k], "it is a place in an image")
    return tuple(dims)


def batch_norm(flow: Flow, node: Node, x: Node, *rest: Any, **_: object) -> Value:
    """Channel by channel."""
    given = flow.settled(x)
    for other in rest:
        if isinstance(other, Node):
            flow.atoms.unify(given[1], flow.settled(other)[0])
    return given


def layer_norm(flow: Flow, node: Node, x: Node, over: list[int], *rest: Any, **_: object) -> Value:
    """Over axes, and gains of their shape."""
    given = flow.settled(x)
    return flow.meet([given, *(flow.settled(o) for o in rest if isinstance(o, Node))])


def group_norm(flow: Flow, node: Node, x: Node, groups: int, *rest: Any, **_: object) -> Value:
    """Over the channels of a group: groups and channels inside are two axes."""
    given, n = flow.settled(x), shape_of(x)[1]
    flow.atoms.unify(given[1], (group := flow.atoms.new(groups), inner := flow.atoms.new(n // groups)))
    flow.atoms.all[flow.atoms.root(inner)].before = group
    for other in rest:
        if isinstance(other, Node):
            flow.atoms.unify(given[1], flow.settled(other)[0])
    return given


def embedding(flow: Flow, node: Node, weight: Node, index: Node, *_: object, **__: object) -> Value:
    """Rows of a table."""
    w = flow.settled(weight)
    flow.atoms.fix(w[0], "a table is looked up in")
    return (*flow.settled(index), w[1])


def prelu(flow: Flow, node: Node, x: Node, slope: Node) -> Value:
    """A slope for every channel, or one for all."""
    given, s = flow.settled(x), flow.settled(slope)
    if flow.atoms.size(s[0]) > 1:
        flow.atoms.unify(given[1 if len(given) > 1 else 0], s[0])
    return given


def constant(flow: Flow, node: Node, *args: Any, **_: object) -> Value:
    """The same number everywhere."""
    return flow.fresh(shape_of(node))


def recurrent(
    flow: Flow, node: Node, x: Node, states: Any, weights: list[Node], biases: bool, *rest: Any
) -> Any:
    """The recurrent layers: gates in blocks of rows, all over the units of their layer."""
    layers, ways = rest[0], 2 if rest[3] else 1
    atoms, state = flow.atoms, flow.settled(x)
    each = len(weights) // (layers * ways)
    hidden = shape_of(weights[1])[1]
    if shape_of(weights[0])[0] % hidden or shapes_of(node)[0][-1] != hidden * ways:
        raise NotUnderstood  # projections
    alone = layers * ways == 1
    initial = [flow.settled(s) for s in (states if isinstance(states, (list, tuple)) else [states])]
    for dim in (d for s in initial for d in (s[:-1] if alone else s)):
        atoms.fix(dim, "states are handed in")
    below = state[-1]
    for layer in range(layers):
        units = [(atoms.new(hidden),) for _ in range(ways)]
        for way, unit in enumerate(units):
            start = each * (layer * ways + way)
            _units(flow, [flow.settled(p) for p in weights[start : start + each]], below, unit)
        below = atoms.sum(units)
    if alone:
        for s in initial:
            atoms.unify(below, s[-1])
    last = shapes_of(node)[1:]
    if not alone and any(user.args[1:] != (0,) for user in node.users):
        raise NotUnderstood  # the last states of several layers in one tensor
    return ((*state[:-1], below), *((*flow.fresh(s[:-1], "it numbers layers"), below) for s in last))


def cell(flow: Flow, node: Node, x: Node, states: Any, *weights: Any) -> Any:
    """One step of a recurrent layer."""
    given, many = flow.settled(x), isinstance(states, (list, tuple))
    unit = (flow.atoms.new(shape_of(weights[1])[1]),)
    _units(flow, [flow.settled(p) for p in weights if isinstance(p, Node)], given[-1], unit)
    result = (*given[:-1], unit)
    for s in states if many else [states]:
        result = flow.meet([result, flow.settled(s)])
    return (result, result) if many else result


def _units(flow: Flow, weights: list[Value], below: Any, unit: Any) -> None:
    """The weights of a layer: gates in blocks of rows, over its units; columns over inputs and units."""
    w, r, *b = weights
    rows = flow.atoms.sum([unit] * (flow.atoms.size(w[0]) // flow.atoms.size(unit)))
    for dim, same in ((w[1], below), (r[1], unit), *((p[0], rows) for p in (w, r, *b))):
        flow.atoms.unify(dim, same)


RULES: dict[str, Rule] = {
    **SHAPES,
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(POOLS, pooling),
    **dict.fromkeys(("softmax", "log_softmax", "_softmax"), along),
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot"), matmul),
    **dict.fromkeys(("addmm", "baddbmm"), add_product),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("constant_pad_nd", "pad"), pad),
    **dict.fromkeys(("batch_norm", "instance_norm"), batch_norm),
    **dict.fromkeys(("layer_norm", "rms_norm"), layer_norm),
    **dict.fromkeys(("zeros", "ones", "full", "zeros_like", "ones_like", "full_like", "new_zeros"), constant),
    **dict.fromkeys(("rnn_tanh", "rnn_relu", "lstm", "gru"), recurrent),
    **dict.fromkeys(("rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell"), cell),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed),
    **dict.fromkeys(("max", "min"), extremum),
    "linear": linear,
    "einsum": einsum,
    "scaled_dot_product_attention": attention,
    "group_norm": group_norm,
    "embedding": embedding,
    "prelu": prelu,
}
