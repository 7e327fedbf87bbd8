"""Settings: one documented table, three sources, wrong values refused with a sentence."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

from fhir_server.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_in_the_documented_table():
    source = importlib.util.spec_from_file_location(
        "settings_table", ROOT / "tools" / "settings_table.py"
    )
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == module.table()


def test_environment_wins_over_file_and_command_line_over_both(monkeypatch, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('port = 1111\nmaximum_count = 5\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("FHIR_SETTINGS_FILE", str(file))
    monkeypatch.setenv("FHIR_PORT", "2222")
    monkeypatch.setenv("FHIR_MAXIMUM_COUNT", "6")
    settings = Settings(maximum_count=7)
    assert (settings.host, settings.port, settings.maximum_count) == ("0.0.0.0", 2222, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_zone", "Europe/Nowhere"),
        ("base_url", "fhir.example.org"),
        ("port", 70000),
        ("workers", 0),
        ("colour", "red"),
    ],
)
def test_a_wrong_setting_is_refused(name, value):
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


def test_base_follows_host_and_port_unless_given():
    assert Settings(port=9000).base == "http://127.0.0.1:9000/fhir"
    assert Settings(base_url="https://a.example/fhir/").base == "https://a.example/fhir"
