"""Loading files into a store, through the same calls as the RESTful API.

A resource with an id is updated (or created under it), one without is created. The entries of a searchset or
collection Bundle are loaded one by one; batch and transaction Bundles are run; documents and messages are stored.
https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, Context, Request, Result
from fhir_server.interactions.grammar import parse_call
from fhir_server.interactions.perform import execute, perform, prepare
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import parse
from fhir_server.spec.xml_format import parse_xml
from fhir_server.store.contract import Store
from fhir_server.store.promise import Promise

Json = dict[str, Any]
_SUFFIXES = (".json", ".xml", ".ndjson", ".jsonl")
_IN_FLIGHT = 512
# From so many on the database's statistics may tell of another database than there is now.
_MANY = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to load: where it stands, and its bytes (not parsed yet) or a resource out of a Bundle."""

    place: str
    content: bytes | Json
    xml: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not stored, and every reason."""

    place: str
    reasons: tuple[str, ...]


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                item
                for item in path.rglob("*")
                if item.suffix.lower() in _SUFFIXES and item.is_file()
            )
        else:
            yield path


def items(path: Path) -> Iterator[Item]:
    """The resources of a file; NDJSON is read line by line, so a large file needs little memory. Raises OSError."""
    suffix = path.suffix.lower()
    if suffix in (".ndjson", ".jsonl"):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield Item(f"{path}:{number}", line)
    else:
        yield Item(str(path), path.read_bytes(), suffix == ".xml")


class Loading:
    """One run of `load`: counts the resources that were stored and keeps what was refused."""

    def __init__(self, store: Store, context: Context) -> None:
        self.store = store
        # What happened is recorded: seats are taken, but what may be booked now is not the question.
        self.context = replace(context, recording=True)
        self.stored = 0
        self.refusals: list[Refusal] = []
        self.pending: deque[tuple[str, Call, Promise[Result]]] = deque()
        self.writing: set[tuple[str, str] | None] = set()
        # A reference is checked against what is committed, so nothing may overtake what it refers to.
        self.in_flight = 0 if context.policy.referential_integrity else _IN_FLIGHT

    def run(self, paths: Iterable[Path], *, show_progress: bool) -> None:
        """Load every file; a fault ends only the resource it is in."""
        listed = list(files(paths))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[stored]} stored"),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=Console(stderr=True), disable=not show_progress
        ) as progress:
            task = progress.add_task("Loading", total=sum(map(_size, listed)), stored=0)
            for path in listed:
                try:
                    for item in items(path):
                        self._load(item)
                        progress.update(task, advance=len(item.content), stored=self.stored)
                except OSError as error:
                    told = f"cannot be read: {error.strerror}"
                    self.refusals.append(Refusal(str(path), (told,)))
            self._settle(0)
            progress.update(task, stored=self.stored)
        if self.stored >= _MANY:
            self.store.gather_statistics()

    def _load(self, item: Item) -> None:
        try:
            resource = self._resource(item)
            if resource["resourceType"] != "Bundle":
                self._submit(item.place, _write(resource))
                return
            match resource.get("type"):
                case "searchset" | "collection":
                    self._load_entries(resource, item.place)
                case "batch" | "transaction":
                    self._submit(item.place, parse_call(Request("POST", "", body=resource)))
                case _:
                    self._submit(item.place, _write(resource))
        except FhirError as refusal:
            self._refuse(item.place, refusal.issues)

    @staticmethod
    def _resource(item: Item) -> Json:
        if isinstance(item.content, dict):
            return item.content
        parsed = parse_xml(item.content) if item.xml else parse(item.content)
        if not isinstance(parsed, dict) or not isinstance(parsed.get("resourceType"), str):
            raise errors.malformed("This is not a FHIR resource: it has no resourceType")
        return parsed

    def _load_entries(self, bundle: Json, place: str) -> None:
        """Every resource of a Bundle but what a search has to say about itself (search.mode outcome)."""
        entries = bundle.get("entry", [])
        if not isinstance(entries, list):
            raise errors.malformed("entry must be a list", "Bundle.entry")
        for number, entry in enumerate(entries):
            match entry:
                case {"search": {"mode": "outcome"}}:
                    continue
                case {"resource": {"resourceType": str()} as resource}:
                    self._load(Item(f"{place} Bundle.entry[{number}]", resource))
                case _:
                    refusal = errors.required(
                        "The entry holds no resource", "Bundle.entry.resource"
                    )
                    self._refuse(f"{place} Bundle.entry[{number}]", refusal.issues)

    def _submit(self, place: str, call: Call) -> None:
        if isinstance(call, calls.Batch):
            self._settle(0)
            self._tell(place, execute(call, self.context, self.store))
            return
        prepared = prepare(call, self.context)
        identity = _identity(call)
        if isinstance(call, calls.Transaction) or (identity and identity in self.writing):
            # Of two versions of one resource the later must win.
            self._settle(0)
        work = partial(perform, prepared, self.context)
        self.pending.append((place, call, self.store.submit(work)))
        self.writing.add(identity)
        self._settle(self.in_flight)

    def _settle(self, remaining: int) -> None:
        """Wait until at most so many writes are under way."""
        while len(self.pending) > remaining:
            place, call, future = self.pending.popleft()
            self.writing.discard(_identity(call))
            try:
                result = future.result()
            except FhirError as refusal:
                self._refuse(place, refusal.issues)
            else:
                if isinstance(call, calls.Transaction):
                    self._tell(place, result)
                else:
                    self.stored += 1

    def _tell(self, place: str, result: Result) -> None:
        """Count what the entries of a batch or transaction stored, and report those that were refused."""
        assert result.body is not None
        for number, entry in enumerate(parse(result.body).get("entry", ())):
            response = entry["response"]
            if response["status"] >= "4":
                issues = response["outcome"]["issue"]
                self._refuse(
                    f"{place} Bundle.entry[{number}]",
                    [Issue(i["severity"], i["code"], i["diagnostics"]) for i in issues],
                )
            elif "location" in response:
                self.stored += 1

    def _refuse(self, place: str, issues: Sequence[Issue]) -> None:
        reasons = []
        for issue in issues:
            where = f" at {', '.join(issue.expression)}" if issue.expression else ""
            reasons.append(f"{issue.code}{where}: {issue.diagnostics}")
        self.refusals.append(Refusal(place, tuple(reasons)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _write(resource: Json) -> Call:
    kind = resource["resourceType"]
    logical_id = resource.get("id")
    if logical_id is None:
        return parse_call(Request("POST", kind, body=resource))
    if not isinstance(logical_id, str):
        raise errors.malformed("The id is not a string", f"{kind}.id")
    return parse_call(Request("PUT", f"{kind}/{quote(logical_id, safe='')}", body=resource))


def _identity(call: Call) -> tuple[str, str] | None:
    return (call.resource_type, call.logical_id) if isinstance(call, calls.Update) else None
