"""XML Patch, RFC 5261 (https://hl7.org/fhir/R4/http.html#patch)."""

from __future__ import annotations

import contextlib
import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from third_party import DATA

from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.xml_patch import MAXIMUM_OPERATIONS, apply_xml_patch, patch_document
from fhir_server.spec.xml_selector import parse_selector

SUITE = DATA / "patch" / "xml-patch-tests.xml"
XHTML = "http://www.w3.org/1999/xhtml"
DIV = f"<div xmlns='{XHTML}'><p></p>&#233;&nbsp;<b>a</b> b</div>"
OTHER = f'<div xmlns="{XHTML}"><br></br></div>'
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": DIV},
    "contained": [
        {"resourceType": "Basic", "id": "b", "text": {"status": "generated", "div": OTHER}}
    ],
    "identifier": [{"system": "urn:1", "value": "1"}, {"system": "urn:2", "value": "2"}],
    "active": True,
    "name": [{"use": "official", "family": "F"}, {"use": "usual", "given": ["G", "H"]}],
    "birthDate": "1970-01-01",
}


def diff(operations: str, root: str = 'diff xmlns="http://hl7.org/fhir"') -> bytes:
    return f"<{root}>{operations}</{root.split()[0]}>".encode()


def patched(operations: str, **changes: Any) -> None:
    """What the operations make of the patient is the patient with these changes."""
    before = copy.deepcopy(PATIENT)
    result = apply_xml_patch(PATIENT, diff(operations))
    assert before == PATIENT
    expected = {**PATIENT, **changes}
    assert result == {name: item for name, item in expected.items() if item is not None}


def refusal(status: int, body: bytes, resource: dict[str, Any] = PATIENT) -> str:
    with pytest.raises(FhirError) as caught:
        apply_xml_patch(resource, body)
    assert caught.value.status == status
    return caught.value.issues[0].diagnostics


def shape(element: etree._Element) -> Any:
    """An element without the white space around elements and without namespace declarations."""
    texts = [(element.text or "").strip(), *((child.tail or "").strip() for child in element)]
    tag = element.tag if isinstance(element.tag, str) else "comment"
    return tag, dict(element.attrib), texts, [shape(child) for child in element]


@pytest.mark.skipif(not SUITE.exists(), reason="the suite is not here")
def test_the_suite_passes() -> None:
    passed = 0
    for case in etree.parse(SUITE).getroot().iter("case"):
        name = case.get("name")
        target = list(case.find("target").iterchildren(tag=etree.Element))
        patch = etree.tostring(case.find("{http://hl7.org/fhir}patch"), with_tail=False)
        if not target:
            continue  # there always is a resource to patch
        root = copy.deepcopy(target[0])
        if case.find("error") is not None:
            with pytest.raises(FhirError):
                patch_document(root, patch)
        else:
            patch_document(root, patch)
            assert shape(root) == shape(case.find("patched")[0]), name
        passed += 1
    assert passed == 28


def test_replace_of_a_value() -> None:
    patched('<replace sel="f:Patient/f:active/@value">false</replace>', active=False)
    patched('<replace sel="/Patient/birthDate/@value">1971</replace>', birthDate="1971")


def test_remove_of_an_element_an_attribute_and_by_predicates() -> None:
    patched('<remove sel="f:Patient/f:birthDate"/>', birthDate=None)
    patched('<remove sel="*/f:identifier[1]" ws="both"/>', identifier=PATIENT["identifier"][1:])
    patched(
        """<remove sel="f:Patient/f:identifier[f:system/@value='urn:1']"/>""",
        identifier=PATIENT["identifier"][1:],
    )
    patched(
        """<remove sel='f:Patient/f:name[ f:use/@value = "usual" ]/f:given[@value="G"][1]'/>""",
        name=[PATIENT["name"][0], {"use": "usual", "given": ["H"]}],
    )


def test_add_of_children_beside_and_of_attributes() -> None:
    patched(
        '<add sel="f:Patient/f:active" pos="after"><name><text value="T"/></name></add>',
        name=[{"text": "T"}, *PATIENT["name"]],
    )
    patched(
        '<add sel="f:Patient/f:name[2]" pos="before">\n <name><text value="T"/></name>\n </add>',
        name=[PATIENT["name"][0], {"text": "T"}, PATIENT["name"][1]],
    )
    patched(
        '<add sel="f:Patient/f:name[2]"><given value="I"/><suffix value="J"/></add>',
        name=[PATIENT["name"][0], {"use": "usual", "given": ["G", "H", "I"], "suffix": ["J"]}],
    )
    patched(
        '<add sel="f:Patient" pos="prepend"><x:id xmlns:x="http://hl7.org/fhir" value="z"/></add>'
        '<remove sel="f:Patient/f:id[2]"/>',
        id="z",
    )
    patched('<add sel="f:Patient/f:birthDate" type="@id">x</add>', _birthDate={"id": "x"})
    patched('<add sel="f:Patient" type="namespace::p">urn:p</add>')


def test_a_narrative_can_be_patched_and_the_others_keep_their_source() -> None:
    patched(
        f'<replace sel="f:Patient/f:text/h:div/h:b/text()">c</replace>'
        f'<add sel="f:Patient/f:text/h:div/h:b" pos="after">x<i xmlns="{XHTML}">y</i>z</add>'
        f'<remove sel="f:Patient/f:text/h:div/text()[1]"/>',
        text={
            "status": "generated",
            "div": f'<div xmlns="{XHTML}"><p/><b>c</b>x<i>y</i>z b</div>',
        },
    )
    patched(
        '<add sel="f:Patient/f:text/h:div" pos="prepend"><!-- c --></add>',
        text={
            "status": "generated",
            "div": f'<div xmlns="{XHTML}"><!-- c --><p/>é\u00a0<b>a</b> b</div>',
        },
    )


def test_a_narrative_that_comes_with_prefixes_is_written_without() -> None:
    patched(
        f'<replace sel="f:Patient/f:text/h:div"><x:div xmlns:x="{XHTML}"><x:p>q</x:p></x:div></replace>',
        text={"status": "generated", "div": f'<div xmlns="{XHTML}"><p>q</p></div>'},
    )


@pytest.mark.parametrize(
    "root",
    [
        'diff xmlns:f="http://hl7.org/fhir"',
        "diff",
        "patch",
        'p:patch xmlns:p="urn:ietf:rfc:7351" xmlns="http://hl7.org/fhir"',
    ],
)
def test_every_usual_document_element_is_taken(root: str) -> None:
    prefix = "p:" if root.startswith("p:") else ""
    body = diff(f'<{prefix}remove sel="f:Patient/birthDate"/>', root)
    assert "birthDate" not in apply_xml_patch(PATIENT, body)


def test_declared_prefixes_are_used() -> None:
    assert "finds nothing" in refusal(422, diff('<remove sel="f:Patient" xmlns:f="urn:x"/>'))
    body = diff('<remove sel="x:Patient/x:active" xmlns:x="http://hl7.org/fhir"/>')
    assert "active" not in apply_xml_patch(PATIENT, body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not XML"),
        (b"<diff>", "not XML"),
        (b"<!DOCTYPE diff [<!ENTITY a 'b'>]><diff>&a;</diff>", "document type"),
        (diff("").decode().encode("utf-16"), "not UTF-8"),
        (b"<changes/>", "element diff or patch"),
        (b"<diff/>", "no operations"),
        (b"<diff><!-- nothing --></diff>", "no operations"),
        (diff('<move sel="f:Patient"/>'), "[0]"),
        (diff('<x:remove xmlns:x="urn:x" sel="f:Patient"/>'), "[0]"),
        (diff('<remove sel="f:Patient/f:active"/><remove/>'), "[1]"),
        (diff('<remove select="f:Patient"/>'), "attribute select"),
        (diff('<remove sel="f:Patient/f:active" pos="after"/>'), "attribute pos"),
        (diff('<add sel="f:Patient" pos="inside"/>'), "inside"),
        (diff('<remove sel="f:Patient/f:active" ws="all"/>'), "ws"),
        (diff('<add sel="f:Patient" type="id">x</add>'), "type"),
        (diff('<add sel="f:Patient" type="@">x</add>'), "type"),
        (diff('<add sel="f:Patient" type="@x y">x</add>'), "type"),
        (diff('<add sel="f:Patient" type="@q:x">x</add>'), "type"),
        (diff('<add sel="f:Patient" type="@id"><id/></add>'), "no elements"),
        (diff('<remove sel="q:Patient"/>'), "prefix q"),
        (diff('<remove sel="//f:active"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient//f:active"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient/"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient/f:name[last()]"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient/f:name[0]"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient/f:name[count(//*)>1]"/>'), "cannot be read"),
        (diff("<remove sel=\"id('a')\"/>"), "cannot be read"),
        (diff('<remove sel="f:Patient/../f:active"/>'), "cannot be read"),
        (diff('<remove sel="f:Patient/f:active/@value/x"/>'), "has a step behind"),
        (diff(f'<remove sel="{"f:a/" * 1000}f:b"/>'), "longer"),
        (diff('<remove sel="f:Patient/f:id"/>' * (MAXIMUM_OPERATIONS + 1)), "1001 operations"),
    ],
)
def test_what_is_no_patch_document_is_400(body: bytes, said: str) -> None:
    assert said in refusal(400, body)


@pytest.mark.parametrize(
    "operation",
    [
        '<remove sel="f:Patient/f:gender"/>',
        '<remove sel="f:Patient/f:name"/>',
        '<remove sel="f:Patient/f:name[3]"/>',
        '<remove sel="f:Patient/f:active/@id"/>',
        '<remove sel="f:Patient/f:active/text()"/>',
        '<remove sel="f:Patient/comment()"/>',
        "<remove sel=\"f:Patient/processing-instruction('x')\"/>",
        '<remove sel="f:Patient/namespace::f"/>',
        '<remove sel="f:Observation"/>',
        '<remove sel="f:Patient"/>',
        '<replace sel="f:Patient"><Patient/></replace>',
        '<add sel="f:Patient" pos="after"><Patient/></add>',
        '<add sel="f:Patient/f:active/@value"><x/></add>',
        '<add sel="f:Patient/f:active/@value" pos="before"><x/></add>',
        '<add sel="f:Patient/f:active" type="@value">true</add>',
        '<replace sel="f:Patient/f:active"><active value="true"/><active value="true"/></replace>',
        '<replace sel="f:Patient/f:active">text</replace>',
        '<replace sel="f:Patient/f:active"><!-- comment --></replace>',
        '<replace sel="f:Patient/f:active/@value"><x/></replace>',
    ],
)
def test_an_operation_that_fails_is_422_and_is_named(operation: str) -> None:
    first = '<replace sel="f:Patient/f:active/@value">false</replace>'
    assert refusal(422, diff(first + operation)).startswith("Operation [1] (")


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ('<add sel="f:Patient"><id value="x"/></add>', "there again"),
        ('<add sel="f:Patient"><nothing value="x"/></add>', "nothing"),
        ('<replace sel="f:Patient/f:active/@value">yes</replace>', "true or false"),
        ('<remove sel="f:Patient/f:active/@value"/>', "no value"),
        ('<add sel="f:Patient">text</add>', "text"),
        ('<add sel="f:Patient/f:name[1]"><x:y xmlns:x="urn:x"/></add>', "urn:x"),
    ],
)
def test_a_result_that_is_not_fhir_is_422(operation: str, said: str) -> None:
    message = refusal(422, diff(operation))
    assert message.startswith("The patched resource is not valid: ")
    assert said in message


def test_a_resource_without_xml_form_is_422() -> None:
    body = diff('<remove sel="f:Patient/f:id"/>')
    assert "U+0001" in refusal(422, body, {"resourceType": "Patient", "id": "\x01"})


def test_decimals_keep_their_digits() -> None:
    resource = parse(
        b'{"resourceType":"Observation","valueQuantity":{"value":1.00},"component":[{"valueQuantity":{"value":5}}]}'
    )
    body = diff('<replace sel="*/f:component/f:valueQuantity/f:value/@value">2.50</replace>')
    written = serialise(apply_xml_patch(resource, body))
    assert b'"value":1.00' in written
    assert b'"value":2.50' in written


def test_a_narrative_that_was_not_xhtml_can_be_repaired() -> None:
    broken = f'<div xmlns="{XHTML}"><svg xmlns="urn:svg"/>x</div>'
    resource = {"resourceType": "Basic", "text": {"status": "generated", "div": broken}}
    body = diff("<remove sel=\"f:Basic/f:text/h:div/s:svg\" xmlns:s='urn:svg'/>")
    assert apply_xml_patch(resource, body)["text"]["div"] == f'<div xmlns="{XHTML}">x</div>'


@pytest.mark.parametrize(
    "selector",
    [
        "f:a[" + "a" * 1990,
        "f:a[" + "a:" * 990,
        "f:a[" + "a/" * 990,
        "f:a" + "[1]" * 600,
        "a" * 1999,
    ],
)
def test_a_hostile_selector_is_read_in_linear_time(selector: str) -> None:
    begin = time.perf_counter()
    for _ in range(100):
        with contextlib.suppress(ValueError):
            parse_selector(selector, {})
    assert time.perf_counter() - begin < 1


def test_long_values_and_deep_narratives_are_patched_or_refused() -> None:
    resource = {"resourceType": "Binary", "contentType": "x", "data": "A" * 12_000_000}
    body = diff('<replace sel="f:Binary/f:contentType/@value">y</replace>')
    assert apply_xml_patch(resource, body)["contentType"] == "y"
    div = f'<div xmlns="{XHTML}">{"<b>" * 5000}x{"</b>" * 5000}</div>'
    deep = {"resourceType": "Basic", "id": "a", "text": {"status": "generated", "div": div}}
    refusal(422, diff('<remove sel="f:Basic/f:id"/>'), deep)


def test_attributes_of_the_xml_namespace_have_their_prefix() -> None:
    body = diff('<add sel="f:Patient/f:text/h:div" type="@xml:lang">en</add>')
    assert 'xml:lang="en"' in apply_xml_patch(PATIENT, body)["text"]["div"]


def test_many_selectors_over_many_nodes_are_bounded() -> None:
    names = [{"given": ["x"] * 50} for _ in range(200)]
    resource = {"resourceType": "Patient", "id": "a", "name": names}
    body = diff("""<remove sel="*/*/*[@value='y']"/>""" * 900)
    begin = time.perf_counter()
    refusal(422, body, resource)
    work = '<replace sel="*/f:id/@value">b</replace>' * 1000
    assert "more than" in refusal(422, diff(work), {**resource, "name": [{"text": "x"}] * 2000})
    assert time.perf_counter() - begin < 5


NAMES = ["f:Patient", "*", "f:name", "f:name[1]", "f:name[f:use/@value='usual']", "f:active"]
INNER = [
    "f:text",
    "h:div",
    "h:b",
    "text()",
    "text()[2]",
    "comment()",
    "@value",
    "f:birthDate",
    "[1]",
]
STEPS = st.sampled_from([*NAMES, *INNER])
CONTENT = st.sampled_from(
    ["", "text", '<birthDate value="1971"/>', "<!-- c -->", f'<p xmlns="{XHTML}">a<i/>b</p>c', " "]
)
OPERATIONS = st.builds(
    lambda name, steps, attributes, content: (
        f'<{name} sel="{"/".join(steps)}" {attributes}>{content}</{name}>'
    ),
    st.sampled_from(["add", "replace", "remove"]),
    st.lists(STEPS, min_size=1, max_size=4).map(lambda steps: ["f:Patient", *steps]),
    st.sampled_from(
        ["", 'pos="before"', 'pos="after"', 'pos="prepend"', 'type="@id"', 'ws="both"']
    ),
    CONTENT,
)


@given(st.lists(OPERATIONS, min_size=1, max_size=4))
def test_any_patch_gives_a_resource_or_a_refusal(operations: list[str]) -> None:
    try:
        result = apply_xml_patch(PATIENT, diff("".join(operations)))
    except FhirError as error:
        status = error.status
    else:
        status = 200
        assert result["resourceType"] == "Patient"
    assert status in (200, 400, 422)
