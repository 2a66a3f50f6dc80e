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
