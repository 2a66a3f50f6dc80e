"""Rules for contractions: products summed over common axes, by labels as in an einsum."""

from __future__ import annotations

from collections.abc import Sequence

from qecompile.verify.atoms import Atom, free, fresh
from qecompile.verify.canonical import make
from qecompile.verify.references import reduce_atoms, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, as_type, rule
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.types import Type
from qecompile.verify.unify import Label, Operand, add, multiply, product


@rule("einsum", "einsum")
def einsum(call: Call) -> Type:
    """The product, summed over labels that are not in the result: charges cancel, v meets v*."""
    equation, types = call.get("equation"), call.types()
    if not isinstance(equation, str):
        raise Refused("the equation is no text")
    terms, out = parse_equation(equation, [len(t.dims) for t in types])
    return product(list(zip(types, terms, strict=True)), out)


def parse_equation(equation: str, ranks: Sequence[int]) -> tuple[list[list[Label]], list[Label]]:
    """Labels for every operand and for the result; an ellipsis stands for numbered ones.

    >>> parse_equation("...i,oi->...o", [3, 2])
    ([[0, 1, 'i'], ['o', 'i']], [0, 1, 'o'])
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    wide = max(
        (rank - len(t.replace("...", "")) for t, rank in zip(texts, ranks, strict=True) if "..." in t),
        default=0,
    )

    def labels(text: str, extra: int) -> list[Label]:
        front, dots, back = text.partition("...")
        return [*front, *(range(wide - extra, wide) if dots else ()), *back]

    terms = [labels(t, rank - len(t.replace("...", ""))) for t, rank in zip(texts, ranks, strict=True)]
    if arrow:
        return terms, labels(right, wide)
    letters = [x for term in terms for x in term if isinstance(x, str)]
    return terms, [*range(wide), *sorted(x for x in set(letters) if letters.count(x) == 1)]


def matmul_type(a: Type, b: Type) -> Type:
    """X @ y, with batch dimensions aligned from the back."""
    if not a.dims or not b.dims:
        raise Refused("a number is no matrix")
    left: list[Label] = ["in"] if len(a.dims) == 1 else ["row", "in"]
    right: list[Label] = ["in"] if len(b.dims) == 1 else ["in", "column"]
    extra = [len(t.dims) - len(own) for t, own in ((a, left), (b, right))]
    wide = max(extra)
    batch = [list(range(wide - n, wide)) for n in extra]
    out: list[Label] = [
        *range(wide),
        *(["row"] if len(a.dims) > 1 else []),
        *(["column"] if len(b.dims) > 1 else []),
    ]
    return product([(a, [*batch[0], *left]), (b, [*batch[1], *right])], out)


@rule("matrix product", "matmul bmm mm mv dot vdot inner")
def matmul(call: Call) -> Type:
    """Sum_k x[.., i, k] y[.., k, j]."""
    names = {"bmm": "mat2", "mm": "mat2", "mv": "vec", "dot": "tensor"}
    a, b = call.type(), call.type(names.get(call.name, "other"))
    if call.name == "inner" and len(b.dims) > 1:
        raise Refused("`inner` of matrices has no rule", "use einsum")
    return matmul_type(a, b)


@rule("matrix product and sum", "addmm addbmm baddbmm addmv")
def addmm(call: Call) -> Type:
    """B z + a sum_k x[.., i, k] y[.., k, j]."""
    names = {"addmm": ("mat1", "mat2"), "addmv": ("mat", "vec")}.get(call.name, ("batch1", "batch2"))
    found = matmul_type(call.type(names[0]), call.type(names[1]))
    if call.name == "addbmm":
        found = product([(found, ["gone", "row", "column"])], ["row", "column"])
    term = multiply(found, as_type(call.get("alpha", 1)))
    return add(multiply(call.type(), as_type(call.get("beta", 1))), term)


@rule("linear", "linear")
def linear(call: Call) -> Type:
    """Sum_k x[.., k] w[o, k] + b[o]: a weight mixes an axis on which nothing acts."""
    t, weight = call.type("input"), call.type("weight")
    rest = list(range(len(t.dims) - 1))
    out: list[Label] = [*rest, "out"] if len(weight.dims) == 2 else [*rest]
    found = product([(t, [*rest, "in"]), (weight, ["out", "in"][-len(weight.dims) :])], out)
    return found if call.get("bias") is None else add(found, call.type("bias"))


@rule("bilinear", "bilinear")
def bilinear(call: Call) -> Type:
    """Sum_kl x[.., k] w[o, k, l] y[.., l] + b[o]."""
    one, other, weight = call.type("input1"), call.type("input2"), call.type("weight")
    rest = list(range(len(one.dims) - 1))
    operands: list[Operand] = [(one, [*rest, "k"]), (weight, ["o", "k", "l"]), (other, [*rest, "l"])]
    found = product(operands, [*rest, "o"])
    return found if call.get("bias") is None else add(found, call.type("bias"))


@rule("tensor product", "outer ger")
def outer(call: Call) -> Type:
    """X[i] y[j]."""
    return product([(call.type(), ["i"]), (call.type("vec2"), ["j"])], ["i", "j"])


@rule("tensordot", "tensordot")
def tensordot(call: Call) -> Type:
    """The product, summed over the named axes."""
    a, b = call.type(), call.type("other")
    mine = [d % len(a.dims) for d in call.ints("dims_self")]
    theirs = [d % len(b.dims) for d in call.ints("dims_other")]
    left: list[Label] = [f"sum {mine.index(d)}" if d in mine else f"a {d}" for d in range(len(a.dims))]
    right: list[Label] = [f"sum {theirs.index(d)}" if d in theirs else f"b {d}" for d in range(len(b.dims))]
    return product([(a, left), (b, right)], [x for x in [*left, *right] if not str(x).startswith("sum")])


@rule("cross product", "linalg_cross cross")
def cross(call: Call) -> Type:
    """Epsilon_ijk x[j] y[k]: two vectors of one rotate space of size 3."""
    a, b = call.type(), call.type("other")
    rank = len(a.dims)
    if call.name == "cross" and call.get("dim") is None:
        raise Refused("`cross` without a dimension takes the first axis of size 3", "name it: dim=-1")
    d, group = call.integer("dim", -1) % rank, fresh()
    epsilon = make([(Atom(fresh(), "epsilon", 3, group=group),) for _ in range(3)])
    rest: list[Label] = list(range(rank))
    one, other = ([*rest[:d], x, *rest[d + 1 :]] for x in ("j", "k"))
    return product([(a, one), (b, other), (epsilon, ["i", "j", "k"])], [*rest[:d], "i", *rest[d + 1 :]])


@rule("convolution", "conv1d conv2d conv3d convolution")
def convolution(call: Call) -> Type:
    """Channels as in linear; a kernel of size 1 along any axis, a larger one along fixed axes."""
    t, weight = call.type("input"), call.type("weight")
    groups, kernel = call.integer("groups", 1), weight.shape[2:]
    channels: list[Label] = ["c", "o"] if call.get("transposed") else ["o", "c"]
    space = len(kernel)
    if len(t.dims) != space + 2:
        raise Refused("a convolution of one image without a batch axis has no rule", "add a batch axis")
    steps = call.ints("stride", (1,))
    t = _mix_places(t, kernel, steps * space if len(steps) == 1 else steps, call.op.shape[2:])
    places = list(range(space))
    if groups == 1:
        flat = product([(weight, [*channels, *map(str, places)])], ["o", "c"])
        found = product([(t, ["b", "c", *places]), (flat, ["o", "c"])], ["b", "o", *places])
    else:
        for a in t.dims[1]:
            if a.kind != "free" and not t.is_uniform(a):
                raise Refused(
                    f"`{a.name}` is cut into groups that have weights of their own",
                    "channels in groups have an order: a fixed axis",
                )
        found = product([(t, ["b", "c", *places])], ["b", *places])
        found = with_dims(found, [found.dims[0], (free(call.op.shape[1]),), *found.dims[1:]])
    if call.get("bias") is None:
        return found
    return add(found, with_dims(call.type("bias"), [call.type("bias").dims[0], *[()] * space]))


def _mix_places(t: Type, kernel: Sequence[int], steps: Sequence[int], after: Sequence[int]) -> Type:
    """The type after neighbours have been mixed, or left out, where kernel or step is larger than 1."""
    dims = list(t.dims)
    for k, (size, step, n) in enumerate(zip(kernel, steps, after, strict=True)):
        d = k + 2
        if size == step == 1 and n == t.shape[d]:
            continue
        for a in dims[d]:
            if a.kind not in ("free", "equal") or (a.kind == "equal" and not t.is_uniform(a)):
                raise Refused(
                    f"neighbours along `{a.name}` are mixed", "a convolution needs an axis with an order"
                )
        reduce_atoms(t, {a.id for a in dims[d]}, linear=False)
        dims[d] = (free(n),)
    return with_dims(t, dims)


@rule("attention", "scaled_dot_product_attention")
def attention(call: Call) -> Type:
    """Softmax_s(sum_e q[l, e] k[s, e] + mask[l, s]) v[s, e']."""
    query, key, value = (call.type(name) for name in ("query", "key", "value"))
    if call.get("dropout_p", 0.0):
        raise Refused("dropout in training mode is random", "call `.eval()`")
    rest = list(range(len(query.dims) - 2))
    scores = product([(query, [*rest, "l", "e"]), (key, [*rest, "s", "e"])], [*rest, "l", "s"])
    scores = apply_function(scores, Function(), "softmax")
    if call.get("attn_mask") is not None:
        scores = multiply(scores, apply_function(call.type("attn_mask"), Function(), "a mask"))
    if call.get("is_causal"):
        place = with_dims(scores, [*[()] * len(rest), (free(scores.shape[-2]),), (free(scores.shape[-1]),)])
        scores = multiply(scores, place)
    reduce_atoms(scores, {a.id for a in scores.dims[-1]}, linear=False)
    return product([(scores, [*rest, "l", "s"]), (value, [*rest, "s", "v"])], [*rest, "l", "v"])


RULES: tuple[Rule, ...] = (
    einsum,
    matmul,
    addmm,
    linear,
    bilinear,
    outer,
    tensordot,
    cross,
    convolution,
    attention,
)
