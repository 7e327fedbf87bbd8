"""docs/conformance.md is what the tests' marks say, and no rule is forgotten."""

from tools.conformance_table import RULES, TARGET, left_out, proofs, table


def test_the_page_is_fresh():
    assert TARGET.read_text("utf-8") == table(), "run python -m tools.conformance_table"


def test_a_rule_is_proven_or_left_out_for_a_reason_and_not_both():
    proven = {item.rule for item in proofs()}
    assert not proven & left_out().keys()
    assert proven | left_out().keys() == set(range(1, RULES + 1))
