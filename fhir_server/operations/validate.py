"""$validate: what would be wrong with a resource, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.interactions.outcome import outcome
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse, serialise
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_MODES = ("create", "update", "delete")


@dataclass(frozen=True)
class Validate:
    """$validate at the type and instance level, against R4, the profiles claimed and the one asked for."""

    code: str = "validate"
    definition: str = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
    levels: frozenset[Level] = frozenset({"type", "instance"})
    resource_types: frozenset[str] = frozenset()
    affects_state: bool = False

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with an OperationOutcome whether the resource is valid or not; 4xx only if it cannot be told."""
        resource, mode, profile = _inputs(call)
        assert call.resource_type is not None
        if mode is not None and mode not in _MODES:
            raise errors.invalid(f"mode is '{mode[:64]}'; use {', '.join(_MODES)}")
        stored = None
        if call.logical_id is not None:
            stored = transaction.current(call.resource_type, call.logical_id)
            if stored is None or stored.deleted:
                raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
        if mode == "delete":
            if stored is None:
                raise errors.required("mode delete is asked of an instance: [type]/[id]/$validate")
            return _told(())
        if resource is None:
            if stored is None:
                raise errors.required("Send the resource to validate", "Parameters.parameter")
            resource = parse(stored.body)
        found = context.profiles.explain(
            resource, transaction, resource_type=call.resource_type, profile=profile
        )
        return _told(found + _against_mode(call, resource, mode))


def _against_mode(call: Operation, resource: Json, mode: str | None) -> tuple[Issue, ...]:
    if mode == "update" and call.logical_id is not None and resource.get("id") != call.logical_id:
        told = f"An update needs the id '{call.logical_id}' in the resource"
        return (Issue("error", "invalid", told, (f"{call.resource_type}.id",)),)
    return ()


def _told(issues: tuple[Issue, ...]) -> Result:
    if not issues:
        issues = (Issue("information", "informational", "The resource is valid"),)
    return Result(200, serialise(outcome(issues)))


def _inputs(call: Operation) -> tuple[Json | None, str | None, str | None]:
    """The resource, mode and profile of a $validate, from Parameters, the bare resource or the URL."""
    given: dict[str, Any] = {}
    for name, value in call.parameters:
        if name in ("mode", "profile"):
            given[name] = value
        elif name not in ("_format", "_pretty"):
            raise errors.not_supported(
                f"$validate takes resource, mode and profile, not '{name[:64]}'"
            )
    body = call.body
    if (
        isinstance(body, dict)
        and body.get("resourceType") == "Parameters"
        and call.resource_type != "Parameters"
    ):
        body = None
        for number, parameter in enumerate(_listed(call.body)):
            place = f"Parameters.parameter[{number}]"
            match parameter:
                case {"name": "resource", "resource": dict(resource)}:
                    body = resource
                case {"name": "mode", "valueCode": str(value)}:
                    given["mode"] = value
                case {"name": "profile", "valueUri": str(value)} | {
                    "name": "profile",
                    "valueCanonical": str(value),
                }:
                    given["profile"] = value
                case _:
                    raise errors.invalid(
                        "$validate takes resource (a resource), mode (valueCode) and profile (valueUri)",
                        place,
                    )
    return body, given.get("mode"), given.get("profile")


def _listed(body: Json | None) -> list[Any]:
    found = body.get("parameter", []) if body else []
    if not isinstance(found, list):
        raise errors.malformed("parameter must be a list", "Parameters.parameter")
    return found
