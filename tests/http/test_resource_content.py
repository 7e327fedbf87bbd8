"""Rules of datatypes, contained resources, narrative, extensions and references (https://hl7.org/fhir/R4/domainresource.html)."""

import json

import pytest
from bundles import basic, patient
from texts import DIV, XML, refused, sent, stored

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
