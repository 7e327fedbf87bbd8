"""Structured logs: one JSON object a line; names, counts and times, never a value of a resource or a query."""

from __future__ import annotations

import logging
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType

import orjson

# Whose messages are known to hold no value; of others, which may quote what they failed on, only the place is told.
_TRUSTED = ("fhir_server", "uvicorn", "psycopg.pool")
_FIELDS = ("request_id", "method", "interaction", "status", "milliseconds")


class JsonFormatter(logging.Formatter):
    """A record as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """Only known fields go out; of an exception its type and place, as its text may quote a resource."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        for name in _FIELDS:
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["places"] = _places(record)
        return orjson.dumps(line, default=str).decode()


def _message(record: logging.LogRecord) -> str:
    if any(record.name == name or record.name.startswith(f"{name}.") for name in _TRUSTED):
        return record.getMessage()
    return f"logged by {record.module}.{record.funcName}, line {record.lineno}"


def _places(record: logging.LogRecord) -> list[str]:
    found = []
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    return found[-8:]


def configure(level: str) -> None:
    """Send the logs of the server and of uvicorn to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("fhir_server", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(level.upper())
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda arguments: _log_uncaught(
        arguments.exc_type, arguments.exc_value, arguments.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    """In place of Python's traceback, which ends with the exception's text."""
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("fhir_server").critical("uncaught", exc_info=(kind, error, trace))
