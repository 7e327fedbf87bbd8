"""fhir-server serve: its options, and sentences for wrong ones."""

import socket
import subprocess
import sys

import httpx
import pytest
from typer.testing import CliRunner

from fhir_server.cli import application
from tools.serving import ROOT, ServerProcess, command, free_port


def refused(*arguments, **environment):
    """The status and what is told, of a command that does not begin its work."""
    done = CliRunner().invoke(application, arguments, env=environment, catch_exceptions=False)
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--port", "many", "--port"),
        ("--port", "70000", "port: "),
        ("--workers", "0", "workers: "),
        ("--log-level", "loud", "log_level: "),
        ("--base-url", "ftp://x.example/fhir", "base_url: write the whole URL"),
        ("--database", "nonsense", "'nonsense' is not a database URL"),
        ("--database", "mysql://x/y", "use SQLite or PostgreSQL"),
        ("--database", "postgresql+psycopg://x:port/y", "user@host:port/name"),
        ("--colour", "red", "--colour"),
        ("--host", "nowhere.invalid", "Cannot listen on nowhere.invalid"),
    ],
)
def test_a_wrong_option_ends_with_a_sentence_and_status_2(option, value, told):
    status, sentence = refused("serve", option, value)
    assert status == 2
    assert told in sentence


def test_a_port_that_is_taken_ends_with_a_sentence_and_status_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, sentence = refused("serve", "--port", str(port), "--database", "memory://")
    assert status == 2
    assert sentence.startswith(f"Cannot listen on 127.0.0.1, port {port}: ")


def test_workers_cannot_share_memory():
    status, sentence = refused("serve", "--database", "memory://", "--workers", "2")
    assert (status, "memory:// lives in one process" in sentence) == (2, True)


@pytest.mark.parametrize("name", ["serve", "migrate", "check-store"])
def test_a_database_that_cannot_be_reached_ends_with_a_sentence_and_status_3(name, tmp_path):
    (tmp_path / "file").write_text("x")
    wanted = ["--port", str(free_port())] if name == "serve" else []
    for database in (
        "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
        f"sqlite:///{tmp_path / 'file' / 'below.sqlite'}",
        f"sqlite:///{tmp_path}",
    ):
        status, sentence = refused(name, "--database", database, *wanted)
        assert status == 3, sentence
        assert sentence


def test_what_is_no_database_file_ends_with_a_sentence(tmp_path):
    (tmp_path / "text").write_text("no database" * 100)
    status, sentence = refused("check-store", "--database", f"sqlite:///{tmp_path / 'text'}")
    assert (status, "not an SQLite database" in sentence) == (3, True)


def test_wrong_settings_in_environment_and_file_end_with_sentences(tmp_path):
    assert refused("serve", FHIR_DEFAULT_COUNT="many")[0] == 2
    assert refused("serve", FHIR_SETTINGS_FILE=str(tmp_path / "nothing.toml"))[0] == 2
    file = tmp_path / "settings.toml"
    file.write_text("port = = 1")
    status, sentence = refused("serve", FHIR_SETTINGS_FILE=str(file))
    assert (status, "is not TOML" in sentence) == (2, True)
    file.write_text("colour = 1")
    status, sentence = refused("serve", FHIR_SETTINGS_FILE=str(file))
    assert (status, "colour" in sentence) == (2, True)
    status, sentence = refused("serve", FHIR_TERMINOLOGY_SERVERS="a secret")
    assert (status, '"terminology_servers"' in sentence, "secret" in sentence) == (2, True, False)


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("fhir_server.cli", {"pydantic", "sqlalchemy", "uvicorn"}),
        ("fhir_server.server", {"fastapi", "holidays", "jinja2", "psycopg", "sqlalchemy"}),
    ],
)
def test_a_start_does_not_load_what_only_some_commands_and_requests_need(module, spared):
    told = f"import sys, {module}; print(*{spared} & set(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == []


def test_base_url_is_that_of_every_link_of_every_worker(new_database):
    settings = {"FHIR_BASE_URL": "https://fhir.example.org/r4/"}
    with ServerProcess(new_database(), workers=2, settings=settings) as server:
        answer = httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient"})
        logical_id = answer.json()["id"]
        base = "https://fhir.example.org/r4"
        assert answer.headers["location"] == f"{base}/Patient/{logical_id}/_history/1"
        page = httpx.get(f"{server.base}/Patient?_count=1").json()
        assert page["entry"][0]["fullUrl"] == f"{base}/Patient/{logical_id}"
        assert page["link"][0]["url"].startswith(f"{base}/Patient?")
        metadata = httpx.get(f"{server.base}/metadata?_elements=implementation").json()
        assert metadata["implementation"]["url"] == base


def test_host_port_and_log_level_are_taken(tmp_path):
    database = f"sqlite:///{tmp_path / 'a.sqlite'}"
    with ServerProcess(database, log_level="debug") as server:
        assert httpx.get(f"{server.base}/metadata?_summary=true").status_code == 200
        server.stop()
        assert '"message":"request"' in server.printed()
    with ServerProcess(database, log_level="error") as server:
        httpx.get(f"{server.base}/metadata?_summary=true")
        server.stop()
        assert server.printed() == ""


def test_the_process_ends_with_the_sentence_and_nothing_else():
    done = subprocess.run(
        command("serve", "--log-level", "loud"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Setting log_level: ")


def test_without_a_command_help_is_shown():
    done = subprocess.run(command(), cwd=ROOT, capture_output=True, text=True, check=False)
    for name in ("serve", "load", "migrate", "check-store", "capability"):
        assert name in done.stdout + done.stderr
