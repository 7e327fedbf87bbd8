"""Data types in JSON and XML (https://hl7.org/fhir/R4/datatypes.html), through the server and back."""

import json
import re
import uuid

import pytest
from bundles import basic, patient

JSON = "application/fhir+json"
XML = "application/fhir+xml"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def sent(client, text, resource_type="Basic", content_type=JSON):
    """The answer to a create with that very text."""
    body = text if isinstance(text, bytes) else text.encode()
    return client.post(resource_type, content=body, headers={"Content-Type": content_type})


def refused(answer, *statuses):
    assert answer.status_code in statuses, answer.text
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    return outcome["issue"][0]


def stored(client, answer, accept=JSON):
    assert answer.status_code == 201, answer.text
    return client.get(answer.headers["Location"], headers={"Accept": accept}).text


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


# Rules of datatypes.


@pytest.mark.rule(336, "datatypes#Period")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("valuePeriod", {"start": "2024-03-02", "end": "2024-03-01"}),
        ("valuePeriod", {"start": "2024-03-01T10:00:00Z", "end": "2024-03-01T10:30:00+01:00"}),
        ("valueQuantity", {"value": 1, "code": "mg"}),
        ("valueReference", {"reference": "#nobody"}),
        ("valueRange", {"low": {"value": 2}, "high": {"value": 1}}),
        ("valueAttachment", {"data": "QQ=="}),
        ("valueRatio", {"numerator": {"value": 1}}),
    ],
)
def test_a_value_that_breaks_a_rule_of_its_datatype_is_422(client, name, value):
    extension = {"url": "https://example.org/x", name: value}
    issue = refused(client.post("Basic", json=basic(extension=[extension])), 422)
    assert issue["expression"][0].startswith("Basic.extension[0].value")


@pytest.mark.rule(336, "datatypes#Period")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("valuePeriod", {"start": "2024-03-01", "end": "2024-03-01"}),
        ("valuePeriod", {"start": "2024-03-01T10:00:00+01:00", "end": "2024-03-01T09:30:00Z"}),
        ("valuePeriod", {"end": "2024"}),
        ("valueQuantity", {"value": 1, "system": "http://unitsofmeasure.org", "code": "mg"}),
        ("valueQuantity", {"value": 1, "unit": "mg"}),
    ],
)
def test_a_value_that_keeps_the_rules_of_its_datatype_is_stored(client, name, value):
    extension = {"url": "https://example.org/x", name: value}
    assert client.post("Basic", json=basic(extension=[extension])).status_code == 201


# Contained resources.


def holding(*contained, subject="#c", **elements):
    return basic(subject, contained=list(contained), **elements)


@pytest.mark.rule(337, "references#contained")
def test_a_contained_resource_is_kept_in_both_formats(client):
    resource = holding(patient(id="c", gender="female"))
    created = client.post("Basic", json=resource)
    read = json.loads(stored(client, created))
    assert (read["contained"], read["subject"]) == (resource["contained"], resource["subject"])
    back = sent(client, stored(client, created, XML), content_type=XML)
    assert json.loads(stored(client, back))["contained"] == resource["contained"]
    assert client.get("Patient/c").status_code == 404


@pytest.mark.rule(337, "domainresource#invs")
@pytest.mark.parametrize(
    "resource",
    [
        holding(patient(id="c", contained=[patient(id="d")], link=[
            {"type": "seealso", "other": {"reference": "#d"}}])),
        holding(patient(id="c"), subject="Patient/1"),
        holding(patient(id="c"), patient(id="d")),
        holding(patient(id="c", meta={"versionId": "1"})),
        holding(patient(id="c", meta={"lastUpdated": "2024-01-01T00:00:00Z"})),
        holding(patient(id="c", meta={"security": [{"code": "R"}]})),
    ],
)  # fmt: skip
def test_contained_resources_that_break_their_rules_are_422(client, resource):
    issue = refused(client.post("Basic", json=resource), 422)
    assert issue["expression"][0].startswith("Basic")


@pytest.mark.rule(337, "domainresource#invs")
def test_a_resource_without_narrative_is_only_a_warning(client):
    assert client.post("Basic", json=basic()).status_code == 201
    told = client.post("Basic/$validate", json=basic()).json()["issue"]
    assert {item["severity"] for item in told} <= {"warning", "information"}


# Narrative.


@pytest.mark.rule(338, "narrative#security")
@pytest.mark.parametrize(
    "inner",
    [
        "<script>alert(1)</script>",
        "<p onclick='alert(1)'>x</p>",
        "<p ONCLICK='alert(1)'>x</p>",
        "<form action='x'><p>x</p></form>",
        "<input type='text'/>x",
        "<iframe src='https://example.org'/>x",
        "<object data='x'/>x",
        "<style>p {}</style>x",
        "<link rel='stylesheet' href='x'/>x",
        "<base href='https://example.org'/>x",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' java&#9;script:alert(1)'>x</a>",
        "<a href='&#106;avascript:alert(1)'>x</a>",
        "<img src='data:text/html;base64,AAAA' alt='x'/>x",
        "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "<p style='background: url(javascript:alert(1))'>x</p>",
        "<p>x",
        "<p>&nbsp;&undefined;</p>",
        "",
        "   ",
        "<p> </p>",
        "<!-- x -->",
    ],
)
def test_a_narrative_that_is_unsafe_or_says_nothing_is_refused(client, inner):
    text = {"status": "generated", "div": DIV.format(inner)}
    issue = refused(client.post("Basic", json=basic(text=text)), 400, 422)
    assert issue["expression"][0].startswith("Basic.text")
    in_xml = (
        f'<Basic xmlns="http://hl7.org/fhir"><text><status value="generated"/>{DIV.format(inner)}</text>'
        '<code><text value="x"/></code></Basic>'
    )
    refused(sent(client, in_xml, content_type=XML), 400, 422)


@pytest.mark.rule(338, "narrative#security")
@pytest.mark.parametrize(
    "inner",
    [
        "<p>A &amp; B &lt; C</p>",
        "<table><tr><td style='color: red' class='x'>1</td></tr></table>",
        "<a href='https://example.org/x?a=1&amp;b=2'>x</a>",
        "<a name='x'/><a href='#x'>x</a>",
        "<img src='#c' alt='x'/>",
        "Zoë – “quoted” \U0001f600",
        "<b>bold</b> <i>and</i> <br/> more",
    ],
)
def test_a_safe_narrative_is_kept_in_both_formats(client, inner):
    div = DIV.format(inner)
    created = client.post("Basic", json=basic(text={"status": "generated", "div": div}))
    assert json.loads(stored(client, created))["text"]["div"] == div
    in_xml = stored(client, created, XML)
    back = json.loads(stored(client, sent(client, in_xml, content_type=XML)))
    assert back["text"]["div"].replace('"', "'") == div.replace('"', "'")


# Extensions.


@pytest.mark.rule(339, "extensibility#Extension")
def test_unknown_extensions_are_kept(client):
    extension = [
        {"url": "https://example.org/unknown", "valueCodeableConcept": {"text": "x"}},
        {"url": "https://example.org/nested", "extension": [{"url": "a", "valueInteger": 1}]},
    ]
    created = client.post("Basic", json=basic(extension=extension))
    assert json.loads(stored(client, created))["extension"] == extension


@pytest.mark.rule(339, "extensibility#modifierExtension")
def test_an_unknown_modifier_extension_is_kept(client):
    modifier = [{"url": "https://example.org/unknown", "valueBoolean": True}]
    created = client.post("Basic", json=basic(modifierExtension=modifier))
    assert json.loads(stored(client, created))["modifierExtension"] == modifier
    in_xml = stored(client, created, XML)
    assert '<modifierExtension url="https://example.org/unknown">' in in_xml


@pytest.mark.rule(339, "extensibility#Extension")
@pytest.mark.parametrize(
    "extension",
    [
        {"valueString": "x"},
        {"url": "https://example.org/x"},
        {"url": "https://example.org/x", "valueString": "x", "valueCode": "x"},
        {"url": "https://example.org/x", "valueString": "x", "extension": [
            {"url": "a", "valueString": "x"}]},
        {"url": "https://example.org/x", "valueNothing": "x"},
    ],
)  # fmt: skip
def test_an_extension_without_url_or_with_no_or_two_values_is_refused(client, extension):
    refused(client.post("Basic", json=basic(extension=[extension])), 400, 422)


# XML attacks.


_ROOT = '<Basic xmlns="http://hl7.org/fhir"><code><text value="{}"/></code></Basic>'
_INCLUDE = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'


@pytest.mark.rule(340, "security#6.1.0.7")
@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE Basic [<!ENTITY x "y">]>' + _ROOT.format("&x;"),
        '<!DOCTYPE Basic SYSTEM "https://example.org/x.dtd">' + _ROOT.format("x"),
        '<!DOCTYPE Basic [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + _ROOT.format("&x;"),
        '<!DOCTYPE Basic [<!ENTITY % x SYSTEM "https://example.org/x">%x;]>' + _ROOT.format("x"),
        "<!DOCTYPE Basic>" + _ROOT.format("x"),
        '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'
        + _ROOT.format("&c;&c;"),
        _ROOT.format("&undefined;"),
        _ROOT.format("x").replace("<code>", _INCLUDE + "<code>"),
    ],
)
def test_document_types_and_entities_are_refused(client, text):
    answer = sent(client, text, content_type=XML)
    issue = refused(answer, 400)
    assert "root:" not in answer.text
    assert "passwd" not in issue["diagnostics"]
    patched = text.replace("Basic", "diff")
    name = client.post("Basic", json=basic()).json()["id"]
    headers = {"Content-Type": "application/xml-patch+xml"}
    answer = client.patch(f"Basic/{name}", content=patched, headers=headers)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.rule(340, "xml")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        "<Basic/>",
        '<Basic xmlns="http://example.org"><code><text value="x"/></code></Basic>',
        '<Basic xmlns="http://hl7.org/fhir"><code><text value="x"/></code></Basic><Basic/>',
        '<Basic xmlns="http://hl7.org/fhir"><code><text value="x" colour="red"/></code></Basic>',
        '<Basic xmlns="http://hl7.org/fhir"><colour value="red"/><code><text value="x"/></code></Basic>',
        '<Basic xmlns="http://hl7.org/fhir">text<code><text value="x"/></code></Basic>',
        '<Nothing xmlns="http://hl7.org/fhir"/>',
        '<Basic xmlns="http://hl7.org/fhir">' + "<code>" * 20_000,
    ],
)
def test_what_is_no_fhir_in_xml_is_refused(client, text):
    refused(sent(client, text, content_type=XML), 400)


# Types of references.


@pytest.mark.rule(341, "references")
@pytest.mark.parametrize(
    "reference",
    [
        "Patient/1",
        "https://example.org/fhir/Patient/1",
        "Patient/1/_history/2",
    ],
)
def test_a_reference_to_a_type_that_is_not_allowed_is_422(client, reference):
    slot = {
        "resourceType": "Slot",
        "schedule": {"reference": reference},
        "status": "free",
        "start": "2026-03-01T09:00:00Z",
        "end": "2026-03-01T09:20:00Z",
    }
    issue = refused(client.post("Slot", json=slot), 422)
    assert issue["expression"] == ["Slot.schedule"]
    stated = slot | {"schedule": {"type": "Patient", "identifier": {"value": "1"}}}
    assert refused(client.post("Slot", json=stated), 422)["expression"] == ["Slot.schedule"]
    held = slot | {"contained": [patient(id="c")], "schedule": {"reference": "#c"}}
    assert refused(client.post("Slot", json=held), 422)["expression"] == ["Slot.schedule"]


@pytest.mark.rule(341, "references")
@pytest.mark.parametrize(
    "schedule",
    [
        {"reference": "Schedule/1"},
        {"reference": "https://example.org/fhir/Schedule/1"},
        {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
        {"identifier": {"value": "1"}},
        {"display": "on paper"},
    ],
)
def test_a_reference_to_an_allowed_or_unknown_type_is_stored(client, schedule):
    slot = {
        "resourceType": "Slot",
        "schedule": schedule,
        "status": "free",
        "start": "2026-03-01T09:00:00Z",
        "end": "2026-03-01T09:20:00Z",
    }
    created = client.post("Slot", json=slot)
    assert json.loads(stored(client, created))["schedule"] == schedule


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
