"""A run of the fuzz test: inputs in order of their numbers, each made from the seed and its number alone."""

from __future__ import annotations

import gc
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.xml_format import parse_xml, serialise_xml
from fhir_server.validation import Validator, status
from tools.validation_fuzz.mutations import mutate_bytes, mutate_resource

Json = dict[str, Any]

# What an input may take: so much in any case, and so much for each byte. The first allows for a structure that is
# compiled, or a value set that is expanded, for the first time; what is slow is run again before it is told.
LEAST_SECONDS: Final = 0.1
SECONDS_A_BYTE: Final = 20e-6
LONGEST_SEED: Final = 60_000


@dataclass(frozen=True, slots=True)
class Corpus:
    """What inputs are made from."""

    json: tuple[bytes, ...]
    xml: tuple[bytes, ...]
    resources: tuple[Json, ...]


def read_corpus(folders: Iterable[Path]) -> Corpus:
    """The files of folders that are resources and not too long, and each one in the other format as well."""
    found: dict[bytes, Json] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix not in (".json", ".xml") or path.stat().st_size > LONGEST_SEED:
                continue
            body = path.read_bytes()
            try:
                resource = parse_xml(body) if path.suffix == ".xml" else parse(body)
                found[serialise(resource)] = resource
            except FhirError:
                continue
    xml = []
    for resource in found.values():
        try:
            xml.append(serialise_xml(resource))
        except (FhirError, ValueError, KeyError, TypeError, AttributeError):
            continue  # no R4, which only R4's own elements can be written of
    return Corpus(tuple(found), tuple(xml), tuple(found.values()))


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that broke something."""

    number: int
    kind: str
    says: str
    body: bytes

    @property
    def name(self) -> str:
        """A name for its file."""
        return f"{self.number}-{self.kind}.txt"

    def told(self) -> str:
        """What happened, in a few lines."""
        return f"input {self.number} ({self.kind}, {len(self.body)} bytes): {self.says}"


@dataclass(slots=True)
class Run:
    """Counts by kind of input and what became of it; failures: where in the code -> the first input of that failure."""

    validator: Validator
    corpus: Corpus
    seed: int
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: dict[str, Failure] = field(default_factory=dict)
    slowest: float = 0.0
    slowest_input: str = ""

    def step(self, number: int) -> None:
        """One input."""
        random = Random(f"{self.seed}/{number}")
        kind = ("json", "xml", "resource")[number % 3]
        match kind:
            case "json":
                body = mutate_bytes(random.choice(self.corpus.json), self.corpus.json, random)
                self._measured(number, kind, body, lambda: self._parsed(parse, body))
            case "xml":
                body = mutate_bytes(random.choice(self.corpus.xml), self.corpus.xml, random)
                self._measured(number, kind, body, lambda: self._parsed(parse_xml, body))
            case _:
                resources = self.corpus.resources
                changed = mutate_resource(random.choice(resources), resources, random)
                shown = json.dumps(changed, default=str).encode()
                self._measured(number, kind, shown, lambda: self._validated(changed))

    def _parsed(self, parser: Callable[[bytes], Any], body: bytes) -> str:
        try:
            resource = parser(body)
        except FhirError as refusal:
            self.validator.explain_unreadable(refusal)
            return "unreadable"
        return self._validated(resource)

    def _validated(self, resource: Any) -> str:
        refusals = self.validator.validate(resource)
        self.validator.explain(resource)
        return f"refused {status(refusals)}" if refusals else "valid"

    def _measured(self, number: int, kind: str, body: bytes, act: Callable[[], str]) -> None:
        allowed = LEAST_SECONDS + SECONDS_A_BYTE * len(body)
        took, became = _timed(act)
        if took > allowed:
            gc.collect()
            took, became = min(_timed(act), _timed(act))
        self.counts[kind, became.partition(":")[0]] += 1
        if became.startswith("raised"):
            _, _, says = became.partition(":")
            self.failures.setdefault(says[-200:], Failure(number, kind, says, body))
        elif took > allowed:
            says = f"took {took:.3f} s; {allowed:.3f} are allowed"
            self.failures.setdefault(f"slow {number}", Failure(number, kind, says, body))
        if took > self.slowest:
            self.slowest = took
            self.slowest_input = f"input {number} ({kind}, {len(body)} bytes)"

    def told(self) -> str:
        """The counts so far."""
        total = sum(self.counts.values())
        parts = ", ".join(
            f"{kind} {became} {count}" for (kind, became), count in sorted(self.counts.items())
        )
        return (
            f"{total} inputs: {parts}; {len(self.failures)} failures; the slowest took "
            f"{self.slowest:.3f} s, {self.slowest_input}"
        )


def _timed(act: Callable[[], str]) -> tuple[float, str]:
    began = time.process_time()
    try:
        became = act()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        frames = traceback.extract_tb(error.__traceback__)
        place = " < ".join(f"{Path(item.filename).name}:{item.lineno}" for item in frames[:-5:-1])
        became = f"raised:{type(error).__name__}: {str(error)[:150]} at {place}"
    return time.process_time() - began, became
