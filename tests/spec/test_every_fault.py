"""What is not FHIR's JSON or XML is refused with every fault that can be told apart, and the rest of it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhir_server.spec.errors import Unreadable
from fhir_server.spec.json_format import MOST_FAULTS, parse
from fhir_server.spec.xml_format import parse_xml

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


def patient(content: str) -> bytes:
    return f'<Patient xmlns="http://hl7.org/fhir">{content}</Patient>'.encode()


def refusal(read: Callable[[bytes], Any], body: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read(body)
    assert caught.value.status == 400
    return caught.value


def told(body: bytes) -> list[tuple[str, ...]]:
    """The places of an XML document's faults."""
    return [issue.expression for issue in refusal(parse_xml, body).issues]


def test_each_fault_of_a_document_is_told_and_the_rest_is_read() -> None:
    caught = refusal(
        parse_xml,
        patient(
            '<id value="a"/><nickname value="x"><deep/>text</nickname>between<name use="x"><family value="F"/></name>'
            '<x:gender xmlns:x="urn:x" value="male"/><birthDate value=""/>'
            '<multipleBirthInteger value="two"/>'
        ),
    )
    assert [issue.expression for issue in caught.issues] == [
        ("Patient",),
        ("Patient",),
        ("Patient.name[0]",),
        ("Patient",),
        ("Patient.birthDate",),
        ("Patient.multipleBirth",),
    ]
    assert caught.remainder == {
        "resourceType": "Patient",
        "id": "a",
        "name": [{"family": "F"}],
        "multipleBirthInteger": "two",
    }


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ('<active/><birthDate/>', ["Patient.active", "Patient.birthDate"]),
        ('<active id=""/>', ["Patient.active"]),
        ("<name><nickname/></name>", ["Patient.name[0]"]),
        ("<contained><Foo><id/></Foo></contained><name/>", ["Patient.contained[0]", "Patient.name[0]"]),
        ("<contained><Basic/><Basic/><Basic/></contained>", ["Patient.contained[0]"] * 2),
        ('<active value="true"/><active value="false"><extension/></active><name/>', ["Patient", "Patient.name[0]"]),
        ('<gender value="male"/><id value="a"/><active value="true"/><name/>', ["Patient", "Patient.name[0]"]),
        (f'<text><status value="generated"/>{DIV}<p xmlns="urn:x"><b/></p><q xmlns="urn:y"/></div></text><name/>',
         ["Patient.text.div", "Patient.name[0]"]),
    ],
)  # fmt: skip
def test_a_fault_is_told_once(content: str, places: list[str]) -> None:
    assert told(patient(content)) == [(place,) for place in places]


def test_what_is_there_again_is_passed_over_and_what_is_late_is_kept() -> None:
    body = patient('<gender value="male"/><gender value="female"/><active value="true"/>')
    caught = refusal(parse_xml, body)
    assert ["again" in issue.diagnostics for issue in caught.issues] == [True, False]
    assert caught.remainder == {"resourceType": "Patient", "gender": "male", "active": True}


def test_a_document_that_ends_early_or_is_no_resource_leaves_nothing() -> None:
    broken = patient("<nickname/><name>")
    caught = refusal(parse_xml, broken)
    assert caught.remainder is None
    assert ["not XML" in issue.diagnostics for issue in caught.issues] == [False, True]
    assert refusal(parse_xml, b'<Foo xmlns="http://hl7.org/fhir"/>').remainder is None


def test_the_faults_that_are_told_are_bounded() -> None:
    assert len(told(patient("<nickname/>" * 10_000))) == MOST_FAULTS
    assert refusal(parse_xml, patient("<nickname/>" * 10_000)).remainder is None


def test_each_fault_of_json_is_told() -> None:
    caught = refusal(parse, b'\xef\xbb\xbf{"a": {"b": 1, "b": 2}, "c": 3, "c": 4}')
    assert [
        word
        for word, issue in zip(("mark", "'b'", "'c'"), caught.issues, strict=True)
        if word in issue.diagnostics
    ] == ["mark", "'b'", "'c'"]
    assert caught.remainder == {"a": {"b": 2}, "c": 4}


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"a": NaN, "b": 1, "b": 2}', 2),
        (b'{"a": 1e99999999999999999999, "b": "\\u0000", "c": ["\\ud800"]}', 3),
        (b'{"a": 1, "a": 2' , 1),
        (b'{"a": 1, "a": ' + b"[" * 200 + b"]" * 200 + b"}", 2),
    ],
)  # fmt: skip
def test_json_without_a_value_to_rely_on_leaves_nothing(body: bytes, count: int) -> None:
    caught = refusal(parse, body)
    assert caught.remainder is None
    assert len(caught.issues) == count
