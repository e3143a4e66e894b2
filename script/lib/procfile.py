"""Reads `Procfile`, the table of the service's processes."""

import re
from pathlib import Path

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>.+)")


def read(path: Path) -> dict[str, str]:
    lines = (LINE.fullmatch(line.strip()) for line in path.read_text().splitlines())
    return {line["name"]: line["command"] for line in lines if line}


def argv(command: str) -> list[str]:
    """Return the command as a process manager runs it, but with no shell in between, so that signals reach the
    program.
    """
    return ["/bin/sh", "-c", f"exec env {command}"]
