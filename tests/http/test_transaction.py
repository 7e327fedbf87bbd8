"""Transaction: what is taken, how it is answered, in which order it is done (https://hl7.org/fhir/R4/http.html#transaction)."""

import base64
import json

import pytest
from bundles import (
    SYSTEM,
    basic,
    bundle,
    by,
    count,
    done,
    entry,
    fresh,
    labels,
    location,
    patient,
    post,
    put,
    refused,
    send,
    urn,
)

# What the base takes.


@pytest.mark.rule(272, "http#transaction")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("url", ["", "/"])
def test_a_bundle_posted_to_the_base_is_run_by_its_type(client, kind, url):
    answer = client.post(url, json=bundle(post(patient()), kind=kind))
    assert answer.status_code == 200
    assert answer.json()["type"] == f"{kind}-response"
    assert len(answer.json()["entry"]) == 1


@pytest.mark.rule(272, "http#transaction")
def test_a_bundle_in_xml_is_run_and_answered_in_xml(client):
    value = fresh()
    text = (
        '<Bundle xmlns="http://hl7.org/fhir"><type value="transaction"/><entry><resource><Patient>'
        f'<identifier><system value="{SYSTEM}"/><value value="{value}"/></identifier></Patient></resource>'
        '<request><method value="POST"/><url value="Patient"/></request></entry></Bundle>'
    )
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}
    answer = client.post("", content=text, headers=headers)
    assert answer.status_code == 200
    assert '<type value="transaction-response"/>' in answer.text
    assert '<status value="201 Created"/>' in answer.text
    assert count(client, value) == 1


@pytest.mark.rule(274, "http#other-bundles")
@pytest.mark.parametrize(
    "kind",
    ["history", "searchset", "collection", "document", "message", "batch-response", "other", None],
)
def test_a_bundle_of_another_type_is_refused(client, kind):
    answer = client.post("", json=bundle(kind=kind) if kind else {"resourceType": "Bundle"})
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Bundle.type"]


@pytest.mark.rule(275, "http#transaction")
@pytest.mark.parametrize("body", [patient(), [], "Bundle", {}, {"resourceType": "Parameters"}])
def test_what_is_no_bundle_is_refused(client, body):
    answer = client.post("", json=body)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.rule(276, "http#trules")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_an_empty_bundle_is_answered_without_entries(client, kind):
    assert done(client, kind=kind) == []


@pytest.mark.rule(277, "http#transaction")
@pytest.mark.parametrize("part", ["request", "method", "url"])
def test_an_entry_without_request_method_or_url_is_refused(client, part):
    wrong = post(patient())
    del (wrong if part == "request" else wrong["request"])[part]
    place = "Bundle.entry[1].request" + ("" if part == "request" else f".{part}")
    assert refused(client, post(patient()), wrong)[0]["expression"] == [place]


@pytest.mark.rule(278, "http#transaction")
@pytest.mark.parametrize(("method", "url"), [("POST", "Patient"), ("PUT", "Patient/a")])
def test_a_writing_entry_without_resource_is_refused(client, method, url):
    issues = refused(client, post(patient()), entry(method, url))
    assert issues[0]["expression"] == ["Bundle.entry[1].resource"]


@pytest.mark.rule(279, "bundle#Bundle")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_total_is_refused(client, kind):
    answer = client.post("", json=bundle(post(patient()), kind=kind, total=1))
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Bundle.total"]


@pytest.mark.rule(279, "bundle#Bundle")
@pytest.mark.parametrize(
    ("name", "value"), [("search", {"mode": "match"}), ("response", {"status": "200"})]
)
def test_search_or_response_in_an_entry_is_refused(client, name, value):
    issues = refused(client, post(patient()), post(patient()) | {name: value})
    assert issues[0]["expression"] == [f"Bundle.entry[1].{name}"]


@pytest.mark.rule(280, "bundle#Bundle")
def test_one_full_url_twice_is_refused(client):
    name = urn()
    issues = refused(client, post(patient(), name), post(basic(), name))
    assert issues[0]["expression"] == ["Bundle.entry[1].fullUrl"]


@pytest.mark.rule(280, "bundle#Bundle")
def test_a_full_url_with_a_version_is_refused(client):
    issues = refused(client, post(patient(), "http://example.org/fhir/Patient/1/_history/2"))
    assert issues[0]["expression"] == ["Bundle.entry[0].fullUrl"]


@pytest.mark.rule(281, "bundle-definitions#Bundle.entry.fullUrl")
def test_a_full_url_that_ends_in_another_id_is_refused(client):
    wrong = put(patient(id=fresh()), "http://example.org/fhir/Patient/another")
    assert refused(client, wrong)[0]["expression"] == ["Bundle.entry[0].fullUrl"]


@pytest.mark.rule(281, "bundle-definitions#Bundle.entry.fullUrl")
def test_a_full_url_that_is_not_restful_need_not_end_in_the_id(client):
    made = put(patient(id=fresh()), "http://example.org/documents/7.1")
    assert done(client, made)[0]["response"]["status"] == "201 Created"


def test_what_is_no_fhir_around_the_resources_is_refused(client):
    wrong = post(patient()) | {"priority": 1}
    assert refused(client, post(patient()), wrong)[0]["expression"] == ["Bundle.entry[1].priority"]
    for name, value in [("ifMatch", 1), ("ifNoneExist", ["a"]), ("url", {}), ("prefer", "x")]:
        wrong = entry("GET", "Patient", **{} if name == "url" else {name: value})
        wrong["request"][name] = value
        assert refused(client, wrong)[0]["expression"] == [f"Bundle.entry[0].request.{name}"]


def test_entries_that_are_no_objects_are_refused(client):
    for wrong in [[], {}, "x", [None], [1], [[]]]:
        answer = client.post("", json=bundle() | {"entry": wrong})
        assert answer.status_code == 400, wrong


def test_more_entries_than_the_server_takes_are_413(client):
    answer = send(client, *[entry("GET", "Patient/x")] * 1001)
    assert answer.status_code == 413


def test_a_bundle_inside_the_bundle_is_not_run(client):
    inner = bundle(post(patient()))
    for url in ["/", "?", "Bundle/$x"]:
        answer = send(client, entry("POST", url, inner))
        assert answer.status_code in (400, 404), url
        assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0]"]


@pytest.mark.rule(312, "http#create")
@pytest.mark.parametrize("kind", ["transaction", "batch", "collection"])
def test_a_bundle_posted_to_its_type_is_stored_and_not_run(client, kind):
    value = fresh()
    inner = {"fullUrl": urn(), "resource": patient(value)}
    if kind != "collection":
        inner["request"] = {"method": "POST", "url": "Patient"}
    answer = client.post("Bundle", json=bundle(inner, kind=kind))
    assert answer.status_code == 201, answer.text
    stored = client.get(answer.headers["Location"]).json()
    assert stored["type"] == kind
    assert stored["entry"][0]["resource"] == patient(value)
    assert count(client, value) == 0


# The answer.


@pytest.mark.rule(282, 283, "http#transaction-response")
def test_the_answer_has_an_entry_for_each_in_the_same_order_with_status_location_and_etag(client):
    updated, removed = fresh(), fresh()
    done(client, put(patient(id=updated)), put(patient(id=removed)))
    shown = done(
        client,
        entry("GET", f"Patient/{updated}"),
        post(basic()),
        entry("DELETE", f"Patient/{removed}"),
        put(patient(id=updated)),
        post(patient()),
    )
    responses = [item["response"] for item in shown]
    assert [item["status"][:3] for item in responses] == ["200", "201", "204", "200", "201"]
    assert shown[0]["resource"]["id"] == updated
    assert location(shown[1]).startswith("Basic/")
    assert location(shown[3]) == f"Patient/{updated}"
    assert location(shown[4]).startswith("Patient/")
    for number, version in [(1, 1), (3, 2), (4, 1)]:
        assert responses[number]["etag"] == f'W/"{version}"'
        assert responses[number]["location"].endswith(f"/_history/{version}")
        assert shown[number]["resource"]["meta"]["versionId"] == str(version)
        assert shown[number]["resource"]["meta"]["lastUpdated"] == responses[number]["lastModified"]
        assert client.get(responses[number]["location"]).json() == shown[number]["resource"]


@pytest.mark.rule(287, 288, "http#trules")
@pytest.mark.parametrize(
    ("wrong", "status", "place"),
    [
        (post(patient(gender="unheard of")), 422, "Bundle.entry[3].resource.gender"),
        (post(patient(colour="red")), 400, "Bundle.entry[3].resource.colour"),
        (put(patient(id="a"), ifMatch='W/"1"'), 412, "Bundle.entry[3]"),
        (entry("GET", "Patient/nobody"), 404, "Bundle.entry[3]"),
        (entry("GET", "Nothing/nobody"), 404, "Bundle.entry[3]"),
        (entry("GET", "Patient?no-such=1&_count=x"), 400, "Bundle.entry[3]"),
        (entry("POST", "Patient/$nothing", {"resourceType": "Parameters"}), 404, "Bundle.entry[3]"),
        (entry("PATCH", "Patient/nobody", {"resourceType": "Parameters"}), 404, "Bundle.entry[3]"),
        (entry("DELETE", "Patient"), 400, "Bundle.entry[3]"),
        (put(patient(id="a")) | {"request": {"method": "PUT", "url": "Patient/b"}}, 400,
         "Bundle.entry[3].resource.id"),
    ],
)  # fmt: skip
def test_one_failing_entry_stores_nothing_and_is_named(client, wrong, status, place):
    value, kept = fresh(), fresh()
    done(client, put(patient(kept, id=kept)))
    issues = refused(
        client,
        post(patient(value)),
        put(patient(value, id=fresh())),
        entry("DELETE", f"Patient/{kept}"),
        wrong,
        status=status,
    )
    assert {issue["severity"] for issue in issues} == {"error"}
    assert issues[0]["expression"] == [place]
    assert count(client, value) == 0
    assert client.get(f"Patient/{kept}").status_code == 200


@pytest.mark.rule(287, "http#trules")
def test_after_a_failure_no_id_or_version_was_used_up(client):
    name = fresh()
    done(client, put(patient(id=name)))
    for _ in range(3):
        refused(client, put(patient(id=name)), entry("GET", "Patient/nobody"), status=404)
    assert client.get(f"Patient/{name}/_history").json()["total"] == 1
    assert done(client, put(patient(id=name)))[0]["response"]["etag"] == 'W/"2"'


@pytest.mark.rule(311, "http#ops")
def test_prefer_minimal_leaves_out_what_was_stored_but_not_what_was_read(client):
    name = fresh()
    shown = done(
        client,
        put(patient(id=name)),
        post(patient()),
        entry("GET", f"Patient/{name}"),
        headers={"Prefer": "return=minimal"},
    )
    assert "resource" not in shown[0]
    assert "resource" not in shown[1]
    assert shown[0]["response"]["status"] == "201 Created"
    assert shown[1]["response"]["etag"] == 'W/"1"'
    assert shown[2]["resource"]["id"] == name


# The order of the work.


@pytest.mark.rule(289, 290, "http#trules")
@pytest.mark.parametrize("order", ["as listed", "reversed"])
def test_the_order_of_the_work_does_not_depend_on_that_of_the_entries(client, order):
    value, patched = fresh(), fresh()
    old = done(client, post(patient(value)), put(patient(id=patched)))[0]
    document = [{"op": "add", "path": "/gender", "value": "female"}]
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": base64.b64encode(json.dumps(document).encode()).decode(),
    }
    entries = {
        "search": entry("GET", f"Patient?{by(value)}"),
        "read": entry("GET", f"Patient/{patched}"),
        "patch": entry("PATCH", f"Patient/{patched}", binary),
        "refer": put(basic(f"Patient?{by(value)}", id=fresh())),
        "create": post(patient(value), ifNoneExist=by(value)),
        "delete": entry("DELETE", location(old)),
    }
    names = list(entries) if order == "as listed" else list(entries)[::-1]
    shown = dict(zip(names, done(client, *(entries[name] for name in names)), strict=True))
    # The delete came before the search of the conditional create, or that would have found the old one.
    assert shown["create"]["response"]["status"] == "201 Created"
    assert shown["delete"]["response"]["status"] == "204 No Content"
    created = location(shown["create"])
    assert shown["refer"]["resource"]["subject"] == {"reference": created}
    found = [item["resource"]["id"] for item in shown["search"]["resource"]["entry"]]
    assert found == [created.partition("/")[2]]
    assert shown["read"]["resource"]["gender"] == "female"
    assert shown["read"]["resource"]["meta"]["versionId"] == "2"


@pytest.mark.rule(290, "http#trules")
def test_a_read_of_what_the_same_transaction_deletes_is_gone(client):
    name = fresh()
    done(client, put(patient(id=name)))
    read = entry("GET", f"Patient/{name}")
    issues = refused(client, read, entry("DELETE", f"Patient/{name}"), status=410)
    assert issues[0]["expression"] == ["Bundle.entry[0]"]
    assert client.get(f"Patient/{name}").status_code == 200


def test_head_in_a_transaction_shows_no_resource(client):
    name = fresh()
    shown = done(client, entry("HEAD", f"Patient/{name}"), put(patient(id=name)))
    assert "resource" not in shown[0]
    assert shown[0]["response"]["status"] == "200 OK"
    assert shown[0]["response"]["etag"] == 'W/"1"'


# Searches and operations.


@pytest.mark.rule(309, 310, "http#transaction")
def test_searches_histories_and_operations_are_answered_inside_a_transaction(client):
    value, name = fresh(), fresh()
    check = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": patient(gender="x")}],
    }
    shown = done(
        client,
        entry("GET", f"Patient?{by(value)}"),
        entry("GET", f"Patient/{name}/_history"),
        entry("POST", "Patient/$validate", check),
        entry("POST", f"Patient/{name}-2/$meta-add", labels("seen")),
        entry("GET", f"Patient/{name}-2/$meta"),
        entry("GET", "metadata"),
        put(patient(value, id=name)),
        put(patient(id=f"{name}-3")),
    ) if done(client, put(patient(id=f"{name}-2"))) else []  # fmt: skip
    assert shown[0]["resource"]["total"] == 1
    assert shown[1]["resource"]["type"] == "history"
    assert shown[2]["resource"]["issue"][0]["expression"] == ["Patient.gender"]
    assert shown[3]["resource"]["parameter"][0]["valueMeta"]["tag"][0]["code"] == "seen"
    assert shown[4]["resource"]["parameter"][0]["valueMeta"]["tag"][0]["code"] == "seen"
    assert shown[5]["resource"]["resourceType"] == "CapabilityStatement"


def test_a_thousand_entries_that_refer_to_each_other_are_one_transaction(client):
    value = fresh()
    names = [urn() for _ in range(500)]
    entries = [post(patient(value), name) for name in names]
    entries += [post(basic(name)) for name in names]
    shown = done(client, *entries)
    assert len(shown) == 1000
    assert count(client, value) == 500
    for created, referring in zip(shown[:500], shown[500:], strict=True):
        assert referring["resource"]["subject"]["reference"] == location(created)
