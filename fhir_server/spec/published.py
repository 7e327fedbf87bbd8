"""The files that the project publishes about itself: capability/ and profiles/ (https://hl7.org/fhir/R4/conformance-module.html)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson

_PACKAGE = Path(__file__).resolve().parent.parent


def folder(name: str) -> Path:
    """capability or profiles: inside an installed package, or beside it in a checkout."""
    packed = _PACKAGE / f"_{name}"
    return packed if packed.is_dir() else _PACKAGE.parent / name


@cache
def _definitions() -> dict[tuple[str, str], bytes]:
    found = {}
    for path in sorted((folder("capability") / "operations").glob("*.json")):
        resource = orjson.loads(path.read_bytes())
        found[resource["resourceType"], resource["id"]] = orjson.dumps(resource)
    return found


def definition(resource_type: str, logical_id: str) -> bytes | None:
    """The JSON of a definition of ours that the server shows like a stored resource, or None."""
    return _definitions().get((resource_type, logical_id))


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
