"""The XML format, both directions, and what of XML it excludes (https://hl7.org/fhir/R4/xml.html)."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from fhir_server.spec.errors import Issue, malformed, unreadable
from fhir_server.spec.xml_div import NotAlone
from fhir_server.spec.xml_reader import Reader, Stopped
from fhir_server.spec.xml_writer import serialise_xml

__all__ = ["parse_xml", "refuse_dtd", "serialise_xml"]

Json = dict[str, Any]

# After a refusal expat still reads the rest of the document, so a DTD must not reach it at all.
_DOCTYPE = re.compile(
    rb"\A(?:\xef\xbb\xbf)?+(?:[ \t\r\n]++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.DOTALL
)


def parse_xml(body: bytes) -> Json:
    """The JSON form of a resource in XML: what json_format.parse gives for the same resource in JSON.

    A narrative's div is kept as it was written when it stands alone; one that uses prefixes is written anew without.
    Raises FhirError 400 for what is not UTF-8 or has a DTD, and Unreadable for what is not well-formed or not XML as R4
    defines it: unknown or misplaced elements and attributes, other namespaces, text, empty elements, nesting deeper
    than MAXIMUM_DEPTH.
    """
    if not body.strip():
        raise malformed("The body is empty; send a resource")
    refuse_dtd(body)
    try:
        return _read(body, rewrite=False)
    except NotAlone:
        return _read(body, rewrite=True)


def refuse_dtd(body: bytes) -> None:
    """Refuse, with FhirError 400, a document type declaration, and encodings in which it could hide."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8: byte {error.start} cannot be read") from None
    if b"\0" in body:  # or a parser could take it for UTF-16
        raise malformed("The body is not XML: it holds NUL")
    if _DOCTYPE.match(body):
        raise malformed("The body has a document type declaration; FHIR allows none, remove it")


def _read(body: bytes, *, rewrite: bool) -> Json:
    reader = Reader(body, rewrite=rewrite)
    resource = None
    try:
        resource = reader.read()
    except Stopped:
        pass
    except expat.ExpatError as error:
        reader.faults.append(_not_xml(error))
    if resource is None or reader.faults:
        raise unreadable(reader.faults, resource)
    return resource


def _not_xml(error: expat.ExpatError) -> Issue:
    what = expat.ErrorString(error.code)
    if what == "undefined entity":
        what += " (XML has only amp, lt, gt, quot and apos; write &#160; for &nbsp;)"
    place = f"line {error.lineno}, column {error.offset + 1}"
    return Issue("error", "structure", f"The body is not XML: {what} at {place}")
