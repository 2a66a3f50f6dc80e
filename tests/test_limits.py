"""What is too large is refused with a message at once, at the stage that would drown in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qecompile.basis import MOST_PAIRS, derive
from qecompile.checks import check_expects
from qecompile.codegen.emit import emit_source
from qecompile.errors import SymError
from qecompile.resolve import load, parse

WIDE = {
    "four axes each of two permuted spaces": (
        "space a = 5 : permute  space b = 5 : permute  param P : [a, a, a, a, b, b, b, b]",
        "QE901",
    ),
    "three axes each of two tori": (
        "space a = 20 : scale  space b = 20 : scale  param P : [a, a, a, b, b, b]",
        "QE900",
    ),
    "nested permutations": (
        "space a = 9 : permute { space b = 9 : permute }  param P : [a, b, b, a, b, b, a, b, a, b]",
        "QE900",
    ),
    "nine axes of a vector space": ("space a = 2 : rotate  param P : [a, a, a, a, a, a, a, a, a]", "QE900"),
}


@pytest.mark.parametrize("name", sorted(WIDE))
def test_layers_that_nobody_could_run_are_refused(name: str) -> None:
    declarations, code = WIDE[name]
    with pytest.raises(SymError) as caught:
        emit_source(parse(f"spec s {{ {declarations} }}"))
    assert {d.code for d in caught.value.diagnostics} == {code}


def test_a_complete_mixing_beyond_memory_is_refused() -> None:
    text = "spec s { space f = 1000000000 : fixed  param v : f  metanet m { channels 1, 2  mix f full } }"
    with pytest.raises(SymError, match="1000000000 invariants"):
        emit_source(parse(text))


@pytest.mark.parametrize("key", ["{0:>1000000000}", "{0!r}", "{}", "{0=}"])
def test_format_specifications_in_a_key_are_no_part_of_the_language(key: str) -> None:
    with pytest.raises(SymError):
        parse(f'spec s {{ space a = 2 : fixed  param p : a from "{key}" }}')


def test_listings_that_nobody_would_read_are_refused() -> None:
    spec = parse("spec s { space a = 2 : permute  param p[i] for i in 1..1500 : a }")
    assert len(spec.parameters) ** 2 > MOST_PAIRS
    basis = derive(spec)
    assert basis.dim("p[1]", "p[1500]") == 2
    with pytest.raises(SymError, match="1500 parameters make"):
        next(basis.pairs())


def test_an_orbit_beyond_the_limit_is_told_at_its_expect() -> None:
    spec = parse(
        "spec s { space a = 40 : linear  space b = 40 : linear  "
        "param W : [a, a, b, b]  expect orbit_dim == 1 }"
    )
    with pytest.raises(SymError, match="orbit dimension") as caught:
        check_expects(spec, derive(spec))
    assert caught.value.line == 1


def test_a_used_name_that_depends_on_a_value(tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text('use "{x}.sym"\nspec a { }')
    with pytest.raises(SymError, match="cannot depend on a value"):
        load(path)


def test_a_used_file_behind_a_loop_of_links(tmp_path: Path) -> None:
    os.symlink(tmp_path / "two.sym", tmp_path / "one.sym")
    os.symlink(tmp_path / "one.sym", tmp_path / "two.sym")
    path = tmp_path / "a.sym"
    path.write_text('use "one.sym"\nspec a { }')
    with pytest.raises(SymError, match="cannot be read"):
        load(path)


def test_a_limit_names_the_parameters_and_the_space(tmp_path: Path) -> None:
    basis = derive(
        parse(
            "spec s { space g = 3 : permute  space h = 9 : permute  param b : g  param T : [h,h,h,h,h,h,g] }"
        )
    )
    with pytest.raises(SymError) as caught:
        basis.dim("T", "T")
    (note,) = caught.value.diagnostics[0].notes
    assert note.message == "these are the maps from `T` to `T`, under the space `h`"
    with pytest.raises(SymError, match="most axes under the space `h`: 6"):
        emit_source(basis.spec)


def test_a_parameter_that_is_not_there_is_told_with_those_that_are() -> None:
    basis = derive(parse("spec s { space a = 2 : permute  param W[i] for i in 1..20 : a  param bias : a }"))
    for ask in (
        lambda: basis.dim("bia", "bias"),
        lambda: basis.dim("bias", "bia"),
        lambda: basis.diagrams("bia", "bias"),
        lambda: basis.invariants("bia"),
    ):
        with pytest.raises(KeyError) as caught:
            ask()
        assert "did you mean `bias`?" in caught.value.args[0]
        assert "`W[1]`, `W[2]`" in caught.value.args[0]
        assert "and 9 more" in caught.value.args[0]


HUGE = {
    "channels": "channels 1, 1000000, 1000000, 1000000",
    "outputs": "channels 1, 1000000  readout invariant -> 1000000",
    "codes": "channels 1, 4  mix x encode(1000000)",
}


@pytest.mark.parametrize("name", sorted(HUGE))
def test_a_network_beyond_memory_is_refused_at_its_place(name: str, qecompile, tmp_path: Path) -> None:
    path = tmp_path / "a.sym"
    path.write_text(
        f"spec s {{\n  space x = 100000000 : fixed\n  param b : x\n  metanet m {{ {HUGE[name]} }}\n}}\n"
    )
    for words in (["check", path], ["build", path, "-o", tmp_path / "out.py"]):
        outcome = qecompile(*words, "--json")
        assert outcome.code == 2
        (diagnostic,) = outcome.json["diagnostics"]
        assert (diagnostic["code"], diagnostic["line"]) == ("QE904", 4)
    assert not (tmp_path / "out.py").exists()
