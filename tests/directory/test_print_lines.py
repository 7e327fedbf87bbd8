"""A print loses no letter of a text, however it is broken into lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.directory.lines import lines


def measure(text: str) -> float:
    return float(sum(2 if item in "mw" else 1 for item in text))


@given(st.text("mwi \n", max_size=200), st.integers(3, 30))
def test_lines_hold_every_letter_in_order_and_none_is_too_wide(text: str, width: int) -> None:
    found = list(lines(text, width, measure))
    assert "".join(found).replace(" ", "") == text.replace(" ", "").replace("\n", "")
    assert all(measure(line.strip(" ")) <= width for line in found)
    assert len(found) >= text.count("\n") + 1
