"""JSON Patch, RFC 6902 (https://hl7.org/fhir/R4/http.html#patch)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, assert_never, get_args

from fhir_server.spec.errors import FhirError, Issue, malformed, unprocessable
from fhir_server.spec.json_format import MAXIMUM_DEPTH
from fhir_server.spec.json_pointer import Pointer, at, child, pointer, position

Json = dict[str, Any]
Name = Literal["add", "remove", "replace", "move", "copy", "test"]

MAXIMUM_OPERATIONS = 1_000
MAXIMUM_COPIED = 100_000
_NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as read: source is the pointer of its "from", label what a message calls it."""

    name: Name
    path: Pointer
    source: Pointer
    value: Any
    label: str


class _Refused(Exception):
    """An operation that could be read cannot be carried out; says why."""


def apply_json_patch(resource: Json, operations: object) -> Json:
    """A new resource, patched; neither the resource nor the operations change, decimals keep their digits.

    Raises FhirError 400 when the operations are no JSON Patch document or more than MAXIMUM_OPERATIONS, 422 when one
    of them fails: its path is not there, its test does not hold, it would replace the resource as a whole, or the
    result would be nested deeper than MAXIMUM_DEPTH. Each names the operation by its index.
    """
    document: Json = _copied(resource)
    budget = MAXIMUM_COPIED
    for operation in _read(operations):
        try:
            if operation.name == "copy":
                budget = _charged(budget, at(document, operation.source))
            _apply(document, operation)
        except _Refused as refusal:
            raise _failed(f"{operation.label} cannot be carried out: {refusal}") from None
        except LookupError as error:
            raise _failed(
                f"{operation.label} finds no place: {error.args[0]}", "not-found"
            ) from None
    if not _is_shallow(document):
        raise _failed(f"The patched resource is nested deeper than {MAXIMUM_DEPTH} levels")
    return document


def _failed(diagnostics: str, code: str = "processing") -> FhirError:
    return unprocessable(Issue("error", code, diagnostics))


# Reading


def _read(operations: object) -> list[Operation]:
    if not isinstance(operations, list):
        raise malformed("A JSON Patch document is a list of operations")
    if len(operations) > MAXIMUM_OPERATIONS:
        raise malformed(
            f"The patch has {len(operations)} operations; at most {MAXIMUM_OPERATIONS} are allowed"
        )
    return [_operation(index, item) for index, item in enumerate(operations)]


def _operation(index: int, item: object) -> Operation:
    label = f"Operation [{index}]"
    if not isinstance(item, dict):
        raise malformed(f"{label} of the patch is not an object")
    name = item.get("op")
    if name not in _NAMES:
        raise malformed(f"{label} of the patch has no 'op' that is one of {', '.join(_NAMES)}")
    path = _pointer(item, "path", label)
    label += f" ({name} {item['path'][:200]})"
    source = _pointer(item, "from", label) if name in ("move", "copy") else ()
    if name in ("add", "replace", "test") and "value" not in item:
        raise malformed(f"{label} of the patch has no 'value'")
    return Operation(name, path, source, item.get("value"), label)


def _pointer(item: Json, name: str, label: str) -> Pointer:
    text = item.get(name)
    if not isinstance(text, str):
        raise malformed(f"{label} of the patch has no '{name}', or one that is not a string")
    try:
        return pointer(text)
    except ValueError as error:
        raise malformed(f"The '{name}' of {label[0].lower()}{label[1:]} {error}") from None


# Applying


def _apply(document: Json, operation: Operation) -> None:
    name, path, source = operation.name, operation.path, operation.source
    if not path and name != "test":
        raise _Refused("it concerns the resource as a whole; update the resource instead")
    match name:
        case "add":
            _add(document, path, _copied(operation.value))
        case "remove":
            _remove(document, path)
        case "replace":
            _replace(document, path, _copied(operation.value))
        case "move" if path == source:
            at(document, source)  # which has to be there, and keeps its place among the others
        case "move":
            if path[: len(source)] == source:
                raise _Refused("a value cannot move into itself")
            _add(document, path, _remove(document, source))
        case "copy":
            _add(document, path, _copied(at(document, source)))
        case "test":
            if not _equal(at(document, path), operation.value):
                raise _Refused("the value there is another one")
        case _:
            assert_never(name)


def _add(document: Json, path: Pointer, value: Any) -> None:
    parent, step = at(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if step == "-" else position(step, len(parent) + 1), value)
    else:
        child(parent, step)  # which says that nothing has members here


def _remove(document: Json, path: Pointer) -> Any:
    parent, step = at(document, path[:-1]), path[-1]
    removed = child(parent, step)
    del parent[step if isinstance(parent, dict) else int(step)]
    return removed


def _replace(document: Json, path: Pointer, value: Any) -> None:
    parent, step = at(document, path[:-1]), path[-1]
    child(parent, step)
    parent[step if isinstance(parent, dict) else int(step)] = value


# Values


def _copied(value: Any, depth: int = 1) -> Any:
    if not isinstance(value, (dict, list)):
        return value
    if depth > MAXIMUM_DEPTH:
        raise _Refused(f"a value is nested deeper than {MAXIMUM_DEPTH} levels")
    if isinstance(value, dict):
        return {name: _copied(item, depth + 1) for name, item in value.items()}
    return [_copied(item, depth + 1) for item in value]


def _charged(budget: int, value: Any) -> int:
    """What is left of the budget after copying a value: copies of copies would else grow without bound."""
    pending = [value]
    while pending:
        budget -= 1
        if budget < 0:
            raise _Refused(f"the patch copies more than {MAXIMUM_COPIED} values")
        pending.extend(_members(pending.pop()))
    return budget


def _members(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_shallow(document: Json) -> bool:
    level: list[Any] = [document]
    for _ in range(MAXIMUM_DEPTH):
        level = [
            member
            for item in level
            for member in _members(item)
            if isinstance(member, (dict, list))
        ]
        if not level:
            return True
    return False


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON values: numbers by value, whatever their digits; a boolean is not a number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return type(one) is type(other) and bool(one == other)
