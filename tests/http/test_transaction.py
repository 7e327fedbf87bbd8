"""Transaction (https://hl7.org/fhir/R4/http.html#transaction)."""

import base64
import json

import pytest
from bundles import (
    SYSTEM,
    basic,
    bundle,
    count,
    done,
    entry,
    fresh,
    location,
    patient,
    post,
    put,
    refused,
    send,
    urn,
)


def by(value):
    return f"identifier={SYSTEM}|{value}"


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


# One identity once.


def parameters():
    value = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Patient"},
        {"name": "name", "valueString": "gender"},
        {"name": "value", "valueCode": "other"},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": value}]}


def changing(name):
    return {
        "put": put(patient(name, id=name)),
        "patch": entry("PATCH", f"Patient/{name}", parameters()),
        "delete": entry("DELETE", f"Patient/{name}"),
        "meta-add": entry("POST", f"Patient/{name}/$meta-add", labels("a")),
    }


def labels(code):
    meta = {"tag": [{"system": SYSTEM, "code": code}]}
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


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


# References between entries.


def everywhere(target):
    """A resource that refers to a target wherever R4 has it rewritten, and in a canonical."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{target}">a</a><img src="{target}" alt="b"/></div>'
    return {
        "resourceType": "ServiceRequest",
        "text": {"status": "additional", "div": div},
        "contained": [
            {
                "resourceType": "Basic",
                "id": "c",
                "code": {"text": target},
                "subject": {"reference": target},
            }
        ],
        "extension": [
            {"url": "https://example.org/a", "valueReference": {"reference": target}},
            {"url": "https://example.org/b", "valueUri": target},
            {"url": "https://example.org/c", "valueUrl": target},
            {"url": "https://example.org/d", "valueCanonical": target},
            {"url": "https://example.org/e", "valueString": target},
        ],
        "instantiatesCanonical": [target],
        "instantiatesUri": [target],
        "status": "active",
        "intent": "order",
        "subject": {"reference": target, "display": target},
        "supportingInfo": [{"reference": "#c"}],
    }


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
@pytest.mark.parametrize("name", [urn(), "urn:oid:1.2.3"])
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


def patch_in_binary(content, content_type="application/json-patch+json"):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {
        "resourceType": "Binary",
        "contentType": content_type,
        "data": base64.b64encode(data).decode(),
    }


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
