"""Cursors are opaque and cannot be changed (https://hl7.org/fhir/R4/http.html#paging)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.paging import read_cursor, write_cursor, write_query
from fhir_server.spec.errors import FhirError

KEY = b"k" * 32


@given(st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text(), st.none())))
def test_cursor_round_trip(position):
    cursor = write_cursor(tuple(position), "Patient?name=x", KEY)
    assert read_cursor(cursor, "Patient?name=x", KEY) == tuple(position)


@given(st.text(max_size=60))
def test_anything_else_is_refused(text):
    with pytest.raises(FhirError) as refusal:
        read_cursor(text, "Patient?name=x", KEY)
    assert refusal.value.status == 400


def test_cursor_of_another_search_is_refused():
    cursor = write_cursor((1, 2), "Patient?name=x", KEY)
    with pytest.raises(FhirError):
        read_cursor(cursor, "Patient?name=y", KEY)


def test_query_keeps_fhir_values_readable():
    assert write_query([("identifier", "http://a|b"), ("date", "ge2026-01-01T00:00:00+01:00")]) == (
        "identifier=http://a|b&date=ge2026-01-01T00:00:00%2B01:00"
    )
