"""Functions on strings (https://hl7.org/fhirpath/N1/#string-manipulation)."""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fhir_server.fhirpath import operators
from fhir_server.fhirpath.conversions import show
from fhir_server.fhirpath.equality import Collection
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.spec.narrative import narrative_faults
from fhir_server.spec.patterns import LONGEST_SUBJECT, BadPattern, compile_pattern

_SHORT = 256


def _string(value: str) -> Collection:
    return [operators.bounded_text(value)]


def _strings(values: list[str]) -> Collection:
    return [Node(value, "System.String") for value in values]


def _integer(value: int) -> Collection:
    return [Node(value, "System.Integer")]


def _boolean(value: bool) -> Collection:
    return [Node(value, "System.Boolean")]


def _on_text(work: Callable[..., Collection], *kinds: str) -> Callable[..., Collection]:
    """A function of a string: empty for no string or an absent argument."""

    def apply(scope: Any, items: Collection, *arguments: Collection) -> Collection:
        subject = operators.text(items)
        if subject is None:
            return []
        values = [
            operators.text(found) if kind == "text" else operators.integer(found)
            for kind, found in zip(kinds, arguments, strict=False)
        ]
        if any(value is None for value in values):
            return []
        scope.step(len(subject) >> 8)
        return work(subject, *values)

    def apply_one(scope: Any, items: Collection, argument: Collection) -> Collection:
        subject = operators.text(items)
        value = operators.text(argument)
        if subject is None or value is None:
            return []
        if len(subject) > _SHORT:
            scope.step(len(subject) >> 8)
        return work(subject, value)

    return apply_one if kinds == ("text",) else apply


def _matching(work: Callable[..., Collection]) -> Callable[..., Collection]:
    def apply(subject: str, pattern: str, *others: str) -> Collection:
        if len(subject) > LONGEST_SUBJECT:
            raise FhirPathError(f"A string of {len(subject)} characters is too long to match")
        try:
            return work(subject, compile_pattern(pattern), *others)
        except BadPattern as error:
            raise FhirPathError(f"The regular expression cannot be read: {error}") from None

    return apply


_REFERENCE = re.compile(r"\$(?:(\d)|\{(\w+)\})|\\(.)", re.DOTALL)


def _replace_matches(subject: str, pattern: Any, replacement: str) -> Collection:
    if not pattern.pattern:
        return _string(subject)
    if len(subject) * max(1, len(replacement)) > 100 * operators.LONGEST_STRING:
        raise FhirPathError("The result of replaceMatches() would be too long")

    def expand(match: Any) -> str:
        return _REFERENCE.sub(lambda found: _group(match, found), replacement)

    return _string(pattern.sub(expand, subject))


def _group(match: Any, found: re.Match[str]) -> str:
    if found[3] is not None:
        return found[3]
    text = found[1] or found[2]
    name: Any = int(text) if text.isdecimal() else text
    try:
        return match.group(name) or ""
    except (IndexError, KeyError):
        raise FhirPathError(f"The regular expression has no group {name}") from None


def _replace(subject: str, wanted: str, replacement: str) -> Collection:
    count = subject.count(wanted)
    if len(subject) + count * len(replacement) > 2 * operators.LONGEST_STRING:
        raise FhirPathError("The result of replace() would be too long")
    return _string(subject.replace(wanted, replacement))


def _substring(subject: str, start: int, length: int | None = None) -> Collection:
    if not 0 <= start < len(subject):
        return []
    return _string(subject[start:] if length is None else subject[start : start + max(length, 0)])


def _split(subject: str, separator: str) -> Collection:
    return operators.bounded(_strings(subject.split(separator) if separator else list(subject)))


def _join(scope: Any, items: Collection, separator: Collection | None = None) -> Collection:
    between = operators.text(separator) or "" if separator else ""
    shown = [show(node) or "" for node in items if node.value is not None]
    if sum(map(len, shown)) + len(between) * len(shown) > operators.LONGEST_STRING:
        raise FhirPathError("The result of join() would be too long")
    return _string(between.join(shown)) if items else []


def _html_checks(scope: Any, items: Collection) -> Collection:
    subject = operators.text(items)
    return [] if subject is None else _boolean(not narrative_faults(subject))


def _encode(subject: str, form: str) -> Collection:
    raw = subject.encode(errors="surrogatepass")
    match form:
        case "hex":
            return _string(raw.hex())
        case "base64":
            return _string(base64.b64encode(raw).decode())
        case "urlbase64":
            return _string(base64.urlsafe_b64encode(raw).decode())
    raise FhirPathError(f"encode() knows hex, base64 and urlbase64, not '{form[:32]}'")


def _decode(subject: str, form: str) -> Collection:
    try:
        match form:
            case "hex":
                return _string(bytes.fromhex(subject).decode())
            case "base64":
                return _string(base64.b64decode(subject, validate=True).decode())
            case "urlbase64":
                return _string(base64.b64decode(subject, b"-_", validate=True).decode())
    except (ValueError, binascii.Error):
        raise FhirPathError(f"The string is not {form}") from None
    raise FhirPathError(f"decode() knows hex, base64 and urlbase64, not '{form[:32]}'")


def _escape(subject: str, form: str) -> Collection:
    match form:
        case "html":
            return _string(html.escape(subject, quote=True).replace("&#x27;", "&#39;"))
        case "json":
            return _string(json.dumps(subject, ensure_ascii=False)[1:-1])
    raise FhirPathError(f"escape() knows html and json, not '{form[:32]}'")


def _unescape(subject: str, form: str) -> Collection:
    match form:
        case "html":
            return _string(html.unescape(subject))
        case "json":
            try:
                found = str(json.loads(f'"{subject}"', strict=False))
                found.encode()  # or it has half a character
            except ValueError:
                # Not escaped at all, or not whole
                return _string(subject)
            return _string(found)
    raise FhirPathError(f"unescape() knows html and json, not '{form[:32]}'")


def _moment(scope: Any) -> datetime:
    moment: datetime = scope.environment.now or datetime.now(UTC)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _now(scope: Any, items: Collection) -> Collection:
    return [Node(_moment(scope).isoformat(timespec="milliseconds"), "System.DateTime")]


def _today(scope: Any, items: Collection) -> Collection:
    return [Node(_moment(scope).date().isoformat(), "System.Date")]


def _time_of_day(scope: Any, items: Collection) -> Collection:
    return [Node(_moment(scope).time().isoformat(timespec="milliseconds"), "System.Time")]


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    "startsWith": (1, 1, _on_text(lambda a, b: _boolean(a.startswith(b)), "text")),
    "endsWith": (1, 1, _on_text(lambda a, b: _boolean(a.endswith(b)), "text")),
    "contains": (1, 1, _on_text(lambda a, b: _boolean(b in a), "text")),
    "indexOf": (1, 1, _on_text(lambda a, b: _integer(a.find(b)), "text")),
    "lastIndexOf": (1, 1, _on_text(lambda a, b: _integer(a.rfind(b)), "text")),
    "length": (0, 0, _on_text(lambda a: _integer(len(a)))),
    "upper": (0, 0, _on_text(lambda a: _string(a.upper()))),
    "lower": (0, 0, _on_text(lambda a: _string(a.lower()))),
    "trim": (0, 0, _on_text(lambda a: _string(a.strip()))),
    "split": (1, 1, _on_text(_split, "text")),
    "toChars": (0, 0, _on_text(lambda a: operators.bounded(_strings(list(a))))),
    "substring": (1, 2, _on_text(_substring, "integer", "integer")),
    "replace": (2, 2, _on_text(_replace, "text", "text")),
    "matches": (1, 1, _on_text(_matching(lambda a, b: _boolean(b.search(a) is not None)), "text")),
    "matchesFull": (
        1,
        1,
        _on_text(_matching(lambda a, b: _boolean(b.fullmatch(a) is not None)), "text"),
    ),
    "replaceMatches": (2, 2, _on_text(_matching(_replace_matches), "text", "text")),
    "encode": (1, 1, _on_text(_encode, "text")),
    "decode": (1, 1, _on_text(_decode, "text")),
    "escape": (1, 1, _on_text(_escape, "text")),
    "unescape": (1, 1, _on_text(_unescape, "text")),
    "join": (0, 1, _join),
    "htmlChecks": (0, 0, _html_checks),
    "htmlChecks2": (0, 0, _html_checks),
    "now": (0, 0, _now),
    "today": (0, 0, _today),
    "timeOfDay": (0, 0, _time_of_day),
}
