"""Plans: as many weights as basis elements, shared work, and time that grows with layers, not pairs."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, assume, given, settings
from strategies import spec_of, specs

from qecompile.basis import derive, joint_invariants, total_affine, total_dim
from qecompile.codegen.emit import emit_source
from qecompile.factor import triples
from qecompile.plan.build import build_plan
from qecompile.plan.dual import pairings
from qecompile.plan.gauge import gauge_steps
from qecompile.resolve import load, parse
from qecompile.signature import Signatures
from qecompile.spec import Spec

MANY = settings(max_examples=400, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


@MANY
@given(specs())
def test_a_plan_has_one_weight_per_basis_element(spec: Spec) -> None:
    assume(spec.parameters)
    basis = derive(spec)
    assume(total_dim(basis) <= 3000)
    plan = build_plan(Signatures(spec))
    assert plan.weights == total_dim(basis)
    assert len(plan.affine) == total_affine(basis)


@MANY
@given(specs())
def test_diagrams_come_apart_in_one_way_only(spec: Spec) -> None:
    """Two diagrams never share source arm, type and target arm, so no weight is counted twice."""
    halves = [placed for by_root in Signatures(spec).halves.values() for placed in by_root.values()]
    for target in halves:
        for source in halves:
            if target.half.node is source.half.node:
                found = triples(target.half, source.half)
                assert len({(t.source, t.type, t.target) for t in found}) == len(found)


def test_types_of_a_permuted_mlp() -> None:
    spec = spec_of(
        {"a": "3 fixed", "b": "4 permute", "c": "5 permute"}, {"W": "b <- a", "V": "c <- b", "v": "c"}
    )
    plan = build_plan(Signatures(spec))
    assert [(t.name, t.height, t.width) for t in plan.types] == [
        ("scalar", 5, 5),
        ("b", 4, 4),
        ("c", 2, 2),
        ("c_b", 1, 1),
    ]
    assert not any(t.mask for t in plan.types)


def test_below_the_threshold_a_mask_drops_the_dependent_combinations() -> None:
    plan = build_plan(Signatures(spec_of({"a": "2 permute"}, {"T": "a a", "v": "a"})))
    masked = {t.name: (t.height * t.width, t.weights) for t in plan.types if t.mask}
    assert masked == {"scalar": (6, 4), "a": (16, 12)}


def test_reductions_are_shared_between_types() -> None:
    """A tensor of two axes is read by two reductions; its total comes from the row means."""
    source = emit_source(parse("spec s { space a = 4 : permute  space b = 5 : permute  param W : a <- b }"))
    reduce = source[source.index("def reduce_features") : source.index("class EquivariantLinear")]
    assert reduce.count("W.mean(") == 2
    assert reduce.count(".mean(") == 3


def test_one_matrix_product_per_type(root) -> None:
    source = emit_source(load(root / "specs" / "bert.sym", arguments={"layers": 2}))
    layer = source[source.index("class EquivariantLinear") :]
    forward = layer[layer.index("def forward") : layer.index("\nclass ", 10)]
    products = forward.count("self.weight_") - 1  # the first argument of `_check` is no product
    assert products == layer[: layer.index("def forward")].count("self.weight_") // 2


def test_work_does_not_grow_with_pairs_of_layers(root) -> None:
    """Layers look alike: the number of problems solved is linear, of different ones constant, in depth."""
    solved = []
    for layers in (4, 8, 16):
        joint_invariants.cache_clear()
        triples.cache_clear()
        emit_source(load(root / "specs" / "bert.sym", arguments={"layers": layers}))
        solved.append((joint_invariants.cache_info().currsize, triples.cache_info().currsize))
    assert len(set(solved)) == 1


def test_types_grow_linearly_with_layers(root) -> None:
    sizes = []
    for layers in (2, 4, 6):
        plan = build_plan(Signatures(load(root / "specs" / "llama.sym", arguments={"layers": layers})))
        sizes.append(sum(len(t.rows) + len(t.columns) for t in plan.types))
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]


def test_every_layer_costs_as_much_as_the_one_before(root) -> None:
    """Calls of functions, from a spec to a plan: spaces and parameters grow together, and never meet all."""
    calls = [calls_of(load(root / "benchmarks" / "mlp.sym", arguments={"widths": n})) for n in DEEP]
    assert calls[2] - calls[1] == pytest.approx(2 * (calls[1] - calls[0]), rel=0.02)


DEEP = [[64] * (depth + 1) for depth in (8, 16, 32)]


def calls_of(spec: Spec) -> int:
    """How many calls it takes to plan a layer, with nothing remembered."""
    joint_invariants.cache_clear()
    triples.cache_clear()
    seen: list[None] = []
    sys.setprofile(lambda frame, event, arg: seen.append(None) if event.endswith("call") else None)
    try:
        build_plan(Signatures(spec))
    finally:
        sys.setprofile(None)
    return len(seen)


# --- gauges and pairings ---------------------------------------------------------------------------------


def test_the_gauge_of_a_relu_network_goes_layer_by_layer(root) -> None:
    steps = gauge_steps(load(root / "specs" / "mlp.sym", arguments={"widths": [5, 4, 3, 2]}))
    assert [(s.space, [u.param for u in s.sources]) for s in steps] == [
        ("a[1]", ["W[1]", "b[1]"]),
        ("a[2]", ["W[2]", "b[2]"]),
    ]
    assert [(u.param, u.charge) for u in steps[0].uses] == [("W[1]", 1), ("W[2]", -1), ("b[1]", 1)]


def test_characters_of_nested_spaces_depend_on_their_parents() -> None:
    spec = parse(
        "spec s { space e = 2 : permute { space m = 3 : permute * scale } param W : e m  param V : [e, m*] }"
    )
    (step,) = gauge_steps(spec)
    assert step.uses[0].along == (0, 1)


def test_a_character_that_only_occurs_with_general_linear_axes_stays() -> None:
    spec = parse("spec s { space a = 3 : scale  space k = 2 : linear  param W : a k }")
    assert gauge_steps(spec) == ()


def test_dual_types_meet(root) -> None:
    spec = load(root / "specs" / "lora.sym")
    signatures = Signatures(spec)
    found = pairings(build_plan(signatures), signatures.roots)
    assert [(p.left.rows[0].param, p.right.rows[0].param) for p in found] in ([("A", "B")], [("B", "A")])


def test_a_self_dual_type_meets_itself_once() -> None:
    spec = spec_of({"q": "3 orthogonal"}, {"v": "q", "u": "q"})
    signatures = Signatures(spec)
    found = pairings(build_plan(signatures), signatures.roots)
    assert len(found) == 1
    assert found[0].left is found[0].right
