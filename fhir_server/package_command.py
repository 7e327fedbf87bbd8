"""fhir-server package: which packages of profiles the server knows (https://hl7.org/fhir/R4/packages.html)."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import (
    Added,
    Packages,
    UnreadablePackage,
    add,
    missing_dependencies,
    pins,
)


def add_package(folder: Path, source: Path) -> int:
    """Take a package in, pin it, and tell what is in it and what is wrong with it; the exit status."""
    try:
        added = add(folder, source)
    except UnreadablePackage as refusal:
        typer.echo(str(refusal), err=True)
        return 2
    typer.echo(f"{added.pin.name} {added.pin.version}: {_counted(added)}")
    for name, why in added.unread:
        typer.echo(f"Left out {name}: {why}", err=True)
    _tell_faults(folder)
    _tell_dependencies(folder)
    return 0


def _counted(added: Added) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in added.counts.items())


def _tell_faults(folder: Path) -> None:
    source = Packages(folder)
    library = Library((CoreDefinitions(), source))
    for url in source.urls("StructureDefinition"):
        for fault in library.problems(url):
            typer.echo(f"{url}: {fault.path} {fault.says}", err=True)


def _tell_dependencies(folder: Path) -> None:
    for pin, name, version in missing_dependencies(pins(folder)):
        typer.echo(f"{pin.name} depends on {name} {version}, which is not here; add it", err=True)


def list_packages(folder: Path) -> int:
    """Print the packages with their versions, what they hold, and what they depend on; the exit status."""
    try:
        listed = pins(folder)
    except UnreadablePackage as refusal:
        typer.echo(str(refusal), err=True)
        return 2
    table = Table("Package", "Version", "Resources", "Depends on")
    for pin in listed:
        asked = ", ".join(f"{name} {version}" for name, version in pin.dependencies.items())
        table.add_row(pin.name, pin.version, str(pin.resources), asked)
    Console().print(table)
    _tell_dependencies(folder)
    return 0
