"""Requests every internal and admin path on the public port, in every spelling and with a valid key: a plain 404."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from instance import Instance
from mail_sink import MailSink
from report import Report

TABLE = Path(__file__).resolve().parents[3] / "tests" / "endpoints.txt"
AN_ID = "00000000-0000-4000-8000-000000000000"
FORGED = {
    "X-Original-URL": "{path}",
    "X-Rewrite-URL": "{path}",
    "X-Forwarded-Host": "127.0.0.1:{port}",
    "X-Forwarded-Port": "{port}",
    "X-Forwarded-Prefix": "{path}",
    "X-Script-Name": "{path}",
    "SCRIPT_NAME": "{path}",
}


def paths_of_other_listeners(instance: Instance, _sink: MailSink, report: Report) -> None:
    seen, port = Counter[str](), instance.ports["web"]
    keyed = {"X-API-Key": instance.api_key}
    for path in hidden():
        for spelling in spellings(path):
            seen[judge(port, spelling, keyed, report)] += 1
        forged = {
            name: text.format(path=path, port=instance.ports["internal"]) for name, text in FORGED.items()
        }
        for name, value in forged.items():
            seen[judge(port, "/nowhere", {**keyed, name: value}, report)] += 1
    report.line(
        f"{len(hidden())} paths, {seen.total()} requests",
        *(f"{n} x {what}" for what, n in seen.most_common()),
    )


def hidden() -> list[str]:
    """Return the paths of the table that the public listener does not have."""
    rows = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    public = {row[1] for row in rows if row[2] == "public"}
    others = {row[1] for row in rows if row[2] != "public" and row[1] not in public}
    return sorted(
        {
            path.replace("{", "<").partition("<")[0] + (AN_ID if "{" in path or "<" in path else "")
            for path in others
        }
    )


def spellings(path: str) -> Iterator[str]:
    first, _, rest = path.lstrip("/").partition("/")
    yield from (
        path,
        f"{path}/",
        f"/{path}",
        path.upper(),
        path.title(),
        f"/.{path}",
        f"{path}.json",
        f"{path}?x",
    )
    yield from (
        f"/{first}//{rest}",
        f"/{first}/./{rest}",
        f"/{first}/x/../{rest}",
        f"/{first};x/{rest}",
        f"{path};x=1",
    )
    yield from (
        f"/{first}%2f{rest}",
        path.replace("/", "%2f"),
        f"/%2e{path}",
        f"{path}%00",
        f"{path}%20",
        f"{path}%0a",
    )
    yield from (
        f"/livez/..{path}",
        f"/livez/..;{path}",
        f"/static/..{path}",
        f"/docs/%2e%2e{path}",
        f"/%c0%af{path}",
    )
    yield from (f"http://127.0.0.1:8001{path}", f"http://internal{path}", f"{path}#", path.replace("/", "\\"))


def judge(port: int, target: str, headers: dict[str, str], report: Report) -> str:
    status, body = exchange(port, target, headers)
    # An absolute form with a foreign host is refused for the host, before any path is looked at.
    plain = status == 404 and body.get("code") == "not_found"
    report.require(plain or status in {400, 421}, f"{target}: answered {status} {body.get('code', '')}")
    return f"{status} {body.get('code', '')}".strip()


def exchange(port: int, target: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    try:
        parsed = json.loads(body)
    except ValueError:
        parsed = {}
    words = head.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 else 0, parsed if isinstance(parsed, dict) else {}
