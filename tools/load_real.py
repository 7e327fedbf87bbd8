"""Load real payloads with `fhir-server load`, read each back as JSON and as XML, and compare with what was sent.

python -m tools.load_real [--data FOLDER] [--database URL]

Nothing may differ but id and meta, and of referrals what the server tells (their state and clock): not a digit of a
decimal, not the order of a list or of the properties. Every resource gets an id of its own, so that payloads that share
one do not hide each other.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from lxml import etree

from fhir_server.referral.definitions import extension
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import FhirDecimal, parse, serialise
from fhir_server.spec.xml_format import parse_xml
from tools.serving import ROOT, ServerProcess, command

Json = dict[str, Any]
DATA = ROOT.parent / "shared" / "data"
SOURCES = ("e-rs/patient-care-r4", "e-rs/professional-r4", "bars", "uk-core/examples")
FHIR = "{http://hl7.org/fhir}"
TAKEN_APART = ("searchset", "collection")
DONE = ("batch", "transaction")
_OWNED = {extension("state"), extension("pathway-start")}


@dataclass(frozen=True, slots=True)
class Sample:
    """One resource of the payloads under the id it is loaded with; json: its content, unless it came as XML."""

    source: str
    place: str
    kind: str
    logical_id: str
    document: bytes
    json: Json | None = None

    @property
    def is_done(self) -> bool:
        """Whether it is a request, which is carried out and not stored."""
        if self.kind != "Bundle":
            return False
        value = self.json if self.json is not None else parse_xml(self.document)
        return value.get("type") in DONE

    @property
    def file_name(self) -> str:
        return self.logical_id + (".xml" if self.document.lstrip().startswith(b"<") else ".json")


@dataclass(slots=True)
class Outcome:
    """What came of the samples, by source; differences and refusals as sentences."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def add(self, source: str, what: str) -> None:
        """Count one more."""
        self.counts.setdefault(source, Counter())[what] += 1


def samples(data: Path, outcome: Outcome) -> Iterator[Sample]:
    """The resources of every source; what is no resource is counted and left out."""
    for source in SOURCES:
        for path in sorted((data / source).rglob("*")):
            if path.suffix not in (".json", ".xml"):
                continue
            place = str(path.relative_to(data))
            outcome.add(source, "files")
            found = list(_of_xml(path) if path.suffix == ".xml" else _of_json(path))
            if not found:
                outcome.add(source, "not a resource")
            for below, content in found:
                outcome.add(source, "resources")
                number = sum(counts["resources"] for counts in outcome.counts.values())
                yield _sample(source, place + below, f"real-{number}", content)


def _of_json(path: Path) -> Iterator[tuple[str, Json | bytes]]:
    try:
        value = parse(path.read_bytes())
    except FhirError:
        yield "", path.read_bytes()  # the server tells why
        return
    if not isinstance(value, dict) or "resourceType" not in value:
        return
    if value["resourceType"] == "Bundle" and value.get("type") in TAKEN_APART:
        for number, entry in enumerate(value.get("entry", ())):
            if "resource" in entry:
                yield f" Bundle.entry[{number}]", entry["resource"]
    else:
        yield "", value


def _of_xml(path: Path) -> Iterator[tuple[str, Json | bytes]]:
    root = etree.fromstring(path.read_bytes())
    if (
        root.tag == FHIR + "Bundle"
        and root.xpath("string(*[local-name()='type']/@value)") in TAKEN_APART
    ):
        for number, entry in enumerate(root.iterfind(f"{FHIR}entry/{FHIR}resource/*")):
            yield f" Bundle.entry[{number}]", etree.tostring(entry)
    else:
        yield "", path.read_bytes()


def _sample(source: str, place: str, logical_id: str, content: Json | bytes) -> Sample:
    if isinstance(content, bytes):
        kind, document = _with_id(content, logical_id)
        return Sample(source, place, kind, logical_id, document)
    kept = {name: value for name, value in content.items() if name not in ("id", "meta")}
    kind = str(kept.pop("resourceType"))
    made = {"resourceType": kind, "id": logical_id} | kept
    return Sample(source, place, kind, logical_id, serialise(made), made)


def _with_id(document: bytes, logical_id: str) -> tuple[str, bytes]:
    try:
        root = etree.fromstring(document)
    except etree.XMLSyntaxError:
        return "unknown", document
    for name in ("id", "meta"):
        for element in root.findall(FHIR + name):
            root.remove(element)
    element = etree.Element(FHIR + "id", {"value": logical_id})
    root.insert(0, element)
    return etree.QName(root).localname, etree.tostring(root)


def write(found: list[Sample], folder: Path) -> dict[str, Sample]:
    """A file for each sample; the samples by the name of their file."""
    written = {}
    for sample in found:
        target = folder / sample.file_name
        target.write_bytes(sample.document)
        written[str(target)] = sample
    return written


def load(written: dict[str, Sample], folder: Path, database: str, outcome: Outcome) -> set[str]:
    """Load the folder; the ids of what was refused, with every reason told in the outcome."""
    done = subprocess.run(
        command("load", str(folder), "--database", database, "--quiet"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    refused: set[str] = set()
    for line in done.stderr.splitlines():
        told = re.match(r"(.+?\.(?:json|xml))( Bundle\.entry\[\d+\])?: (.*)", line)
        if told is None or told[1] not in written:
            outcome.differences.append(f"load said: {line}")
            continue
        sample = written[told[1]]
        if told[2] is None or not sample.is_done:
            refused.add(sample.logical_id)
        outcome.refusals.append(f"{sample.place}{told[2] or ''}: {told[3]}")
    stored = re.search(r"(\d+) stored", done.stdout)
    kept = sum(1 for sample in written.values() if not sample.is_done) - len(refused)
    if stored is None or int(stored[1]) < kept:
        outcome.differences.append(f"load counted: {done.stdout.strip()}")
    return refused


class Reader:
    """Reads resources over one connection."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port)

    def close(self) -> None:
        self.connection.close()

    def read(self, sample: Sample, media_type: str) -> bytes:
        """The body of the resource in that format; an empty one when the status is not 200."""
        path = f"/fhir/{sample.kind}/{sample.logical_id}"
        self.connection.request("GET", path, headers={"Accept": media_type})
        answer = self.connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else b""


def compare(sample: Sample, reader: Reader, outcome: Outcome) -> None:
    """Count whether the resource came back as it was sent, in both formats."""
    as_json = reader.read(sample, "application/fhir+json")
    as_xml = reader.read(sample, "application/fhir+xml")
    if not as_json or not as_xml:
        outcome.differences.append(f"{sample.place}: was stored but cannot be read")
        return
    came = _without_meta(parse(as_json))
    if sample.json is not None:
        sent = _without_meta(sample.json)
        same_json = _exact(came) == _exact(sent)
        same_xml = _exact(_without_meta(parse_xml(as_xml))) == _sorted_as(sent, as_xml)
    else:
        same_xml = _canonical(as_xml) == _canonical(sample.document)
        same_json = _exact(came) == _exact(_without_meta(parse_xml(sample.document)))
    for name, same in (("JSON", same_json), ("XML", same_xml)):
        if same:
            outcome.add(sample.source, f"same {name}")
        else:
            outcome.differences.append(f"{sample.place}: differs when read as {name}")


def _without_meta(resource: Json) -> Json:
    """What the client has said: of a referral, the state and the clock are the server's to tell."""
    kept = {name: value for name, value in resource.items() if name != "meta"}
    if resource.get("resourceType") == "ServiceRequest":
        listed = [item for item in kept.pop("extension", ()) if item.get("url") not in _OWNED]
        if listed:
            kept["extension"] = listed
    return kept


def _exact(value: Any) -> Any:
    """A value that is equal only if everything is: order of properties, digits of decimals, types of numbers."""
    if isinstance(value, dict):
        return [(name, _exact(child)) for name, child in value.items()]
    if isinstance(value, list):
        return ["list", *map(_exact, value)]
    if isinstance(value, FhirDecimal):
        return ("decimal", value.text)
    return (type(value).__name__, value)


def _sorted_as(resource: Json, document: bytes) -> Any:
    """The exact form of a JSON resource with its properties in the order that XML gives them."""
    return _exact(_ordered(resource, _without_meta(parse_xml(document))))


def _ordered(value: Any, like: Any) -> Any:
    if isinstance(value, dict) and isinstance(like, dict):
        names = [name for name in like if name in value]
        names += [name for name in value if name not in like]
        return {name: _ordered(value[name], like.get(name)) for name in names}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_ordered(item, other) for item, other in zip(value, like, strict=True)]
    return value


def _canonical(document: bytes) -> bytes:
    """The document without white space between elements, comments and meta."""
    root = etree.fromstring(document, etree.XMLParser(remove_blank_text=True, remove_comments=True))
    for element in root.findall(FHIR + "meta"):
        root.remove(element)
    made: bytes = etree.tostring(root, method="c14n", exclusive=True)
    return made


def run(data: Path, database: str) -> Outcome:
    """Load and compare everything."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="fhir-real-") as name:
        folder = Path(name)
        written = write(list(samples(data, outcome)), folder)
        refused = load(written, folder, database, outcome)
    with ServerProcess(database) as server, closing(Reader(server.port)) as reader:
        for sample in written.values():
            if sample.logical_id in refused:
                outcome.add(sample.source, "refused")
            elif sample.is_done:
                outcome.add(sample.source, "carried out")
            else:
                compare(sample, reader, outcome)
    return outcome


def main() -> int:
    """Print what came of it; exit status 1 when something changed on its way."""
    parser = argparse.ArgumentParser(prog="python -m tools.load_real", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--database", help="the URL of an empty database (default: temporary)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fhir-real-") as folder:
        outcome = run(given.data, given.database or f"sqlite:///{folder}/fhir.sqlite")
    columns = (
        "files",
        "not a resource",
        "resources",
        "refused",
        "carried out",
        "same JSON",
        "same XML",
    )
    print("| source | " + " | ".join(columns) + " |")
    print("|---|" + "---:|" * len(columns))
    for source, counts in outcome.counts.items():
        print(f"| {source} | " + " | ".join(str(counts[name]) for name in columns) + " |")
    for title, sentences in (("Refused", outcome.refusals), ("Different", outcome.differences)):
        print(f"\n{title}: {len(sentences)}")
        for sentence in sentences:
            print(f"- {sentence}")
    return 1 if outcome.differences else 0


if __name__ == "__main__":
    sys.exit(main())
