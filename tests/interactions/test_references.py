"""References inside a transaction (https://hl7.org/fhir/R4/http.html#trules)."""

import copy

from fhir_server.interactions.references import rewrite

NEW = {"urn:uuid:1": "Patient/9"}


def resolve(link):
    return NEW.get(link.text)


def test_reference_uri_and_narrative_are_rewritten_and_canonical_is_not():
    resource = {
        "resourceType": "ServiceRequest",
        "text": {"status": "generated", "div": '<div><a href="urn:uuid:1">x</a></div>'},
        "instantiatesCanonical": ["urn:uuid:1"],
        "instantiatesUri": ["urn:uuid:1", "urn:uuid:2"],
        "subject": {"reference": "urn:uuid:1", "display": "urn:uuid:1"},
        "extension": [{"url": "urn:uuid:1", "valueReference": {"reference": "urn:uuid:1"}}],
        "contained": [
            {"resourceType": "Patient", "link": [{"other": {"reference": "urn:uuid:1"}}]}
        ],
    }
    before = copy.deepcopy(resource)
    after = rewrite(resource, resolve)
    assert resource == before
    assert after["subject"] == {"reference": "Patient/9", "display": "urn:uuid:1"}
    assert after["instantiatesUri"] == ["Patient/9", "urn:uuid:2"]
    assert after["instantiatesCanonical"] == ["urn:uuid:1"]
    assert after["text"]["div"] == '<div><a href="Patient/9">x</a></div>'
    assert after["extension"][0]["valueReference"]["reference"] == "Patient/9"
    assert after["contained"][0]["link"][0]["other"]["reference"] == "Patient/9"


def test_a_resource_without_such_references_is_the_same_object():
    resource = {"resourceType": "Patient", "name": [{"family": "urn:uuid:1"}]}
    assert rewrite(resource, resolve) is resource


def test_nothing_is_assumed_of_the_shape():
    resource = {
        "resourceType": "Patient",
        "name": {"family": 1},
        "generalPractitioner": "urn:uuid:1",
        "odd": [None, 1],
        "contained": [{"resourceType": {}}, {}, None, {"resourceType": "Nothing"}],
    }
    assert rewrite(resource, resolve) is resource
