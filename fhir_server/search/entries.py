"""Index entries: what a search can find a resource by (https://hl7.org/fhir/R4/search.html#ptypes).

`parameter` is the number of a (resource type, search parameter code) pair, see fhir_server.search.parameters.
Entries are hashable values: the difference between two versions is a set difference. Some thirty are made at every
write, so they are tuples; those of different classes never are equal, as a parameter's entries are of one class.
"""

from __future__ import annotations

from typing import NamedTuple


class TokenEntry(NamedTuple):
    """A code and its system: "" when the value has none, which is what `|code` asks for."""

    parameter: int
    system: str
    code: str


class StringEntry(NamedTuple):
    """A string as written, and folded (no case, no accents, single blanks) as starts-with compares it."""

    parameter: int
    folded: str
    value: str


class ReferenceEntry(NamedTuple):
    """A reference: to a resource of this server (target_type and target_id) or to an absolute url elsewhere.

    Exactly one of target_type and url is not empty. version is that of a versioned reference or canonical, else "".
    """

    parameter: int
    target_type: str
    target_id: str
    url: str
    version: str


class DateEntry(NamedTuple):
    """The range [low, high) in microseconds since 1970-01-01T00:00Z that a date, instant, Period or Timing covers.

    An open side is fhir_server.spec.dates.EARLIEST or LATEST.
    """

    parameter: int
    low: int
    high: int


class NumberEntry(NamedTuple):
    """A number as the range [low, high) that its written precision implies; low == high for an integer."""

    parameter: int
    low: float
    high: float


class QuantityEntry(NamedTuple):
    """A quantity: the range of its value, the system and code of its unit ("" if absent) and the unit's text."""

    parameter: int
    low: float
    high: float
    system: str
    code: str
    unit: str


class UriEntry(NamedTuple):
    """A uri, url, oid, uuid or canonical, as written without |version."""

    parameter: int
    value: str
    version: str


class PositionEntry(NamedTuple):
    """A place on the earth as a point of the unit sphere, so that nearness is a distance between points."""

    parameter: int
    x: float
    y: float
    z: float


class WordsEntry(NamedTuple):
    """The words of a text: folded, each once, sorted, single blanks between them; at least one."""

    parameter: int
    words: str


class CompositeEntry(NamedTuple):
    """The parts of one repeat of a composite parameter, in the order of its components; their parameter is 0."""

    parameter: int
    parts: tuple[SimpleEntry, ...]


class UniqueEntry(NamedTuple):
    """An identifier of a system whose values the deployment has declared to be unique within a type.

    The system comes first, so that it never equals the TokenEntry of the same identifier.
    """

    system: str
    code: str
    parameter: int


SimpleEntry = (
    TokenEntry | StringEntry | ReferenceEntry | DateEntry | NumberEntry | QuantityEntry | UriEntry
    | PositionEntry
)  # fmt: skip
IndexEntry = SimpleEntry | WordsEntry | CompositeEntry | UniqueEntry
IndexEntries = frozenset[IndexEntry]
