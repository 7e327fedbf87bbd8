"""Input that is wrong: the right refusal, nothing stored, the server goes on (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from exemplars import (
    JSON,
    SYSTEM,
    XML,
    connect,
    created,
    how_many,
    patient,
    post,
    put,
    read_raw,
    refused,
    send_raw,
    token,
    unique,
)

from tools.serving import ServerProcess

pytestmark = pytest.mark.rule(16, "http#Status-Codes")


@pytest.fixture(autouse=True)
def _goes_on(client):
    """Whatever a test sends, the server answers afterwards."""
    yield
    refused(client.get("Patient/nobody"), 404)


@pytest.fixture(scope="module")
def impatient(new_database):
    """A client of a server that waits for a body 0.3 seconds only, and reads at most 100,000 bytes of it."""
    settings = {"FHIR_BODY_TIMEOUT": "0.3", "FHIR_MAXIMUM_BODY": "100000"}
    with (
        ServerProcess(new_database(), settings=settings) as running,
        httpx.Client(base_url=running.base + "/", timeout=30) as made,
    ):
        yield made


def head(client, line, *headers):
    """The bytes of a request head to the client's server."""
    host = f"Host: {client.base_url.netloc.decode()}"
    return "\r\n".join([line, host, *headers, "", ""]).encode()


# In the place of VALUE stands what is sent; MARK is an identifier by which the test sees that nothing was stored.
IDENTIFIED = '{"resourceType":"Patient","identifier":[{"system":"SYSTEM","value":"MARK"}],VALUE}'

BODIES = {
    "NUL in a string": '"name":[{"family":"a\\u0000b"}]',
    "raw NUL in a string": '"name":[{"family":"a\x00b"}]',
    "raw control character": '"name":[{"family":"a\x01b"}]',
    "escaped control character": '"name":[{"family":"a\\u0001b"}]',
    "escape": '"name":[{"family":"a\\u001bb"}]',
    "lone high surrogate": '"name":[{"family":"\\ud800"}]',
    "lone low surrogate": '"name":[{"family":"\\udfff x"}]',
    "surrogates in the wrong order": '"name":[{"family":"\\udc00\\ud800"}]',
    "surrogate in a name": '"\\ud800":1',
    "NUL in a name": '"a\\u0000":1',
    "duplicate key": '"active":true,"active":true',
    "duplicate key below": '"name":[{"family":"a","family":"a"}]',
    "NaN": '"multipleBirthInteger":NaN',
    "Infinity": '"multipleBirthInteger":Infinity',
    "minus Infinity": '"multipleBirthInteger":-Infinity',
    "integer too large": '"multipleBirthInteger":99999999999',
    "integer of many digits": '"multipleBirthInteger":' + "9" * 5000,
    "integer with a fraction": '"multipleBirthInteger":1.0',
    "integer with an exponent": '"multipleBirthInteger":1e999999',
    "leading zero": '"multipleBirthInteger":01',
    "plus sign": '"multipleBirthInteger":+1',
    "hexadecimal": '"multipleBirthInteger":0x10',
    "integer as text": '"multipleBirthInteger":"1"',
    "exponent beyond computing": '"extension":[{"url":"u:x","valueDecimal":1e99999999999999999999}]',
    "decimal of many digits": '"extension":[{"url":"u:x","valueDecimal":0.%s}]' % ("1" * 5000),
    "decimal as text": '"extension":[{"url":"u:x","valueDecimal":"1.0"}]',
    "boolean as text": '"active":"true"',
    "boolean as number": '"active":1',
    "null": '"active":null',
    "object for a list": '"name":{"family":"a"}',
    "list for a primitive": '"active":[true]',
    "primitive for an object": '"name":["a"]',
    "empty object": '"name":[{}]',
    "empty list": '"name":[]',
    "empty string": '"name":[{"family":""}]',
    "blank string": '"name":[{"family":"  "}]',
    "date that cannot be": '"birthDate":"2026-13-45"',
    "day that cannot be": '"birthDate":"2026-02-29"',
    "year zero": '"birthDate":"0000"',
    "very long year": '"birthDate":"%s"' % ("9" * 10_000),
    "comment": '/* x */"active":true',
    "trailing comma": '"active":true,',
    "single quotes": "'active':true",
    "script in the narrative":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><script>x</script></div>"}',
    "entity in the narrative":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">&foo;</div>"}',
    "narrative that does not end":
        '"text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p></div>"}',
    "deep nesting": '"extension":' + '[{"extension":' * 10_000 + "[]" + "}]" * 10_000,
    "deep lists": '"name":' + "[" * 10_000 + "]" * 10_000,
    "deep nesting that is not closed": '"name":' + '{"a":[' * 10_000,
    "nesting just too deep": '"extension":' + '[{"url":"u:x","extension":' * 60 + "[]" + "}]" * 60,
    "base64 that is none": '"photo":[{"data":"!!!"}]',
    "contained of a type that does not exist": '"contained":[{"resourceType":"Nothing"}]',
    "contained without a type": '"contained":[{"id":"a"}]',
    "reference that is no text": '"managingOrganization":{"reference":7}',
    "__proto__": '"__proto__":{"a":1}',
}  # fmt: skip


@pytest.mark.parametrize("value", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_is_not_fhir_is_refused_and_not_stored(client, value):
    mark, logical_id = unique(), unique()
    body = (
        IDENTIFIED.replace("SYSTEM", SYSTEM).replace("MARK", mark).replace("VALUE", value).encode()
    )
    answer = post(client, body)
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)
    body = body.replace(b"{", b'{"id":"%s",' % logical_id.encode(), 1)
    again = client.put(f"Patient/{logical_id}", content=body, headers={"Content-Type": JSON})
    refused(again, answer.status_code)
    assert how_many(client, "Patient", identifier=mark) == 0
    refused(client.get(f"Patient/{logical_id}"), 404)


ENCODINGS = {
    "UTF-8 with a byte order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16LE": lambda text: text.encode("utf-16-le"),
    "UTF-16BE": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "Latin-1": lambda text: text.encode("latin-1"),
    "a byte that is never in UTF-8": lambda text: text.encode().replace(b"\xc3\xa9", b"\xff"),
    "an overlong form": lambda text: text.encode().replace(b"\xc3\xa9", b"\xc0\xaf"),
    "a surrogate in UTF-8": lambda text: text.encode().replace(b"\xc3\xa9", b"\xed\xa0\x80"),
    "a character cut off": lambda text: text.encode().replace(b"\xa9", b""),
    "NUL at the end": lambda text: text.encode() + b"\x00",
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS.keys())
@pytest.mark.parametrize("content_type", [JSON, XML])
def test_a_body_that_is_not_plain_utf_8_is_400(client, encode, content_type):
    resource = patient(name=[{"family": "é"}])
    text = json.dumps(resource, ensure_ascii=False)
    if content_type == XML:
        value = resource["identifier"][0]["value"]
        text = (
            f'<Patient xmlns="http://hl7.org/fhir"><identifier><system value="{SYSTEM}"/>'
            f'<value value="{value}"/></identifier><name><family value="é"/></name></Patient>'
        )
        if encode is ENCODINGS["UTF-8 with a byte order mark"]:
            # XML allows it, so it says nothing about the resource.
            assert post(client, encode(text), content_type=XML).status_code == 201
            return
    refused(post(client, encode(text), content_type=content_type), 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


XML_BODIES = {
    "entities that multiply":
        '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><Patient xmlns="NS"><language value="&b;"/></Patient>',
    "an external entity":
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient xmlns="NS"><language value="&a;"/></Patient>',
    "an external subset": '<!DOCTYPE Patient SYSTEM "http://example.org/x.dtd"><Patient xmlns="NS"/>',
    "deep nesting": '<Patient xmlns="NS">' + '<extension url="u:x">' * 10_000 + "</extension>" * 10_000 + "</Patient>",
    "deep nesting that is not closed": '<Patient xmlns="NS">' + "<extension>" * 10_000,
    "a character reference to NUL": '<Patient xmlns="NS"><language value="&#0;"/></Patient>',
    "a control character": '<Patient xmlns="NS"><language value="\x01"/></Patient>',
    "a reference to a surrogate": '<Patient xmlns="NS"><language value="&#xD800;"/></Patient>',
    "an undefined entity": '<Patient xmlns="NS"><language value="&nbsp;"/></Patient>',
    "an attribute twice": '<Patient xmlns="NS"><active value="true" value="true"/></Patient>',
    "text": '<Patient xmlns="NS">text</Patient>',
    "an unknown attribute": '<Patient xmlns="NS"><active value="true" x="1"/></Patient>',
    "an unknown element": '<Patient xmlns="NS"><nickname value="x"/></Patient>',
    "the wrong order": '<Patient xmlns="NS"><gender value="male"/><active value="true"/></Patient>',
    "another encoding declared": '<?xml version="1.0" encoding="utf-16"?><Patient xmlns="NS"/>',
    "XML 1.1": '<?xml version="1.1"?><Patient xmlns="NS"><language value="&#1;"/></Patient>',
    "an empty element": '<Patient xmlns="NS"><name/></Patient>',
}  # fmt: skip


@pytest.mark.parametrize("body", XML_BODIES.values(), ids=XML_BODIES.keys())
def test_xml_that_is_not_fhir_is_400(client, body):
    refused(post(client, body.replace("NS", "http://hl7.org/fhir"), content_type=XML), 400)


NUMBERS = [
    "99999999999999999999",
    "-18446744073709551616",
    "9" * 100,
    "1e999999",
    "-1e999999",
    "1e-999999",
    "1E+400",
    "123456789012345678901234567890.5",
    "0." + "0" * 90 + "1",
]


@pytest.mark.parametrize("digits", NUMBERS)
@pytest.mark.parametrize("place", ["extension", "quantity", "probability"])
def test_a_decimal_of_any_size_is_stored_exactly_or_refused(client, digits, place):
    """Also where it is indexed, and must fit what a database can hold."""
    mark = unique()
    identifier = f'"identifier":[{{"system":"{SYSTEM}","value":"{mark}"}}]'
    bodies = {
        "extension": ("Patient", f'"extension":[{{"url":"u:x","valueDecimal":{digits}}}]'),
        "quantity": ("Observation", f'"status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{digits}}}'),
        "probability":
            ("RiskAssessment",
             f'"status":"final","subject":{{"display":"x"}},"prediction":[{{"probabilityDecimal":{digits}}}]'),
    }  # fmt: skip
    resource_type, elements = bodies[place]
    answer = post(
        client, f'{{"resourceType":"{resource_type}",{identifier},{elements}}}', resource_type
    )
    assert answer.status_code in (201, 400, 422), answer.text
    if answer.status_code == 201:
        assert f":{digits}}}" in answer.text
        assert f":{digits}}}" in client.get(answer.headers["location"]).text
        in_xml = client.get(answer.headers["location"], headers={"Accept": XML})
        assert f'value="{digits}"' in in_xml.text
    else:
        refused(answer, answer.status_code)
        assert how_many(client, resource_type, identifier=mark) == 0


@pytest.mark.parametrize(
    "digits", [*NUMBERS, "1e99999999999999999999", "NaN", "Infinity", "1_0", "0x1", "9" * 5000]
)
def test_a_search_for_a_number_of_any_size_is_answered_or_400(client, digits):
    for query in (f"RiskAssessment?probability={digits}", f"Observation?value-quantity={digits}"):
        answer = client.get(query)
        assert answer.status_code in (200, 400), answer.text


PATHS = ["Patient/%00", "Patient/a%00b", "%00", "Patient%00", "Patient/1/_history/%00", "Patient/1/%00", "$%00",
         "Patient/1/_history/1%00", "Patient/%ED%A0%80", "Patient/%", "Patient/%zz", "Patient/%C3%28",
         "Patient/..%00/metadata", "Patient/" + "a" * 50_000, "Patient/" + "a/" * 2_000]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_path_with_nul_or_nonsense_is_refused(client, method, path):
    body = json.dumps(patient(id="1")).encode() if method in ("POST", "PUT", "PATCH") else b""
    request = head(
        client, f"{method} /fhir/{path} HTTP/1.1", f"Content-Type: {JSON}", f"Content-Length: {len(body)}"
    )  # fmt: skip
    answer = send_raw(client, request + body, method)
    assert answer.status in ((204,) if method == "OPTIONS" else (400, 404, 405))
    if method not in ("HEAD", "OPTIONS"):
        assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


QUERIES = ["name=%00", "%00=x", "name=a%00b", "_id=%00", "_format=%00", "_pretty=%00", "_elements=%00",
           "identifier=%00|%00", "_sort=%00", "_include=%00", "_count=%00", "name=%FF", "name=%ED%A0%80",
           "identifier=a%00"]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "path", ["Patient", "Patient/1", "", "_history", "metadata", "Patient/1/_history"]
)
def test_a_query_with_nul_or_no_utf_8_is_400(client, path, query):
    refused(client.get(f"{path}?{query}"), 400)


@pytest.mark.parametrize("query", QUERIES)
def test_a_form_with_nul_or_no_utf_8_is_400(client, query):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(client.post("Patient/_search", content=query, headers=form), 400)


def test_a_query_of_raw_bytes_is_read_as_utf_8_or_400(client):
    family = "é" + unique()
    created(client, patient(name=[{"family": family}]))
    line = b"GET /fhir/Patient?_summary=count&family=" + family.encode() + b" HTTP/1.1\r\n"
    rest = head(client, "")[2:]
    answer = send_raw(client, line + rest, "GET")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert json.loads(answer.body)["total"] == 1
    answer = send_raw(client, b"GET /fhir/Patient?family=\xe2\x80 HTTP/1.1\r\n" + rest, "GET")
    assert answer.status == 400
    answer = send_raw(client, b"GET /fhir/Patient/\xc3\xa9 HTTP/1.1\r\n" + rest, "GET")
    assert answer.status in (400, 404)
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


def test_an_encoded_form_of_the_base_is_no_way_round_it(client):
    answer = client.get(client.base_url.copy_with(raw_path=b"/%66hir/Patient/1"))
    assert answer.status_code == 404


@pytest.mark.rule(44, 45, "http#Status-Codes")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "Patient/" + "a" * 65, 400),
        ("GET", "Patient/" + "a" * 65, 404),
        ("DELETE", "Patient/" + "a" * 65, 404),
        ("PATCH", "Patient/" + "a" * 65, 404),
        ("PUT", "Patient/a_b", 400),
        ("PUT", "Nothing/1", 404),
        ("POST", "Nothing", 404),
        ("DELETE", "Nothing/1", 404),
        ("PATCH", "Nothing/1", 404),
        ("POST", "Practitioner", 400),
        ("PUT", "Practitioner/1", 400),
    ],
)
def test_a_wrong_type_or_id_in_the_path_is_refused(client, method, path, status):
    resource = patient(id=path.rpartition("/")[2])
    answer = client.request(method, path, json=resource)
    refused(answer, status)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


def test_two_thousand_headers_are_431(client):
    lines = [f"X-{number}: x" for number in range(2000)]
    answer = send_raw(client, head(client, "GET /fhir/metadata HTTP/1.1", *lines), "GET")
    assert answer.status == 431
    assert json.loads(answer.body)["issue"][0]["code"] == "too-long"


@pytest.mark.parametrize("size", [40_000, 120_000, 2_000_000])
def test_a_header_that_is_too_long_is_refused(client, size):
    request = head(client, "GET /fhir/metadata HTTP/1.1", "X-Long: " + "x" * size)
    with connect(client) as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            return  # it was not even read to its end
        answer = read_raw(connection, "GET")
    assert answer.status in (0, 400, 431)


def test_a_url_that_is_too_long_is_414(client):
    refused(client.get("Patient?name=" + "x" * 60_001), 414, "too-long")
    line = "GET /fhir/Patient?name=" + "x" * 65_600 + " HTTP/1.1"
    answer = send_raw(client, head(client, line), "GET")
    assert answer.status in (400, 414)
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("names", [1001, 5000])
def test_too_many_parameters_are_refused(client, names):
    refused(client.get("Patient?" + "&".join(["_id=1"] * names)), 403, "too-costly")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /fhir/metadata\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nA\x00B: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n A: folded\r\n\r\n",
        b"GET http://[::1/fhir HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(client, request_bytes):
    with connect(client) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = read_raw(connection, "GET")
    assert answer.status in (0, 400, 404, 405)
    if answer.status == 400:
        assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


def test_a_request_without_host_is_400(client):
    answer = send_raw(client, b"GET /fhir/metadata HTTP/1.1\r\n\r\n", "GET")
    assert answer.status == 400
    answer = send_raw(client, b"GET /fhir/metadata HTTP/1.0\r\n\r\n", "GET")
    assert answer.status == 200


@pytest.mark.parametrize(
    "name", ["Host", "Content-Type", "If-None-Exist", "If-Modified-Since", "X-Provenance"]
)
def test_a_header_that_can_be_there_once_only_is_400_when_it_is_there_twice(client, name):
    lines = [f"{name}: a", f"{name}: a"] if name != "Host" else ["Host: other"]
    answer = send_raw(client, head(client, "GET /fhir/Patient HTTP/1.1", *lines), "GET")
    assert answer.status == 400


def test_a_content_length_and_chunks_together_are_400(client):
    """A proxy in front may see another request in them than this server: smuggling."""
    lines = [f"Content-Type: {JSON}", "Content-Length: 5", "Transfer-Encoding: chunked"]
    request = head(client, "POST /fhir/Patient HTTP/1.1", *lines) + b"0\r\n\r\n"
    assert send_raw(client, request).status == 400


@pytest.mark.parametrize(
    "coding", ["gzip", "identity, chunked", "chunked, chunked", "xchunked", "chunked, gzip"]
)
def test_another_transfer_encoding_is_refused(client, coding):
    lines = [f"Content-Type: {JSON}", f"Transfer-Encoding: {coding}"]
    request = head(client, "POST /fhir/Patient HTTP/1.1", *lines) + b"0\r\n\r\n"
    assert send_raw(client, request).status in (400, 501)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
def test_a_compressed_body_is_415(client, coding):
    headers = {"Content-Encoding": coding, "Content-Type": JSON}
    refused(client.post("Patient", content=b"\x1f\x8b", headers=headers), 415)


def test_a_content_length_that_is_too_short_stores_nothing_of_the_rest(client):
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) - 1}"]
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *lines) + body)
    assert answer.status == 400
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.parametrize("sent", [0, 1, -1])
def test_a_content_length_that_is_too_long_is_408_after_a_while(impatient, sent):
    """Also when nothing at all follows the head."""
    client = impatient
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) + 10}"]
    part = body if sent == -1 else body[:sent]
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *lines) + part)
    assert answer.status == 408
    assert json.loads(answer.body)["issue"][0]["code"] == "timeout"
    assert how_many(client, "Patient", identifier=token(resource)) == 0


def test_a_client_that_goes_away_in_its_body_stores_nothing(client):
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) + 10}"]
    with connect(client) as connection:
        connection.sendall(head(client, "POST /fhir/Patient HTTP/1.1", *lines) + body)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


CHUNKED = (f"Content-Type: {JSON}", "Transfer-Encoding: chunked")


def test_a_body_in_chunks_is_read(client):
    resource = patient()
    body = json.dumps(resource).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + chunks)
    assert answer.status == 201


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"-1\r\n", b"5\r\nabc", b"FFFFFFFFFFFFFFFFF\r\n", b"1\r\nab\r\n"]
)
def test_chunks_that_are_malformed_store_nothing(client, chunks):
    resource = patient()
    body = json.dumps(resource).encode()
    good = b"%x\r\n%s\r\n" % (len(body), body)
    request = head(client, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + good + chunks
    with connect(client) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        assert read_raw(connection).status in (0, 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(17, "http#Status-Codes")
def test_chunks_without_end_are_413_at_the_limit(impatient):
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *CHUNKED))
        for _ in range(14):
            connection.sendall(chunk)
        answer = read_raw(connection)
        assert answer.status == 413
        assert json.loads(answer.body)["issue"][0]["code"] == "too-long"


@pytest.mark.rule(17, "http#Status-Codes")
def test_the_connection_goes_on_when_the_rest_of_a_refused_body_has_come(impatient):
    lines = [f"Content-Type: {JSON}", "Content-Length: 200000"]
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *lines) + b" " * 10)
        assert read_raw(connection).status == 413
        connection.sendall(b" " * 199_990)
        connection.sendall(head(impatient, "GET /fhir/Patient/nobody HTTP/1.1"))
        assert read_raw(connection, "GET").status == 404


def test_chunks_that_stop_are_408(impatient):
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + b'5\r\n{ "a"')
        assert read_raw(connection).status == 408


@pytest.mark.parametrize(
    "prefer", ["return=everything", "handling=mild", "\u00ff".encode("latin-1"), "x" * 5000]
)
def test_an_unknown_prefer_is_no_reason_to_fail(client, prefer):
    assert client.post("Patient", json=patient(), headers={"Prefer": prefer}).status_code == 201
    assert client.get("metadata", headers={"Prefer": prefer}).status_code == 200


@pytest.mark.parametrize(
    "value", [b"\xff\xfe", "\u00e9".encode(), b"x" * 20_000, b'"' * 5000, b"," * 5000]
)
@pytest.mark.parametrize(
    "name",
    ["Accept", "Content-Type", "If-Match", "If-None-Match", "If-Modified-Since", "If-None-Exist", "Prefer", "Origin",
     "X-Request-Id", "X-Provenance", "Authorization", "Accept-Encoding", "Cookie", "Expect", "Range", "Forwarded"],
)  # fmt: skip
def test_nonsense_in_a_header_is_never_a_fault(client, name, value):
    resource = patient()
    headers = [(b"Content-Type", JSON.encode())] if name != "Content-Type" else []
    headers.append((name.encode(), value))
    body = json.dumps(resource).encode()
    answer = client.post("Patient", content=body, headers=headers)
    assert answer.status_code < 500
    stored = answer.status_code == 201
    assert how_many(client, "Patient", identifier=token(resource)) == stored
    logical_id = unique()
    answer = client.put(
        f"Patient/{logical_id}", json=patient(id=logical_id), headers=[(name.encode(), value)]
    )
    assert answer.status_code < 500
    assert client.get("Patient/1", headers=[(name.encode(), value)]).status_code < 500


def test_what_was_sent_is_not_sent_back_as_a_control_character(client):
    answer = client.get("Patient?%1b%5b31m%0d%0aSet-Cookie:x=1")
    assert answer.status_code in (200, 400)
    assert "set-cookie" not in answer.headers
    assert "\x1b" not in answer.text
    refused(client.get("Nothing%0d%0aSet-Cookie:%20x=1"), 404)


def test_head_and_options_are_answered_everywhere(client):
    stored = created(client, patient())
    paths = ["", "metadata", "_history", "Patient", f"Patient/{stored['id']}", "Patient/_history", "foo/bar",
             f"Patient/{stored['id']}/_history/1", "Patient/_search", "$validate"]  # fmt: skip
    for path in paths:
        assert client.options(path).status_code in (200, 204)
        answer = client.head(path)
        assert answer.status_code in (200, 400, 404, 405)
        assert answer.content == b""
    assert put(client, stored).status_code == 200
