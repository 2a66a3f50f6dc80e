"""Obligations (a) to (c): sound bases are proved; each way of tampering with one is refused by its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from strategies import describe, spec_of, specs

from qecompile.basis import Basis, derive
from qecompile.invariants import Block, Diagram, Support
from qecompile.resolve import load
from qecompile.spec import Spec
from qecompile.verify.basis_proof import prove_basis
from qecompile.verify.diagrams import acted_on, broken_rule, moved_by
from qecompile.verify.dimensions import settle, threshold
from qecompile.verify.gram import dependent, inner
from qecompile.verify.nullity import hom_dim
from qecompile.verify.pairs import SOURCE, TARGET, Cases
from qecompile.verify.tensors import dense, members, typed

SPECS = """
    bert cnn cnn_bn deepsets gpt2 llama lora lstm mha mixer mlp mlp_tanh moe resnet rnn siren transformer
""".split()


@pytest.mark.parametrize("name", SPECS)
def test_the_basis_of_every_spec_is_proved_at_its_own_sizes(name: str, root) -> None:
    spec = load(root / "specs" / f"{name}.sym")
    proof = prove_basis(spec, derive(spec))
    assert [(o.name, o.ok) for o in proof.obligations] == [
        ("invariance", True),
        ("independence", True),
        ("dimension", True),
    ]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(specs())
def test_bases_of_random_specs_are_proved(spec: Spec) -> None:
    assume(sum(len(p.axes) for p in spec.parameters) <= 9)
    proof = prove_basis(spec, derive(spec))
    assert proof.ok, [describe(spec), *(o.detail for o in proof.obligations if o.ok is False)]


# --- bases that somebody has tampered with ----------------------------------------------------------------


class Tampered(Basis):
    """The basis of a spec with the list of one pair changed."""

    def __init__(self, spec: Spec, pair: tuple[str, str], change: Callable[[tuple], tuple]) -> None:
        super().__init__(spec)
        self._pair, self._change = pair, change

    def diagrams(self, source: str, target: str) -> tuple[Diagram, ...]:
        found = super().diagrams(source, target)
        return self._change(found) if (source, target) == self._pair else found

    def dim(self, source: str, target: str) -> int:
        return sum(d.count for d in self.diagrams(source, target))


def refusal(spec: Spec, pair: tuple[str, str], change: Callable[[tuple], tuple]) -> tuple[str, str]:
    """The obligation that a tampered basis fails, and why."""
    proof = prove_basis(spec, Tampered(spec, pair, change))
    wrong = [o for o in proof.obligations if o.ok is False]
    assert wrong, "the tampered basis was accepted"
    return wrong[0].name, wrong[0].detail


MATRIX = spec_of({"a": "5 permute"}, {"W": "a a"})


def test_a_dropped_diagram_is_missed() -> None:
    assert refusal(MATRIX, ("W", "W"), lambda ds: ds[1:]) == (
        "dimension",
        "W -> W: the basis has 14 maps, the nullity of the defining equations gives 15",
    )


def test_a_dropped_pair_is_missed() -> None:
    name, why = refusal(spec_of({"a": "5 permute"}, {"v": "a", "w": "a"}), ("v", "w"), lambda _: ())
    assert (name, why.split(":")[0]) == ("dimension", "v -> w")


def test_a_diagram_that_stands_twice_is_refused() -> None:
    assert refusal(MATRIX, ("W", "W"), lambda ds: (*ds[:-1], ds[0]))[0] == "invariance"


def test_a_charge_that_is_not_neutral_is_refused() -> None:
    spec = spec_of({"h": "4 permute * scale"}, {"W": "h h*", "v": "h"})
    whole = Diagram((Block((0, 1)),))
    name, why = refusal(spec, ("v", "v"), lambda ds: (*ds, Diagram((Block((0,)), Block((1,))))))
    assert name == "invariance"
    assert "carries charge" in why
    assert refusal(spec, ("v", "v"), lambda ds: (whole, whole))[0] == "invariance"


def test_a_transposed_pair_is_refused() -> None:
    """Under GL(n) M -> M^T does not commute with conjugation: the pairs would join alike axes."""
    spec = spec_of({"q": "3 linear"}, {"M": "q q*"})
    transposed = Diagram(pairs=((0, 3), (1, 2)))
    name, why = refusal(spec, ("M", "M"), lambda ds: (ds[0], transposed))
    assert (name, "acts on alike" in why) == ("invariance", True)


def test_dependent_diagrams_below_the_threshold_are_refused() -> None:
    """Of the 15 partitions of two matrices only 14 are independent at n = 3."""
    spec = spec_of({"a": "3 permute"}, {"W": "a a"})
    name, why = refusal(spec, ("W", "W"), lambda ds: (*ds, Diagram(tuple(Block((k,)) for k in range(4)))))
    assert (name, why) == (
        "independence",
        "1 diagrams of [permute] [permute] -> [permute] [permute] depend on the others",
    )


def test_like_pairs_with_unlike_lists_are_refused() -> None:
    spec = spec_of({"a": "5 permute"}, {"v": "a", "w": "a"})
    name, why = refusal(spec, ("v", "w"), lambda ds: (ds[0], ds[0]))
    assert (name, "differ" in why or "choices" in why) == ("invariance", True)


# --- single rules -----------------------------------------------------------------------------------------

HEADS = spec_of(
    {"h": "3 permute", "h.q": "2 linear", "h.r": "2 rotate", "x": "2 fixed", "f": "3 sign"},
    {"W": "h q r x f", "V": "h q* r x f"},
)


@pytest.mark.parametrize(
    ("diagram", "rule"),
    [
        (Diagram((Block((0,)), Block((5,)), Block((4, 9), "each")), ((1, 6), (2, 7)), (), (3, 8)), "copies"),
        (Diagram((Block((0, 5)), Block((4, 9), "each")), ((1, 6), (2, 7)), (), (3,)), "each once"),
        (Diagram((Block((0, 5)), Block((3, 8)), Block((4, 9), "each")), ((1, 6), (2, 7))), "wrong place"),
        (Diagram((Block((0, 5)), Block((4, 9))), ((1, 6), (2, 7)), (), (3, 8)), "role"),
        (
            Diagram((Block((0, 5)), Block((4,), "each"), Block((9,), "each")), ((1, 6), (2, 7)), (), (3, 8)),
            "charge",
        ),
        (Diagram((Block((0, 5)), Block((4, 9), "each")), ((1, 7), (2, 6)), (), (3, 8)), "different spaces"),
        (Diagram((Block((0, 5)), Block((4, 9), "each")), (), ((1, 6), (2, 7)), (3, 8)), "Levi-Civita"),
        (
            Diagram(
                (Block((0, 5)), Block((4, 9), "each")),
                ((1, 6), (2, 7)),
                (),
                (3, 8),
                (Support((0,), ((0,),)),),
            ),
            "support",
        ),
        (
            Diagram((Block((0, 5)), Block((4, 9), "each")), ((1, 6), (2, 7)), (), (3, 8), (), 5),
            "coefficients",
        ),
    ],
)
def test_every_rule_refuses_what_breaks_it(diagram: Diagram, rule: str) -> None:
    axes = typed(HEADS, "W", "W")
    reason = broken_rule(diagram, axes, acted_on(HEADS.spaces))
    assert reason is not None
    assert rule in reason


def test_the_sound_one_among_them_breaks_no_rule() -> None:
    axes = typed(HEADS, "W", "W")
    sound = Diagram((Block((0, 5)), Block((4, 9), "each")), ((1, 6), (2, 7)), (), (3, 8), (), 12)
    assert broken_rule(sound, axes, acted_on(HEADS.spaces)) is None
    assert moved_by(HEADS, "W", "W", [sound], axes) == 0
    crossed = replace(sound, blocks=(Block((0,)), Block((5,)), Block((4, 9), "each")))
    assert moved_by(HEADS, "W", "W", [crossed], axes) == 1


# --- the parts --------------------------------------------------------------------------------------------


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(specs(bound=300))
def test_closed_inner_products_are_those_of_the_tensors(spec: Spec) -> None:
    """Where no coefficient depends on an index, the Gram matrix is that of the dense tensors."""
    used = {a.space for p in spec.parameters for a in p.axes}
    assume(all(s.permuted or s.vector for s in spec.spaces if s.name in used))
    basis = derive(spec)
    for target in spec.params:
        axes = typed(spec, target, target)
        if len(axes) <= 6:
            found = basis.diagrams(target, target)[:12]
            tensors = [dense(d, axes) for d in found]
            for a, left in zip(found, tensors, strict=True):
                for b, right in zip(found, tensors, strict=True):
                    assert inner(a, b, axes) == int((left * right).sum()), describe(spec)


def test_levi_civita_terms_are_orthogonal_to_pairings_and_independent() -> None:
    spec = spec_of({"r": "3 rotate"}, {"T": "r r r", "v": "r"})
    axes = typed(spec, "T", "v")
    found = derive(spec).diagrams("v", "T")
    assert dependent(found, axes) == 0
    assert dependent((*found, found[0]), axes) == 1


def test_counts_in_closed_form_follow_the_supports() -> None:
    """Four sign axes on one fixed index: families overlap, so supports give each tuple to one of them."""
    spec = spec_of({"f": "5 sign"}, {"T": "f f"})
    axes = typed(spec, "T", "T")
    basis = derive(spec)
    found = basis.diagrams("T", "T")
    assert any(d.supports for d in found)
    assert [members(d, axes) for d in found] == [d.count for d in found]
    assert (
        sum(int((dense(d, axes) != 0).sum()) for d in found) == basis.dim("T", "T") == hom_dim(spec, "T", "T")
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_dimensions_at_any_size_follow_from_nullities_at_small_ones(size: int) -> None:
    types = {"T": "f g f* g*", "v": "f f"}
    spec = spec_of({"f": f"{size} sign", "f.g": "4 permute * scale"}, types)
    basis = derive(spec)
    for case in Cases(spec).distinct():
        settled = settle(case)
        if settled is not None:
            own = derive(case.spec())
            dim = own.invariants(TARGET) if case.source is None else own.dim(SOURCE, TARGET)
            assert settled.dim == dim
    assert basis.dim("v", "v") == 3 * size * size - 2 * size


def test_the_threshold_is_where_counts_stop_changing() -> None:
    """Compared with nullities around it: below, at, and above."""
    for group in ("permute", "orthogonal", "rotate", "linear"):
        types = {"T": "a a*"}
        at = threshold(spec_of({"a": f"1 {group}"}, types).spaces[0], 4)
        counts = [hom_dim(spec_of({"a": f"{n} {group}"}, types), "T", "T") for n in range(1, at + 2)]
        assert counts[at - 1] == counts[at] != counts[0]
