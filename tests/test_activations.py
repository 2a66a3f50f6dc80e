"""The type rules for nonlinearities, and the functions against the group itself."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from qecompile.activations import FUNCTIONS, choose_activation
from qecompile.codegen.emit import emit_source
from qecompile.errors import SymError
from qecompile.resolve import parse

TYPES = """
spec s {
  space p = 2 : permute  space s = 2 : permute * scale  space e = 2 : permute * sign
  space m = 2 : permute * scale * sign  space k = 2 : linear  space d = 2 : dilate
  param plain : p     param scaled : s      param signed : e     param both : m     param vector : p k
  param neutral : s^0 param even : e^2      param dilated : d    param free : k* <- k*   param scalar : []
}
"""
SPEC = parse(TYPES)


@pytest.mark.parametrize(
    ("param", "chosen"),
    [
        ("plain", "relu"),
        ("scaled", "relu"),
        ("signed", "tanh"),
        ("both", "identity"),
        ("neutral", "relu"),
        ("even", "relu"),
        ("dilated", "relu"),
        ("scalar", "relu"),
        ("vector", None),
        ("free", None),
    ],
)
def test_auto(param: str, chosen: str | None) -> None:
    function = choose_activation(SPEC, SPEC.params[param])
    if chosen == "identity":  # signs and scales together leave only gating
        chosen = None
    assert (function.name if function else None) == chosen


@pytest.mark.parametrize(
    ("param", "name", "space", "word"),
    [
        ("scaled", "tanh", "s", "scale"),
        ("scaled", "gelu", "s", "scale"),
        ("signed", "relu", "e", "sign"),
        ("both", "tanh", "m", "scale"),
        ("both", "relu", "m", "sign"),
        ("vector", "relu", "k", "linear"),
        ("dilated", "sin", "d", "dilate"),
    ],
)
def test_what_the_type_forbids_is_an_error_that_names_space_and_word(param, name, space, word) -> None:
    with pytest.raises(SymError) as caught:
        choose_activation(SPEC, SPEC.params[param], name)
    message = caught.value.diagnostics[0].message
    assert f"`{word}`" in message
    assert f"`{space}`" in message
    assert f"`{name}`" in message


def test_the_suggestions_are_allowed_by_everything_that_acts() -> None:
    with pytest.raises(SymError) as caught:
        choose_activation(SPEC, SPEC.params["both"], "relu")
    assert caught.value.diagnostics[0].help == "use auto, gate, identity"


def test_the_identity_is_allowed_everywhere() -> None:
    assert all(choose_activation(SPEC, p, "identity") for p in SPEC.parameters)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(SymError, match="known are auto, gate"):
        choose_activation(SPEC, SPEC.params["plain"], "sine")


def test_the_error_reaches_the_user_of_build() -> None:
    text = (
        "spec s { space h = 2 : permute * scale  param b : h  metanet m { channels 1, 2  activation tanh } }"
    )
    with pytest.raises(SymError, match="`scale` on space `h` forbids"):
        emit_source(parse(text))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_table_against_numbers(name: str) -> None:
    """A function is marked homogeneous or odd exactly if it is, at a few hundred points."""
    x = torch.linspace(-3, 3, 301, dtype=torch.float64)

    def f(x: torch.Tensor) -> torch.Tensor:
        return eval(
            FUNCTIONS[name].source.format("x"), {"F": F, "x": x, "_signed_square": lambda t: t * t.abs()}
        )

    assert FUNCTIONS[name].homogeneous == torch.allclose(f(2.5 * x), 2.5 * f(x))
    assert FUNCTIONS[name].odd == torch.allclose(f(-x), -f(x))
