"""$reindex: begin to index what is stored for the search parameters that were defined; $reindex-status: how far it is.

The pattern is that of asynchronous requests: 202 with Content-Location, which answers 202 until it is done.
https://hl7.org/fhir/R4/async.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.spec import errors
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import ReadTransaction, Transaction
from fhir_server.store.defined import Defined

Json = dict[str, Any]


@dataclass(frozen=True)
class Reindex:
    """POST [base]/$reindex: every parameter that waits is indexed; its use answers 503 until it is ready."""

    code: str = "reindex"
    definition: str = "https://fhir-server.example.org/OperationDefinition/reindex"
    levels: frozenset[Level] = frozenset({"system"})
    resource_types: frozenset[str] = frozenset()
    affects_state: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """202 with Content-Location and the state of every parameter."""
        _check(call)
        catalogue = cast("Transaction", transaction).catalogue
        for item in catalogue.listed():
            if item.state == "requested":
                catalogue.change(item.number, "indexing")
        location = f"{context.base_url}/$reindex-status"
        body = _parameters(catalogue.listed(), transaction)
        return Result(202, body, headers={"Content-Location": location})


@dataclass(frozen=True)
class ReindexStatus:
    """GET [base]/$reindex-status: 202 with X-Progress while something is being indexed, then 200."""

    code: str = "reindex-status"
    definition: str = "https://fhir-server.example.org/OperationDefinition/reindex-status"
    levels: frozenset[Level] = frozenset({"system"})
    resource_types: frozenset[str] = frozenset()
    affects_state: bool = False

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """The state of every parameter, as Parameters."""
        del context
        _check(call)
        listed = transaction.catalogue.listed()
        body = _parameters(listed, transaction)
        running = [item for item in listed if item.state == "indexing"]
        if not running:
            return Result(200, body)
        done, total = transaction.catalogue.progress(running[0])
        told = f"{running[0].resource_type}.{running[0].code}: {done} of {total}"
        return Result(202, body, headers={"X-Progress": told, "Retry-After": "1"})


def _check(call: Operation) -> None:
    for name, _ in call.parameters:
        if name not in ("_format", "_pretty"):
            raise errors.not_supported(f"${call.code} takes no parameter '{name[:64]}'")


def _parameters(listed: list[Defined], transaction: ReadTransaction) -> bytes:
    parts = []
    for item in listed:
        if item.state == "retired":
            continue
        done, total = transaction.catalogue.progress(item) if item.state == "indexing" else (0, 0)
        shown: list[Json] = [
            {"name": "url", "valueUri": item.url},
            {"name": "base", "valueCode": item.resource_type},
            {"name": "code", "valueCode": item.code},
            {"name": "state", "valueCode": item.state},
        ]
        if item.state == "indexing":
            shown += [
                {"name": "done", "valueInteger": done},
                {"name": "total", "valueInteger": total},
            ]
        parts.append({"name": "searchParameter", "part": shown})
    found: Json = {"resourceType": "Parameters"}
    if parts:
        found["parameter"] = parts
    return serialise(found)
