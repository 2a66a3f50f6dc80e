"""`expect preserves model`: every generator of the group leaves the network alone, or is named."""

from __future__ import annotations

import re
from collections.abc import Callable

import library_models
import pytest
import torch
from test_spec_library import CASES, SPECS

import qecompile as qe
from qecompile.model.moves import broad_move, single_moves, words
from qecompile.model.network import Network
from qecompile.model.preserve import Failure, Preservation, check_preserved

ALONE = [name for name in CASES if name != "mha"]
"""Those of which inputs stay where they are."""

MLP = """
spec s(widths: ints = [3, 5, 2], activation: text = "relu") {
  space x = widths[0] : fixed
  space h = widths[1] : GROUP
  space y = widths[2] : fixed
  param W : h <- x  from "0.weight"
  param b : h       from "0.bias"
  param V : TYPE    from "2.weight"
  param c : y       from "2.bias"
  model "model_networks:perceptron" with input normal(6, widths[0])
  expect preserves model
}
"""


def preserved(group: str, type: str = "y <- h", **arguments: object) -> Preservation:
    return check_preserved(Network(qe.parse(MLP.replace("GROUP", group).replace("TYPE", type), **arguments)))


@pytest.mark.parametrize("name", ALONE)
def test_every_spec_of_the_library_preserves_its_network(name: str) -> None:
    found = check_preserved(Network(library_models.with_model(name)))
    assert found.ok
    assert found.max_error < 1e-13
    assert found.max_error < found.tolerance < 1e-9


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [(name, *mistake) for name in ALONE for mistake in CASES[name].mistakes.items()],
)
def test_every_mistake_is_found_and_its_space_named(name: str, right: str, wrong: str) -> None:
    piece = re.compile(r"\s+".join(map(re.escape, right.split())))
    text = piece.sub(wrong, (SPECS / f"{name}.sym").read_text(encoding="utf-8"))
    found = check_preserved(Network(library_models.with_model(name, text)))
    assert found.max_error > 1e-4
    for failure in found.failures:
        assert failure.space in found_spaces(text, name)
        assert failure.moves
        assert failure.error > 1e3 * found.tolerance


def found_spaces(text: str, name: str) -> set[str]:
    return {s.name for s in library_models.with_model(name, text).spaces}


def only(found: Preservation) -> Failure:
    (failure,) = found.failures
    return failure


def test_the_word_the_place_and_the_parameters_are_named() -> None:
    failure = only(preserved("permute * scale * sign"))
    assert (failure.space, failure.word) == ("h", "sign")
    assert failure.where.startswith("index value ")
    assert failure.moves == ("W", "b", "V")


def test_a_parameter_that_should_stay_is_named() -> None:
    text = MLP.replace("GROUP", "permute * sign * scale").replace("TYPE", "[y, h^{scale: -1}]")
    spec = qe.parse(
        text.replace("b : h ", "b : h^{scale: 1} ").replace("W : h ", "W : h^{scale: 1, sign: 1} ")
    )
    failure = only(check_preserved(Network(spec)))
    assert (failure.word, failure.moves) == ("sign", ("W",))
    assert failure.hint == "it does not if `W` stays as it is (charge 0, or another space)"


def test_a_parameter_that_should_move_is_named() -> None:
    failure = only(preserved("permute * scale", "[y, h^0]"))
    assert (failure.word, failure.moves) == ("scale", ("W", "b"))
    assert failure.hint == "it does not if `V` has charge -1 there"


def test_a_parameter_that_moves_the_wrong_way_is_named() -> None:
    failure = only(preserved("permute * scale", "[y, h]"))
    assert failure.word == "scale"
    assert failure.hint == "it does not if `V` moves the other way (its dual)"


def test_a_variance_has_charge_2() -> None:
    text = """
    spec s(inputs: int = 2, channels: int = 3, outputs: int = 2) {
      space x = inputs : fixed  space c = channels : scale  space k = 3 : fixed  space y = outputs : fixed
      param K : [c, x*, k]    from "conv.weight"
      param b : c             from "conv.bias"
      param mean : c          from "bn.running_mean"
      param var : c^CHARGE    from "bn.running_var"
      model "model_networks:MODEL" with input normal(4, 2, 8) }"""
    exact = text.replace("MODEL", "Normed")
    assert check_preserved(Network(qe.parse(exact.replace("CHARGE", "2")))).ok
    failure = only(check_preserved(Network(qe.parse(exact.replace("CHARGE", "1")))))
    assert failure.hint == "it does not if `var` moves twice as much (twice the charge)"
    # With an epsilon the scale is no symmetry any more, by little:
    small = text.replace("MODEL", "with_epsilon").replace("CHARGE", "2")
    failure = only(check_preserved(Network(qe.parse(small))))
    assert 1e-9 < failure.error < 1e-3
    assert "epsilon" in str(failure.hint)


def test_tanh_lets_signs_through_and_no_scales() -> None:
    assert preserved("permute * sign", activation="tanh").ok
    assert only(preserved("permute * scale", activation="tanh")).word == "scale"


def test_spaces_of_size_one() -> None:
    for group in ("permute * scale", "scale", "permute"):
        assert preserved(group, widths=[1, 1, 1]).ok
    assert not preserved("sign", widths=[1, 1, 1]).ok


def test_own_weights_that_are_zero_are_no_obstacle() -> None:
    """A low-rank update starts with B = 0, where no scale shows: other weights are tried too."""
    network = Network(library_models.with_model("lora"))
    network.weights["B"].zero_()
    assert check_preserved(network).ok


def test_an_output_may_move_along() -> None:
    """What leaves an encoder is the stream itself, which is permuted as its channels are."""
    spec = library_models.with_model("bert")
    assert spec.model is not None
    assert spec.model.output == "D"
    assert check_preserved(Network(spec)).ok
    alone = spec.model_copy(update={"model": spec.model.model_copy(update={"output": None})})
    assert {f.space for f in check_preserved(Network(alone)).failures} == {"D"}


def test_an_output_of_another_size_is_told() -> None:
    text = MLP.replace("GROUP", "permute").replace("TYPE", "y <- h").replace("[0])", "[0]) output h")
    with pytest.raises(qe.SymError, match="whose last axis is not `h` of size 5"):
        check_preserved(Network(qe.parse(text)))


def test_the_same_seed_gives_the_same_figures() -> None:
    assert preserved("permute * scale") == preserved("permute * scale")


# --- generators -----------------------------------------------------------------------------------------

NESTED = """
spec s {
  space e = 3 : permute * scale(a) * sign { space m = 2 : permute  space v = 2 : linear
    space f = 2 : fixed { space p = 2 : rotate * dilate  space o = 1 : orthogonal } }
  param W : e m v f p
  param U : e f o
}
"""


def test_every_word_of_every_space_has_generators() -> None:
    spec = qe.parse(NESTED)
    assert [(w.space, w.text) for w in words(spec)] == [
        ("e", "permute"), ("e", "scale(a)"), ("e", "sign"), ("m", "permute"), ("v", "linear"),
        ("p", "rotate"), ("p", "dilate"), ("o", "orthogonal"),
    ]  # fmt: skip


def each_move() -> list[Callable[..., object]]:
    generator, spec = torch.Generator().manual_seed(0), qe.parse(NESTED)
    moves = [broad_move(spec, word, generator) for word in words(spec)]
    return [*moves, *(m for word in words(spec) for m in single_moves(spec, word, generator))]


@pytest.mark.parametrize("move", each_move(), ids=str)
def test_a_move_is_an_element_of_the_group_and_moves_something(move) -> None:
    spec = qe.parse(NESTED)
    group = qe.Group(spec)
    generator = torch.Generator().manual_seed(1)
    theta = {n: torch.randn(p.shape, generator=generator).double() for n, p in spec.params.items()}
    there = group.act(move.element, theta)
    assert any((there[n] - t).abs().max() > 0.1 for n, t in theta.items())
    back = group.act(group.inverse(move.element), there)
    assert all(torch.allclose(back[n], t) for n, t in theta.items())


def test_places_are_told_with_the_copies_that_they_are_in() -> None:
    generator, spec = torch.Generator().manual_seed(0), qe.parse(NESTED)
    by_word = {w.text: [str(m) for m in single_moves(spec, w, generator)] for w in words(spec)}
    assert by_word["scale(a)"][2] == "`scale(a)` of `e` at index value 2"
    assert by_word["linear"] == [f"`linear` of `v` at e {i}" for i in range(3)]
    assert by_word["rotate"][3] == "`rotate` of `p` at e 1, f 1"


# --- in check and prove ---------------------------------------------------------------------------------


def test_check_answers_and_tells_why(qecompile, tmp_path) -> None:
    good, bad = tmp_path / "good.sym", tmp_path / "bad.sym"
    good.write_text(MLP.replace("GROUP", "permute * scale").replace("TYPE", "y <- h"))
    bad.write_text(MLP.replace("GROUP", "permute * scale").replace("TYPE", "[y, h]"))
    assert qecompile("check", good, "--json").json["expect"][0]["ok"] is True
    outcome = qecompile("check", bad)
    assert outcome.code == 1
    assert "`scale` of `h` at index value 0" in outcome.out
    assert "it does not if `V` moves the other way (its dual)" in outcome.out


def test_prove_shows_it_and_the_separate_checker_says_that_it_did_not_run_it(
    qecompile, tmp_path, capfd
) -> None:
    from qecompile.recheck.command import main as recheck

    spec = tmp_path / "net.sym"
    spec.write_text(MLP.replace("GROUP", "permute * scale").replace("TYPE", "y <- h"))
    report = qecompile("prove", spec, "--json").json
    model = report["obligations"][-1]
    assert (model["name"], model["ok"]) == ("model", True)
    assert model["figures"]["words"] == 2
    assert recheck([f"{spec}.cert.json", str(spec)]) == 3
    assert "NOT RE-CHECKED: (e)" in capfd.readouterr().out


def test_prove_refutes_a_group_that_does_not_preserve(qecompile, tmp_path) -> None:
    spec = tmp_path / "net.sym"
    spec.write_text(MLP.replace("GROUP", "permute * sign").replace("TYPE", "y <- h"))
    outcome = qecompile("prove", spec, "--json")
    assert outcome.code == 1
    assert outcome.json["obligations"][-1]["detail"].startswith("(e) `sign` of `h`")
