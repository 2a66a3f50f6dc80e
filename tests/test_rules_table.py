"""The rule table as a whole: what it says of itself, and that every rule is tested both ways."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import test_rules_contracting
import test_rules_entrywise
import test_rules_movement
import test_rules_reductions
import torch

from qecompile.verify.rules import looking_up, pooling, recurrent, spectra, writing
from qecompile.verify.rules.call import Rule
from qecompile.verify.rules.table import FAMILIES, describe

RULES = [rule for family in FAMILIES for rule in family.RULES]
TABLES = (test_rules_movement, test_rules_entrywise, test_rules_contracting, test_rules_reductions)
APART = (looking_up, pooling, recurrent, spectra, writing)
ELSEWHERE = {rule.name for family in APART for rule in family.RULES}
NEVER_REFUSE = {"same value", "unsqueeze", "permute", "repeat", "repeat interleave", "zeros", "ones", "full"}
NEVER_TYPE = {"empty"}
LACK_A_CASE = {
    "squeeze",
    "expand",
    "cat",
    "tensor product",
}  # these refuse vector axes of size 1 and the like


def test_the_page_is_what_the_table_says() -> None:
    page = Path(__file__).parent.parent / "docs" / "rules.md"
    assert page.read_text() == describe(), "write `qecompile.verify.rules.table.describe()` to docs/rules.md"


def test_every_operation_has_one_rule() -> None:
    assert [op for op, n in Counter(op for rule in RULES for op in rule.ops).items() if n > 1] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name.replace(" ", "_"))
def test_rules_serve_operators_of_torch_and_state_their_law(rule: Rule) -> None:
    assert [op for op in rule.ops if not hasattr(torch.ops.aten, op)] == []
    assert rule.law.endswith(".")


@pytest.mark.parametrize("rule", sorted({r.name for r in RULES} - ELSEWHERE))
def test_every_rule_is_tested_both_ways(rule: str) -> None:
    typed = {case.rule for table in TABLES for case in table.TYPED}
    refused = {case.rule for table in TABLES for case in table.REFUSED}
    assert rule in typed | NEVER_TYPE
    assert rule in refused | NEVER_REFUSE | LACK_A_CASE
