"""HealthcareService/$find-for-referral: criteria, distances, order, pages, and why services were left out.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from service_directory import FHIR, FLOW, OURS, Directory, ids, parameters, told

PATH = "HealthcareService/$find-for-referral"
COMMISSIONER = f"{OURS}/StructureDefinition/service-commissioner"
ELIGIBILITY = f"{OURS}/StructureDefinition/service-eligibility"


def find(directory: Directory, status: int = 200, **values: object) -> dict:
    asked = {name.replace("_", "-"): value for name, value in values.items()}
    if "count" in asked:
        asked["_count"] = asked.pop("count")
    answer = directory.client.get(PATH, params={"specialty": directory.specialty} | asked)
    assert answer.status_code == status, answer.text
    return answer.json()


def distances(bundle: dict) -> list[float]:
    return [
        entry["search"]["extension"][0]["valueDistance"]["value"]
        for entry in bundle["entry"]
        if entry["search"]["mode"] == "match"
    ]


def test_the_nearest_service_comes_first_with_its_distance_and_score(directory):
    far = directory.service(directory.location(54.0, -2.0))
    near = directory.service(directory.location(53.5, -2.0))
    found = find(directory, near="53.4|-2.0")
    assert found["type"] == "searchset"
    assert found["total"] == 2
    assert ids(found) == [near["id"], far["id"]]
    assert distances(found) == pytest.approx([11.12, 66.72], abs=0.01)
    scores = [entry["search"]["score"] for entry in found["entry"]]
    assert 0 < scores[1] < scores[0] < 1
    assert found["entry"][0]["fullUrl"].endswith(f"/HealthcareService/{near['id']}")
    answer = directory.client.post("Bundle/$validate", json=found, headers=FHIR)
    assert {item["severity"] for item in answer.json()["issue"]} <= {"information", "warning"}


def test_a_distance_leaves_out_what_is_farther_away_and_says_so(directory):
    near = directory.service(directory.location(53.5, -2.0))
    directory.service(directory.location(54.0, -2.0))
    directory.service()
    for asked in ({"near": "53.4|-2.0|20|km"}, {"near": "53.4|-2.0", "distance": 20}):
        found = find(directory, **asked)
        assert ids(found) == [near["id"]]
        assert any(item.startswith("2 services left out by distance") for item in told(found))


def test_the_nearest_of_several_places_counts(directory):
    service = directory.service(directory.location(10.0, 10.0), directory.location(53.5, -2.0))
    assert distances(find(directory, near="53.4|-2.0")) == pytest.approx([11.12], abs=0.01)
    assert ids(find(directory, near="53.4|-2.0|20")) == [service["id"]]


def test_a_service_without_a_position_comes_last_and_without_a_distance(directory):
    nowhere = directory.service(directory.location(None, None))
    placed = directory.service(directory.location(-50.0, 100.0))
    found = find(directory, near="53.4|-2.0")
    assert ids(found) == [placed["id"], nowhere["id"]]
    assert "extension" not in found["entry"][1]["search"]
    assert found["entry"][1]["search"]["score"] == 0


@pytest.mark.parametrize(
    ("here", "there", "far"),
    [
        ("0|179.9", (0.0, -179.9), 22.24),  # across the antimeridian
        ("89.9|0", (89.9, 180.0), 22.24),  # across the pole
        ("90|0", (90.0, 77.0), 0),  # the pole has every longitude
        ("0|0", (0.0, 180.0), 20015.11),  # half around the earth
    ],
)
def test_distances_are_those_of_the_globe(directory, here, there, far):
    service = directory.service(directory.location(*there))
    found = find(directory, near=here)
    assert distances(found) == pytest.approx([far], abs=0.01)
    assert ids(find(directory, near=f"{here}|{far + 1}")) == [service["id"]]
    if far:
        assert ids(find(directory, near=f"{here}|{far - 1}")) == []


def test_a_postcode_is_where_the_locations_that_have_it_are(directory):
    service = directory.service(directory.location(53.5, -2.0, "QZ91 1AA"))
    directory.location(53.7, -2.0, "QZ911AA")
    found = find(directory, postcode="qz91 1aa")
    assert ids(found) == [service["id"]]
    assert distances(found) == pytest.approx([11.12], abs=0.01)
    assert distances(find(directory, postcode="QZ911AA")) == distances(found)


def test_an_unknown_postcode_is_placed_by_its_first_half_and_says_so(directory):
    directory.service(directory.location(53.5, -2.0, "QY92 1AA"))
    found = find(directory, postcode="QY92 9ZZ")
    assert distances(found) == pytest.approx([0], abs=0.01)
    assert any("first half" in item for item in told(found))
    assert distances(find(directory, postcode="QY92")) == pytest.approx([0], abs=0.01)


def test_a_postcode_that_no_location_has_is_422_and_says_what_to_send(directory):
    directory.location(None, None, "QX93 1AA")
    for postcode in ("QX93 1AA", "QX93 9ZZ", "QX94"):
        outcome = find(directory, 422, postcode=postcode)
        (issue,) = outcome["issue"]
        assert issue["code"] == "not-found"
        assert "latitude|longitude" in issue["diagnostics"]
        assert postcode not in issue["diagnostics"]


@pytest.mark.parametrize(
    "asked",
    [
        {"postcode": "<script>"},
        {"postcode": "12345"},
        {"postcode": "%"},
        {"postcode": "SW1A 1AA; DROP TABLE resource"},
        {"near": "NaN|NaN"},
        {"near": "inf|0"},
        {"near": "91|0"},
        {"near": "0|181"},
        {"near": "0"},
        {"near": "0|0|-1"},
        {"near": "0|0|nan"},
        {"near": "0|0|1|parsec"},
        {"near": "0|0", "distance": "NaN"},
        {"near": "0|0", "distance": "Infinity"},
        {"near": "0|0", "distance": -1},
        {"near": "0|0|1", "distance": 1},
        {"near": "0|0", "postcode": "SW1A 1AA"},
        {"distance": 5},
        {"sort": "distance"},
        {"sort": "name"},
        {"max_wait_days": "soon"},
        {"type": "surgery"},
        {"priority": "whenever"},
        {"age": -1},
        {"age": "old"},
        {"sex": "F"},
        {"age_sex_appropriate": "maybe"},
        {"count": 0},
        {"colour": "blue"},
        {"near": "0|0", "_cursor": "AAAA"},
    ],
)
def test_what_cannot_be_read_is_400_and_nothing_is_ignored(directory, asked):
    outcome = find(directory, 400, **asked)
    assert outcome["resourceType"] == "OperationOutcome"


def test_the_shortest_wait_comes_first_where_no_place_is_given(directory):
    slow, fast, silent = (directory.service() for _ in range(3))
    for service, days in ((slow, 30), (fast, 3)):
        directory.slot(directory.schedule(service), directory.now + timedelta(days=days))
    directory.until(slow, bool)
    directory.until(fast, bool)
    assert ids(find(directory)) == [fast["id"], slow["id"], silent["id"]]
    found = find(directory, max_wait_days=10)
    assert ids(found) == [fast["id"]]
    assert "1 services left out by max-wait-days: its wait is longer" in told(found)
    assert "1 services left out by max-wait-days: it shows no wait" in told(found)


def test_the_wait_is_that_of_the_priority(directory):
    service = directory.service()
    schedule = directory.schedule(service)
    directory.slot(schedule, directory.now + timedelta(days=2), "TWO_WEEK_WAIT")
    directory.slot(schedule, directory.now + timedelta(days=20), "ROUTINE")
    directory.until(service, lambda shown: shown.get("free-slots-28-days") == 2)
    assert ids(find(directory, max_wait_days=5, priority="asap")) == [service["id"]]
    assert ids(find(directory, max_wait_days=5, priority="routine")) == []


def test_type_is_the_flow_that_the_service_takes(directory):
    flows = {"appointment": "BOOKABLE", "triage": "REVIEW", "advice": "ADVICE_AND_GUIDANCE"}
    services = {name: directory.service(flow=flow) for name, flow in flows.items()}
    for name, service in services.items():
        assert ids(find(directory, type=name)) == [service["id"]]


def test_a_criterion_that_nothing_has_is_named(directory):
    directory.service()
    found = find(directory, type="triage")
    assert found["total"] == 0
    assert told(found) == ["No service has the type and the specialty that are asked for"]
    found = directory.client.get(PATH, params={"specialty": "no-such"}).json()
    assert told(found) == ["No service has the specialty that is asked for"]


def test_a_clinical_term_and_a_specialty_must_both_hold(directory):
    coded = {"coding": [{"system": "http://snomed.info/sct", "code": "310000001"}]}
    term = directory.service(type=[coded])
    directory.service()
    assert ids(find(directory, code="310000001")) == [term["id"]]
    assert ids(find(directory, code="http://snomed.info/sct|310000001")) == [term["id"]]
    assert ids(find(directory, code="http://example.org|310000001")) == []


def test_codings_and_references_are_read_from_parameters(directory):
    service = directory.service(providedBy={"reference": f"Organization/o-{directory.number}"})
    directory.service()
    asked = parameters(
        specialty=("valueCoding", {"code": directory.specialty}),
        organisation=("valueReference", {"reference": f"Organization/o-{directory.number}"}),
        age_sex_appropriate=("valueBoolean", False),
    )
    answer = directory.client.post(PATH, json=asked, headers=FHIR)
    assert ids(answer.json()) == [service["id"]]
    again = directory.client.get(answer.json()["link"][0]["url"])
    assert ids(again.json()) == [service["id"]]


def test_a_named_clinician_is_found_by_the_roles(directory):
    service, former = directory.service(), directory.service()
    practitioner = directory.name("practitioner")
    for number, (of, active) in enumerate(((service, True), (former, False))):
        directory.put(
            {
                "resourceType": "PractitionerRole",
                "id": f"{practitioner}-{number}",
                "active": active,
                "practitioner": {"reference": f"Practitioner/{practitioner}"},
                "healthcareService": [{"reference": f"HealthcareService/{of['id']}"}],
            }
        )
    assert ids(find(directory, named_clinician=practitioner)) == [service["id"]]
    role = f"PractitionerRole/{practitioner}-0"
    assert ids(find(directory, named_clinician=role)) == [service["id"]]
    found = find(directory, named_clinician="Practitioner/nobody")
    assert told(found)[-1].startswith("No service has the named-clinician")


def test_commissioners_that_a_service_names_are_the_only_ones(directory):
    mine, others = f"Organization/mine-{directory.number}", "Organization/others"
    bound = directory.service(
        extension=[{"url": COMMISSIONER, "valueReference": {"reference": mine}}]
    )
    free = directory.service()
    directory.service(extension=[{"url": COMMISSIONER, "valueReference": {"reference": others}}])
    found = find(directory, commissioning_org=mine)
    assert sorted(ids(found)) == sorted([bound["id"], free["id"]])
    assert any("commissioning-org" in item for item in told(found))


def limited(**limits: object) -> list[dict]:
    listed = [
        {"url": name.replace("_", "-"), "valueCode" if name == "sex" else "valueUnsignedInt": value}
        for name, value in limits.items()
    ]
    return [{"extension": [{"url": ELIGIBILITY, "extension": listed}]}]


def test_age_and_sex_leave_out_services_that_are_for_others(directory):
    adults = directory.service(eligibility=limited(minimum_age=18))
    children = directory.service(eligibility=limited(maximum_age=15))
    women = directory.service(eligibility=limited(sex="female"))
    anyone = directory.service()
    child = directory.name("patient")
    born = f"{directory.now.year - 10}-01-01"
    directory.put({"resourceType": "Patient", "id": child, "birthDate": born, "gender": "male"})
    found = find(directory, patient=f"Patient/{child}")
    assert sorted(ids(found)) == sorted([children["id"], anyone["id"]])
    assert "1 services left out by age: it is for patients of other ages" in told(found)
    assert "1 services left out by sex: it is for patients of another sex" in told(found)
    everything = find(directory, patient=f"Patient/{child}", age_sex_appropriate="false")
    assert everything["total"] == 4
    assert sorted(ids(find(directory, age=40, sex="other"))) == sorted(
        [adults["id"], women["id"], anyone["id"]]
    )


def test_a_patient_without_a_birth_date_is_told_of(directory):
    directory.service(eligibility=limited(minimum_age=18))
    patient = directory.name("patient")
    directory.put({"resourceType": "Patient", "id": patient})
    found = find(directory, patient=patient)
    assert found["total"] == 1
    assert "The patient's age is not known, so services are not left out for it" in told(found)


def test_a_patient_that_is_not_here_is_422(directory):
    (issue,) = find(directory, 422, patient="Patient/nobody")["issue"]
    assert issue["details"]["coding"][1]["code"] == "REFERENCE_NOT_FOUND"


def test_an_inactive_service_is_not_found(directory):
    directory.service(active=False)
    assert find(directory)["total"] == 0


@pytest.mark.parametrize("asked", [{"near": "53.4|-2.0"}, {"near": "53.4|-2.0|1000"}, {}])
def test_pages_hold_every_match_once_and_in_order(directory, asked):
    places = [directory.location(53.4 + number / 50, -2.0) for number in range(4)]
    for number in range(11):
        directory.service(places[number % 4])
    found = find(directory, **asked, count=3)
    listed = ids(found)
    pages = 1
    while any(link["relation"] == "next" for link in found["link"]):
        url = next(link["url"] for link in found["link"] if link["relation"] == "next")
        found = directory.client.get(url).json()
        listed += ids(found)
        pages += 1
    assert pages == 4
    assert len(listed) == len(set(listed)) == 11
    assert listed == ids(find(directory, **asked, count=50))


def test_many_services_are_found_in_rings_as_one_by_one(directory):
    places = [directory.location(40 + number, -3.0) for number in range(20)]
    entries = []
    for number in range(310):
        service = {
            "resourceType": "HealthcareService",
            "id": f"ring-{directory.number}-{number:03}",
            "active": True,
            "specialty": [{"coding": [{"code": directory.specialty}]}],
            "location": [{"reference": places[number % 20]}] if number < 300 else [],
            "characteristic": [{"coding": [{"system": FLOW, "code": "BOOKABLE"}]}],
        }
        if number >= 300:
            del service["location"]
        url = f"HealthcareService/{service['id']}"
        entries.append({"resource": service, "request": {"method": "PUT", "url": url}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    assert directory.client.post("", json=bundle, headers=FHIR).status_code == 200
    found = find(directory, near="45|-3", count=20)
    assert "total" not in found
    assert distances(found) == pytest.approx([0] * 15 + [111.2] * 5, abs=0.1)
    listed, last = ids(found), found
    while any(link["relation"] == "next" for link in last["link"]):
        url = next(link["url"] for link in last["link"] if link["relation"] == "next")
        last = directory.client.get(url).json()
        listed += ids(last)
    assert len(listed) == len(set(listed)) == 300
    assert any(item.startswith("10 services left out by near") for item in told(last))
    assert ids(find(directory, near="45|-3|20000", count=1000)) == listed
