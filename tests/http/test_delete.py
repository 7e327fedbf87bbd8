"""Delete and conditional delete (https://hl7.org/fhir/R4/http.html#delete)."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

SYSTEM = "https://example.org/delete"


def make(client, value=None, **more):
    """A new Patient under an id of its own."""
    logical_id = uuid4().hex
    resource = {
        "resourceType": "Patient",
        "id": logical_id,
        "identifier": [{"system": SYSTEM, "value": value or logical_id}],
        **more,
    }
    return client.put(f"Patient/{logical_id}", json=resource).json()


def refer(client, patient, **more):
    resource = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient['id']}"},
        **more,
    }
    return client.post("ServiceRequest", json=resource).json()


def by_identifier(value, more=""):
    return f"Patient?identifier={SYSTEM}|{value}{more}"


@pytest.mark.rule(136, "http#delete")
def test_what_exists_is_deleted_with_204_and_no_body(client):
    patient = make(client)
    answer = client.delete(f"Patient/{patient['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert answer.headers["etag"] == 'W/"2"'


@pytest.mark.rule(136, "http#delete")
def test_an_operation_outcome_is_returned_to_who_prefers_one(client):
    patient = make(client)
    headers = {"Prefer": "return=OperationOutcome"}
    answer = client.delete(f"Patient/{patient['id']}", headers=headers)
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "OperationOutcome")


@pytest.mark.rule(137, "http#delete")
def test_deleting_what_never_existed_or_is_deleted_already_is_204_and_makes_no_version(client):
    assert client.delete(f"Patient/{uuid4().hex}").status_code == 204
    patient = make(client)
    for _ in range(2):
        assert client.delete(f"Patient/{patient['id']}").status_code == 204
    assert client.get(f"Patient/{patient['id']}/_history").json()["total"] == 2


@pytest.mark.rule(138, "http#delete")
def test_what_is_deleted_is_410_not_found_by_searches_and_not_included(client):
    patient = make(client)
    referral = refer(client, patient)
    client.delete(f"Patient/{patient['id']}")
    gone = client.get(f"Patient/{patient['id']}")
    assert (gone.status_code, gone.json()["issue"][0]["code"]) == (410, "deleted")
    assert client.get(by_identifier(patient["id"])).json()["total"] == 0
    assert client.get(f"Patient?_id={patient['id']}").json()["total"] == 0
    page = client.get(f"ServiceRequest?_id={referral['id']}&_include=ServiceRequest:subject").json()
    assert [entry["resource"]["id"] for entry in page["entry"]] == [referral["id"]]


@pytest.mark.rule(138, "http#delete")
def test_what_is_deleted_is_not_included_backwards(client):
    patient = make(client)
    referral = refer(client, patient)
    client.delete(f"ServiceRequest/{referral['id']}")
    page = client.get(f"Patient?_id={patient['id']}&_revinclude=ServiceRequest:subject").json()
    assert [entry["resource"]["id"] for entry in page["entry"]] == [patient["id"]]


@pytest.mark.rule(139, "http#delete")
def test_history_and_old_versions_remain_with_the_deletion_on_top(client):
    patient = make(client)
    client.delete(f"Patient/{patient['id']}")
    history = client.get(f"Patient/{patient['id']}/_history").json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT"]
    assert client.get(f"Patient/{patient['id']}/_history/1").json() == patient
    assert client.get(f"Patient/{patient['id']}/_history/2").status_code == 410


@pytest.mark.rule(141, "http#delete")
def test_what_is_referred_to_stays_where_references_are_kept_whole(serve):
    client = serve(referential_integrity="true")
    patient = make(client)
    referral = refer(client, patient)
    for answer in (
        client.delete(f"Patient/{patient['id']}"),
        client.delete(by_identifier(patient["id"])),
    ):
        assert answer.status_code == 409
        issue = answer.json()["issue"][0]
        assert f"ServiceRequest/{referral['id']}" in issue["diagnostics"]
    assert client.get(f"Patient/{patient['id']}").json() == patient
    assert client.delete(f"ServiceRequest/{referral['id']}").status_code == 204
    assert client.delete(f"Patient/{patient['id']}").status_code == 204


@pytest.mark.rule(141, "http#delete")
def test_a_transaction_may_delete_both_ends_of_a_reference(serve):
    client = serve(referential_integrity="true")
    patient = make(client)
    referral = refer(client, patient)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"request": {"method": "DELETE", "url": url}}
            for url in (f"Patient/{patient['id']}", f"ServiceRequest/{referral['id']}")
        ],
    }
    assert client.post("", json=bundle).status_code == 200
    assert client.get(f"Patient/{patient['id']}").status_code == 410


@pytest.mark.rule(142, "http#delete")
def test_a_delete_with_a_body_is_400_and_deletes_nothing(client):
    patient = make(client)
    answer = client.request("DELETE", f"Patient/{patient['id']}", json=patient)
    assert answer.status_code == 400
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert client.get(f"Patient/{patient['id']}").json() == patient


@pytest.mark.rule(142, "http#delete")
@pytest.mark.parametrize(
    "headers", [{"Content-Type": "application/fhir+json"}, {"Content-Length": "0"}]
)
def test_the_headers_of_an_empty_body_do_no_harm(client, headers):
    patient = make(client)
    answer = client.request("DELETE", f"Patient/{patient['id']}", headers=headers)
    assert answer.status_code == 204


@pytest.mark.rule(143, "http#concurrency")
def test_if_match_of_an_old_version_is_412_and_of_the_current_one_deletes(client):
    patient = make(client)
    path = f"Patient/{patient['id']}"
    changed = client.put(path, json=patient | {"active": True}).json()
    assert client.delete(path, headers={"If-Match": 'W/"1"'}).status_code == 412
    assert client.get(path).json() == changed
    assert client.delete(path, headers={"If-Match": 'W/"2"'}).status_code == 204
    assert client.delete(path, headers={"If-Match": 'W/"2"'}).status_code == 412


@pytest.mark.rule(143, "http#concurrency")
def test_a_conditional_delete_checks_if_match(client):
    value = uuid4().hex
    headers = {"If-Match": 'W/"1"'}
    assert client.delete(by_identifier(value), headers=headers).status_code == 412
    patient = make(client, value)
    assert client.delete(by_identifier(value), headers={"If-Match": 'W/"9"'}).status_code == 412
    other = make(client, value)
    assert client.delete(by_identifier(value), headers=headers).status_code == 412
    for item in (patient, other):
        assert client.get(f"Patient/{item['id']}").json() == item
    client.delete(f"Patient/{other['id']}")
    assert client.delete(by_identifier(value), headers=headers).status_code == 204


def test_where_every_change_needs_if_match_a_delete_needs_it_too(serve):
    client = serve(require_if_match="true")
    patient = make(client)
    assert client.delete(f"Patient/{patient['id']}").status_code == 400
    assert client.delete(by_identifier(patient["id"])).status_code == 400
    answer = client.delete(f"Patient/{patient['id']}", headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 204


@pytest.mark.rule(144, "http#delete")
def test_an_update_revives_with_201_and_the_next_version(client):
    patient = make(client)
    path = f"Patient/{patient['id']}"
    client.delete(path)
    answer = client.put(path, json=patient)
    assert (answer.status_code, answer.headers["etag"]) == (201, 'W/"3"')
    assert answer.headers["location"].endswith(f"{path}/_history/3")
    assert client.get(path).json() == answer.json()
    assert client.get(by_identifier(patient["id"])).json()["total"] == 1


@pytest.mark.rule(145, "http#delete")
def test_a_conditional_delete_of_one_match_or_none_is_204(client):
    patient = make(client)
    for _ in range(2):
        answer = client.delete(by_identifier(patient["id"]))
        assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"Patient/{patient['id']}").status_code == 410


@pytest.mark.rule(146, "http#delete")
def test_a_conditional_delete_of_several_matches_deletes_all_of_them_and_no_others(client):
    value = uuid4().hex
    matching = [make(client, value) for _ in range(3)]
    other = make(client)
    assert client.delete(by_identifier(value)).status_code == 204
    for patient in matching:
        assert client.get(f"Patient/{patient['id']}").status_code == 410
    assert client.get(f"Patient/{other['id']}").json() == other


@pytest.mark.rule(146, "http#delete")
def test_several_matches_are_412_where_single_deletes_are_promised(serve):
    client = serve(conditional_delete="single")
    value = uuid4().hex
    patients = [make(client, value) for _ in range(2)]
    answer = client.delete(by_identifier(value))
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["code"] == "multiple-matches"
    for patient in patients:
        assert client.get(f"Patient/{patient['id']}").json() == patient
    client.delete(f"Patient/{patients[0]['id']}")
    assert client.delete(by_identifier(value)).status_code == 204


@pytest.mark.rule(147, "http#delete")
def test_a_conditional_delete_is_400_where_it_is_not_offered(serve):
    client = serve(conditional_delete="not-supported")
    patient = make(client)
    answer = client.delete(by_identifier(patient["id"]))
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["code"] == "not-supported"
    assert client.delete(f"Patient/{patient['id']}").status_code == 204


@pytest.mark.rule(148, "http#delete")
@pytest.mark.parametrize("handling", ["lenient", "strict"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?identifier=",
        "?identifier=,",
        "?_format=json",
        "?colour=red",
        "?identifier=x&colour=red",
        "?name:colour=x",
        "?_count=1",
        "?_include=Patient:organization",
        "?_nothing=x",
    ],
)
def test_a_conditional_delete_without_criteria_that_are_understood_is_400(client, query, handling):
    patient = make(client, "x")
    answer = client.delete(f"Patient{query}", headers={"Prefer": f"handling={handling}"})
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["diagnostics"]
    assert client.get(f"Patient/{patient['id']}").json() == patient


def test_there_is_no_conditional_delete_of_every_type(client):
    answer = client.delete(f"?_id={uuid4().hex}")
    assert answer.status_code == 405
    assert "DELETE" not in answer.headers["allow"]


def test_parallel_deletes_make_one_deletion(client):
    patient = make(client)
    paths = [f"Patient/{patient['id']}", by_identifier(patient["id"])] * 6
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(client.delete, paths))
    assert {answer.status_code for answer in answers} == {204}
    assert client.get(f"Patient/{patient['id']}/_history").json()["total"] == 2
