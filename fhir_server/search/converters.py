"""From a value of a node type to index entries of a parameter type (https://hl7.org/fhir/R4/search.html#table)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_server.search.entries import (
    DateEntry,
    IndexEntry,
    NumberEntry,
    PositionEntry,
    QuantityEntry,
    ReferenceEntry,
    StringEntry,
    TokenEntry,
    UriEntry,
)
from fhir_server.search.folding import fold
from fhir_server.search.parameters import CANONICAL, IDENTIFIER, OF_TYPE, TEXT
from fhir_server.search.positions import point
from fhir_server.search.references import Named, read_canonical, read_reference, type_named
from fhir_server.search.units import UCUM, canonical
from fhir_server.spec.dates import EARLIEST, LATEST, interval

Json = dict[str, Any]
Add = Callable[[IndexEntry], None]

CURRENCY = "urn:iso:std:iso:4217"
LARGEST = sys.float_info.max
# What a Reference without a literal reference is indexed by, so that it is not :missing.
LOGICAL = "#"
_UNNAMED = Named("", "", LOGICAL, "")
# An entry from the tuple of its values: half of what its class's own way costs, and some fifty are made in a write.
_made = tuple.__new__


class Scope(NamedTuple):
    """The resource whose values are converted, and how its references and dates are read."""

    resource: Json
    base_urls: tuple[str, ...]
    zone: ZoneInfo

    def type_of(self, reference: Json) -> str:
        """The type of the resource that a Reference is to, as far as the resource itself tells; or ""."""
        text = reference.get("reference")
        if not isinstance(text, str):
            named = reference.get("type")
            return named if isinstance(named, str) else ""
        if text.startswith("#"):
            for item in self.resource.get("contained", ()):
                if isinstance(item, dict) and item.get("id") == text[1:]:
                    return str(item.get("resourceType", ""))
            return ""
        return read_reference(text, self.base_urls).target_type or type_named(text)


Converter = Callable[[Any, int, Scope, Add], None]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _code(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, str):
        add(_made(TokenEntry, (number, "", value)))


def _folded_code(value: Any, number: int, _: Scope, add: Add) -> None:
    """Tokens on elements of type string are not case sensitive."""
    if isinstance(value, str):
        add(TokenEntry(number, "", value.casefold()))


def _boolean(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, bool):
        add(TokenEntry(number, "", "true" if value else "false"))


def _words(value: Any, number: int, add: Add) -> None:
    """What :text finds a code or reference by."""
    if isinstance(value, str):
        folded = fold(value)
        if folded:
            add(_made(StringEntry, (number + TEXT, folded, "")))


def _coding(value: Any, number: int, _: Scope, add: Add) -> None:
    """A Coding without a code still is there: its entry makes it not :missing."""
    system, code = value.get("system"), value.get("code")
    if not isinstance(system, str):
        system = ""
    if not isinstance(code, str):
        code = ""
    add(_made(TokenEntry, (number, system, code)))
    if "display" in value:
        _words(value["display"], number, add)


def _concept(value: Any, number: int, scope: Scope, add: Add) -> None:
    coded = False
    if "coding" in value and isinstance(value["coding"], list):
        for item in value["coding"]:
            if isinstance(item, dict):
                _coding(item, number, scope, add)
                coded = True
    if not coded:
        add(_made(TokenEntry, (number, "", "")))
    if "text" in value:
        _words(value["text"], number, add)


def _identifier(value: Any, number: int, _: Scope, add: Add) -> None:
    system, code = _text(value.get("system")), _text(value.get("value"))
    add(_made(TokenEntry, (number, system, code)))
    kind = value.get("type")
    if not isinstance(kind, dict):
        return
    _words(kind.get("text"), number, add)
    if code:
        for item in _objects(kind.get("coding")):
            kind_of = f"{_text(item.get('system'))}|{_text(item.get('code'))}"
            add(TokenEntry(number + OF_TYPE, kind_of, code))


def _contact(value: Any, number: int, _: Scope, add: Add) -> None:
    add(TokenEntry(number, "", _text(value.get("value"))))


def _string(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, str):
        add(StringEntry(number, fold(value), value))


def _family(value: Any, number: int, _: Scope, add: Add) -> None:
    """Each part of a family name is found by itself, while :exact compares the whole."""
    if isinstance(value, str):
        folded = fold(value)
        add(StringEntry(number, folded, value))
        for place, character in enumerate(folded):
            if character == " ":
                add(StringEntry(number, folded[place + 1 :], value))


def _parts(*names: str) -> Converter:
    def convert(value: Any, number: int, scope: Scope, add: Add) -> None:
        for name in names:
            part = value.get(name)
            to = _family if name == "family" else _string
            for item in part if isinstance(part, list) else (part,):
                to(item, number, scope, add)

    return convert


class References(NamedTuple):
    """The numbers of the parameters that a Reference is for.

    always: whatever it is to; by_type: when it is to that type (always among them); every: all there are.
    """

    always: tuple[int, ...]
    by_type: dict[str, tuple[int, ...]]
    every: tuple[int, ...]


def add_reference(value: Json, wanted: References, scope: Scope, add: Add) -> None:
    """Add what a Reference is found by, for each of its parameters."""
    text = value.get("reference")
    named = read_reference(text, scope.base_urls) if isinstance(text, str) and text else _UNNAMED
    numbers = wanted.always
    if wanted.by_type:
        numbers = wanted.by_type.get(named.target_type or scope.type_of(value), numbers)
    for number in numbers:
        add(_made(ReferenceEntry, (number, *named)))
    logical = value.get("identifier")
    if isinstance(logical, dict) and logical.get("value"):
        system, code = _text(logical.get("system")), _text(logical["value"])
        # One that only has an identifier may be to any of the types, so by that it is found under each.
        untyped = "reference" not in value and "type" not in value
        for number in wanted.every if untyped else numbers:
            add(_made(TokenEntry, (number + IDENTIFIER, system, code)))
    if "display" in value and (folded := fold(_text(value["display"]))):
        for number in numbers:
            add(_made(StringEntry, (number + TEXT, folded, "")))


def reference(value: Any, number: int, scope: Scope, add: Add) -> None:
    """Add what a Reference is found by, for one parameter."""
    add_reference(value, References((number,), {}, (number,)), scope, add)


def _canonical_reference(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, str) and value:
        url, version = read_canonical(value)
        add(ReferenceEntry(number, "", "", url or LOGICAL, version))


def _resource(value: Any, number: int, _: Scope, add: Add) -> None:
    """A resource nested in another is found like the target of a reference (Bundle.composition)."""
    kind, logical_id = value.get("resourceType"), value.get("id")
    if isinstance(kind, str) and isinstance(logical_id, str):
        add(ReferenceEntry(number, kind, logical_id, "", ""))


def _interval(value: Any, scope: Scope) -> tuple[int, int] | None:
    if not isinstance(value, str):
        return None
    try:
        return interval(value, scope.zone)
    except ValueError:
        return None


def _date(value: Any, number: int, scope: Scope, add: Add) -> None:
    found = _interval(value, scope)
    if found is not None:
        add(_made(DateEntry, (number, *found)))


def _bounds(value: Json, scope: Scope) -> tuple[int, int] | None:
    """The range of a Period; a side that is not there, or cannot be read, is open."""
    start, end = _interval(value.get("start"), scope), _interval(value.get("end"), scope)
    if start is None and end is None:
        return None
    low = start[0] if start else EARLIEST
    high = end[1] if end else LATEST
    return (low, high) if low < high else None


def _period(value: Any, number: int, scope: Scope, add: Add) -> None:
    found = _bounds(value, scope)
    if found is not None:
        add(DateEntry(number, *found))


def _timing(value: Any, number: int, scope: Scope, add: Add) -> None:
    """Only the outer limits matter: of the events, and of the period that the repeats are bound by."""
    events = value.get("event")
    found = [_interval(item, scope) for item in events] if isinstance(events, list) else []
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if isinstance(bounds, dict):
        found.append(_bounds(bounds, scope))
    ranges = [item for item in found if item is not None]
    if ranges:
        add(DateEntry(number, min(low for low, _ in ranges), max(high for _, high in ranges)))


def _number_of(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    try:
        return max(-LARGEST, min(LARGEST, float(value)))
    except OverflowError:
        return LARGEST if value > 0 else -LARGEST


def _number(value: Any, number: int, _: Scope, add: Add) -> None:
    found = _number_of(value)
    if found is not None:
        add(NumberEntry(number, found, found))


def _limits(value: Json) -> tuple[float, float, Json] | None:
    """The range of a Range, and the Quantity that tells its unit; None when neither side has a value."""
    low, high = value.get("low"), value.get("high")
    low = low if isinstance(low, dict) else {}
    high = high if isinstance(high, dict) else {}
    first, last = _number_of(low.get("value")), _number_of(high.get("value"))
    if first is None and last is None:
        return None
    least = -LARGEST if first is None else first
    most = LARGEST if last is None else last
    return (least, most, high if first is None else low) if least <= most else None


def _number_range(value: Any, number: int, _: Scope, add: Add) -> None:
    found = _limits(value)
    if found is not None:
        add(NumberEntry(number, found[0], found[1]))


def _unit(value: Json) -> tuple[str, str, str]:
    return _text(value.get("system")), _text(value.get("code")), _text(value.get("unit"))


def _measured(number: int, low: float, high: float, unit: tuple[str, str, str], add: Add) -> None:
    """A range in its unit, and in the canonical unit of the same kind where UCUM knows it."""
    add(QuantityEntry(number, low, high, *unit))
    if unit[0] == UCUM and (found := canonical(unit[1])) is not None:
        least = low if low == -LARGEST else found.convert(low)
        most = high if high == LARGEST else found.convert(high)
        add(QuantityEntry(number + CANONICAL, least, most, "", found.unit, ""))


def _quantity(value: Any, number: int, _: Scope, add: Add) -> None:
    found = _number_of(value.get("value"))
    if found is None:
        return
    comparator = _text(value.get("comparator"))
    low = -LARGEST if comparator.startswith("<") else found
    high = LARGEST if comparator.startswith(">") else found
    _measured(number, low, high, _unit(value), add)


def _money(value: Any, number: int, _: Scope, add: Add) -> None:
    found = _number_of(value.get("value"))
    if found is not None:
        currency = _text(value.get("currency"))
        system = CURRENCY if currency else ""
        add(QuantityEntry(number, found, found, system, currency, ""))


def _quantity_range(value: Any, number: int, _: Scope, add: Add) -> None:
    found = _limits(value)
    if found is not None:
        _measured(number, found[0], found[1], _unit(found[2]), add)


def _uri(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, str) and value:
        add(UriEntry(number, value, ""))


def _canonical(value: Any, number: int, _: Scope, add: Add) -> None:
    if isinstance(value, str) and value:
        add(UriEntry(number, *read_canonical(value)))


def own_canonical(value: Any, number: int, scope: Scope, add: Add) -> None:
    """The url of a conformance or knowledge resource, with the version that url|version asks for."""
    if isinstance(value, str) and value:
        add(UriEntry(number, value, _text(scope.resource.get("version"))))


def _position(value: Any, number: int, _: Scope, add: Add) -> None:
    latitude, longitude = _number_of(value.get("latitude")), _number_of(value.get("longitude"))
    if latitude is not None and longitude is not None and abs(latitude) <= 90:
        add(PositionEntry(number, *point(latitude, longitude)))


family = _family

CONVERTERS: dict[str, dict[str, Converter]] = {
    "token": {
        **dict.fromkeys(("code", "id", "uri", "url", "canonical", "oid", "uuid"), _code),
        **dict.fromkeys(("string", "markdown"), _folded_code),
        "boolean": _boolean,
        "Coding": _coding,
        "CodeableConcept": _concept,
        "Identifier": _identifier,
        "ContactPoint": _contact,
    },
    "string": {
        **dict.fromkeys(("string", "markdown", "code", "id", "uri", "url"), _string),
        "HumanName": _parts("text", "family", "given", "prefix", "suffix"),
        "Address": _parts("text", "line", "city", "district", "state", "postalCode", "country"),
    },
    "reference": {
        "Reference": reference,
        **dict.fromkeys(("canonical", "uri", "url"), _canonical_reference),
        "Resource": _resource,
    },
    "date": {
        **dict.fromkeys(("date", "dateTime", "instant"), _date),
        "Period": _period,
        "Timing": _timing,
    },
    "number": {
        **dict.fromkeys(("integer", "positiveInt", "unsignedInt", "decimal"), _number),
        "Range": _number_range,
    },
    "quantity": {
        **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), _quantity),
        "Money": _money,
        "Range": _quantity_range,
    },
    "uri": {
        **dict.fromkeys(("uri", "url", "oid", "uuid"), _uri),
        "canonical": _canonical,
    },
    "special": {"Location.position": _position},
}
