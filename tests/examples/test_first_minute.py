"""What `make serve` does on a fresh clone: the region is loaded, and all that is shown to try works."""

import html.parser
import json
import re
import shlex
import shutil
import subprocess
import sys
from urllib.parse import urljoin

import httpx
import pytest

from tools.serving import ROOT, ServerProcess, command

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def region(blank_database, tmp_path_factory):
    """A server on the example region, loaded as the Makefile loads it."""
    recipe = recipe_of("$(EXAMPLES)")
    file = tmp_path_factory.mktemp("region") / "region.ndjson"
    database = blank_database()
    made = next(line for line in recipe if "examples/region.py" in line)
    assert "--out" in made
    subprocess.run([sys.executable, "examples/region.py", "--out", str(file)], cwd=ROOT, check=True)
    assert any("fhir-server load" in line for line in recipe)
    done = subprocess.run(
        command("load", str(file), "--database", database),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    stored = re.fullmatch(r"(\d+) stored, 0 refused\n", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert stored is not None
    assert int(stored[1]) == len(file.read_bytes().splitlines()) > 2500
    with ServerProcess(database) as server:
        yield server


def recipe_of(target):
    """The lines that make runs for a target."""
    text = (ROOT / "Makefile").read_text("utf-8")
    found = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert found is not None
    return [line.strip() for line in found[1].splitlines()]


def printed(region):
    """The commands that `make serve` prints, as the shell shows them."""
    echoed = [line[1:] for line in recipe_of("serve") if line.startswith("@echo")]
    script = "\n".join(echoed).replace("$(HOST)", "127.0.0.1").replace("$(PORT)", str(region.port))
    done = subprocess.run(
        ["sh", "-c", script.replace("$$", "$")], capture_output=True, text=True, check=True
    )
    return [line.strip() for line in done.stdout.splitlines()]


def answer(shown):
    """What a command that is shown gets: JSON."""
    done = subprocess.run(
        ["curl", "--silent", "--fail-with-body", *shlex.split(shown)[1:]],
        capture_output=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def resources(bundle):
    return [entry["resource"] for entry in bundle["entry"]]


@needs_curl
def test_each_command_that_make_serve_prints_finds_something(region):
    lines = printed(region)
    assert f"FHIR base: {region.base}" in lines[0]
    commands = [line for line in lines if line.startswith("curl ")]
    assert len(commands) == 3
    statement, patient, slots = map(answer, commands)
    assert statement["resourceType"] == "CapabilityStatement"
    assert patient["resourceType"] == "Patient"
    assert len(resources(slots)) == 3
    assert {slot["status"] for slot in resources(slots)} == {"free"}


def test_the_region_is_all_there_and_can_be_searched(region):
    with httpx.Client(base_url=f"{region.base}/") as client:
        assert client.get("Slot?_summary=count").json()["total"] == 2000
        booked = client.get("Appointment?status=booked&_include=Appointment:slot&_count=5").json()
        modes = [entry["search"]["mode"] for entry in booked["entry"]]
        assert modes.count("match") == modes.count("include") == 5
        nhs_number = "https://fhir.nhs.uk/Id/nhs-number"
        patient = client.get("Patient/patient-1-1").json()
        (value,) = [i["value"] for i in patient["identifier"] if i["system"] == nhs_number]
        found = client.get(f"Patient?identifier={nhs_number}|{value}").json()
        assert [item["id"] for item in resources(found)] == ["patient-1-1"]


class Page(html.parser.HTMLParser):
    """What matters of a page: its links, its text by element, and whether elements are closed."""

    VOID = ("meta", "link", "br", "hr", "img")

    def __init__(self, text):
        super().__init__()
        self.links = []
        self.texts = {}
        self.open = []
        self.attributes = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes.setdefault(tag, []).append(dict(attrs))
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag not in self.VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts[self.open[-1]][-1] += data


@pytest.fixture(scope="module")
def page(region):
    answered = httpx.get(urljoin(region.base, "/"), headers={"Accept": "text/html"})
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answered.headers["content-security-policy"]
    return Page(answered.text)


def test_the_landing_page_is_well_formed_and_says_what_this_is(page, region):
    assert page.open == []
    assert page.attributes["html"][0]["lang"] == "en"
    assert {"charset": "utf-8"} in page.attributes["meta"]
    assert len(page.texts["title"]) == len(page.texts["h1"]) == 1
    assert "FHIR R4" in page.texts["h1"][0]
    assert region.base in page.texts["code"]


def test_every_link_of_the_landing_page_works(page, region):
    local = [link for link in page.links if link.startswith("/")]
    assert {"/fhir/metadata?_pretty=true", "/docs", "/openapi.json"} <= set(local)
    for link in local:
        answered = httpx.get(urljoin(region.base, link))
        assert answered.status_code == 200, link
    assert {link for link in page.links if link not in local} == {"https://hl7.org/fhir/R4/"}


@needs_curl
def test_every_command_of_the_landing_page_gets_what_it_asks_for(page):
    commands = [text.replace("\\\n", "") for text in page.texts["pre"]]
    assert len(commands) == 3
    for shown in commands:
        found = answer(shown)
        assert found.get("entry") or found["resourceType"] == "Patient"


def test_the_open_api_document_tells_the_fhir_paths(region):
    document = httpx.get(urljoin(region.base, "/openapi.json")).json()
    assert {"/fhir/{type}", "/fhir/{type}/{id}", "/fhir", "/health/ready"} <= set(document["paths"])
