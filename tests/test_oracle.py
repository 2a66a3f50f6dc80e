"""The oracle is itself checked: against published numbers, classical formulas, and character averages.

None of the expected values here comes from the compiler. The last part averages characters over every
element of a finite group (nested wreath products included), a computation that shares nothing with the
oracle but the definition of the action.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import permutations, product

import pytest
from hypothesis import HealthCheck, assume, given, settings
from oracle import hom_dim, invariant_dim
from strategies import INDEX_GROUPS, pairs, spec_of, specs, with_tensors

from qecompile.spec import Axis, Param, Space, Spec

# --- numbers from the literature ----------------------------------------------------------------------


@pytest.mark.parametrize(("n", "expected"), [(2, 8), (3, 14), (4, 15), (5, 15)])
def test_matrix_to_matrix_under_permutations(n: int, expected: int) -> None:
    """Maron et al. 2019: 15 maps for n >= 4; fewer when blocks outnumber the index values."""
    spec = with_tensors({"a": f"{n} permute"}, "a", 2)
    assert hom_dim(spec, "T2", "T2") == expected


def test_matrix_to_vector_under_permutations() -> None:
    assert hom_dim(with_tensors({"a": "5 permute"}, "a", 2), "T2", "T1") == 5


@pytest.mark.parametrize(("group", "expected"), [("permute * sign", 4), ("permute * scale", 3)])
def test_endomorphisms_of_a_layer_with_signs_or_scales(group: str, expected: int) -> None:
    """The type h (x) h*, in which a square weight matrix between two hidden layers would live."""
    spec = spec_of({"h": f"4 {group}"}, {"W": "h <- h"})
    assert hom_dim(spec, "W", "W") == expected


@pytest.mark.parametrize(
    ("group", "source", "target", "expected"),
    [
        ("3 orthogonal", "v v", "v v", 3),  # identity, transpose, trace
        ("3 rotate", "v v", "v v", 3),
        ("3 rotate", "v v", "v", 1),  # the cross product
        ("3 orthogonal", "v v", "v", 0),
        ("2 rotate", "v v", "v v", 6),
    ],
)
def test_matrices_under_rotations(group: str, source: str, target: str, expected: int) -> None:
    assert hom_dim(spec_of({"v": group}, {"p": source, "q": target}), "p", "q") == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"), [("W1", "W1", 8), ("W1", "b1", 4), ("W1", "W2", 8), ("b2", "W1", 4)]
)
def test_perceptron_under_hidden_permutations(source: str, target: str, expected: int) -> None:
    spec = spec_of(
        {"x": "2 fixed", "h": "3 permute", "y": "2 fixed"},
        {"W1": "h <- x", "b1": "h", "W2": "y <- h", "b2": "y"},
    )
    assert hom_dim(spec, source, target) == expected


@pytest.mark.parametrize(
    ("source", "target", "expected"), [("W1", "W1", 4), ("W2", "W2", 1), ("W1", "W2", 0)]
)
def test_perceptron_under_the_monomial_group(source: str, target: str, expected: int) -> None:
    """Two inputs and a single output."""
    spec = spec_of(
        {"x": "2 fixed", "h": "3 permute * scale", "y": "1 fixed"}, {"W1": "h <- x", "W2": "y <- h"}
    )
    assert hom_dim(spec, source, target) == expected


# --- classical formulas -------------------------------------------------------------------------------


def shapes(size: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """The partitions of an integer, as weakly decreasing rows."""
    if size == 0:
        yield ()
    for row in range(min(size, largest or size), 0, -1):
        yield from ((row, *rest) for rest in shapes(size - row, row))


def standard_tableaux(shape: tuple[int, ...]) -> int:
    """The hook length formula: the dimension of an irreducible representation of a symmetric group."""
    columns = [sum(row > j for row in shape) for j in range(shape[0] if shape else 0)]
    hooks = [row - j + columns[j] - i - 1 for i, row in enumerate(shape) for j in range(row)]
    return math.factorial(sum(shape)) // math.prod(hooks)


@cache
def stirling(k: int, blocks: int) -> int:
    """The number of partitions of k things into a number of blocks."""
    if k == 0 or blocks == 0:
        return int(k == blocks)
    return blocks * stirling(k - 1, blocks) + stirling(k - 1, blocks - 1)


def longest_increasing(images: tuple[int, ...]) -> int:
    lengths: list[int] = []
    for k, image in enumerate(images):
        lengths.append(1 + max((lengths[j] for j in range(k) if images[j] < image), default=0))
    return max(lengths, default=0)


@pytest.mark.parametrize("n", range(1, 6))
def test_symmetric_group_counts_partitions_with_few_blocks(n: int) -> None:
    """Hom(T_k, T_m) is counted by the partitions of k + m points into at most n blocks."""
    spec = with_tensors({"a": f"{n} permute"}, "a", 4)
    for k, m in product(range(5), repeat=2):
        if k + m <= (5 if n < 5 else 4):
            expected = sum(stirling(k + m, blocks) for blocks in range(n + 1))
            assert hom_dim(spec, f"T{k}", f"T{m}") == expected, (k, m)


@pytest.mark.parametrize("n", range(1, 5))
def test_general_linear_group_counts_permutations_with_short_increasing_subsequences(n: int) -> None:
    """Schur-Weyl duality and Robinson-Schensted: k! cut down to longest increasing subsequence <= n."""
    spec = with_tensors({"v": f"{n} linear"}, "v", 4)
    for k in range(4 if n > 2 else 5):
        expected = sum(longest_increasing(images) <= n for images in permutations(range(k)))
        assert hom_dim(spec, f"T{k}", f"T{k}") == expected, k
        assert hom_dim(spec, "T0", f"T{k}") == (k == 0), k


@pytest.mark.parametrize("n", range(1, 5))
def test_orthogonal_group_counts_shapes_with_even_rows(n: int) -> None:
    """Cauchy-Littlewood: an invariant for every tableau whose rows are even and at most n in number."""
    spec = with_tensors({"v": f"{n} orthogonal"}, "v", 6)
    for k in range(7):
        expected = sum(
            standard_tableaux(s) for s in shapes(k) if len(s) <= n and not any(row % 2 for row in s)
        )
        assert invariant_dim(spec, f"T{k}") == expected, k
        assert hom_dim(spec, f"T{k // 2}", f"T{k - k // 2}") == expected, k


@pytest.mark.parametrize("n", range(1, 5))
def test_rotations_add_shapes_with_n_odd_rows(n: int) -> None:
    """The invariants of SO(n) are those of O(n) and the tensors that O(n) multiplies by the determinant."""
    spec = with_tensors({"v": f"{n} rotate"}, "v", 6)
    for k in range(7):
        even = [s for s in shapes(k) if len(s) <= n and not any(row % 2 for row in s)]
        odd = [s for s in shapes(k) if len(s) == n and all(row % 2 for row in s)]
        assert invariant_dim(spec, f"T{k}") == sum(map(standard_tableaux, even + odd)), k


def test_rotations_in_three_dimensions_are_counted_by_riordan_numbers() -> None:
    spec = with_tensors({"v": "3 rotate"}, "v", 7)
    assert [invariant_dim(spec, f"T{k}") for k in range(8)] == [1, 0, 1, 1, 3, 6, 15, 36]


def test_heads_of_an_attention_layer_have_linear_groups_of_their_own() -> None:
    """Schur's lemma, block by block: A_ij in V_i (x) V_j* for two heads i, j.

    The scalar tr A_ii and the traceless part of A_ii map to themselves, tr A_ii to A_jj, and A_ij, i != j,
    is irreducible and isomorphic to no other block.
    """
    spaces = {"D": "3 fixed", "head": "2 permute", "head.qk": "2 linear"}
    spec = spec_of(spaces, {"b": "head qk", "A": "head qk <- head qk", "W": "head qk <- D"})
    assert hom_dim(spec, "b", "b") == 1
    assert invariant_dim(spec, "A") == 1
    assert hom_dim(spec, "A", "A") == 2 + 1 + 1
    assert hom_dim(spec, "W", "W") == 9


def test_the_circle_group_acts_on_a_rotary_plane_by_complex_numbers() -> None:
    """SO(2) x R>0 = C*: its commutant on the plane is C, of real dimension 2, one for each frequency."""
    spec = spec_of({"freq": "3 fixed", "freq.plane": "2 rotate * dilate"}, {"k": "freq plane"})
    assert hom_dim(spec, "k", "k") == 6


def test_answers_are_deterministic() -> None:
    spec = spec_of({"v": "3 rotate"}, {"p": "v v v"})
    assert len({hom_dim(spec, "p", "p") for _ in range(3)}) == 1


# --- averages of characters ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Finite:
    """An element of one copy of a space's group: a permutation, signs by character, nested elements."""

    images: tuple[int, ...]
    signs: tuple[tuple[int, ...], ...]
    fibres: tuple[dict[str, Finite], ...]


def elements(spec: Spec, space: Space) -> list[Finite]:
    """Every element of the finite part (permutations and signs) of one copy of a space's group."""
    n = space.size
    images = list(permutations(range(n))) if space.permuted else [tuple(range(n))]
    choices = [list(product((1, -1), repeat=n)) if c.word == "sign" else [(1,) * n] for c in space.characters]
    nested = {child.name: elements(spec, child) for child in spec.children[space.name]}
    fibre = [dict(zip(nested, chosen, strict=True)) for chosen in product(*nested.values())]
    return [Finite(i, s, f) for i in images for s in product(*choices) for f in product(fibre, repeat=n)]


def order(spec: Spec, space: Space) -> int:
    """The number of elements of the finite part, without listing them."""
    signs = 2 ** sum(c.word == "sign" for c in space.characters)
    fibre = signs * math.prod(order(spec, child) for child in spec.children[space.name])
    return fibre**space.size * (math.factorial(space.size) if space.permuted else 1)


def address(axes: tuple[Axis, ...], values: tuple[int, ...], k: int) -> list[tuple[str, int]]:
    """The axes above an axis, outermost first, as (space, index value), and the axis itself last."""
    parent = axes[k].parent
    return [*([] if parent is None else address(axes, values, parent)), (axes[k].space, values[k])]


def diagonal_entry(g: dict[str, Finite], param: Param, values: tuple[int, ...]) -> int:
    """The entry of rho(g) at a basis tensor and itself: 0, 1 or -1."""
    entry = 1
    for k, axis in enumerate(param.axes):
        groups = g
        for space, value in address(param.axes, values, k):
            local = groups[space]
            groups = local.fibres[value]
        if local.images[values[k]] != values[k]:
            return 0
        entry *= math.prod(
            signs[values[k]] ** abs(charge) for signs, charge in zip(local.signs, axis.charges, strict=True)
        )
    return entry


def weight(spec: Spec, param: Param, values: tuple[int, ...]) -> dict[tuple, int]:
    """The exponents of the torus in the multiplier of a basis tensor, those that are not zero.

    The torus: a number per index value under `scale`, one under `dilate`, the diagonal of GL(n), and in
    SO(n) one per plane, under which (over the complex numbers) the two axes of the plane have charge +-1.
    """
    exponents: dict[tuple, int] = defaultdict(int)
    for k, axis in enumerate(param.axes):
        *outer, (space, value) = address(param.axes, values, k)
        for character, charge in zip(spec.space[space].characters, axis.charges, strict=True):
            if character.word != "sign":
                where = value if character.word == "scale" else None
                exponents[(*outer, space, character.name, where)] += charge
        if spec.space[space].vector == "linear":
            exponents[(*outer, space, "linear", value)] += -1 if axis.dual else 1
        elif spec.space[space].vector == "rotate" and value // 2 < spec.space[space].size // 2:
            exponents[(*outer, space, "rotate", value // 2)] += -1 if value % 2 else 1
    return {key: total for key, total in exponents.items() if total}


def average(spec: Spec, group: list[dict[str, Finite]], source: str, target: str) -> Fraction:
    """The mean over the finite part of the trace on the matrices that the positive numbers fix."""
    p, q = spec.params[source], spec.params[target]
    columns = [(x, weight(spec, p, x)) for x in product(*map(range, p.shape))]
    rows = [(y, weight(spec, q, y)) for y in product(*map(range, q.shape))]
    fixed = [(y, x) for y, heavy in rows for x, light in columns if heavy == light]
    total = 0
    for g in group:
        on_p = {x: diagonal_entry(g, p, x) for x, _ in columns}
        on_q = {y: diagonal_entry(g, q, y) for y, _ in rows}
        total += sum(on_q[y] * on_p[x] for y, x in fixed)
    return Fraction(total, len(group))


def whole_group(spec: Spec) -> list[dict[str, Finite]]:
    roots = {s.name: elements(spec, s) for s in spec.children[None]}
    return [dict(zip(roots, chosen, strict=True)) for chosen in product(*roots.values())]


@pytest.mark.parametrize(
    ("spaces", "types"),
    [
        ({"a": "3 permute"}, {"p": "a", "q": "a a"}),
        ({"a": "3 permute * sign"}, {"p": "a", "q": "a a", "r": "a <- a"}),
        ({"a": "3 fixed", "a.b": "2 permute"}, {"p": "a b", "q": "a a b", "r": "b a b"}),
        ({"a": "3 permute", "a.b": "2 permute"}, {"p": "a b", "q": "a b b", "r": "a a b"}),
        ({"a": "2 permute", "a.b": "3 permute * sign"}, {"p": "a b", "q": "a b b"}),
        ({"a": "2 permute * sign", "a.b": "2 permute", "a.c": "2 permute"}, {"p": "a b", "q": "b a c"}),
        ({"a": "2 permute", "a.b": "2 permute", "b.c": "2 sign"}, {"p": "a b c", "q": "a b c c"}),
        ({"a": "2 permute", "a.b": "2 permute", "b.c": "2 permute"}, {"p": "a b c", "q": "a b a b"}),
        ({"a": "2 permute * scale(pre) * sign(post)"}, {"p": "a^1,1", "q": "a^1,0 a^0,1 a^0,0"}),
        ({"a": "2 fixed", "a.b": "2 dilate"}, {"p": "a b", "q": "a b a", "r": "b* a b a b"}),
    ],
    ids=lambda value: ", ".join(f"{k}: {v}" for k, v in value.items()),
)
def test_named_groups_agree_with_the_average_of_characters(spaces: dict, types: dict) -> None:
    spec = spec_of(spaces, types)
    group = whole_group(spec)
    assert len(group) == math.prod(order(spec, s) for s in spec.children[None])
    for source, target in pairs(spec, 4000):
        assert hom_dim(spec, source, target) == average(spec, group, source, target), (source, target)


@settings(derandomize=True, max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs(bound=144, index_groups=INDEX_GROUPS, vector_groups=("dilate",)))
def test_random_groups_without_matrices_agree_with_the_average_of_characters(spec: Spec) -> None:
    """Every group word but the matrix groups, nested and combined: the torus by weights, the rest by hand."""
    assume(math.prod(order(spec, s) for s in spec.children[None]) <= 300)
    group = whole_group(spec)
    for source, target in pairs(spec, 144):
        assert hom_dim(spec, source, target) == average(spec, group, source, target), (source, target)


# --- Weyl's integration formula -----------------------------------------------------------------------


def weyl_sign(space: Space, exponents: list[int]) -> int:
    """The sign of the Weyl group element w with rho - w rho = exponents, if there is one; else 0.

    The Weyl group: permutations for GL(n); permutations and sign changes for SO(2m + 1); the same with
    an even number of changes for SO(2m), where the zero in rho absorbs an odd one. rho is doubled.
    """
    m = len(exponents)
    odd = space.vector == "rotate" and space.size % 2
    rho = [2 * (m - 1 - i) + odd for i in range(m)]
    image = [r - 2 * e for r, e in zip(rho, exponents, strict=True)]
    bare = image if space.vector == "linear" else [abs(i) for i in image]
    if sorted(bare, reverse=True) != rho:
        return 0
    inversions = sum(bare[i] < bare[j] for i in range(m) for j in range(i + 1, m))
    return (-1) ** (inversions + (sum(i < 0 for i in image) if odd else 0))


def weyl_dim(spec: Spec, source: str, target: str) -> int:
    """For a connected group: the sum over the basis of Hom of the product over copies of `weyl_sign`."""
    p, q = spec.params[source], spec.params[target]
    columns = [weight(spec, p, x) for x in product(*map(range, p.shape))]
    rows = [weight(spec, q, y) for y in product(*map(range, q.shape))]
    total = 0
    for heavy, light in product(rows, columns):
        copies: dict[tuple, dict] = defaultdict(dict)
        for *copy, where in heavy.keys() | light.keys():
            key = (*copy, where)
            copies[tuple(copy)][where] = heavy.get(key, 0) - light.get(key, 0)
        sign = 1
        for (*_, space, word), exponents in copies.items():
            if word in ("linear", "rotate"):
                n = spec.space[space].size
                rank = n if word == "linear" else n // 2
                sign *= weyl_sign(spec.space[space], [exponents.get(i, 0) for i in range(rank)])
            else:
                sign *= not any(exponents.values())
        total += sign
    return total


@settings(derandomize=True, max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    specs(bound=400, index_groups=("fixed", "scale"), vector_groups=("linear", "rotate", "rotate * dilate"))
)
def test_random_connected_groups_agree_with_the_weyl_integration_formula(spec: Spec) -> None:
    """Matrix groups nested in fixed spaces, a copy for each index value, together with tori."""
    for source, target in pairs(spec, 400):
        assert hom_dim(spec, source, target) == weyl_dim(spec, source, target), (source, target)


@pytest.mark.parametrize("word", ["linear", "rotate"])
@pytest.mark.parametrize("n", range(1, 5))
def test_powers_of_a_vector_agree_with_the_weyl_integration_formula(word: str, n: int) -> None:
    powers = {f"T{k}": " ".join((["v", "v*"] * 2)[:k]) for k in range(5)}
    for source, target in pairs(spec := spec_of({"v": f"{n} {word}"}, powers), 1024):
        assert hom_dim(spec, source, target) == weyl_dim(spec, source, target), (source, target)


@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs(bound=400))
def test_the_dimension_of_maps_is_symmetric(spec: Spec) -> None:
    """The group is reductive, so dim Hom(V, W) = dim Hom(W, V); the oracle computes the two separately."""
    for source, target in pairs(spec, 400):
        assert hom_dim(spec, source, target) == hom_dim(spec, target, source)
