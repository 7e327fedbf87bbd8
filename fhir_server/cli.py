"""The command line: fhir-server serve, load, validate, package, migrate, check-store, capability."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context
    from fhir_server.settings import Settings
    from fhir_server.store.contract import Store

application = typer.Typer(
    help="A FHIR R4 server for referrals and appointments.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they show the values of variables, which may be a patient's
)

package = typer.Typer(
    help="Packages of profiles, value sets and code systems.", no_args_is_help=True
)
application.add_typer(package, name="package")

Kept = Annotated[
    str | None, typer.Option("--packages", help="The folder that packages are kept in")
]
Database = Annotated[
    str | None, typer.Option(help="sqlite:///path or postgresql+psycopg://user@host/name")
]
BaseUrl = Annotated[str | None, typer.Option(help="The FHIR base as clients see it")]


def _settings(**given: Any) -> Settings:
    """The settings with what the command line says on top; a wrong one ends the command with a sentence."""
    # Loaded by the commands that need them: the help does not.
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from fhir_server.settings import Settings

    file = os.environ.get("FHIR_SETTINGS_FILE")
    try:
        if file and not Path(file).is_file():
            raise _ended(2, f"FHIR_SETTINGS_FILE names {file}, which is not a file")
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        told = [_sentence(fault["loc"], fault["msg"]) for fault in error.errors()]
        raise _ended(2, "\n".join(told)) from None
    except SettingsError as error:
        # Of a list in the environment. The cause would tell where, and show what may be a secret.
        raise _ended(2, f"Settings: {error}; write JSON") from None
    except ValueError as error:
        # What the reader of the file raises, which is loaded only where there is a file.
        raise _ended(2, f"{file} is not TOML: {error}") from None


def _sentence(place: tuple[int | str, ...], told: str) -> str:
    name = ".".join(str(item) for item in place)
    told = told.removeprefix("Value error, ")
    return f"Setting {name}: {told}" if name else f"Settings: {told}"


def _ended(status: int, told: str) -> typer.Exit:
    """The end of the command, with a sentence on standard error."""
    typer.echo(told, err=True)
    return typer.Exit(status)


@contextmanager
def _database_refusals() -> Iterator[None]:
    """Ends the command when the database or a package cannot be used: status 2 for a URL that names none, else 3."""
    from fhir_server.store.checks import UnknownDatabase, UnsafeDatabase
    from fhir_server.validation.profiles.packages import UnreadablePackage

    try:
        yield
    except (UnsafeDatabase, UnreadablePackage) as refusal:
        status = 2 if isinstance(refusal, UnknownDatabase) else 3
        raise _ended(status, str(refusal)) from None


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Store, Context]]:
    """The store that the settings name, and the core's context."""
    from fhir_server.server import context_of, store_of

    with _database_refusals():
        store = store_of(settings)
    try:
        yield store, context_of(settings, store)
    finally:
        store.close()


def _check_address(host: str, port: int) -> None:
    """End the command when nobody could listen there, before anything else is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        told = f"Cannot listen on {host}, port {port}: {error.strerror}"
        raise _ended(2, f"{told}; name others with --host and --port") from None


@application.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on")] = None,
    database: Database = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve")] = None,
    base_url: BaseUrl = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error")] = None,
) -> None:
    """Serve FHIR at /fhir until SIGTERM or Ctrl-C; running requests are finished first.

    Exit status 2: a wrong option or setting. 3: a database that cannot be reached, or that would lose writes.
    """
    from fhir_server.http.metrics import shared_metrics
    from fhir_server.logs import configure
    from fhir_server.store.open import prepare_database
    from fhir_server.validation.profiles.packages import check_pins

    settings = _settings(
        host=host,
        port=port,
        database=database,
        workers=workers,
        base_url=base_url,
        log_level=log_level,
    )
    _check_address(settings.host, settings.port)
    with _database_refusals():
        prepare_database(settings.database)
        check_pins(Path(settings.packages))
    # Workers are fresh processes: they read the settings from the environment.
    # Lists have no option on the command line: workers find them where this process found them.
    for name, value in settings.model_dump(exclude={"terminology_servers"}).items():
        os.environ[f"FHIR_{name.upper()}"] = str(value)
    configure(settings.log_level)
    with shared_metrics(settings.workers):
        _run(settings)


def _run(settings: Settings) -> None:
    import uvicorn

    # uvicorn raises the signal again when it has finished everything: then the end is a good one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        "fhir_server.server:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="fhir_server.http.protocol:BoundedHttpToolsProtocol",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=25,
        backlog=2048,
    )


@application.command()
def load(
    paths: Annotated[
        list[Path], typer.Argument(help="Files or folders: JSON, XML, Bundles, NDJSON")
    ],
    database: Database = None,
    base_url: BaseUrl = None,
    quiet: Annotated[bool, typer.Option(help="No progress bar")] = False,
) -> None:
    """Store resources; a bad one is reported with its reason and the rest goes on. Exit status 1 if any was refused."""
    from fhir_server.loading import Loading
    from fhir_server.publishing import publish
    from fhir_server.reindexing import Catalogued

    settings = _settings(database=database, base_url=base_url)
    for path in paths:
        if not path.exists():
            raise _ended(2, f"There is no {path}")
    with _opened(settings) as (store, context):
        publish(store, context)
        loading = Loading(store, replace(context, catalogue=Catalogued(store)))
        loading.run(paths, show_progress=not quiet and sys.stderr.isatty())
    for refusal in loading.refusals:
        for reason in refusal.reasons:
            typer.echo(f"{refusal.place}: {reason}", err=True)
    typer.echo(f"{loading.stored} stored, {len(loading.refusals)} refused")
    raise typer.Exit(1 if loading.refusals else 0)


@application.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(help="Files or folders: JSON, XML, NDJSON")],
    profile: Annotated[
        list[str] | None,
        typer.Option(help="A profile that every resource is held to, by its canonical url"),
    ] = None,
    package: Annotated[
        list[Path] | None,
        typer.Option(help="A package (.tgz) or folder whose profiles are known too"),
    ] = None,
    form: Annotated[
        Literal["table", "json"], typer.Option("--format", help="table, or json for programs")
    ] = "table",
    quiet: Annotated[bool, typer.Option(help="No progress bar")] = False,
) -> None:
    """Hold resources to R4, to the profiles that they claim and to those named. Exit status 1 if there is an error."""
    from fhir_server.validate_command import run

    raise typer.Exit(run(paths, profile or [], package or [], form, quiet=quiet))


@package.command("add")
def package_add(
    source: Annotated[
        Path,
        typer.Argument(help="An npm-format package (.tgz), or a folder of JSON or XML resources"),
    ],
    packages: Kept = None,
) -> None:
    """Take a package in and pin it; running servers know it after a restart."""
    from fhir_server.package_command import add_package

    raise typer.Exit(add_package(Path(_settings(packages=packages).packages), source))


@package.command("list")
def package_list(packages: Kept = None) -> None:
    """The packages with their versions, what they hold, and what they depend on."""
    from fhir_server.package_command import list_packages

    raise typer.Exit(list_packages(Path(_settings(packages=packages).packages)))


@application.command()
def migrate(database: Database = None) -> None:
    """Bring the database's schema up to date."""
    from fhir_server.store.open import prepare_database

    settings = _settings(database=database)
    with _database_refusals():
        prepare_database(settings.database)
    typer.echo("The schema is up to date")


@application.command("check-store")
def check_store(database: Database = None, base_url: BaseUrl = None) -> None:
    """Recompute index rows, claims and referrals' states and report differences. Exit status 1 if there is one."""
    from itertools import chain

    from fhir_server.booking import checking as booking
    from fhir_server.checking import differences
    from fhir_server.referral import checking as referral

    checked = faulty = 0
    settings = _settings(database=database, base_url=base_url, search_timeout=3600.0)
    with _opened(settings) as (store, context):
        found = chain(
            store.unsound(), booking.faults(store, context), referral.faults(store, context)
        )
        for sentence in found:
            faulty += 1
            typer.echo(sentence, err=True)
        for identity, missing, surplus in differences(store, context):
            checked += 1
            if missing or surplus:
                faulty += 1
                told = f"{identity}: {missing} index rows missing, {surplus} too many"
                typer.echo(told, err=True)
    typer.echo(f"{checked} resources checked, {faulty} with differences")
    raise typer.Exit(1 if faulty else 0)


@application.command()
def reindex(database: Database = None, base_url: BaseUrl = None) -> None:
    """Index every stored resource anew, for settings or projections that changed. Exit status 1 if one was refused."""
    from fhir_server.reindexing import everything
    from fhir_server.server import context_of, store_of

    settings = _settings(database=database, base_url=base_url)
    store = store_of(settings)
    done = changed = refused = 0
    try:
        for identity, told in everything(store, context_of(settings, store)):
            done += 1
            changed += told == "changed"
            if told not in ("", "changed"):
                refused += 1
                typer.echo(f"{identity}: {told}", err=True)
    finally:
        store.close()
    typer.echo(f"{done} resources indexed, {changed} changed, {refused} refused")
    raise typer.Exit(1 if refused else 0)


@application.command()
def capability(base_url: BaseUrl = None) -> None:
    """Print the CapabilityStatement."""
    from fhir_server.interactions.capabilities import statement
    from fhir_server.publishing import catalogue
    from fhir_server.server import operations_of, policy_of
    from fhir_server.spec.json_format import prettify, serialise

    settings = _settings(base_url=base_url)
    made = statement(policy_of(settings, b""), operations_of(settings), catalogue())
    typer.echo(prettify(serialise(made)).decode())


if __name__ == "__main__":
    application()
