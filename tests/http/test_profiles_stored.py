"""Profiles, value sets and code systems stored over REST take effect at once, for writes and $validate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"


def profile(name: str, *elements: Json, of: str = "Basic", **head: Any) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "id": name,
        "url": f"https://example.org/{name}",
        "name": "Tested",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": of,
        "baseDefinition": CORE + of,
        "derivation": "constraint",
        "differential": {"element": [{"id": of, "path": of}, *elements]},
        **head,
    }


def basic(*profiles: str, **more: Any) -> Json:
    claims = {"meta": {"profile": [f"https://example.org/{name}" for name in profiles]}}
    return {
        "resourceType": "Basic",
        **(claims if profiles else {}),
        "code": {"text": "x"},
        **more,
    }


AUTHORED = {"id": "Basic.author", "path": "Basic.author", "min": 1}


@pytest.mark.rule(77, 99, "http#create")
def test_a_stored_profile_holds_from_its_commit_on(client: httpx.Client) -> None:
    resource = basic("held")
    assert client.post("Basic", json=resource).status_code == 201
    assert client.put("StructureDefinition/held", json=profile("held", AUTHORED)).status_code == 201
    refused = client.post("Basic", json=resource)
    assert refused.status_code == 422
    (issue,) = refused.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("required", ["Basic.author"])
    assert "https://example.org/held" in issue["diagnostics"]
    good = basic("held", author={"display": "Jo"})
    assert client.post("Basic", json=good).status_code == 201
    assert client.put("StructureDefinition/held", json=profile("held")).status_code == 200
    assert client.post("Basic", json=resource).status_code == 201
    assert client.put("StructureDefinition/held", json=profile("held", AUTHORED)).status_code == 200
    assert client.post("Basic", json=resource).status_code == 422
    assert client.delete("StructureDefinition/held").status_code in (200, 204)
    assert client.post("Basic", json=resource).status_code == 201


def test_every_worker_knows_a_profile_after_its_commit(serve: Callable[..., httpx.Client]) -> None:
    client = serve(workers=2)
    for round_number in range(8):
        made = profile("all", *([AUTHORED] if round_number % 2 else []))
        assert client.put("StructureDefinition/all", json=made).status_code in (200, 201)
        expected = 422 if round_number % 2 else 201
        for _ in range(4):
            # A connection of its own may reach the other worker.
            answer = client.post("Basic", json=basic("all"), headers={"Connection": "close"})
            assert answer.status_code == expected


def test_a_profile_and_what_claims_it_may_come_in_one_transaction(client: httpx.Client) -> None:
    def transaction(name: str, resource: Json) -> int:
        entries = [
            {
                "resource": profile(name, AUTHORED),
                "request": {"method": "PUT", "url": f"StructureDefinition/{name}"},
            },
            {"resource": resource, "request": {"method": "PUT", "url": f"Basic/{name}"}},
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return client.post("", json=bundle).status_code

    assert (
        transaction("together", basic("together", id="together", author={"display": "Jo"})) == 200
    )
    assert transaction("apart", basic("apart", id="apart")) in (200, 422)
    assert client.get("StructureDefinition/together").status_code == 200


@pytest.mark.parametrize(
    ("element", "says"),
    [
        ({"path": "Basic.nothing", "min": 1}, "no element of the base"),
        ({"path": "Basic.code", "min": 0, "max": "2"}, "do not raise it"),
        ({"path": "Basic.author", "type": [{"code": "string"}]}, "does not allow"),
        (
            {"path": "Basic.author", "constraint": [
                {"key": "a-1", "severity": "error", "human": "x", "expression": "((("}]},
            "cannot be read",
        ),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_is_refused_with_the_reason(
    client: httpx.Client, element: Json, says: str
) -> None:
    refused = client.put(
        "StructureDefinition/bad", json=profile("bad", {"id": element["path"], **element})
    )
    assert refused.status_code == 422
    texts = [issue["diagnostics"] for issue in refused.json()["issue"]]
    assert any(says in text for text in texts), texts
    places = [place for issue in refused.json()["issue"] for place in issue["expression"]]
    assert "StructureDefinition.differential.element[1]" in places


def test_a_profile_whose_base_is_not_here_yet_is_kept(client: httpx.Client) -> None:
    early = profile("early", AUTHORED, baseDefinition="https://example.org/late")
    assert client.put("StructureDefinition/early", json=early).status_code in (200, 201)
    assert client.post("Basic", json=basic("early")).status_code == 201
    created = {"id": "Basic.created", "path": "Basic.created", "min": 1}
    assert client.put("StructureDefinition/late", json=profile("late", created)).status_code in (
        200,
        201,
    )
    refused = client.post("Basic", json=basic("early"))
    assert sorted(issue["expression"][0] for issue in refused.json()["issue"]) == [
        "Basic.author",
        "Basic.created",
    ]


def test_stored_value_sets_and_code_systems_hold_for_bindings(client: httpx.Client) -> None:
    system = "https://example.org/colours"
    value_set = {"resourceType": "ValueSet", "id": "colours", "url": "https://example.org/vs/colours",
                 "status": "active", "compose": {"include": [{"system": system}]}}  # fmt: skip
    codes = {"resourceType": "CodeSystem", "id": "colours", "url": system, "status": "active",
             "content": "complete", "concept": [{"code": "red"}]}  # fmt: skip
    binding = {"strength": "required", "valueSet": "https://example.org/vs/colours"}
    bound = profile("bound", {"id": "Basic.code", "path": "Basic.code", "binding": binding})
    for item in (value_set, codes, bound):
        assert client.put(f"{item['resourceType']}/{item['id']}", json=item).status_code in (
            200,
            201,
        )

    def status(code: str) -> int:
        coded = {"coding": [{"system": system, "code": code}]}
        return client.post("Basic", json=basic("bound", code=coded)).status_code

    assert status("red") == 201
    assert status("blue") == 422
    codes["concept"].append({"code": "blue"})
    assert client.put("CodeSystem/colours", json=codes).status_code == 200
    assert status("blue") == 201


def test_a_stored_extension_definition_holds_for_extensions(client: httpx.Client) -> None:
    made = profile(
        "rank",
        {"id": "Extension.url", "path": "Extension.url", "fixedUri": "https://example.org/rank"},
        {
            "id": "Extension.value[x]",
            "path": "Extension.value[x]",
            "type": [{"code": "positiveInt"}],
        },
        of="Extension",
        kind="complex-type",
        context=[{"type": "element", "expression": "Basic"}],
    )
    extended = basic(extension=[{"url": "https://example.org/rank", "valueString": "first"}])
    assert client.post("Basic", json=extended).status_code == 201
    assert client.put("StructureDefinition/rank", json=made).status_code in (200, 201)
    refused = client.post("Basic", json=extended)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Basic.extension[0].value.ofType(string)"]


def parameters(**given: Any) -> Json:
    listed = [
        {
            "name": name,
            **(value if isinstance(value, dict) and "valueUri" in value else {"resource": value}),
        }
        for name, value in given.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


def issues(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(issue["severity"], issue["code"]) for issue in answer.json()["issue"]]


@pytest.mark.rule(316, 317, "resource-operation-validate#root")
def test_validate_takes_the_profile_from_the_url_and_from_parameters(client: httpx.Client) -> None:
    url = "https://example.org/asked"
    assert client.put("StructureDefinition/asked", json=profile("asked", AUTHORED)).status_code in (
        200,
        201,
    )
    resource = basic()
    plain = client.post("Basic/$validate", json=resource)
    assert issues(plain) == [("information", "informational")]
    by_url = client.post("Basic/$validate", params={"profile": url}, json=resource)
    assert issues(by_url) == [("error", "required")]
    body = parameters(resource=resource, profile={"valueUri": url})
    assert issues(client.post("Basic/$validate", json=body)) == [("error", "required")]
    stored = client.post("Basic", json=resource).json()
    instance = client.get(f"Basic/{stored['id']}/$validate", params={"profile": url})
    assert issues(instance) == [("error", "required")]


@pytest.mark.rule(318, "resource-operation-validate#root")
def test_validate_never_calls_a_resource_valid_under_an_unknown_profile(
    client: httpx.Client,
) -> None:
    answer = client.post(
        "Basic/$validate", params={"profile": "https://example.org/none"}, json=basic()
    )
    if answer.status_code == 200:
        assert ("error", "not-found") in issues(answer)
    else:
        assert 400 <= answer.status_code < 500


def test_validate_warns_of_unknown_claims_and_extensions(client: httpx.Client) -> None:
    resource = basic(
        "nowhere", extension=[{"url": "https://example.org/unknown", "valueString": "x"}]
    )
    assert issues(client.post("Basic/$validate", json=resource)) == [
        ("warning", "not-found"),
        ("warning", "extension"),
    ]
    assert client.post("Basic", json=resource).status_code == 201


@pytest.mark.rule(77, "http#create")
def test_profiles_named_in_the_settings_hold_for_their_type(
    serve: Callable[..., httpx.Client],
) -> None:
    client = serve(profiles="Basic=https://example.org/default")
    assert (
        client.post("Basic", json={"resourceType": "Basic", "code": {"text": "x"}}).status_code
        == 201
    )
    assert (
        client.put("StructureDefinition/default", json=profile("default", AUTHORED)).status_code
        == 201
    )
    assert (
        client.post("Basic", json={"resourceType": "Basic", "code": {"text": "x"}}).status_code
        == 422
    )


def test_validate_warns_of_identifiers_that_cannot_be_right_and_writes_keep_them(
    client: httpx.Client,
) -> None:
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765918"}],
        "address": [{"postalCode": "LS1"}],
    }
    told = client.post("Patient/$validate", json=patient).json()["issue"]
    warned = {
        item["expression"][0]: item["diagnostics"]
        for item in told
        if item["severity"] == "warning" and item["code"] == "value"
    }
    assert warned.keys() == {"Patient.identifier[0].value", "Patient.address[0].postalCode"}
    assert not any("9434765918" in text or "LS1" in text for text in warned.values())
    assert client.post("Patient", json=patient).status_code == 201
