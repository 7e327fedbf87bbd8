"""What search values find, from text over index entries to matches (https://hl7.org/fhir/R4/search.html#ptypes)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from fhir_server.search.extraction import entries
from fhir_server.search.matcher import Candidate, matches
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import FhirDecimal

Json = dict[str, Any]
BASE = "https://here.example/fhir"
SETTINGS = SearchSettings(base_urls=(BASE,), handling="strict")


class Resources:
    """The resources of one test."""

    def __init__(self, *resources: Json) -> None:
        self.listed = [
            Candidate(key, item["resourceType"], item["id"], 0, entries(item, base_urls=(BASE,)))
            for key, item in enumerate(resources, 1)
        ]

    def candidates(self, resource_type: str) -> Iterable[Candidate]:
        return [item for item in self.listed if item.resource_type == resource_type]

    def candidate(self, resource_type: str, logical_id: str) -> Candidate | None:
        found = [i for i in self.candidates(resource_type) if i.logical_id == logical_id]
        return found[0] if found else None

    def find(self, resource_type: str, *parameters: tuple[str, str]) -> set[str]:
        where = parse_search((resource_type,), parameters, settings=SETTINGS).query.where
        return {
            item.logical_id for item in self.candidates(resource_type) if matches(where, item, self)
        }


def status_of(resource_type: str, name: str, value: str) -> int:
    with pytest.raises(FhirError) as refusal:
        parse_search((resource_type,), ((name, value),), settings=SETTINGS)
    return refusal.value.status


def observation(name: str, **more: Any) -> Json:
    return {"resourceType": "Observation", "id": name, **more}


def slot(name: str, **more: Any) -> Json:
    return {"resourceType": "Slot", "id": name, **more}


CODED = Resources(
    observation("a", status="final", code={"coding": [{"system": "s", "code": "1"}]}),
    observation("b", status="amended", code={"coding": [{"code": "1"}]}),
    observation("c", code={"coding": [{"system": "s", "code": "2"}, {"system": "t", "code": "1"}]}),
    observation("d", code={"text": "words only"}),
    observation("e"),
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1", "abc"),
        ("s|1", "a"),
        ("|1", "b"),
        ("s|", "ac"),
        ("s|1,t|1", "ac"),
        ("x", ""),
    ],
)
def test_a_token_matches_by_code_and_system(value: str, found: str) -> None:
    assert CODED.find("Observation", ("code", value)) == set(found)


def test_repeats_are_and_and_commas_are_or() -> None:
    assert CODED.find("Observation", ("code", "1,2"), ("code", "2")) == {"c"}


def test_not_includes_resources_that_lack_the_element() -> None:
    assert CODED.find("Observation", ("status:not", "final,amended")) == {"c", "d", "e"}


def test_missing_gives_complements_and_a_concept_of_text_only_is_there() -> None:
    assert CODED.find("Observation", ("code:missing", "true")) == {"e"}
    assert CODED.find("Observation", ("code:missing", "false")) == set("abcd")
    assert status_of("Observation", "code:missing", "yes") == 400


def test_escapes_stand_for_literal_characters() -> None:
    found = Resources(observation("x", code={"coding": [{"code": "a,b|c$d\\e"}]}))
    assert found.find("Observation", ("code", r"a\,b\|c\$d\\e")) == {"x"}
    assert status_of("Observation", "code", r"a\xb") == 400


def test_a_boolean_is_true_or_false_and_has_no_system() -> None:
    assert status_of("PractitionerRole", "active", "yes") == 400
    assert status_of("PractitionerRole", "telecom", "phone|1") == 400


def test_of_type_compares_type_and_value_of_the_same_identifier() -> None:
    def identifier(code: str, value: str) -> Json:
        return {"type": {"coding": [{"system": "t", "code": code}]}, "value": value}

    found = Resources(
        slot("a", identifier=[identifier("MR", "1")]),
        slot("b", identifier=[identifier("MR", "2"), identifier("X", "1")]),
    )
    assert found.find("Slot", ("identifier:of-type", "t|MR|1")) == {"a"}
    assert status_of("Slot", "identifier:of-type", "t|MR") == 400


LOCATIONS = Resources(
    {"resourceType": "Location", "id": "a", "name": "Müller's Clinic"},
    {"resourceType": "Location", "id": "b", "name": "The MULLER ward"},
    {"resourceType": "Location", "id": "c", "address": {"city": "Łódź", "line": ["1 Long Way"]}},
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("name", "muller", "a"),
        ("name", "MÜLLERS", "a"),
        ("name:contains", "muller", "ab"),
        ("name:exact", "Müller's Clinic", "a"),
        ("name:exact", "müller's clinic", ""),
        ("address", "lodz", "c"),
        ("address", "1 long", "c"),
    ],
)
def test_a_string_starts_with_without_case_and_accents(name: str, value: str, found: str) -> None:
    assert LOCATIONS.find("Location", (name, value)) == set(found)


def test_a_string_of_punctuation_only_is_refused_and_never_finds_all() -> None:
    assert status_of("Location", "name", "-") == 400


def test_each_part_of_a_family_name_is_found() -> None:
    found = Resources(
        {"resourceType": "Practitioner", "id": "a", "name": [{"family": "Carreno Quinones"}]}
    )
    assert found.find("Practitioner", ("family", "quinones")) == {"a"}
    assert found.find("Practitioner", ("family:exact", "Quinones")) == set()
    assert found.find("Practitioner", ("family:exact", "Carreno Quinones")) == {"a"}


SLOTS = Resources(
    slot("march", start="2026-03-31T10:00:00+01:00"),
    slot("april", start="2026-04-01T00:00:00+01:00"),
    slot("pacific", start="2019-03-08T10:00:00-08:00"),
    slot("none"),
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("2026-03", {"march"}),
        ("2019-03-08", {"pacific"}),
        ("2019-03-08T18:00:00Z", {"pacific"}),
        ("ne2026-03", {"april", "pacific"}),
        ("gt2026-03-31", {"april"}),
        ("ge2026-03-31", {"march", "april"}),
        ("lt2026-03-31", {"pacific"}),
        ("le2026-03-31", {"pacific", "march"}),
        ("sa2026-03-31", {"april"}),
        ("eb2026-03-31", {"pacific"}),
        ("2026-03-31T10:00:00 01:00", {"march"}),
    ],
)
def test_a_date_is_compared_as_the_range_of_its_precision(value: str, found: set[str]) -> None:
    assert SLOTS.find("Slot", ("start", value)) == found


@pytest.mark.parametrize("value", ["foo", "13/13/2026", "2026-03-01T10", "xx2026", "2026-13"])
def test_a_malformed_date_is_400(value: str) -> None:
    assert status_of("Slot", "start", value) == 400
    assert status_of("Slot", "_lastUpdated", value) == 400


def test_an_open_period_has_no_bound_on_that_side() -> None:
    found = Resources(
        {"resourceType": "Encounter", "id": "from", "period": {"start": "2013-01-21"}},
        {"resourceType": "Encounter", "id": "until", "period": {"end": "2013-01-21"}},
    )
    assert found.find("Encounter", ("date", "ge2013-03-14")) == {"from"}
    assert found.find("Encounter", ("date", "le2013-03-14")) == {"from", "until"}
    assert found.find("Encounter", ("date", "eb2013-03-14")) == {"until"}
    assert found.find("Encounter", ("date", "sa2013-03-14")) == set()


def test_a_timing_counts_by_its_outer_limits() -> None:
    timing = {
        "event": ["2026-01-05", "2026-01-01"],
        "repeat": {"boundsPeriod": {"start": "2026-01-03", "end": "2026-02-01"}},
    }
    found = Resources({"resourceType": "ServiceRequest", "id": "a", "occurrenceTiming": timing})
    assert found.find("ServiceRequest", ("occurrence", "sa2025-12-31")) == {"a"}
    assert found.find("ServiceRequest", ("occurrence", "eb2026-02-02")) == {"a"}
    assert found.find("ServiceRequest", ("occurrence", "2026-01")) == set()


def quantity(name: str, value: str, **unit: str) -> Json:
    return observation(name, valueQuantity={"value": FhirDecimal(value), **unit})


QUANTITIES = Resources(
    quantity("100", "100", system="u", code="mg", unit="milligram"),
    quantity("99.5", "99.5", unit="mg"),
    quantity("100.5", "100.5"),
    quantity("100.004", "100.004"),
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("100", {"100", "99.5", "100.004"}),
        ("100.00", {"100", "100.004"}),
        ("ne100", {"100.5"}),
        ("gt100", {"100.5", "100.004"}),
        ("lt100", {"99.5"}),
        ("ge100", {"100", "100.5", "100.004"}),
        ("le100", {"100", "99.5"}),
        ("100|u|mg", {"100"}),
        ("100||mg", {"100", "99.5"}),
        ("100||milligram", {"100"}),
        ("ap105", {"100", "99.5", "100.5", "100.004"}),
    ],
)
def test_a_quantity_has_implicit_precision_and_exact_comparisons(
    value: str, found: set[str]
) -> None:
    assert QUANTITIES.find("Observation", ("value-quantity", value)) == found


@pytest.mark.parametrize("value", ["abc", "5|mg", "5|a|b|c", "1e9999", "", "gt", "NaN", "--5"])
def test_a_malformed_quantity_is_400(value: str) -> None:
    if value:
        assert status_of("Observation", "value-quantity", value) == 400


REFERRALS = Resources(
    {"resourceType": "ServiceRequest", "id": "rel", "subject": {"reference": "Patient/1"}},
    {"resourceType": "ServiceRequest", "id": "abs", "subject": {"reference": f"{BASE}/Patient/1"}},
    {
        "resourceType": "ServiceRequest",
        "id": "old",
        "subject": {"reference": "Patient/1/_history/2"},
    },
    {"resourceType": "ServiceRequest", "id": "group", "subject": {"reference": "Group/1"}},
    {
        "resourceType": "ServiceRequest",
        "id": "else",
        "subject": {"reference": "https://else.example/Patient/1"},
    },
    {
        "resourceType": "ServiceRequest",
        "id": "logical",
        "subject": {"identifier": {"system": "nhs", "value": "9"}},
    },
    {"resourceType": "ServiceRequest", "id": "inside", "subject": {"reference": "#p"}},
    {"resourceType": "ServiceRequest", "id": "none"},
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("subject", "Patient/1", {"rel", "abs", "old"}),
        ("subject", f"{BASE}/Patient/1", {"rel", "abs", "old"}),
        ("subject", "1", {"rel", "abs", "old", "group"}),
        ("subject:Patient", "1", {"rel", "abs", "old"}),
        ("patient", "1", {"rel", "abs", "old"}),
        ("subject", "Patient/1/_history/2", {"old"}),
        ("subject", "https://else.example/Patient/1", {"else"}),
        ("subject:identifier", "nhs|9", {"logical"}),
        ("patient:identifier", "nhs|9", {"logical"}),
        ("subject:missing", "true", {"none"}),
    ],
)
def test_a_reference_is_found_by_every_form_of_the_same_target(
    name: str, value: str, found: set[str]
) -> None:
    assert REFERRALS.find("ServiceRequest", (name, value)) == found


def test_a_type_that_the_reference_does_not_allow_is_400() -> None:
    assert status_of("ServiceRequest", "subject:Slot", "1") == 400
    assert status_of("ServiceRequest", "subject:Patient", "Group/1") == 400
    assert status_of("ServiceRequest", "subject", "Foo/1") == 400


CANONICALS = Resources(
    {"resourceType": "ValueSet", "id": "a", "url": "http://x/a", "version": "1"},
    {"resourceType": "ValueSet", "id": "b", "url": "http://x/a/b", "version": "2"},
    {"resourceType": "ValueSet", "id": "c", "url": "http://x/ab"},
)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("url", "http://x/a", "a"),
        ("url", "http://X/a", ""),
        ("url", "http://x/a|1", "a"),
        ("url", "http://x/a|2", ""),
        ("url:below", "http://x/a", "ab"),
        ("url:above", "http://x/a/b/c", "ab"),
    ],
)
def test_a_uri_is_exact_or_compared_by_segment(name: str, value: str, found: str) -> None:
    assert CANONICALS.find("ValueSet", (name, value)) == set(found)
    assert status_of("ValueSet", "url:below", "urn:oid:1.2") == 400


JOURNEY = Resources(
    {
        "resourceType": "Schedule",
        "id": "s1",
        "actor": [{"reference": "HealthcareService/1"}, {"reference": "Practitioner/p"}],
    },
    {"resourceType": "Schedule", "id": "s2", "actor": [{"reference": "HealthcareService/2"}]},
    {"resourceType": "Practitioner", "id": "p", "name": [{"family": "Joe"}]},
    slot("one", schedule={"reference": "Schedule/s1"}),
    slot("two", schedule={"reference": "Schedule/s2"}),
    {
        "resourceType": "Appointment",
        "id": "a",
        "slot": [{"reference": "Slot/one"}],
        "status": "booked",
    },
)


def test_chains_and_has_follow_references_both_ways() -> None:
    assert JOURNEY.find("Slot", ("schedule.actor", "HealthcareService/1")) == {"one"}
    assert JOURNEY.find("Slot", ("schedule.actor:Practitioner.family", "joe")) == {"one"}
    assert JOURNEY.find("Slot", ("schedule.actor:missing", "true")) == set()
    assert JOURNEY.find("Slot", ("_has:Appointment:slot:status", "booked")) == {"one"}
    assert JOURNEY.find("Schedule", ("_has:Slot:schedule:_has:Appointment:slot:status", "booked"))
    assert JOURNEY.find("Practitioner", ("_has:Schedule:actor:_id", "s1,s2")) == {"p"}


def test_ids_are_exact_and_several_may_be_named() -> None:
    assert JOURNEY.find("Slot", ("_id", "one,two,three")) == {"one", "two"}
    assert JOURNEY.find("Slot", ("_id:not", "one")) == {"two"}
    assert status_of("Slot", "_id", "a b") == 400
