"""fhirclient, unmodified: the SMART on FHIR Python client with R4 model classes (https://pypi.org/project/fhirclient/)."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("fhirclient", reason="the client is not installed")
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.patient import Patient
from fhirclient.models.servicerequest import ServiceRequest
from fhirclient.server import FHIRNotFoundException


@pytest.fixture
def server(base: str) -> Any:
    return FHIRClient({"app_id": "test", "api_base": base}).server


def patient(family: str) -> Patient:
    return Patient(
        {"resourceType": "Patient", "name": [{"family": family}], "birthDate": "1970-01-02"}
    )


def create(server: Any, resource: Any) -> Any:
    return type(resource)(resource.create(server))


def test_the_capability_statement_fits_the_model_classes(server: Any) -> None:
    statement = CapabilityStatement.read_from("metadata", server)
    assert statement.fhirVersion == "4.0.1"
    assert {"Patient", "Slot"} <= {item.type for item in statement.rest[0].resource}


def test_create_read_update_delete(server: Any) -> None:
    created = create(server, patient("Okafor"))
    found = Patient.read(created.id, server)
    assert found.name[0].family == "Okafor"
    found.gender = "female"
    assert found.update(server)["meta"]["versionId"] == "2"
    found.delete(server)
    with pytest.raises(Exception, match="410"):
        Patient.read(created.id, server)


def test_an_unknown_id_is_not_found(server: Any) -> None:
    with pytest.raises(FHIRNotFoundException):
        Patient.read("nobody", server)


def test_history_holds_every_version(server: Any) -> None:
    created = create(server, patient("Ghosh"))
    created.active = True
    created.update(server)
    history = Bundle.read_from(f"Patient/{created.id}/_history", server)
    assert history.type == "history"
    assert [entry.resource.meta.versionId for entry in history.entry] == ["2", "1"]


def test_search_follows_every_page(server: Any) -> None:
    for _ in range(5):
        create(server, patient("Quaylethorpe"))
    search = Patient.where({"family": "Quaylethorpe", "_count": "2"})
    found = list(search.perform_resources_iter(server))
    assert len(found) == 5
    assert {item.name[0].family for item in found} == {"Quaylethorpe"}


def test_search_with_include(server: Any) -> None:
    subject = create(server, patient("Varga"))
    referral = ServiceRequest(
        {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "subject": {"reference": f"Patient/{subject.id}"},
        }
    )
    create(server, referral)
    search = ServiceRequest.where({"subject": f"Patient/{subject.id}"})
    found = search.include("subject").perform_resources_iter(server)
    assert [item.resource_type for item in found] == ["ServiceRequest", "Patient"]


def test_transaction(server: Any) -> None:
    bundle = Bundle(
        {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "resource": patient("Mensah").as_json(),
                    "request": {"method": "PUT", "url": f"Patient/mensah-{number}"},
                }
                for number in (1, 2)
            ],
        }
    )
    for number, entry in enumerate(bundle.entry, 1):
        entry.resource.id = f"mensah-{number}"
    answer = Bundle(bundle.create(server))
    assert answer.type == "transaction-response"
    assert [entry.response.status[:3] for entry in answer.entry] == ["201", "201"]
