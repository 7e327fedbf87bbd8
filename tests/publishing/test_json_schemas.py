"""The JSON Schemas say what the validator says, as far as a schema can (https://json-schema.org/draft/2020-12/)."""

from __future__ import annotations

import json
import re
from functools import cache
from random import Random

import pytest
from jsonschema import Draft202012Validator

from fhir_server.server import validator_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.published import folder
from fhir_server.validation.schemas.documents import Schemas, own_profiles
from tests.validation import random_resources

PROFILES = own_profiles()
STRUCTURAL = {"structure", "required", "value", "code-invalid", "invalid"}
# What a schema does not say: see docs/definitions.md.
LEFT_OUT = re.compile(
    r"\.contained\b|refers to|align them with null|a language tag|a media type|a currency code|a UCUM unit"
)


@pytest.fixture(scope="module")
def validator():
    return validator_of(Settings())


@pytest.fixture(scope="module")
def schemas(validator):
    return Schemas(validator.library)


@cache
def schema(schemas, name):
    document = schemas.document(name, f"http://localhost/schemas/{name}.json")
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


def example(name):
    """The example of a profile."""
    for file in (folder("profiles") / "examples").glob("*.json"):
        resource = parse(file.read_bytes())
        if PROFILES[name]["url"] in resource.get("meta", {}).get("profile", ()):
            return resource
    raise AssertionError(name)


def damaged(resource, times, random):
    for _ in range(times):
        resource = random_resources.damage(resource, random)
        if not isinstance(resource, dict):
            return None
    return resource


def samples(name):
    """Good and damaged resources of a profile's type."""
    kind = PROFILES[name]["type"]
    for seed in range(150):
        random = Random(f"{name} {seed}")
        whole = example(name) if seed % 3 else random_resources.resource(kind, random)
        made = damaged(whole, random.randrange(3), random)
        if made is not None and made.get("resourceType") == kind:
            yield made


def verdicts(resource, kind, validator, of_schema, profiles=()):
    """The resource as text, whether the schema takes it, and the errors of the validator."""
    text = serialise(resource)
    issues = validator.explain(parse(text), resource_type=kind, profiles=profiles)
    errors = [item for item in issues if item.severity in ("error", "fatal")]
    return text, of_schema.is_valid(json.loads(text)), errors


def structural(errors):
    return [
        item.diagnostics
        for item in errors
        if item.code in STRUCTURAL and not LEFT_OUT.search(f"{item.expression} {item.diagnostics}")
    ]


@pytest.mark.parametrize("name", PROFILES)
def test_schema_and_validator_agree_on_what_is_structure(name, validator, schemas):
    of_schema = schema(schemas, name)
    kind, url = PROFILES[name]["type"], PROFILES[name]["url"]
    taken = refused = 0
    for resource in samples(name):
        text, good, errors = verdicts(resource, kind, validator, of_schema, (url,))
        if good:
            taken += 1
            assert structural(errors) == [], text
        else:
            refused += 1
            assert errors, text
    assert taken > 10
    assert refused > 30


@pytest.mark.parametrize("kind", ["Observation", "Task", "Communication", "Questionnaire"])
def test_the_schemas_of_other_types_agree_as_well(kind, validator, schemas):
    of_schema = schema(schemas, kind)
    for seed in range(40):
        random = Random(f"{kind} {seed}")
        made = damaged(random_resources.resource(kind, random), random.randrange(3), random)
        if made is None or made.get("resourceType") != kind:
            continue
        text, good, errors = verdicts(made, kind, validator, of_schema)
        assert structural(errors) == [] if good else errors, text


@pytest.mark.parametrize("name", PROFILES)
def test_the_example_of_a_profile_is_taken(name, schemas):
    plain = json.loads(serialise(example(name)))
    assert list(schema(schemas, name).iter_errors(plain)) == []


PATHWAY = "https://fhir-server.example.org/StructureDefinition/referral-pathway-start"


@pytest.mark.parametrize(
    "change",
    [
        {"priority": "stat"},
        {"priority": None},
        {"category": [{"text": "other"}]},
        {"performer": []},
        {"performer": [{"reference": f"HealthcareService/{number}"} for number in range(21)]},
        {"performr": []},
        {"subject": [{"reference": "Patient/1"}]},
        {"authoredOn": "2026-02-30"},
        {"intent": "plan"},
        {"extension": [{"url": PATHWAY, "valueString": "soon"}]},
        {"extension": [{"url": PATHWAY, "valueInstant": "2026-01-01T00:00:00Z"}] * 2},
        {"resourceType": "Task"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_schema_refuses_what_the_profile_does_not_allow(schemas, change):
    resource = json.loads(serialise(example("referral"))) | change
    resource = {name: value for name, value in resource.items() if value is not None}
    assert not schema(schemas, "referral").is_valid(resource)


def test_each_schema_is_read_at_the_url_that_it_has_as_its_id(client, schemas):
    base = str(client.base_url).removesuffix("fhir/")
    for name in (*PROFILES, "Patient"):
        answer = client.get(f"{base}schemas/{name}.json")
        assert answer.headers["content-type"] == "application/schema+json"
        document = answer.json()
        assert document["$id"] == f"{base}schemas/{name}.json"
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        # The rest is what the other tests of this file check.
        assert document["$defs"] == schema(schemas, name).schema["$defs"]


def test_there_is_no_schema_of_what_is_neither_a_profile_nor_a_type(client):
    base = str(client.base_url).removesuffix("fhir/")
    assert client.get(f"{base}schemas/Nothing.json").status_code == 404


def test_the_openapi_document_has_the_schemas_among_its_components(client):
    base = str(client.base_url).removesuffix("fhir/")
    document = client.get(f"{base}openapi.json").json()
    listed = document["components"]["schemas"]
    assert set(PROFILES) <= set(listed)
    assert document["openapi"].startswith("3.1")
    referral = {"$ref": "#/components/schemas/referral", "components": document["components"]}
    of_schema = Draft202012Validator(referral)
    plain = json.loads(serialise(example("referral")))
    assert of_schema.is_valid(plain)
    assert not of_schema.is_valid(plain | {"priority": "stat"})
