"""The audit: symmetries that a spec leaves out are found as numbers, directions and words.

Each of the networks has a known symmetry. Declared in full, nothing is missing; with something left out on
purpose, exactly that must be reported.
"""

from __future__ import annotations

from dataclasses import replace

import library_models
import pytest
import torch

import qecompile as qe
from qecompile.group_elements import Element
from qecompile.groups import Group
from qecompile.model import audit as auditing
from qecompile.model import estimate
from qecompile.model.audit import Audit, audit_spec, check_maximal
from qecompile.model.kernel import _rank
from qecompile.model.maximality import Maximality
from qecompile.model.network import Network
from qecompile.model.tangent import Tangent, flatten, orthonormal, project_off, unflatten
from qecompile.model.unseen import Sample, _twice_backward, push_forward, remove_seen
from qecompile.orbit import orbit_dim

MLP = """
spec s(widths: ints = [3, 5, 4, 2], activation: text = "relu") {
  let L = len(widths) - 1
  space a[0] = widths[0] : fixed
  space a[i] for i in 1..L-1 = widths[i] : GROUP
  space a[L] = widths[L] : fixed
  param W[i] for i in 1..L : a[i] <- a[i-1]  from "{2*(i-1)}.weight"
  param b[i] for i in 1..L : a[i]            from "{2*(i-1)}.bias"
  model "model_networks:perceptron" with input normal(8, widths[0])
}
"""
ATTENTION = """
spec s(width: int = 4, heads: int = 2, size: int = 3) {
  space D = width : fixed
  space head = heads : HEADS { space qk = size : GROUP  space vo = size : GROUP }
  param W_Q : head qk   <- D  from "q.weight" as "(head qk) D"
  param b_Q : head qk         from "q.bias" as "(head qk)"
  param W_K : head qk*  <- D  from "k.weight" as "(head qk) D"
  param b_K : head qk*        from "k.bias" as "(head qk)"
  param W_V : head vo   <- D  from "v.weight" as "(head vo) D"
  param b_V : head vo         from "v.bias" as "(head vo)"
  param W_O : D <- head vo    from "o.weight" as "D (head vo)"
  model "model_networks:Attention" with input normal(2, 5, width)
}
"""
TIED = """
spec s(inputs: int = 6, width: int = 3) {
  space x = inputs : fixed
  space d = width : GROUP
  param E : x d  from "encode.weight"
  model "model_networks:Tied" with input normal(4, inputs)
}
"""
NORMED = """
spec s(inputs: int = 2, channels: int = 3, outputs: int = 2) {
  space x = inputs : fixed  space c = channels : GROUP  space k = 3 : fixed  space y = outputs : fixed
  param K : [c^{pre: 1}, x*, k]  from "conv.weight"
  param b : c^{pre: 1}           from "conv.bias"
  param mean : c^{pre: 1}        from "bn.running_mean"
  param var : c^{pre: 2}         from "bn.running_var"
  param gamma : c^{post: 1}      from "bn.weight"
  param beta : c^{post: 1}       from "bn.bias"
  param H : [y, c^{post: -1}]    from "head.weight"
  param h : y                    from "head.bias"
  model "model_networks:Normed" with input normal(4, inputs, 8)
}
"""


def audited(text: str, group: str, **arguments: object) -> Audit:
    return audit_spec(qe.parse(text.replace("GROUP", group), **arguments))


def texts(found: Audit) -> list[str]:
    return [d.text for d in found.maximality.directions]


def dims(found: Maximality) -> tuple[int, int]:
    return found.kernel_dim, found.orbit_dim


# --- groups that are complete ---------------------------------------------------------------------------


def test_a_relu_network_has_a_scale_for_every_neuron() -> None:
    found = audited(MLP, "permute * scale")
    assert found.preservation.ok
    assert (dims(found.maximality), found.maximality.ok) == ((9, 9), True)
    assert (found.maximality.directions, found.candidates, found.maximality.shares) == ((), (), {})


def test_a_tanh_network_has_signs() -> None:
    found = audited(MLP, "permute * sign", activation="tanh")
    assert (dims(found.maximality), found.candidates) == ((0, 0), ())


def test_a_tied_embedding_has_rotations() -> None:
    found = audited(TIED, "orthogonal")
    assert (dims(found.maximality), found.maximality.ok, found.candidates) == ((3, 3), True, ())


@pytest.mark.parametrize(("name", "dim"), [("mlp", 9), ("mlp_tanh", 0), ("siren", 0), ("lora", 4)])
def test_specs_of_the_library_that_are_complete(name: str, dim: int) -> None:
    found = check_maximal(Network(library_models.with_model(name)))
    assert (dims(found), found.ok) == ((dim, dim), True)


# --- groups with something left out ---------------------------------------------------------------------


def test_missing_scales_are_counted_and_named() -> None:
    found = audited(MLP, "permute")
    assert found.preservation.ok
    assert (dims(found.maximality), found.maximality.ok) == ((9, 0), False)
    assert texts(found) == [
        "each index value of `a[1]` can be scaled: `W[1]` with charge 1, `W[2]` with charge -1, "
        "`b[1]` with charge 1",
        "each index value of `a[2]` can be scaled: `W[2]` with charge 1, `W[3]` with charge -1, "
        "`b[2]` with charge 1",
    ]
    assert sum(found.maximality.shares.values()) == pytest.approx(1)
    assert found.maximality.shares["b[3]"] < 1e-9


def test_missing_permutations_and_signs_are_candidates() -> None:
    found = audited(MLP, "fixed", activation="tanh")
    assert found.maximality.ok
    assert [(c.space, c.word) for c in found.candidates] == [
        ("a[1]", "permute"), ("a[1]", "sign"), ("a[2]", "permute"), ("a[2]", "sign"),
    ]  # fmt: skip
    assert (
        found.candidates[0].text == "any two index values of `a[1]` can change places (10 of 10 pairs tried)"
    )


def test_a_relu_neuron_has_no_sign() -> None:
    assert {c.word for c in audited(MLP, "scale").candidates} == {"permute"}


def test_a_key_bias_is_found_to_have_no_influence() -> None:
    """Beside it, all that is seen of b_V is W_O b_V, of 4 dimensions: 2 of the 6 of b_V are lost."""
    found = audited(ATTENTION.replace("HEADS", "permute"), "linear")
    assert found.preservation.ok
    assert dims(found.maximality) == (44, 36)
    assert texts(found)[0] == "`b_K` has no influence on the function"
    assert found.candidates == ()


def test_missing_bases_of_heads_are_found_in_words() -> None:
    found = audited(ATTENTION.replace("HEADS", "fixed"), "fixed")
    assert dims(found.maximality) == (44, 0)
    assert {(d.space, d.kind) for d in found.maximality.directions if d.space} >= {
        ("qk", "scale"), ("qk", "linear"), ("vo", "scale"), ("vo", "linear"),
    }  # fmt: skip
    assert ("head", "permute") in {(c.space, c.word) for c in found.candidates}


def test_only_orthogonal_bases_declared_where_all_would_do() -> None:
    found = audited(ATTENTION.replace("HEADS", "permute"), "orthogonal")
    assert found.maximality.orbit_dim == 2 * 2 * 3
    assert "index values of `vo` can be mixed in `W_V`, `b_V`, `W_O`, as under `linear`" in texts(found)


def test_missing_rotations_of_a_tied_embedding() -> None:
    found = audited(TIED, "permute")
    assert dims(found.maximality) == (3, 0)
    assert texts(found) == ["index values of `d` can be mixed in `E`, as under `orthogonal`"]
    assert [(c.space, c.word) for c in found.candidates] == [("d", "sign")]


def test_a_reflection_is_a_candidate_beside_rotations() -> None:
    assert [(c.space, c.word) for c in audited(TIED, "rotate").candidates] == [("d", "orthogonal")]


def test_batch_norm_has_more_scales_than_two_and_shifts() -> None:
    """gamma against var is a third scale, b against mean and mean against beta are shifts: 15 - 6 = 3 * 3."""
    found = audited(NORMED, "permute * scale(pre) * scale(post)")
    assert found.preservation.ok
    assert dims(found.maximality) == (15, 6)
    assert "each entry of `b` (+1), `mean` (+1) can move so, against each other" in texts(found)
    assert "each index value of `c` can be scaled: `var` with charge 2, `gamma` with charge 1" in texts(found)
    assert {c.word for c in found.candidates} == {"sign"}


def test_all_scales_of_batch_norm_are_missing() -> None:
    text = NORMED.replace("^{pre: 1}", "").replace("^{pre: 2}", "").replace("^{post: 1}", "")
    found = audited(text.replace("^{post: -1}", "*"), "permute")
    assert dims(found.maximality) == (15, 0)


def test_two_biases_of_a_recurrent_layer_are_one() -> None:
    found = audit_spec(library_models.with_model("rnn"))
    assert dims(found.maximality) == (10, 0)
    assert texts(found) == [
        f"each entry of `b[{i}]` (+1), `d[{i}]` (-1) can move so, against each other" for i in (1, 2)
    ]
    assert {n for n, share in found.maximality.shares.items() if share > 1e-9} == {
        "b[1]",
        "b[2]",
        "d[1]",
        "d[2]",
    }


def test_a_group_that_does_not_preserve_is_no_part_of_the_kernel() -> None:
    found = audited(MLP, "permute * scale", activation="tanh")
    assert not found.preservation.ok
    assert dims(found.maximality) == (0, 9)
    assert "it does not preserve the network" in found.maximality.detail


# --- many parameters ------------------------------------------------------------------------------------


def without_matrices(monkeypatch: pytest.MonkeyPatch, group: str, **arguments: object) -> Maximality:
    monkeypatch.setattr(auditing, "MOST_DENSE", 0)
    return check_maximal(Network(qe.parse(MLP.replace("GROUP", group), **arguments)))


def test_conjugate_gradients_show_that_nothing_is_missing(monkeypatch) -> None:
    found = without_matrices(monkeypatch, "permute * scale", widths=[3, 4, 2])
    assert (found.method, dims(found), found.ok) == ("conjugate gradients", (4, 4), True)
    assert "nothing is missing" in found.detail


def test_conjugate_gradients_find_directions_that_are_missing(monkeypatch) -> None:
    found = without_matrices(monkeypatch, "permute", widths=[3, 4, 2])
    assert found.ok is False
    assert 1 <= found.kernel_dim <= 12  # an estimate of 4 from three random directions
    assert [(d.kind, d.space) for d in found.directions] == [("scale", "a[1]")]


def test_too_few_steps_decide_nothing(monkeypatch) -> None:
    monkeypatch.setattr(estimate, "STEPS", 10)
    monkeypatch.setattr(estimate, "FEWEST", 10)
    found = without_matrices(monkeypatch, "permute * scale", widths=[2, 4, 3, 1])
    assert found.ok is None
    assert "so nothing is decided" in found.detail


def test_of_very_many_parameters_known_forms_are_tried(monkeypatch) -> None:
    """Where there is no time for an estimate, directions that have a name are still found."""
    monkeypatch.setattr(estimate, "WORK", 0)
    found = without_matrices(monkeypatch, "permute", widths=[3, 4, 2])
    assert (found.method, dims(found), found.ok) == ("known forms", (4, 0), False)
    assert [d.space for d in found.directions] == ["a[1]"]
    found = without_matrices(monkeypatch, "permute * scale", widths=[3, 4, 2])
    assert (found.directions, found.ok) == ((), None)


def test_tokens_that_no_input_has_are_not_weights_without_influence(monkeypatch) -> None:
    monkeypatch.setattr(auditing, "MOST_DENSE", 0)
    monkeypatch.setattr(estimate, "WORK", 0)
    monkeypatch.setattr(estimate, "MOST_INPUTS", 40)
    text = """
    spec s(vocab: int = 100, width: int = 2) {
      space token = vocab : fixed  space D = width : fixed
      param E : token D  from "embedding.weight"
      model "model_networks:Words" with input tokens(1, 3, below = vocab), mask = ones(1, 3)
    }"""
    assert check_maximal(Network(qe.parse(text))).directions == ()


def test_what_a_matrix_sees_is_removed_and_the_rest_lies_in_its_kernel() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(9, 6, generator=generator, dtype=torch.float64)
    a[:, 4:] = a[:, :2]  # a kernel of dimension 2
    sample = Sample((), lambda v: a @ v, lambda u: a.mT @ u, 9, torch.ones(6, dtype=torch.float64))
    z = torch.randn(6, generator=generator, dtype=torch.float64)
    rest = remove_seen(sample, z, steps=30)
    kernel = torch.linalg.svd(a)[2][4:]
    assert torch.allclose(rest.direction, kernel.mT @ (kernel @ z), atol=1e-8)


def test_derivatives_without_a_forward_rule_are_taken_backwards() -> None:
    """A recurrent layer: both ways must agree, which a central difference confirms."""
    network = Network(library_models.with_model("lstm"))
    generator = torch.Generator().manual_seed(0)
    theta, inputs = network.other_weights(generator), network.draw(generator)
    v = torch.randn(flatten(theta).shape, generator=generator, dtype=torch.float64)
    up, down = (unflatten(flatten(theta) + s * 1e-6 * v, theta) for s in (1, -1))
    expected = (network(up, inputs) - network(down, inputs)) / 2e-6
    assert torch.allclose(push_forward(network, theta, inputs, v), expected, atol=1e-7)
    assert torch.allclose(_twice_backward(network, theta, inputs, unflatten(v, theta)), expected, atol=1e-7)


# --- parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp", "cnn", "llama", "moe", "deepsets", "lora"])
def test_the_tangent_space_has_the_dimension_of_the_orbit(name: str) -> None:
    spec = library_models.with_model(name)
    theta = Network(spec).other_weights(torch.Generator().manual_seed(0))
    assert Tangent(spec, theta).basis().shape[1] == orbit_dim(spec)


def test_tangents_are_differences_along_the_group() -> None:
    """X.theta is what a group element near the identity does; the transpose is the transpose."""
    spec = library_models.with_model("llama")
    generator, group = torch.Generator().manual_seed(0), Group(spec)
    theta = Network(spec).other_weights(generator)
    tangent = Tangent(spec, theta)
    basis = tangent.basis()
    g, e = group.sample(generator), group.identity()
    linear = {n: p for n, p in e.parts.items() if spec.space[n].group == "linear"}
    near = {n: replace(p, matrix=p.matrix + 1e-7 * g.parts[n].matrix) for n, p in linear.items()}
    near = Element({**e.parts, **near})
    step = flatten(group.act(near, theta)) - flatten(theta)
    assert step.norm() > 1e-7
    assert (step - basis @ (basis.mT @ step)).norm() < 1e-5 * step.norm()
    x, u = (torch.randn(n, generator=generator, dtype=torch.float64) for n in (tangent.size, basis.shape[0]))
    assert float(tangent.apply(x) @ u) == pytest.approx(float(x @ tangent.adjoint(u)))
    off = project_off(tangent.apply, tangent.adjoint, u)
    assert torch.allclose(off, u - basis @ (basis.mT @ u), atol=1e-8)


def test_the_rank_is_where_singular_values_fall_off() -> None:
    assert _rank(torch.tensor([1.0, 1e-2, 1e-7, 3e-14, 1e-15]))[0] == 3
    assert _rank(torch.tensor([1.0, 0.1]))[0] == 2
    _, gap = _rank(torch.tensor([1.0, 1e-3, 1e-6, 1e-9, 1e-12, 1.1e-14], dtype=torch.float64))
    assert gap < 1.01e3  # no clear step: nothing to be relied on
    assert orthonormal(torch.zeros(3, 2, dtype=torch.float64)).shape == (3, 0)


# --- the command ----------------------------------------------------------------------------------------


def write(folder, text: str, group: str, *expects: str):
    path = folder / "net.sym"
    end = text.rindex("}")
    path.write_text(text[:end].replace("GROUP", group) + "".join(f"  expect {e}\n" for e in expects) + "}\n")
    return path


def test_the_command_prints_what_scripts_read(qecompile, tmp_path) -> None:
    outcome = qecompile("audit", write(tmp_path, MLP, "permute"), "--json")
    assert outcome.code == 0
    found = outcome.json
    assert (found["preserved"], found["kernel_dim"], found["orbit_dim"]) == (True, 9, 0)
    assert 0 <= found["max_error"] < found["tolerance"] < 1e-9
    assert found["maximal"] is False
    assert [d["space"] for d in found["directions"]] == ["a[1]", "a[2]"]


def test_the_command_says_it_in_words(qecompile, tmp_path) -> None:
    outcome = qecompile("audit", write(tmp_path, MLP, "permute"))
    assert outcome.code == 0
    assert "missing directions (9)" in outcome.out
    assert "each index value of `a[1]` can be scaled" in outcome.out


def test_a_group_that_does_not_preserve_fails(qecompile, tmp_path) -> None:
    outcome = qecompile("audit", write(tmp_path, MLP, "permute * sign"), "--json")
    assert outcome.code == 1
    assert outcome.json["preserved"] is False
    assert outcome.json["failures"][0]["group"] == "sign"
    assert qecompile("audit", tmp_path / "net.sym").out.count("not preserved:") == 1


def test_infinite_differences_are_numbers_in_json(qecompile, tmp_path) -> None:
    """A negative variance gives NaN."""
    text = NORMED.replace("scale(pre)", "sign(pre)").replace("^{pre: 2}", "^{pre: 1}")
    outcome = qecompile("audit", write(tmp_path, text, "permute * sign(pre) * scale(post)"), "--json")
    assert outcome.code == 1
    assert outcome.json["max_error"] > 1e300


def test_maximal_can_be_expected(qecompile, tmp_path) -> None:
    good = write(tmp_path, MLP, "permute * scale", "preserves model", "maximal model")
    assert [e["ok"] for e in qecompile("check", good, "--json").json["expect"]] == [True, True]
    bad = write(tmp_path, MLP, "permute", "maximal model")
    outcome = qecompile("check", bad)
    assert outcome.code == 1
    assert "kernel 9, orbit 0" in outcome.out


def test_an_audit_needs_a_model(qecompile, tmp_path) -> None:
    path = tmp_path / "s.sym"
    path.write_text("spec s { space h = 2 : permute  param b : h }")
    outcome = qecompile("audit", path)
    assert outcome.code == 2
    assert "names no model" in outcome.err


def test_an_audit_can_start_from_a_checkpoint(qecompile, tmp_path) -> None:
    from model_networks import perceptron

    torch.save(perceptron([3, 5, 4, 2]).state_dict(), tmp_path / "w.pt")
    path = write(tmp_path, MLP, "permute * scale")
    assert qecompile("audit", path, "--checkpoint", tmp_path / "w.pt", "--json").json["preserved"] is True
    torch.save({"0.weight": torch.zeros(5, 3)}, tmp_path / "less.pt")
    assert qecompile("audit", path, "--checkpoint", tmp_path / "less.pt").code == 2
