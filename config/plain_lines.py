"""Log lines for developers: `GET /v1/auth/me 200 8 ms`, with colours where the terminal supports them."""

import os
from collections.abc import Mapping
from typing import Any

import structlog

_PROBES = {"/livez", "/readyz"}
_BEFORE_THE_VALUES = {"time", "level", "event", "logger", "traceback", "request_id"}
_RED, _GREEN, _YELLOW, _BLUE = 31, 32, 33, 36
_OF_LEVEL = {"warning": _YELLOW, "error": _RED, "critical": _RED}


def write(line: Mapping[str, Any]) -> str:
    """Return the event as a line, with its traceback below. Raise DropEvent for a successful probe."""
    if line["event"] == "request" and "route" in line:
        return _request(line)
    values = " ".join(f"{name}={value}" for name, value in line.items() if name not in _BEFORE_THE_VALUES)
    first = _coloured(f"{line['level']}: {line['event']}", _OF_LEVEL.get(line["level"]))
    return "\n".join([f"{first} {values}".rstrip(), *(f"    {frame}" for frame in line.get("traceback", ()))])


def _request(line: Mapping[str, Any]) -> str:
    status = line["status"]
    if line["route"] in _PROBES and status < 400:
        raise structlog.DropEvent
    path = line["route"] or "(unknown path)"
    took = (
        f"{line['method']} {path} {_coloured(str(status), _of_status(status))} {line['milliseconds']:.0f} ms"
    )
    return f"{took} {line['request_id']}" if status >= 500 else took


def _of_status(status: int) -> int:
    return {2: _GREEN, 3: _BLUE, 4: _YELLOW}.get(status // 100, _RED)


def _coloured(text: str, colour: int | None) -> str:
    wanted = colour and os.environ.get("FORCE_COLOR") and not os.environ.get("NO_COLOR")
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted else text
