"""Orbit dimensions against the definition: the rank of the infinitesimal action, entry by entry."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import torch
from flint import nmod_mat
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import describe, spec_of, specs

from qecompile import orbit, orbit_rank, orbit_torus
from qecompile.group_elements import Element, Part
from qecompile.groups import Group
from qecompile.orbit_algebra import algebra_of
from qecompile.spec import Param, Spec

PRIME = 2**61 - 1


# --- the definition -----------------------------------------------------------------------------------


def slow_orbit_dim(spec: Spec, seed: int = 0) -> int:
    """The rank of the infinitesimal action at a random point mod p, with one loop per index.

    A generator is a dict: (space, copy) -> a matrix on the space, the derivative of what the group does to
    a vector of that space and copy. It acts on an entry by Leibniz' rule over the axes.
    """
    rng = random.Random(seed)
    theta = {
        p.name: {j: rng.randrange(1, PRIME) for j in itertools.product(*map(range, p.shape))}
        for p in spec.parameters
    }
    rows = [
        [x for p in spec.parameters for x in tangent(spec, p, theta[p.name], generator)]
        for generator in generators(spec)
    ]
    if not rows or not rows[0]:
        return 0
    return int(nmod_mat(len(rows), len(rows[0]), [x % PRIME for row in rows for x in row], PRIME).rank())


def copies_of(spec: Spec, space: str) -> list[tuple[int, ...]]:
    parent = spec.space[space].parent
    if parent is None:
        return [()]
    return [(*copy, i) for copy in copies_of(spec, parent) for i in range(spec.space[parent].size)]


def generators(spec: Spec):
    """(space, copy, kind, data) of a basis of the Lie algebra."""
    for s in spec.spaces:
        for copy in copies_of(spec, s.name):
            if s.vector:
                for i, j in itertools.product(range(s.size), repeat=2):
                    if s.vector == "linear" or i < j:
                        yield s, copy, s.vector, (i, j)
            for c, character in enumerate(s.characters):
                if character.word == "scale":
                    for i in range(s.size):
                        yield s, copy, "scale", (c, i)
                if character.word == "dilate":
                    yield s, copy, "dilate", (c, None)


def tangent(spec: Spec, p: Param, theta: dict, generator) -> list[int]:
    """The derivative of every entry of a parameter along a generator."""
    space, copy, kind, (first, second) = generator
    out = dict.fromkeys(theta, 0)
    for j in theta:
        for k, axis in enumerate(p.axes):
            if axis.space != space.name or copy_of(p, k, j) != copy:
                continue
            if kind == "scale":
                out[j] += axis.charges[first] * (j[k] == second) * theta[j]
            elif kind == "dilate":
                out[j] += axis.charges[first] * theta[j]
            else:
                for entry, other in matrix_row(kind, axis.dual, first, second, j[k]):
                    out[j] += entry * theta[(*j[:k], other, *j[k + 1 :])]
    return [out[j] for j in theta]


def copy_of(p: Param, k: int, j: tuple[int, ...]) -> tuple[int, ...]:
    parent = p.axes[k].parent
    return () if parent is None else (*copy_of(p, parent, j), j[parent])


def matrix_row(kind: str, dual: bool, a: int, b: int, row: int):
    """The non-zero entries of row `row` of the derivative of M = 1 + t X, or of its inverse transpose."""
    matrix = {(a, b): 1} if kind == "linear" else {(a, b): 1, (b, a): -1}
    if dual and kind == "linear":
        matrix = {(j, i): -x for (i, j), x in matrix.items()}
    return [(x, j) for (i, j), x in matrix.items() if i == row]


# --- any spec, by hypothesis --------------------------------------------------------------------------


@settings(max_examples=300)
@given(specs(bound=600, count=5))
def test_orbit_dim_is_the_rank_of_the_action(spec: Spec) -> None:
    assert orbit.orbit_dim(spec) == slow_orbit_dim(spec), describe(spec)


@settings(max_examples=200)
@given(specs(bound=400))
def test_the_rank_modulo_a_prime_is_that_of_the_definition(spec: Spec) -> None:
    rank = orbit.continuous_dim(spec) - orbit_rank.stabiliser_dim(spec, algebra_of(spec))
    assert rank == slow_orbit_dim(spec), describe(spec)


TORI = ("fixed", "permute", "scale", "scale(a) * scale(b)", "permute * scale")


@settings(max_examples=200)
@given(specs(bound=900, index_groups=TORI, vector_groups=("dilate", "dilate(a) * dilate(b)"), count=5))
def test_a_torus_needs_no_ranks_modulo_a_prime(spec: Spec) -> None:
    algebra = algebra_of(spec)
    fixed = orbit_torus.stabiliser_dim(spec, algebra.torus, spec.parameters)
    assert orbit.continuous_dim(spec) - fixed == slow_orbit_dim(spec), describe(spec)


# Types in which matrix groups meet few or many vectors, matrices, each other, tori of one or many weights.
SHAPES = (
    "h q", "h q D", "h q D D", "h q f", "h q q", "h q q f", "h q h q", "h q r", "h q E", "h r", "h D",
    "D", "D E", "E", "E E", "E f", "r f h", "f", "",
)  # fmt: skip


@st.composite
def coupled_specs(draw) -> Spec:
    """Specs of five spaces, chosen so that every rule and every closed form applies often."""
    pick = st.sampled_from
    groups = {
        "D": draw(pick(["fixed", "permute * scale", "scale(a) * scale(b)"])),
        "f": "fixed",
        "h": draw(pick(["fixed", "permute", "permute * scale"])),
        "h.q": draw(pick(["linear", "linear", "orthogonal", "rotate * dilate"])),
        "h.r": draw(pick(["linear", "orthogonal * dilate", "scale"])),
        "E": draw(pick(["linear", "rotate", "dilate", "orthogonal * dilate"])),
    }
    spaces = {
        name: f"{draw(st.integers(1, 2 if name == 'h' else 4))} {group}" for name, group in groups.items()
    }
    families = {name[-1]: group.count("scale") + group.count("dilate") for name, group in groups.items()}
    types = {}
    for k in range(draw(st.integers(1, 4))):
        words = []
        for axis in draw(pick(SHAPES)).split():
            charges = ",".join(str(draw(pick([1, 0, -1, 2]))) for _ in range(families[axis]))
            words.append(axis + draw(pick(["", "*"])) + ("^" + charges if charges else ""))
        types[f"P{k}"] = " ".join(words)
    return spec_of(spaces, types)


@settings(max_examples=500)
@given(coupled_specs().filter(lambda spec: sum(math.prod(p.shape) for p in spec.parameters) <= 400))
def test_each_rule_agrees_with_the_rank_of_the_action(spec: Spec) -> None:
    assert orbit.orbit_dim(spec) == slow_orbit_dim(spec), describe(spec)


EDGES = {
    "as many vectors as dimensions, each of its own weight: gl is diagonal, not scalar": (
        {"q": "3 linear", "D": "3 scale"}, {"A": "q <- D"}),
    "so many that gl is scalar": ({"q": "3 linear", "D": "4 scale"}, {"A": "q <- D"}),
    "vectors of one weight in one parameter, of another in the next": (
        {"q": "3 linear", "v": "2 dilate(a) * dilate(b)"}, {"A": "q v^1,0", "B": "q v^0,1"}),
    "a matrix between two copies of gl": ({"h": "2 fixed", "h.q": "2 linear"}, {"A": "h q h q*"}),
    "two copies in one parameter and one in another": (
        {"h": "2 fixed", "h.q": "2 linear"}, {"A": "h q h q", "B": "h q"}),
    "gl with a symmetric and a skew form": ({"q": "4 linear"}, {"A": "q q"}),
    "gl in three axes": ({"q": "3 linear"}, {"A": "q q q*"}),
    "so in two copies of one parameter": ({"h": "2 fixed", "h.q": "4 orthogonal"}, {"A": "h q h q"}),
    "so coupled with so": ({"a": "4 rotate", "b": "3 rotate"}, {"A": "a b"}),
    "so coupled with gl": ({"a": "4 rotate", "b": "3 linear"}, {"A": "a b", "B": "b", "C": "a"}),
    "gl and its centre through a scale on heads": (
        {"h": "2 scale", "h.q": "3 linear", "i": "2 fixed"}, {"A": "h q i", "B": "h^-1 q*"}),
    "a wide linear network": (
        {"a": "2 fixed", "b": "4 linear", "c": "4 linear", "d": "1 fixed"},
        {"A": "b <- a", "B": "c <- b", "C": "d <- c"}),
    "a torus at three depths": (
        {"a": "2 scale", "a.b": "3 scale", "b.c": "2 scale", "b.v": "2 dilate"},
        {"A": "a b c a b c*", "B": "a^2 b^0 v c^-1", "C": "a b a^-1 b^2"}),
}  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
def test_edges_of_the_rules(case: str) -> None:
    spec = spec_of(*EDGES[case])
    algebra = algebra_of(spec)
    expected = slow_orbit_dim(spec)
    assert orbit.orbit_dim(spec) == expected
    assert orbit.continuous_dim(spec) - orbit_rank.stabiliser_dim(spec, algebra) == expected


def test_generators_of_so_keep_the_norm() -> None:
    """No rank sees the difference between skew and triangular matrices, so this looks at them directly."""
    spec = spec_of({"h": "2 fixed", "h.q": "3 orthogonal"}, {"A": "h q h q*"})
    block = orbit_rank.Block(spec.params["A"], (0, 1, 2, 3), (2, 3, 2, 3, 1))
    theta = np.arange(36).reshape(block.shape) ** 2
    for copy, (i, j) in itertools.product(range(2), [(0, 1), (0, 2), (1, 2)]):
        image = orbit_rank._image(orbit_rank.Unit("q", copy, i, j, skew=True), block, theta)
        assert image.any()
        assert int((image.astype(object) * theta).sum()) % PRIME == 0


# --- any spec, by the group itself --------------------------------------------------------------------


@settings(max_examples=30)
@given(coupled_specs().filter(lambda spec: sum(math.prod(p.shape) for p in spec.parameters) <= 60))
def test_the_orbit_is_that_of_the_group_that_acts_on_tensors(spec: Spec) -> None:
    """The rank, in floating point, of the derivative at the identity of g -> g theta, g by `Group.act`."""
    group = Group(spec)
    generator = torch.Generator().manual_seed(0)
    theta = {p.name: torch.randn(p.shape, generator=generator, dtype=torch.float64) for p in spec.parameters}
    one = group.identity()

    def moved(numbers: dict[str, dict[str, torch.Tensor]]) -> torch.Tensor:
        parts = {}
        for s in spec.spaces:
            part, new = one.parts[s.name], dict(numbers[s.name])
            if s.vector in ("orthogonal", "rotate"):  # 1 + X - X^T is orthogonal to first order
                new["matrix"] = part.matrix + new["matrix"] - new["matrix"].mT
            matrix, characters = new.pop("matrix", None), tuple(new.values())
            parts[s.name] = Part(part.source, matrix, characters)
        return torch.cat([y.flatten() for y in group.act(Element(parts), theta).values()])

    numbers = {
        name: {word: t for word, t in part.tensors() if word != "source"} for name, part in one.parts.items()
    }
    jacobians = torch.func.jacrev(moved)(numbers)
    columns = [j.reshape(len(j), -1) for found in jacobians.values() for j in found.values()]
    rank = int(torch.linalg.matrix_rank(torch.cat(columns, 1), rtol=1e-10)) if columns else 0
    assert orbit.orbit_dim(spec) == rank, describe(spec)


# --- known answers ------------------------------------------------------------------------------------


def perceptron(widths: list[int], group: str) -> Spec:
    last = len(widths) - 1
    spaces = {f"a{i}": f"{n} {'fixed' if i in (0, last) else group}" for i, n in enumerate(widths)}
    weights = {f"W{i}": f"a{i} <- a{i - 1}" for i in range(1, last + 1)}
    return spec_of(spaces, weights | {f"b{i}": f"a{i}" for i in range(1, last + 1)})


def bert(layers: int, residual: str = "permute") -> Spec:
    spaces, types = {"D": f"768 {residual}", "word": "30522 fixed"}, {"E": "D word"}
    for k in range(layers):
        q, v, h, m = f"q{k}", f"v{k}", f"h{k}", f"m{k}"
        spaces |= {h: "12 permute", f"{h}.{q}": "64 linear", f"{h}.{v}": "64 linear", m: "3072 permute"}
        types |= {
            f"Q{k}": f"{h} {q} <- D",
            f"bQ{k}": f"{h} {q}",
            f"K{k}": f"{h} {q}* <- D",
            f"V{k}": f"{h} {v} <- D",
        }
        types |= {f"O{k}": f"D <- {h} {v}", f"W{k}": f"{m} <- D", f"U{k}": f"D <- {m}"}
    return spec_of(spaces, types)


def llama(layers: int) -> Spec:
    spaces, types = {"D": "4096 permute"}, {}
    for k in range(layers):
        g, q, f, p, v, m = (f"{name}{k}" for name in "gqfpvm")
        spaces |= {
            g: "8 permute",
            f"{g}.{q}": "4 permute",
            f"{g}.{f}": "64 fixed",
            f"{f}.{p}": "2 rotate * dilate",
        }
        spaces |= {f"{g}.{v}": "128 linear", m: "14336 permute * scale"}
        types |= {f"Q{k}": f"{g} {q} {f} {p} <- D", f"K{k}": f"{g} {f} {p}* <- D", f"V{k}": f"{g} {v} <- D"}
        types |= {f"O{k}": f"D <- {g} {q} {v}", f"up{k}": f"{m} <- D", f"gate{k}": f"{m}^0 <- D"}
        types |= {f"down{k}": f"D <- {m}"}
    return spec_of(spaces, types)


def test_networks_of_real_size() -> None:
    mlp = perceptron([784, 128, 128, 10], "permute * scale")
    assert orbit.continuous_dim(mlp) == orbit.orbit_dim(mlp) == 256
    assert orbit.continuous_dim(bert(12)) == orbit.orbit_dim(bert(12)) == 1_179_648
    rotated = bert(12, "orthogonal")
    assert orbit.orbit_dim(rotated) == 1_179_648 + math.comb(768, 2)
    assert orbit.orbit_dim(bert(12, "linear")) == 1_179_648 + 768**2
    assert orbit.orbit_dim(llama(32)) == 32 * (8 * 64 * 2 + 8 * 128**2 + 14336)
    conv = spec_of(
        {"x": "3 fixed", "c": "64 permute * scale(pre) * scale(post)", "y": "128 permute", "k": "3 fixed"},
        {"K": "c^1,0 x* k k", "var": "c^2,0", "gamma": "c^0,1", "K2": "y c^0,-1 k k"},
    )
    assert orbit.orbit_dim(conv) == orbit.continuous_dim(conv) == 128


def test_factors_are_those_of_the_spec() -> None:
    spec = spec_of(
        {"h": "3 permute * scale(a) * scale(b)", "h.f": "4 sign", "f.q": "5 linear", "f.o": "5 orthogonal",
         "f.r": "5 rotate * dilate(a) * dilate(b)", "f.d": "5 dilate"},
        {},
    )  # fmt: skip
    assert [(f.space, f.group, f.copies, f.dim, f.total) for f in orbit.factors(spec)] == [
        ("h", "permute * scale(a) * scale(b)", 1, 6, 6),
        ("f", "sign", 3, 0, 0),
        ("q", "linear", 12, 25, 300),
        ("o", "orthogonal", 12, 10, 120),
        ("r", "rotate * dilate(a) * dilate(b)", 12, 12, 144),
        ("d", "dilate", 12, 1, 12),
    ]
    assert orbit.continuous_dim(spec) == 582
    assert orbit.orbit_dim(spec) == 0


@pytest.mark.parametrize(
    ("spaces", "types", "expected"),
    [
        # n^2 - max(n - m, 0) max(n - m', 0) for m vectors and m' covectors
        ({"q": "64 linear", "i": "10 fixed"}, {"A": "q i"}, 64**2 - 54 * 64),
        ({"q": "64 linear", "i": "10 fixed"}, {"A": "q i", "B": "q* i i"}, 64**2),
        ({"h": "7 fixed", "h.q": "9 linear", "i": "5 fixed"}, {"A": "h q i", "B": "h q* i"}, 7 * (81 - 16)),
        # an endomorphism: its commutant remains; with any vector nothing does, with two matrices scalars
        ({"q": "500 linear"}, {"A": "q q*"}, 500**2 - 500),
        ({"q": "500 linear"}, {"A": "q q*", "b": "q"}, 500**2),
        ({"q": "500 linear", "i": "2 fixed"}, {"A": "q q* i"}, 500**2 - 1),
        # so(n) with m vectors keeps so(n - m)
        ({"q": "400 orthogonal", "i": "100 fixed"}, {"A": "q i"}, math.comb(400, 2) - math.comb(300, 2)),
        ({"q": "400 rotate"}, {"A": "q q"}, math.comb(400, 2)),
        # a head's scale repeats the scalars of its gl(n): one dimension per head is lost
        ({"h": "9 scale", "h.q": "64 linear", "D": "99 fixed"}, {"A": "h q D", "B": "h^-1 q* D"}, 9 * 4096),
        ({"h": "9 scale", "h.q": "64 linear", "D": "99 fixed"}, {"A": "h q D", "B": "h^0 q* D"}, 9 * 4097),
        # scales on the columns: gl(64) is scalar, and one overall scalar is lost
        ({"q": "64 linear", "D": "99 scale"}, {"A": "q <- D", "B": "q <- D"}, 64**2 + 99 - 1),
        # a scale that no parameter sees, and characters that always occur together
        ({"h": "1000 scale(a) * scale(b)"}, {"A": "h^1,1", "B": "h^2,2"}, 1000),
        # W[i, j] with scales s_i / t_j: the weights of a complete bipartite graph
        ({"a": "1000 scale", "b": "300 scale"}, {"W": "a <- b"}, 1299),
        # a matrix with s_i / s_j
        ({"a": "1000 scale"}, {"W": "a <- a"}, 999),
    ],
)  # fmt: skip
def test_closed_forms_at_large_sizes(spaces: dict[str, str], types: dict[str, str], expected: int) -> None:
    assert orbit.orbit_dim(spec_of(spaces, types)) == expected


def test_nothing_to_act_or_to_act_on() -> None:
    assert orbit.orbit_dim(spec_of({}, {})) == 0
    assert orbit.orbit_dim(spec_of({}, {"t": ""})) == 0
    assert orbit.orbit_dim(spec_of({"q": "9 linear", "h": "9 scale"}, {"t": "h^0"})) == 0


# --- the limit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [64, 4096])
def test_beyond_the_limit_the_reason_is_given_at_once(width: int) -> None:
    spec = perceptron([10, width, width, 10], "linear")
    with pytest.raises(ValueError, match=r"the actions on a1, a2 are coupled, and \d+ generators .* limit"):
        orbit.orbit_dim(spec)


def test_a_coupled_component_is_cut_into_copies_and_its_columns_capped() -> None:
    """Two gl(3) of one head see each other through a matrix, in 500 heads and on a million free columns."""
    types = {"A": "h q r", "B": "h q* i", "C": "h r"}
    one = spec_of({"h": "1 permute", "h.q": "3 linear", "h.r": "4 linear", "i": "2 fixed"}, types)
    many = spec_of({"h": "500 permute", "h.q": "3 linear", "h.r": "4 linear", "i": "2 fixed"}, types)
    assert orbit.orbit_dim(many) == 500 * orbit.orbit_dim(one) == 500 * slow_orbit_dim(one)
    wide = spec_of({"q": "3 linear", "r": "4 linear", "i": "1000000 fixed"}, {"A": "q r i"})
    small = spec_of({"q": "3 linear", "r": "4 linear", "i": "12 fixed"}, {"A": "q r i"})
    assert orbit.orbit_dim(wide) == slow_orbit_dim(small) == 24
