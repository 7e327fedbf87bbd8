"""The parameters of booking's operations, from a Parameters resource or the URL, under IHE's or Argonaut's names.

https://hl7.org/fhir/R4/operations.html#request, https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fhir_server.interactions.call import Operation
from fhir_server.spec import errors
from fhir_server.spec.dates import interval

Json = dict[str, Any]

# What Argonaut calls it -> what IHE calls it.
_ARGONAUT = {
    "appt-id": "appointment-reference",
    "appt-resource": "appointment-resource",
    "patient-id": "patient-reference",
    "coverage": "insurance-reference",
}
_IGNORED = ("_format", "_pretty", "_cursor")
# The same days are asked for again and again.
_interval = lru_cache(maxsize=1024)(interval)


class Inputs:
    """The values of an operation's parameters, in the order they were sent; repeats are kept."""

    def __init__(self, values: Mapping[str, list[Any]]) -> None:
        self.values = values

    def all(self, name: str) -> list[Any]:
        """Every value."""
        return self.values.get(name, [])

    def one(self, name: str) -> Any:
        """The value, or None; FhirError 400 when there are several."""
        found = self.values.get(name)
        if not found:
            return None
        if len(found) > 1:
            raise errors.invalid(f"{name} is there {len(found)} times; send one", _PLACE)
        return found[0]

    def texts(self, name: str) -> list[str]:
        """Values that are texts: strings, uris, codes, dates, or the reference of a Reference."""
        found: list[str] = []
        for value in self.values.get(name, ()):
            text = value.get("reference") if isinstance(value, dict) else value
            if not isinstance(text, str) or not text:
                raise errors.invalid(
                    f"{name} must be a text or a Reference with a reference", _PLACE
                )
            found.append(text)
        return found

    def text(self, name: str) -> str | None:
        """The one text, or None."""
        if self.one(name) is None:
            return None
        return self.texts(name)[0]

    def concept(self, name: str, system: str) -> Json | None:
        """A CodeableConcept, a Coding, or a code of that system."""
        value = self.one(name)
        if value is None:
            return None
        if isinstance(value, str):
            return {"coding": [{"system": system, "code": value}]}
        if isinstance(value, dict):
            return {"coding": [value]} if "code" in value else value
        raise errors.invalid(f"{name} must be a CodeableConcept or a code", _PLACE)

    def resources(self, name: str, resource_type: str) -> list[Json]:
        """Values that are resources of that type."""
        for value in self.all(name):
            if not isinstance(value, dict) or value.get("resourceType") != resource_type:
                raise errors.invalid(f"{name} must be a resource of type {resource_type}", _PLACE)
        return self.all(name)

    def moment(self, name: str) -> tuple[int, int] | None:
        """The interval that a date or dateTime covers, in microseconds since 1970."""
        text = self.text(name)
        if text is None:
            return None
        try:
            return _interval(text)
        except ValueError:
            raise errors.invalid(
                f"{name} is not a dateTime; write it as 2026-03-02T09:00:00Z", _PLACE
            ) from None

    def number(self, name: str, least: int, most: int) -> int | None:
        """A whole number between two limits."""
        value = self.one(name)
        if value is None:
            return None
        try:
            found = int(value)
        except (TypeError, ValueError, OverflowError):
            found = least - 1
        if not least <= found <= most:
            raise errors.invalid(f"{name} must be a whole number from {least} to {most}", _PLACE)
        return found


_PLACE = "Parameters.parameter"


def read_inputs(call: Operation, known: frozenset[str], resource_input: str = "") -> Inputs:
    """The parameters of a call; known are the names (IHE's) that the operation takes.

    resource_input: the parameter that a body which is no Parameters resource stands for. FhirError 400 for a
    parameter that is not known or has no value.
    """
    found: dict[str, list[Any]] = {}

    def add(name: str, value: Any, place: str) -> None:
        name = _ARGONAUT.get(name, name)
        if name not in known:
            raise errors.not_supported(
                f"${call.code} has no parameter '{name[:64]}'; it takes {', '.join(sorted(known))}",
                place,
            )
        found.setdefault(name, []).append(value)

    for name, value in call.parameters:
        if name not in _IGNORED and value:
            add(name, value, _PLACE)
    body = call.body
    if isinstance(body, dict) and body.get("resourceType") != "Parameters" and resource_input:
        add(resource_input, body, "Parameters")
        return Inputs(found)
    for number, parameter in enumerate(_listed(body, call.code)):
        place = f"Parameters.parameter[{number}]"
        if not isinstance(parameter, dict) or not isinstance(parameter.get("name"), str):
            raise errors.invalid("Every parameter needs a name", place)
        values = [
            value
            for name, value in parameter.items()
            if name == "resource" or name.startswith("value")
        ]
        if len(values) != 1:
            raise errors.invalid(f"{parameter['name'][:64]} needs one value", place)
        add(parameter["name"], values[0], place)
    return Inputs(found)


def _listed(body: Json | None, code: str) -> list[Any]:
    if body is None:
        return []
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise errors.malformed(f"${code} takes a Parameters resource", "Parameters")
    found = body.get("parameter", [])
    if not isinstance(found, list):
        raise errors.malformed("parameter must be a list", _PLACE)
    return found
