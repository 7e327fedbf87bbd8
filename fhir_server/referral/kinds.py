"""Which resources the life-cycle is about, told by what is in them.

A ServiceRequest is a request for advice when its code says so, else a referral when it claims our profile, has both
categories of a referral, or has a UBRN. Every other one (a laboratory order, say) is left alone. As the server gives
each of them a UBRN and lets nobody take it away, one that is stored is known by that.
https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal

from fhir_server.referral.definitions import system, table, task_systems
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import StoredVersion

Json = dict[str, Any]
Kind = Literal["referral", "advice"]


def codings(*concepts: Any) -> Iterator[tuple[str, str]]:
    """(system, code) of every coding of some CodeableConcepts."""
    for concept in concepts:
        for item in (concept or {}).get("coding", ()):
            yield item.get("system", ""), item.get("code", "")


@cache
def _pair(name: str) -> tuple[str, str]:
    found = table()["kinds"][name]
    return found["system"], found["code"]


@cache
def _categories() -> frozenset[tuple[str, str]]:
    return frozenset((item["system"], item["code"]) for item in table()["kinds"]["categories"])


@cache
def _profiles() -> frozenset[str]:
    return frozenset(table()["kinds"]["profiles"])


def kind_of(resource: Json | None) -> Kind | None:
    """Whether a ServiceRequest is a referral or a request for advice; None for what is neither."""
    if resource is None:
        return None
    if _pair("advice") in codings(resource.get("code")):
        return "advice"
    if ubrn_of(resource) is not None:
        return "referral"
    if _categories() <= set(codings(*resource.get("category", ()))):
        return "referral"
    named = resource.get("meta", {}).get("profile", ())
    if any(url.partition("|")[0] in _profiles() for url in named):
        return "referral"
    return None


def ubrn_of(resource: Json) -> str | None:
    """The unique booking reference number."""
    for item in resource.get("identifier", ()):
        if item.get("system") == system("ubrn") and item.get("value"):
            found: str = item["value"]
            return found
    return None


@cache
def _mark() -> bytes:
    return f'"{system("ubrn")}"'.encode()


@cache
def _advice_mark() -> bytes:
    return f'"{_pair("advice")[1]}"'.encode()


def stored_referral(version: StoredVersion | None, only: Kind | None = None) -> Json | None:
    """The referral or request for advice in that version; None when it is neither, deleted or not there.

    only: what is not of that kind is None, too.
    """
    if version is None or version.deleted or _mark() not in version.body:
        return None
    if only == "advice" and _advice_mark() not in version.body:
        return None
    found: Json = parse_stored(version.body)
    kind = kind_of(found)
    return found if kind is not None and only in (None, kind) else None


def task_code(task: Json | None) -> str | None:
    """The code of a Task that belongs to the life-cycle, else None."""
    if task is None:
        return None
    known: Iterable[str] = table()["tasks"]
    for found, code in codings(task.get("code")):
        if found in task_systems() and code in known:
            return code
    return None
