"""What resources are held to: R4 and packages, which never change while the server runs, and what is stored here.

https://hl7.org/fhir/R4/resource-operation-validate.html
StructureDefinitions, ValueSets, CodeSystems, Questionnaires and SearchParameters that are stored over REST take effect
with their commit, in every process: a write that they could concern, and a search for the codes of a value set, ask
inside their own transaction whether they have changed.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.interactions.conformance import newest
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.store.contract import ReadTransaction, Transaction
from fhir_server.terminology import Terminology
from fhir_server.validation import Validator, status
from fhir_server.validation.issues import refused
from fhir_server.validation.profiles.library import Library

Json = dict[str, Any]

_KINDS: Final = (
    "StructureDefinition",
    "ValueSet",
    "CodeSystem",
    "Questionnaire",
    "SearchParameter",
)
# What is held to some of them without a profile.
_STATEMENT: Final = "CapabilityStatement"
# What a resource has in it that something stored here could be about.
_PROFILE: Final = b'"profile":'
_EXTENSION: Final = b'xtension":'
_QUESTIONNAIRE: Final = b'"questionnaire":'
# The store's mark that is another one after every commit that changes one of them.
_MARK: Final = "definitions"


class Profiles:
    """validator knows R4 and the packages; within() is one that knows what is stored as well."""

    def __init__(self, validator: Validator) -> None:
        self.validator = validator
        self._lock = threading.Lock()
        self._stored: _Known | None = None

    def within(self, transaction: ReadTransaction) -> Validator:
        """The validator for use inside a transaction: with what is stored there now.

        Use it before the transaction ends, on the same thread.
        """
        known = self._known(transaction)
        return self.validator if known is None else known.validator

    def terminology(self, transaction: ReadTransaction) -> Terminology:
        """What is stored now, then packages and R4's own; no other server is asked. For use as that of within()."""
        known = self._known(transaction)
        return self.validator.library.terminology if known is None else known.terminology

    def _known(self, transaction: ReadTransaction) -> _Known | None:
        mark = transaction.mark(_MARK)
        if mark is None:
            return None
        with self._lock:
            known = self._stored
            if known is None or known.mark != mark:
                source = _Stored()
                library = Library((source,), outer=self.validator.library)
                validator = Validator(library, self.validator.defaults)
                terminology = self.validator.library.terminology.over(source)
                known = self._stored = _Known(mark, source, validator, terminology)
        known.source.reading.transaction = transaction
        return known

    def explain(
        self,
        resource: Json,
        transaction: ReadTransaction,
        *,
        resource_type: str | None,
        profile: str | None,
    ) -> tuple[Issue, ...]:
        """Every issue of a resource, under a profile as well if one is named, with what is stored now ($validate)."""
        validator = self.within(transaction)
        return validator.explain(
            resource, resource_type=resource_type, profiles=() if profile is None else (profile,)
        )

    def check_stored(self, resource: Json, body: bytes, transaction: ReadTransaction) -> None:
        """Refuse a resource that breaks a profile stored here, or a profile that cannot be: FhirError 422.

        What R4 and the packages ask was asked before. body: the resource as bytes.
        """
        kind = resource["resourceType"]
        if (
            kind in _KINDS
            or kind == _STATEMENT
            or kind in self.validator.defaults
            or _PROFILE in body
            or _EXTENSION in body
            or _QUESTIONNAIRE in body
        ):
            validator = self.within(transaction)
            if validator is not self.validator:
                _refuse(validator.validate(resource))


def _refuse(issues: tuple[Issue, ...]) -> None:
    errors = tuple(filter(refused, issues))
    if errors:
        raise FhirError(status(errors), errors)


def changed(resource_type: str, transaction: Transaction) -> None:
    """Tell every process, with the commit, when what was written may be a definition that others are held to."""
    if resource_type in _KINDS:
        transaction.renew_mark(_MARK)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was made of what is stored, as long as the mark is the same."""

    mark: bytes
    source: _Stored
    validator: Validator
    terminology: Terminology


class _Reading(threading.local):
    """The transaction that a thread looks definitions up in."""

    transaction: ReadTransaction | None = None


class _Stored:
    """A library's source: the current conformance resources of the store."""

    def __init__(self) -> None:
        self.reading = _Reading()

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that canonical url; of several the one of the version asked for, else the newest."""
        transaction = self.reading.transaction
        if transaction is None or resource_type not in _KINDS:
            return None
        return newest(resource_type, url, version, transaction)
