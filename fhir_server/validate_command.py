"""fhir-server validate: resources in files held to R4 and to profiles (https://hl7.org/fhir/R4/validation.html)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from fhir_server.loading import Item, files, items
from fhir_server.settings import Settings
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import parse
from fhir_server.spec.positions import Position, Positions
from fhir_server.spec.published import folder
from fhir_server.spec.xml_format import parse_xml
from fhir_server.validation import Validator
from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.guides import with_global_profiles
from fhir_server.validation.profiles.library import CoreDefinitions, Library, Source
from fhir_server.validation.profiles.packages import Folder, Packages, UnreadablePackage, add

_STYLES = {"fatal": "bold red", "error": "red", "warning": "yellow", "information": "dim"}


@dataclass(frozen=True, slots=True)
class Told:
    """One issue of a file, with the line and column of what it is about."""

    file: str
    issue: Issue
    position: Position

    def as_json(self) -> dict[str, Any]:
        """The issue as an object of the JSON form."""
        return {
            "file": self.file,
            "line": self.position[0],
            "column": self.position[1],
            "severity": self.issue.severity,
            "code": self.issue.code,
            "expression": list(self.issue.expression),
            "diagnostics": self.issue.diagnostics,
            "profile": self.issue.profile,
        }


def run(
    paths: Sequence[Path],
    profiles: Sequence[str],
    packages: Sequence[Path],
    form: str,
    *,
    quiet: bool,
) -> int:
    """Validate files and print what is wrong; the exit status: 1 if there is an error, 2 if nothing can be done."""
    for path in paths:
        if not path.exists():
            typer.echo(f"There is no {path}", err=True)
            return 2
    with tempfile.TemporaryDirectory() as scratch:
        try:
            told, checked = _run(_validator(packages, Path(scratch)), paths, profiles, quiet=quiet)
        except UnreadablePackage as refusal:
            typer.echo(str(refusal), err=True)
            return 2
    errors = sum(refused(item.issue) for item in told)
    if form == "json":
        shown = {"checked": checked, "errors": errors, "issues": [item.as_json() for item in told]}
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(told)
        typer.echo(f"{checked} checked, {errors} errors, {len(told) - errors} warnings and hints")
    return 1 if errors else 0


def _validator(packages: Sequence[Path], scratch: Path) -> Validator:
    settings = Settings()
    sources: list[Source] = [CoreDefinitions(), Folder(folder("profiles"))]
    for path in packages:
        add(scratch, path)
    added = [Packages(scratch), Packages(Path(settings.packages))]
    guides = [guide for item in added for guide in item.guides()]
    defaults = with_global_profiles(guides, settings.default_profiles)
    return Validator(Library((*sources, *added)), defaults)


def _run(
    validator: Validator, paths: Sequence[Path], profiles: Sequence[str], *, quiet: bool
) -> tuple[list[Told], int]:
    told: list[Told] = []
    checked = 0
    listed = list(files(paths))
    shown = not quiet and sys.stderr.isatty()
    for path in track(listed, "Validating", console=Console(stderr=True), disable=not shown):
        for item in items(path):
            checked += 1
            told += _check(validator, item, profiles)
    return told, checked


def _check(validator: Validator, item: Item, profiles: Sequence[str]) -> Iterator[Told]:
    assert isinstance(item.content, bytes)
    try:
        resource = parse_xml(item.content) if item.xml else parse(item.content)
    except FhirError as refusal:
        issues = validator.explain_unreadable(refusal, profiles=profiles)
    else:
        issues = validator.explain(resource, profiles=profiles)
    positions = Positions(item.content, xml=item.xml) if any(_places(issues)) else None
    for issue in issues:
        place = next(_places([issue]), None)
        yield Told(item.place, issue, positions.of(place) if positions and place else (1, 1))


def _places(issues: Iterable[Issue]) -> Iterator[str]:
    return (place for issue in issues for place in issue.expression)


def _show(told: Sequence[Told]) -> None:
    if not told:
        return
    table = Table(show_lines=True)
    for name in ("Where", "", "Element", "What"):
        table.add_column(name, overflow="fold")
    for item in told:
        line, column = item.position
        table.add_row(
            Text(f"{item.file}:{line}:{column}"),
            Text(item.issue.severity, style=_STYLES[item.issue.severity]),
            Text("\n".join(item.issue.expression)),
            Text(item.issue.diagnostics),
        )
    Console(width=None if sys.stdout.isatty() else 200).print(table)
