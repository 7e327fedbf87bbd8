"""fhir-server load: files, folders, Bundles, NDJSON and XML go in, and what does not is told with its reason."""

import json
import os
import pty
import subprocess
import sys

import psycopg
import pytest
from sqlalchemy.engine import make_url

from fhir_server.server import store_of
from fhir_server.settings import Settings
from tools.serving import ROOT, command


def patient(logical_id, **more):
    return {"resourceType": "Patient", "id": logical_id, **more}


BAD = {"resourceType": "Patient", "id": "bad", "gender": "unknowable", "birthDate": "2026-13-45"}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def bundle(kind, *entries):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method, url, resource=None):
    found = {"request": {"method": method, "url": url}}
    return found if resource is None else {"resource": resource} | found


def ids(found):
    return sorted(logical_id for _, logical_id in found)


def patients(*names):
    return [("Patient", name) for name in names]


def test_files_of_every_format_are_loaded(run, stored, tmp_path):
    one = write(tmp_path / "a.json", patient("a", name=[{"family": "O’Brien"}]))
    two = write(
        tmp_path / "b.xml", '<Patient xmlns="http://hl7.org/fhir"><id value="b"/></Patient>'
    )
    three = write(tmp_path / "c.ndjson", "\n".join(json.dumps(patient(n)) for n in "cd") + "\n\n")
    done = run("load", one, two, three)
    assert (done.exit_code, done.stdout) == (0, "4 stored, 0 refused\n")
    found = stored(*patients("a", "b", "c", "d"))
    assert ids(found) == ["a", "b", "c", "d"]
    assert json.loads(found["Patient", "a"].body)["name"] == [{"family": "O’Brien"}]


def test_a_database_plans_by_what_was_loaded(run, database, tmp_path):
    if not database.startswith("postgresql"):
        pytest.skip("SQLite plans without statistics")
    many = "\n".join(json.dumps(patient(f"p{number}")) for number in range(100))
    assert run("load", write(tmp_path / "many.ndjson", many)).exit_code == 0
    url = make_url(database).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT relname, reltuples FROM pg_class WHERE relname IN ('resource', 'version')"
        ).fetchall()
    assert len(rows) == 2
    assert all(number >= 100 for _, number in rows)


def test_a_folder_is_loaded_with_those_below_and_other_files_left(run, stored, tmp_path):
    write(tmp_path / "x.json", patient("x"))
    write(
        tmp_path / "deep" / "er" / "y.XML",
        '<Patient xmlns="http://hl7.org/fhir"><id value="y"/></Patient>',
    )
    write(tmp_path / "readme.txt", "not a resource")
    done = run("load", tmp_path)
    assert (done.exit_code, done.stdout) == (0, "2 stored, 0 refused\n")
    assert ids(stored(*patients("x", "y"))) == ["x", "y"]


def test_a_resource_without_an_id_gets_one(run, tmp_path, database):
    done = run("load", write(tmp_path / "a.json", {"resourceType": "Patient"}))
    assert done.stdout == "1 stored, 0 refused\n"
    store = store_of(Settings(database=database))
    assert len(store.keys("Patient")) == 1
    store.close()


@pytest.mark.parametrize("kind", ["collection", "searchset"])
def test_the_entries_of_a_bundle_of_resources_are_loaded_one_by_one(run, stored, tmp_path, kind):
    outcome = {
        "resourceType": "OperationOutcome",
        "id": "told",
        "issue": [{"severity": "warning", "code": "informational"}],
    }
    entries = [{"resource": patient("a")}, {"resource": BAD}, {"resource": patient("c")}, {}]
    if kind == "searchset":
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    file = write(tmp_path / "b.json", bundle(kind, *entries))
    done = run("load", file)
    assert (done.exit_code, done.stdout) == (1, "2 stored, 2 refused\n")
    assert f"{file} Bundle.entry[1]: code-invalid at Patient.gender: " in done.stderr
    assert f"{file} Bundle.entry[1]: value at Patient.birthDate: " in done.stderr
    assert f"{file} Bundle.entry[3]: required" in done.stderr
    assert ids(stored(*patients("a", "bad", "c"), ("OperationOutcome", "told"))) == ["a", "c"]


def test_a_transaction_is_run_as_a_whole(run, stored, tmp_path):
    good = bundle(
        "transaction",
        entry("PUT", "Patient/a", patient("a")),
        entry("POST", "Patient", {"resourceType": "Patient"}),
        entry("GET", "Patient/a"),
    )
    bad = bundle(
        "transaction",
        entry("PUT", "Patient/b", patient("b")),
        entry("PUT", "Patient/bad", BAD),
    )
    write(tmp_path / "1.json", good)
    write(tmp_path / "2.json", bad)
    done = run("load", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "2 stored, 1 refused\n")
    assert "code-invalid at Bundle.entry[1].resource.gender" in done.stderr
    assert ids(stored(*patients("a", "b", "bad"))) == ["a"]


def test_the_entries_of_a_batch_are_run_each_for_itself(run, stored, tmp_path):
    file = write(
        tmp_path / "b.json",
        bundle(
            "batch",
            entry("PUT", "Patient/a", patient("a")),
            entry("PUT", "Patient/bad", BAD),
            entry("PUT", "Patient/c", patient("c")),
        ),
    )
    done = run("load", file)
    assert (done.exit_code, done.stdout) == (1, "2 stored, 1 refused\n")
    assert f"{file} Bundle.entry[1]: code-invalid" in done.stderr
    assert ids(stored(*patients("a", "bad", "c"))) == ["a", "c"]


def test_documents_and_messages_are_stored_as_they_are(run, stored, tmp_path):
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "letter"},
        "date": "2026-03-01",
        "author": [{"display": "a"}],
        "title": "Letter",
    }
    document = bundle(
        "document",
        {"fullUrl": "urn:uuid:4d9d5c0b-6a2d-4f0e-8f53-8c1d2f7e0a01", "resource": composition},
    )
    document |= {
        "id": "letter",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:1"},
        "timestamp": "2026-03-01T10:00:00Z",
    }
    done = run("load", write(tmp_path / "d.json", document))
    assert (done.exit_code, done.stderr) == (0, "")
    assert ids(stored(("Bundle", "letter"))) == ["letter"]


NOT_LOADED = [
    "",
    "{",
    "[]",
    '"x"',
    "{}",
    '{"resourceType": 1}',
    '{"resourceType": "Nope"}',
    '{"resourceType": "Patient", "id": 5}',
    '{"resourceType": "Patient", "id": "has blank"}',
    '{"resourceType": "Patient", "id": "a/b"}',
    '{"resourceType": "Patient", "colour": "red"}',
    '{"resourceType": "Bundle", "type": "collection", "entry": {}}',
    '{"resourceType": "Bundle", "type": "transaction", "entry": [1]}',
    '{"resourceType": "Bundle", "type": "batch", "entry": 1}',
    '{"resourceType": "Patient"} {"resourceType": "Patient"}',
    "\ufeff{",
    "{" * 5000,
]


def test_what_is_no_resource_is_told_and_the_rest_goes_on(run, stored, tmp_path):
    for number, content in enumerate(NOT_LOADED):
        write(tmp_path / f"{number:02}.json", content)
    write(tmp_path / "after.json", patient("after"))
    done = run("load", tmp_path)
    assert (done.exit_code, done.stdout) == (1, f"1 stored, {len(NOT_LOADED)} refused\n")
    named = {line.partition(".json")[0] for line in done.stderr.splitlines()}
    assert named == {str(tmp_path / f"{number:02}") for number in range(len(NOT_LOADED))}
    assert ids(stored(*patients("after"))) == ["after"]


def test_a_bad_line_of_ndjson_is_told_by_its_number(run, tmp_path):
    lines = [json.dumps(patient("a")), "{broken", json.dumps(BAD), json.dumps(patient("b"))]
    file = write(tmp_path / "a.ndjson", "\n".join(lines))
    done = run("load", file)
    assert (done.exit_code, done.stdout) == (1, "2 stored, 2 refused\n")
    places = [line.partition(": ")[0] for line in done.stderr.splitlines()]
    assert places == [f"{file}:2", f"{file}:3", f"{file}:3"]


def test_broken_xml_is_told(run, tmp_path):
    done = run("load", write(tmp_path / "a.xml", "<Patient"))
    assert (done.exit_code, done.stdout) == (1, "0 stored, 1 refused\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_told(run, tmp_path):
    write(tmp_path / "1.json", patient("a")).chmod(0)
    write(tmp_path / "2.json", patient("b"))
    done = run("load", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "1 stored, 1 refused\n")


def test_a_path_that_is_not_there_ends_with_status_2_and_loads_nothing(run, stored, tmp_path):
    done = run("load", write(tmp_path / "a.json", patient("a")), tmp_path / "nothing.json")
    assert done.exit_code == 2
    assert done.stderr == f"There is no {tmp_path / 'nothing.json'}\n"
    assert ids(stored(*patients("a"))) == []


def test_loading_twice_makes_the_next_versions_and_no_doubles(run, stored, tmp_path):
    file = write(tmp_path / "a.ndjson", "\n".join(json.dumps(patient(n)) for n in "abc"))
    for _ in range(2):
        assert run("load", file).stdout == "3 stored, 0 refused\n"
    found = stored(*patients("a", "b", "c"))
    assert [version.version_id for version in found.values()] == [2, 2, 2]


def test_of_two_versions_of_one_resource_the_later_wins(run, stored, tmp_path):
    lines = [json.dumps(patient("a", active=number == 40)) for number in range(41)]
    run("load", write(tmp_path / "a.ndjson", "\n".join(lines)))
    version = stored(*patients("a"))["Patient", "a"]
    assert version.version_id == 41
    assert json.loads(version.body)["active"] is True


def test_references_are_checked_in_the_order_of_the_file(run, tmp_path, monkeypatch):
    monkeypatch.setenv("FHIR_REFERENTIAL_INTEGRITY", "true")
    lines = []
    for number in range(20):
        lines.append(patient(f"p{number}"))
        subject = {"reference": f"Patient/p{number}"}
        lines.append({"resourceType": "Basic", "code": {"text": "x"}, "subject": subject})
    lines.append(
        {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient/later"}}
    )
    done = run("load", write(tmp_path / "a.ndjson", "\n".join(map(json.dumps, lines))))
    assert (done.exit_code, done.stdout) == (1, "40 stored, 1 refused\n")
    assert "not-found at Basic.subject.reference" in done.stderr


def on_a_terminal(*arguments):
    """What a command shows on a terminal."""
    main, worker = pty.openpty()
    process = subprocess.Popen(
        command(*arguments), cwd=ROOT, stderr=worker, stdout=subprocess.DEVNULL
    )
    os.close(worker)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(main)
    assert process.wait(30) == 0
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_progress_bar_is_shown_on_a_terminal_only_and_not_when_quiet(tmp_path):
    file = str(write(tmp_path / "a.json", patient("a")))
    database = f"sqlite:///{tmp_path / 'a.sqlite'}"
    assert "Loading" in on_a_terminal("load", file, "--database", database)
    assert on_a_terminal("load", file, "--database", database, "--quiet") == ""
    piped = subprocess.run(
        command("load", file, "--database", database), cwd=ROOT, capture_output=True, check=True
    )
    assert piped.stderr == b""
