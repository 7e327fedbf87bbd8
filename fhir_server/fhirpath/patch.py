"""FHIRPath Patch: a Parameters resource of operations on paths (https://hl7.org/fhir/R4/fhirpatch.html)."""

from __future__ import annotations

import copy
from typing import Any

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.expression import compile_expression
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node, Place, properties_of, root
from fhir_server.spec import errors
from fhir_server.spec.definitions import Property
from fhir_server.spec.errors import FhirError, Issue

Json = dict[str, Any]
MOST_OPERATIONS = 1000
_TYPES = ("add", "insert", "delete", "replace", "move")
_NEEDED = {
    "add": ("path", "name", "value"),
    "insert": ("path", "value", "index"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}


def apply_fhirpath_patch(resource: Json, parameters: Json) -> Json:
    """A new resource with the operations applied in their order (none changes nothing); the input stays as it is.

    Raises FhirError 400 for Parameters that are no patch, 422 for a path that does not lead to what the operation
    needs; the expression names the operation.
    """
    listed = parameters.get("parameter", [])
    if not isinstance(listed, list):
        raise errors.malformed(
            "A FHIRPath Patch has a parameter 'operation' for each step", "Parameters.parameter"
        )
    if len(listed) > MOST_OPERATIONS:
        raise errors.too_costly(
            f"The patch has {len(listed)} operations; at most {MOST_OPERATIONS} are done"
        )
    patched = copy.deepcopy(resource)
    for number, operation in enumerate(listed):
        _Operation(operation, f"Parameters.parameter[{number}]", patched).apply()
    return patched


class _Operation:
    """One operation on a resource that it changes in place."""

    def __init__(self, source: Any, place: str, resource: Json) -> None:
        self.place = place
        self.resource = resource
        self.parts = self._parts(source)
        self.type = self.parts.get("type")
        if self.type not in _TYPES:
            raise self._malformed(f"type must be one of {', '.join(_TYPES)}")
        for name in _NEEDED[self.type]:
            if name not in self.parts:
                raise self._malformed(f"{self.type} needs the part '{name}'")

    def _malformed(self, told: str) -> FhirError:
        return errors.malformed(told, self.place)

    def _refused(self, told: str) -> FhirError:
        return errors.unprocessable(Issue("error", "processing", told, (self.place,)))

    def _parts(self, source: Any) -> Json:
        if not isinstance(source, dict) or source.get("name") != "operation":
            raise self._malformed("Every parameter of a FHIRPath Patch is named 'operation'")
        found: Json = {}
        parts = source.get("part", ())
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise self._malformed("Every part has a name")
            name = part["name"]
            found[name] = part if name == "value" else self._value(part)
        return found

    def _value(self, part: Json) -> Any:
        values = [item for name, item in part.items() if name.startswith("value")]
        if len(values) != 1:
            raise self._malformed(f"The part '{part['name']}' has one value[x]")
        return values[0]

    def apply(self) -> None:
        """Change the resource."""
        match self.type:
            case "add":
                self._add()
            case "insert":
                self._insert()
            case "delete":
                self._delete()
            case "replace":
                self._replace()
            case "move":
                self._move()

    def _nodes(self) -> list[Node]:
        path = self.parts["path"]
        if not isinstance(path, str):
            raise self._malformed("path is a string")
        focus = root(self.resource)
        try:
            return compile_expression(path).evaluate(
                focus, Environment(resource=focus, root_resource=focus)
            )
        except FhirPathError as error:
            raise self._malformed(f"The path '{path[:100]}' cannot be evaluated: {error}") from None

    def _one(self) -> Node:
        found = self._nodes()
        if len(found) != 1:
            raise self._refused(
                f"The path '{self.parts['path'][:100]}' leads to {len(found)} elements, not to one"
            )
        return found[0]

    def _new_value(self, item: Property, part: Json) -> tuple[str, Any, Any]:
        """The type, value and `_x` sibling of a part: its value[x], or its parts for a backbone element."""
        for name, value in part.items():
            bare = name.removeprefix("_")
            if bare.startswith("value") and len(bare) > len("value"):
                kind = bare.removeprefix("value")
                return kind, part.get(bare), part.get("_" + bare)
            if name == "resource":
                return "Resource", value, None
        if isinstance(part.get("part"), list):
            return item.type, self._built(part["part"], item.type), None
        raise self._malformed("The part 'value' has a value[x], or parts for a backbone element")

    def _built(self, parts: list[Any], kind: str) -> Json:
        """A backbone element from parts named after its elements."""
        made: Json = {}
        for part in parts:
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise self._malformed("Every part of the value has a name")
            choices = properties_of(kind, part["name"])
            if not choices:
                raise self._refused(f"{kind} has no element '{part['name'][:64]}'")
            self._put(made, choices, part["name"], part)
        return made

    def _put(self, holder: Json, choices: tuple[Property, ...], name: str, part: Json) -> None:
        """Add the part's value under the element, in the property of its type when the element is a choice."""
        kind, value, extra = self._new_value(choices[0], part)
        item = self._choose(choices, kind, name)
        if item.many:
            listed = holder.setdefault(item.name, [])
            listed.append(value)
            if extra is not None or "_" + item.name in holder:
                extras = holder.setdefault("_" + item.name, [None] * (len(listed) - 1))
                extras.append(extra)
            return
        if any(other.name in holder for other in choices):
            raise self._refused(f"'{name}' is there already, and it does not repeat; replace it")
        if value is not None:
            holder[item.name] = value
        if extra is not None:
            holder["_" + item.name] = extra

    def _choose(self, choices: tuple[Property, ...], kind: str, name: str) -> Property:
        if len(choices) == 1:
            return choices[0]
        for item in choices:
            if item.type.lower() == kind.lower():
                return item
        raise self._refused(f"'{name}' cannot be a {kind}")

    def _add(self) -> None:
        holder, name = self._one(), self.parts["name"]
        choices = properties_of(holder.type, name) if isinstance(name, str) else ()
        if not choices or not isinstance(holder.value, dict):
            raise self._refused(f"{holder.type} has no element '{str(name)[:64]}'")
        self._put(holder.value, choices, name, self.parts["value"])

    def _list(self) -> tuple[Json, Property, list[Any]]:
        """The repeating element that the path leads to."""
        found = self._nodes()
        if not found:
            raise self._refused(f"The path '{self.parts['path'][:100]}' leads to nothing")
        holder, item, index = self._where(found[0])
        if index is None:
            raise self._refused("The path leads to an element that does not repeat")
        return holder, item, holder[item.name]

    def _index(self, name: str, most: int) -> int:
        value = self.parts[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._malformed(f"{name} is an integer")
        if not 0 <= value <= most:
            raise self._refused(f"{name} is {value}; it must be 0 to {most}")
        return value

    def _insert(self) -> None:
        holder, item, listed = self._list()
        place = self._index("index", len(listed))
        _, value, extra = self._new_value(item, self.parts["value"])
        listed.insert(place, value)
        extras = holder.get("_" + item.name)
        if isinstance(extras, list):
            extras.insert(place, extra)
        elif extra is not None:
            holder["_" + item.name] = [None] * place + [extra]

    def _delete(self) -> None:
        found = self._nodes()
        if not found:
            return
        if len(found) > 1:
            raise self._refused(
                f"The path '{self.parts['path'][:100]}' leads to {len(found)} elements, not to one"
            )
        holder, item, index = self._where(found[0])
        if index is None:
            holder.pop(item.name, None)
            holder.pop("_" + item.name, None)
        for key in (item.name, "_" + item.name) if index is not None else ():
            listed = holder.get(key)
            if isinstance(listed, list) and index is not None and index < len(listed):
                del listed[index]
                if not any(other is not None for other in listed):
                    del holder[key]
        if not holder:
            _remove_empty(self.resource)

    def _replace(self) -> None:
        holder, item, index = self._where(self._one())
        kind, value, extra = self._new_value(item, self.parts["value"])
        if index is not None:
            holder[item.name][index] = value
            return
        holder.pop(item.name, None)
        holder.pop("_" + item.name, None)
        if item.choice:
            choices = properties_of(item.path.rpartition(".")[0], item.element)
            item = self._choose(choices, kind, item.element)
        if value is not None:
            holder[item.name] = value
        if extra is not None:
            holder["_" + item.name] = extra

    def _move(self) -> None:
        holder, item, listed = self._list()
        source = self._index("source", len(listed) - 1)
        target = self._index("destination", len(listed) - 1)
        listed.insert(target, listed.pop(source))
        extras = holder.get("_" + item.name)
        if isinstance(extras, list) and source < len(extras):
            extras.insert(target, extras.pop(source))

    def _where(self, node: Node) -> Place:
        """The place of a node in the resource."""
        if node.place is None:
            raise self._refused("The path leads to no element of the resource")
        return node.place


def _remove_empty(holder: Json) -> None:
    """Take away the elements that lost their last child: R4 has no empty ones."""
    for name, value in list(holder.items()):
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                _remove_empty(item)
        if isinstance(value, list) and {} in value:
            value = holder[name] = [item for item in value if item != {}]
        if value in ({}, []):
            del holder[name]
