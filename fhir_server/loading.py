"""Loading files into a store, through the same calls as the RESTful API.

A resource with an id is updated (or created under it), one without is created. The entries of a searchset or
collection Bundle are loaded one by one; batch and transaction Bundles are run; documents and messages are stored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, Context, Request, Result
from fhir_server.interactions.grammar import parse_call
from fhir_server.interactions.perform import execute, perform, prepare
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse
from fhir_server.spec.xml_format import parse_xml
from fhir_server.store.contract import Store

Json = dict[str, Any]
_SUFFIXES = (".json", ".xml", ".ndjson", ".jsonl")
_IN_FLIGHT = 512


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to load: where it stands, and its bytes (not parsed yet) or a resource out of a Bundle."""

    place: str
    content: bytes | Json
    xml: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not stored, and why."""

    place: str
    reason: str


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(item for item in path.rglob("*") if item.suffix.lower() in _SUFFIXES)
        else:
            yield path


def items(path: Path) -> Iterator[Item]:
    """The resources of a file; NDJSON is read line by line, so a large file needs little memory."""
    suffix = path.suffix.lower()
    if suffix in (".ndjson", ".jsonl"):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield Item(f"{path}:{number}", line)
    else:
        yield Item(str(path), path.read_bytes(), suffix == ".xml")


class Loading:
    """One run of `load`: counts what was stored and keeps what was refused."""

    def __init__(self, store: Store, context: Context) -> None:
        self.store = store
        # What happened is recorded: seats are taken, but what may be booked now is not the question.
        self.context = replace(context, recording=True)
        self.stored = 0
        self.refusals: list[Refusal] = []
        self.pending: deque[tuple[str, Future[Result]]] = deque()

    def run(self, paths: Iterable[Path], *, show_progress: bool) -> None:
        """Load every file; a fault ends only the resource it is in."""
        listed = list(files(paths))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[stored]} stored"),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=Console(stderr=True), disable=not show_progress
        ) as progress:
            task = progress.add_task("Loading", total=len(listed), stored=0)
            for path in listed:
                for item in items(path):
                    self._load(item)
                    if self.stored % 200 == 0:
                        progress.update(task, stored=self.stored)
                progress.advance(task)
            self._settle(0)
            progress.update(task, stored=self.stored)

    def _load(self, item: Item) -> None:
        try:
            resource = self._resource(item)
            for place, call in self._calls(resource, item.place):
                self._submit(place, call)
        except FhirError as refusal:
            self._refuse(item.place, refusal)

    @staticmethod
    def _resource(item: Item) -> Json:
        if isinstance(item.content, dict):
            return item.content
        parsed = parse_xml(item.content) if item.xml else parse(item.content)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
            raise errors.malformed("This is not a FHIR resource: it has no resourceType")
        return parsed

    def _calls(self, resource: Json, place: str) -> Iterator[tuple[str, Call]]:
        if resource["resourceType"] == "Bundle" and resource.get("type") in (
            "searchset",
            "collection",
        ):
            entries = resource.get("entry", [])
            for number, entry in enumerate(entries if isinstance(entries, list) else ()):
                below = entry.get("resource") if isinstance(entry, dict) else None
                where = f"{place} Bundle.entry[{number}]"
                if isinstance(below, dict):
                    self._load(Item(where, below))
        elif resource["resourceType"] == "Bundle" and resource.get("type") in (
            "batch",
            "transaction",
        ):
            yield place, parse_call(Request("POST", "", body=resource))
        else:
            kind = resource["resourceType"]
            logical_id = resource.get("id")
            if logical_id is None:
                yield place, parse_call(Request("POST", kind, body=resource))
            elif isinstance(logical_id, str):
                yield place, parse_call(Request("PUT", f"{kind}/{logical_id}", body=resource))
            else:
                raise errors.malformed("The id is not a string", f"{kind}.id")

    def _submit(self, place: str, call: Call) -> None:
        try:
            if isinstance(call, calls.Batch):
                self._settle(0)
                execute(call, self.context, self.store)
                self.stored += 1
                return
            prepared = prepare(call, self.context)
        except FhirError as refusal:
            self._refuse(place, refusal)
            return
        work = partial(perform, prepared, self.context)
        self.pending.append((place, self.store.submit(work)))
        self._settle(_IN_FLIGHT)

    def _settle(self, remaining: int) -> None:
        """Wait until at most so many writes are under way."""
        while len(self.pending) > remaining:
            place, future = self.pending.popleft()
            try:
                future.result()
                self.stored += 1
            except FhirError as refusal:
                self._refuse(place, refusal)

    def _refuse(self, place: str, refusal: FhirError) -> None:
        for issue in refusal.issues:
            where = f" at {', '.join(issue.expression)}" if issue.expression else ""
            self.refusals.append(Refusal(place, f"{issue.code}{where}: {issue.diagnostics}"))
