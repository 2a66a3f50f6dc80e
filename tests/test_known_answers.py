"""The basis against numbers that were known before it: dimensions from the literature, sizes of layers.

The layer sizes are those of published weight-space networks: terms per channel pair, summed over all
ordered pairs of parameters, and bias terms, summed over the parameters. Each is also counted here by hand.
"""

from __future__ import annotations

import math

import pytest
from oracle import hom_dim, invariant_dim
from strategies import spec_of, with_tensors

from qecompile.basis import derive
from qecompile.spec import Param, Spec

# --- dimensions of single spaces of maps --------------------------------------------------------------


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (2, 8), (3, 14), (4, 15), (5, 15), (1000, 15)])
def test_matrix_to_matrix_under_permutations(n: int, expected: int) -> None:
    """Bell(4) = 15, less the partitions of four points into more than n blocks."""
    assert derive(with_tensors({"a": f"{n} permute"}, "a", 2)).dim("T2", "T2") == expected


def test_matrix_to_vector_under_permutations() -> None:
    basis = derive(with_tensors({"a": "5 permute"}, "a", 3))
    assert basis.dim("T2", "T1") == 5
    assert [basis.invariants(f"T{k}") for k in range(4)] == [1, 1, 2, 5]


@pytest.mark.parametrize("n", [2, 4, 100])
@pytest.mark.parametrize(("group", "expected"), [("permute * sign", 4), ("permute * scale", 3)])
def test_endomorphisms_of_a_layer_with_signs_or_scales(group: str, expected: int, n: int) -> None:
    """Neutral partitions of h h* k* k: one block, {h h*}{k k*}, {h k*}{h* k}; by sign also {h k}{h* k*}."""
    spec = spec_of({"h": f"{n} {group}"}, {"W": "h <- h"})
    assert derive(spec).dim("W", "W") == expected


@pytest.mark.parametrize(
    ("group", "source", "target", "expected"),
    [
        ("3 orthogonal", "v v", "v v", 3),
        ("3 rotate", "v v", "v v", 3),
        ("3 rotate", "v v", "v", 1),
        ("3 orthogonal", "v v", "v", 0),
        ("2 rotate", "v v", "v v", 6),
        ("2 orthogonal", "v v", "v v", 3),
        ("8 linear", "v v*", "v v*", 2),
        ("1 linear", "v v*", "v v*", 1),
    ],
)
def test_matrices_under_matrix_groups(group: str, source: str, target: str, expected: int) -> None:
    spec = spec_of({"v": group}, {"p": source, "q": target})
    assert derive(spec).dim("p", "q") == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"), [("W1", "W1", 8), ("W1", "b1", 4), ("W1", "W2", 8), ("b2", "W1", 4)]
)
def test_perceptron_under_hidden_permutations(source: str, target: str, expected: int) -> None:
    """Two inputs, three hidden units, two outputs."""
    assert derive(perceptron([2, 3, 2], "fixed", "permute")).dim(source, target) == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"), [("W1", "W1", 4), ("W2", "W2", 1), ("W1", "W2", 0)]
)
def test_perceptron_under_the_monomial_group(source: str, target: str, expected: int) -> None:
    """Two inputs, one output: a neutral block joins the hidden axes of source and target, or nothing does."""
    assert derive(perceptron([2, 3, 1], "fixed", "permute * scale")).dim(source, target) == expected


# --- the sizes of whole layers ------------------------------------------------------------------------


def perceptron(widths: list[int], ends: str, hidden: str) -> Spec:
    """A perceptron whose input and output have the group `ends`, and its hidden layers the group `hidden`."""
    last = len(widths) - 1
    spaces = {f"a{i}": f"{n} {hidden if 0 < i < last else ends}" for i, n in enumerate(widths)}
    weights = {f"W{i}": f"a{i} <- a{i - 1}" for i in range(1, last + 1)}
    return spec_of(spaces, weights | {f"b{i}": f"a{i}" for i in range(1, last + 1)})


def convolutional(channels: list[int], classes: int, ends: str, hidden: str, taps: int = 9) -> Spec:
    """Convolutions with fixed kernel positions, global pooling, and a linear head on the last channels."""
    spaces = {f"c{i}": f"{n} {hidden if i else ends}" for i, n in enumerate(channels)}
    spaces |= {"k": f"{taps} fixed", "y": f"{classes} {ends}"}
    last = len(channels) - 1
    kernels = {f"K{i}": f"c{i} c{i - 1}* k" for i in range(1, last + 1)}
    biases = {f"b{i}": f"c{i}" for i in range(1, last + 1)}
    return spec_of(spaces, kernels | biases | {"W": f"y <- c{last}", "b": "y"})


def size_of_layer(spec: Spec) -> tuple[int, int]:
    """The number of terms and of bias terms that the compiler finds."""
    basis = derive(spec)
    terms = sum(basis.dim(p, q) for p in spec.params for q in spec.params)
    return terms, sum(basis.invariants(p) for p in spec.params)


def size_by_hand(spec: Spec) -> tuple[int, int]:
    """The same, for specs in which no parameter has two axes of one space, unless that space is fixed.

    A fixed axis counts its size. A permuted axis on one side alone is summed or broadcast, one way; on both
    sides it may also be kept, two ways if its size is above 1. Under `permute * scale` it must be kept, and
    the charges must agree.
    """

    def ways(space: str, *sides: Param) -> int:
        s = spec.space[space]
        axes = [a for side in sides for a in side.axes if a.space == space]
        if not s.permuted:
            return s.size ** len(axes)
        if s.characters and axes:
            return int(len(axes) == 2 and axes[0].charges == axes[1].charges)
        return 2 if len(axes) == 2 and s.size > 1 else 1

    def count(*sides: Param) -> int:
        return math.prod(ways(space, *sides) for space in spec.space)

    return (
        sum(count(p, q) for p in spec.parameters for q in spec.parameters),
        sum(count(q) for q in spec.parameters),
    )


SMALL, LARGE, CNN = [32, 64, 64, 10], [784, 128, 128, 10], [1, 16, 16, 16]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (perceptron(SMALL, "permute", "permute"), (62, 6)),
        (perceptron(SMALL, "fixed", "permute"), (4326, 55)),
        (perceptron(SMALL, "fixed", "permute * scale"), (1291, 10)),
        (perceptron(LARGE, "permute", "permute"), (62, 6)),
        (perceptron(LARGE, "fixed", "permute"), (1_269_190, 807)),
        (perceptron(LARGE, "fixed", "permute * scale"), (616_427, 10)),
        (perceptron([3, 8, 8, 2], "fixed", "permute"), (142, 10)),
        (convolutional(CNN, 10, "fixed", "permute"), (3784, 50)),
        (convolutional(CNN, 10, "fixed", "permute * scale"), (464, 10)),
    ],
    ids=[
        "perceptron 32-64-64-10, everything permuted",
        "perceptron 32-64-64-10, hidden layers permuted",
        "perceptron 32-64-64-10, monomial",
        "perceptron 784-128-128-10, everything permuted",
        "perceptron 784-128-128-10, hidden layers permuted",
        "perceptron 784-128-128-10, monomial",
        "perceptron 3-8-8-2, hidden layers permuted (published layers find 139 and 140 of these)",
        "convolutions 1-16-16-16, hidden layers permuted",
        "convolutions 1-16-16-16, monomial",
    ],
)
def test_sizes_of_published_layers(spec: Spec, expected: tuple[int, int]) -> None:
    assert size_by_hand(spec) == expected
    assert size_of_layer(spec) == expected


@pytest.mark.parametrize(("inputs", "expected"), [(1, 2034), (2, 2196), (3, 2196)])
def test_convolutions_with_every_channel_permuted(inputs: int, expected: int) -> None:
    """The published 2196 holds from two input channels on; with one, S(1) makes 162 of them dependent.

    They are the 81 pairs of kernel positions of K1 -> K1, with the hidden axes joined or not: to keep the
    single input channel, or to sum and broadcast it, is one map and not two.
    """
    spec = convolutional([inputs, 16, 16, 16], 10, "permute", "permute")
    assert size_by_hand(spec) == (expected, 32)
    assert size_of_layer(spec) == (expected, 32)


@pytest.mark.parametrize(
    "spec",
    [
        perceptron([2, 3, 3, 2], "permute", "permute"),
        perceptron([3, 2, 2, 2], "fixed", "permute"),
        perceptron([2, 3, 3, 2], "fixed", "permute * scale"),
        convolutional([1, 2, 2, 2], 2, "permute", "permute", taps=2),
        convolutional([2, 2, 2, 2], 2, "permute", "permute", taps=2),
        convolutional([1, 2, 2, 2], 3, "fixed", "permute", taps=3),
        convolutional([1, 2, 2, 2], 3, "fixed", "permute * scale", taps=3),
    ],
    ids=lambda spec: " ".join(f"{s.size} {s.group}," for s in spec.spaces),
)
def test_small_layers_by_the_oracle(spec: Spec) -> None:
    """The same families at sizes where every map can be solved for."""
    terms = sum(hom_dim(spec, p, q) for p in spec.params for q in spec.params)
    found = (terms, sum(invariant_dim(spec, p) for p in spec.params))
    assert size_of_layer(spec) == size_by_hand(spec) == found
