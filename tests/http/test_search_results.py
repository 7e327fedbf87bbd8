"""The order and the shape of results (https://hl7.org/fhir/R4/search.html#return)."""

import pytest
from shelf import link, outcomes, refusal, resources


def people(shelf):
    shelf.put("Patient", "a", name=[{"family": "Zed"}, {"family": "Abel"}], birthDate="1990-01-01")
    shelf.put("Patient", "b", name=[{"family": "Mole"}], birthDate="2000-01-01")
    shelf.put("Patient", "c", birthDate="2000-01-01")
    shelf.put("Patient", "d", name=[{"family": "Noon"}])


@pytest.mark.rule(250, "search#sort")
def test_sort_by_several_keys_in_both_directions(shelf):
    people(shelf)
    assert shelf.find("Patient?_sort=-birthdate,_id") == ["b", "c", "a", "d"]
    assert shelf.find("Patient?_sort=-birthdate,-_id") == ["c", "b", "a", "d"]
    assert shelf.find("Patient?_sort=birthdate,family") == ["a", "b", "c", "d"]
    assert shelf.find("Patient?_sort=-_lastUpdated") == ["d", "c", "b", "a"]


@pytest.mark.rule(250, "search#sort")
def test_an_unknown_sort_key_is_400_when_strict_and_left_out_with_a_warning_else(shelf):
    refusal(shelf.ask("Patient?_sort=nothing", prefer="handling=strict"))
    people(shelf)
    bundle = shelf.bundle("Patient?_sort=nothing,-_id")
    assert shelf.labels(bundle) == ["d", "c", "b", "a"]
    assert "nothing" not in link(bundle, "self")
    assert "nothing" in outcomes(bundle)[0]["diagnostics"]


@pytest.mark.rule(251, "search#sort")
def test_a_repeating_element_sorts_by_its_lowest_or_highest_value(shelf):
    people(shelf)
    assert shelf.find("Patient?_sort=family&family:missing=false") == ["a", "b", "d"]
    assert shelf.find("Patient?_sort=-family&family:missing=false") == ["a", "d", "b"]


@pytest.mark.rule(252, "search#sort")
def test_resources_without_the_value_come_last(shelf):
    people(shelf)
    assert shelf.find("Patient?_sort=family")[-1] == "c"
    assert shelf.find("Patient?_sort=-family")[-1] == "c"


@pytest.mark.rule(253, "search#sort")
def test_equal_values_have_one_order_on_every_page(shelf, client):
    for number in range(9):
        shelf.put("Patient", f"p{number}", birthDate="2000-01-01" if number % 4 else "1999-01-01")
    whole = shelf.find("Patient?_sort=birthdate")
    page = shelf.bundle("Patient?_sort=birthdate&_count=2")
    seen = shelf.labels(page)
    while (url := link(page, "next")) is not None:
        page = client.get(url).json()
        seen += shelf.labels(page)
    assert seen == whole
    assert sorted(seen) == [f"p{number}" for number in range(9)]


@pytest.mark.rule(254, "search#total")
def test_total_none_estimate_and_accurate(shelf, client):
    people(shelf)
    assert "total" not in shelf.bundle("Patient?_total=none")
    assert "total" not in shelf.bundle("Patient?_total=none&_count=2")
    assert shelf.bundle("Patient?_total=accurate&_count=2")["total"] == 4
    assert shelf.bundle("Patient?_total=estimate&_count=2")["total"] == 4
    refusal(client.get("Patient?_total=roughly"))


@pytest.mark.rule(255, "search#summary")
def test_summary_count_is_the_total_alone(shelf):
    people(shelf)
    bundle = shelf.bundle("Patient?_summary=count")
    assert bundle["total"] == 4
    assert "entry" not in bundle
    assert [item["relation"] for item in bundle["link"]] == ["self"]


def whole(shelf):
    div = "<div xmlns='http://www.w3.org/1999/xhtml'>A story</div>"
    shelf.put(
        "Patient", "a", text={"status": "generated", "div": div}, gender="male",
        contact=[{"name": {"family": "Friend"}}],
        communication=[{"language": {"text": "Welsh"}}],
    )  # fmt: skip


def tags(resource):
    return {item["code"] for item in resource["meta"].get("tag", [])}


@pytest.mark.rule(256, "search#summary")
def test_summary_true_has_summary_and_mandatory_elements_and_is_tagged(shelf):
    whole(shelf)
    found = resources(shelf.bundle("Patient?_summary=true"))[0]
    assert found["gender"] == "male"
    assert "text" not in found
    assert "contact" not in found
    assert "SUBSETTED" in tags(found)


@pytest.mark.rule(257, "search#summary")
def test_summary_text_data_and_false(shelf, client):
    whole(shelf)
    text = resources(shelf.bundle("Patient?_summary=text"))[0]
    assert set(text) == {"resourceType", "id", "meta", "text"}
    assert "SUBSETTED" in tags(text)
    data = resources(shelf.bundle("Patient?_summary=data"))[0]
    assert "text" not in data
    assert data["contact"][0]["name"]["family"] == "Friend"
    assert "SUBSETTED" in tags(data)
    everything = resources(shelf.bundle("Patient?_summary=false"))[0]
    assert {"text", "contact", "gender"} <= set(everything)
    assert "SUBSETTED" not in tags(everything)
    refusal(client.get("Patient?_summary=short"))


@pytest.mark.rule(258, "search#summary")
def test_summary_text_with_include_is_400(client):
    refusal(client.get("Slot?_summary=text&_include=Slot:schedule"))
    refusal(client.get("Patient?_summary=text&_revinclude=Appointment:patient"))


@pytest.mark.rule(259, "search#elements")
def test_elements_keeps_mandatory_ones_and_tags(shelf):
    shelf.put("Schedule", "s", actor=[{"display": "x"}])
    shelf.put(
        "Slot", "a", status="free", schedule={"reference": f"Schedule/{shelf.id('s')}"}, comment="c",
        start="2026-03-01T09:00:00Z", end="2026-03-01T09:30:00Z", overbooked=False,
    )  # fmt: skip
    found = resources(shelf.bundle("Slot?_elements=overbooked"))[0]
    assert set(found) == {
        "resourceType",
        "id",
        "meta",
        "schedule",
        "status",
        "start",
        "end",
        "overbooked",
    }
    assert "SUBSETTED" in tags(found)


@pytest.mark.rule(260, "search#elements")
def test_an_unknown_element_is_a_warning_and_400_when_strict(shelf):
    whole(shelf)
    bundle = shelf.bundle("Patient?_elements=gender,nothing")
    assert resources(bundle)[0]["gender"] == "male"
    assert "nothing" in outcomes(bundle)[0]["diagnostics"]
    refusal(shelf.ask("Patient?_elements=nothing", prefer="handling=strict"))


@pytest.mark.rule(261, "search#contained")
def test_contained_resources_are_not_searched_and_that_is_said(shelf, client):
    whole(shelf)
    assert shelf.find("Patient?_contained=false") == ["a"]
    for query in ("_contained=true", "_contained=both", "_contained=perhaps"):
        assert "contained" in refusal(client.get(f"Patient?{query}"))["diagnostics"]
    bundle = shelf.bundle("Patient?_containedType=container")
    assert "contained" in outcomes(bundle)[0]["diagnostics"]
    refusal(shelf.ask("Patient?_containedType=container", prefer="handling=strict"))
