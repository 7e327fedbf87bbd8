"""Identifiers and codes of the United Kingdom that can be checked without asking anybody.

NHS number: https://www.datadictionary.nhs.uk/attributes/nhs_number.html
ODS code: https://www.datadictionary.nhs.uk/data_elements/organisation_code.html
Postcode: https://www.datadictionary.nhs.uk/data_elements/postcode.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fhir_server.spec.errors import Issue

Json = dict[str, Any]
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
ODS_CODES = (
    "https://fhir.nhs.uk/Id/ods-organization-code",
    "https://fhir.nhs.uk/Id/ods-site-code",
    "https://fhir.nhs.uk/id/ods-organization-code",
)
_ODS = re.compile(r"[A-Z0-9]{3,12}", re.ASCII)
_POSTCODE = re.compile(
    r"(?:[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][ABD-HJLNP-UW-Z]{2}|GIR ?0AA|BFPO ?[0-9]{1,4})", re.ASCII
)
_COUNTRIES = frozenset(
    ("", "GB", "GBR", "UK", "UNITED KINGDOM", "ENGLAND", "SCOTLAND", "WALES", "NORTHERN IRELAND")
)


def nhs_number_fault(text: str) -> str | None:
    """What is wrong with an NHS number as it stands in an identifier, or None: ten digits, the last by Modulus 11."""
    if len(text) != 10 or not (text.isascii() and text.isdecimal()):
        return "has ten digits and nothing else"
    remainder = 11 - sum(int(digit) * (10 - at) for at, digit in enumerate(text[:9])) % 11
    check = 0 if remainder == 11 else remainder
    if check != int(text[9]):
        return (
            "has a check digit (Modulus 11) that does not fit: a digit is wrong or two are swapped"
        )
    return None


def ods_code_fault(text: str) -> str | None:
    """What is wrong with the form of an ODS code, or None."""
    return None if _ODS.fullmatch(text) else "has 3 to 12 capital letters and digits"


def postcode_fault(text: str) -> str | None:
    """What is wrong with the form of a postcode, or None."""
    if _POSTCODE.fullmatch(text.upper().strip()):
        return None
    return "has the form of SW1A 1AA"


_CHECKS: Final[Mapping[str, tuple[str, Callable[[str], str | None]]]] = {
    NHS_NUMBER: ("An NHS number", nhs_number_fault),
    **dict.fromkeys(ODS_CODES, ("An ODS code", ods_code_fault)),
}


def warnings(resource: Json) -> Iterator[Issue]:
    """A warning for each identifier and postal code anywhere in a (valid) resource that cannot be right.

    The values do not stand in the sentences: they identify people.
    """
    pending: list[tuple[Any, str]] = [(resource, resource["resourceType"])]
    while pending:
        value, path = pending.pop()
        if isinstance(value, list):
            pending += [(item, f"{path}[{at}]") for at, item in enumerate(value)]
        elif isinstance(value, dict):
            yield from _of_identifier(value, path)
            yield from _of_address(value, path)
            pending += [
                (item, f"{path}.{_element(name)}")
                for name, item in value.items()
                if isinstance(item, (dict, list))
            ]


def _element(name: str) -> str:
    """A JSON property in a path: an address or identifier in an extension is its value."""
    kind = name.removeprefix("value")
    return f"value.ofType({kind})" if kind in ("Address", "Identifier") else name.removeprefix("_")


def _of_identifier(value: Json, path: str) -> Iterator[Issue]:
    system, text = value.get("system"), value.get("value")
    check = _CHECKS.get(system) if isinstance(system, str) else None
    if check is None or not isinstance(text, str):
        return
    fault = check[1](text)
    if fault is not None:
        place = f"{path}.value"
        yield Issue("warning", "value", f"{check[0]} {fault}; correct {place}", (place,))


def _of_address(value: Json, path: str) -> Iterator[Issue]:
    text, country = value.get("postalCode"), value.get("country", "")
    if not isinstance(text, str) or not isinstance(country, str):
        return
    if country.strip().upper() in _COUNTRIES and postcode_fault(text) is not None:
        place = f"{path}.postalCode"
        told = f"A postcode of the United Kingdom {postcode_fault(text)}; correct {place}, or name the country"
        yield Issue("warning", "value", told, (place,))
