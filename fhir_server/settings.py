"""The settings of a deployment: command line over environment (FHIR_...) over a TOML file (FHIR_SETTINGS_FILE)."""

from __future__ import annotations

import os
from typing import Literal, Self, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from fhir_server.interactions.caller import ROLES, STANDINGS, Role, Standing
from fhir_server.spec.definitions import is_resource_type


class TerminologyServer(BaseModel):
    """A terminology server elsewhere, for code systems that are not here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^https?://\S+$")
    systems: tuple[str, ...] = Field(min_length=1)
    token_url: str = Field("", pattern=r"^(https?://\S+)?$")
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    timeout: float = Field(2.0, gt=0, le=60)
    cache: float = Field(86_400.0, ge=0)


class Settings(BaseSettings):
    """docs/settings.md is made from these descriptions."""

    model_config = SettingsConfigDict(env_prefix="FHIR_", extra="forbid", frozen=True)

    database: str = Field(
        "sqlite:///data/fhir.sqlite",
        description="Where resources are kept: `sqlite:///path`, `postgresql+psycopg://user@host/name` or `memory://`",
    )
    host: str = Field("127.0.0.1", description="The address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on")
    base_url: str = Field(
        "",
        description="The FHIR base as clients see it, for links; empty: `http://host:port/fhir`",
    )
    workers: int = Field(1, ge=1, le=64, description="Processes that serve")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="`info` logs a line for each request, never a value of a resource or query",
    )
    update_create: bool = Field(
        default=True, description="Whether PUT to an unused id creates it (201)"
    )
    conditional_delete: Literal["not-supported", "single", "multiple"] = Field(
        "multiple",
        description="Whether a conditional delete may delete several resources (`single`: 412; `not-supported`: 400)",
    )
    referential_integrity: bool = Field(
        default=False,
        description="Whether references to this server must resolve, and what is referred to cannot be deleted (409)",
    )
    require_if_match: bool = Field(
        default=False, description="Whether every change of a resource needs If-Match"
    )
    default_count: int = Field(
        20, ge=1, le=10_000, description="Matches on a page when `_count` is not sent"
    )
    maximum_count: int = Field(1000, ge=1, le=10_000, description="The most matches on a page")
    maximum_listing: int = Field(
        100_000,
        ge=1,
        description="The most matches that a search lists as CSV or NDJSON; one that has more is refused (403)",
    )
    maximum_entries: int = Field(
        1000, ge=1, description="The most entries of a batch or transaction"
    )
    maximum_body: int = Field(5_000_000, ge=1000, description="The largest body, in bytes (413)")
    maximum_bundle: int = Field(
        20_000_000, ge=1000, description="The largest Bundle sent to the base, in bytes (413)"
    )
    maximum_in_flight: int = Field(
        256,
        ge=1,
        description="Requests that a worker works on at once; more get 503 with Retry-After",
    )
    maximum_rate: float = Field(
        0,
        ge=0,
        le=100_000,
        description="Requests a second that a worker takes from each client; more get 429 with Retry-After; 0: any"
        " number",
    )
    maximum_burst: int = Field(
        20,
        ge=1,
        le=100_000,
        description="Requests that a client may send at once, within `maximum_rate`",
    )
    body_timeout: float = Field(
        30.0, gt=0, description="Seconds that a body may take to arrive (408)"
    )
    search_timeout: float = Field(
        5.0, gt=0, description="Seconds that a search may take; then 403 too-costly"
    )
    content_search: bool = Field(
        default=False,
        description="Whether `_content` is offered: every word is indexed; `fhir-server reindex` after a change",
    )
    unique_identifiers: str = Field(
        "",
        description="Identifiers that no two resources may share (409): `Type|system`, separated by blanks;"
        " `fhir-server reindex` after a change",
    )
    lock_timeout: float = Field(
        5.0,
        gt=0,
        description="Seconds (less than `search_timeout`) that a change waits for others; then 503, a booking 409",
    )
    time_zone: str = Field(
        "Europe/London", description="The zone of dates that name none, in resources and searches"
    )
    cors_origins: str = Field(
        "*",
        description="Origins that browsers may call from, separated by blanks; `*`: any (without credentials)",
    )
    terminology_servers: tuple[TerminologyServer, ...] = Field(
        (),
        description="Where code systems are asked for that are not here, such as SNOMED CT: a list of `url`, `systems` "
        "(the starts of their urls), and as needed `token_url`, `client_id` and `client_secret` (OAuth 2.0 client "
        "credentials), `timeout` and `cache` (seconds); as JSON in the environment",
    )
    packages: str = Field(
        "data/packages",
        description="The folder of the packages whose profiles are known, filled by `fhir-server package add`",
    )
    profiles: str = Field(
        "",
        description="Profiles that every resource of a type is held to, as `Patient=https://example.org/p`, "
        "separated by blanks",
    )
    client_header: str = Field(
        "NHSD-End-User-Organisation",
        description="The header that tells clients apart, who then own their holds and blocks; empty: all are one",
    )
    role_header: str = Field(
        "",
        description="The header in which the gateway in front of this server tells the caller's role; empty: nobody is"
        " asked who they are, and everybody may do everything. Only for a gateway that authenticates callers and"
        " strips this header, and the three that follow, from what comes from outside: see docs/access.md",
    )
    roles: str = Field(
        "referrer=referrer provider=provider/clinician patient=patient system=system"
        " REFERRING_CLINICIAN=referrer/clinician REFERRING_CLINICIAN_ADMIN=referrer/administrator"
        " SERVICE_PROVIDER_CLINICIAN=provider/clinician SERVICE_PROVIDER_CLINICIAN_ADMIN=provider/administrator"
        " SERVICE_PROVIDER_ADMIN=provider SERVICE_DEFINER=system",
        description="The gateway's words for roles, separated by blanks: `word=role` or `word=role/standing`, of the"
        " roles referrer, provider, patient and system, and the standings clinician and administrator",
    )
    organisation_header: str = Field(
        "NHSD-End-User-Organisation-ODS",
        description="The header with the organisation of a referrer or provider: `Organization/[id]` or an identifier",
    )
    organisation_system: str = Field(
        "https://fhir.nhs.uk/Id/ods-organization-code",
        description="The system of that identifier; empty: any",
    )
    patient_header: str = Field(
        "NHSD-Patient",
        description="The header with the patient of the role patient: `Patient/[id]` or an identifier",
    )
    patient_system: str = Field(
        "https://fhir.nhs.uk/Id/nhs-number", description="The system of that identifier; empty: any"
    )
    on_behalf_header: str = Field(
        "NHSD-eRS-On-Behalf-Of-User-ID",
        description="The header that names the clinician for whom a provider's administrator decides",
    )
    patient_cut_off_minutes: int = Field(
        0,
        ge=0,
        description="From how many minutes before its start on patients cannot book, move or cancel an appointment",
    )
    slot_overlap: Literal["allow", "refuse"] = Field(
        "allow",
        description="Whether appointments in overlapping slots of one Schedule may be live at once",
    )
    booking_window_days: int = Field(
        0, ge=0, description="How many days ahead slots can be booked; 0: any number"
    )
    slot_embargo_minutes: int = Field(
        0, ge=0, description="Slots that begin sooner than in so many minutes are not shown"
    )
    gp_connect: bool = Field(
        default=False,
        description="Whether slot searches, bookings and amendments keep the rules of GP Connect",
    )
    hold_seconds: int = Field(
        600, ge=1, le=900, description="Seconds that `Appointment/$hold` keeps a slot"
    )
    pas_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="The FHIR base of the system (PAS) that confirms bookings: docs/pas.md; empty: nobody is asked",
    )
    pas_system: str = Field(
        "",
        description="The system of the identifiers of the Schedules that are the PAS's; empty: all are",
    )
    pas_timeout: float = Field(
        120.0, gt=0, le=600, description="Seconds that the PAS may take to answer; then 504"
    )
    pas_token_file: str = Field(
        "", description="The file with the bearer token that the PAS wants, read for each request"
    )
    maximum_holds: int = Field(20, ge=1, description="Appointments that a client may hold at once")
    database_pool: int = Field(8, ge=1, le=200, description="PostgreSQL connections of a worker")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{name} is not a time zone; write one as Europe/London") from None
        return name

    @field_validator("profiles")
    @classmethod
    def _named_profiles(cls, text: str) -> str:
        for item in text.split():
            resource_type, _, url = item.partition("=")
            if not resource_type.isalpha() or ":" not in url:
                raise ValueError(
                    f"{item} names no profile; write Type=canonical, as Slot=https://example.org/slot"
                )
        return text

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, text: str) -> str:
        for item in text.split():
            word, _, told = item.partition("=")
            role, slash, standing = told.partition("/")
            if not word or role not in ROLES or (slash and standing not in STANDINGS[1:]):
                raise ValueError(
                    f"'{item}' is not word=role or word=role/standing, as in SPCA=provider/administrator"
                )
        return text

    @field_validator("unique_identifiers")
    @classmethod
    def _known_types(cls, text: str) -> str:
        for item in text.split():
            name, bar, system = item.partition("|")
            if not (bar and system and is_resource_type(name)):
                raise ValueError(
                    f"'{item}' is not Type|system, as in Patient|https://example.org/id"
                )
        return text

    @field_validator("base_url")
    @classmethod
    def _plain_base(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("write the whole URL, as https://fhir.example.org/fhir")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _shared_database(self) -> Self:
        if self.workers > 1 and self.database.rstrip("/") in ("memory:", "sqlite:"):
            raise ValueError(
                f"{self.database} lives in one process; use workers 1, or a database that several can share"
            )
        return self

    @property
    def default_profiles(self) -> dict[str, tuple[str, ...]]:
        """Resource type -> canonical urls of the profiles that every resource of it is held to."""
        found: dict[str, tuple[str, ...]] = {}
        for item in self.profiles.split():
            resource_type, _, url = item.partition("=")
            found[resource_type] = (*found.get(resource_type, ()), url)
        return found

    @property
    def known_roles(self) -> dict[str, tuple[Role, Standing]]:
        """The gateway's word -> the role and standing that it tells."""
        found: dict[str, tuple[Role, Standing]] = {}
        for item in self.roles.split():
            word, _, told = item.partition("=")
            role, _, standing = told.partition("/")
            found[word] = (cast("Role", role), cast("Standing", standing))
        return found

    @property
    def unique(self) -> frozenset[tuple[str, str]]:
        """The (type, system) of identifiers that are unique."""
        pairs = (item.partition("|") for item in self.unique_identifiers.split())
        return frozenset((name, system) for name, _, system in pairs)

    @property
    def base(self) -> str:
        """The FHIR base, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.base_url or f"http://{host}:{self.port}/fhir"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, which wins over the file."""
        file = os.environ.get("FHIR_SETTINGS_FILE")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        if file:
            sources += (TomlConfigSettingsSource(settings_cls, file),)
        return sources
