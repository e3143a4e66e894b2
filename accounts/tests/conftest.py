"""Shares among the tests of accounts: people who register by mail, and a second thread for everything."""

import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes as digests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection

from accounts.google import id_tokens, network
from accounts.identity import mail_requests
from accounts.kit.problems import Problem
from accounts.mail import delivery
from accounts.models import OutboxMessage
from accounts.passwords import costs
from accounts.tests.hashers import CheapBCryptSHA256
from tests.fake_google import providers
from tests.fake_google.providers import Provider
from tests.listeners import ListenerClient

PASSWORD = "a sentence that only I know"
OTHER_PASSWORD = "a sentence that someone else knows"


def post(client: ListenerClient, path: str, **body: Any) -> Any:
    return client.post(f"/v1/auth/{path}", body)


def deliver_mails() -> list[EmailMultiAlternatives]:
    """Send what waits in the outbox, as the worker would. Return the mails that have left since the last call."""
    waiting = OutboxMessage.objects.filter(sent_at=None, dead_at=None).order_by("created_at")
    for message_id in waiting.values_list("pk", flat=True):
        delivery.deliver(message_id, resolve=mail_requests.resolve)
    left = [*mail.outbox]
    mail.outbox.clear()
    return left  # type: ignore[return-value]


def link_in(message: EmailMultiAlternatives) -> str:
    """The token of the mailed link."""
    found = re.search(r"token=([\w-]+)", str(message.body))
    assert found is not None
    return found[1]


def code_in(message: EmailMultiAlternatives) -> str:
    found = re.search(r"^ {4}([A-Z]{4}-[A-Z]{4})$", str(message.body), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def register(db: None, public: ListenerClient) -> Callable[..., EmailMultiAlternatives]:
    """`register("ada@example.com")`: the mail that it brings."""

    def register(email: str, password: str = PASSWORD, **fields: Any) -> EmailMultiAlternatives:
        answer = post(public, "register", email=email, password=password, **fields)
        assert answer.status_code == 202, answer.content
        (message,) = deliver_mails()
        return message

    return register


@pytest.fixture
def sign_in(public: ListenerClient) -> Callable[..., dict[str, Any]]:
    def sign_in(email: str, password: str = PASSWORD) -> dict[str, Any]:
        answer = post(public, "login", email=email, password=password)
        assert answer.status_code == 200, answer.content
        return answer.json()  # type: ignore[no-any-return]

    return sign_in


def outcome(answer: Any) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, answer.json().get("code", "")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The SQL of what runs inside, without its values, and without the test's own savepoints."""
    seen: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "SAVEPOINT" not in sql:
            seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield seen


@contextmanager
def hashes() -> Iterator[Callable[[], int]]:
    """How many passwords were hashed inside. What a listener measures before it serves is not among them."""
    costs.rates()
    before = CheapBCryptSHA256.made
    yield lambda: CheapBCryptSHA256.made - before


def at_once(times: int, job: Callable[[int], Any], *, threads: int = 20) -> list[Any]:
    """Run the job in threads that start together, each with its own connection. A refusal comes back as its code."""
    together = Barrier(min(threads, times))

    def run(number: int) -> Any:
        if number < together.parties:
            together.wait()
        try:
            return job(number)
        except Problem as problem:
            return problem.default_code
        finally:
            connection.close()

    with ThreadPoolExecutor(min(threads, times)) as pool:
        return list(pool.map(run, range(times)))


def steady_headers(answer):
    """The headers that every arm must answer with alike: all names, and all values but the id and what is left."""
    return {name: "" if name in {"X-Request-ID", "RateLimit"} else text for name, text in answer.items()}


@pytest.fixture(scope="session")
def python_provider() -> Iterator[Provider]:
    with providers.python_provider() as provider:
        yield provider


@pytest.fixture(scope="session")
def node_provider() -> Iterator[Provider]:
    with providers.node_provider() as provider:
        yield provider


@pytest.fixture
def google(python_provider: Provider, settings: Any) -> Iterator[Provider]:
    """A provider in Google's place, which we are told of."""
    with _in_place_of_google(python_provider, settings):
        yield python_provider


@pytest.fixture(params=["python_provider", "node_provider"])
def each_google(request: pytest.FixtureRequest, settings: Any) -> Iterator[Provider]:
    """The same with either provider."""
    provider = request.getfixturevalue(request.param)
    with _in_place_of_google(provider, settings):
        yield provider


@contextmanager
def _in_place_of_google(provider: Provider, settings: Any) -> Iterator[None]:
    for name, value in provider.settings.items():
        setattr(settings, name, value)
    forget_google()
    provider.order()
    provider.add("600", email="600@gmail.test")
    yield
    forget_google()


def forget_google() -> None:
    """Forget the keys that were fetched, and that it did not answer."""
    id_tokens.keys.cache_clear()
    network.rest.end()


@pytest.fixture
def certificate_for(tmp_path: Path) -> Callable[[str], tuple[ssl.SSLContext, ssl.SSLContext]]:
    """`certificate_for(host)`: what a server of this name uses, and what trusts it and nobody else."""

    def make(host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
            .sign(key, digests.SHA256())
        )
        file = tmp_path / f"{host}.pem"
        plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(key.private_bytes(*plain) + certificate.public_bytes(Encoding.PEM))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        return server, ssl.create_default_context(cafile=str(file))

    return make
