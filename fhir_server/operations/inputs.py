"""What an operation is given, read by its definition (https://hl7.org/fhir/R4/operations.html#request)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.interactions.call import Context, Operation
from fhir_server.interactions.paging import CURSOR
from fhir_server.interactions.write import check
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.operations import OperationDefinition, OperationParameter

Json = dict[str, Any]
Inputs = Mapping[str, tuple[Any, ...]]

_PARAMETERS = "Parameters"
_NOT_INPUTS = frozenset({"_format", "_pretty", CURSOR})


def read_inputs(call: Operation, definition: OperationDefinition, context: Context) -> Inputs:
    """Parameter name -> its values: JSON values of its datatype, lists of parts, or resources; every input has an item.

    Raises FhirError 400 for a body that is neither Parameters nor the one resource that the operation takes, for
    unknown, wrong, missing and too many parameters; 405 for a parameter in the URL that only a body can hold.
    """
    known = {item.name: item for item in definition.inputs}
    listed = [*_from_body(call, known, context), *_from_url(call, known)]
    if listed:
        check({"resourceType": _PARAMETERS, "parameter": _bare(listed)}, _PARAMETERS, context)
    found: dict[str, list[Any]] = {name: [] for name in known}
    for number, given in enumerate(listed):
        place = f"{_PARAMETERS}.parameter[{number}]"
        # A name that is only an extension is valid FHIR, but says nothing.
        name = given.get("name")
        if name is None:
            raise errors.required("A parameter has a name", f"{place}.name")
        if name not in known:
            raise _unknown(definition, name, place)
        found[name].append(_value(given, known[name], place))
    for item in definition.inputs:
        _check_number(len(found[item.name]), item)
    return {name: tuple(values) for name, values in found.items()}


def _unknown(definition: OperationDefinition, name: str, *place: str) -> errors.FhirError:
    taken = ", ".join(item.name for item in definition.inputs) or "no parameter"
    return errors.not_supported(f"${definition.code} takes {taken}, not '{name[:64]}'", *place)


def _from_body(
    call: Operation, known: Mapping[str, OperationParameter], context: Context
) -> list[Json]:
    body = call.body
    if body is None:
        return []
    named = body.get("resourceType") if isinstance(body, dict) else None
    resources = [item for item in known.values() if item.is_resource]
    if named == _PARAMETERS and not (resources and call.resource_type == _PARAMETERS):
        listed = body.get("parameter")
        check(
            body | {"parameter": _bare(listed)} if isinstance(listed, list) else body,
            _PARAMETERS,
            context,
        )
        return listed or []
    if isinstance(body, dict) and len(resources) == 1 and _is(body, resources[0].type):
        return [{"name": resources[0].name, "resource": body}]
    raise errors.malformed("Send the parameters as a Parameters resource", _PARAMETERS)


def _bare(listed: list[Any]) -> list[Any]:
    """The parameters without what is in their resources: what that has to be is for the operation to say."""
    return [
        item | {"resource": {"resourceType": _PARAMETERS}}
        if isinstance(item, dict) and isinstance(item.get("resource"), dict)
        else item
        for item in listed
    ]


def _is(resource: Json, type_name: str) -> bool:
    named = resource.get("resourceType")
    return isinstance(named, str) and (named == type_name or not is_resource_type(type_name))


def _from_url(call: Operation, known: Mapping[str, OperationParameter]) -> list[Json]:
    listed = []
    for name, text in call.parameters:
        item = known.get(name)
        if name in _NOT_INPUTS or (item is not None and not text):
            continue
        if item is not None and not item.primitive:
            raise errors.method_not_allowed(f"{name} cannot stand in the URL; POST it", "POST")
        # An unknown one is told by its name, whatever its value.
        shown = _property(item) if item is not None else "valueString"
        listed.append({"name": name, shown: _parsed(text, item)})
    return listed


def _parsed(text: str, item: OperationParameter | None) -> Any:
    """The JSON value that a text in a URL stands for; what it cannot stand for is refused with the whole."""
    match item.type if item is not None else "string":
        case "boolean" if text in ("true", "false"):
            return text == "true"
        case "integer" | "positiveInt" | "unsignedInt" if text.removeprefix("-").isdecimal():
            return int(text[:12])
    return text


def _property(item: OperationParameter) -> str:
    return "value" + item.type[0].upper() + item.type[1:]


def _value(given: Json, item: OperationParameter, place: str) -> Any:
    if item.is_resource:
        resource = given.get("resource")
        if isinstance(resource, dict) and _is(resource, item.type):
            return resource
        raise errors.invalid(f"{item.name} is a {item.type}; send it as resource", place)
    if item.has_parts:
        if "part" in given:
            return given["part"]
        raise errors.invalid(f"{item.name} has parts; send those", place)
    if _property(item) not in given:
        raise errors.invalid(f"{item.name} is a {item.type}; send it as {_property(item)}", place)
    return given[_property(item)]


def _check_number(number: int, item: OperationParameter) -> None:
    if number < item.minimum:
        raise errors.required(f"The parameter {item.name} is missing", f"{_PARAMETERS}.parameter")
    if item.maximum is not None and number > item.maximum:
        raise errors.invalid(
            f"The parameter {item.name} is there {number} times; send it once",
            f"{_PARAMETERS}.parameter",
        )
