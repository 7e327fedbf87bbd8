"""The searches that R4 gives as examples are understood as they stand (https://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

import pytest

from fhir_server.interactions.grammar import parse_query
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.spec.definitions import resource_types
from fhir_server.spec.errors import FhirError

STRICT = SearchSettings(
    handling="strict", content=True, base_urls=("http://acme.org/fhir",), maximum_targets=200
)

UNDERSTOOD = (
    # modifiers and missing
    "Patient?gender:missing=true",
    "Patient?given:exact=Son",
    "Patient?given:contains=eve",
    "Patient?given=eve",
    "Condition?code:text=headache",
    "Composition?section:missing=false",
    "AllergyIntolerance?clinical-status:missing=true",
    # numbers, dates, quantities
    "RiskAssessment?probability=gt0.8",
    "RiskAssessment?probability=100",
    "RiskAssessment?probability=1e2",
    "MolecularSequence?variant-start=lt100",
    "ImmunizationEvaluation?date=ge2010",
    "Observation?date=ge2010-01-01&date=le2011-12-31",
    "Patient?birthdate=ge2010",
    "Encounter?date=sa2013-03-14",
    "Encounter?date=ge2013-03-14T09:00:00Z",
    "Procedure?date=ap2013-03-14",
    "Observation?_lastUpdated=gt2010-10-01",
    "Observation?value-quantity=5.4|http://unitsofmeasure.org|mg",
    "Observation?value-quantity=5.40e-3|http://unitsofmeasure.org|g",
    "Observation?value-quantity=5.4||mg",
    "Observation?value-quantity=5.4",
    "Observation?value-quantity=le5.4|http://unitsofmeasure.org|mg",
    "Observation?value-quantity=ap5.4|http://unitsofmeasure.org|mg",
    # tokens
    "Patient?identifier=http://acme.org/patient|2345",
    "Patient?gender=male",
    "Patient?gender:not=male",
    "Patient?active=true",
    "Condition?code=http://acme.org/conditions/codes|ha125",
    "Condition?code=ha125",
    "Patient?language=FR,NL",
    "Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|446053",
    # references
    "Observation?subject=Patient/23",
    "Observation?subject=23",
    "Observation?subject:Patient=23",
    "Observation?subject=http://acme.org/fhir/Patient/23",
    "Observation?subject:identifier=http://acme.org/fhir/identifier/mrn|123456",
    "Observation?patient=http://example.org/Patient/23",
    # uris, text, lists
    "ValueSet?url=http://acme.org/fhir/ValueSet/123",
    "ValueSet?url:below=http://acme.org/fhir/",
    "ValueSet?url:above=http://acme.org/fhir/ValueSet/123/_history/5",
    "ValueSet?url=urn:oid:1.2.3.4.5",
    "Condition?_text=bone",
    "Patient?_content=cancer",
    "Patient?_list=42",
    "AllergyIntolerance?patient=42&_list=1",
    'Patient?_filter=given eq "peter" and birthdate ge 2014-10-10',
    # composites
    "DiagnosticReport?result.code-value-quantity=http://loinc.org|2823-3$gt5.4|http://unitsofmeasure.org|mmol/L",
    "Observation?component-code-value-quantity=http://loinc.org|8480-6$lt60",
    "Group?characteristic-value=gender$mixed",
    # chains
    "DiagnosticReport?subject:Patient.name=peter",
    "DiagnosticReport?subject.name=peter",
    "Patient?general-practitioner.name=Joe",
    "Patient?general-practitioner:Practitioner.address-state=MN",
    "Encounter?subject:Patient.organization.name=Acme",
    "Patient?_has:Observation:patient:code=1234-5",
    "Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=MyUserId",
    "Encounter?patient._has:Group:member:_id=102",
    "Procedure?patient._id=1",
    # results
    "Observation?_sort=status,-date,category",
    "Patient?_elements=identifier,active,link",
    "Patient?_summary=text",
    "Patient?_count=10",
    "Patient?_total=accurate",
    "MedicationRequest?_include=MedicationRequest:patient",
    "MedicationRequest?_revinclude=Provenance:target",
    "MedicationDispense?_include=MedicationDispense:prescription&_include:iterate=MedicationRequest:intended-performer",
    "Encounter?_include=*",
    "MedicationRequest?_include=MedicationRequest:requester:Practitioner",
    "Location?near=42.256500|-83.694810|11.20|km",
    "Location?near=-72.519854|42.373222",
    # whole server
    "?_id=1",
    "?_lastUpdated=gt2020",
    "?_profile=http://hl7.org/fhir/StructureDefinition/bp",
    "?_tag=http://acme.org/codes|needs-review",
    "?_security=http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R",
    "?_source=http://example.com/Organization/123",
)


@pytest.mark.parametrize("example", UNDERSTOOD)
def test_an_example_is_understood_completely(example):
    kind, _, query = example.partition("?")
    parameters = parse_query(query)
    search = parse_search((kind,) if kind else resource_types(), parameters, settings=STRICT)
    assert not search.warnings
    named = {name for name, _ in search.applied}
    assert {name for name, _ in parameters} <= named


REFUSED = (
    "Patient?gender:exact=male",
    "Patient?birthdate=foo",
    "Observation?subject:Slot=1",
    "Patient?_query=current-high-risk",
    "Observation?value-quantity=5|mg",
    "Patient?_list=$current-problems",
    "Condition?code:in=http://example.org/unknown",
    "DiagnosticReport?subject.nothing=peter",
    "Patient?_has:Observation:code=1234-5",
    "Patient?_filter=given eq",
)


@pytest.mark.parametrize("example", REFUSED)
def test_what_cannot_be_answered_is_refused(example):
    kind, _, query = example.partition("?")
    with pytest.raises(FhirError) as caught:
        parse_search((kind,), parse_query(query), settings=STRICT)
    assert caught.value.status == 400
