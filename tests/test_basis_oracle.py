"""The basis has exactly as many elements as there are independent equivariant maps.

Every test here compares `qecompile.basis`, which counts diagrams, with `tests/oracle.py`, which counts the
solutions of rho_q(g) M = M rho_p(g): on tables that exhaust small cases of each group word, on the shapes
that networks have, and on hundreds of random specs. Sizes go from 1 up, so most cases lie below the
thresholds at which diagrams become independent: a missing diagram and a dependent one both show.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest
from hypothesis import HealthCheck, given, settings
from oracle import hom_dim, invariant_dim
from strategies import (
    INDEX_GROUPS,
    VECTOR_GROUPS,
    describe,
    pairs,
    spec_of,
    specs,
)

from qecompile.basis import derive
from qecompile.spec import Spec

UNMIXED = ("fixed", "permute")


def assert_complete(spec: Spec, bound: int = 4096) -> None:
    """The basis has the right size for every ordered pair of parameters, and for every bias."""
    basis = derive(spec)
    wrong = []
    for source, target in pairs(spec, bound):
        found, expected = basis.dim(source, target), hom_dim(spec, source, target)
        if found != expected:
            wrong.append(f"dim({source} -> {target}) is {expected}, not {found}")
        assert_listed(basis, spec, source, target)
    for name in spec.params:
        found, expected = basis.invariants(name), invariant_dim(spec, name)
        if found != expected:
            wrong.append(f"invariants({name}) is {expected}, not {found}")
    assert not wrong, "\n".join([describe(spec), *wrong])


def assert_listed(basis, spec: Spec, source: str, target: str) -> None:
    """The diagrams are distinct, and one coefficient each unless a fixed index multiplies them."""
    diagrams, dim = basis.diagrams(source, target), basis.dim(source, target)
    used = {a.space for name in (source, target) for a in spec.params[name].axes}
    assert len(set(diagrams)) == len(diagrams), describe(spec)
    assert len(diagrams) <= dim, describe(spec)
    assert bool(diagrams) == bool(dim), describe(spec)
    if all(s.permuted or s.vector for s in spec.spaces if s.name in used):
        assert len(diagrams) == dim, describe(spec)


# --- tables -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", INDEX_GROUPS + VECTOR_GROUPS)
def test_all_powers_of_one_space(group: str) -> None:
    """T_k -> T_l for k + l <= 4 and n = 1 to 5: above the threshold, at it and below it."""
    for n in range(1, 6):
        for power in range(3):
            rest = {f"T{k}": " ".join(["a"] * k) for k in range(5 - power)}
            spec = spec_of({"a": f"{n} {group}"}, {"P": " ".join(["a"] * power), **rest})
            basis = derive(spec)
            for name in rest:
                assert basis.dim("P", name) == hom_dim(spec, "P", name), (n, power, name)
                assert basis.dim(name, "P") == hom_dim(spec, name, "P"), (n, power, name)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("group", ["scale", "sign", "permute * scale", "permute * sign", "dilate"])
def test_all_charges_of_up_to_four_axes(group: str, n: int) -> None:
    """Several neutral pairings may meet on one index value: they count once, not once a pairing."""
    types = {}
    for k in range(1, 5):
        for charges in combinations_with_replacement([-2, -1, 0, 1, 2, 3], k):
            types[" ".join(map(str, charges))] = " ".join(f"a^{c}" for c in charges)
    spec = spec_of({"a": f"{n} {group}"}, types)
    basis = derive(spec)
    for name in types:
        assert basis.invariants(name) == invariant_dim(spec, name), name


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("group", ["scale * sign", "scale(pre) * scale(post)", "permute * scale * sign"])
def test_all_pairs_of_charges_of_up_to_three_axes(group: str, n: int) -> None:
    types = {}
    for k in range(1, 4):
        for charges in combinations_with_replacement(["1,1", "1,0", "0,1", "-1,1", "-1,-1", "-2,0"], k):
            types[" ".join(charges)] = " ".join(f"a^{c}" for c in charges)
    spec = spec_of({"a": f"{n} {group}"}, types)
    basis = derive(spec)
    for name in types:
        assert basis.invariants(name) == invariant_dim(spec, name), name


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("group", ["scale", "permute * scale", "sign", "permute * sign", "scale * sign"])
def test_three_strands_of_a_character(group: str, n: int) -> None:
    """Hom(h h h, h h h) and its relatives: six axes, six neutral pairings of which few are independent."""
    types = {"hhh": "a a a", "hhH": "a a a*", "hHH": "a a* a*"}
    assert_complete(spec_of({"a": f"{n} {group}"}, types))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("group", [g for g in VECTOR_GROUPS if g != "dilate"])
def test_six_strands_of_a_vector(group: str, n: int) -> None:
    """Below n strands diagrams depend on each other; Levi-Civita tensors join SO(n) when n axes are there."""
    types = {f"T{k}": " ".join(["v"] * k) for k in range(4)}
    types |= {f"D{k}": " ".join((["v", "v*"] * 2)[:k]) for k in (2, 3)}
    spec = spec_of({"v": f"{n} {group}"}, types)
    assert_complete(spec)


@pytest.mark.parametrize("group", ["linear", "orthogonal", "rotate"])
def test_invariants_of_six_axes(group: str) -> None:
    for n in (1, 2, 3, 4):
        spec = spec_of({"v": f"{n} {group}"}, {"p": "v v* v v* v v*", "q": "v v v v v v", "r": "v v v v v"})
        basis = derive(spec)
        for name in spec.params:
            assert basis.invariants(name) == invariant_dim(spec, name), (n, name)


NESTED_TYPES = {
    "0": "",
    "p": "p",
    "pc": "p c",
    "cp": "c* p",
    "pcc": "p c c*",
    "ppc": "p p c",
    "pcpc": "p c <- p c",
    "pcp": "p c p*",
}


@pytest.mark.parametrize("child", INDEX_GROUPS + VECTOR_GROUPS)
@pytest.mark.parametrize("parent", ["fixed", "permute", "scale", "permute * scale", "permute * sign"])
def test_a_space_nested_in_another(parent: str, child: str) -> None:
    for n, m in ((1, 2), (2, 1), (2, 2), (3, 2)):
        assert_complete(spec_of({"p": f"{n} {parent}", "p.c": f"{m} {child}"}, NESTED_TYPES), bound=256)


@pytest.mark.parametrize("leaf", ["fixed", "permute", "sign", "permute * scale", "linear", "rotate"])
@pytest.mark.parametrize("outer", ["fixed", "permute"])
@pytest.mark.parametrize("middle", ["fixed", "permute", "scale"])
def test_three_levels(outer: str, middle: str, leaf: str) -> None:
    spaces = {"a": f"2 {outer}", "a.b": f"2 {middle}", "b.c": f"2 {leaf}"}
    types = {"abc": "a b c", "ab": "b* a", "cba": "c* b a", "aabc": "a a b c", "abbc": "a b b c"}
    types["abcc"] = "a b c c*"
    assert_complete(spec_of(spaces, types), bound=256)


# --- the shapes that networks have --------------------------------------------------------------------

NETWORKS = {
    "perceptron, everything permuted": (
        {"x": "2 permute", "h": "3 permute", "y": "2 permute"},
        {"W1": "h <- x", "b1": "h", "W2": "y <- h", "b2": "y"},
    ),
    "perceptron, two hidden layers of one size": (
        {"x": "2 fixed", "h": "2 permute", "k": "2 permute", "y": "2 fixed"},
        {"W1": "h <- x", "b1": "h", "W2": "k <- h", "b2": "k", "W3": "y <- k", "b3": "y"},
    ),
    "perceptron with tied layers": (
        {"x": "2 fixed", "h": "3 permute"},
        {"W1": "h <- x", "W2": "h <- h", "b": "h"},
    ),
    "ReLU perceptron": (
        {"x": "2 fixed", "h": "3 permute * scale", "k": "2 permute * scale", "y": "2 fixed"},
        {"W1": "h <- x", "b1": "h", "W2": "k <- h", "b2": "k", "W3": "y <- k", "b3": "y"},
    ),
    "tanh perceptron with tied layers": (
        {"x": "2 fixed", "h": "3 permute * sign"},
        {"W1": "h <- x", "W2": "h <- h", "b": "h"},
    ),
    "convolution, batch norm, ReLU": (
        {"x": "2 fixed", "c": "2 permute * scale(pre) * scale(post)", "k": "2 fixed", "y": "2 fixed"},
        {
            "K": "c^1,0 x* k k",
            "mean": "c^1,0",
            "var": "c^2,0",
            "gamma": "c^0,1",
            "K2": "y c^0,-1 k k",
        },
    ),
    "attention": (
        {
            "D": "2 permute",
            "head": "2 permute",
            "head.qk": "2 linear",
            "head.vo": "2 linear",
            "ff": "2 permute * scale",
        },
        {
            "Q": "head qk <- D",
            "bQ": "head qk",
            "K": "head qk* <- D",
            "V": "head vo <- D",
            "O": "D <- head vo",
            "W1": "ff <- D",
            "W2": "D <- ff",
            "bV": "head vo",
            "QK": "head qk <- head qk",
        },
    ),
    "grouped-query attention with rotary positions": (
        {
            "D": "2 permute",
            "group": "2 permute",
            "group.q": "2 permute",
            "group.freq": "2 fixed",
            "freq.plane": "2 rotate * dilate",
            "group.vo": "2 linear",
        },
        {
            "Q": "group q freq plane",
            "K": "group freq plane* <- D",
            "k": "group freq plane*",
            "V": "group vo <- D",
            "O": "D <- group q vo",
        },
    ),
    "low-rank adaptation": (
        {"out": "2 fixed", "in": "3 permute", "rank": "2 linear"},
        {"B": "out <- rank", "A": "rank <- in", "AB": "rank <- rank", "BA": "out rank* rank in"},
    ),
    "mixture of experts": (
        {"D": "2 permute", "expert": "2 permute", "expert.m": "2 permute * scale"},
        {"W_in": "expert m <- D", "W_out": "expert D m*", "route": "expert <- D", "b": "expert m"},
    ),
    "mixture of experts, three of them": (
        {"D": "2 fixed", "expert": "3 permute", "expert.m": "3 permute"},
        {"W_in": "expert m <- D", "route": "expert <- D", "b": "expert m", "mm": "expert m m*"},
    ),
    "torus over a fixed index": (
        {"t": "3 scale", "x": "2 permute"},
        {"a": "t", "A": "t*", "aa": "t t", "aA": "t t*", "aAx": "t t* x", "n": "t^0 t", "m": "t^0 t^0"},
    ),
    "rotary planes": (
        {"freq": "2 fixed", "freq.plane": "2 rotate * dilate"},
        {
            "k": "freq plane",
            "K": "freq plane*",
            "kK": "freq plane plane*",
            "kk": "freq plane freq plane",
            "f": "freq",
        },
    ),
    "positions in space": (
        {"n": "3 permute", "v": "3 rotate"},
        {"x": "n v", "xx": "n n v", "I": "v v", "s": "n"},
    ),
    "cliques": (
        {"n": "2 permute", "n.m": "2 permute", "m.l": "2 permute"},
        {"a": "n m l", "b": "n m l m", "c": "l m n", "d": "n n m"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    spaces, types = NETWORKS[name]
    assert_complete(spec_of(spaces, types), bound=2048)


def test_axes_stand_anywhere() -> None:
    """The order of the axes, and the side on which a nested axis finds its parent, do not matter."""
    spaces = {"a": "2 permute", "a.b": "2 permute * sign", "x": "2 fixed"}
    spec = spec_of(spaces, {"P": "a b x", "Q": "x b a", "R": "b x a"})
    basis = derive(spec)
    assert_complete(spec)
    assert {basis.dim(p, q) for p in spec.params for q in spec.params} == {basis.dim("P", "P")}


def test_equal_sizes_are_not_equal_spaces() -> None:
    spec = spec_of({"a": "3 permute", "b": "3 permute"}, {"P": "a a", "Q": "a b", "R": "b b"})
    assert_complete(spec)
    assert derive(spec).dim("P", "R") == 4


# --- random specs -------------------------------------------------------------------------------------

RANDOM = {
    "anything": {},
    "deep permutations": {"index_groups": UNMIXED, "vector_groups": ("rotate",)},
    "characters": {"vector_groups": ("dilate",)},
    "matrices in copies": {"index_groups": UNMIXED},
    "large": {"bound": 4000},
}


def random_test(family: str, examples: int, **options):
    """A hypothesis test of the basis on random specs of a family."""
    drawn = RANDOM[family] | options
    relaxed = settings(
        derandomize=True,
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    return relaxed(given(specs(**drawn))(lambda spec: assert_complete(spec, drawn.get("bound", 1500))))


@pytest.mark.parametrize(
    ("family", "examples"),
    [
        ("anything", 250),
        ("deep permutations", 120),
        ("characters", 150),
        ("matrices in copies", 120),
        ("large", 40),
    ],
)
def test_random_specs(family: str, examples: int) -> None:
    random_test(family, examples)()


@pytest.mark.slow
@pytest.mark.parametrize("family", RANDOM)
def test_many_random_specs(family: str) -> None:
    random_test(family, 500, bound=4000, count=4)()
