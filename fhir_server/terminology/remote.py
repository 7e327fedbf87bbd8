"""A terminology server elsewhere, for code systems that are not here: SNOMED CT, dm+d, LOINC.

https://hl7.org/fhir/R4/terminology-service.html
Its answers are kept for a while; when it fails several times in a row it is left alone for a while.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fhir_server.terminology.code_systems import Concept, Relation, System, value_of
from fhir_server.terminology.faults import (
    NotEnumerable,
    Refused,
    TooCostly,
    TransportError,
    Unavailable,
    Unknown,
)
from fhir_server.terminology.value_sets import MOST_CODES, Member, concept_of

Json = dict[str, Any]
MOST_KEPT = 100_000
FAILURES = 3
PAUSE = 30.0
UNKNOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """url: its FHIR base; systems: the code systems (and value sets) to ask there, by the start of their urls.

    token_url, client_id, client_secret: OAuth 2.0 client credentials, where it wants them; timeout, cache: seconds.
    """

    url: str
    systems: tuple[str, ...]
    token_url: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    timeout: float = 2.0
    cache: float = 86_400.0


class Posting(Protocol):
    """HTTP to the server."""

    def post(self, operation: str, body: bytes) -> Json:
        """The resource that an operation answers; raises Refused and TransportError."""


def transport_of(settings: RemoteSettings) -> Posting:
    """The connection that the settings describe."""
    # Few deployments have a remote server; the others need not load an HTTP client.
    from fhir_server.terminology.transport import Transport

    return Transport(
        settings.url,
        settings.timeout,
        token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
    )


class RemoteServer:
    """Asks a terminology server; every question raises Unavailable when it does not answer, Unknown when it refuses."""

    def __init__(
        self,
        settings: RemoteSettings,
        transport: Posting | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._transport = transport or transport_of(settings)
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Json | None]] = OrderedDict()
        self._weight = 0
        self._failures = 0
        self._closed_until = 0.0

    def covers(self, system: str) -> bool:
        """Whether questions about a code system go here."""
        return any(system.startswith(start) for start in self.settings.systems)

    def ask(self, operation: str, parameters: list[Json]) -> Json:
        """The resource that an operation ("CodeSystem/$lookup") answers."""
        body = json.dumps({"resourceType": "Parameters", "parameter": parameters}, sort_keys=True)
        key = f"{operation} {body}"
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and kept[0] > self._clock():
                self._kept.move_to_end(key)
                return _answered(kept[1], operation)
            if self._clock() < self._closed_until:
                raise Unavailable("The terminology server failed just now and is left alone")
        try:
            found: Json | None = self._transport.post(operation, body.encode())
        except Refused:
            found = None
        except TransportError as error:
            self._count_failure()
            raise Unavailable(f"The terminology server does not answer ({error})") from None
        self._keep(key, found)
        return _answered(found, operation)

    def _count_failure(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES:
                self._closed_until = self._clock() + PAUSE

    def _keep(self, key: str, found: Json | None) -> None:
        seconds = UNKNOWN_SECONDS if found is None else self.settings.cache
        with self._lock:
            self._failures = 0
            self._closed_until = 0.0
            self._weight -= _weight(self._kept.pop(key, (0.0, None))[1]) if key in self._kept else 0
            self._kept[key] = (self._clock() + seconds, found)
            self._weight += _weight(found)
            while self._weight > MOST_KEPT:
                _, (_, oldest) = self._kept.popitem(last=False)
                self._weight -= _weight(oldest)

    def system(self, url: str, version: str | None = None) -> RemoteSystem:
        """A code system there, as a System."""
        return RemoteSystem(self, url, version)

    def listed(self, part: Json) -> list[Member]:
        """See value_sets.Remote."""
        answer = self.ask(
            "ValueSet/$expand", [*_value_set(part), _of("count", "Integer", MOST_CODES)]
        )
        expansion = answer.get("expansion", {})
        listed = expansion.get("contains", [])
        if expansion.get("total", 0) > len(listed):
            raise TooCostly(
                f"The value set has {expansion['total']} codes elsewhere; use a smaller one"
            )
        return [
            Member(
                item.get("system", part.get("system", "")), item.get("version"), concept_of(item)
            )
            for item in listed
            if "code" in item
        ]

    def member(self, part: Json, system: str | None, code: str) -> Member | None:
        """See value_sets.Remote."""
        asked = [*_value_set(part), _of("code", "Code", code)]
        if system is not None:
            asked.append(_of("system", "Uri", system))
        told = _named(self.ask("ValueSet/$validate-code", asked))
        if told.get("result") is not True:
            return None
        return Member(system or "", part.get("version"), Concept(code, told.get("display")))

    def relation(self, system: System, one: str, other: str) -> Relation:
        """How two codes of a system relate."""
        asked = [
            _of("system", "Uri", system.url),
            _of("codeA", "Code", one),
            _of("codeB", "Code", other),
        ]
        outcome = _named(self.ask("CodeSystem/$subsumes", asked)).get("outcome")
        for known in ("equivalent", "subsumes", "subsumed-by"):
            if outcome == known:
                return known
        return "not-subsumed"


@dataclass(frozen=True, slots=True)
class RemoteSystem:
    """A System that a terminology server holds."""

    server: RemoteServer
    url: str
    version: str | None = None
    complete: bool = True

    @property
    def name(self) -> str:
        """Its url: the name is known elsewhere."""
        return self.url

    def find(self, code: str) -> Concept | None:
        """See System."""
        asked = [_of("system", "Uri", self.url), _of("code", "Code", code)]
        if self.version:
            asked.append(_of("version", "String", self.version))
        try:
            answer = self.server.ask("CodeSystem/$lookup", asked)
        except Unknown:
            return None
        told = _named(answer)
        return Concept(
            code,
            told.get("display"),
            designations=tuple(_parts(answer, "designation")),
            properties=tuple(_parts(answer, "property")),
            inactive=any(
                item.get("code") == "inactive" and value_of(item) is True
                for item in _parts(answer, "property")
            ),
        )

    def concepts(self) -> Iterable[Concept]:
        """See System."""
        raise NotEnumerable(f"The codes of {self.url} are too many to list; use a filter")

    def below(self, code: str) -> frozenset[str]:
        """See System."""
        return self._filtered("is-a", code)

    def above(self, code: str) -> frozenset[str]:
        """See System."""
        return self._filtered("generalizes", code)

    def _filtered(self, operator: str, code: str) -> frozenset[str]:
        rule = {"property": "concept", "op": operator, "value": code}
        found = self.server.listed({"system": self.url, "filter": [rule]})
        return frozenset({code, *(member.concept.code for member in found)})


def _weight(found: Json | None) -> int:
    """How much of the memory an answer takes: one for itself and for each of its codes."""
    return 1 + len(found.get("expansion", {}).get("contains", ())) if found else 1


def _answered(found: Json | None, operation: str) -> Json:
    if found is None:
        raise Unknown(f"The terminology server does not know what {operation} asks for")
    return found


def _of(name: str, kind: str, value: Any) -> Json:
    return {"name": name, f"value{kind}": value}


def _value_set(part: Json) -> list[Json]:
    """The value set of one include: by its url when it is defined there, else as a resource."""
    if "elsewhere" in part:
        return [_of("url", "Uri", part["elsewhere"])]
    source = {"resourceType": "ValueSet", "status": "active", "compose": {"include": [part]}}
    return [{"name": "valueSet", "resource": source}]


def _named(answer: Json) -> Json:
    """The simple parameters of an answer by name."""
    return {
        item["name"]: value_of(item)
        for item in answer.get("parameter", ())
        if isinstance(item, dict) and "name" in item and "part" not in item
    }


def _parts(answer: Json, name: str) -> Iterable[Json]:
    """The designations or properties of a $lookup: {"code": ..., "value...": ...}."""
    for item in answer.get("parameter", ()):
        if item.get("name") == name and "part" in item:
            made: Json = {}
            for part in item["part"]:
                value = next(
                    ((key, told) for key, told in part.items() if key.startswith("value")), None
                )
                if value is None:
                    continue
                # A part is named value; what it holds is value[x] of a property, value of a designation.
                named = part.get("name", "")
                typed = value[0] if named == "value" and name == "property" else named
                made[typed] = value[1]
            yield made
