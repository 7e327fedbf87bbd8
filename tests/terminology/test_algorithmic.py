"""Code systems that a grammar or a short list makes (https://hl7.org/fhir/R4/terminologies-systems.html)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec import ucum
from fhir_server.terminology import Terminology

KNOWN = Terminology()


@pytest.mark.parametrize(
    ("system", "good", "bad"),
    [
        ("urn:ietf:bcp:13", ["text/plain", "application/fhir+json; fhirVersion=4.0"], ["text", "a b/c", "/x"]),
        (
            "urn:ietf:bcp:47",
            ["en", "en-GB", "zh-Hant-TW", "de-CH-1996", "x-own", "i-klingon", "es-419"],
            ["e", "en_GB", "verylonglanguage", "en-", "-en", "en-GB-GB"],
        ),
        ("urn:iso:std:iso:4217", ["GBP", "EUR", "XXX", "HRK"], ["gbp", "GB", "ABC"]),
        ("urn:iso:std:iso:3166", ["GB", "GBR", "826"], ["UK", "gb", "999"]),
        ("urn:iso:std:iso:3166:-2", ["GB-SCT", "FR-75"], ["UK-SCT", "GB", "GB-", "GB-sct", "GB-SCOT"]),
        ("http://unstats.un.org/unsd/methods/m49/m49.htm", ["001", "150"], ["1", "Europe", "0001"]),
        (
            "http://unitsofmeasure.org",
            ["mg/dL", "10*3/uL", "mm[Hg]", "{score}", "/min", "kg.m/s2", "Cel", "%"],
            ["mgs", "kg m", "m^2", "mol//l", "(m", "", "mmHg"],
        ),
    ],
)  # fmt: skip
def test_codes_are_known_by_their_form(system: str, good: list[str], bad: list[str]) -> None:
    assert [code for code in good if not KNOWN.defines(system, code)] == []
    assert [code for code in bad if KNOWN.defines(system, code)] == []


def test_displays_are_told_where_they_are_known() -> None:
    for system, code, display in (
        ("urn:iso:std:iso:3166", "GBR", "United Kingdom"),
        ("urn:iso:std:iso:4217", "GBP", "Pound Sterling"),
        ("urn:ietf:bcp:47", "en-GB", "English (Great Britain)"),
        ("http://unitsofmeasure.org", "m", "meter"),
    ):
        concept = KNOWN.concept(system, code)
        assert concept is not None
        assert concept.display == display


@pytest.mark.parametrize(
    ("value", "unit", "same", "other"),
    [
        ("1", "kg", "1000", "g"), ("1", "[lb_av]", "453.59237", "g"), ("37", "Cel", "310.15", "K"),
        ("98.6", "[degF]", "37", "Cel"), ("1", "mmol/L", "0.001", "mol/dm3"), ("1", "[in_i]", "2.54", "cm"),
        ("1", "N", "1", "kg.m/s2"), ("1", "h", "3600", "s"), ("1", "/min", "60", "/h"), ("1", "10*3", "1000", "1"),
        ("5", "%", "0.05", "1"), ("1", "mm[Hg]", "133.322", "Pa"), ("2", "m2", "20000", "cm2"),
    ],
)  # fmt: skip
def test_units_are_converted(value: str, unit: str, same: str, other: str) -> None:
    assert ucum.canonical(Fraction(value), unit) == ucum.canonical(Fraction(same), other)


def test_every_unit_of_the_table_can_be_read() -> None:
    assert len(ucum.names()) == 312
    for code in ucum.names():
        assert ucum.is_unit(code), code


@given(st.text(alphabet="kgm1029[]{}()./-+*^% sinH_i'", max_size=30))
def test_any_text_is_a_unit_or_refused(text: str) -> None:
    ucum.is_unit(text)


@pytest.mark.parametrize(
    "text", ["m99999999", "(" * 50 + "m" + ")" * 50, "Ym99.Ym99.Ym99.Ym99" * 9, "9" * 199, "0"]
)
def test_a_unit_cannot_take_time_or_memory(text: str) -> None:
    assert not ucum.is_unit(text)


@pytest.mark.parametrize(
    ("value_set", "good", "bad"),
    [("all-distance-units", ["m", "cm", "[in_i]"], ["s", "m2", "x"]), ("all-time-units", ["s", "min", "a"], ["m"])],
)  # fmt: skip
def test_units_are_chosen_by_their_canonical_units(
    value_set: str, good: list[str], bad: list[str]
) -> None:
    url = f"http://hl7.org/fhir/ValueSet/{value_set}"
    assert [code for code in good if not KNOWN.contains(url, ucum.SYSTEM, code)] == []
    assert [code for code in bad if KNOWN.contains(url, ucum.SYSTEM, code)] == []


def test_a_filter_by_what_a_grammar_does_not_have_cannot_be_told() -> None:
    regions = "http://hl7.org/fhir/ValueSet/jurisdiction"
    m49 = "http://unstats.un.org/unsd/methods/m49/m49.htm"
    assert KNOWN.contains(regions, m49, "150") is None
    assert KNOWN.contains(regions, m49, "Europe") is False
