"""The running service for the clients: both listeners over real sockets, a key, people with credits, a lossy proxy."""

import re
import tarfile
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction

from accounts import events
from accounts.events import feed, sending, subscriptions
from accounts.models import ServiceEvent, User
from accounts.service_keys import form
from accounts.tests.brokers import UNREAD, broker_at
from accounts.tests.receivers import Receiver
from auth_service_client import Client
from free_ports import free_port
from tests.clients.lossy_proxy import LossyProxy, Seen
from tests.clients.packages import NODE, NPM, ROOT, copied, node_packages, python_packages, run
from tests.served import Served, database_url, served
from tests.surface import surface

KEY = form.generate("test").text
Delivery = tuple[dict[str, str], bytes]
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the mails of the public listener."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="session")
def page_port() -> int:
    """Return the port of a front end's page, whose origin the public listener is told when it starts."""
    return free_port()


@pytest.fixture(scope="session")
def public_listener(
    django_db_setup: None, page_port: int, mails: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    page = f"http://localhost:{page_port}"
    place = tmp_path_factory.mktemp("public")
    settings = environment(
        MAILS=str(mails),
        DJANGO_SETTINGS_MODULE="tests.clients.served_settings",
        PASSWORD_HASHING_QUEUE="20",
        CORS_ALLOWED_ORIGINS=page,
        WEBAUTHN_RP_ID="localhost",
        WEBAUTHN_ORIGINS=page,
    )
    with served("gunicorn", place, listener="public", unix=False, **settings) as running:
        yield running


@pytest.fixture(scope="session")
def internal_listener(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(
        "gunicorn", tmp_path_factory.mktemp("internal"), listener="internal", unix=False, **environment()
    ) as running:
        yield running


def environment(**more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url(),
        "INTERNAL_API_KEYS": f"shop={KEY}:*",
        "RATE_LIMITS_FACTOR": "1000",
        "WEB_THREADS": "4",
        **more,
    }


@pytest.fixture
def proxy(internal_listener: Served) -> LossyProxy:
    """The internal listener behind a network that loses what `proxy.plan` says."""
    return LossyProxy(internal_listener.port)


@pytest.fixture
def url(proxy: LossyProxy) -> Iterator[str]:
    with proxy.running() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, KEY) as client:
        yield client


@pytest.fixture
def buyer(client: Client, proxy: LossyProxy, make_user: Callable[..., User]) -> str:
    """The id of someone who has 100 credits; the proxy has seen nothing yet."""
    user_id = str(make_user().pk)
    client.credits.add(user_id=user_id, amount=100)
    proxy.seen.clear()
    return user_id


@pytest.fixture
def balance(client: Client) -> Callable[[str], tuple[int, int]]:
    """`balance(user_id)`: what is left, and what is held of it."""

    def balance(user_id: str) -> tuple[int, int]:
        said: Any = client.credits.balance(user_id=user_id)
        return said["balance"], said["held"]

    return balance


@pytest.fixture
def receiver(settings: SimpleNamespace) -> Iterator[SimpleNamespace]:
    receiver = Receiver()
    with broker_at(UNREAD), receiver.running() as port:
        settings.EVENT_WEBHOOK_HOSTS = {f"127.0.0.1:{port}": LOOPBACK}
        yield SimpleNamespace(url=f"http://127.0.0.1:{port}/in", tried=receiver.tried)
        feed.sender._words.join()


@pytest.fixture
def delivered(receiver: SimpleNamespace, verified_user: User) -> Callable[..., Delivery]:
    """`delivered(*secrets)`: the headers and the body of one event, as they came over the wire."""

    def deliver(*secrets: str) -> Delivery:
        with transaction.atomic():
            events.emit("credits.low", user_id=verified_user.pk, data={"threshold": 10, "available": 3})
        event = ServiceEvent.objects.get(type="credits.low")
        event.position = 17
        assert sending.send(event, url=receiver.url, secrets=secrets).delivered
        headers, body = receiver.tried[-1]
        return headers, body

    return deliver


@pytest.fixture
def secret(receiver: SimpleNamespace) -> str:
    return subscriptions.create(name="shop", url=receiver.url, types=["credits.low"], actor="test").secret


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package, pack it as for the registry, and return what it unpacks to."""
    place = tmp_path_factory.mktemp("packed")
    source = copied(ROOT / "clients" / "typescript", place / "source")
    run([NODE, node_packages() / "typescript" / "bin" / "tsc", "--project", "."], source)
    run([NODE, NPM, "pack", "--pack-destination", place, "--ignore-scripts"], source)
    (archive,) = place.glob("*.tgz")
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    return place / "package"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", place]
    run(
        [
            python_packages(),
            "-m",
            "pip",
            "wheel",
            *options,
            copied(ROOT / "clients" / "python", place / "source"),
        ],
        place,
    )
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def site(wheel: Path) -> Path:
    """Return a directory with the wheel installed: for PYTHONPATH."""
    target = wheel.parent / "site"
    options: list[str | Path] = ["--no-deps", "--no-index", "--target", target]
    run([python_packages(), "-m", "pip", "install", *options, wheel], wheel.parent)
    return target


def missing(seen: list[Seen]) -> set[str]:
    """Return the calls of the internal listener that were not among the requests, which had `x` for each argument."""
    asked = {f"{one.method} {one.path.partition('?')[0]}" for one in seen}
    calls = {
        f"{route.method} {re.sub(r'{[^}]*}', 'x', route.path)}"
        for route in surface()
        if route.listener == "internal" and route.tier == "internal"
    }
    return calls - asked
