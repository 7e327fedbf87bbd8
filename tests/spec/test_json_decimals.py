"""Numbers at the edge of what can be computed (https://hl7.org/fhir/R4/datatypes.html#decimal)."""

from __future__ import annotations

import pytest

from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, serialise


@pytest.mark.parametrize("text", ["1E99999999999999999999", "-1.5e-99999999999999999999"])
def test_an_exponent_beyond_what_can_be_computed_is_400(text: str) -> None:
    with pytest.raises(FhirError) as caught:
        parse(f'{{"value":{text}}}'.encode())
    assert caught.value.status == 400
    assert "exponent" in caught.value.issues[0].diagnostics


@pytest.mark.parametrize("text", ["1E999999", "1e-7", "1.00", "-0", "0E-20"])
def test_other_decimals_keep_their_digits(text: str) -> None:
    body = f'{{"value":{text}}}'.encode()
    assert serialise(parse(body)) == body
