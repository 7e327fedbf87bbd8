"""The primitive datatypes: legal and illegal values (https://hl7.org/fhir/R4/datatypes.html#primitive)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.json_format import FhirDecimal
from fhir_server.validation.primitives import PRIMITIVES, quick_instant

LEGAL: dict[str, list[Any]] = {
    "base64Binary": ["AAAA", "YQ==", "YWI=", "YW Jj\r\nYWJj", "a" * 4000],
    "boolean": [True, False],
    "canonical": ["http://example.org/x|1.0", "#local", "urn:oid:1.2.3"],
    "code": ["a", "a b", "a\tb", "naïve", "a\u00a0b"],
    "date": ["2026", "2026-02", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"],
    "dateTime": [
        "2026", "2026-02", "2026-12-31", "2026-03-05T23:59:60Z", "2026-03-31T00:00:00.1+14:00",
        "2026-03-05T10:00:00-13:59", "2024-02-29T10:00:00Z",
    ],
    "decimal": [0, -1, 1.5, FhirDecimal("1.00"), FhirDecimal("1E-7"), FhirDecimal("-0")],
    "id": ["a", "A-Z.09", "x" * 64],
    "instant": ["2026-03-05T10:00:00Z", "2026-03-05T10:00:60.123456789+01:00", "2026-01-31T00:00:00Z"],
    "integer": [0, -2147483648, 2147483647, FhirDecimal("-0")],
    "markdown": ["# a\n\nb"],
    "oid": ["urn:oid:1.2.840.0", "urn:oid:0.1"],
    "positiveInt": [1, 2147483647],
    "string": ["a", " a ", "a\r\n\tb", "a\u00a0", "x" * 1048576, "\U0001f600"],
    "time": ["00:00:00", "23:59:60", "10:00:00.123"],
    "unsignedInt": [0, 2147483647],
    "uri": ["a", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "http://e.org/ü", "urn:ietf:bcp:47"],
    "url": ["https://example.org"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
}  # fmt: skip
ILLEGAL: dict[str, list[Any]] = {
    "base64Binary": ["", " ", "A", "AAA", "====", "AA=A", "AAAA=", "YQ=", "é", "A" * 5000 + "!", 1],
    "boolean": ["true", "false", 0, 1],
    "canonical": ["http://e.org/a b", "", "a\n"],
    "code": ["", " ", " a", "a ", "a  b", "a\n", 1, True],
    "date": ["26", "2026-13", "2026-00", "2026-02-30", "2023-02-29", "1900-02-29", "0000-01-01", "2026-1-1",
             "2026-04-31", "2026-03-05T10:00:00Z", "2026-03-05\n", "٢٠٢٦"],
    "dateTime": ["2026-03-05T10:00Z", "2026-03-05T10:00:00", "2026-03-05T24:00:00Z", "2026-02-30T10:00:00Z",
                 "2026-03-05T10:00:61Z", "2026-03-05T10:00:00+14:01", "2026-03-05T10:00:00+15:00", "2026-03T10:00:00Z",
                 "2026-03-05 10:00:00Z", "2026-03-05T10:00:00z", "2026-03-05T10:00:00,5Z", "0000-03-05T10:00:00Z"],
    "decimal": ["1", True, None, float("nan"), float("inf")],
    "id": ["", "a_b", "x" * 65, "a b", "ä", "a\n", 1],
    "instant": ["2026", "2026-03-05", "2026-03-05T10:00:00", "2026-02-29T10:00:00Z", "2026-03-05T10:00Z"],
    "integer": [2147483648, -2147483649, 1.0, FhirDecimal("1.0"), "1", True],
    "markdown": ["", " \n"],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.02"],
    "positiveInt": [0, -1, 2147483648, True, FhirDecimal("-0")],
    "string": ["", " ", "\n\t", "\u00a0 ", "x" * 1048577, "a\u000bb", "a\u000cb", 1, None],
    "time": ["10:00", "24:00:00", "10:00:00Z", "10:60:00", "10:00:61"],
    "unsignedInt": [-1, 2147483648, False],
    "uri": ["", "a b", "\ta", "urn:uuid:C757873D-EC9A-4326-A141-556F43239520", "urn:uuid:1", "urn:oid:x"],
    "url": ["a b"],
    "uuid": ["c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873d-ec9a-4326-a141-556f43239520"],
}  # fmt: skip


@pytest.mark.parametrize("name", LEGAL)
def test_legal_values_are_accepted(name: str) -> None:
    assert [value for value in LEGAL[name] if not PRIMITIVES[name].test(value)] == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_illegal_values_are_refused(name: str) -> None:
    assert [value for value in ILLEGAL[name] if PRIMITIVES[name].test(value)] == []


@pytest.mark.parametrize("name", PRIMITIVES)
def test_values_of_other_json_types_are_refused(name: str) -> None:
    assert not any(PRIMITIVES[name].test(value) for value in (None, [], {}, [1], {"a": 1}, ()))


VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.sampled_from([item for items in (*LEGAL.values(), *ILLEGAL.values()) for item in items]),
    st.from_regex(r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]+)?(Z|[+-][01][0-9]:[0-6][0-9])"),
    st.text(alphabet=" \t\n\r\x0b\x0c\xa0\u2028ab:#"),
)  # fmt: skip


@given(VALUES)
def test_the_quick_test_of_the_fast_path_implies_the_exact_one(value: Any) -> None:
    scope = {"v": value, "quick_instant": quick_instant, "FhirDecimal": FhirDecimal}
    for primitive in PRIMITIVES.values():
        if primitive.quick and eval(primitive.quick, scope):
            assert primitive.test(value)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_no_value_takes_more_than_linear_time(name: str) -> None:
    hostile = (
        "a " * 200_000 + "!",
        "A" * 400_000 + "!",
        "AAAA\n" * 80_000 + "!",
        "1." * 200_000,
        "urn:oid:1" + ".0" * 200_000 + "x",
    )
    start = time.perf_counter()
    for value in hostile:
        PRIMITIVES[name].test(value)
    assert time.perf_counter() - start < 2
