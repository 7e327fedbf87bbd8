"""What storing a SearchParameter means for the server: it is a parameter from then on, once $reindex has run.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.search.custom import definitions
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse, serialise
from fhir_server.store.contract import StoredVersion, Transaction

Json = dict[str, Any]

DEFINING = "SearchParameter"


def define(resource: Json, context: Context, transaction: Transaction) -> None:
    """Make the catalogue hold what the resource defines; FhirError 409 when another has the code, 422 see definitions.

    A parameter whose definition changes is another one: the old one is retired, the new one waits for $reindex.
    """
    wanted = definitions(resource)
    url = resource["url"]
    facts = {
        name: resource[name]
        for name in ("url", "code", "type", "expression", "target", "component", "base")
        if name in resource
    }
    catalogue = transaction.catalogue
    listed = catalogue.listed()
    held = [item for item in listed if item.url == url and item.state != "retired"]
    definition = serialise(facts)
    same = held and all(item.definition == definition for item in held)
    if same and len(held) == len(wanted):
        return
    for item in held:
        catalogue.change(item.number, "retired")
    for found in wanted:
        for item in listed:
            if (
                item.state != "retired"
                and item.url != url
                and (item.resource_type, item.code) == (found.resource_type, found.code)
            ):
                raise errors.conflict(
                    f"{item.url} defines '{found.code}' of {found.resource_type} already; choose another code",
                    f"{DEFINING}.code",
                )
        catalogue.add(url, found.resource_type, found.code, definition, context.now())


def withdraw(previous: StoredVersion | None, transaction: Transaction) -> None:
    """Retire what a deleted SearchParameter defined."""
    if previous is None or previous.deleted:
        return
    url = parse(previous.body).get("url")
    for item in transaction.catalogue.listed():
        if item.url == url and item.state != "retired":
            transaction.catalogue.change(item.number, "retired")
