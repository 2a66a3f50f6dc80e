"""Emitted layers are the families that the diagrams span, in exact integers; and nothing else passes."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from emitted import module_of
from hypothesis import HealthCheck, assume, given, settings
from numpy.random import default_rng
from strategies import describe, spec_of, specs
from test_prove_basis import Tampered
from torch import Tensor, nn

from qecompile.basis import derive, total_affine, total_dim
from qecompile.codegen.emit import design, emit_source
from qecompile.resolve import load, parse
from qecompile.spec import Spec
from qecompile.verify.exact import act, draw_element
from qecompile.verify.imported import imported
from qecompile.verify.layer_probes import Mixing, count_weights, expected_weights, probe_layer
from qecompile.verify.small import assignments, resized
from qecompile.verify.translate import MismatchError, as_features, draw_probe, match_layer
from qecompile.verify.translation import translate

MANY = settings(max_examples=50, suppress_health_check=list(HealthCheck))
SPECS = "cnn deepsets lora lstm mha mixer mlp moe rnn siren transformer".split()


def one_to_one(module) -> nn.Module:
    """The layer of a module from one channel to one, in float64."""
    return module.EquivariantLinear(1, 1, dtype=torch.float64)


def mixing(spec: Spec) -> Mixing:
    """How the layer that is emitted for a spec mixes."""
    plan = design(spec).plan
    return Mixing(tuple((c.space, c.rank) for c in plan.codes), plan.context_rank)


# --- what holds ------------------------------------------------------------------------------------------


@MANY
@given(specs(bound=400))
def test_layers_of_random_specs_are_the_family_of_their_diagrams(spec: Spec) -> None:
    basis = derive(spec)
    assume(spec.parameters and total_dim(basis) <= 300)
    found = match_layer(spec, basis, one_to_one(module_of(spec)))
    assert (found.weights, found.bias) == (total_dim(basis), total_affine(basis)), describe(spec)


@MANY
@given(specs(bound=400))
def test_layers_of_random_specs_follow_exact_elements(spec: Spec) -> None:
    basis = derive(spec)
    assume(spec.parameters and total_dim(basis) <= 300)
    module = module_of(spec)
    expected = expected_weights(spec, mixing(spec))
    count_weights(expected, module.EquivariantLinear)
    weights, _ = probe_layer(spec, module.EquivariantLinear)
    assert weights == total_dim(basis) + total_affine(basis)


@pytest.mark.parametrize("name", SPECS)
def test_the_library_at_sizes_around_the_thresholds(name: str, root) -> None:
    spec = load(root / "specs" / f"{name}.sym")
    found = translate(spec, module_of)
    assert found.ok, found.detail
    assert found.figures["copies"] >= 2


def test_sizes_lie_below_at_and_above_the_thresholds() -> None:
    spec = spec_of(
        {"a": "9 permute", "q": "9 linear", "r": "9 rotate", "f": "9 fixed"}, {"T": "a a q q* r f"}
    )
    sizes = assignments(spec)
    assert [sizes[name]["a"] for name in ("one", "below", "at", "above")] == [1, 3, 4, 5]
    assert [sizes[name]["q"] for name in ("one", "below", "at", "above")] == [1, 1, 2, 4]
    assert [sizes[name]["r"] for name in ("one", "below", "at", "above")] == [1, 2, 3, 4]
    small = resized(spec, sizes["at"])
    assert small.params["T"].shape == (4, 4, 2, 2, 3, 2)


CODED = """
spec s {{
  space x = 6 : fixed   space h = 4 : permute * scale   space y = 3 : fixed
  param W : h <- x   param b : h   param V : y <- h   param c : y
  metanet m {{ channels 1, 4, 4  readout invariant -> 2  {options} }}
}}
"""


@pytest.mark.parametrize(
    "options",
    ["mix x encode(3)", "mix x lowrank(2)", "mix x encode(2)  mix y encode(1)", "context lowrank(1)", ""],
)
def test_smaller_families_have_the_weights_that_they_declare(options: str) -> None:
    spec = parse(CODED.format(options=options))
    module = module_of(spec)
    expected = expected_weights(spec, mixing(spec))
    count_weights(expected, module.EquivariantLinear)
    probe_layer(spec, module.EquivariantLinear)
    complete = expected_weights(spec, Mixing())
    assert (expected.layer(1, 1, bias=True) < complete.layer(1, 1, bias=True)) == bool(options)


@pytest.mark.parametrize("seed", [0, 27, 57, 144])
def test_probes_do_not_refuse_small_layers_by_chance(seed: int) -> None:
    """Codes of size 3 x 2 in small integers are often parallel."""
    spec = parse(
        "spec s { space x = 3 : fixed  space h = 3 : permute * scale  param W : h <- x  param b : h"
        "  metanet m { channels 1, 2  readout equivariant  mix x encode(2) } }"
    )
    probe_layer(spec, module_of(spec).EquivariantLinear, seed)


def test_a_low_rank_context_replaces_few_maps_on_small_spaces() -> None:
    """Of the four products of two invariants of a 2x2 matrix only one has no more than two blocks."""
    spec = parse(
        "spec s { space a = 2 : permute  space b = 2 : sign"
        "  param P : a <- a  param Q : a  param R : b <- b"
        "  metanet m { channels 1, 2  readout equivariant  context lowrank(1) } }"
    )
    expected = expected_weights(spec, mixing(spec))
    assert expected.context is not None
    layer = module_of(spec).EquivariantLinear
    count_weights(expected, layer)
    for wrong in (replace(expected, linear=expected.linear + 100), replace(expected, bias=expected.bias + 1)):
        with pytest.raises(MismatchError, match="weights, not"):
            count_weights(wrong, layer)


@pytest.mark.parametrize(
    "text",
    [
        "space a = 3 : sign  param P : [a^0, a^2]  param Q : [a*, a^-1]  param R : [a^0]",
        "space a = 2 : sign { space y = 3 : fixed }  param P : [a, y, a*, a^0]  param Q : [a, a, y]",
    ],
)
@pytest.mark.parametrize("options", ["context lowrank(2)", ""])
def test_weights_are_counted_where_signs_keep_places_apart(text: str, options: str) -> None:
    spec = parse(f"spec s {{ {text}  metanet m {{ channels 1, 3  readout equivariant  {options} }} }}")
    count_weights(expected_weights(spec, mixing(spec)), module_of(spec).EquivariantLinear)


def test_a_low_rank_context_leaves_numbers_that_have_a_charge() -> None:
    spec = parse(
        "spec s { space v = 2 : orthogonal * dilate  param P : [v, v]  param q : []  param r : []"
        "  metanet m { channels 1, 2  readout equivariant  context lowrank(1) } }"
    )
    count_weights(expected_weights(spec, mixing(spec)), module_of(spec).EquivariantLinear)


def test_exact_elements_keep_contractions_of_dual_axes() -> None:
    """tr(Q K^T) for every head, and the sum over neurons of w v / w: invariants, to the last bit."""
    spec = spec_of(
        {"h": "3 permute", "h.q": "4 linear", "h.o": "3 orthogonal", "n": "5 permute * scale * sign"},
        {"Q": "h q o", "K": "h q* o", "w": "n", "v": "n*"},
    )
    rng = default_rng(5)
    g = draw_element(spec, rng)
    x = as_features(draw_probe(spec, rng).x)
    y = act(spec, g, x)
    assert not torch.equal(x["Q"], y["Q"])
    for a in (x, y):
        a["heads"] = (a["Q"] * a["K"]).sum((2, 3)).sort(dim=1).values
        a["neurons"] = (a["w"] * a["v"]).sum(1)
    assert torch.equal(x["heads"], y["heads"])
    assert torch.equal(x["neurons"], y["neurons"])


# --- what does not ---------------------------------------------------------------------------------------

SPEC = spec_of({"a": "4 permute", "x": "2 fixed"}, {"W": "a a", "b": "a", "V": "a x"})
TEXT = emit_source(SPEC)


def refusal(text: str) -> str:
    """Why the layer of an edited text is not the family of the diagrams."""
    with imported(text) as module:
        with pytest.raises(MismatchError) as wrong:
            match_layer(SPEC, derive(SPEC), one_to_one(module))
        return str(wrong.value)


def edited(pattern: str, by: str) -> str:
    """The emitted text with the first match replaced."""
    text, count = re.subn(pattern, by, TEXT, count=1)
    assert count, f"no `{pattern}` in the text"
    return text


def test_a_basis_with_a_diagram_less_or_more_does_not_fit() -> None:
    layer = one_to_one(module_of(SPEC))
    with pytest.raises(MismatchError, match="no multiple of a diagram"):
        match_layer(SPEC, Tampered(SPEC, ("W", "W"), lambda ds: ds[1:]), layer)
    with pytest.raises(MismatchError, match="agree on all probes"):
        match_layer(SPEC, Tampered(SPEC, ("W", "W"), lambda ds: (*ds, ds[0])), layer)


class Wrapped(nn.Module):
    """The emitted layer with a change behind it."""

    def __init__(self, change) -> None:
        super().__init__()
        self.layer, self.change = one_to_one(module_of(SPEC)), change

    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.change(x, self.layer(x))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x, y: {**y, "b": y["b"] * 0}, "changes nothing"),
        (lambda x, y: {**y, "b": y["b"].relu()}, "linear in its weights|no multiple"),
        (lambda x, y: {**y, "b": y["b"] / 3}, "not integers"),
        (lambda x, y: {**y, "W": y["W"].transpose(1, 2)}, None),  # the same family
        (lambda x, y: {**y, "W": y["W"].cumsum(1)}, "no multiple"),
        (lambda x, y: {**y, "b": y["b"].roll(1, 1)}, "no multiple"),
        (lambda x, y: {**y, "b": y["b"] + x["b"].sign()}, "linear in its weights"),
        (lambda x, y: {**y, "V": y["V"].flip(2)}, None),  # relabels free weights: the same family
        (lambda x, y: {**y, "V": y["V"][..., :1, :].expand_as(y["V"])}, "no multiple|changes nothing"),
    ],
)
def test_changes_of_the_outputs_are_refused_unless_the_family_stays(change, reason: str | None) -> None:
    layer = Wrapped(change)
    if reason is None:
        match_layer(SPEC, derive(SPEC), layer)
    else:
        with pytest.raises(MismatchError, match=reason):
            match_layer(SPEC, derive(SPEC), layer)


def test_dead_and_tied_weights_are_seen_at_any_size() -> None:
    class Dead(nn.Module):
        def __init__(self, a: int, b: int, **options) -> None:
            super().__init__()
            self.layer = module_of(SPEC).EquivariantLinear(a, b, **options)
            self.spare = nn.Parameter(torch.zeros(1, **options))

        def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
            return self.layer(x)

    class Tied(Dead):
        def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
            y = self.layer(x)
            return {**y, "b": y["b"] + (self.spare + self.layer.bias[0]) * 2}

    with pytest.raises(MismatchError, match=r"spare.* changes nothing"):
        probe_layer(SPEC, Dead)
    with pytest.raises(MismatchError, match=r"always act alike|spare"):
        probe_layer(SPEC, Tied)


def test_a_layer_that_breaks_the_group_is_seen_at_any_size() -> None:
    class First(nn.Module):
        def __init__(self, a: int, b: int, **options) -> None:
            super().__init__()
            self.layer = module_of(SPEC).EquivariantLinear(a, b, **options)

        def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
            y = self.layer(x)
            return {**y, "b": y["b"] + x["b"][:, :1]}

    with pytest.raises(MismatchError, match="output b does not follow"):
        probe_layer(SPEC, First)


@pytest.mark.parametrize("count", [-1, 1])
def test_a_wrong_number_of_weights_is_refused(count: int) -> None:
    class Other(nn.Module):
        def __init__(self, a: int, b: int, bias: bool = True, **options) -> None:
            super().__init__()
            n = expected_weights(SPEC, Mixing()).layer(a, b, bias=bias)
            self.weight = nn.Parameter(torch.zeros(n + count, **options))

    with pytest.raises(MismatchError, match="weights, not"):
        count_weights(expected_weights(SPEC, Mixing()), Other)


def test_edits_of_the_text_are_refused() -> None:
    assert "no multiple" in refusal(edited(r"\.mean\(1\)", "[:, 0]"))
    assert "integers" in refusal(edited(r"\.mean\(1\)", ".sum(1).div(7)"))
