"""A search explains itself when it is asked to: _explain=true."""

from shelf import link, outcomes, refusal


def told(bundle):
    issues = outcomes(bundle)
    assert {item["severity"] for item in issues} <= {"information", "warning"}
    return "\n".join(item["diagnostics"] for item in issues)


def test_each_parameter_is_told_as_it_was_read(shelf):
    shelf.put("Patient", "p")
    bundle = shelf.bundle(
        "Slot?status=free&start=ge2026-03-29&schedule.actor:Practitioner.name=x&_explain=true"
    )
    text = told(bundle)
    assert "status=free was read as: Slot.status is 'free of any system'" in text
    assert "2026-03-29T00:00:00.000Z to 2026-03-29T23:00:00.000Z" in text
    assert "refers to a Practitioner for which (Practitioner.name begins with 'x')" in text
    assert "_explain=true" in link(bundle, "self")


def test_the_criterion_that_left_out_a_resource_is_named(shelf):
    shelf.put("Patient", "a", gender="male", birthDate="2000-01-01")
    bundle = shelf.bundle("Patient?_id=#a,#none&gender=female&birthdate=2000&_explain=true")
    assert bundle["total"] == 0
    text = told(bundle)
    assert f"{shelf.id('a')} was left out by gender=female" in text
    assert f"{shelf.id('a')} was left out by birthdate" not in text
    assert f"There is no resource with the id {shelf.id('none')}" in text


def test_every_form_of_expression_can_be_told(shelf):
    for query in (
        "Patient?_filter=gender ne male and birthdate po 1990",
        "Observation?code-value-quantity=a$gt5|http://unitsofmeasure.org|mg&value-quantity=5||mg",
        "Location?near=51|0|5&_lastUpdated=gt2020",
        "Patient?_has:Observation:subject:code=x&identifier:of-type=a|b|c&name:contains=x",
        "ValueSet?url:below=http://a.example.org/b&date:missing=true",
        "RiskAssessment?probability=gt0.5&subject:identifier=a|b&subject:Patient=1&method:text=z",
        "Patient?_text=knee pain&_text:missing=false",
        "ActivityDefinition?library=http://x.example.org/l|1",
    ):
        assert "was read as" in told(shelf.bundle(query + "&_explain=true")), query


def test_without_it_nothing_is_told(shelf, client):
    assert outcomes(shelf.bundle("Slot?status=free&_explain=false")) == []
    refusal(client.get("Slot?_explain=please"))
