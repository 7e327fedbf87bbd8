"""fhir-kit-client, unmodified: the JavaScript client, run by Node (https://www.npmjs.com/package/fhir-kit-client)."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("fhir_kit.mjs")
VERSION = "2.0.3"


@pytest.fixture(scope="module")
def seen(base: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    folder = tmp_path_factory.mktemp("fhir-kit")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    installed = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", f"fhir-kit-client@{VERSION}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if installed.returncode:
        pytest.skip(f"fhir-kit-client cannot be installed here: {installed.stderr[-300:]}")
    script = shutil.copy(SCRIPT, folder)
    done = subprocess.run(
        [node, script, base], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("fhirVersion", "4.0.1"),
        ("created", "1"),
        ("read", "Jankowska"),
        ("updated", "2"),
        ("patched", "other"),
        ("vread", "none"),
        ("history", ["3", "2", "1"]),
        ("search", ["Kit 0", "Kit 1", "Kit 2", "Kit 3", "Kit 4"]),
        ("postSearch", ["Kit 3"]),
        ("transaction", ["201", "201"]),
        ("referred", 1),
        ("batch", True),
        ("gone", 410),
        ("outcome", "OperationOutcome"),
    ],
)
def test_every_step_works(seen: dict[str, Any], step: str, expected: object) -> None:
    assert seen[step] == expected
