"""Running the real server as a process of its own, for tests and measurements."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
PAUSE = 0.01
# Of FHIR, which is there before what stands around it.
READY = "/fhir/metadata?_elements=status"


class NotServing(Exception):
    """The server ended, or did not answer in time; the text ends with what it printed."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    """The command line of `fhir-server` under the running Python."""
    return [sys.executable, "-m", "fhir_server.cli", *arguments]


class ServerProcess:
    """`fhir-server serve` on a database, in a process group of its own.

    As a context manager it starts the server, waits until it is ready, and stops it at the end.
    """

    def __init__(
        self,
        database: str,
        *,
        workers: int = 1,
        port: int | None = None,
        log_level: str = "warning",
        settings: dict[str, str] | None = None,
    ) -> None:
        self.database = database
        self.workers = workers
        self.port = port or free_port()
        self.log_level = log_level
        self.settings = settings or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.output: IO[bytes] | None = None
        self.told = ""

    @property
    def base(self) -> str:
        """The FHIR base."""
        return f"http://127.0.0.1:{self.port}/fhir"

    def start(self) -> None:
        """Start it and return at once."""
        given = ["--host", "127.0.0.1", "--port", str(self.port), "--database", self.database]
        given += ["--workers", str(self.workers), "--log-level", self.log_level]
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            command("serve", *given),
            cwd=ROOT,
            env=os.environ | self.settings,
            stdout=self.output,
            stderr=self.output,
            start_new_session=True,
        )

    def wait_until_ready(self, timeout: float = 30.0, path: str = READY) -> None:
        """Return once that path answers 200; raises NotServing otherwise."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise NotServing(f"The server ended: {self.printed()}")
            if self._answers(path):
                return
            time.sleep(PAUSE)
        raise NotServing(f"No answer within {timeout:g} seconds: {self.printed()}")

    def _answers(self, path: str) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def processes(self) -> list[int]:
        """The ids of the processes that serve: the workers, or the only process."""
        assert self.process is not None
        below = descendants(self.process.pid)
        serving = [pid for pid in below if b"resource_tracker" not in command_line(pid)]
        return serving or [self.process.pid]

    def kill(self) -> None:
        """SIGKILL to every process at once: nothing can be finished or cleaned up."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> int:
        """SIGTERM, and wait; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        self._close()
        return status

    def printed(self) -> str:
        """The end of what the process wrote to its output, also when it has ended."""
        if self.output is not None:
            self.output.seek(0)
            self.told = self.output.read().decode(errors="replace")[-4000:]
        return self.told

    def _close(self) -> None:
        self.printed()
        if self.output is not None:
            self.output.close()
        self.output = None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except NotServing:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def command_line(pid: int) -> bytes:
    """The command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def descendants(pid: int) -> list[int]:
    """The processes below one, from /proc."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    children = [int(item) for item in listed]
    return children + [below for child in children for below in descendants(child)]
