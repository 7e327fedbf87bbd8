"""Referential integrity, where a deployment asks for it (https://hl7.org/fhir/R4/references.html)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.search.parameters import reference_numbers
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.store.contract import ReadTransaction


def references(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every (FHIRPath, Reference.reference) within a value, contained resources included."""
    if isinstance(value, dict):
        target = value.get("reference")
        if isinstance(target, str):
            yield f"{place}.reference", target
        for name, child in value.items():
            yield from references(child, f"{place}.{name}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from references(child, f"{place}[{number}]")


def local_target(reference: str, context: Context) -> tuple[str, str] | None:
    """The (type, id) of this server that a reference names, or None."""
    return _local(reference, context.policy.base_urls)


@lru_cache(maxsize=4096)
def _local(reference: str, base_urls: tuple[str, ...]) -> tuple[str, str] | None:
    path = reference
    for base in base_urls:
        path = path.removeprefix(base + "/")
    parts = path.split("/")
    if len(parts) not in (2, 4) or not is_resource_type(parts[0]):
        return None
    return parts[0], parts[1]


def check_references(
    resource: dict[str, Any], transaction: ReadTransaction, context: Context
) -> None:
    """Refuse (422) a reference to a resource of this server that is not there.

    A resource may refer to itself. Inside a transaction the Bundle's own resources are checked at its end.
    """
    me = (resource["resourceType"], resource["id"])
    wanted = {
        target: place
        for place, reference in references(resource, resource["resourceType"])
        if (target := local_target(reference, context)) is not None and target != me
    }
    if not wanted:
        return
    found = transaction.many(list(wanted))
    missing = [target for target in wanted if target not in found]
    if missing:
        raise errors.unprocessable(
            *(
                errors.Issue(
                    "error",
                    "not-found",
                    f"There is no {target[0]}/{target[1]}; create it first, or in the same transaction",
                    (wanted[target],),
                )
                for target in missing
            )
        )


def check_referrers(resource_type: str, logical_id: str, transaction: ReadTransaction) -> None:
    """Refuse (409) to delete what another resource refers to, as far as search parameters see the reference."""
    links = transaction.links_to([(resource_type, logical_id)], reference_numbers(), 2)
    keys = [link.source_key for link in links]
    for version in transaction.by_key(keys).values():
        if (version.resource_type, version.logical_id) != (resource_type, logical_id):
            raise errors.conflict(
                f"{version.resource_type}/{version.logical_id} refers to {resource_type}/{logical_id};"
                " change or delete it first"
            )
