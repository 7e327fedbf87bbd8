"""Rules of single resource types that R4 states in prose, about more than one element or more than one resource.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from fhir_server.spec.errors import Issue
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.resources.bundles import bundle_issues
from fhir_server.validation.resources.questionnaire_responses import response_issues
from fhir_server.validation.resources.questionnaires import questionnaire_issues
from fhir_server.validation.resources.search_parameters import parameter_issues, statement_issues
from fhir_server.validation.resources.structure_definitions import structure_issues
from fhir_server.validation.resources.terminologies import (
    code_system_issues,
    concept_map_issues,
    value_set_issues,
)

# The issues of a resource that keeps its base rules, at its path.
Rule = Callable[[dict[str, Any], str, Run], Iterator[Issue]]

RULES: Final[Mapping[str, Rule]] = {
    "Bundle": bundle_issues,
    "CapabilityStatement": statement_issues,
    "CodeSystem": code_system_issues,
    "ConceptMap": concept_map_issues,
    "Questionnaire": questionnaire_issues,
    "QuestionnaireResponse": response_issues,
    "SearchParameter": parameter_issues,
    "StructureDefinition": structure_issues,
    "ValueSet": value_set_issues,
}
