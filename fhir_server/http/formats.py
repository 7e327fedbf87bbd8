"""Which format a body is in and which the answer should have (https://hl7.org/fhir/R4/http.html#mime-type)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from fhir_server.spec import errors

# "other" is a body that is no resource, and goes out as it is.
Format = Literal["json", "xml", "other"]

_FORMATS: dict[str, Format] = {
    "json": "json", "application/json": "json", "application/fhir+json": "json", "text/json": "json",
    "application/json+fhir": "json",
    "xml": "xml", "application/xml": "xml", "application/fhir+xml": "xml", "text/xml": "xml",
    "application/xml+fhir": "xml",
}  # fmt: skip
_VERSIONS = ("4.0", "4.0.1")
_PLAIN = ("application/json", "text/json", "application/xml", "text/xml")
_NDJSON = ("application/fhir+ndjson", "application/x-ndjson", "application/ndjson")
# What a search is listed in, without a Bundle around it.
LISTS = ("text/csv", *_NDJSON)
_PATCHES = {
    "application/json-patch+json": "json-patch",
    "application/xml-patch+xml": "xml-patch",
}
ACCEPT_PATCH = "application/json-patch+json, application/xml-patch+xml, application/fhir+json, application/fhir+xml"
_WEIGHT = re.compile(r"(?:0|1)?(?:\.[0-9]{0,3})?", re.ASCII)
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """How to render: the format and the exact media type to name."""

    format: Format
    media_type: str

    @property
    def is_list(self) -> bool:
        """Whether only a search can be answered so."""
        return self.media_type in LISTS


JSON = Answer("json", "application/fhir+json")
XML = Answer("xml", "application/fhir+xml")


def _parameters(parts: list[str]) -> dict[str, str]:
    found = {}
    for part in parts:
        name, _, value = part.partition("=")
        found[name.strip().lower()] = value.strip().strip('"')
    return found


def _accepted(item: str) -> tuple[float, str, dict[str, str]]:
    media_type, *rest = item.split(";")
    parameters = _parameters(rest)
    weight = parameters.get("q", "1")
    quality = float(weight) if _WEIGHT.fullmatch(weight) else 0.0
    return quality, media_type.strip().lower(), parameters


def is_ndjson(content_type: str | None) -> bool:
    """Whether a body is one resource a line."""
    return (content_type or "").partition(";")[0].strip().lower() in _NDJSON


def is_fhir(media_type: str) -> bool:
    """Whether a media type is one of FHIR's or a plain JSON or XML one."""
    return media_type.partition(";")[0].strip().lower() in _FORMATS


@lru_cache(maxsize=512)
def negotiate(accept: str | None, asked: str | None, others: tuple[str, ...] = ()) -> Answer:
    """The answer's format from Accept and _format, which wins; others: media types that are offered beside FHIR's.

    Raises FhirError 406 when none of the formats asked for is offered.
    """
    if asked:
        return _asked(asked, others)
    if not accept:
        return JSON
    offers = sorted((_accepted(item) for item in accept.split(",")), key=lambda item: -item[0])
    refused = {media_type for quality, media_type, _ in offers if quality <= 0}
    for quality, media_type, parameters in offers:
        if quality <= 0 or parameters.get("fhirversion", "4.0") not in _VERSIONS:
            continue
        if media_type in ("*/*", "application/*"):
            for offer in (JSON, XML):
                if offer.media_type not in refused:
                    return offer
        if media_type in others:
            return Answer("other", media_type)
        if media_type == "text/*":
            return Answer("json", "text/json")
        if media_type in _FORMATS and "/" in media_type:
            return _answer(media_type)
    raise errors.not_acceptable(
        f"Accept is '{accept[:100]}'; this server answers"
        f" {', '.join(('application/fhir+json', *others))} and application/fhir+xml, FHIR 4.0"
    )


def _answer(media_type: str) -> Answer:
    kind = _FORMATS[media_type]
    return Answer(kind, media_type if media_type in _PLAIN else f"application/fhir+{kind}")


def _asked(asked: str, others: tuple[str, ...]) -> Answer:
    # A + that was not escaped arrives as a blank.
    media_type = asked.partition(";")[0].strip().lower().replace(" ", "+")
    for other in others:
        if media_type in (other, other.partition("/")[2]):
            return Answer("other", other)
    if media_type not in _FORMATS:
        named = ", ".join(("json", *(other.partition("/")[2] for other in others)))
        raise errors.not_acceptable(f"_format is '{asked[:64]}'; use {named} or xml")
    if _accepted(asked)[2].get("fhirversion", "4.0") not in _VERSIONS:
        raise errors.not_acceptable(f"_format is '{asked[:64]}'; this server answers FHIR 4.0")
    return _answer(media_type)


@lru_cache(maxsize=512)
def body_format(content_type: str | None) -> Format:
    """The format of a request body; FhirError 415 for one that this server does not read."""
    if not content_type:
        raise errors.unsupported_media_type("Content-Type is missing; send application/fhir+json")
    _, media_type, parameters = _accepted(content_type)
    if "/" not in media_type or media_type not in _FORMATS:
        raise errors.unsupported_media_type(
            f"Content-Type is '{content_type[:100]}'; send application/fhir+json or application/fhir+xml"
        )
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise errors.unsupported_media_type("The charset must be UTF-8")
    if parameters.get("fhirversion", "4.0") not in _VERSIONS:
        raise errors.unsupported_media_type("fhirVersion must be 4.0")
    return _FORMATS[media_type]


def patch_language(content_type: str | None) -> str | None:
    """json-patch, xml-patch, or None for a FHIR type, which holds a FHIRPath Patch; FhirError 415 otherwise."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type in _PATCHES:
        return _PATCHES[media_type]
    if content_type and media_type in _FORMATS:
        return None
    raise errors.unsupported_media_type(
        f"A PATCH is sent as {ACCEPT_PATCH.replace(', ', ' or ')}", Accept_Patch=ACCEPT_PATCH
    )


def check_versions(accept: str | None, content_type: str | None) -> None:
    """FhirError 400 when Accept and Content-Type name different FHIR versions."""
    if not accept or not content_type or "fhirversion" not in accept.lower():
        return
    versions = {
        parameters["fhirversion"].removesuffix(".1")
        for text in (accept, content_type)
        for _, _, parameters in map(_accepted, text.split(","))
        if "fhirversion" in parameters
    }
    if len(versions) > 1:
        raise errors.invalid(
            "Accept and Content-Type name different FHIR versions; use 4.0 in both"
        )
