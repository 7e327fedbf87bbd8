"""$everything (https://hl7.org/fhir/R4/patient-operation-everything.html)."""

import pytest
from bundles import done, fresh, patient, put
from operating import issues, parameters

# Patient/$everything.


@pytest.fixture(scope="module")
def record(client):
    """A patient with a practitioner, an organization, an encounter, an observation and a booking; and another."""
    name = fresh("everything")
    me = f"Patient/{name}"

    def dated(number, day, subject=me):
        return {
            "resourceType": "Observation",
            "id": f"{name}-o{number}",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": subject},
            "effectiveDateTime": day,
            "performer": [{"reference": f"Practitioner/{name}-p"}],
        }

    done(
        client,
        put({"resourceType": "Organization", "id": f"{name}-org", "name": "Org"}),
        put({"resourceType": "Practitioner", "id": f"{name}-p"}),
        put(patient(id=name, managingOrganization={"reference": f"Organization/{name}-org"})),
        put(patient(id=f"{name}-other")),
        put(
            {
                "resourceType": "Encounter",
                "id": f"{name}-e",
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": {"reference": me},
                "period": {"start": "2024-03-01", "end": "2024-03-03"},
            }
        ),
        put(dated(1, "2024-01-15")),
        put(dated(2, "2024-03-02T10:00:00Z")),
        put(dated(3, "2024-06-01")),
        put(dated(4, "2024-06-01", f"Patient/{name}-other")),
        put(
            {
                "resourceType": "Coverage",
                "id": f"{name}-c",
                "status": "active",
                "beneficiary": {"reference": me},
                "payor": [{"reference": me}],
            }
        ),
    )
    return name


def walk(client, path, **params):
    """All pages: the entries as Type/id, by search mode, and the number of pages."""
    url, found, pages = client.build_request("GET", path, params=params).url, {}, 0
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["type"] == "searchset"
        for item in page.get("entry", []):
            resource = item["resource"]
            assert item["fullUrl"].endswith(f"{resource['resourceType']}/{resource['id']}")
            named = f"{resource['resourceType']}/{resource['id']}"
            found.setdefault(item["search"]["mode"], []).append(named)
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        pages += 1
    return found, pages


def members(name, *suffixes):
    types = {"e": "Encounter", "o": "Observation", "c": "Coverage", "p": "Practitioner"}
    return {f"{types[item[0]]}/{name}-{item}" for item in suffixes}


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_is_the_patient_the_compartment_and_what_they_refer_to(client, record):
    found, pages = walk(client, f"Patient/{record}/$everything")
    assert pages == 1
    assert found["match"][0] == f"Patient/{record}"
    assert set(found["match"][1:]) == members(record, "e", "o1", "o2", "o3", "c")
    assert len(found["match"]) == 6
    assert set(found["include"]) == {f"Organization/{record}-org", *members(record, "p")}
    posted = client.post(f"Patient/{record}/$everything")
    assert len(posted.json()["entry"]) == 8
    assert posted.json()["total"] == 6


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_is_paged(client, record):
    whole, _ = walk(client, f"Patient/{record}/$everything")
    for size in (1, 2, 4, 5):
        found, pages = walk(client, f"Patient/{record}/$everything", _count=size)
        assert found["match"] == whole["match"]
        assert pages == -(-6 // size)
    body = parameters(_count=("valueInteger", 2))
    page = client.post(f"Patient/{record}/$everything", json=body).json()
    following = next(item["url"] for item in page["link"] if item["relation"] == "next")
    assert len(client.get(following).json()["entry"]) >= 2
    issues(client.get(following.replace(f"{record}/", f"{record}-other/")), 400)
    issues(client.get(following + "x"), 400)


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_within_dates_of_care(client, record):
    def seen(**params):
        found, _ = walk(client, f"Patient/{record}/$everything", **params)
        return set(found["match"]) - {f"Patient/{record}"}

    assert seen(start="2024-03-03") == members(record, "e", "o3", "c")
    assert seen(start="2024-03-04") == members(record, "o3", "c")
    assert seen(end="2024-02") == members(record, "o1", "c")
    assert seen(start="2024-02-01", end="2024-03-02") == members(record, "e", "o2", "c")


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_since_and_of_types(client, record):
    path = f"Patient/{record}/$everything"
    found, _ = walk(client, path, _type="Observation,Encounter")
    assert set(found["match"]) == members(record, "e", "o1", "o2", "o3")
    assert "include" not in found
    found, _ = walk(client, path, _type="Practitioner", _count=2)
    assert found == {"include": [f"Practitioner/{record}-p"] * len(found["include"])}
    found, _ = walk(client, path, _type=["Patient", "Organization"])
    assert found == {"match": [f"Patient/{record}"], "include": [f"Organization/{record}-org"]}
    assert walk(client, path, _since="2999-01-01T00:00:00Z")[0] == {}
    found, _ = walk(client, path, _since="2001-01-01T00:00:00Z")
    assert len(found["match"]) == 6


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_of_all_patients(client, record):
    found, _ = walk(client, "Patient/$everything", _count=500)
    wanted = {f"Patient/{record}", f"Patient/{record}-other"}
    wanted |= members(record, "e", "o1", "o2", "o3", "o4", "c")
    assert wanted <= set(found["match"])
    assert len(found["match"]) == len(set(found["match"]))
    assert f"Practitioner/{record}-p" in found["include"]
    assert f"Practitioner/{record}-p" not in found["match"]
    small, _ = walk(client, "Patient/$everything", _count=7, _type="Observation")
    assert members(record, "o1", "o2", "o3", "o4") <= set(small["match"])


@pytest.mark.rule(321, "patient-operation-everything")
@pytest.mark.parametrize(
    "query",
    [
        "_count=0",
        "_count=-1",
        "_count=x",
        "_since=yesterday",
        "start=2026-13-45",
        "_type=Nothing",
        "colour=red",
        "start=2024&start=2025",
        "_cursor=x",
    ],
)
def test_inputs_of_everything_that_cannot_be_read_are_refused(client, record, query):
    issues(client.get(f"Patient/{record}/$everything?{query}"), 400)


@pytest.mark.rule(321, "patient-operation-everything")
def test_everything_of_a_patient_that_is_not_there(client):
    name = fresh()
    issues(client.get(f"Patient/{name}/$everything"), 404)
    done(client, put(patient(id=name)))
    client.delete(f"Patient/{name}")
    issues(client.get(f"Patient/{name}/$everything"), 410)


def test_everything_of_an_encounter(client, record):
    found, _ = walk(client, f"Encounter/{record}-e/$everything")
    assert found["match"] == [f"Encounter/{record}-e"]
    assert found["include"] == [f"Patient/{record}"]
