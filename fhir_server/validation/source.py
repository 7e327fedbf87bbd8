"""Python source in the making (https://hl7.org/fhir/R4/validation.html)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fhir_server.validation.rules import Rules
from fhir_server.validation.snapshot import rules_of


@dataclass(slots=True)
class Source:
    """Source in the making, the constants that it reads and the keys of the rules that it calls."""

    prefix: str
    structure: Mapping[str, Rules]
    lines: list[str] = field(default_factory=list)
    constants: dict[str, object] = field(default_factory=dict)
    calls: set[str] = field(default_factory=set)
    _numbers: dict[object, str] = field(default_factory=dict)

    def rules(self, key: str) -> Rules:
        """The rules with that key: of the structure at hand, else of R4's."""
        return self.structure[key] if key in self.structure else rules_of(key)

    def constant(self, stem: str, value: object, key: object = None) -> str:
        """The name under which the source reads a value; equal keys share one."""
        identity = (stem, value if key is None else key)
        if identity not in self._numbers:
            name = f"{self.prefix}_{stem}_{len(self.constants)}"
            self._numbers[identity] = name
            self.constants[name] = value
        return self._numbers[identity]

    def add(self, depth: int, *lines: str) -> None:
        """Lines at an indentation of depth levels."""
        self.lines.extend("    " * depth + line for line in lines)
