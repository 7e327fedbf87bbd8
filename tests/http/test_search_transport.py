"""How a search is asked and answered (https://hl7.org/fhir/R4/http.html#search)."""

import base64

import pytest
from shelf import Shelf, link, outcomes, refusal, resources


def slots(shelf: Shelf, number: int = 3) -> None:
    shelf.put("Schedule", "s", actor=[{"display": "Clinic"}])
    for n in range(number):
        shelf.put(
            "Slot", f"n{n}", schedule={"reference": f"Schedule/{shelf.id('s')}"},
            status="free" if n % 2 == 0 else "busy",
            start=f"2026-03-0{n + 1}T09:00:00Z", end=f"2026-03-0{n + 1}T09:30:00Z",
        )  # fmt: skip


@pytest.mark.rule(164, "http#search")
def test_a_search_of_a_type_is_200_with_a_searchset(shelf):
    slots(shelf)
    bundle = shelf.bundle("Slot?status=free")
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    assert sorted(shelf.labels(bundle)) == ["n0", "n2"]


@pytest.mark.rule(165, "http#search")
def test_a_posted_form_finds_what_the_same_get_finds(shelf, client):
    slots(shelf)
    form = {"_tag": f"urn:test|{shelf.mark}", "status": "free"}
    posted = client.post("Slot/_search", data=form)
    assert posted.status_code == 200
    assert resources(posted.json()) == resources(shelf.bundle("Slot?status=free"))


@pytest.mark.rule(166, "http#search")
def test_parameters_of_the_url_and_of_the_form_are_combined_by_and(shelf, client):
    slots(shelf)
    form = {"_tag": f"urn:test|{shelf.mark}", "start": "2026-03-01"}
    posted = client.post("Slot/_search?status=free", data=form)
    assert shelf.labels(posted.json()) == ["n0"]
    assert client.post("Slot/_search?status=busy", data=form).json()["total"] == 0


@pytest.mark.rule(167, "http#mime-type")
def test_a_search_posted_as_something_else_than_a_form_is_415(client):
    refusal(client.post("Slot/_search", json={"status": "free"}), 415)
    refusal(client.post("Slot/_search", content="a=b", headers={"content-type": "text/plain"}), 415)


@pytest.mark.rule(168, "http#vsearch")
def test_a_search_of_the_server_by_types(shelf, client):
    slots(shelf)
    shelf.put("Patient", "p")
    tag = f"_tag=urn:test|{shelf.mark}"
    found = client.get(f"?_type=Slot,Schedule&{tag}").json()
    assert sorted(shelf.labels(found)) == ["n0", "n1", "n2", "s"]
    posted = client.post("_search", data={"_type": "Patient", "_tag": f"urn:test|{shelf.mark}"})
    assert shelf.labels(posted.json()) == ["p"]
    whole = client.get(f"?{tag}").json()
    assert sorted(shelf.labels(whole)) == ["n0", "n1", "n2", "p", "s"]
    refusal(client.get(f"?_type=Slot,Sloth&{tag}"))


@pytest.mark.rule(169, "http#vsearch")
def test_a_parameter_that_not_all_searched_types_have_is_400(client):
    refusal(client.get("?_type=Slot,Patient&family=x"))
    refusal(client.get("?status=free"))


@pytest.mark.rule(170, "http#vsearch")
def test_a_compartment_search_finds_members_only(shelf, client):
    for label in ("a", "b"):
        shelf.put("Patient", label)
        shelf.put(
            "ServiceRequest", f"sr-{label}", status="active", intent="order",
            subject={"reference": f"Patient/{shelf.id(label)}"},
        )  # fmt: skip
    focus = f"Patient/{shelf.id('a')}"
    found = client.get(f"{focus}/ServiceRequest?status=active").json()
    assert shelf.labels(found) == ["sr-a"]
    assert client.get(f"{focus}/ServiceRequest?status=draft").json()["total"] == 0
    every = client.get(f"{focus}/*").json()
    assert sorted(shelf.labels(every)) == ["a", "sr-a"]
    some = client.get(f"{focus}/*?_type=ServiceRequest").json()
    assert shelf.labels(some) == ["sr-a"]


@pytest.mark.rule(171, "http#vsearch")
def test_a_type_that_a_compartment_does_not_have_is_404(shelf, client):
    shelf.put("Patient", "a")
    refusal(client.get(f"Patient/{shelf.id('a')}/Location"), 404)
    refusal(client.get(f"Patient/{shelf.id('a')}/*?_type=Location"), 404)
    refusal(client.get(f"Slot/{shelf.id('a')}/Patient"), 404)


@pytest.mark.rule(172, "search#errors")
def test_nothing_found_is_200_with_total_0_and_no_entry(shelf):
    bundle = shelf.bundle("Slot?status=free")
    assert bundle["total"] == 0
    assert "entry" not in bundle


@pytest.mark.rule(173, "search#errors")
def test_an_unknown_subject_or_code_is_200_and_empty(shelf):
    slots(shelf)
    assert shelf.find("Slot?schedule=Schedule/nowhere") == []
    assert shelf.find("Slot?status=urn:none|nothing") == []


@pytest.mark.rule(174, "search#errors")
@pytest.mark.parametrize(
    "query",
    ["start=foo", "_lastUpdated=13/13/2026", "start=2026-13-45", "start=xx2026", "_id=a_b"],
)
def test_a_malformed_value_is_400_and_names_the_parameter(client, query):
    issue = refusal(client.get(f"Slot?{query}"))
    assert query.partition("=")[0] in issue["diagnostics"]


@pytest.mark.rule(175, "search#errors")
def test_a_parameter_without_a_value_is_ignored(shelf):
    slots(shelf)
    bundle = shelf.bundle("Slot?status=&start=")
    assert len(shelf.labels(bundle)) == 3
    assert "status" not in link(bundle, "self")


@pytest.mark.rule(176, "search#self")
def test_an_unknown_parameter_is_left_out_of_self_and_an_outcome_warns(shelf):
    slots(shelf)
    bundle = shelf.bundle("Slot?statsu=free&status=busy")
    assert shelf.labels(bundle) == ["n1"]
    assert "statsu" not in link(bundle, "self")
    assert "status=busy" in link(bundle, "self")
    warning = outcomes(bundle)[0]
    assert warning["severity"] == "warning"
    assert "statsu" in warning["diagnostics"]
    assert "status" in warning["diagnostics"]


@pytest.mark.rule(177, "search#errors")
def test_an_unknown_parameter_is_400_under_strict_handling(shelf):
    issue = refusal(shelf.ask("Slot?statsu=free", prefer="handling=strict"))
    assert "statsu" in issue["diagnostics"]
    assert shelf.ask("Slot?status=free", prefer="handling=strict").status_code == 200


@pytest.mark.rule(178, "search#errors")
def test_an_unknown_parameter_is_ignored_under_lenient_handling(shelf):
    slots(shelf)
    answer = shelf.ask("Slot?statsu=free", prefer="handling=lenient")
    assert answer.status_code == 200
    assert len(shelf.labels(answer.json())) == 3


@pytest.mark.rule(179, "search#modifiers")
@pytest.mark.parametrize("handling", ["strict", "lenient"])
@pytest.mark.parametrize(
    "query", ["status:exact=free", "foo:bar=1", "start:exact=2026", "schedule:Patient=1", "_id:x=1"]
)
def test_a_modifier_that_is_not_supported_is_400_whatever_the_handling(client, handling, query):
    refusal(client.get(f"Slot?{query}", headers={"prefer": f"handling={handling}"}))


@pytest.mark.rule(180, "search")
def test_names_and_modifiers_are_case_sensitive(shelf, client):
    bundle = shelf.bundle("Slot?Status=free")
    assert "Status" in outcomes(bundle)[0]["diagnostics"]
    refusal(client.get("Slot?status:Not=free"))


@pytest.mark.rule(181, "http#search")
def test_an_outcome_in_a_searchset_has_mode_outcome_and_no_errors(shelf):
    bundle = shelf.bundle("Slot?foo=1&bar=2")
    assert [item["search"]["mode"] for item in bundle["entry"]] == ["outcome"]
    assert {item["severity"] for item in outcomes(bundle)} <= {"information", "warning"}
    assert bundle["total"] == 0


@pytest.mark.rule(182, "http#search")
def test_a_search_that_fails_is_a_bare_outcome(client):
    refusal(client.get("Slot?start=never"))


@pytest.mark.rule(183, "search#errors")
def test_a_search_that_costs_too_much_is_403_too_costly(client):
    many = ",".join(f"c{n}" for n in range(2000))
    issue = refusal(client.post("Slot/_search", data={"status": many}), 403)
    assert issue["code"] == "too-costly"


@pytest.mark.rule(184, "search#2.21.1.1")
def test_every_entry_has_its_full_url_resource_and_mode(shelf, client):
    slots(shelf)
    bundle = shelf.bundle("Slot?_include=Slot:schedule&foo=1")
    for entry in bundle["entry"]:
        assert entry["search"]["mode"] in ("match", "include", "outcome")
        assert "resource" in entry
        if entry["search"]["mode"] != "outcome":
            resource = entry["resource"]
            name = f"{resource['resourceType']}/{resource['id']}"
            assert entry["fullUrl"] == f"{str(client.base_url).rstrip('/')}/{name}"


@pytest.mark.rule(185, "bundle#Bundle.entry.search.mode")
def test_a_match_that_is_included_too_is_there_once_as_a_match(shelf):
    shelf.put("Organization", "top", name="Top")
    shelf.put(
        "Organization", "sub", name="Sub", partOf={"reference": f"Organization/{shelf.id('top')}"}
    )
    bundle = shelf.bundle(
        "Organization?_include=Organization:partof&_revinclude=Organization:partof"
    )
    assert sorted(shelf.labels(bundle)) == ["sub", "top"]
    assert shelf.labels(bundle, "include") == []


@pytest.mark.rule(186, "search#self")
def test_the_self_link_is_absolute_shows_defaults_and_limits_and_can_be_fetched(shelf, client):
    slots(shelf)
    url = link(shelf.bundle("Slot?status=free"), "self")
    assert url.startswith(str(client.base_url))
    assert "_count=20" in url
    assert shelf.labels(client.get(url).json()) == ["n0", "n2"]


@pytest.mark.rule(187, "bundle#Bundle.total")
def test_the_total_counts_matches_over_all_pages_without_includes(shelf, client):
    slots(shelf)
    page = shelf.bundle("Slot?_total=accurate&_count=2&_include=Slot:schedule&foo=1")
    assert page["total"] == 3
    following = client.get(link(page, "next")).json()
    assert following["total"] == 3
    assert shelf.bundle("Slot?_include=Slot:schedule")["total"] == 3


@pytest.mark.rule(188, "search#count")
def test_count_limits_matches_and_includes_come_on_top(shelf):
    slots(shelf)
    bundle = shelf.bundle("Slot?_count=2&_include=Slot:schedule")
    assert len(shelf.labels(bundle)) == 2
    assert shelf.labels(bundle, "include") == ["s"]


@pytest.mark.rule(189, "search#count")
def test_a_count_above_the_maximum_is_lowered_and_self_shows_it(shelf):
    assert "_count=1000" in link(shelf.bundle("Slot?_count=999999"), "self")


@pytest.mark.rule(190, "search#count")
def test_count_0_is_the_total_alone(shelf):
    slots(shelf)
    bundle = shelf.bundle("Slot?_count=0")
    assert bundle["total"] == 3
    assert "entry" not in bundle
    assert [item["relation"] for item in bundle["link"]] == ["self"]


@pytest.mark.rule(191, "search#errors")
@pytest.mark.parametrize("value", ["-1", "abc", "1.5", "1e3", "²"])
def test_a_count_that_is_no_number_is_400(client, value):
    refusal(client.get("Slot", params={"_count": value}))


@pytest.mark.rule(192, "http#paging")
def test_links_of_a_posted_search_work_with_plain_get(shelf, client):
    slots(shelf)
    form = {"_tag": f"urn:test|{shelf.mark}", "_count": "2", "_sort": "start"}
    first = client.post("Slot/_search", data=form).json()
    second = client.get(link(first, "next")).json()
    assert shelf.labels(first) + shelf.labels(second) == ["n0", "n1", "n2"]
    relations = {item["relation"] for item in (*first["link"], *second["link"])}
    assert relations <= {"self", "first", "previous", "next", "last"}
    assert shelf.labels(client.get(link(second, "first")).json()) == shelf.labels(first)


@pytest.mark.rule(193, "http#paging")
def test_the_last_page_has_no_next_and_is_not_empty(shelf, client):
    slots(shelf, 4)
    first = shelf.bundle("Slot?_count=2")
    second = client.get(link(first, "next")).json()
    assert len(shelf.labels(second)) == 2
    assert link(second, "next") is None
    assert link(shelf.bundle("Slot?_count=4"), "next") is None


@pytest.mark.rule(194, "http#paging")
def test_next_keeps_shape_includes_and_format(shelf, client):
    slots(shelf)
    first = shelf.bundle(
        "Slot?_count=2&_elements=start&_include=Slot:schedule&_format=json&_total=accurate"
    )
    url = link(first, "next")
    for part in ("_elements=start", "_include=Slot:schedule", "_format=json", "_total=accurate"):
        assert part in url
    second = client.get(url).json()
    assert shelf.labels(second, "include") == ["s"]
    assert "SUBSETTED" in str(resources(second)[0]["meta"]["tag"])
    summed = shelf.bundle("Slot?_count=2&_summary=true")
    assert "_summary=true" in link(summed, "next")


@pytest.mark.rule(195, "http#paging")
def test_changes_during_paging_neither_repeat_nor_skip_what_stays(shelf, client):
    slots(shelf, 6)
    page = shelf.bundle("Slot?_count=2&_sort=start")
    seen = shelf.labels(page)
    client.delete(f"Slot/{shelf.id('n0')}")
    client.delete(f"Slot/{shelf.id('n2')}")
    shelf.put(
        "Slot", "early", schedule={"reference": f"Schedule/{shelf.id('s')}"}, status="free",
        start="2026-02-01T09:00:00Z", end="2026-02-01T09:30:00Z",
    )  # fmt: skip
    while (url := link(page, "next")) is not None:
        page = client.get(url).json()
        seen += shelf.labels(page)
    assert seen == ["n0", "n1", "n3", "n4", "n5"]


@pytest.mark.rule(196, "http#paging")
def test_a_changed_page_token_is_400(shelf, client):
    slots(shelf)
    url = link(shelf.bundle("Slot?_count=2"), "next")
    head, token = url.rsplit("=", 1)
    changed = token[:-3] + ("A" if token[-3] != "A" else "B") + token[-2:]
    refusal(client.get(f"{head}={changed}"))
    refusal(client.get(f"{head}=nonsense"))
    refusal(client.get(url.replace("_count=2", "_count=3")))
    refusal(client.get(url.replace("/Slot?", "/Schedule?")))
    assert client.get(url).status_code == 200


@pytest.mark.rule(192, "http#paging")
@pytest.mark.parametrize("sort", ["", "&_sort=start", "&_sort=-start,_id", "&_sort=-_lastUpdated"])
def test_prev_leads_back_over_the_same_pages(shelf, client, sort):
    slots(shelf, 7)
    page = shelf.bundle(f"Slot?_count=2&_elements=start{sort}")
    assert link(page, "previous") is None
    forward = [shelf.labels(page)]
    while (url := link(page, "next")) is not None:
        page = client.get(url).json()
        forward.append(shelf.labels(page))
    backward = [shelf.labels(page)]
    while (url := link(page, "previous")) is not None:
        assert "_elements=start" in url
        page = client.get(url).json()
        backward.append(shelf.labels(page))
    assert backward == forward[::-1]
    assert len(forward) == 4
    assert shelf.labels(client.get(link(page, "next")).json()) == forward[1]


def test_a_cursor_does_not_show_what_it_holds(shelf):
    for number in range(3):
        shelf.put("Patient", f"p{number}", name=[{"family": f"Confidential{number}"}])
    url = link(shelf.bundle("Patient?_sort=family&_count=1"), "next")
    token = url.rsplit("=", 1)[1]
    assert b"onfidential" not in base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
