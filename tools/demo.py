"""Play examples/journey.py against a server of its own, on a database that is thrown away: python -m tools.demo."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from tools.serving import ROOT, ServerProcess


def main() -> int:
    """The exit status of the example."""
    with (
        tempfile.TemporaryDirectory(prefix="fhir-demo-") as folder,
        ServerProcess(f"sqlite:///{folder}/fhir.sqlite") as server,
    ):
        command = [sys.executable, "examples/journey.py", server.base]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
