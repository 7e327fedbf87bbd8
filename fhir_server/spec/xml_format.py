"""The XML format: both directions (https://hl7.org/fhir/R4/xml.html)."""

from fhir_server.spec.xml_reader import parse_xml
from fhir_server.spec.xml_writer import serialise_xml

__all__ = ["parse_xml", "serialise_xml"]
