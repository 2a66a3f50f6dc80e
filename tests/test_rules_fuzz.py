"""Soundness by chance: random graphs of random operations; whatever gets a type obeys it in numbers.

All sizes are 3 (or 2), the batch too, so that nothing is told apart by its size. Values to which the rules
give no type are not looked at here; how many get one is counted, so that the test is known to test something.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tape import Tape
from torch import Tensor

import qecompile as qe
from qecompile.verify.graph import Ref

SPEC = qe.parse("""
spec zoo {
  space x    = 3 : fixed
  space h    = 3 : permute * scale
  space k    = 3 : permute
  space s    = 3 : permute * sign
  space b    = 3 : permute * scale * sign
  space z    = 3 : scale
  space l    = 3 : linear
  space r    = 3 : rotate
  space o    = 2 : orthogonal
  space d    = 2 : rotate * dilate
  space one  = 1 : permute * scale
  space head = 2 : permute { space q = 3 : linear  space m = 3 : permute * scale }
  space f    = 3 : fixed   { space p = 2 : rotate * dilate }

  param W  : h <- x
  param V  : x <- h
  param hb : h
  param kk : k k
  param kx : k x
  param kb : k
  param ss : s s
  param sb : s
  param bb : b
  param zz : z x
  param zb : [z^{scale: -1}]
  param A  : l <- x
  param B  : x <- l
  param L  : l <- l
  param rr : r r
  param rb : r
  param oo : o o
  param dd : d
  param O  : one <- x
  param P  : x <- one
  param Q  : head q <- k
  param K  : head q* <- k
  param M  : head m <- x
  param N  : [x, head, m*]
  param hd : head
  param F  : f p
  param G  : [f, p^{dilate: -1}]
}
""")
UNARY = "neg abs relu tanh square sigmoid cos sign exp sqrt reciprocal sin detach clone".split()
LARGEST = 2000


class Fuzz:
    """Random operations on a tape; `pool` are the values so far."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tape = Tape(SPEC, seed)
        names = self.random.sample([*SPEC.params], 3)
        if self.random.random() < 0.5:  # two of a kind meet more often
            names.append(self.random.choice(names))
        self.channels = self.random.choice([(), (3,), (2,)])
        self.pool = [self.tape.input(name, *self.channels) for name in names]

    def value(self, ref: Ref) -> Tensor:
        return self.tape.before[ref.name]

    def pick(self) -> Ref:
        """A value, one of the newest more often."""
        return self.random.choice([*self.pool, *self.pool[-3:]])

    def dim(self, ref: Ref) -> int:
        return self.random.randrange(max(self.value(ref).dim(), 1))

    def dims(self, ref: Ref) -> list[int]:
        rank = self.value(ref).dim()
        return sorted(self.random.sample(range(rank), self.random.randint(1, rank))) if rank else []

    def step(self) -> None:
        """Append one operation, if it can be computed."""
        make = self.random.choice(OPERATIONS)
        before = len(self.tape.ops)
        try:
            made = make(self, self.pick())
        except (RuntimeError, IndexError, ValueError):  # shapes do not fit
            del self.tape.ops[before:]
            return
        for ref in made if isinstance(made, tuple) else (made,):
            value = self.value(ref)
            if value.numel() == 0 or value.numel() > LARGEST or not value.dtype.is_floating_point:
                if value.dtype != torch.bool:
                    continue
            self.pool.append(ref)

    def call(self, target: str, *args: Any) -> Any:
        return self.tape.call(target, *args)


def unary(f: Fuzz, x: Ref) -> Ref:
    return f.call(f"{f.random.choice(UNARY)}.default", x)


def power(f: Fuzz, x: Ref) -> Ref:
    return f.call("pow.Tensor_Scalar", x, f.random.choice([2, 3, 0.5, -1, -2]))


def scalar(f: Fuzz, x: Ref) -> Ref:
    name = f.random.choice(["add", "mul", "sub", "gt", "eq", "div"])
    return f.call(
        f"{name}.{'Scalar' if name in ('gt', 'eq') else 'Tensor'}", x, f.random.choice([0, 1.5, -2])
    )


def binary(f: Fuzz, x: Ref) -> Ref:
    name = f.random.choice(["add", "mul", "sub", "div", "maximum", "mul", "add", "gt", "eq"])
    suffix = "default" if name == "maximum" else "Tensor"
    y = f.random.choice([x, f.pick(), f.pick(), weight_like(f, x), constant_like(f, x)])
    return f.call(f"{name}.{suffix}", x, y)


def weight_like(f: Fuzz, x: Ref) -> Ref:
    shape = [n if f.random.random() < 0.4 else 1 for n in f.value(x).shape]
    return f.tape.weight(*shape)


def constant_like(f: Fuzz, x: Ref) -> Ref:
    n = f.value(x).shape[-1] if f.value(x).dim() else 3
    eye = torch.eye(n, dtype=torch.float64)
    epsilon = torch.zeros(3, 3, 3, dtype=torch.float64)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[i, j, k], epsilon[j, i, k] = 1, -1
    turn = torch.tensor([[0, 1], [-1, 0]], dtype=torch.float64)
    made = f.random.choice(
        [eye, eye, 1 - eye, 2 * eye + 1, torch.ones(n).double(), torch.arange(n).double(), epsilon, turn]
    )
    return f.tape.constant(made[..., None] if f.random.random() < 0.3 else made)


def reduction(f: Fuzz, x: Ref) -> Ref:
    name = f.random.choice(
        ["sum.dim_IntList", "mean.dim", "amax.default", "logsumexp.default", "sum.dim_IntList"]
    )
    return f.call(name, x, f.dims(x), f.random.random() < 0.4)


def spread(f: Fuzz, x: Ref) -> Ref:
    name = f.random.choice(["var.correction", "std.correction"])
    return f.call(name, x, f.dims(x))


def other_reduction(f: Fuzz, x: Ref) -> Any:
    d = f.dim(x)
    return f.random.choice(
        [
            lambda: f.call("linalg_vector_norm.default", x, 2, f.dims(x), f.random.random() < 0.5),
            lambda: f.call("prod.dim_int", x, d),
            lambda: f.call("max.dim", x, d)[0],
            lambda: f.call("sort.default", x, d)[0],
            lambda: f.call("topk.default", x, 2, d)[0],
            lambda: f.call("cumsum.default", x, d),
            lambda: f.call("median.dim", x, d)[0],
            lambda: f.call("softmax.int", x, d),
            lambda: f.call("layer_norm.default", x, [f.value(x).shape[-1]]),
            lambda: f.call("argmax.default", x, d),
        ]
    )()


def movement(f: Fuzz, x: Ref) -> Any:
    value, d = f.value(x), f.dim(x)
    shape = list(value.shape)
    order = f.random.sample(range(len(shape)), len(shape))
    merged = [*shape[:d], -1, *shape[d + 2 :]]
    n = f.random.choice([2, 3])
    return f.random.choice(
        [
            lambda: f.call("permute.default", x, order),
            lambda: f.call("permute.default", x, order),
            lambda: f.call("transpose.int", x, d, f.dim(x)),
            lambda: f.call("unsqueeze.default", x, d),
            lambda: f.call("squeeze.dim", x, d),
            lambda: f.call("reshape.default", x, merged),
            lambda: f.call("reshape.default", x, [*shape[:d], n, -1, *shape[d + 1 :]]),
            lambda: f.call("reshape.default", x, [-1]),
            lambda: f.call("expand.default", x, [n if m == 1 else m for m in shape]),
            lambda: f.call("expand.default", f.call("unsqueeze.default", x, d), [*shape[:d], 3, *shape[d:]]),
            lambda: f.call("repeat.default", x, [2 if k == d else 1 for k in range(len(shape))]),
            lambda: f.call("flip.default", x, [d]),
            lambda: f.call("roll.default", x, [1], [d]),
        ]
    )()


def picking(f: Fuzz, x: Ref) -> Any:
    d = f.dim(x)
    n = f.value(x).shape[d]
    k = f.random.randrange(n)
    places = torch.tensor(f.random.sample(range(n), n))
    return f.random.choice(
        [
            lambda: f.call("select.int", x, d, k),
            lambda: f.call("slice.Tensor", x, d, k, n),
            lambda: f.call("slice.Tensor", x, d, 0, k + 1),
            lambda: f.call("slice.Tensor", x, d, 0, n, 2),
            lambda: f.call("split.Tensor", x, max(1, n // 2), d)[0],
            lambda: f.call("unbind.int", x, d)[k],
            lambda: f.call("index_select.default", x, d, f.tape.constant(places)),
            lambda: f.call("index.Tensor", x, [*[None] * d, f.tape.constant(places)]),
        ]
    )()


def joining(f: Fuzz, x: Ref) -> Any:
    d, y = f.dim(x), f.random.choice([x, f.pick(), f.pick()])
    return f.random.choice(
        [
            lambda: f.call("cat.default", [x, y], d),
            lambda: f.call("stack.default", [x, y], d),
            lambda: written(f, x, y, d),
        ]
    )()


def written(f: Fuzz, x: Ref, y: Ref, d: int) -> Ref:
    base = f.random.choice([x, f.call("zeros_like.default", x)])
    return f.call("select_scatter.default", base, f.call("select.int", y, d, 0), d, 1)


def diagonals(f: Fuzz, x: Ref) -> Any:
    one, other = f.dim(x), f.dim(x)
    part = f.call("diagonal.default", x, 0, one, other)
    more = f.random.choice(
        [
            lambda: part,
            lambda: f.call("diag_embed.default", x),
            lambda: f.call("diag_embed.default", part),
            lambda: f.call(
                "diagonal_scatter.default",
                x,
                f.call("add.Tensor", part, f.random.choice([x, 1.0])),
                0,
                one,
                other,
            ),
            lambda: f.call("diagonal_scatter.default", x, f.call("mul.Tensor", part, 2.0), 0, one, other),
            lambda: f.call("tril.default", x),
        ]
    )
    return more()


def contraction(f: Fuzz, x: Ref) -> Ref:
    """An einsum with random labels for axes of one size."""
    operands = [x, f.random.choice([x, f.pick(), f.pick(), constant_like(f, x)])][
        : f.random.choice([1, 2, 2, 2])
    ]
    letters: dict[int, list[str]] = {}
    spare = iter("abcdefghijklmnopqrstuvw")
    terms = []
    for ref in operands:
        term = ""
        for d, n in enumerate(f.value(ref).shape):
            known = letters.setdefault(n, [])
            if d == 0 and ref is not operands[0] and terms[0] and f.value(ref).shape[0] == f.tape.batch:
                letter = terms[0][0]  # the batch, most often
            elif known and f.random.random() < 0.55:
                letter = f.random.choice(known)
            else:
                letter = next(spare)
                known.append(letter)
            term += letter
        terms.append(term)
    used = list(dict.fromkeys("".join(terms)))
    kept = [a for a in used if f.random.random() < 0.6 or a == terms[0][:1]]
    f.random.shuffle(kept)
    return f.call("einsum.default", f"{','.join(terms)}->{''.join(kept)}", operands)


def matmul(f: Fuzz, x: Ref) -> Ref:
    y = f.random.choice([f.pick(), f.pick(), f.call("transpose.int", x, -1, -2)])
    return f.call("matmul.default", x, y)


def linear(f: Fuzz, x: Ref) -> Ref:
    weight = f.tape.weight(2, f.value(x).shape[-1])
    return f.call("linear.default", x, weight, *([f.tape.weight(2)] if f.random.random() < 0.4 else []))


def choice(f: Fuzz, x: Ref) -> Ref:
    zero = f.call("zeros_like.default", x)
    y = f.random.choice([zero, f.pick(), x, f.call("ones_like.default", x)])
    condition = f.call("gt.Scalar", f.random.choice([x, f.pick()]), 0)
    return f.call("where.self", condition, *f.random.sample([x, y], 2))


def safe_division(f: Fuzz, x: Ref) -> Ref:
    """x / n where n > 0, and 0 elsewhere, for a norm n of some tensor."""
    n = f.call("amax.default", f.call("abs.default", f.random.choice([x, f.pick()])), f.dims(x), True)
    positive = f.call("gt.Scalar", n, 0)
    safe = f.call("where.self", positive, n, f.tape.constant(torch.ones((), dtype=torch.float64)))
    found = f.call("div.Tensor", x, safe)
    return f.call("where.self", positive, found, f.tape.constant(torch.zeros((), dtype=torch.float64)))


def matrices(f: Fuzz, x: Ref) -> Ref:
    return f.call(
        f.random.choice(["linalg_inv.default", "linalg_matrix_exp.default", "linalg_det.default"]), x
    )


def layers(f: Fuzz, x: Ref) -> Any:
    """Pooling, padding, spectra, distances."""
    last = f.value(x).shape[-1]
    return f.random.choice(
        [
            lambda: f.call("pad.default", x, [1, 0]),
            lambda: f.call("avg_pool1d.default", x, [f.random.choice([2, last])]),
            lambda: f.call("max_pool1d.default", x, [f.random.choice([2, last])]),
            lambda: f.call("adaptive_avg_pool1d.default", x, [1]),
            lambda: f.call("cdist.default", x, f.random.choice([x, f.pick()])),
            lambda: f.call("linalg_svdvals.default", x),
            lambda: f.call("linalg_matrix_norm.default", x),
            lambda: f.call(
                "conv1d.default", x, f.tape.weight(2, f.value(x).shape[1], f.random.choice([1, 2]))
            ),
            lambda: f.call("scaled_dot_product_attention.default", x, x, f.random.choice([x, f.pick()])),
            lambda: f.call("group_norm.default", x, 1),
            lambda: f.call("rms_norm.default", x, [last]),
            lambda: f.call("linalg_solve.default", x, f.random.choice([x, f.pick()])),
            lambda: f.call("linalg_cross.default", x, f.pick()),
        ]
    )()


def assembled(f: Fuzz, x: Ref) -> Ref:
    """Zeros, with values written to two slices."""
    d, y = f.dim(x), f.pick()
    shape = list(f.value(x).shape)
    m, n = shape[d], f.value(y).shape[d]
    shape[d] = m + n
    zeros = f.call("new_zeros.default", x, shape)
    one = f.call("slice_scatter.default", zeros, x, d, 0, m)
    both = f.call("slice_scatter.default", one, y, d, m, m + n)
    return f.random.choice([one, both, f.call("slice.Tensor", both, d, f.random.choice([0, m]), m + n)])


def rectified_scale(f: Fuzz, x: Ref) -> Ref:
    """A factor in the manner of an alpha, of whatever there is."""
    epsilon = f.random.choice([0.3, 0.9, 1.1])
    factor = f.call("add.Tensor", f.call("mul.Tensor", f.call("sin.default", f.pick()), epsilon), 1.0)
    return f.call(f.random.choice(["mul.Tensor", "div.Tensor"]), x, factor)


OPERATIONS: list[Callable[[Fuzz, Ref], Any]] = [
    *[
        unary,
        power,
        scalar,
        binary,
        binary,
        binary,
        reduction,
        reduction,
        spread,
        other_reduction,
        movement,
        movement,
    ],
    *[
        picking,
        picking,
        joining,
        diagonals,
        diagonals,
        contraction,
        contraction,
        contraction,
        matmul,
        linear,
        choice,
    ],
    *[safe_division, matrices, layers, layers, assembled, rectified_scale, rectified_scale],
]


def is_on_an_edge(tape: Tape) -> bool:
    """Whether an order is asked of numbers that are 0 but for rounding, as in solve(W, W) > 0."""
    orders = tuple(f"aten.{name}." for name in ("gt", "lt", "ge", "le", "sign"))
    asked = [op for op in tape.ops if op.target.startswith(orders)]
    read = [tape.before[op.args[0].name].double().abs() for op in asked if isinstance(op.args[0], Ref)]
    return any(bool(((x > 0) & (x < 1e-9)).any()) for x in read)


def run(seed: int, length: int = 14) -> tuple[Counter[str], list[str]]:
    """One random graph: how many values got a type, and which types are wrong."""
    f = Fuzz(seed)
    for _ in range(length):
        f.step()
    if is_on_an_edge(f.tape):
        return Counter(), []
    names = [op.name for op in f.tape.ops if not op.parts]
    found = f.tape.infer(*(Ref(name) for name in names))
    counts: Counter[str] = Counter(values=len(names))
    wrong = [f"seed {seed}: {found.refusal}"] if "please report" in str(found.refusal) else []
    for (name,), t in found.outputs.items():
        before, after = f.tape.before[name], f.tape.after[name]
        if not bool(before.double().isfinite().all() and after.double().isfinite().all()):
            continue
        counts["typed"] += 1
        counts["moved"] += not t.is_invariant
        if why := f.tape.wrong(t, name):
            wrong.append(f"seed {seed}: {name}: {why}\n" + "\n".join(map(str, f.tape.ops)))
    return counts, wrong


def check(seeds: range) -> None:
    total: Counter[str] = Counter()
    for seed in seeds:
        counts, wrong = run(seed)
        total += counts
        assert not wrong, wrong[0]
    assert total["typed"] > 3 * len(seeds), total
    assert total["moved"] > 2 * len(seeds), total


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("start", [0, 40])
def test_whatever_is_typed_obeys_its_type(start: int) -> None:
    check(range(start, start + 40))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("start", range(80, 880, 100))
def test_whatever_is_typed_obeys_its_type_in_many_graphs(start: int) -> None:
    check(range(start, start + 100))
