"""The RESTful API as OpenAPI paths, from the same promises as the CapabilityStatement.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec.definitions import resource_types
from fhir_server.spec.json_format import parse, serialise

Json = dict[str, Any]

_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
}
_VERSION = {"name": "vid", "in": "path", "required": True, "schema": {"type": "string"}}
_LISTS: Json = {
    "application/fhir+ndjson": {"schema": {"type": "string"}},
    "text/csv": {"schema": {"type": "string"}},
}
_PATHS: tuple[tuple[str, str, str], ...] = (
    ("/fhir/{type}", "get", "search-type: find resources by search parameters"),
    ("/fhir/{type}", "post", "create: store a new resource (If-None-Exist: only if none matches)"),
    ("/fhir/{type}", "put", "conditional update: by search criteria"),
    ("/fhir/{type}", "patch", "conditional patch: by search criteria"),
    ("/fhir/{type}", "delete", "conditional delete: by search criteria"),
    ("/fhir/{type}/_search", "post", "search-type, with the parameters in a form"),
    ("/fhir/{type}/_history", "get", "history-type: versions of all resources of the type"),
    ("/fhir/{type}/{id}", "get", "read: the current version"),
    (
        "/fhir/{type}/{id}",
        "put",
        "update: the next version (If-Match: only on the one read), or create",
    ),
    ("/fhir/{type}/{id}", "patch", "patch: JSON Patch, XML Patch or FHIRPath Patch"),
    ("/fhir/{type}/{id}", "delete", "delete: 204, whether it was there or not"),
    ("/fhir/{type}/{id}/_history", "get", "history-instance: every version"),
    ("/fhir/{type}/{id}/_history/{vid}", "get", "vread: one version"),
    ("/fhir/{type}/$validate", "post", "$validate: what would be wrong with a resource"),
    ("/fhir", "post", "batch or transaction: a Bundle of requests"),
    ("/fhir", "get", "search-system: find resources of several types (_type)"),
    ("/fhir/_history", "get", "history-system: versions of everything"),
    ("/fhir/metadata", "get", "capabilities: what this server offers"),
)


def components(schemas: Json) -> Json:
    """Schemas of a JSON Schema document as components of an OpenAPI one."""
    moved: Json = parse(serialise(schemas).replace(b'"#/$defs/', b'"#/components/schemas/'))
    return moved


def fhir_paths() -> Json:
    """OpenAPI path items of the FHIR base."""
    kind = {
        "name": "type",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(resource_types())},
    }
    resource = {
        "application/fhir+json": {"schema": {"type": "object"}},
        "application/fhir+xml": {"schema": {"type": "string"}},
    }
    parameters = {"{type}": kind, "{id}": _ID, "{vid}": _VERSION}
    found: Json = {}
    for path, method, summary in _PATHS:
        item: Json = {
            "tags": ["FHIR"],
            "summary": summary,
            "parameters": [value for name, value in parameters.items() if name in path],
            "responses": {
                "default": {
                    "description": "A resource, a Bundle, or an OperationOutcome",
                    "content": resource,
                }
            },
        }
        if summary.startswith("search"):
            item["responses"]["200"] = {"description": "A searchset", "content": resource | _LISTS}
        if path.endswith("_search"):
            form = {"schema": {"type": "object"}}
            item["requestBody"] = {"content": {"application/x-www-form-urlencoded": form}}
        elif method in ("post", "put", "patch"):
            item["requestBody"] = {"content": resource, "required": True}
        found.setdefault(path, {})[method] = item
    return found
