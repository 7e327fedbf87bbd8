"""Binary as a resource and as its content (https://hl7.org/fhir/R4/binary.html#rest)."""

import base64

import pytest

CONTENT = b"%PDF-1.7\x00\xff\xfe raw \r\n\n bytes" * 50


def create(client, content=CONTENT, content_type="application/pdf"):
    answer = client.post("Binary", content=content, headers={"Content-Type": content_type})
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


@pytest.mark.rule(342, "binary#rest")
@pytest.mark.parametrize("accept", ["application/pdf", "application/*;q=0.1, application/pdf"])
def test_a_native_accept_gets_the_content_with_its_type(client, accept):
    location = create(client).partition("/_history")[0]
    for url in (location, f"{location}/_history/1"):
        answer = client.get(url, headers={"Accept": accept})
        if accept == "application/pdf":
            assert answer.content == CONTENT
            assert answer.headers["Content-Type"] == "application/pdf"
        assert answer.status_code == 200
        assert answer.headers["ETag"] == 'W/"1"'
        assert "Last-Modified" in answer.headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.rule(342, "binary#rest")
@pytest.mark.parametrize(
    "accept", ["application/fhir+json", "application/json", "*/*", None, "application/fhir+xml"]
)
def test_a_fhir_accept_gets_the_resource(client, accept):
    location = create(client)
    headers = {} if accept is None else {"Accept": accept}
    answer = client.get(location, headers=headers)
    data = base64.b64encode(CONTENT).decode()
    if accept == "application/fhir+xml":
        assert f'<data value="{data}"/>' in answer.text
        assert answer.headers["Content-Type"].startswith("application/fhir+xml")
    else:
        resource = answer.json()
        assert (resource["contentType"], resource["data"]) == ("application/pdf", data)


@pytest.mark.rule(342, "binary#rest")
def test_format_wins_over_a_native_accept(client):
    location = create(client)
    answer = client.get(f"{location}?_format=json", headers={"Accept": "application/pdf"})
    assert answer.json()["resourceType"] == "Binary"


@pytest.mark.rule(342, "binary#rest")
def test_head_of_the_content_has_its_length_and_no_body(client):
    answer = client.head(create(client), headers={"Accept": "application/pdf"})
    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.content == b""


@pytest.mark.rule(342, "binary#rest")
def test_another_native_accept_is_406(client):
    answer = client.get(create(client), headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.rule(342, "binary#rest")
def test_content_is_replaced_by_put_and_created_as_a_resource_too(client):
    resource = {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}
    created = client.post("Binary", json=resource)
    logical_id = created.json()["id"]
    headers = {"Content-Type": "text/plain;charset=utf-8"}
    answer = client.put(f"Binary/{logical_id}", content=b"b", headers=headers)
    assert answer.status_code == 200
    raw = client.get(f"Binary/{logical_id}", headers={"Accept": "text/plain"})
    assert raw.content == b"b"
    assert raw.headers["ETag"] == 'W/"2"'
    first = client.get(f"Binary/{logical_id}/_history/1", headers={"Accept": "text/plain"})
    assert first.content == b"a"


@pytest.mark.rule(342, "binary#rest")
def test_a_conditional_read_of_the_content_is_304(client):
    headers = {"Accept": "application/pdf", "If-None-Match": 'W/"1"'}
    answer = client.get(create(client), headers=headers)
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.rule(342, "binary#rest")
def test_content_that_a_browser_would_run_is_a_download(client):
    location = create(client, b"<script>alert(1)</script>", "text/html")
    answer = client.get(location, headers={"Accept": "text/html"})
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.rule(342, "binary#rest")
def test_what_is_no_content_is_refused(client):
    empty = client.post("Binary", content=b"", headers={"Content-Type": "application/pdf"})
    assert empty.status_code == 400
    nameless = client.post("Binary", content=b"x", headers={"Content-Type": "pdf"})
    assert nameless.status_code == 415
    untyped = client.post("Binary", json={"resourceType": "Binary", "data": "YQ=="})
    assert untyped.status_code in (400, 422)
    for method, path in [("GET", "Binary/nobody"), ("HEAD", "Binary/nobody")]:
        answer = client.request(method, path, headers={"Accept": "application/pdf"})
        assert answer.status_code == 404


def test_a_binary_without_data_has_no_content(client):
    created = client.post("Binary", json={"resourceType": "Binary", "contentType": "text/plain"})
    assert created.status_code == 201, created.text
    answer = client.get(created.headers["Location"], headers={"Accept": "text/plain"})
    assert (answer.status_code, answer.content) == (200, b"")
