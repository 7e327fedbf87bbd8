"""Structured logs: one JSON object a line; names, counts and times, never a value of a resource or a query."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson

_FIELDS = ("request_id", "method", "interaction", "status", "milliseconds")


class JsonFormatter(logging.Formatter):
    """A record as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """Only known fields go out; of an exception its type and place, as its text may quote a resource."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in _FIELDS:
            if hasattr(record, name):
                line[name] = getattr(record, name)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["places"] = _places(record)
        return orjson.dumps(line, default=str).decode()


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
