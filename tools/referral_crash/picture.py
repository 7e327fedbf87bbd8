"""What is stored about one referral, without its ids: two that the same acts were done about look the same.

https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from typing import Any

import orjson

from bench.client import Connection, request_bytes

Json = dict[str, Any]
Picture = tuple[Any, ...]
_STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"


async def picture(connection: Connection, logical_id: str) -> Picture:
    """Status, state and version of the referral and of everything about it, and what the Provenances name."""
    slot = await _read(connection, f"Slot/{logical_id}")
    referral = await _read(connection, f"ServiceRequest/{logical_id}")
    about = f"ServiceRequest/{logical_id}"
    onward = await _found(connection, f"ServiceRequest?based-on={about}")
    tasks = [
        (told.partition("/")[0], _shown(item))
        for told in (about, *(f"ServiceRequest/{item['id']}" for item in onward))
        for item in await _found(connection, f"Task?focus={told}")
    ]
    booked = await _found(connection, f"Appointment?based-on={about}")
    messages = await _found(connection, f"Communication?based-on={about}")
    told = await _found(connection, f"Provenance?target={about}")
    return (
        _shown(slot),
        _shown(referral),
        *(sorted(map(_shown, listed)) for listed in (onward, booked, messages)),
        sorted(tasks),
        sorted(sorted(map(_target, item["target"])) for item in told),
    )


async def _read(connection: Connection, path: str) -> Json | None:
    answer = await connection.send(request_bytes("GET", f"/fhir/{path}"))
    found: Json | None = orjson.loads(answer.body) if answer.status == 200 else None
    return found


async def _found(connection: Connection, query: str) -> list[Json]:
    bundle = await _read(connection, f"{query}&_count=50")
    assert bundle is not None, query
    return [
        item["resource"] for item in bundle.get("entry", ()) if item["search"]["mode"] == "match"
    ]


def _shown(resource: Json | None) -> tuple[str, ...]:
    if resource is None:
        return ()
    state = [
        part["valueCoding"]["code"]
        for item in resource.get("extension", ())
        if item["url"] == _STATE
        for part in item["extension"]
        if part["url"] == "state"
    ]
    code = [item["code"] for item in resource.get("code", {}).get("coding", ())]
    return (*code, resource["status"], *state, resource["meta"]["versionId"])


def _target(target: Json) -> str:
    kind, _, _, version = target["reference"].split("/")
    return f"{kind} {version}"
