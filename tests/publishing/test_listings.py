"""A search as NDJSON or CSV (https://hl7.org/fhir/R4/nd-json.html, https://www.rfc-editor.org/rfc/rfc4180)."""

from __future__ import annotations

import csv
import io
import json
import threading
import uuid

import httpx
import pytest
import uvicorn

from fhir_server.http.columns import columns
from fhir_server.interactions.listing import Listing
from fhir_server.server import Application
from fhir_server.settings import Settings
from fhir_server.spec import errors
from fhir_server.spec.definitions import resource_types
from tools.serving import free_port

NDJSON = {"accept": "application/fhir+ndjson"}
CSV = {"accept": "text/csv"}


def transaction(client, resources):
    entries = [
        {"resource": item, "request": {"method": "POST", "url": item["resourceType"]}}
        for item in resources
    ]
    for start in range(0, len(entries), 500):
        bundle = {"resourceType": "Bundle", "type": "transaction"}
        answer = client.post("", json=bundle | {"entry": entries[start : start + 500]})
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
def many(client):
    """A tag that 1,203 patients have, each with a family name that sorts by its number."""
    mark = uuid.uuid4().hex
    transaction(client, [
        {
            "resourceType": "Patient",
            "meta": {"tag": [{"system": "urn:test", "code": mark}]},
            "name": [{"family": f"N{number:04}"}],
        }
        for number in range(1203)
    ])  # fmt: skip
    return f"_tag=urn:test|{mark}"


def lines(answer):
    assert answer.status_code == 200, answer.text
    assert answer.text.endswith("\n")
    return [json.loads(line) for line in answer.text.splitlines()]


def table(answer):
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


@pytest.mark.parametrize("accept", ["application/fhir+ndjson", "application/x-ndjson"])
def test_ndjson_is_the_whole_result_in_its_order(client, many, accept):
    answer = client.get(f"Patient?{many}&_sort=-family", headers={"accept": accept})
    assert answer.headers["content-type"] == f"{accept};charset=utf-8"
    families = [item["name"][0]["family"] for item in lines(answer)]
    assert families == [f"N{number:04}" for number in reversed(range(1203))]


def test_the_format_can_be_asked_for_in_the_url_and_in_a_posted_search(client, many):
    assert len(lines(client.get(f"Patient?{many}&_format=ndjson"))) == 1203
    posted = client.post("Patient/_search", data=dict([many.split("=")]), headers=CSV)
    assert len(table(posted)) == 1203


def test_csv_is_the_whole_result_with_a_heading_and_the_line_ends_of_rfc_4180(client, many):
    answer = client.get(f"Patient?{many}&_sort=family&_format=csv")
    assert answer.headers["content-type"] == "text/csv;charset=utf-8;header=present"
    assert [row["name"] for row in table(answer)] == [f"N{number:04}" for number in range(1203)]
    assert answer.content.count(b"\r\n") == answer.content.count(b"\n") == 1204


def test_count_is_no_limit_of_a_list(client, many):
    assert len(lines(client.get(f"Patient?{many}&_count=5", headers=NDJSON))) == 1203


def test_elements_shape_lines_and_choose_columns(client, many):
    first = lines(client.get(f"Patient?{many}&_elements=name", headers=NDJSON))[0]
    assert set(first) == {"resourceType", "id", "meta", "name"}
    rows = table(client.get(f"Patient?{many}&_elements=gender,name", headers=CSV))
    assert list(rows[0]) == ["id", "gender", "name"]


def test_nothing_found_is_an_empty_list_and_a_heading(client):
    nothing = client.get("Patient?_id=nobody", headers=NDJSON)
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert client.get("Patient?_id=nobody", headers=CSV).text.startswith("id,nhsNumber,name,")


def test_head_has_the_head_without_a_body(client, many):
    for query in (f"Patient?{many}", "Patient?_id=nobody"):
        answer = client.head(query, headers=CSV)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/csv")


def test_what_is_included_is_told_once_in_ndjson_and_looked_up_in_csv(client):
    mark = uuid.uuid4().hex
    name = [{"given": ["Ada"], "family": "Example"}]
    client.put(f"Patient/{mark}", json={"resourceType": "Patient", "id": mark, "name": name})
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "for": {"reference": f"Patient/{mark}"},
    }
    transaction(client, [task] * 230)
    query = f"Task?patient={mark}&_include=Task:patient"
    kinds = [item["resourceType"] for item in lines(client.get(query, headers=NDJSON))]
    assert (kinds.count("Task"), kinds.count("Patient")) == (230, 1)
    rows = table(client.get(query, headers=CSV))
    assert [row["patientName"] for row in rows] == ["Ada Example"] * 230


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t="])
def test_no_cell_is_a_formula(client, start):
    mark = uuid.uuid4().hex
    text = f'{start}HYPERLINK("http://example.org", "click, here")'
    body = {"resourceType": "Organization", "id": mark, "name": text, "alias": [text]}
    client.put(f"Organization/{mark}", json=body)
    answer = client.get(f"Organization?_id={mark}&_elements=name,alias", headers=CSV)
    (row,) = table(answer)
    assert row["name"] == row["alias"] == f"'{text}"


def test_quotes_commas_lines_and_letters_come_back_as_they_were(client):
    mark = uuid.uuid4().hex
    name = 'Zoë "the", line\nbreak 私'
    client.put(
        f"Organization/{mark}", json={"resourceType": "Organization", "id": mark, "name": name}
    )
    (row,) = table(client.get(f"Organization?_id={mark}&_elements=name", headers=CSV))
    assert row["name"] == name


def test_values_are_shown_by_their_type(client):
    mark = uuid.uuid4().hex
    client.put(f"Observation/{mark}", json={
        "resourceType": "Observation",
        "id": mark,
        "status": "final",
        "identifier": [{"system": "urn:a", "value": "1"}, {"value": "2"}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "effectivePeriod": {"start": "2026-01-01", "end": "2026-01-02"},
        "valueQuantity": {"value": 60.50, "unit": "/min"},
        "subject": {"identifier": {"system": "urn:p", "value": "9"}},
        "referenceRange": [{"low": {"value": 1}}],
    })  # fmt: skip
    names = "identifier,code,effective,value,subject,referenceRange"
    (row,) = table(client.get(f"Observation?_id={mark}&_elements={names}", headers=CSV))
    assert row == {
        "id": mark,
        "identifier": "urn:a|1; 2",
        "code": "8867-4",
        "effective": "2026-01-01/2026-01-02",
        "value": "60.5 /min",
        "subject": "urn:p|9",
        "referenceRange": '{"low":{"value":1}}',
    }


def test_every_type_has_columns():
    for name in resource_types():
        assert columns(name, ())[0].name == "id"


def refused(answer, status, words):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/fhir+json;charset=utf-8"
    assert words in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_only_searches_are_listed(client, name):
    refused(client.get(f"Patient/1?_format={name}"), 406, "use json or xml")
    refused(client.get(f"_history?_format={name}"), 406, "use json or xml")
    refused(client.get(f"metadata?_format={name}"), 406, "use json or xml")
    refused(client.get(f"Patient?_summary=count&_format={name}"), 400, "count")


def test_another_format_that_was_accepted_too_is_used_where_there_are_no_lists(client):
    answer = client.get("metadata", headers={"accept": "text/csv, application/fhir+xml"})
    assert answer.headers["content-type"].startswith("application/fhir+xml")


def test_a_table_is_of_one_type_and_has_no_summary(client):
    refused(client.get("?_type=Patient,Slot", headers=CSV), 400, "one resource type")
    refused(client.get("Patient?_summary=true", headers=CSV), 400, "_elements")


def test_what_is_not_understood_is_refused_or_told_in_a_warning(client):
    strict = client.get("Patient?foo=1", headers=CSV | {"prefer": "handling=strict"})
    refused(strict, 400, "'foo'")
    lenient = client.get("Patient?foo=1&_id=nobody", headers=CSV)
    assert "'foo'" in lenient.headers["warning"]


def test_more_than_may_be_listed_is_refused_before_anything_is_told(serve):
    client = serve(maximum_listing="600")
    basics = [{"resourceType": "Basic", "code": {"text": "x"}} for _ in range(601)]
    transaction(client, basics[:600])
    assert len(lines(client.get("Basic", headers=NDJSON))) == 600
    transaction(client, basics[600:])
    refused(client.get("Basic", headers=NDJSON), 403, "at most 600")


@pytest.fixture
def in_process(tmp_path):
    """A server in this process, on SQLite; what is below HTTP is the same for both databases."""
    port = free_port()
    base = f"http://127.0.0.1:{port}/fhir"
    app = Application(Settings(database=f"sqlite:///{tmp_path}/fhir.sqlite", base_url=base))
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    transport = httpx.HTTPTransport(retries=20)
    with httpx.Client(base_url=base + "/", transport=transport) as client:
        yield client
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("headers", [NDJSON, CSV], ids=["ndjson", "csv"])
def test_a_list_that_is_broken_off_never_looks_whole(in_process, monkeypatch, headers):
    transaction(in_process, [{"resourceType": "Basic", "code": {"text": "x"}}] * 1200)
    whole = Listing.page
    pages = []

    def fail_later(self, view):
        pages.append(1)
        if len(pages) == 2:
            raise errors.unavailable("The database is away")
        return whole(self, view)

    monkeypatch.setattr(Listing, "page", fail_later)
    told: list[bytes] = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        read(in_process, headers, told)
    assert told
    assert (b"OperationOutcome" in b"".join(told)) == (headers is NDJSON)


def read(client, headers, told):
    with client.stream("GET", "Basic", headers=headers) as answer:
        for chunk in answer.iter_raw():
            told.append(chunk)
