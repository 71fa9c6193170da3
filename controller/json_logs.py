"""Logs as one JSON object a line on stderr: ours, the official client's, warnings, threads that end badly."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime

LOG = logging.getLogger("replicast.threads")
_OURS = ("replicast", "controller")
"""Of others only warnings are told: the election says every two seconds who does not lead."""


class JsonFormatter(logging.Formatter):
    """One object a line; `extra={"fields": {...}}` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """As JSON."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            document["error"] = f"{record.exc_info[0].__name__}: {record.exc_info[1]}"
            document["trace"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def log_as_json() -> None:
    """Whatever logs, from `warning` up; ours from `info` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a broken stderr is no reason for a trace on it
    threading.excepthook = _thread_ended


def _thread_ended(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is None or issubclass(arguments.exc_type, SystemExit):
        return
    told = (arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
    LOG.error("the thread %r ended", arguments.thread and arguments.thread.name, exc_info=told)
