"""Modules as people write them: correct ones are proved, and every mistake in them is refused.

The classes are in `handwritten/`. What the checker says is compared with what can be measured: an example
that is not equivariant up to rounding, or a mistake that cannot be seen in numbers, is a wrong example.
"""

from __future__ import annotations

import importlib

import pytest
import torch
from handwritten.example import Example

from qecompile.verify.claims import read_claims
from qecompile.verify.equivariance import check_module
from qecompile.verify.export import Adapted
from qecompile.verify.running import as_function
from qecompile.verify.sample import measure

FAMILIES = (
    "perceptrons perceptron_networks channels_first recurrent scales signs attention vectors adapters "
    "einops_style neural_graphs canonical_forms transformers mixed"
)


def load() -> list[Example]:
    found: list[Example] = []
    for family in FAMILIES.split():
        if family == "einops_style" and not importlib.util.find_spec("einops"):
            continue
        found += importlib.import_module(f"handwritten.{family}").EXAMPLES
    return found


EXAMPLES = load()


# Two mistakes of every module among the quick tests, and all others among the slow ones.
MISTAKES = [
    pytest.param(
        example,
        mistake,
        id=f"{example.name}-{mistake.replace(' ', '_')}",
        marks=pytest.mark.slow if k >= 2 else (),
    )
    for example in EXAMPLES
    for k, mistake in enumerate(example.broken)
]


def gap(example: Example, mistake: str | None = None) -> float:
    """The largest relative gap that is measured, in float64; infinite if the module does not even run."""
    adapters = (example.options.get(name) for name in ("pack", "unpack"))
    module = as_function(Adapted(example.build(mistake), *adapters), torch.float64)
    options = {k: v for k, v in example.options.items() if k in ("channels", "layout")}
    claims = {"types": example.options.get("output_types")}
    try:
        gaps = measure(module, example.spec, lambda out: read_claims(out, example.spec, **claims), **options)
        return max(gap.size for gap in gaps)
    except (RuntimeError, ValueError, IndexError):
        if mistake is None:
            raise
        return float("inf")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_examples_are_equivariant_in_numbers(example: Example) -> None:
    with torch.random.fork_rng():
        torch.set_default_dtype(torch.float64)
        try:
            assert gap(example) < 1e-9
        finally:
            torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("example", "mistake"), MISTAKES)
def test_mistakes_show_in_numbers(example: Example, mistake: str) -> None:
    assert gap(example, mistake) > 1e-3


# --- what the checker says ----------------------------------------------------------------------------------


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_examples_are_proved(example: Example) -> None:
    verdict = check_module(example.spec, example.build(), **example.options)
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize(("example", "mistake"), MISTAKES)
def test_mistakes_are_refused_at_a_line(example: Example, mistake: str) -> None:
    verdict = check_module(example.spec, example.build(mistake), **example.options, search=False)
    assert not verdict.ok
    assert (
        f"{example.name} ({mistake}).py:" in verdict.refusal.source or "handwritten" in verdict.refusal.source
    )
    assert verdict.refusal.reason
