"""Logs: JSON on stdout, one line per event, each with its request id, none with a secret or an address.

LOG_FORMAT=plain writes the same events in a form for developers to read (config/plain_lines.py).

Django calls `configure` with the setting LOGGING (as LOGGING_CONFIG); Celery's own set-up is switched off in
config/celery.py, so worker and beat log the same way.
"""

import logging
import logging.config
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from config import plain_lines
from config.settings.environment import choice

PLAIN = choice("LOG_FORMAT") == "plain"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

# What the text of a library's exception may contain and a log must not.
_SECRET = re.compile(
    r"svc_[a-z]{2,8}_\w+|eyJ[\w-]+\.[\w.-]+|[^\s@'\"(=<]+@[^\s@'\")>]+|(?:postgres|postgresql|redis|rediss|smtp)\S*://\S+"
)
# gunicorn's two messages about a single request (gunicorn/workers/base.py): the words of each that are safe to log.
_OF_A_REQUEST = re.compile(
    r"Invalid request from ip=\S*: (?P<kind>[A-Za-z][A-Za-z -]*)|(?P<what>Error handling request)"
)
_DEEPEST_TRACEBACK = 30


class JSONFormatter(logging.Formatter):
    """Formats records of the standard library (Django, Celery, gunicorn, dj-stripe) like our own events."""

    def format(self, record: logging.LogRecord) -> str:
        event: EventDict = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            event["exc_info"] = record.exc_info[1]
        return finish(None, "", event)


class ServerLines(logging.Filter):
    """Reduces gunicorn's messages about requests that it could not read or answer to their safe words.

    The originals would quote a header with its credential or a path with its query, and name the caller's address.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        known = _OF_A_REQUEST.match(record.getMessage())
        if known:
            record.msg, record.args = known["what"] or known["kind"], ()
        return True


class NotScheduled(logging.Filter):
    """Drops the lines that each scheduled task would write every few seconds with nothing to do; /metrics counts those.

    Failures are logged for every task.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        from django.conf import settings  # which are still being configured when this module is imported

        scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
        name = record.args.get("name") if isinstance(record.args, dict) else None
        return record.levelno > logging.INFO or name not in scheduled


class StdoutLogger:
    """Writes to the current sys.stdout and flushes: a line still in the buffer when the process ends would be lost."""

    def msg(self, line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    debug = info = warning = error = critical = msg


def finish(logger: WrappedLogger, method_name: str, event: EventDict) -> str:
    """Apply the last step of both kinds of logger: time, request id, redaction, and the format."""
    first = {"time": datetime.now(UTC), "level": event.pop("level", method_name), "event": event.pop("event")}
    line: dict[str, Any] = {**first, **event}
    if "request_id" not in line and (current := request_id.get()) is not None:
        line["request_id"] = current
    error = line.pop("exc_info", None)
    if error is not None:
        line["error"] = type(error).__name__
        line["traceback"] = describe(error)
    if isinstance(line["event"], str):
        line["event"] = redact(line["event"])
    return plain_lines.write(line) if PLAIN else msgspec.json.encode(line, enc_hook=str).decode()


def describe(error: BaseException) -> list[str]:
    """Return where the error happened and what it was, without the values: a database's DETAIL repeats the row."""
    lines = [*_frames(error.__traceback__)]
    lines.append(f"{type(error).__qualname__}: {redact(str(error).partition('DETAIL:')[0].strip())}")
    if error.__cause__ is not None:
        lines = [*describe(error.__cause__), "which caused", *lines]
    return lines


def _frames(where: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(where, limit=-_DEEPEST_TRACEBACK)
    ]


def redact(text: str) -> str:
    return _SECRET.sub("<redacted>", text)


def configure(settings: dict[str, Any]) -> None:
    logging.config.dictConfig(settings)
    structlog.configure(
        processors=[finish],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *name: StdoutLogger(),
        cache_logger_on_first_use=True,
    )
