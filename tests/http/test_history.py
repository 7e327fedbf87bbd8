"""History of an instance, a type and the system (https://hl7.org/fhir/R4/http.html#history)."""

import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

SYSTEM = "https://example.org/history"


def basic(logical_id, text="first"):
    return {"resourceType": "Basic", "id": logical_id, "code": {"text": text}}


@pytest.fixture
def lived(client):
    """The id of a Basic that was created, updated twice, deleted and revived: five versions."""
    logical_id = uuid4().hex
    path = f"Basic/{logical_id}"
    for text in ("first", "second", "third"):
        client.put(path, json=basic(logical_id, text))
    client.delete(path)
    client.put(path, json=basic(logical_id, "revived"))
    return logical_id


def entries(client, path, **parameters):
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json().get("entry", [])


def etags(listed):
    return [entry["response"]["etag"] for entry in listed]


def follow(client, path, **parameters):
    """The pages of a history, by their next links."""
    page = client.get(path, params=parameters).json()
    while True:
        yield page
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            return
        page = client.get(following[0]).raise_for_status().json()


def last_updated(client, logical_id, version):
    listed = entries(client, f"Basic/{logical_id}/_history")
    return next(
        entry["response"]["lastModified"]
        for entry in listed
        if entry["response"]["etag"] == f'W/"{version}"'
    )


@pytest.mark.rule(149, "http#history")
def test_an_instance_has_its_versions_newest_first_deletions_included(client, lived):
    answer = client.get(f"Basic/{lived}/_history")
    assert answer.status_code == 200
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    methods = [entry["request"]["method"] for entry in bundle["entry"]]
    assert methods == ["PUT", "DELETE", "PUT", "PUT", "PUT"]
    assert etags(bundle["entry"]) == [f'W/"{number}"' for number in (5, 4, 3, 2, 1)]
    texts = [entry["resource"]["code"]["text"] for entry in bundle["entry"] if "resource" in entry]
    assert texts == ["revived", "third", "second", "first"]


@pytest.mark.rule(150, "bundle#invs")
def test_every_entry_has_a_request_and_a_response_with_a_status(client, lived):
    for path in (f"Basic/{lived}/_history", "Basic/_history", "_history"):
        for entry in entries(client, path):
            assert entry["request"]["method"] in ("POST", "PUT", "PATCH", "DELETE")
            assert entry["response"]["status"][:3] in ("200", "201", "204")
    statuses = [
        entry["response"]["status"][:3] for entry in entries(client, f"Basic/{lived}/_history")
    ]
    assert statuses == ["201", "204", "200", "200", "201"]


@pytest.mark.rule(150, "bundle#invs")
@pytest.mark.parametrize("path", ["Basic/{}/_history", "Basic/_history", "_history"])
def test_a_history_is_a_valid_bundle(client, lived, path):
    bundle = client.get(path.format(lived)).json()
    answer = client.post("Bundle/$validate", json=bundle).json()
    assert [issue for issue in answer["issue"] if issue["severity"] in ("error", "fatal")] == []


@pytest.mark.rule(151, "http#history")
def test_an_entry_has_its_version_and_a_deletion_has_none_but_method_and_url(client, lived):
    for entry in entries(client, f"Basic/{lived}/_history"):
        if entry["request"]["method"] == "DELETE":
            assert "resource" not in entry
            assert entry["request"]["url"] == f"Basic/{lived}"
        else:
            version = entry["resource"]["meta"]["versionId"]
            assert client.get(f"Basic/{lived}/_history/{version}").json() == entry["resource"]


@pytest.mark.rule(152, "bundle#invs")
def test_the_full_url_is_that_of_the_resource_in_every_version(client, server, lived):
    listed = entries(client, f"Basic/{lived}/_history")
    assert {entry["fullUrl"] for entry in listed} == {f"{server.base}/Basic/{lived}"}


@pytest.mark.rule(153, "http#history")
def test_etag_and_last_modified_are_those_of_the_version(client, lived):
    listed = entries(client, f"Basic/{lived}/_history")
    for entry in listed:
        if "resource" in entry:
            meta = entry["resource"]["meta"]
            assert entry["response"]["etag"] == f'W/"{meta["versionId"]}"'
            assert entry["response"]["lastModified"] == meta["lastUpdated"]
    moments = [datetime.fromisoformat(entry["response"]["lastModified"]) for entry in listed]
    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) == 5


@pytest.mark.rule(154, "http#history")
def test_conditional_interactions_are_shown_as_plain_ones(client):
    value = uuid4().hex
    resource = {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": value}],
    }
    criteria = f"identifier={SYSTEM}|{value}"
    made = client.post("Patient", json=resource, headers={"If-None-Exist": criteria}).json()
    client.put(f"Patient?{criteria}", json=resource)
    operations = [{"op": "add", "path": "/active", "value": True}]
    headers = {"Content-Type": "application/json-patch+json"}
    client.patch(f"Patient?{criteria}", json=operations, headers=headers)
    client.delete(f"Patient?{criteria}")
    plain = f"Patient/{made['id']}"
    requests = [entry["request"] for entry in entries(client, f"{plain}/_history")]
    assert [(item["method"], item["url"]) for item in reversed(requests)] == [
        ("POST", "Patient"),
        ("PUT", plain),
        ("PATCH", plain),
        ("DELETE", plain),
    ]
    assert all(item.keys() == {"method", "url"} for item in requests)


@pytest.mark.rule(154, "http#history")
def test_a_conditional_update_that_created_is_shown_as_a_create(client):
    value = uuid4().hex
    resource = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": value}]}
    made = client.put(f"Patient?identifier={SYSTEM}|{value}", json=resource).json()
    (entry,) = entries(client, f"Patient/{made['id']}/_history")
    assert entry["request"] == {"method": "POST", "url": "Patient"}


@pytest.mark.rule(155, "http#history")
def test_a_type_and_the_system_have_histories(client, lived):
    other = client.post("Patient", json={"resourceType": "Patient"}).json()
    of_type = entries(client, "Basic/_history", _count=5)
    assert {entry["fullUrl"].split("/")[-2] for entry in of_type} == {"Basic"}
    assert [entry["fullUrl"].split("/")[-1] for entry in of_type] == [lived] * 5
    of_system = entries(client, "_history", _count=6)
    assert of_system[0]["resource"] == other
    assert [entry["fullUrl"].split("/")[-1] for entry in of_system[1:]] == [lived] * 5


@pytest.mark.rule(156, "http#history")
def test_since_takes_versions_at_or_after_it(client, lived):
    third = last_updated(client, lived, 3)
    listed = entries(client, f"Basic/{lived}/_history", _since=third)
    assert etags(listed) == ['W/"5"', 'W/"4"', 'W/"3"']
    later = datetime.fromisoformat(third) + timedelta(milliseconds=1)
    listed = entries(client, f"Basic/{lived}/_history", _since=later.isoformat())
    assert etags(listed) == ['W/"5"', 'W/"4"']
    assert etags(entries(client, "Basic/_history", _since=third, _count=100))[:3] == [
        'W/"5"',
        'W/"4"',
        'W/"3"',
    ]


@pytest.mark.rule(156, "http#history")
def test_since_is_a_moment_whatever_its_zone(client, lived):
    third = datetime.fromisoformat(last_updated(client, lived, 3))
    moved = (third.replace(tzinfo=None) + timedelta(hours=5, minutes=30)).isoformat() + "+05:30"
    assert len(entries(client, f"Basic/{lived}/_history", _since=moved)) == 3


@pytest.mark.rule(156, "http#history")
def test_since_the_future_there_is_nothing(client, lived):
    bundle = client.get(f"Basic/{lived}/_history", params={"_since": "2199-01-01T00:00:00Z"}).json()
    assert bundle["total"] == 0
    assert "entry" not in bundle


@pytest.mark.rule(157, "http#history")
@pytest.mark.parametrize(
    "since",
    [
        "2026-03-01T00:00:00",
        "2026-03-01",
        "2026",
        "yesterday",
        "2026-13-45T00:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T00:00:00 01:00",
        "ge2026-03-01T00:00:00Z",
        "99999999999999999999",
    ],
)
def test_since_without_a_zone_or_no_instant_is_400(client, lived, since):
    answer = client.get(f"Basic/{lived}/_history", params={"_since": since})
    assert answer.status_code == 400
    assert "_since" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.rule(158, "http#history")
def test_at_takes_the_version_that_was_current_then(client, lived):
    for number in (1, 2, 3, 4, 5):
        moment = last_updated(client, lived, number)
        assert etags(entries(client, f"Basic/{lived}/_history", _at=moment)) == [f'W/"{number}"']
    before = datetime.fromisoformat(last_updated(client, lived, 1)) - timedelta(milliseconds=1)
    assert entries(client, f"Basic/{lived}/_history", _at=before.isoformat()) == []


@pytest.mark.rule(158, "http#history")
def test_at_a_period_takes_every_version_that_was_current_in_it(client, lived):
    today = datetime.now(UTC).date()
    listed = entries(client, f"Basic/{lived}/_history", _at=str(today.year))
    assert len(listed) == 5
    assert entries(client, f"Basic/{lived}/_history", _at=str(today.year - 1)) == []
    assert etags(entries(client, f"Basic/{lived}/_history", _at=str(today.year + 1))) == ['W/"5"']


@pytest.mark.rule(158, "http#history")
@pytest.mark.parametrize("at", ["yesterday", "2026-13", "gt2026"])
def test_at_no_date_is_400(client, lived, at):
    assert client.get(f"Basic/{lived}/_history", params={"_at": at}).status_code == 400


@pytest.mark.rule(159, "http#history")
@pytest.mark.parametrize("count", [1, 2, 4, 5, 6])
def test_a_page_never_has_more_entries_than_asked_for(client, lived, count):
    pages = list(follow(client, f"Basic/{lived}/_history", _count=count))
    sizes = [len(page["entry"]) for page in pages]
    assert sizes == [min(count, 5 - start) for start in range(0, 5, count)]
    assert etags(entry for page in pages for entry in page["entry"]) == [
        f'W/"{number}"' for number in (5, 4, 3, 2, 1)
    ]


@pytest.mark.rule(159, "http#history")
def test_count_0_gives_the_total_only(client, lived):
    bundle = client.get(f"Basic/{lived}/_history", params={"_count": 0}).json()
    assert bundle["total"] == 5
    assert "entry" not in bundle


@pytest.mark.rule(159, "http#history")
@pytest.mark.parametrize("count", ["-1", "many", "1.5", "٣"])
def test_a_count_that_is_no_number_is_400(client, lived, count):
    assert client.get(f"Basic/{lived}/_history", params={"_count": count}).status_code == 400


@pytest.mark.rule(159, "http#history")
def test_a_huge_count_is_taken_as_the_most_that_there_can_be(client, lived):
    assert len(entries(client, f"Basic/{lived}/_history", _count="9" * 30)) == 5


@pytest.mark.rule(160, "http#history")
@pytest.mark.parametrize(
    "query",
    [
        "_count=1&_count=2",
        "_since=2026-01-01T00:00:00Z&_since=2026-01-01T00:00:00Z",
        "_at=2026&_at=2026",
    ],
)
def test_a_parameter_that_is_repeated_is_400(client, lived, query):
    assert client.get(f"Basic/{lived}/_history?{query}").status_code == 400


@pytest.mark.parametrize("query", ["_sort=_lastUpdated", "code=x", "_summary=true"])
def test_a_parameter_that_a_history_does_not_have_is_400(client, lived, query):
    assert client.get(f"Basic/{lived}/_history?{query}").status_code == 400


def test_a_page_link_that_was_changed_or_is_another_historys_is_400(client, lived):
    (first, *_) = follow(client, f"Basic/{lived}/_history", _count=1)
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert client.get(following + "A").status_code == 400
    query = urlsplit(following).query
    assert client.get(f"Basic/_history?{query}").status_code == 400
    assert client.get(f"Basic/{lived}/_history?_cursor=x").status_code == 400


@pytest.mark.rule(161, "http#history")
def test_a_deleted_resource_has_a_history_and_an_unknown_id_404(client, lived):
    client.delete(f"Basic/{lived}")
    assert len(entries(client, f"Basic/{lived}/_history")) == 6
    assert client.get("Basic/nobody/_history").status_code == 404
    assert client.get("Unknown/1/_history").status_code == 404
    assert client.get(f"Patient/{lived}/_history").status_code == 404


@pytest.mark.rule(162, "bundle#invs")
def test_total_is_the_number_of_versions_on_every_page(client, lived):
    for page in follow(client, f"Basic/{lived}/_history", _count=2):
        assert page["total"] == 5
    third = last_updated(client, lived, 3)
    page = client.get(f"Basic/{lived}/_history", params={"_since": third, "_count": 1}).json()
    assert page["total"] == 3


@pytest.mark.rule(163, "http#paging")
@pytest.mark.parametrize("path", ["Basic/_history", "_history"])
def test_pages_have_no_gap_and_no_double_while_versions_are_written(serve, path):
    client = serve()
    before = []
    for number in range(30):
        logical_id = f"page-{number % 7}"
        before.append(client.put(f"Basic/{logical_id}", json=basic(logical_id, str(number))).json())
    ended = threading.Event()

    def write():
        number = 0
        while not ended.is_set():
            number += 1
            logical_id = f"page-{number % 7}"
            client.put(f"Basic/{logical_id}", json=basic(logical_id, "later")).raise_for_status()
            client.post("Basic", json=basic("new")).raise_for_status()

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        seen = [
            entry["resource"]
            for page in follow(client, path, _count=3)
            for entry in page["entry"]
            if entry["resource"]["resourceType"] == "Basic"  # the server's own definitions beside
        ]
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    identities = [(item["id"], item["meta"]["versionId"]) for item in seen]
    assert len(set(identities)) == len(identities)
    assert [item for item in seen if item["code"]["text"] != "later" and item in before] == before[
        ::-1
    ]


def test_a_history_in_xml_has_the_same_entries(client, lived):
    answer = client.get(f"Basic/{lived}/_history", headers={"Accept": "application/fhir+xml"})
    assert answer.headers["content-type"].startswith("application/fhir+xml")
    assert answer.text.count("<entry>") == 5
    assert '<method value="DELETE"/>' in answer.text
