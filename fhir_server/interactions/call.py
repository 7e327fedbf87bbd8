"""What a caller can ask: one frozen value an interaction, whichever door it came through.

https://hl7.org/fhir/R4/http.html#3.1.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from fhir_server.interactions.caller import Caller
from fhir_server.interactions.operation import Operations
from fhir_server.interactions.permissions import Permissions
from fhir_server.interactions.profiles import Profiles
from fhir_server.interactions.rules import NoRules, Pending, Rules
from fhir_server.search.custom import Catalogue
from fhir_server.search.settings import NamedQuery
from fhir_server.spec.errors import Issue
from fhir_server.terminology import Terminology
from fhir_server.validation import core

Json = dict[str, Any]
Parameters = tuple[tuple[str, str], ...]


class Conditions(NamedTuple):
    """The conditional headers (or Bundle.entry.request properties), as they were sent."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_none_exist: str | None = None


@dataclass(frozen=True, slots=True)
class PatchDocument:
    """A patch and the language it is in; content is parsed JSON, or the bytes of an XML Patch."""

    language: Literal["json-patch", "xml-patch", "fhirpath-patch"]
    content: Any


class Request(NamedTuple):
    """A request below the base, before it is read by the path grammar. path has no leading slash and no query."""

    method: str
    path: str
    query: Parameters = ()
    conditions: Conditions = Conditions()
    body: Json | PatchDocument | None = None
    provenance: Json | None = None  # of X-Provenance


class Read(NamedTuple):
    resource_type: str
    logical_id: str
    conditions: Conditions
    parameters: Parameters = ()


class VersionRead(NamedTuple):
    resource_type: str
    logical_id: str
    version_id: str
    conditions: Conditions
    parameters: Parameters = ()


class Create(NamedTuple):
    resource_type: str
    resource: Json
    if_none_exist: str | None = None
    logical_id: str | None = (
        None  # decided beforehand inside a transaction, so that others can refer to it
    )


class Update(NamedTuple):
    resource_type: str
    logical_id: str
    resource: Json
    conditions: Conditions


class ConditionalUpdate(NamedTuple):
    resource_type: str
    criteria: Parameters
    resource: Json
    conditions: Conditions
    new_id: str | None = None  # decided beforehand inside a transaction


class Patch(NamedTuple):
    resource_type: str
    logical_id: str
    document: PatchDocument
    conditions: Conditions


class ConditionalPatch(NamedTuple):
    resource_type: str
    criteria: Parameters
    document: PatchDocument
    conditions: Conditions


class Delete(NamedTuple):
    resource_type: str
    logical_id: str
    conditions: Conditions


class ConditionalDelete(NamedTuple):
    resource_type: str
    criteria: Parameters
    conditions: Conditions = Conditions()


class History(NamedTuple):
    """Of an instance, of a type (no logical_id), or of the system (neither)."""

    resource_type: str | None
    logical_id: str | None
    parameters: Parameters


class Search(NamedTuple):
    """Of one type, of the system (no resource_type), or within a compartment ((type, id) of its focus)."""

    resource_type: str | None
    parameters: Parameters
    compartment: tuple[str, str] | None = None


class Capabilities(NamedTuple):
    parameters: Parameters
    conditions: Conditions = Conditions()


class Operation(NamedTuple):
    """An operation at the system, type or instance level; body is Parameters or the single resource.

    media_type: of the answer, where the caller asks for one of the operation's that is not FHIR's.
    """

    code: str
    method: str
    resource_type: str | None
    logical_id: str | None
    parameters: Parameters
    body: Json | None
    media_type: str | None = None


class Batch(NamedTuple):
    bundle: Json


class Transaction(NamedTuple):
    bundle: Json


Attributable = Create | Update | ConditionalUpdate | Patch | ConditionalPatch


class Attributed(NamedTuple):
    """A change of one resource, and the Provenance that came with it as X-Provenance."""

    change: Attributable
    provenance: Json


ReadCall = Read | VersionRead | History | Search | Capabilities
WriteCall = Attributable | Delete | ConditionalDelete | Attributed
Call = ReadCall | WriteCall | Operation | Batch | Transaction


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What a deployment decides; the CapabilityStatement tells it. Two are the same only if they are one."""

    base_url: str = "http://localhost:8000/fhir"
    update_create: bool = True
    conditional_delete: Literal["not-supported", "single", "multiple"] = "multiple"
    referential_integrity: bool = False
    require_if_match: bool = False
    default_count: int = 20
    maximum_count: int = 1000
    maximum_entries: int = 1000
    maximum_included: int = 1000
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    cursor_key: bytes = b""
    content_search: bool = False
    unique_identifiers: frozenset[tuple[str, str]] = frozenset()

    @property
    def base_urls(self) -> tuple[str, str]:
        """The base in both schemes: http and https never name different resources (http.html#root)."""
        return _in_both_schemes(self.base_url)


@lru_cache(maxsize=64)
def _in_both_schemes(url: str) -> tuple[str, str]:
    rest = url.partition(":")[2]
    return f"http:{rest}", f"https:{rest}"


_CORE = Profiles(core())


@dataclass(frozen=True, slots=True)
class RetryKey:
    """The key under which a request may be sent again, and a digest of the request."""

    key: str
    digest: str


_NO_RULES: Rules = NoRules()
_NO_OPERATIONS = Operations()


@dataclass(frozen=True, slots=True)
class Context:
    """What the core may not fetch for itself: time, randomness, the caller's preferences.

    now: microseconds since 1970; new_id: a fresh logical id; handling: of unknown search parameters; terminology: what
    does not change while the server runs (see interactions.conformance for what is stored); profiles: what resources
    are held to; catalogue: the search parameters of the deployment's own, as they are now; queries: what _query may
    name. rules: asked by every write. client: who asks, as far as the edge can tell. lenient: the client asked for
    lenient handling itself. recording: what happened elsewhere is being loaded, so rules about what may be done now are
    not asked. pending: what the transaction Bundle that this write belongs to is going to write. caller: whose rights
    count; None where the deployment does not ask, so that everybody has every right. permissions: what they are.
    afterwards: rules note in it what the caller waits for once the write is durable; None where nobody can wait.
    """

    policy: Policy
    now: Callable[[], int]
    new_id: Callable[[], str]
    handling: Literal["strict", "lenient"] = "lenient"
    operations: Operations = _NO_OPERATIONS
    terminology: Terminology = field(default_factory=Terminology)
    profiles: Profiles = field(default_factory=lambda: _CORE)
    catalogue: Callable[[], Catalogue] = Catalogue
    queries: tuple[NamedQuery, ...] = ()
    rules: Rules = _NO_RULES
    client: str = "anonymous"
    lenient: bool = False
    recording: bool = False
    pending: Pending = field(default_factory=dict)
    retry: RetryKey | None = None
    caller: Caller | None = None
    permissions: Permissions | None = None
    afterwards: set[tuple[str, str]] | None = None

    @property
    def base_url(self) -> str:
        return self.policy.base_url


class Result(NamedTuple):
    """An answer: an HTTP status, the JSON of a resource (None: nothing to show), and what the headers tell.

    location is relative to the base ("Patient/1/_history/2"); version_id and last_updated (microseconds) are those
    of the one resource that the answer is about; issues are hints that an OperationOutcome would carry.
    media_type: of a body that is no resource.
    """

    status: int
    body: bytes | None = None
    version_id: int | None = None
    last_updated: int | None = None
    location: str | None = None
    issues: tuple[Issue, ...] = ()
    etag: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    media_type: str | None = None
