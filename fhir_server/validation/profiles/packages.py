"""Packages of conformance resources: npm-format archives and folders, pinned in a file, read lazily.

https://hl7.org/fhir/R4/packages.html
A package is kept as one zip archive: its members are JSON, and index.json says which canonical url is in which.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import orjson

from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.xml_format import parse_xml

Json = dict[str, Any]

PINS: Final = "packages.json"
_INDEX: Final = "index.json"
_FIXED_TIME: Final = (2019, 11, 1, 0, 0, 0)
# What the server is made of; a package that asks for it has it.
BUILT_IN: Final = {"hl7.fhir.r4.core": "4.0.1"}
_LARGEST_MEMBER: Final = 100_000_000
_SKIPPED: Final = frozenset({"example", "examples", "other", "node_modules", "openapi", "xml"})


_GUIDE: Final = "ImplementationGuide"


class UnreadablePackage(ValueError):
    """What was given is no package; the text says why, and what would be."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One package that is loaded: archive is its file beside the pins, sha256 that of the archive."""

    name: str
    version: str
    archive: str
    sha256: str
    dependencies: dict[str, str] = field(default_factory=dict)
    resources: int = 0


@dataclass(frozen=True, slots=True)
class Added:
    """What came of adding a package. unread: files that are no FHIR, and why."""

    pin: Pin
    counts: dict[str, int]
    unread: tuple[tuple[str, str], ...]


def pins(folder: Path) -> tuple[Pin, ...]:
    """The packages that a folder pins, in the order in which they were added. Raises UnreadablePackage."""
    path = folder / PINS
    if not path.is_file():
        return ()
    try:
        listed = orjson.loads(path.read_bytes())["packages"]
        return tuple(Pin(**item) for item in listed)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise UnreadablePackage(f"{path} is no list of packages; restore it or delete it") from None


def add(folder: Path, source: Path) -> Added:
    """Take an npm-format archive or a folder of conformance resources in; an older version of it is replaced.

    Raises UnreadablePackage when there is nothing to take.
    """
    if not source.exists():
        raise UnreadablePackage(f"There is no {source}")
    files = _folder_files(source) if source.is_dir() else _archive_files(source)
    manifest: Json = {}
    members: dict[str, bytes] = {}
    index: list[Json] = []
    counts: dict[str, int] = {}
    unread: list[tuple[str, str]] = []
    for name, content in files:
        if PurePosixPath(name).name == "package.json":
            manifest = manifest or _manifest(content)
            continue
        try:
            resource = parse_xml(content) if name.endswith(".xml") else parse(content)
        except FhirError as error:
            unread.append((name, error.issues[0].diagnostics))
            continue
        if not _is_conformance(resource):
            continue
        kind: str = resource["resourceType"]
        counts[kind] = counts.get(kind, 0) + 1
        member = f"{kind}-{len(members)}.json"
        members[member] = serialise(resource)
        index.append(
            {
                "type": kind,
                "url": resource["url"],
                "version": resource.get("version"),
                "member": member,
            }
        )
    if not members:
        raise UnreadablePackage(
            f"{source} has no conformance resource (JSON or XML with a resourceType and a url)"
        )
    pin = _keep(folder, source, manifest, members, index)
    return Added(pin, dict(sorted(counts.items())), tuple(unread))


def check_pins(folder: Path) -> tuple[Path, ...]:
    """The archives of the packages that a folder pins. Raises UnreadablePackage when one is not as it was pinned."""
    paths = []
    for pin in pins(folder):
        path = folder / pin.archive
        if not path.is_file():
            raise UnreadablePackage(f"{path} is pinned, but it is not there; add the package again")
        if hashlib.sha256(path.read_bytes()).hexdigest() != pin.sha256:
            raise UnreadablePackage(
                f"{path} is not the archive that was pinned; add the package again"
            )
        paths.append(path)
    return tuple(paths)


def _manifest(content: bytes) -> Json:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise UnreadablePackage("Its package.json is no JSON") from None
    return found if isinstance(found, dict) else {}


def _is_conformance(resource: object) -> bool:
    return (
        isinstance(resource, dict)
        and is_resource_type(str(resource.get("resourceType")))
        and isinstance(resource.get("url"), str)
    )


def _folder_files(source: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.suffix.lower() in (".json", ".xml") and not _SKIPPED & {*inside.parts[:-1]}:
            yield inside.as_posix(), path.read_bytes()


def _archive_files(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(source, "r:gz") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if (
                    not member.isfile()
                    or name.suffix.lower() not in (".json", ".xml")
                    or name.name == ".index.json"
                    or _SKIPPED & {*name.parts[:-1]}
                ):
                    continue
                if member.size > _LARGEST_MEMBER:
                    raise UnreadablePackage(
                        f"{member.name} has {member.size} bytes; that is too many"
                    )
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()
    except (tarfile.TarError, EOFError, OSError):
        raise UnreadablePackage(
            f"{source} is no npm-format package (.tgz); give one, or a folder of JSON or XML files"
        ) from None


def _keep(
    folder: Path, source: Path, manifest: Json, members: dict[str, bytes], index: list[Json]
) -> Pin:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, body in {_INDEX: orjson.dumps(index), **members}.items():
            member = zipfile.ZipInfo(name, _FIXED_TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, body)
    name = str(manifest.get("name") or source.name.removesuffix(".tgz"))
    version = str(manifest.get("version") or "0.0.0")
    asked = manifest.get("dependencies")
    pin = Pin(
        name=name,
        version=version,
        archive=f"{_plain(name)}-{_plain(version)}.zip",
        sha256=hashlib.sha256(content.getvalue()).hexdigest(),
        dependencies={str(key): str(value) for key, value in asked.items()}
        if isinstance(asked, dict)
        else {},
        resources=len(members),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / pin.archive).write_bytes(content.getvalue())
    kept = [item for item in pins(folder) if item.name != name]
    listed = {"packages": [asdict(item) for item in (*kept, pin)]}
    (folder / PINS).write_bytes(orjson.dumps(listed, option=orjson.OPT_INDENT_2) + b"\n")
    return pin


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def missing_dependencies(listed: Iterable[Pin]) -> Iterator[tuple[Pin, str, str]]:
    """(package, name, version) for each dependency that no listed package of that name meets."""
    listed = tuple(listed)
    names = {item.name.lower() for item in listed} | BUILT_IN.keys()
    for pin in listed:
        for name, version in pin.dependencies.items():
            if name.lower() not in names:
                yield pin, name, version


class Packages:
    """A library's source: the packages that a folder pins; nothing is read before the first question.

    Raises UnreadablePackage when an archive is missing or not the one that was pinned.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._places: (
            dict[tuple[str, str], list[tuple[str | None, zipfile.ZipFile, str]]] | None
        ) = None

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that canonical url; without a version that of the package added last."""
        with self._lock:
            if self._places is None:
                self._places = self._read()
            for known, archive, member in reversed(self._places.get((resource_type, url), [])):
                if version is None or _is_version(known, version):
                    found: Json = parse(archive.read(member))
                    return found
        return None

    def urls(self, resource_type: str) -> list[str]:
        """The canonical urls of a type, sorted."""
        with self._lock:
            if self._places is None:
                self._places = self._read()
        return sorted(url for kind, url in self._places if kind == resource_type)

    def guides(self) -> list[Json]:
        """The ImplementationGuides: whoever adds a package wants what it applies to everything."""
        found = (self.find(_GUIDE, url, None) for url in self.urls(_GUIDE))
        return [item for item in found if item is not None]

    def _read(self) -> dict[tuple[str, str], list[tuple[str | None, zipfile.ZipFile, str]]]:
        places: dict[tuple[str, str], list[tuple[str | None, zipfile.ZipFile, str]]] = {}
        for path in check_pins(self._folder):
            archive = zipfile.ZipFile(path)
            for item in orjson.loads(archive.read(_INDEX)):
                places.setdefault((item["type"], item["url"]), []).append(
                    (item["version"], archive, item["member"])
                )
        return places


class Folder:
    """A library's source: the JSON conformance resources in a folder, read when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Json] | None = None

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that canonical url, and version if one is named."""
        with self._lock:
            if self._known is None:
                self._known = self._read()
        found = self._known.get((resource_type, url))
        if found is None or (
            version is not None and not _is_version(found.get("version"), version)
        ):
            return None
        return found

    def _read(self) -> dict[tuple[str, str], Json]:
        known = {}
        for path in sorted(self._folder.glob("*.json")):
            resource = parse(path.read_bytes())
            if _is_conformance(resource):
                known[resource["resourceType"], resource["url"]] = resource
        return known


def _is_version(known: object, asked: str) -> bool:
    """Whether a version is the one asked for; 1.2 asks for any 1.2.x."""
    return isinstance(known, str) and (known == asked or known.startswith(asked + "."))
