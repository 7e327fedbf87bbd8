"""The value sets and hierarchies that the modifiers :in, :not-in, :above and :below of a search ask.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from fhir_server.interactions.call import Context
from fhir_server.search.references import read_reference
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction
from fhir_server.terminology import Terminology
from fhir_server.terminology.service import Codes

Json = dict[str, Any]
_VALUE_SET = "ValueSet"


@dataclass(frozen=True, slots=True)
class CodesInView:
    """What a transaction sees: what is stored, then packages and R4's own; no other server is asked."""

    context: Context
    transaction: ReadTransaction

    @property
    def _terminology(self) -> Terminology:
        return self.context.profiles.terminology(self.transaction)

    def members(self, value_set: str) -> Codes | None:
        """The codes of a value set by its canonical url, or by its place on this server; None when unknown."""
        named = read_reference(value_set, self.context.policy.base_urls)
        if named.target_type == _VALUE_SET:
            found = self.transaction.current(_VALUE_SET, named.target_id)
            if found is not None and not found.deleted:
                return self._terminology.listed(parse_stored(found.body))
        return self._terminology.members(value_set)

    def below(self, system: str, code: str) -> Codes | None:
        """A code and all that it subsumes."""
        return self._terminology.below(system, code)

    def above(self, system: str, code: str) -> Codes | None:
        """A code and all that subsume it."""
        return self._terminology.above(system, code)


class NeedsView(Exception):
    """What a search means cannot be told without a transaction."""


class CodesOutOfView:
    """For searches whose meaning is remembered: each question raises NeedsView, as its answer may change."""

    def members(self, value_set: str) -> NoReturn:
        """See CodesInView."""
        del value_set
        raise NeedsView

    def below(self, system: str, code: str) -> NoReturn:
        """See CodesInView."""
        del system, code
        raise NeedsView

    above = below
