"""The command line: fhir-server serve, load, migrate, check-store, capability."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from fhir_server.settings import Settings

application = typer.Typer(
    help="A FHIR R4 server for referrals and appointments.",
    no_args_is_help=True,
    add_completion=False,
)

Database = Annotated[
    str | None, typer.Option(help="sqlite:///path or postgresql+psycopg://user@host/name")
]
BaseUrl = Annotated[str | None, typer.Option(help="The FHIR base as clients see it")]


def _settings(**given: Any) -> Settings:
    """The settings with what the command line says on top; a wrong one ends the command with a sentence."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors():
            name = ".".join(str(item) for item in fault["loc"])
            typer.echo(f"Setting {name or '?'}: {fault['msg']}", err=True)
        raise typer.Exit(2) from None


@application.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on")] = None,
    database: Database = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve")] = None,
    base_url: BaseUrl = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error")] = None,
) -> None:
    """Serve FHIR at /fhir until SIGTERM or Ctrl-C; running requests are finished first."""
    import uvicorn

    from fhir_server.store.checks import UnsafeDatabase
    from fhir_server.store.open import prepare_database

    settings = _settings(
        host=host,
        port=port,
        database=database,
        workers=workers,
        base_url=base_url,
        log_level=log_level,
    )
    try:
        prepare_database(settings.database)
    except UnsafeDatabase as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(3) from None
    # Workers are fresh processes: they read the settings from the environment.
    for name, value in settings.model_dump().items():
        os.environ[f"FHIR_{name.upper()}"] = str(value)
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
    from fhir_server.server import context_of, store_of

    settings = _settings(database=database, base_url=base_url)
    missing = [path for path in paths if not path.exists()]
    if missing:
        typer.echo(f"There is no {missing[0]}", err=True)
        raise typer.Exit(2)
    store = store_of(settings)
    try:
        loading = Loading(store, context_of(settings, store))
        loading.run(paths, show_progress=not quiet and sys.stderr.isatty())
    finally:
        store.close()
    for refusal in loading.refusals:
        typer.echo(f"{refusal.place}: {refusal.reason}", err=True)
    typer.echo(f"{loading.stored} stored, {len(loading.refusals)} refused")
    raise typer.Exit(1 if loading.refusals else 0)


@application.command()
def migrate(database: Database = None) -> None:
    """Bring the database's schema up to date."""
    from fhir_server.store.open import prepare_database

    prepare_database(_settings(database=database).database)
    typer.echo("The schema is up to date")


@application.command("check-store")
def check_store(database: Database = None, base_url: BaseUrl = None) -> None:
    """Recompute index rows and claims from the resources and report differences. Exit status 1 if there is one."""
    from fhir_server.booking.checking import faults
    from fhir_server.checking import differences
    from fhir_server.server import context_of, store_of

    settings = _settings(database=database, base_url=base_url)
    store = store_of(settings)
    checked = faulty = 0
    try:
        context = context_of(settings, store)
        for sentence in faults(store, context):
            faulty += 1
            typer.echo(sentence, err=True)
        for identity, missing, surplus in differences(store, context):
            checked += 1
            if missing or surplus:
                faulty += 1
                typer.echo(
                    f"{identity}: {missing} index rows missing, {surplus} too many", err=True
                )
    finally:
        store.close()
    typer.echo(f"{checked} resources checked, {faulty} with differences")
    raise typer.Exit(1 if faulty else 0)


@application.command()
def capability(base_url: BaseUrl = None) -> None:
    """Print the CapabilityStatement."""
    from fhir_server.interactions.capabilities import statement
    from fhir_server.server import operations_of, policy_of
    from fhir_server.spec.json_format import prettify, serialise

    settings = _settings(base_url=base_url)
    typer.echo(
        prettify(serialise(statement(policy_of(settings, b""), operations_of(settings)))).decode()
    )


if __name__ == "__main__":
    application()
