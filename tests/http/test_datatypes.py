"""Data types in JSON and XML (https://hl7.org/fhir/R4/datatypes.html), through the server and back."""

import json
import re
import uuid

import pytest
from bundles import patient
from texts import JSON, XML, refused, sent, stored


def extended(value, name="valueDecimal"):
    """A Basic in JSON whose extension has that literal value."""
    extension = f'{{"url":"https://example.org/x","{name}":{value}}}'
    return f'{{"resourceType":"Basic","extension":[{extension}],"code":{{"text":"x"}}}}'


def extended_xml(value, name="valueDecimal"):
    return (
        '<Basic xmlns="http://hl7.org/fhir"><extension url="https://example.org/x">'
        f'<{name} value="{value}"/></extension><code><text value="x"/></code></Basic>'
    )


# Emptiness.


@pytest.mark.rule(327, "json#null")
@pytest.mark.parametrize("value", ["null", '""', "[]", "{}"])
@pytest.mark.parametrize(
    "where",
    [
        '"gender":{}',
        '"name":{}',
        '"name":[{}]',
        '"name":[{{"family":{}}}]',
        '"name":[{{"given":{}}}]',
        '"name":[{{"given":["a",{}]}}]',
        '"maritalStatus":{}',
        '"extension":[{{"url":"https://example.org/x","valueString":{}}}]',
        '"contained":[{}]',
    ],
)
def test_an_empty_value_is_refused(client, where, value):
    text = '{"resourceType":"Patient",' + where.format(value) + "}"
    issue = refused(sent(client, text, "Patient"), 400)
    assert issue["expression"][0].startswith("Patient.")


@pytest.mark.rule(327, "xml")
@pytest.mark.parametrize(
    "inner",
    ["<gender/>", '<gender value=""/>', "<name/>", "<name><family/></name>", "<contained/>"],
)
def test_an_empty_element_is_refused(client, inner):
    text = f'<Patient xmlns="http://hl7.org/fhir">{inner}</Patient>'
    refused(sent(client, text, "Patient", XML), 400)


# Decimals.

DECIMALS = [
    "1.00",
    "1E-7",
    "1e-7",
    "0.10",
    "-0.000",
    "100000000000000000000.5",
    "1.000000000000000000000000000001",
    "1E+22",
    "0",
    "-1",
    "123456789012345678",
    "0.1",
]


@pytest.mark.rule(328, "datatypes#decimal")
@pytest.mark.parametrize("digits", DECIMALS)
def test_a_decimal_comes_back_digit_by_digit_in_both_formats(client, digits):
    from_json = sent(client, extended(digits))
    from_xml = sent(client, extended_xml(digits), content_type=XML)
    for answer in (from_json, from_xml):
        assert f'"valueDecimal":{digits}}}' in stored(client, answer)
        assert f'<valueDecimal value="{digits}"/>' in stored(client, answer, XML)
        pretty = client.get(answer.headers["Location"], params={"_pretty": "true"}).text
        assert re.search(rf'"valueDecimal": {re.escape(digits)}\n', pretty)


@pytest.mark.rule(328, "datatypes#decimal")
def test_a_decimal_keeps_its_digits_through_update_patch_search_history_and_transaction(client):
    name = uuid.uuid4().hex
    text = extended("1.10").replace('"Basic",', f'"Basic","id":"{name}",')
    headers = {"Content-Type": JSON}
    assert client.put(f"Basic/{name}", content=text, headers=headers).status_code == 201
    document = [{"op": "add", "path": "/code/coding", "value": [{"code": "c"}]}]
    answer = client.patch(
        f"Basic/{name}",
        content=json.dumps(document),
        headers={"Content-Type": "application/json-patch+json"},
    )
    assert '"valueDecimal":1.10}' in answer.text
    assert '"valueDecimal":1.10}' in client.get(f"Basic?_id={name}").text
    assert client.get(f"Basic/{name}/_history").text.count('"valueDecimal":1.10}') == 2
    assert '"valueDecimal":1.10}' in client.get(f"Basic/{name}?_elements=extension").text
    whole = (
        '{"resourceType":"Bundle","type":"transaction","entry":[{"resource":'
        + extended("2.50")
        + ',"request":{"method":"POST","url":"Basic"}}]}'
    )
    assert '"valueDecimal":2.50}' in client.post("", content=whole, headers=headers).text


@pytest.mark.rule(328, 329, "json")
@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "01", "+1", ".5", "1.", "0x10", "1e", '"1.0"', "true", "1_000", "1" * 5000],
)
def test_what_is_no_decimal_is_refused(client, literal):
    answer = sent(client, extended(literal))
    if answer.status_code == 201:  # a number of any length is a number
        assert literal in stored(client, answer)
        assert literal.isdigit()
        return
    refused(answer, 400)


@pytest.mark.rule(328, "datatypes#decimal")
def test_a_number_beyond_what_a_float_can_hold_never_fails_the_server(client):
    for literal in ["1E400", "-1E400", "1E-400", "9" * 400, "1E999999999"]:
        measured = (
            '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
            f'"valueQuantity":{{"value":{literal}}}}}'
        )
        for resource_type, text in [("Basic", extended(literal)), ("Observation", measured)]:
            answer = sent(client, text, resource_type)
            assert answer.status_code in (201, 400, 422), answer.text
            if answer.status_code == 201:
                assert literal in stored(client, answer)


# Kinds of JSON values.


@pytest.mark.rule(329, "json#primitive")
@pytest.mark.parametrize(
    "member",
    [
        '"active":"true"',
        '"active":1',
        '"multipleBirthInteger":"2"',
        '"multipleBirthInteger":2.0',
        '"multipleBirthInteger":2.5',
        '"multipleBirthInteger":1e0',
        '"multipleBirthInteger":2147483648',
        '"gender":1',
        '"birthDate":20200101',
        '"birthDate":["2020-01-01"]',
        '"name":{"family":"x"}',
        '"name":["x"]',
        '"maritalStatus":[{"text":"x"}]',
        '"maritalStatus":"M"',
        '"id":7',
    ],
)
def test_a_value_of_another_kind_is_refused(client, member):
    text = '{"resourceType":"Patient",' + member + "}"
    issue = refused(sent(client, text, "Patient"), 400)
    assert issue["expression"][0].startswith("Patient.")


# Extensions of primitives.


@pytest.mark.rule(330, "json#primitive")
def test_ids_and_extensions_of_primitives_are_kept_in_both_formats(client):
    extension = [{"url": "https://example.org/x", "valueString": "y"}]
    resource = patient(
        birthDate="1970-03-30",
        _birthDate={"id": "b", "extension": extension},
        _gender={"extension": extension},
        name=[
            {
                "given": ["Anna", None, "Maria"],
                "_given": [None, {"extension": extension}, {"id": "m"}],
            }
        ],
    )
    created = client.post("Patient", json=resource)
    read = json.loads(stored(client, created))
    assert {name: read[name] for name in resource} == resource
    in_xml = stored(client, created, XML)
    assert '<birthDate id="b" value="1970-03-30"><extension' in in_xml
    back = sent(client, in_xml, "Patient", XML)
    again = json.loads(stored(client, back))
    assert {name: again[name] for name in resource} == resource


@pytest.mark.rule(330, "json#primitive")
@pytest.mark.parametrize(
    "name",
    [
        {"given": ["a", "b"], "_given": [None]},
        {"given": ["a"], "_given": [{"id": "x"}, {"id": "y"}]},
        {"given": ["a", None], "_given": [{"id": "x"}, None]},
        {"given": [None], "_given": [None]},
        {"family": "x", "_family": {"value": "y"}},
        {"family": "x", "_family": "y"},
        {"_text": {}},
        {"_unknown": {"id": "x"}},
    ],
)
def test_siblings_that_do_not_fit_are_refused(client, name):
    issue = refused(client.post("Patient", json=patient(name=[name])), 400)
    assert issue["expression"][0].startswith("Patient.name[0]")


# The forms of strings.


@pytest.mark.rule(331, "datatypes#primitive")
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("valueId", ["a", "A-1.b", "x" * 64], ["", "a b", "a_b", "x" * 65, "ä", "a/b"]),
        ("valueUuid", [f"urn:uuid:{uuid.uuid4()}"],
         [f"urn:uuid:{uuid.uuid4()}".upper(), str(uuid.uuid4()), "urn:uuid:1"]),
        ("valueOid", ["urn:oid:1.2.840"], ["1.2.840", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1."]),
        ("valueCode", ["a", "a b", "+"], [" a", "a ", "a  b", "a\u0001b"]),
        ("valueUri", ["https://example.org/a", "urn:x", "a"], ["a b", " a", "a\n", "a\u0001b"]),
        ("valueString", ["x", " x ", "a\nb", "a\tb", "\U0001f600", "e\u0301"],
         [" ", "\t\n", "a\u0001b", "a\u001fb", "a\u000bb", "a\ufffe"]),
        ("valueBase64Binary", ["AAAA", "QQ==", "QUE="], ["A", "AAA", "Q===", "%%%%"]),
        ("valueMarkdown", ["# x\n\n* y"], [" ", "a\u0008"]),
    ],
)  # fmt: skip
def test_a_string_type_takes_what_its_form_allows(client, name, right, wrong):
    for text in right:
        answer = sent(client, extended(json.dumps(text), name))
        assert json.loads(stored(client, answer))["extension"][0][name] == text, text
        in_xml = stored(client, answer, XML)
        back = sent(client, in_xml, content_type=XML)
        assert json.loads(stored(client, back))["extension"][0][name] == text, text
    for text in wrong:
        issue = refused(sent(client, extended(json.dumps(text), name)), 400)
        assert issue["expression"][0].startswith("Basic.extension[0].value"), text


@pytest.mark.rule(331, "datatypes#integer")
@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("valueInteger", ["0", "-1", "2147483647", "-2147483648"], ["2147483648", "-2147483649", "1.0"]),
        ("valueUnsignedInt", ["0", "2147483647"], ["-1", "2147483648"]),
        ("valuePositiveInt", ["1"], ["0", "-1"]),
        ("valueBoolean", ["true", "false"], ["1", '"true"', "True"]),
    ],
)  # fmt: skip
def test_whole_numbers_keep_to_their_ranges(client, name, right, wrong):
    for text in right:
        assert f'"{name}":{text}}}' in stored(client, sent(client, extended(text, name)))
    for text in wrong:
        refused(sent(client, extended(text, name)), 400)


# Times.

TIMES = {
    "valueDateTime": (
        [
            "2024",
            "2024-02",
            "2024-02-29",
            "2024-02-29T10:00:00Z",
            "2024-02-29T10:00:00.5+01:00",
            "2024-02-29T10:00:00.123456789Z",
            "2024-02-29T10:00:00.000-00:00",
            "2024-12-31T23:59:60Z",
            "2016-12-31T23:59:60.250+14:00",
            "0001-01-01",
            "9999-12-31T23:59:59-12:00",
            "2024-02-29T00:00:00+14:00",
        ],
        [
            "2024-02-29T10:00Z",
            "2024-02-29T10:00:00",
            "2024-02-29T10",
            "2024-02-29T24:00:00Z",
            "2024-02-29T10:60:00Z",
            "2024-02-29T10:00:61Z",
            "2024-02-29T10:00:00.Z",
            "2024-02-29T10:00:00+14:01",
            "2024-02-29T10:00:00+15:00",
            "2024-02-29T10:00:00z",
            "2024-02-29 10:00:00Z",
            "2026-02-30",
            "2023-02-29",
            "2026-13-45",
            "2026-00-01",
            "2024-2-9",
            "0000",
            "0000-01-01",
            "24",
            "20240229",
            " 2024",
            "2024-W09",
        ],
    ),
    "valueInstant": (
        ["2024-02-29T10:00:00Z", "2024-02-29T10:00:00.001+05:30", "2016-12-31T23:59:60Z"],
        ["2024", "2024-02-29", "2024-02-29T10:00Z", "2024-02-29T10:00:00", "2026-02-30T10:00:00Z"],
    ),
    "valueDate": (
        ["2024", "2024-02", "2024-02-29"],
        ["2024-02-30", "2024-13", "0000", "2024-02-29T10:00:00Z", "2024-02-29Z"],
    ),
    "valueTime": (
        ["10:00:00", "23:59:60", "10:00:00.123"],
        ["10:00", "24:00:00", "10:00:00Z", "1:00:00"],
    ),
}


@pytest.mark.rule(332, 333, 335, "datatypes#dateTime")
@pytest.mark.parametrize(("name", "text"), [(n, text) for n in TIMES for text in TIMES[n][0]])
def test_a_time_comes_back_as_it_was_sent_in_both_formats(client, name, text):
    answer = sent(client, extended(f'"{text}"', name))
    assert f'"{name}":"{text}"}}' in stored(client, answer)
    in_xml = stored(client, answer, XML)
    assert f'<{name} value="{text}"/>' in in_xml
    back = sent(client, in_xml, content_type=XML)
    assert f'"{name}":"{text}"}}' in stored(client, back)


@pytest.mark.rule(332, 333, 334, "datatypes#dateTime")
@pytest.mark.parametrize(("name", "text"), [(n, text) for n in TIMES for text in TIMES[n][1]])
def test_what_is_no_such_time_is_refused_in_both_formats(client, name, text):
    issue = refused(sent(client, extended(f'"{text}"', name)), 400)
    assert issue["expression"][0].startswith("Basic.extension[0].value")
    refused(sent(client, extended_xml(text, name), content_type=XML), 400)


@pytest.mark.rule(335, "datatypes#dateTime")
def test_a_time_that_is_searched_by_still_comes_back_as_sent(client):
    name = uuid.uuid4().hex
    slot = {
        "resourceType": "Slot",
        "schedule": {"reference": "Schedule/1"},
        "status": "free",
        "start": "2026-03-01T09:00:00.500+05:30",
        "end": "2027-12-31T23:59:60Z",
        "comment": name,
    }
    created = client.post("Slot", json=slot)
    assert created.status_code == 201, created.text
    logical_id = created.json()["id"]
    found = client.get("Slot", params={"_id": logical_id, "start": "2026-03-01T03:30:00.5Z"})
    resource = found.json()["entry"][0]["resource"]
    assert (resource["start"], resource["end"]) == (slot["start"], slot["end"])


# Whole resources.


def test_the_order_of_elements_is_kept_in_json_and_canonical_in_xml(client):
    resource = {
        "resourceType": "Patient",
        "gender": "female",
        "birthDate": "1970",
        "active": True,
        "identifier": [{"value": "1", "system": "https://example.org"}],
    }
    created = client.post("Patient", json=resource)
    keys = list(json.loads(stored(client, created)))
    assert keys == ["resourceType", "id", "meta", "gender", "birthDate", "active", "identifier"]
    in_xml = stored(client, created, XML)
    places = [in_xml.index(f"<{name}") for name in ("identifier", "active", "gender", "birthDate")]
    assert places == sorted(places)
    assert in_xml.index("<system") < in_xml.index('<value value="1"')
