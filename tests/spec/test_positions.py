"""Lines and columns of elements in JSON and XML files."""

from __future__ import annotations

import pytest

from fhir_server.spec.positions import Positions

JSON = b"""{
  "resourceType": "Patient",
  "name": [
    {"family": "A, \\"b\\"", "given": ["C", "D"]},
    {"_family": {"extension": [
      {"url": "x", "valueCode": "y"}]}}
  ],
  "deceasedBoolean": false,
  "contained": [[], {"id": 1e3}]
}"""
XML = b"""<?xml version="1.0"?>
<Bundle xmlns="http://hl7.org/fhir">
  <entry>
    <resource>
      <Patient><active value="true"/>
        <name><given value="A"/><given value="B"/></name>
      </Patient>
    </resource>
  </entry>
  <entry/>
</Bundle>"""


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("Patient", (1, 1)),
        ("Patient.name", (4, 5)),
        ("Patient.name[0]", (4, 5)),
        ("Patient.name[0].given[1]", (4, 43)),
        ("Patient.name[1].family.extension[0].value.ofType(code)", (6, 20)),
        ("Patient.deceased.ofType(boolean)", (8, 3)),
        ("Patient.contained[1].id", (9, 22)),
        ("Patient.birthDate", (1, 1)),
        ("Patient.name[1].given[0]", (5, 5)),
    ],
)
def test_an_element_of_json_has_its_line_and_column(
    expression: str, position: tuple[int, int]
) -> None:
    assert Positions(JSON, xml=False).of(expression) == position


@pytest.mark.parametrize(
    ("expression", "position"),
    [
        ("Bundle", (2, 1)),
        ("Bundle.entry[1]", (10, 3)),
        ("Bundle.entry[0].resource.active", (5, 16)),
        ("Bundle.entry[0].resource.name[0].given[1]", (6, 33)),
        ("Bundle.entry[0].resource.birthDate", (4, 5)),
    ],
)
def test_an_element_of_xml_has_its_line_and_column(
    expression: str, position: tuple[int, int]
) -> None:
    assert Positions(XML, xml=True).of(expression) == position
