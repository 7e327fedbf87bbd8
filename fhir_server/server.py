"""The composition root: the only place that wires settings, store, core and edge together."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fhir_server.booking.lapses import forget_replies, sweep
from fhir_server.booking.operations import operations
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.rules import BookingRules
from fhir_server.directory.operations import DIRECTORY_OPERATIONS
from fhir_server.directory.refresh import Refresher
from fhir_server.directory.rules import DirectoryRules
from fhir_server.http.callers import Callers
from fhir_server.http.cors import Cors
from fhir_server.http.endpoint import Endpoint
from fhir_server.http.exchange import Receive, Scope, Send
from fhir_server.http.identification import Identification
from fhir_server.http.lanes import Lanes
from fhir_server.http.rates import Rates
from fhir_server.interactions.call import Context, Policy
from fhir_server.interactions.operation import Operations
from fhir_server.interactions.profiles import Profiles
from fhir_server.interactions.rule_sets import RuleSets
from fhir_server.logs import configure
from fhir_server.operations import OPERATIONS
from fhir_server.publishing import publish
from fhir_server.referral.operations import operations as referral_operations
from fhir_server.referral.permissions import ReferralPermissions
from fhir_server.referral.rules import ReferralRules
from fhir_server.reindexing import Catalogued, Reindexer
from fhir_server.search.custom import Catalogue
from fhir_server.settings import Settings
from fhir_server.spec.errors import FhirError
from fhir_server.spec.published import folder
from fhir_server.store.contract import Store
from fhir_server.store.open import open_store
from fhir_server.terminology import Published, RemoteServer, Terminology
from fhir_server.terminology.remote import RemoteSettings
from fhir_server.validation import Validator
from fhir_server.validation.profiles.guides import with_global_profiles
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import Folder, Packages

if TYPE_CHECKING:
    from fhir_server.pas.gateway import Gateway

LOG = logging.getLogger("fhir_server")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

_SWEEP_SECONDS = 1.0
_SWEEPS_A_CLEARING = 600


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


# Seeded once: asking the system for each id would let go of the interpreter, and the writing thread then keeps it.
_CHANCE = random.Random(secrets.randbits(256))  # noqa: S311 - ids are to be unique, not secret


def new_id() -> str:
    """A UUIDv7: ascending by time, so that neighbours in time are neighbours in the index."""
    milliseconds = time.time_ns() // 1_000_000
    tail = _CHANCE.getrandbits(74)
    value = (
        milliseconds << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def policy_of(settings: Settings, cursor_key: bytes) -> Policy:
    """The part of the settings that the core goes by."""
    return Policy(
        base_url=settings.base,
        update_create=settings.update_create,
        conditional_delete=settings.conditional_delete,
        referential_integrity=settings.referential_integrity,
        require_if_match=settings.require_if_match,
        default_count=min(settings.default_count, settings.maximum_count),
        maximum_count=settings.maximum_count,
        maximum_entries=settings.maximum_entries,
        zone=ZoneInfo(settings.time_zone),
        cursor_key=cursor_key,
        content_search=settings.content_search,
        unique_identifiers=settings.unique,
    )


def validator_of(settings: Settings) -> Validator:
    """What resources are held to: R4, our own profiles, and those of the packages that the settings name."""
    packages = Packages(Path(settings.packages))
    defaults = with_global_profiles(packages.guides(), settings.default_profiles)
    return Validator(Library((CoreDefinitions(), Folder(folder("profiles")), packages)), defaults)


def booking_policy_of(settings: Settings) -> BookingPolicy:
    """The part of the settings that booking goes by."""
    return BookingPolicy(
        overlap=settings.slot_overlap,
        hold_seconds=settings.hold_seconds,
        maximum_holds=settings.maximum_holds,
        window_days=settings.booking_window_days,
        gp_connect=settings.gp_connect,
        embargo_minutes=settings.slot_embargo_minutes,
        pas_system=settings.pas_system if settings.pas_url else None,
    )


def rules_of(policy: BookingPolicy) -> RuleSets:
    """What every write is asked about."""
    booking = BookingRules(policy)
    return RuleSets(booking, ReferralRules(booking), DirectoryRules())


def operations_of(settings: Settings) -> Operations:
    """Every operation that is offered."""
    policy = booking_policy_of(settings)
    return Operations(
        (
            *OPERATIONS,
            *operations(policy),
            *referral_operations(BookingRules(policy)),
            *DIRECTORY_OPERATIONS,
        )
    )


def context_of(
    settings: Settings, store: Store, catalogue: Callable[[], Catalogue] | None = None
) -> Context:
    """What the core needs from the outside, for one deployment; catalogue: kept fresh, or read once."""
    return Context(
        policy_of(settings, store.secret("cursor")),
        now,
        new_id,
        operations=operations_of(settings),
        rules=rules_of(booking_policy_of(settings)),
        terminology=terminology_of(settings),
        profiles=Profiles(validator_of(settings)),
        catalogue=catalogue or Catalogued(store),
        permissions=ReferralPermissions(settings.patient_cut_off_minutes),
    )


def callers_of(settings: Settings) -> Callers:
    """Who sends requests, and how many."""
    limited = settings.maximum_rate > 0
    rates = Rates(settings.maximum_rate, settings.maximum_burst) if limited else None
    return Callers(settings.client_header, identification_of(settings), rates)


def identification_of(settings: Settings) -> Identification | None:
    """How the gateway tells who asks; None when the settings name no header for it."""
    if not settings.role_header:
        return None
    return Identification(
        role_header=settings.role_header.lower(),
        roles=settings.known_roles,
        organisation_header=settings.organisation_header.lower(),
        organisation_system=settings.organisation_system,
        patient_header=settings.patient_header.lower(),
        patient_system=settings.patient_system,
        on_behalf_header=settings.on_behalf_header.lower(),
    )


def terminology_of(settings: Settings) -> Terminology:
    """R4's own terminology, ours and that of the packages; and the servers that the settings name for the rest."""
    servers = [
        RemoteServer(
            RemoteSettings(
                url=item.url,
                systems=item.systems,
                token_url=item.token_url,
                client_id=item.client_id,
                client_secret=item.client_secret.get_secret_value(),
                timeout=item.timeout,
                cache=item.cache,
            )
        )
        for item in settings.terminology_servers
    ]
    packages = Packages(Path(settings.packages))
    return Terminology((Published(), Folder(folder("profiles")), packages), servers)


def gateway_of(
    settings: Settings, store: Store, context: Context, threads: Executor
) -> Gateway | None:
    """What asks the PAS; None when the settings name none."""
    if not settings.pas_url:
        return None
    # Few deployments have one; the others need not load an HTTP client.
    from fhir_server.pas.asking import Asking, PasSettings
    from fhir_server.pas.gateway import Gateway

    asking = Asking(PasSettings(settings.pas_url, settings.pas_timeout, settings.pas_token_file))
    # What the PAS has answered is so, whatever clients may book.
    rules = rules_of(replace(booking_policy_of(settings), pas_system=None, gp_connect=False))
    # A PAS that is silent must not take all that the server can work on at once.
    most = max(1, settings.maximum_in_flight // 4)
    return Gateway(asking, store, context, rules, threads, most)


def store_of(settings: Settings) -> Store:
    """The store that the settings name, migrated and found safe."""
    return open_store(
        settings.database,
        pool=settings.database_pool,
        search_timeout=settings.search_timeout,
        lock_timeout=settings.lock_timeout,
    )


class Application:
    """ASGI: the FHIR endpoint below /fhir, the shell everywhere else."""

    def __init__(self, settings: Settings) -> None:
        self.store = store_of(settings)
        catalogued = Catalogued(self.store)
        self.context = context_of(settings, self.store, catalogued)
        publish(self.store, self.context)
        catalogued.refresh()
        self.reindexer = Reindexer(self.store, self.context, catalogued)
        self.refresher = Refresher(self.store, self.context)
        inline = not settings.database.startswith("postgresql")
        threads = settings.database_pool if not inline else 4
        self.lanes = Lanes(self.store, threads=threads, inline_reads=inline)
        self.gateway = gateway_of(settings, self.store, self.context, self.lanes.threads)
        self.endpoint = Endpoint(
            self.lanes,
            self.context,
            maximum_body=settings.maximum_body,
            maximum_bundle=settings.maximum_bundle,
            body_timeout=settings.body_timeout,
            maximum_in_flight=settings.maximum_in_flight,
            maximum_listing=settings.maximum_listing,
            cors=Cors(settings.cors_origins),
            callers=callers_of(settings),
            afterwards=self.gateway,
        )
        self._base = settings.base
        self._shell: Asgi | None = None
        self._loading = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route by the first path segment; end the store with the server."""
        if scope["type"] == "http":
            # As it was sent: "/%66hir" is not the base, whose parts the grammar decodes one by one.
            path: bytes = scope["raw_path"]
            if path == b"/fhir" or path.startswith(b"/fhir/"):
                await self.endpoint(scope, receive, send)
            else:
                shell = self._shell or await self._loaded_shell()
                await shell(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _loaded_shell(self) -> Asgi:
        """The shell, loaded by a thread when it is first asked for: FastAPI would be a good part of the start."""
        async with self._loading:
            if self._shell is None:
                self._shell = await asyncio.to_thread(self._load_shell)
            return self._shell

    def _load_shell(self) -> Asgi:
        from fhir_server.http.shell import shell
        from fhir_server.validation.schemas.documents import Schemas

        schemas = Schemas(self.context.profiles.validator.library)
        return shell(self.store.ready, self._base, schemas)

    async def _sweep(self) -> None:
        """Let go of expired holds and old replies, and keep waits true, as long as the server lives."""
        duties: list[tuple[int, Callable[[], object]]] = [
            (1, partial(sweep, self.store, self.context)),
            (1, self.refresher.step),
            (_SWEEPS_A_CLEARING, partial(forget_replies, self.store, self.context)),
        ]
        loop = asyncio.get_running_loop()
        for turn in itertools.count(1):
            await asyncio.sleep(_SWEEP_SECONDS)
            for every, duty in duties:
                if turn % every:
                    continue
                try:
                    await loop.run_in_executor(self.lanes.threads, duty)
                except FhirError:
                    continue  # the database is away or busy; there is another turn
                except Exception:
                    # A fault in one duty must not end the others.
                    LOG.exception("a duty of the server's own failed")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.reindexer.start()
        await send({"type": "lifespan.startup.complete"})
        tasks = [asyncio.create_task(self._sweep())]
        if self.gateway is not None:
            tasks.append(asyncio.create_task(self.gateway.run()))
        await receive()
        self.reindexer.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.lanes.close()
        self.store.close()
        await send({"type": "lifespan.shutdown.complete"})


def application() -> Asgi:
    """The ASGI application of a worker, from the settings in its environment."""
    settings = Settings()
    configure(settings.log_level)
    made = Application(settings)
    # What is there now stays until the end; looking through it for garbage again and again is in vain.
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    return made
