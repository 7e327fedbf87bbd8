"""A body that is not FHIR is 400 with all that is wrong with it (https://hl7.org/fhir/R4/http.html#rejecting-updates)."""

from __future__ import annotations

import httpx
import pytest

XML = {"Content-Type": "application/fhir+xml"}
JSON = {"Content-Type": "application/fhir+json"}


def refusal(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 400, answer.text
    return [(issue["code"], issue.get("expression", [""])[0]) for issue in answer.json()["issue"]]


@pytest.mark.parametrize("path", ["Organization", "Organization/$validate"])
def test_faults_of_xml_and_of_rules_are_told_together(client: httpx.Client, path: str) -> None:
    body = (
        '<Organization xmlns="http://hl7.org/fhir"><nickname/>text<active value="maybe"/>'
        '<telecom><system value="x"/></telecom></Organization>'
    )
    assert refusal(client.post(path, content=body, headers=XML)) == [
        ("structure", "Organization"),
        ("structure", "Organization"),
        ("structure", "Organization.active"),
        ("code-invalid", "Organization.telecom[0].system"),
    ]


def test_faults_of_json_and_of_rules_are_told_together(client: httpx.Client) -> None:
    body = b'\xef\xbb\xbf{"resourceType":"Organization","active":1,"active":1,"nickname":"x"}'
    assert refusal(client.post("Organization", content=body, headers=JSON)) == [
        ("structure", ""),
        ("structure", ""),
        ("structure", "Organization.nickname"),
        ("value", "Organization.active"),
    ]


def test_a_patch_is_held_to_no_rules_of_resources(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json-patch+json"}
    body = b'{"resourceType":"Organization","nickname":"x","nickname":"y"}'
    assert refusal(client.patch("Organization/1", content=body, headers=headers)) == [
        ("structure", "")
    ]
