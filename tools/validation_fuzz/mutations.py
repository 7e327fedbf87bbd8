"""One change to a document's bytes or to a resource, chosen by a seeded Random."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

from fhir_server.spec.json_format import FhirDecimal

Json = dict[str, Any]

# The longest that one change makes of one place: enough for a cost that grows with the square to be seen.
_MOST_COPIES: Final = 2000
_MOST_ITEMS: Final = 50_000
_MOST_BYTES: Final = 2_000_000
_TOKENS: Final = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-0", b"1e400", b"1E-7", b"\\u0000", b"\\ud800",
    b"\xff", b"<", b">", b"</", b"/>", b"&#160;", b"&nbsp;", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<!DOCTYPE a>",
    b' xmlns="x"', b' value=""', b' id="a"', b"<?a?>", b"\x00", b"\xef\xbb\xbf", b"\r\n", b" ",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, "", " ", "\n", [], {}, [None], [[]], [{}], {"id": "x"}, True, False, 0, -1, 2147483648, 10**18,
    FhirDecimal("1.50"), FhirDecimal("-0"), FhirDecimal("1E-400"), 1.5, "true", "a  b", " a", "\u00a0", "\u0130",
    "\U0001f600",
    "2026-02-30", "0000-01-01", "9999-12-31T23:59:60+14:00", "24:00:00", "urn:uuid:x", "urn:oid:3.1", "http://[x",
    "#", "#a", "#nope",
    "Patient/1", "Patient?a=b", "http://example.org/fhir/Patient/1/_history/1", "http://hl7.org/fhir/ValueSet/x|1|2",
    "a|b",
    "http://snomed.info/sct", "http://unitsofmeasure.org", "mg/dL", "((((", "a.b.c", "name.where(", "%resource",
    "$this",
    "====", "YQ==", "x" * 1000, {"reference": "#"}, {"reference": "#a", "type": "Nope"}, {"resourceType": "Patient"},
    {"url": "http://example.org/x", "valueString": "a"}, [{"url": "a", "extension": [{"url": "b"}]}],
    {"coding": [{"system": "http://example.org", "code": "a"}]}, {"extension": [{"url": "x", "valueCode": "a"}]},
    '<div xmlns="http://www.w3.org/1999/xhtml"><p style="a:b">x</p></div>', "<div><p></div>", "&lt;",
)  # fmt: skip


def mutate_bytes(body: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """The body with a few places of it cut, copied, overwritten, or exchanged for parts of other documents."""
    made = bytearray(body)
    for _ in range(1 + random.randrange(3)):
        start = random.randrange(len(made) + 1)
        end = min(len(made), start + random.choice((1, 2, 8, 64, 512)))
        match random.randrange(7):
            case 0:
                del made[start:end]
            case 1:
                made[start:start] = random.choice(_TOKENS)
            case 2:
                made[start:end] = random.choice(_TOKENS)
            case 3 if start < len(made):
                made[start] = random.randrange(256)
            case 4:
                made[start:start] = made[start:end] * random.choice((1, 1, 2, 50, _MOST_COPIES))
            case 5:
                other = random.choice(others)
                at = random.randrange(len(other))
                made[start:end] = other[at : at + random.choice((8, 64, 512))]
            case _:
                del made[end:]
    return bytes(made[:_MOST_BYTES])


def mutate_resource(resource: Json, others: Sequence[Json], random: Random) -> Json:
    """A copy of a resource with a few things changed."""
    made = copy.deepcopy(resource)
    for _ in range(1 + random.randrange(3)):
        places = list(_places(made))
        if not places:
            break
        _change(places, others, random)
    return made


def _places(resource: Any) -> Iterator[tuple[Any, Any]]:
    """Every property and array item as (its holder, its key)."""
    pending: list[Any] = [resource]
    while pending:
        holder = pending.pop()
        for key, child in holder.items() if isinstance(holder, dict) else enumerate(holder):
            yield holder, key
            if isinstance(child, (dict, list)):
                pending.append(child)


def _change(places: list[tuple[Any, Any]], others: Sequence[Json], random: Random) -> None:
    holder, key = random.choice(places)
    value = holder[key]
    match random.randrange(9):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [value]
        case 2 if isinstance(value, list) and value:
            holder[key] = value[0]
        case 3 if isinstance(holder, dict):
            holder["_" + key] = copy.deepcopy(random.choice(_VALUES))
        case 4:
            other_holder, other_key = random.choice(places)
            other_holder[other_key] = copy.deepcopy(value)
        case 5 if isinstance(holder, dict):
            # What stands in another resource under some name, here.
            found = random.choice(list(_places(random.choice(others))))
            name = found[1] if isinstance(found[1], str) else key
            holder[name] = copy.deepcopy(found[0][found[1]])
        case 6 if isinstance(value, list) and len(places) < _MOST_ITEMS // 10:
            many = random.choice((1, 2, 20, _MOST_COPIES))
            _repeat(value, min(many, _MOST_ITEMS // len(places)))
        case 7 if isinstance(value, str):
            holder[key] = (value * random.choice((2, 3, _MOST_COPIES)))[:_MOST_BYTES]
        case _:
            holder[key] = copy.deepcopy(random.choice(_VALUES))


def _repeat(items: list[Any], times: int) -> None:
    """More of the same, each with a text of its own where there is one."""
    for number in range(times):
        item = copy.deepcopy(items[number % len(items)]) if items else "x"
        if isinstance(item, dict):
            for name, text in item.items():
                if isinstance(text, str) and name != "resourceType":
                    item[name] = f"{text}{number}"
                    break
        items.append(item)
