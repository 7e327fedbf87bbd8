"""ServiceRequest/[id]/$document: what stands in it, in which formats, and that no text of a resource is believed.

https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

import html as escaping
import re
from datetime import timedelta

import pytest
from lxml import etree
from lxml import html as reader
from service_directory import FHIR, Directory, parameters

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
UBRN = "https://fhir.nhs.uk/Id/UBRN"
FAMILY = "Łukasiewicz-Ångström"
EVIL = "<script>alert('x')</script>\"&{{7*7}}"


@pytest.fixture
def patient(directory: Directory) -> dict:
    return directory.put(
        {
            "resourceType": "Patient",
            "id": directory.name("patient"),
            "identifier": [{"system": NHS_NUMBER, "value": "9990000018"}],
            "name": [{"use": "official", "family": FAMILY, "given": ["Zoë"]}],
            "birthDate": "1980-02-29",
            "gender": "female",
            "address": [{"line": ["1 Mill Road"], "city": "Garthby", "postalCode": "WY7 1AA"}],
        }
    )


@pytest.fixture
def referral(directory: Directory, patient: dict) -> dict:
    provider = directory.put(
        {"resourceType": "Organization", "id": directory.name("org"), "name": "Garthby Trust"}
    )
    service = directory.service(
        directory.location(53.5, -2.0, "WY7 9ZZ"),
        name="Heart clinic",
        providedBy={"reference": f"Organization/{provider['id']}"},
        telecom=[{"system": "phone", "value": "01632 960123"}],
    )
    return directory.referral(
        service,
        subject={"reference": f"Patient/{patient['id']}"},
        identifier=[{"system": UBRN, "value": f"{int(directory.number, 16) % 10**12:012d}"}],
        priority="urgent",
        authoredOn="2026-01-05T10:00:00Z",
        reasonCode=[{"text": "Breathlessness on exertion"}],
        note=[{"text": "Two lines\nof notes"}],
    )


def number_of(referral: dict) -> str:
    return referral["identifier"][0]["value"]


def fetch(directory: Directory, referral: dict, accept: str = "", **asked: str) -> object:
    headers = {"Accept": accept} if accept else {}
    path = f"ServiceRequest/{referral['id']}/$document"
    return directory.client.get(path, params=asked, headers=headers)


def text_of(page: str) -> str:
    return " ".join(reader.fromstring(page).text_content().split())


@pytest.mark.parametrize("kind", ["summary", "patient-letter"])
def test_json_is_a_document_bundle_that_is_valid_and_whole(directory, referral, kind):
    answer = fetch(directory, referral, type=kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/fhir+json")
    bundle = answer.json()
    assert bundle["type"] == "document"
    assert bundle["identifier"]["value"].startswith("urn:uuid:")
    composition = bundle["entry"][0]["resource"]
    assert composition["resourceType"] == "Composition"
    held = {
        f"{item['resource']['resourceType']}/{item['resource']['id']}"
        for item in bundle["entry"][1:]
    }
    referred = {
        item["reference"] for part in composition["section"] for item in part.get("entry", ())
    }
    assert referred <= held
    assert composition["subject"]["reference"] in held
    checked = directory.client.post("Bundle/$validate", content=answer.content, headers=FHIR)
    severities = {item["severity"] for item in checked.json()["issue"]}
    assert severities <= {"information", "warning"}, checked.text


def test_the_document_is_xml_where_that_is_asked_for(directory, referral):
    answer = fetch(directory, referral, "application/fhir+xml")
    assert etree.fromstring(answer.content).tag == "{http://hl7.org/fhir}Bundle"


def test_the_summary_tells_who_what_for_and_how_urgent(directory, referral):
    answer = fetch(directory, referral, "text/html")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html;charset=utf-8"
    shown = text_of(answer.text)
    for told in (
        f"Zoë {FAMILY}", "9990000018", "Friday 29 February 1980", number_of(referral), "Urgent", "NOT_BOOKED",
        "Breathlessness on exertion", "Heart clinic", "Garthby Trust",
    ):  # fmt: skip
        assert told in shown
    assert "Two lines<br/>of notes" in answer.text


def test_the_letter_tells_the_services_their_waits_and_how_to_book(directory, referral):
    service_id = referral["performer"][0]["reference"].partition("/")[2]
    service = {"id": service_id}
    schedule = directory.schedule(service)
    directory.slot(schedule, directory.now + timedelta(days=3))
    directory.until(service, bool)
    shown = text_of(fetch(directory, referral, "text/html", type="patient-letter").text)
    for told in (
        f"Dear Zoë {FAMILY}", number_of(referral), "Heart clinic, Garthby Trust", "WY7 9ZZ",
        "first free appointment", "01632 960123", "How to book",
    ):  # fmt: skip
        assert told in shown
    assert "Breathlessness" not in shown


def test_the_letter_tells_the_appointment_that_was_made(directory, referral):
    service = {"id": referral["performer"][0]["reference"].partition("/")[2]}
    slot = directory.slot(directory.schedule(service), directory.now + timedelta(days=3))
    directory.book(slot, service, referral)
    shown = text_of(fetch(directory, referral, "text/html", type="patient-letter").text)
    assert "You have an appointment" in shown


@pytest.mark.parametrize("kind", ["summary", "patient-letter"])
@pytest.mark.parametrize(
    "asked", [{"accept": "application/pdf"}, {"_format": "application/pdf"}, {"_format": "pdf"}]
)
def test_a_pdf_is_a_pdf(directory, referral, kind, asked):
    answer = fetch(directory, referral, type=kind, **asked)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch(r'inline; filename="[a-z-]+\.pdf"', answer.headers["content-disposition"])
    assert answer.content.startswith(b"%PDF-")
    assert answer.content.rstrip().endswith(b"%%EOF")
    assert b"/JavaScript" not in answer.content
    # What previews and search engines read names nobody.
    assert b"ukasiewicz" not in answer.content


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/pdf;q=0.5, text/html;q=0.9", "text/html"),
        ("application/pdf, application/fhir+json;q=0.9", "application/pdf"),
        ("*/*", "application/fhir+json"),
        ("application/fhir+json", "application/fhir+json"),
        ("application/fhir+xml", "application/fhir+xml"),
    ],
)
def test_accept_decides_the_format(directory, referral, accept, media_type):
    answer = fetch(directory, referral, accept)
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "Accept" in answer.headers["vary"]


def test_format_wins_over_accept(directory, referral):
    answer = fetch(directory, referral, "application/pdf", _format="html")
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("accept", ["text/csv", "image/png"])
def test_another_format_is_406_and_names_those_that_there_are(directory, referral, accept):
    answer = fetch(directory, referral, accept)
    assert answer.status_code == 406
    assert "application/pdf" in answer.json()["issue"][0]["diagnostics"]


def test_html_and_pdf_are_offered_by_that_operation_only(directory, referral):
    path = f"ServiceRequest/{referral['id']}"
    for url in (path, f"{path}/$validate", "ServiceRequest/$waiting-list", "metadata"):
        assert directory.client.get(url, headers={"Accept": "text/html"}).status_code == 406
    elsewhere = directory.client.get("Patient/$document", headers={"Accept": "text/html"})
    assert elsewhere.status_code == 404
    assert elsewhere.json()["resourceType"] == "OperationOutcome"


def test_a_page_may_run_and_load_nothing(directory, referral):
    answer = fetch(directory, referral, "text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_no_text_of_a_resource_is_markup_or_template(directory, patient, referral):
    directory.put(patient | {"name": [{"family": EVIL, "given": ["'><img src=x onerror=y>"]}]})
    directory.put(referral | {"reasonCode": [{"text": EVIL}], "note": [{"text": EVIL * 50}]})
    for kind in ("summary", "patient-letter"):
        answer = fetch(directory, referral, "text/html", type=kind)
        page = reader.fromstring(answer.text)
        assert not page.xpath("//script|//img|//iframe|//@onerror")
        assert "<script" not in answer.text
        assert EVIL in text_of(answer.text)
        assert fetch(directory, referral, "application/pdf", type=kind).status_code == 200
        bundle = fetch(directory, referral, type=kind).json()
        for part in bundle["entry"][0]["resource"]["section"]:
            assert "<script" not in part["text"]["div"]
    assert escaping.escape(EVIL, quote=False)[:11] in fetch(directory, referral, "text/html").text


def test_a_very_long_text_is_cut_and_says_so(directory, referral):
    directory.put(referral | {"note": [{"text": "x" * 100_000}, {"text": "word " * 20_000}]})
    shown = fetch(directory, referral, "text/html").text
    assert len(shown) < 60_000
    assert shown.count("cut here") == 2
    assert fetch(directory, referral, "application/pdf").status_code == 200


def test_a_font_is_carried_only_for_letters_that_every_reader_does_not_have(
    directory, patient, referral
):
    assert b"/FontFile2" in fetch(directory, referral, "application/pdf").content
    directory.put(patient | {"name": [{"family": "Brontë", "given": ["Zoë"]}]})
    assert b"/FontFile2" not in fetch(directory, referral, "application/pdf").content


def test_letters_that_the_font_does_not_have_do_not_stop_a_print(directory, patient, referral):
    directory.put(patient | {"name": [{"text": "王小明 علي 😀"}]})
    assert fetch(directory, referral, "application/pdf").status_code == 200
    assert "王小明 علي 😀" in text_of(fetch(directory, referral, "text/html").text)


def test_a_referral_of_which_little_is_known_has_a_document_too(directory):
    bare = directory.referral(subject={"display": "Somebody"})
    for accept in ("application/fhir+json", "text/html", "application/pdf"):
        for kind in ("summary", "patient-letter"):
            assert fetch(directory, bare, accept, type=kind).status_code == 200


def test_there_is_no_letter_for_a_referral_that_is_over_or_asks_for_advice(directory):
    system = "https://fhir.nhs.uk/CodeSystem/servicerequest-code"
    advice = {"coding": [{"system": system, "code": "advice-and-guidance"}]}
    for other, code in (
        ({"status": "revoked"}, "INVALID_REQUEST_STATE"),
        ({"code": advice}, "INVALID_REQUEST_TYPE"),
    ):
        made = directory.referral(directory.service(), subject={"display": "Somebody"}, **other)
        answer = fetch(directory, made, "text/html", type="patient-letter")
        assert answer.status_code == 422
        assert answer.json()["issue"][0]["details"]["coding"][1]["code"] == code
        assert fetch(directory, made, type="summary").status_code == 200


def test_what_is_not_there_is_404_and_410(directory, referral):
    assert fetch(directory, {"id": "nobody"}, "text/html").status_code == 404
    directory.client.delete(f"ServiceRequest/{referral['id']}")
    assert fetch(directory, referral, "application/pdf").status_code == 410


def test_another_type_is_400(directory, referral):
    answer = fetch(directory, referral, type="poem")
    assert answer.status_code == 400
    assert "patient-letter" in answer.json()["issue"][0]["diagnostics"]


def test_post_and_head_work_too(directory, referral):
    path = f"ServiceRequest/{referral['id']}/$document"
    asked = parameters(type=("valueCode", "patient-letter"))
    answer = directory.client.post(path, json=asked, headers=FHIR | {"Accept": "text/html"})
    assert "Dear" in answer.text
    head = directory.client.head(path, headers={"Accept": "application/pdf"})
    assert head.status_code == 200
    assert head.content == b""


def test_inside_a_batch_it_is_a_bundle(directory, referral):
    request = {"method": "GET", "url": f"ServiceRequest/{referral['id']}/$document"}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]}
    answer = directory.client.post("", json=batch, headers=FHIR).json()
    assert answer["entry"][0]["resource"]["type"] == "document"
