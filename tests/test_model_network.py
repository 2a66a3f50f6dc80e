"""Running the network that a `model` statement names: what it may be, and what is told when it cannot run."""

from __future__ import annotations

import pytest
import torch
from model_networks import perceptron

import qecompile as qe
from qecompile.errors import SymError
from qecompile.model.network import Network
from qecompile.model.preserve import check_preserved

MLP = """
spec s(widths: ints = [3, 4, 2]) {
  space x = widths[0] : fixed
  space h = widths[1] : permute * scale
  space y = widths[2] : fixed
  param W : h <- x  from "0.weight"
  param b : h       from "0.bias"
  param V : y <- h  from "2.weight"
  param c : y       from "2.bias"
  model "model_networks:MODEL" with input normal(5, 3)
}
"""


def network(text: str, **arguments: object) -> Network:
    return Network(qe.parse(text, **arguments))


def refusal(text: str, **arguments: object) -> tuple[str, str]:
    """Code and message of what is wrong with a model, which is told at its statement."""
    with pytest.raises(SymError) as caught:
        check_preserved(network(text, **arguments))
    (found,) = caught.value.diagnostics
    assert found.span is not None
    return found.code, found.message


# --- what a model may be -------------------------------------------------------------------------------


def test_a_factory_is_called_with_the_arguments_of_the_spec_that_it_takes() -> None:
    found = network(MLP.replace("MODEL", "perceptron"), widths=[3, 6, 2])
    assert {name: tuple(t.shape) for name, t in found.weights.items()} == {
        "W": (6, 3), "b": (6,), "V": (2, 6), "c": (2,),
    }  # fmt: skip


def test_a_module_is_taken_as_it_is_and_not_changed() -> None:
    from model_networks import instance

    found = network(MLP.replace("MODEL", "instance"))
    assert check_preserved(found).ok
    assert torch.equal(found.weights["W"], instance[0].weight.double())
    assert instance[0].weight.dtype is torch.float32


def test_the_network_is_the_function_of_its_weights() -> None:
    found = network(MLP.replace("MODEL", "perceptron"))
    generator = torch.Generator().manual_seed(0)
    theta, inputs = found.other_weights(generator), found.draw(generator)
    module = perceptron([3, 4, 2]).double()
    keys = {"0.weight": "W", "0.bias": "b", "2.weight": "V", "2.bias": "c"}
    module.load_state_dict({key: theta[name] for key, name in keys.items()})
    assert torch.allclose(found(theta, inputs), module(*inputs[0]).flatten(), atol=1e-14)


def test_parts_of_a_stored_tensor_are_put_together() -> None:
    """Layouts transpose, join and slice; what no parameter names keeps its numbers."""
    found = network("""
    spec s {
      space x = 3 : fixed  space h = 2 : fixed  space y = 2 : fixed
      param W : x h    from "0.weight" as "(part h) x" at part = 1
      param b : h      from "0.bias" as "(part h)" at part = 0
      model "model_networks:instance" with input normal(5, 3)
    }""")
    (weight, bias) = found._slots
    theta = {"W": torch.arange(6.0).view(3, 2).double(), "b": torch.ones(2, dtype=torch.float64)}
    assert torch.equal(weight.fill(theta)[2:], theta["W"].T)
    assert torch.equal(weight.fill(theta)[:2], weight.own.view(4, 3)[:2])
    assert torch.equal(bias.fill(theta)[2:], bias.own[2:])


def test_inputs_by_name_integer_tokens_and_outputs_in_a_dictionary() -> None:
    found = check_preserved(
        network("""
    spec s(vocab: int = 7, width: int = 4) {
      space token = vocab : fixed  space D = width : fixed  space h = width : permute  space y = 2 : fixed
      param E : token D  from "embedding.weight"
      param W : h <- D   from "hidden.weight"
      param b : h        from "hidden.bias"
      param V : y <- h   from "head.weight"
      param shift : h
      model "model_networks:Words" with input tokens(3, 5, below = vocab), mask = ones(3, 5)
    }""")
    )
    assert found.ok
    assert found.max_error < 1e-14


def test_a_function_of_weights_needs_no_module() -> None:
    found = network("""
    spec s { space x = 3 : fixed  space r = 2 : linear  space y = 4 : fixed
      param A : r <- x  param B : y <- r
      model "model_networks:product" with input normal(5, 3) }""")
    assert check_preserved(found).ok


def test_the_model_is_found_beside_the_spec(tmp_path) -> None:
    (tmp_path / "beside_the_spec.py").write_text("from torch import nn\ndef make(): return nn.Linear(3, 2)\n")
    (tmp_path / "s.sym").write_text(
        'spec s { space x = 3 : fixed space y = 2 : fixed param W : y <- x from "weight"\n'
        'model "beside_the_spec:make" with input normal(4, 3) }'
    )
    assert check_preserved(Network(qe.load(tmp_path / "s.sym"))).ok


# --- what is told ---------------------------------------------------------------------------------------

LINEAR = """
spec s { space x = 3 : fixed  space y = 2 : fixed
  param W : y <- x  from "weight"
  model "MODEL" with input normal(4, 3) }
"""


@pytest.mark.parametrize(
    ("model", "code", "words"),
    [
        ("no_such_module:make", "QE300", "there is no module `no_such_module`"),
        ("model_networks.deeper:make", "QE300", "there is no module `model_networks.deeper`"),
        ("model_networks:perceptrom", "QE301", "has no `perceptrom`"),
        ("model_networks:constant", "QE302", "is a int, and cannot be called"),
        ("model_networks:number", "QE302", "gives a int and no module"),
        ("model_networks:needs", "QE302", "needs `missing`, which the spec does not have"),
        ("model_networks:raising", "QE303", "cannot be made: ValueError: no such size"),
        ("model_networks:Broken", "QE303", "cannot be run: RuntimeError"),
        ("model_networks:Choosing", "QE304", "gives no floating numbers, but int64"),
        ("model_networks:Dividing", "QE304", "numbers that are not finite"),
        ("model_networks:Noisy", "QE306", "with the same input differ"),
        ("model_networks:Constant", "QE307", "does not depend on the parameters of the spec"),
    ],
)
def test_models_that_cannot_be_judged(model: str, code: str, words: str) -> None:
    found, message = refusal(LINEAR.replace("MODEL", model))
    assert found == code
    assert words in message


def test_the_help_names_what_is_there() -> None:
    with pytest.raises(SymError) as caught:
        network(LINEAR.replace("MODEL", "model_networks:perceptrom"))
    assert caught.value.diagnostics[0].help == "did you mean `perceptron`?"


def test_an_import_that_fails_inside_the_module_is_no_missing_module(tmp_path, monkeypatch) -> None:
    (tmp_path / "imports_in_vain.py").write_text("import not_installed_anywhere\n")
    monkeypatch.chdir(tmp_path)
    code, message = refusal(LINEAR.replace("MODEL", "imports_in_vain:make"))
    assert code == "QE303"
    assert "No module named 'not_installed_anywhere'" in message


def test_a_module_that_exits_does_not_end_the_command(tmp_path, monkeypatch) -> None:
    (tmp_path / "leaves_early.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    assert refusal(LINEAR.replace("MODEL", "leaves_early:make"))[0] == "QE303"


@pytest.mark.parametrize(
    ("key", "shape", "code"),
    [("wait", "y <- x", "QE210"), ("weight", "x <- y", "QE211")],
)
def test_parameters_that_the_network_does_not_have(key: str, shape: str, code: str) -> None:
    text = LINEAR.replace("MODEL", "model_networks:Odd")
    assert refusal(text.replace('"weight"', f'"{key}"').replace("y <- x", shape))[0] == code


def test_a_parameter_without_a_from_clause_is_found_by_its_name_or_told() -> None:
    text = LINEAR.replace("MODEL", "model_networks:Odd").replace('from "weight"', "")
    assert refusal(text)[0] == "QE215"
    assert check_preserved(network(text.replace("param W", "param weight"))).ok


def test_tied_tensors_are_one_parameter() -> None:
    text = """
    spec s(inputs: int = 6, width: int = 3) { space x = inputs : fixed  space d = width : linear
      param E : x d   from "encode.weight"
      OTHER
      model "model_networks:Tied" with input normal(4, 6) }"""
    code, message = refusal(text.replace("OTHER", 'param U : x d* from "decode.weight"'))
    assert (code, message) == ("QE305", "`E` and `U` are one tensor of `model_networks:Tied`")
    assert check_preserved(network(text.replace("OTHER", "").replace("linear", "orthogonal"))).ok


def test_float32_inside_is_not_decided() -> None:
    """Rounding to float32 hides what changes the function by less: an error, not a verdict."""
    text = LINEAR.replace("MODEL", "model_networks:Single").replace("x = 3 : fixed", "x = 3 : permute")
    found, _ = refusal(text)
    assert found == "QE308"
