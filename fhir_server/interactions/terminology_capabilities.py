"""What the TerminologyCapabilities say (https://hl7.org/fhir/R4/terminologycapabilities.html)."""

from __future__ import annotations

from functools import cache
from typing import Any

from fhir_server.spec.definitions import terminology_urls
from fhir_server.spec.operations import operation_definition
from fhir_server.terminology.algorithmic import ALGORITHMIC

Json = dict[str, Any]


@cache
def terminology_facts() -> Json:
    """The code systems that are here whatever is stored, and how value sets are expanded and codes validated."""
    urls = sorted({*terminology_urls("CodeSystem"), *ALGORITHMIC})
    inputs = operation_definition("ValueSet-expand").inputs
    return {
        "codeSystem": [{"uri": url} for url in urls],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": item.name} for item in inputs],
            "textFilter": "Every word must be a part of the code, the display or a designation",
        },
        "codeSearch": "all",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
        "closure": {"translation": False},
    }
