"""The connections of the Python client: one pool per process, no proxy, and a time-out for the whole answer."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

import demo
from accounts.models import User
from auth_service_client import AsyncClient, Client, Unreachable
from demo_client import Wire
from tests.clients.conftest import KEY

NAMED = {"id": "x"}


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.django_db(transaction=True)
def test_the_demo_s_client_shows_each_call_and_its_answer(
    url: str, make_user: Callable[..., User], capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire()
    with wire.http:
        demo.give_and_spend(Client(url, KEY, http=wire.http), str(make_user().pk), wire)
    assert capsys.readouterr().out.count("-> 201") == 4


def test_a_transport_of_the_caller_s_tests_is_read() -> None:
    over = httpx.MockTransport(lambda request: httpx.Response(200, json=NAMED))
    with httpx.Client(transport=over) as http:
        assert Client("http://internal:8001", KEY, http=http).call("GET", "/v1/users/x") == NAMED


@pytest.mark.django_db(transaction=True)
def test_a_fork_has_connections_of_its_own(client: Client, make_user: Callable[..., User]) -> None:
    mine, other = make_user().pk, make_user().pk
    client.users.get(mine)
    before = client._connections.get()
    child = os.fork()
    if not child:
        os._exit(0 if client._connections.get() is not before else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert client._connections.get() is before
    assert client.users.get(other)["id"] == str(other)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ALL_PROXY", "socks5://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "[::1]")],
)
@pytest.mark.django_db(transaction=True)
def test_proxies_of_the_environment_get_no_key(
    monkeypatch: pytest.MonkeyPatch, url: str, make_user: Callable[..., User], name: str, value: str
) -> None:
    async def asked() -> str:
        async with AsyncClient(url, KEY, patience=0) as there:
            return (await there.users.get(user))["id"]

    user = str(make_user().pk)
    for others in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(others, raising=False)
    monkeypatch.setenv(name, value)
    with Client(url, KEY, patience=0) as here:
        assert here.users.get(user)["id"] == user
    assert asyncio.run(asked()) == user


def test_patience_bounds_a_try_that_hangs(silent: str) -> None:
    async def asked() -> None:
        async with AsyncClient(silent, KEY, patience=0.5) as there:
            await there.users.get("x")

    started = time.monotonic()
    with Client(silent, KEY, patience=0.5) as here, pytest.raises(Unreachable):
        here.users.get("x")
    with pytest.raises(Unreachable):
        asyncio.run(asked())
    assert time.monotonic() - started < 5


def test_without_patience_one_try_waits_as_long_as_it_may(silent: str) -> None:
    started = time.monotonic()
    with Client(silent, KEY, patience=0, timeout=0.5) as here, pytest.raises(Unreachable):
        here.users.get("x")
    assert 0.4 < time.monotonic() - started < 5
