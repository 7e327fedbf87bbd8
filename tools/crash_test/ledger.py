"""What clients sent, what they were told, and which promises were broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

State = Literal["unknown", "acknowledged", "refused"]


@dataclass(slots=True)
class Creation:
    """A POST whose resources nobody can name until they are found by their mark: one resource, or a transaction."""

    kinds: tuple[str, ...]
    state: State = "unknown"


@dataclass(slots=True)
class Ledger:
    """What clients were told. tried is the highest version that a write may have made, acknowledged or not."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    creations: dict[str, Creation] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, sentence: str) -> None:
        """Remember a broken promise."""
        self.faults.append(sentence)

    @property
    def resources(self) -> list[str]:
        """Everything that a write was tried on by its identity."""
        return sorted(self.tried)
