"""Mistakes in emitted modules are refused, correct rewrites accepted: a sample of `python tests/mutation`.

The whole table is docs/mutation.md. What draws the mutants is tested here too: a generator that makes no
mistakes, or takes a harmless one for a mistake, would prove nothing.
"""

from __future__ import annotations

import difflib

import pytest
from mutation.campaign import draw, original
from mutation.effect import Crashed, changed_parts
from mutation.judge import judge, refusal_of
from mutation.law import broken_parts
from mutation.operators import OPERATORS
from mutation.operators.base import values
from mutation.rewrites import REWRITES
from mutation.source import distinct
from mutation.variants import VARIANTS, Variant

BY_NAME = {variant.name: variant for variant in VARIANTS}
SMALL = [BY_NAME[name] for name in ("mlp/golden", "rotations/golden", "lora/covariant")]
FEW = [
    *SMALL,
    *(
        BY_NAME[name]
        for name in ("rnn/equal", "mlp/equal", "mha/covariant", "rotations/shared", "mlp/shared")
    ),
]


@pytest.fixture(params=SMALL, ids=lambda variant: variant.name)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


# --- the generator ------------------------------------------------------------------------------------


def test_every_spec_is_mutated_at_two_sizes(root):
    specs = {path.stem for path in (root / "specs").glob("*.sym")}
    assert {f"{spec}/{sizes}" for spec in specs for sizes in ("different", "equal")} <= {*BY_NAME}


def test_every_operator_finds_a_place():
    modules = [original(v)[0] for v in FEW]
    idle = [o.name for o in OPERATORS if not any(next(o.propose(m), None) for m in modules)]
    assert idle == []


UNSEEN = {
    "swap einsum letters": """
        space b = 4 : permute * scale  space a = 2 : scale  space c = 3 : rotate * dilate
        param P : [b^0]  param Q : [a*, c*]  param R : []""",
    "wrong mask": """
        space a = 4 : fixed { space x = 2 : fixed { space v = 1 : orthogonal } }  space b = 2 : permute
        param P : [b]  param Q : [a, x, v*, a*]  param R : [a, x*, v, b*, b*]  param S : [b, a, x, v*]""",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_unseen_specs_are_mutated_too(name: str, tmp_path) -> None:
    """Also where a mutant gives tensors of another shape, or a mask is written with its rows repeated."""
    path = tmp_path / "it.sym"
    path.write_text(f"spec it {{ {UNSEEN[name]}  metanet m {{ channels 1, 2, 2 }} }}")
    operator = next(o for o in OPERATORS if o.name == name)
    mutants = [mutant for mutant, _ in draw(Variant("it", path, {}), operator, 2)]
    assert any(mutant.status == "counted" for mutant in mutants)


def test_a_mutant_differs_in_one_statement(variant):
    module, _ = original(variant)
    for operator in OPERATORS:
        for change in list(distinct(operator.propose(module)))[:2]:
            lines = difflib.ndiff(module.text.splitlines(), module.apply(change).splitlines())
            new = [line for line in lines if line.startswith("+ ")]
            assert 1 <= len(new) <= max(4, len(change.edits)), change


def test_original_modules_keep_their_law_and_do_not_change(variant):
    _, reference = original(variant)
    assert changed_parts(variant.source, reference) == ()
    assert broken_parts(variant, variant.source, tuple(reference.outputs)) == ()


@pytest.mark.parametrize("harmless", ["{}.detach()", "{}.clone()", "{} * 1.0", "{}.flip(0).flip(0)"])
def test_what_changes_nothing_is_not_counted(variant, harmless):
    module, reference = original(variant)
    for scope, node in list(values(module))[::6]:
        change = module.change(scope, node, harmless.format(f"({module.segment(node)})"))
        assert changed_parts(module.apply(change), reference) == (), change


def test_a_module_that_does_not_run_is_no_mutant(variant):
    _, reference = original(variant)
    with pytest.raises(Crashed, match="AttributeError"):
        changed_parts(
            variant.source.replace("x @ self.", "x @ self.no_").replace(" @ self.w", " @ self.no_w"),
            reference,
        )


def test_rewrites_keep_the_function(variant):
    module, reference = original(variant)
    texts = {r.name: r.apply(module) for r in REWRITES}
    done = {name: text for name, text in texts.items() if text is not None}
    assert len(done) >= 15
    assert {name: changed_parts(text, reference) for name, text in done.items()} == dict.fromkeys(done, ())


# --- what the prover says -----------------------------------------------------------------------------


def judged(variant: Variant, names: list[str]) -> int:
    """Have one mutant of each kind judged, and give back how many there were; none may pass."""
    survived, untyped, count = [], [], 0
    for operator in OPERATORS:
        for mutant, text in draw(variant, operator, 1) if operator.name in names else ():
            if mutant.status == "counted":
                verdict = judge(variant, text, mutant.changed, mutant.broken)
                survived += [] if verdict.refused else [f"{mutant}: {verdict.fault}"]
                untyped += [str(mutant)] if mutant.broken and not verdict.types else []
                count += 1
    assert survived == []
    assert untyped == [], "these break the law, and the type system alone does not see it"
    return count


@pytest.mark.parametrize("place", range(len(FEW)))
def test_mutants_are_refused(place):
    names = [o.name for o in OPERATORS][place :: 4 * len(FEW)]
    assert judged(FEW[place], names) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rnn/equal", "rotations/golden", "deepsets/equal", "mlp/shared"])
def test_many_mutants_are_refused(name):
    assert judged(BY_NAME[name], [o.name for o in OPERATORS]) >= 60


def rewritten(variant: Variant, start: int, step: int) -> dict[str, str | None]:
    """The refusals of some correct rewrites of a module, and of itself."""
    module, _ = original(variant)
    texts = {r.name: r.apply(module) for r in REWRITES[start::step]}
    found = {name: refusal_of(variant, text) for name, text in texts.items() if text is not None}
    return {"itself": refusal_of(variant, variant.source), **found}


@pytest.mark.parametrize("place", range(2))
def test_correct_rewrites_are_accepted(place):
    found = rewritten(SMALL[place], place, 4)
    assert len(found) >= 5
    assert found == dict.fromkeys(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rnn/equal", "lora/covariant", "cnn/different"])
def test_more_correct_rewrites_are_accepted(name):
    found = rewritten(BY_NAME[name], 0, 1)
    assert found == dict.fromkeys(found)
