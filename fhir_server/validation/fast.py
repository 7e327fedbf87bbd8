"""The fast path: whether a resource is faultless, by functions generated and compiled on first use.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from fhir_server.validation.emit import emit, function_name
from fhir_server.validation.runtime import Runtime
from fhir_server.validation.snapshot import structure_rules
from fhir_server.validation.source import Source

Check = Callable[..., bool]


class FastPath:
    """The generated functions of one process; each structure is compiled when a resource first needs it."""

    def __init__(self) -> None:
        self._runtime = Runtime(self._function)
        self._globals = self._runtime.globals()

    def faultless(self, resource: object) -> bool:
        """Whether a JSON value is a resource that breaks no rule; deep nesting raises RecursionError."""
        self._runtime.seen.within = {}
        return self._runtime.resource(resource, None)

    @property
    def met_extensions(self) -> Mapping[int, int]:
        """The extensions that this thread met in the resource that it found faultless last.

        Identity of each resource that has some -> how many, those of the resources inside it included.
        """
        return self._runtime.seen.within

    def source(self, key: str) -> str:
        """The generated source of a structure, to read and to compare."""
        return "\n".join(self._emit(key).lines)

    def _function(self, key: str) -> Check:
        found: Check | None = self._globals.get(function_name(key))
        return found if found is not None else self._compile(key)

    def _emit(self, key: str) -> Source:
        return emit(structure_rules(key))

    def _compile(self, key: str) -> Check:
        root = key.partition(".")[0]
        source = self._emit(root)
        code: CodeType = compile("\n".join(source.lines), f"<rules of {root}>", "exec")
        self._globals.update(source.constants)
        for called in source.calls:
            self._promise(called)
        exec(code, self._globals)  # noqa: S102 - the source is generated from the definitions
        found: Check = self._globals[function_name(key)]
        return found

    def _promise(self, key: str) -> None:
        """Put a function in place that compiles the structure, and itself away, when it is first called."""
        name = function_name(key)
        if name not in self._globals:

            def first(*arguments: Any) -> bool:
                return self._compile(key)(*arguments)

            self._globals[name] = first
