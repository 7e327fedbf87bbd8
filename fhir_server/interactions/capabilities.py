"""The CapabilityStatement, made from what the server promises and what it defines.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

from fhir_server import __version__
from fhir_server.interactions.call import Capabilities, Context, Policy, Result
from fhir_server.interactions.operation import Offered, Operations
from fhir_server.interactions.read import shape
from fhir_server.interactions.terminology_capabilities import terminology_facts
from fhir_server.search.custom import NOTHING, Catalogue, Custom
from fhir_server.search.parameters import SearchParameter, parameters, supported
from fhir_server.spec import errors
from fhir_server.spec.definitions import STRUCTURE, resource_types
from fhir_server.spec.json_format import serialise
from fhir_server.spec.published import own_definitions, own_urls, promised

Json = dict[str, Any]
RELEASED = "2026-11-23"


def capabilities(call: Capabilities, context: Context) -> Result:
    """200 with the CapabilityStatement (or TerminologyCapabilities), its ETag a digest of its content; 304."""
    mode = next((value for name, value in call.parameters if name == "mode"), "full")
    if mode not in ("full", "normative", "terminology"):
        raise errors.invalid(f"mode is '{mode[:64]}'; use full, normative or terminology")
    body, etag = _statement(
        mode == "terminology", context.policy, context.operations, context.catalogue()
    )
    sent = call.conditions.if_none_match
    if sent is not None and etag in [item.strip() for item in sent.split(",")]:
        return Result(304, etag=etag)
    shapes = tuple(item for item in call.parameters if item[0] in ("_summary", "_elements"))
    return Result(200, shape(body, shapes) if shapes else body, etag=etag)


@lru_cache(maxsize=8)
def _statement(
    terminology: bool,
    policy: Policy,
    operations: Operations,
    catalogue: Catalogue,
) -> tuple[bytes, str]:
    made = _terminology(policy) if terminology else statement(policy, operations, catalogue)
    body = serialise(made)
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


def _head(resource_type: str, policy: Policy) -> Json:
    facts = promised()
    return {
        "resourceType": resource_type,
        "status": "active",
        "date": RELEASED,
        "name": facts["name"],
        "title": facts["title"],
        "description": facts["description"],
        "kind": "instance",
        "software": {"name": "fhir-server", "version": __version__},
        "implementation": {"description": facts["title"], "url": policy.base_url},
    }


def _terminology(policy: Policy) -> Json:
    return _head("TerminologyCapabilities", policy) | terminology_facts()


def statement(policy: Policy, operations: Operations, catalogue: Catalogue = NOTHING) -> Json:
    """The CapabilityStatement resource."""
    facts = promised()
    every = [item for item in operations if not item.resource_types and item.levels != {"system"}]
    rest: Json = {
        "mode": "server",
        "documentation": " ".join(facts["documentation"]),
        "security": {"cors": True},
        "resource": [_resource(name, policy, operations, catalogue) for name in resource_types()],
        "interaction": [{"code": code} for code in facts["systemInteraction"]],
        "searchParam": [
            _search_parameter(item)
            for item in parameters("Basic")
            if item.code in facts["commonSearchParameters"]
        ]
        + [{"name": name, "type": "special"} for name in facts["specialSearchParameters"]],
    }
    listed = [item for item in operations if "system" in item.levels] + [
        item for item in every if "system" not in item.levels
    ]
    if listed:
        rest["operation"] = [_operation(item) for item in listed]
    return _head("CapabilityStatement", policy) | {
        "instantiates": [
            url for url, (kind, _) in own_urls().items() if kind == "CapabilityStatement"
        ],
        "fhirVersion": "4.0.1",
        "format": facts["format"],
        "patchFormat": facts["patchFormat"],
        "rest": [rest],
    }


def _resource(
    resource_type: str, policy: Policy, operations: Operations, catalogue: Catalogue
) -> Json:
    facts = promised()
    interactions = [
        code
        for code in facts["interaction"]
        if not (code == "patch" and resource_type in facts["notPatched"])
    ]
    searchable = [item for item in parameters(resource_type) if _offered(item, policy)]
    policies = [*facts["referencePolicy"], *(["enforced"] if policy.referential_integrity else [])]
    shown: Json = {
        "type": resource_type,
        "profile": STRUCTURE + resource_type,
        "interaction": [{"code": code} for code in interactions],
        "versioning": facts["versioning"],
        "readHistory": facts["readHistory"],
        "updateCreate": policy.update_create,
        "conditionalCreate": facts["conditionalCreate"],
        "conditionalRead": facts["conditionalRead"],
        "conditionalUpdate": facts["conditionalUpdate"],
        "conditionalDelete": policy.conditional_delete,
        "referencePolicy": policies,
    }
    profiles = _profiles().get(resource_type)
    if profiles:
        shown["supportedProfile"] = profiles
    includes = [f"{resource_type}:{item.code}" for item in searchable if item.type == "reference"]
    if includes:
        shown["searchInclude"] = includes
    reverse = _referrers().get(resource_type)
    if reverse:
        shown["searchRevInclude"] = reverse
    own = [item for item in searchable if item.code not in facts["commonSearchParameters"]]
    listed = [_search_parameter(item) for item in own]
    listed += [
        _search_parameter(item.parameter) | {"documentation": _told(item)}
        for item in catalogue.customs
        if item.parameter.resource_type == resource_type
    ]
    if listed:
        shown["searchParam"] = listed
    offered = [item for item in operations if resource_type in item.resource_types]
    if offered:
        shown["operation"] = [_operation(item) for item in offered]
    return shown


@lru_cache(maxsize=1)
def _profiles() -> dict[str, list[str]]:
    """Type -> the canonical urls of the profiles of it that are part of the program."""
    found: dict[str, list[str]] = {}
    for resource in own_definitions().values():
        if resource.get("derivation") == "constraint" and resource["type"] in resource_types():
            found.setdefault(resource["type"], []).append(resource["url"])
    return found


@lru_cache(maxsize=1)
def _referrers() -> dict[str, list[str]]:
    """Target type -> the source:parameter pairs that may refer to it."""
    found: dict[str, list[str]] = {}
    for source in resource_types():
        for item in parameters(source):
            if item.type == "reference" and supported(item):
                for target in resource_types() if "Resource" in item.targets else item.targets:
                    found.setdefault(target, []).append(f"{source}:{item.code}")
    return found


def _offered(item: SearchParameter, policy: Policy) -> bool:
    """Whether the parameter is searched by; named queries are listed where there are any."""
    if item.code in ("_content", "_query"):
        return item.code == "_content" and policy.content_search
    return supported(item)


def _told(item: Custom) -> str:
    """The state of a parameter of the deployment's own."""
    match item.state:
        case "ready":
            return "Ready"
        case "indexing":
            return "Being indexed: its use answers 503 until it is ready"
    return "Not indexed yet: POST $reindex"


def _search_parameter(item: SearchParameter) -> Json:
    return {"name": item.code, "definition": item.url, "type": item.type}


def _operation(item: Offered) -> Json:
    return {"name": item.code, "definition": item.definition}
