"""How a deployment, and a caller, want searches to be read (https://hl7.org/fhir/R4/search.html#errors)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal, Protocol
from zoneinfo import ZoneInfo

from fhir_server.search.custom import NOTHING, Catalogue
from fhir_server.search.expression import Expression
from fhir_server.terminology import published


class NamedQuery(Protocol):
    """A query that a deployment defines, and that _query names."""

    @property
    def name(self) -> str:
        """What _query calls it."""

    def expression(self, resource_types: tuple[str, ...]) -> Expression:
        """What holds of its matches among those types."""


class CodeSets(Protocol):
    """The terminology as searches ask it: (system, code) pairs, or None when they cannot be told."""

    def members(self, value_set: str) -> frozenset[tuple[str, str]] | None:
        """The codes of a value set by its canonical url."""

    def below(self, system: str, code: str) -> frozenset[tuple[str, str]] | None:
        """A code and all that it subsumes."""

    def above(self, system: str, code: str) -> frozenset[tuple[str, str]] | None:
        """A code and all that subsume it."""


def _clock() -> int:
    return time.time_ns() // 1_000


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """handling: whether parameters that are not understood are refused or reported and left out.

    zone: of dates that name none; base_urls: of this server; now: microseconds since 1970, from which the prefix ap
    measures. terminology: what :in, :above and their like ask; content: whether _content is offered; catalogue: the
    parameters of the deployment's own; queries: what _query may name. The limits: the values of one parameter, the
    codes that its modifier may stand for, the parameters of one search, the hops of a chain or _has, the types that one
    hop may lead to without a type named, and the expressions that all chains together may need.
    """

    default_count: int = 20
    maximum_count: int = 1000
    handling: Literal["strict", "lenient"] = "lenient"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    base_urls: tuple[str, ...] = ()
    now: int = field(default_factory=_clock)
    terminology: CodeSets = field(default_factory=published)
    content: bool = False
    catalogue: Catalogue = NOTHING
    queries: tuple[NamedQuery, ...] = ()
    maximum_values: int = 500
    maximum_codes: int = 5000
    maximum_parameters: int = 100
    maximum_depth: int = 10
    maximum_targets: int = 20
    maximum_expressions: int = 200
