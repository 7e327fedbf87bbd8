"""Write docs/settings.md from the settings themselves, so that the table cannot go stale."""

from __future__ import annotations

from pathlib import Path

from fhir_server.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "settings.md"

_HEAD = """# Settings

Every setting has one name. The command line (`fhir-server serve --help` lists the options it has) wins over the
environment variable, which wins over the TOML file that `FHIR_SETTINGS_FILE` names (`port = 8080`). A wrong value ends
the start with a sentence that names the setting.

This page is made by `python tools/settings_table.py`; a test holds it fresh.

| Environment variable | Key in the file | Default | What it decides |
|---|---|---|---|
"""


def table() -> str:
    """The page as Markdown."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = (
            str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        )
        shown = f"`{default}`" if default else "(empty)"
        rows.append(f"| `FHIR_{name.upper()}` | `{name}` | {shown} | {field.description} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    TARGET.write_text(table(), "utf-8")
