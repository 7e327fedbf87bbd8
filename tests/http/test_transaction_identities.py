"""Transaction: which resource an entry changes, by id or by criteria (https://hl7.org/fhir/R4/http.html#trules)."""

import pytest
from bundles import (
    basic,
    by,
    count,
    done,
    entry,
    everywhere,
    fresh,
    labels,
    location,
    parameters,
    patch_in_binary,
    patient,
    post,
    put,
    refused,
    send,
    urn,
)

# One identity once.


def changing(name):
    return {
        "put": put(patient(name, id=name)),
        "patch": entry("PATCH", f"Patient/{name}", parameters()),
        "delete": entry("DELETE", f"Patient/{name}"),
        "meta-add": entry("POST", f"Patient/{name}/$meta-add", labels("a")),
    }


def selecting(name):
    resource = patient(name, gender="male")
    return {
        "conditional put": entry("PUT", f"Patient?{by(name)}", resource),
        "conditional patch": entry("PATCH", f"Patient?{by(name)}", parameters()),
        "conditional delete": entry("DELETE", f"Patient?{by(name)}"),
    }


@pytest.mark.rule(291, "http#trules")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("put", "put"),
        ("put", "patch"),
        ("put", "delete"),
        ("patch", "patch"),
        ("patch", "delete"),
        ("delete", "delete"),
        ("delete", "put"),
        ("meta-add", "put"),
        ("patch", "meta-add"),
    ],
)
def test_one_resource_twice_fails_the_transaction(client, first, second):
    name = fresh()
    done(client, put(patient(name, id=name)))
    issues = refused(client, changing(name)[first], post(patient()), changing(name)[second])
    assert issues[0]["expression"] == ["Bundle.entry[2]"]
    assert "Bundle.entry[0]" in issues[0]["diagnostics"]
    assert client.get(f"Patient/{name}").json()["meta"]["versionId"] == "1"


@pytest.mark.rule(292, "http#trules")
@pytest.mark.parametrize("plain", ["put", "patch", "delete", "meta-add"])
@pytest.mark.parametrize(
    "conditional", ["conditional put", "conditional patch", "conditional delete"]
)
def test_one_resource_by_id_and_by_criteria_fails_the_transaction(client, plain, conditional):
    name = fresh()
    done(client, put(patient(name, id=name)))
    refused(client, changing(name)[plain], selecting(name)[conditional])
    assert client.get(f"Patient/{name}").json()["meta"]["versionId"] == "1"


@pytest.mark.rule(292, "http#trules")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("conditional put", "conditional patch"),
        ("conditional put", "conditional delete"),
        ("conditional patch", "conditional patch"),
        ("conditional delete", "conditional delete"),
    ],
)
def test_one_resource_by_two_criteria_fails_the_transaction(client, first, second):
    name = fresh()
    done(client, put(patient(name, id=name)))
    other = selecting(name)[second]
    other["request"]["url"] += f"&_id={name}"
    refused(client, selecting(name)[first], other)
    assert client.get(f"Patient/{name}").json()["meta"]["versionId"] == "1"


@pytest.mark.rule(292, "http#trules")
def test_two_creates_by_criteria_that_match_each_other_fail_the_transaction(client):
    value = fresh()
    twice = post(patient(value), ifNoneExist=by(value))
    refused(client, twice, twice)
    other = post(patient(value), ifNoneExist=by(value) + "&gender:missing=true")
    refused(client, twice, other, status=412)
    refused(client, post(patient(value)), twice, status=412)
    assert count(client, value) == 0


# Conditional entries.


@pytest.mark.rule(301, "http#ccreate")
@pytest.mark.parametrize("prefix", ["", "?", "Patient?"])
def test_references_follow_to_what_a_conditional_create_finds(client, prefix):
    value = fresh()
    existing = location(done(client, post(patient(value)))[0])
    name = urn()
    found, referring = done(
        client,
        post(patient(value, gender="male"), name, ifNoneExist=prefix + by(value)),
        post(everywhere(name)),
    )
    assert found["response"]["status"] == "200 OK"
    assert location(found) == existing
    assert "gender" not in client.get(existing).json()
    assert referring["resource"]["subject"]["reference"] == existing
    assert referring["resource"]["instantiatesUri"] == [existing]
    assert f'href="{existing}"' in referring["resource"]["text"]["div"]
    assert count(client, value) == 1


@pytest.mark.rule(301, "http#ccreate")
def test_a_conditional_create_with_no_match_creates_and_with_several_fails(client):
    value = fresh()
    entries = post(patient(value), ifNoneExist=by(value))
    assert done(client, entries)[0]["response"]["status"] == "201 Created"
    client.post("Patient", json=patient(value))
    issues = refused(client, post(patient()), entries, status=412)
    assert issues[0]["expression"] == ["Bundle.entry[1]"]
    assert count(client, value) == 2


@pytest.mark.rule(302, "http#concurrency")
def test_a_stale_if_match_fails_the_transaction(client):
    name = fresh()
    done(client, put(patient(id=name)))
    for change in [put(patient(id=name)), entry("DELETE", f"Patient/{name}")]:
        change["request"]["ifMatch"] = 'W/"7"'
        issues = refused(client, post(patient()), change, status=412)
        assert issues[0]["expression"] == ["Bundle.entry[1]"]
    for patched in [f"Patient/{name}", f"Patient?_id={name}"]:
        change = entry("PATCH", patched, parameters(), ifMatch='W/"7"')
        refused(client, change, status=412)
    conditional = entry("PUT", f"Patient?_id={name}", patient(), ifMatch='W/"7"')
    refused(client, conditional, status=412)
    current = done(client, put(patient(id=name), ifMatch='W/"1"'))
    assert current[0]["response"]["etag"] == 'W/"2"'


@pytest.mark.rule(303, "http#cread")
def test_conditional_reads_in_entries_are_not_modified(client):
    name = fresh()
    made = done(client, put(patient(id=name)))[0]["response"]
    read, version = f"Patient/{name}", f"Patient/{name}/_history/1"
    shown = done(
        client,
        entry("GET", read, ifNoneMatch='W/"1"'),
        entry("GET", version, ifNoneMatch='W/"1"'),
        entry("GET", read, ifModifiedSince=made["lastModified"]),
        entry("GET", read, ifNoneMatch='W/"2"'),
        entry("GET", read, ifModifiedSince="2001-01-01T00:00:00Z"),
        entry("GET", read, ifModifiedSince="2999-01-01T00:00:00+14:00"),
    )
    assert [item["response"]["status"][:3] for item in shown] == [
        "304", "304", "304", "200", "200", "304"
    ]  # fmt: skip
    assert ["resource" in item for item in shown] == [False, False, False, True, True, False]
    refused(client, entry("GET", read, ifModifiedSince="Sun, 01 Mar 2026 10:00:00 GMT"))


def test_a_conditional_update_updates_creates_or_refuses(client):
    value = fresh()
    name, referring = urn(), urn()
    for status, version in [("201 Created", 1), ("200 OK", 2)]:
        shown = done(
            client,
            post(basic(name), referring),
            entry("PUT", f"Patient?{by(value)}", patient(value), name),
        )
        assert shown[1]["response"]["status"] == status
        assert shown[1]["response"]["etag"] == f'W/"{version}"'
        assert shown[0]["resource"]["subject"]["reference"] == location(shown[1])
    assert count(client, value) == 1
    wrong = entry("PUT", f"Patient?{by(value)}", patient(value, id=fresh()))
    assert refused(client, wrong)[0]["expression"] == ["Bundle.entry[0].resource.id"]
    client.post("Patient", json=patient(value))
    refused(client, entry("PUT", f"Patient?{by(value)}", patient(value)), status=412)


def test_a_conditional_update_never_overwrites_what_does_not_match(client):
    name = fresh()
    done(client, put(patient(id=name, gender="female")))
    wrong = entry("PUT", f"Patient?{by(fresh())}", patient(id=name))
    assert refused(client, wrong, status=409)[0]["expression"] == ["Bundle.entry[0].resource.id"]
    assert client.get(f"Patient/{name}").json()["gender"] == "female"


def test_a_conditional_delete_deletes_what_matches(client):
    value = fresh()
    made = done(client, post(patient(value)), post(patient(value)))
    done(client, entry("DELETE", f"Patient?{by(value)}"), post(patient()))
    assert [client.get(location(item)).status_code for item in made] == [410, 410]


def test_a_conditional_patch_patches_the_one_that_matches(client):
    value = fresh()
    change = entry("PATCH", f"Patient?{by(value)}", parameters(), urn())
    refused(client, change, status=404)
    made = done(client, post(patient(value)))[0]
    name = change["fullUrl"]
    shown = done(client, post(basic(name)), change)
    assert shown[1]["resource"]["gender"] == "other"
    assert shown[0]["resource"]["subject"]["reference"] == location(made)
    client.post("Patient", json=patient(value))
    refused(client, change, status=412)


def test_patches_in_each_language_may_refer_to_entries(client):
    name, new = fresh(), urn()
    done(client, *(put(basic(id=f"{name}-{number}")) for number in range(4)))
    part = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Basic"},
        {"name": "name", "valueString": "subject"},
        {"name": "value", "valueReference": {"reference": new}},
    ]
    operation = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    xml = b'<diff><add sel="Basic"><subject><reference value="Patient/elsewhere"/></subject></add></diff>'
    whole = [{"op": "add", "path": "/subject", "value": {"reference": new}}]
    inner = [
        {"op": "add", "path": "/subject", "value": {}},
        {"op": "add", "path": "/subject/reference", "value": new},
    ]
    shown = done(
        client,
        entry("PATCH", f"Basic/{name}-0", operation),
        entry("PATCH", f"Basic/{name}-1", patch_in_binary(whole)),
        entry("PATCH", f"Basic/{name}-2", patch_in_binary(inner)),
        entry("PATCH", f"Basic/{name}-3", patch_in_binary(xml, "application/xml-patch+xml")),
        post(patient(), new),
    )
    created = location(shown[4])
    subjects = [item["resource"]["subject"]["reference"] for item in shown[:4]]
    assert subjects == [created, created, created, "Patient/elsewhere"]


@pytest.mark.parametrize(
    "binary",
    [
        patch_in_binary(b"not json"),
        patch_in_binary({"op": "add"}),
        patch_in_binary([], "text/plain"),
        {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "%"},
        {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": 7},
        patch_in_binary([{"op": "add", "path": "/subject", "value": {"reference": urn()}}]),
        patient(),
    ],
)
def test_a_patch_that_cannot_be_read_is_refused(client, binary):
    name = fresh()
    done(client, put(basic(id=name)))
    answer = send(client, post(patient()), entry("PATCH", f"Basic/{name}", binary))
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[1]")
