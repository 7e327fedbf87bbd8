"""Telling the PAS about an appointment, and what it makes of it: one PUT, which can be repeated.

https://hl7.org/fhir/R4/http.html#upsert
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import orjson

from fhir_server.booking import statuses
from fhir_server.booking.confirmation import untagged
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.store.contract import StoredVersion

Json = dict[str, Any]
Answer = Literal["confirmed", "refused", "silent", "failed"]
LOG = logging.getLogger("fhir_server.pas")
_TOLD = {
    "refused": "refused an appointment",
    "silent": "not answered in time",
    "failed": "answered with an error, or not at all",
}
_LARGEST_ANSWER = 1_000_000
_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class PasSettings:
    """url: the PAS's FHIR base; timeout: seconds for the whole of an answer; token_file: with a bearer token, or ""."""

    url: str
    timeout: float = 120.0
    token_file: str = ""


class Asking:
    """HTTP to the PAS: where the settings say and nowhere else, for a limited time."""

    def __init__(self, settings: PasSettings) -> None:
        self.settings = settings
        # Requests are few: a connection of its own for each never turns out to have been closed by the other side.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(
            verify=ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            timeout=settings.timeout,
            limits=limits,
        )

    async def tell(self, version: StoredVersion, context: Context) -> Answer:
        """What the PAS makes of an appointment that was booked, moved, or is not to take place any more."""
        wanted = message(version, context)
        told, status = await self._sent(version, wanted)
        if told != "confirmed":
            LOG.warning("the PAS has %s", _TOLD[told], extra={"status": status})
        return told

    async def _sent(self, version: StoredVersion, wanted: Json) -> tuple[Answer, int | None]:
        url = f"{self.settings.url.rstrip('/')}/Appointment/{version.logical_id}"
        headers = {
            "Content-Type": _JSON,
            "Accept": _JSON,
            "Accept-Encoding": "identity",
            "Idempotency-Key": f"{version.logical_id}-{version.version_id}",
        }
        try:
            if self.settings.token_file:
                token = Path(self.settings.token_file).read_text("utf-8").strip()
                headers["Authorization"] = f"Bearer {token}"
            async with (
                asyncio.timeout(self.settings.timeout),
                self._client.stream(
                    "PUT", url, content=serialise(wanted), headers=headers
                ) as answer,
            ):
                content = await _content(answer)
        except (TimeoutError, httpx.TimeoutException):
            return "silent", None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
            return "failed", None
        return judged(wanted, answer.status_code, content), answer.status_code

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()


async def _content(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_raw():
        content += chunk
        if len(content) > _LARGEST_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(content)


def message(version: StoredVersion, context: Context) -> Json:
    """The appointment as the PAS is to have it: booked if it is waited for, with references that lead here."""
    appointment = untagged(parse_stored(version.body))
    if appointment["status"] == "pending":
        appointment["status"] = "booked"
    shown: Json = _absolute(appointment, context)
    return shown


def _absolute(value: Any, context: Context) -> Any:
    if isinstance(value, list):
        return [_absolute(item, context) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: _absolute(item, context) for name, item in value.items()}
    target = made.get("reference")
    if isinstance(target, str) and "://" not in target and local_target(target, context):
        made["reference"] = f"{context.base_url}/{target}"
    return made


def judged(wanted: Json, status: int, content: bytes) -> Answer:
    """What an answer means. A booking is confirmed by success, with nothing or the appointment booked in the body."""
    if not statuses.is_live(wanted):
        return "confirmed" if status in (200, 201, 204, 404, 410) else "failed"
    if status in (409, 422):
        return "refused"
    if status not in (200, 201, 204):
        return "failed"
    if not content.strip():
        return "confirmed"
    try:
        found = orjson.loads(content)
    except ValueError:
        return "failed"
    same = isinstance(found, dict) and all(
        found.get(name) == wanted[name] for name in ("resourceType", "status")
    )
    return "confirmed" if same else "failed"
