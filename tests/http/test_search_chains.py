"""Chains, reverse chains and includes (https://hl7.org/fhir/R4/search.html#chaining)."""

import pytest
from shelf import outcomes, refusal, resources

NHS = "https://fhir.nhs.uk/Id/nhs-number"


def clinic(shelf):
    shelf.put("HealthcareService", "hs1", name="Ear")
    shelf.put("HealthcareService", "hs2", name="Eye")
    shelf.put("Practitioner", "dr", name=[{"family": "Strange"}])
    for number in (1, 2):
        actors = [{"reference": f"HealthcareService/{shelf.id(f'hs{number}')}"}]
        if number == 1:
            actors.append({"reference": f"Practitioner/{shelf.id('dr')}"})
        shelf.put("Schedule", f"s{number}", actor=actors)
        shelf.put(
            "Slot", f"slot{number}", status="free", schedule={"reference": f"Schedule/{shelf.id(f's{number}')}"},
            start="2026-03-01T09:00:00Z", end="2026-03-01T09:30:00Z",
        )  # fmt: skip


def appointment(shelf, label, *actors, **content):
    participants = [{"actor": {"reference": item}, "status": "accepted"} for item in actors]
    return shelf.put("Appointment", label, status="proposed", participant=participants, **content)


@pytest.mark.rule(238, "search#chaining")
def test_slots_of_one_actor_only(shelf):
    clinic(shelf)
    assert shelf.find("Slot?schedule.actor=HealthcareService/#hs1") == ["slot1"]


@pytest.mark.rule(239, "search#chaining")
def test_a_chain_of_two_hops_with_a_type_and_one_that_tries_all(shelf):
    clinic(shelf)
    assert shelf.find("Slot?schedule.actor:Practitioner.name=strange") == ["slot1"]
    assert shelf.find("Slot?schedule.actor:HealthcareService.name=ear") == ["slot1"]
    assert shelf.find("Slot?schedule.actor.name=eye") == ["slot2"]
    assert shelf.find("Slot?schedule:Schedule.actor.name=strange,eye&_sort=_id") == [
        "slot1",
        "slot2",
    ]


@pytest.mark.rule(240, "search#chaining")
def test_repeated_chains_may_hit_different_targets(shelf):
    shelf.put("Patient", "p1", name=[{"family": "Adams"}])
    shelf.put("Patient", "p2", name=[{"given": ["Eve"]}])
    appointment(shelf, "a", f"Patient/{shelf.id('p1')}", f"Patient/{shelf.id('p2')}")
    assert shelf.find("Appointment?actor:Patient.family=adams&actor:Patient.given=eve") == ["a"]


@pytest.mark.rule(241, "search#chaining")
def test_a_chain_through_a_versioned_reference_uses_the_current_version_and_warns(shelf):
    shelf.put("Patient", "p", name=[{"family": "Old"}])
    shelf.put("Patient", "p", name=[{"family": "New"}])
    appointment(shelf, "a", f"Patient/{shelf.id('p')}/_history/1")
    bundle = shelf.bundle("Appointment?actor:Patient.family=new")
    assert shelf.labels(bundle) == ["a"]
    assert any("version" in item["diagnostics"] for item in outcomes(bundle))
    assert shelf.labels(shelf.bundle("Appointment?actor:Patient.family=old")) == []


@pytest.mark.rule(242, "search#has")
def test_has_nested_has_and_has_after_a_chain(shelf):
    for label in ("p", "q"):
        shelf.put("Patient", label)
    shelf.put(
        "ServiceRequest",
        "sr",
        status="active",
        intent="order",
        subject={"reference": f"Patient/{shelf.id('p')}"},
    )
    appointment(
        shelf, "a", f"Patient/{shelf.id('p')}", start="2026-03-01T09:00:00Z", end="2026-03-01T10:00:00Z",
        basedOn=[{"reference": f"ServiceRequest/{shelf.id('sr')}"}],
    )  # fmt: skip
    assert shelf.find("Patient?_has:Appointment:patient:date=ge2026-01-01") == ["p"]
    assert shelf.find("Patient?_has:Appointment:patient:date=lt2026-01-01") == []
    nested = "_has:ServiceRequest:subject:_has:Appointment:based-on:date=ge2026-01-01"
    assert shelf.find(f"Patient?{nested}") == ["p"]
    chained = "ServiceRequest?subject:Patient._has:Appointment:patient:date=ge2026-01-01"
    assert shelf.find(chained) == ["sr"]
    inside = "Patient?_has:ServiceRequest:subject:subject:Patient._id=#p"
    assert shelf.find(inside) == ["p"]


@pytest.mark.rule(227, "search#reference")
def test_a_chain_follows_a_reference_that_holds_only_an_identifier(shelf):
    shelf.put(
        "Patient",
        "p",
        name=[{"family": "Adams"}],
        identifier=[{"system": NHS, "value": f"9{shelf.mark}"}],
    )
    logical = {"identifier": {"system": NHS, "value": f"9{shelf.mark}"}}
    shelf.put(
        "ServiceRequest",
        "sr",
        status="active",
        intent="order",
        subject=logical | {"type": "Patient"},
    )
    shelf.put("ServiceRequest", "untyped", status="active", intent="order", subject=logical)
    assert shelf.find("ServiceRequest?subject:Patient.family=adams&_sort=_id") == ["sr", "untyped"]
    assert shelf.find(f"ServiceRequest?subject:identifier={NHS}|9{shelf.mark}&_sort=_id") == [
        "sr",
        "untyped",
    ]
    assert shelf.find(
        f"ServiceRequest?subject:Patient.identifier={NHS}|9{shelf.mark}&_sort=_id"
    ) == ["sr", "untyped"]


@pytest.mark.rule(243, "search#revinclude")
def test_include_adds_targets_with_mode_include(shelf):
    clinic(shelf)
    bundle = shelf.bundle("Slot?_include=Slot:schedule")
    assert sorted(shelf.labels(bundle, "include")) == ["s1", "s2"]
    shelf.put("Patient", "p")
    appointment(shelf, "a", f"Patient/{shelf.id('p')}", f"Practitioner/{shelf.id('dr')}")
    bundle = shelf.bundle("Appointment?_include=Appointment:actor:Practitioner")
    assert shelf.labels(bundle, "include") == ["dr"]
    assert sorted(
        shelf.labels(shelf.bundle("Appointment?_include=Appointment:actor"), "include")
    ) == ["dr", "p"]


@pytest.mark.rule(244, "search#revinclude")
def test_iterate_follows_what_was_included_and_ends_on_cycles(shelf):
    clinic(shelf)
    bundle = shelf.bundle("Slot?_id=#slot1&_include=Slot:schedule&_include:iterate=Schedule:actor")
    assert sorted(shelf.labels(bundle, "include")) == ["dr", "hs1", "s1"]
    for label, other in (("o1", "o2"), ("o2", "o1")):
        shelf.put(
            "Organization",
            label,
            name=label,
            partOf={"reference": f"Organization/{shelf.id(other)}"},
        )
    bundle = shelf.bundle("Organization?_id=#o1&_include:iterate=Organization:partof")
    assert shelf.labels(bundle, "include") == ["o2"]


@pytest.mark.rule(245, "search#revinclude")
def test_revinclude_adds_what_refers_to_the_matches(shelf):
    clinic(shelf)
    appointment(
        shelf,
        "a",
        f"HealthcareService/{shelf.id('hs1')}",
        slot=[{"reference": f"Slot/{shelf.id('slot1')}"}],
    )
    bundle = shelf.bundle("Slot?_revinclude=Appointment:slot&_sort=_id")
    assert shelf.labels(bundle) == ["slot1", "slot2"]
    assert shelf.labels(bundle, "include") == ["a"]


@pytest.mark.rule(246, "search#revinclude")
def test_wildcards_include_everything_referred_to_and_referring(shelf, client):
    clinic(shelf)
    bundle = shelf.bundle("Schedule?_id=#s1&_include=*")
    assert sorted(shelf.labels(bundle, "include")) == ["dr", "hs1"]
    bundle = shelf.bundle("Schedule?_id=#s1&_revinclude=*")
    assert shelf.labels(bundle, "include") == ["slot1"]
    bundle = shelf.bundle("Schedule?_id=#s1&_revinclude=Slot:*")
    assert shelf.labels(bundle, "include") == ["slot1"]
    tag = f"_tag=urn:test|{shelf.mark}"
    bundle = client.get(f"?_type=Slot,Schedule&{tag}&_include=*").json()
    assert sorted(shelf.labels(bundle, "include")) == ["dr", "hs1", "hs2"]


@pytest.mark.rule(247, "search#revinclude")
def test_a_versioned_reference_includes_that_version(shelf):
    shelf.put("Patient", "p", gender="male")
    shelf.put("Patient", "p", gender="female")
    appointment(shelf, "a", f"Patient/{shelf.id('p')}/_history/1")
    included = resources(shelf.bundle("Appointment?_include=Appointment:actor"), "include")
    assert [(item["meta"]["versionId"], item["gender"]) for item in included] == [("1", "male")]


@pytest.mark.rule(248, "search#revinclude")
def test_deleted_missing_and_external_targets_are_left_out(shelf, client):
    shelf.put("Patient", "gone")
    client.delete(f"Patient/{shelf.id('gone')}")
    appointment(
        shelf,
        "a",
        f"Patient/{shelf.id('gone')}",
        "Patient/nowhere",
        "https://x.example.org/Patient/1",
    )
    bundle = shelf.bundle("Appointment?_include=Appointment:actor")
    assert shelf.labels(bundle) == ["a"]
    assert resources(bundle, "include") == []


@pytest.mark.rule(249, "search#errors")
@pytest.mark.parametrize(
    "value", ["Slot:nothing", "Slot", "Nothing:x", "Slot:status", "Slot:schedule:Patient"]
)
def test_an_include_that_is_not_understood_is_400_when_strict_and_a_warning_else(shelf, value):
    refusal(shelf.ask(f"Slot?_include={value}", prefer="handling=strict"))
    bundle = shelf.bundle(f"Slot?_include={value}")
    assert "_include" in outcomes(bundle)[0]["diagnostics"]
