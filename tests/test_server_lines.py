"""Reads what gunicorn logs about requests that it refuses before the application sees them."""

import json
import logging
import runpy
from pathlib import Path

import pytest

from config.logging import JSONFormatter, ServerLines

CONFIGURATION = Path(__file__).parent.parent / "deploy" / "gunicorn.py"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            "Invalid request from ip=192.0.2.7: Invalid HTTP Header: 'Authorization Bearer canary'",
            "Invalid HTTP Header",
        ),
        (
            "Invalid request from ip=192.0.2.7: Invalid HTTP header name: 'canary foo'",
            "Invalid HTTP header name",
        ),
        (
            "Invalid request from ip=192.0.2.7: Invalid HTTP request line: 'GET /verify?token=canary'",
            "Invalid HTTP request line",
        ),
        ("Invalid request from ip=: Invalid HTTP Version: 'canary HTTP/1.1'", "Invalid HTTP Version"),
        ("Error handling request GET /v1/auth/verify-email?token=canary", "Error handling request"),
        ("Booting worker with pid: 7", "Booting worker with pid: 7"),
    ],
)
def test_are_json_and_repeat_nothing_of_the_request(line: str, kept: str) -> None:
    shown = logged(line)
    assert shown["event"] == kept
    assert "canary" not in str(shown)
    assert "192.0.2.7" not in str(shown)


def logged(line: str) -> dict[str, str]:
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, line, (), None)
    ServerLines().filter(record)
    answer: dict[str, str] = json.loads(JSONFormatter().format(record))
    return answer


def test_are_written_so_by_each_listener() -> None:
    told = runpy.run_path(str(CONFIGURATION))["logconfig_dict"]
    assert told["formatters"]["json"]["()"] == f"{JSONFormatter.__module__}.{JSONFormatter.__qualname__}"
    assert told["filters"]["server"]["()"] == f"{ServerLines.__module__}.{ServerLines.__qualname__}"
    assert told["handlers"]["stdout"]["filters"] == ["server"]
    assert told["loggers"]["gunicorn.error"]["handlers"] == ["stdout"]
