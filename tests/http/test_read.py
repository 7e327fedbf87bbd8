"""Read (https://hl7.org/fhir/R4/http.html#read)."""

import pytest


@pytest.mark.rule(42, "http#read")
def test_an_unknown_id_is_404(client):
    answer = client.get("Patient/nobody")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"
