"""The files that the project publishes about itself: capability/ and profiles/ (https://hl7.org/fhir/R4/conformance-module.html)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from fhir_server.spec.json_format import parse

Json = dict[str, Any]
Identity = tuple[str, str]

_PACKAGE = Path(__file__).resolve().parent.parent
# Every canonical url of ours begins so; it names the project, not a deployment.
CANONICAL_BASE = "https://fhir-server.example.org/"


def folder(name: str) -> Path:
    """capability or profiles: inside an installed package, or beside it in a checkout."""
    packed = _PACKAGE / f"_{name}"
    return packed if packed.is_dir() else _PACKAGE.parent / name


@cache
def own_definitions() -> Mapping[Identity, Json]:
    """The conformance resources that are part of the program, by (type, id)."""
    found = {}
    capability = folder("capability")
    for place in (capability / "operations", capability / "statements", folder("profiles")):
        for path in sorted(place.glob("*.json")):
            resource = parse(path.read_bytes())
            found[resource["resourceType"], resource["id"]] = resource
    return found


@cache
def own_urls() -> Mapping[str, Identity]:
    """The canonical url of each of them -> its (type, id)."""
    return {resource["url"]: identity for identity, resource in own_definitions().items()}


@cache
def promised() -> dict[str, Any]:
    """capability/server.json: what this server promises."""
    found: dict[str, Any] = orjson.loads((folder("capability") / "server.json").read_bytes())
    return found


@cache
def declared(name: str) -> list[dict[str, str]]:
    """capability/[name].json: a list of declarations."""
    found: list[dict[str, str]] = orjson.loads((folder("capability") / f"{name}.json").read_bytes())
    return found
