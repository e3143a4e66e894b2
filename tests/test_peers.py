"""A listener that lists its peers takes no others: by the socket, whatever headers say, on both servers."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.peers import admits
from config.settings import environment
from tests.served import LIVE, ask, served

SERVERS = ("gunicorn", "granian")
LISTED, STRANGER = "127.0.0.2", "127.0.0.3"
FORWARDED = LIVE.replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 127.0.0.2\r\nX-Real-IP: 127.0.0.2")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    ("listener", "variable"),
    [("internal", "INTERNAL_ALLOWED_PEERS"), ("admin", "ADMIN_ALLOWED_PEERS")],
)
def test_only_those_listed_are_answered(server: str, listener: str, variable: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {variable: "127.0.0.2/32, fd00::/8", "TRUSTED_PROXY_COUNT": "1"}
    with served(server, tmp_path, listener=listener, **changes) as running:
        assert status_of(ask(running.port, LIVE, of=LISTED)) == 200
        for request in (LIVE, FORWARDED):
            refused = ask(running.port, request, of=STRANGER)
            assert status_of(refused) == 403
            assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "permission_denied"
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    assert 403 in {line.get("status") for line in lines}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("listed", "status"), [("127.0.0.0/8", 403), ("127.0.0.0/8,unix", 200)])
def test_a_unix_socket_is_listed_by_name(server: str, listed: str, status: int, tmp_path: Path) -> None:
    with served(server, tmp_path, listener="internal", unix=True, INTERNAL_ALLOWED_PEERS=listed) as running:
        assert status_of(ask(running.end, FORWARDED)) == status


@pytest.mark.parametrize("server", SERVERS)
def test_the_public_listener_is_for_everybody(server: str, tmp_path: Path) -> None:
    lists: dict[str, Any] = {"INTERNAL_ALLOWED_PEERS": "192.0.2.0/24", "ADMIN_ALLOWED_PEERS": "192.0.2.0/24"}
    with served(server, tmp_path, listener="public", **lists) as running:
        assert status_of(ask(running.port, LIVE, of=STRANGER)) == 200


@pytest.mark.parametrize(
    ("listed", "address", "is_one"),
    [
        ("", "203.0.113.9", True),
        ("", "", True),
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("10.1.0.0/16", "::10.1.2.3", False),
        ("fd00::/8", "fd12::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fd00::/8", "10.1.2.3", False),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("10.1.0.0/16", "", False),
        ("10.1.0.0/16", "10.1.2.3.4", False),
        ("unix", "", True),
        ("unix", "127.0.0.1", False),
    ],
)
def test_who_is_one_of_them(
    monkeypatch: pytest.MonkeyPatch, listed: str, address: str, *, is_one: bool
) -> None:
    monkeypatch.setenv("INTERNAL_ALLOWED_PEERS", listed)
    assert admits(environment.peers("INTERNAL_ALLOWED_PEERS"), address) is is_one


@pytest.mark.parametrize("listed", ["10.1.2.3/16", "10.1.0.0/33", "shop.internal", "10.1.0.0-10.1.0.9", "*"])
def test_what_is_not_a_network_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    monkeypatch.setenv("ADMIN_ALLOWED_PEERS", f"10.0.0.0/8,{listed}")
    with pytest.raises(
        ImproperlyConfigured, match=r"^ADMIN_ALLOWED_PEERS contains an invalid network"
    ) as refusal:
        environment.peers("ADMIN_ALLOWED_PEERS")
    assert listed not in str(refusal.value)
