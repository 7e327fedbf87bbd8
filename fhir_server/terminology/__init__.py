"""Terminology: code systems, value sets and concept maps (https://hl7.org/fhir/R4/terminology-service.html)."""

from fhir_server.terminology.code_systems import CodeSystem, Concept
from fhir_server.terminology.faults import (
    NotEnumerable,
    TerminologyFault,
    TooCostly,
    Unavailable,
    Unknown,
    Unusable,
)
from fhir_server.terminology.remote import RemoteServer
from fhir_server.terminology.service import Terminology, published
from fhir_server.terminology.sources import Published, Source

__all__ = [
    "CodeSystem",
    "Concept",
    "NotEnumerable",
    "Published",
    "RemoteServer",
    "Source",
    "Terminology",
    "TerminologyFault",
    "TooCostly",
    "Unavailable",
    "Unknown",
    "Unusable",
    "published",
]
