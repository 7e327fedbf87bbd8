"""Transaction: references between entries and by criteria (https://hl7.org/fhir/R4/http.html#trules)."""

import json

import pytest
from bundles import (
    basic,
    by,
    done,
    entry,
    everywhere,
    fresh,
    location,
    patch_in_binary,
    patient,
    post,
    put,
    refused,
    urn,
)

# References between entries.


@pytest.mark.rule(293, 294, "http#trules")
@pytest.mark.parametrize("full_url", ["urn", "absolute"])
@pytest.mark.parametrize("first", ["target", "source"])
def test_references_to_an_entry_are_rewritten_everywhere_but_in_canonicals(client, full_url, first):
    target = urn() if full_url == "urn" else f"https://elsewhere.example/fhir/Patient/{fresh()}"
    resource = patient()
    if full_url == "absolute":
        resource["id"] = target.rpartition("/")[2]
    entries = [post(resource, target), post(everywhere(target))]
    if first == "source":
        entries.reverse()
    shown = done(client, *entries)
    if first == "source":
        shown.reverse()
    new = location(shown[0])
    stored = client.get(location(shown[1])).json()
    wanted = everywhere(new)
    wanted["contained"][0]["code"]["text"] = target
    wanted["extension"][3]["valueCanonical"] = target
    wanted["extension"][4]["valueString"] = target
    wanted["instantiatesCanonical"] = [target]
    wanted["subject"]["display"] = target
    assert {name: value for name, value in stored.items() if name not in ("id", "meta")} == wanted
    found = client.get("ServiceRequest", params={"subject": new}).json()
    assert found["entry"][0]["resource"]["id"] == stored["id"]


@pytest.mark.rule(294, "http#trules")
def test_a_uuid_and_an_oid_name_the_new_id_in_the_form_that_they_can_hold(client):
    target = urn()
    extension = [
        {"url": "https://example.org/a", "valueUuid": target},
        {"url": "https://example.org/b", "valueUuid": urn()},
    ]
    created, referring = done(client, post(patient(), target), post(basic(extension=extension)))
    new = location(created).partition("/")[2]
    stored = referring["resource"]["extension"]
    assert stored[0]["valueUuid"] == f"urn:uuid:{new}"
    assert stored[1] == extension[1]


@pytest.mark.rule(295, "bundle#references")
def test_a_relative_reference_is_resolved_against_the_base_of_its_entry(client):
    name = fresh()
    base = "https://elsewhere.example/fhir"
    created, same_base, other_base, no_base = done(
        client,
        post(patient(id=name), f"{base}/Patient/{name}"),
        post(basic(f"Patient/{name}", id="b"), f"{base}/Basic/b"),
        post(basic(f"Patient/{name}", id="c"), "https://another.example/fhir/Basic/c"),
        post(basic(f"Patient/{name}"), urn()),
    )
    assert same_base["resource"]["subject"]["reference"] == location(created)
    assert other_base["resource"]["subject"]["reference"] == f"Patient/{name}"
    assert no_base["resource"]["subject"]["reference"] == f"Patient/{name}"


@pytest.mark.rule(296, "http#trules")
@pytest.mark.parametrize(
    "reference", ["Patient/elsewhere", "https://elsewhere.example/fhir/Patient/1", "#c"]
)
def test_a_reference_to_something_outside_is_unchanged(client, reference):
    resource = basic(reference)
    if reference == "#c":
        resource["contained"] = [patient(id="c")]
    shown = done(client, post(patient(), urn()), post(resource, urn()))
    assert shown[1]["resource"]["subject"] == {"reference": reference}


@pytest.mark.rule(297, "bundle#references")
@pytest.mark.parametrize("name", ["urn:uuid:0bf1ad0e-4d2c-4a36-8f0e-7a4f6a1c2d3e", "urn:oid:1.2.3"])
def test_a_urn_that_no_entry_has_is_refused(client, name):
    issues = refused(client, post(patient(), urn()), post(basic(name)))
    assert issues[0]["expression"] == ["Bundle.entry[1].resource.subject.reference"]


@pytest.mark.rule(298, "http#trules")
def test_two_entries_that_refer_to_each_other_are_both_rewritten(client):
    one, two = urn(), urn()
    link = [{"type": "seealso", "other": {"reference": two}}]
    first, second = done(
        client,
        post(patient(link=link), one),
        post(patient(link=[{"type": "seealso", "other": {"reference": one}}]), two),
    )
    assert first["resource"]["link"][0]["other"]["reference"] == location(second)
    assert second["resource"]["link"][0]["other"]["reference"] == location(first)


@pytest.mark.rule(299, "http#trules")
def test_a_versioned_reference_names_the_version_that_the_transaction_makes(client):
    name, value = fresh(), fresh()
    done(client, put(patient(id=name)), post(patient(value)))
    new, updated, found = urn(), urn(), urn()
    shown = done(
        client,
        post(basic(f"{new}/_history/1")),
        post(basic(f"{updated}/_history/7")),
        post(basic(f"{found}/_history/1")),
        post(patient(), new),
        put(patient(id=name), updated),
        post(patient(value), found, ifNoneExist=by(value)),
    )
    subjects = [item["resource"]["subject"]["reference"] for item in shown[:3]]
    assert subjects == [
        f"{location(shown[3])}/_history/1",
        f"Patient/{name}/_history/2",
        f"{location(shown[5])}/_history/1",
    ]
    for subject in subjects:
        assert client.get(subject).status_code == 200


@pytest.mark.rule(300, "http#trules")
def test_a_create_gets_a_new_id_and_an_update_keeps_its_own(client):
    name = fresh()
    base = "https://elsewhere.example/fhir"
    created, updated, referring = done(
        client,
        post(patient(id=f"{name}-a"), f"{base}/Patient/{name}-a"),
        put(patient(id=f"{name}-b"), f"{base}/Patient/{name}-b"),
        post(basic(f"{base}/Patient/{name}-b")),
    )
    assert location(created) != f"Patient/{name}-a"
    assert location(updated) == f"Patient/{name}-b"
    assert referring["resource"]["subject"]["reference"] == f"Patient/{name}-b"
    assert client.get(f"Patient/{name}-a").status_code == 404


# References by criteria.


@pytest.mark.rule(304, "http#trules")
def test_a_reference_by_criteria_becomes_the_id_of_the_one_match(client):
    value = fresh()
    made = location(done(client, post(patient(value)))[0])
    absolute = f"{str(client.base_url).rstrip('/')}/Patient?{by(value)}"
    document = [{"op": "add", "path": "/subject", "value": {"reference": f"Patient?{by(value)}"}}]
    patched = fresh()
    done(client, put(basic(id=patched)))
    shown = done(
        client,
        post(basic(f"Patient?{by(value)}")),
        post(basic(absolute)),
        put(basic(f"Patient?{by(value)}&gender:missing=true", id=fresh())),
        entry("PATCH", f"Basic/{patched}", patch_in_binary(document)),
    )
    assert {item["resource"]["subject"]["reference"] for item in shown} == {made}
    for item in shown:
        found = client.get("Basic", params={"subject": made, "_id": item["resource"]["id"]})
        assert found.json()["total"] == 1


@pytest.mark.rule(305, "http#trules")
def test_a_reference_by_criteria_that_matches_none_or_several_fails(client):
    value = fresh()
    source = post(basic(f"Patient?{by(value)}"))
    place = ["Bundle.entry[1].resource.subject.reference"]
    issues = refused(client, post(patient()), source, status=412)
    assert (issues[0]["expression"], issues[0]["code"]) == (place, "not-found")
    done(client, post(patient(value)), post(patient(value)))
    issues = refused(client, post(patient()), source, status=412)
    assert (issues[0]["expression"], issues[0]["code"]) == (place, "multiple-matches")


@pytest.mark.rule(306, "http#trules")
def test_a_reference_by_criteria_may_match_what_the_transaction_writes(client):
    value, updated = fresh(), fresh()
    done(client, put(patient(id=updated)))
    shown = done(
        client,
        post(basic(f"Patient?{by(value)}")),
        post(patient(value)),
        post(basic(f"Patient?{by(updated)}")),
        put(patient(updated, id=updated)),
    )
    assert shown[0]["resource"]["subject"]["reference"] == location(shown[1])
    assert shown[2]["resource"]["subject"]["reference"] == f"Patient/{updated}"


@pytest.mark.rule(306, "http#trules")
def test_a_reference_by_criteria_does_not_match_what_the_transaction_takes_away(client):
    value, changed = fresh(), fresh()
    made = done(client, post(patient(value)), put(patient(changed, id=changed)))
    source = post(basic(f"Patient?{by(value)}"))
    refused(client, source, entry("DELETE", location(made[0])), status=412)
    refused(client, source, entry("DELETE", f"Patient?{by(value)}"), status=412)
    source = post(basic(f"Patient?{by(changed)}"))
    refused(client, source, put(patient(id=changed)), status=412)
    moved = done(client, source, put(patient(id=changed)), post(patient(changed)))
    assert moved[0]["resource"]["subject"]["reference"] == location(moved[2])


@pytest.mark.rule(304, 306, "http#trules")
def test_references_by_criteria_may_go_round_in_a_circle(client):
    one, two = fresh(), fresh()

    def linked(own, other):
        link = [{"type": "seealso", "other": {"reference": f"Patient?{by(other)}"}}]
        return post(patient(own, link=link))

    first, second = done(client, linked(one, two), linked(two, one))
    assert first["resource"]["link"][0]["other"]["reference"] == location(second)
    assert second["resource"]["link"][0]["other"]["reference"] == location(first)
    itself = fresh()
    shown = done(client, linked(itself, itself))
    assert shown[0]["resource"]["link"][0]["other"]["reference"] == location(shown[0])


@pytest.mark.rule(307, "http#trules")
def test_a_reference_by_criteria_outside_a_transaction_is_refused(client):
    value, name = fresh(), fresh()
    done(client, post(patient(value)), put(basic(id=name)))
    wrong = basic(f"Patient?{by(value)}")
    place = "Basic.subject.reference"
    document = [{"op": "add", "path": "/subject", "value": wrong["subject"]}]
    headers = {"Content-Type": "application/json-patch+json"}
    for answer in [
        client.post("Basic", json=wrong),
        client.put(f"Basic/{name}", json=wrong | {"id": name}),
        client.put(f"Basic?_id={name}", json=wrong),
        client.patch(f"Basic/{name}", content=json.dumps(document), headers=headers),
    ]:
        assert answer.status_code == 400, answer.text
        assert answer.json()["issue"][0]["expression"] == [place]
    shown = done(client, post(wrong), kind="batch")
    assert shown[0]["response"]["status"].startswith("400")


@pytest.mark.rule(308, "http#trules")
@pytest.mark.parametrize(
    "query",
    ["_count=1", "_include=Patient:link", "_sort=_id", "no-such=1", "gender=", "", "birthdate=x"],
)
def test_criteria_of_a_reference_with_result_or_unknown_parameters_fail(client, query):
    value = fresh()
    done(client, post(patient(value)))
    criteria = f"{by(value)}&{query}" if query else query
    issues = refused(client, post(patient()), post(basic(f"Patient?{criteria}")))
    assert issues[0]["expression"] == ["Bundle.entry[1].resource.subject.reference"]


@pytest.mark.rule(308, "http#trules")
def test_criteria_of_an_unknown_type_fail(client):
    issues = refused(client, post(basic("Nothing?identifier=1")), status=422)
    assert issues[0]["expression"] == ["Bundle.entry[0].resource.subject"]
