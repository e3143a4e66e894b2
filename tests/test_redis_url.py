"""REDIS_URL is read twice, by redis-py and by Celery: both find the same server behind it, or nothing starts."""

import socket
import ssl
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection
from redis.connection import parse_url

from config.settings.environment import celery_broker, redis_parts, redis_url

PLACE = ("host", "port", "path", "username", "password", "db")
DEFAULTS = {"port": 6379, "db": 0}


def of_redis(url: str) -> dict[str, Any]:
    return place(parse_url(url))


def of_celery(url: str) -> dict[str, Any]:
    with Connection(celery_broker(url)) as connection:
        transport: Any = connection.transport
        channel = transport.Channel.__new__(transport.Channel)
        channel.connection = transport
        return place(channel._connparams())  # nothing public tells before it connects


def place(parameters: dict[str, Any]) -> dict[str, Any]:
    defaults = {"db": 0} if "path" in parameters else DEFAULTS
    said = {name: parameters[name] for name in PLACE if parameters.get(name) is not None}
    return {**defaults, **said}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache.internal", {"host": "cache.internal"}),
        ("redis://:word@cache.internal:6380/3", {"port": 6380, "password": "word", "db": 3}),
        (
            "redis://app:a%40b%23c%25d%2Fe%3Ff@cache.internal/0",
            {"username": "app", "password": "a@b#c%d/e?f"},
        ),
        ("redis://:p%2540@[fd00::1]:6379/0", {"host": "fd00::1", "password": "p%40"}),
        ("rediss://:word@cache.internal/1?ssl_ca_certs=/etc/ca.pem", {"db": 1}),
        ("unix:///run/valkey/socket", {"path": "/run/valkey/socket", "db": 0}),
        ("unix://app:a%40b@/run/valkey/socket?db=2", {"username": "app", "password": "a@b", "db": 2}),
        ("unix:///run/valkey/socket?db=2&password=a%40b", {"password": "a@b", "db": 2}),
    ],
)
def test_redis_and_celery_and_we_read_it_alike(url: str, expected: dict[str, Any]) -> None:
    assert redis_url("REDIS_URL", url) == url
    assert of_redis(url) == of_celery(url) == place(redis_parts(url))
    assert expected.items() <= of_celery(url).items()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:canary#b@a:6379/0",
        "redis://app:12#canary@a:6379/0",
        "redis://app:12/canary@a:6379/0",
        "redis://app:12?canary@a:6379/0",
        "redis://:canary@a:x/0",
        "redis://:canary@a:1,b:2/0",
        "redis://:canary@a/queue",
        "redis://:canary@a/0?db=5",
        "redis://:canary@a/0?ssl_cert_reqs=required",
        "redis://[fd00::1/0",
        "rediss://:canary@a/0?ssl_cert_reqs=CERT_SOMETIMES",
        "redis+sentinel://:canary@a:26379/main",
        "redis-sentinel://:canary@a:26379",
        "redis+cluster://:canary@a:6379",
        "rediss+cluster://:canary@a:6379",
        "rediss://:canary@a/0?socket_timeout=5",
        "unix://:canary@",
        "unix://canary/socket",
        "unix://:canary/b@/run/socket",
        "unix:///run/socket?db=x&password=canary",
        "sentinel://:canary@a:26379",
        "http://:canary@a",
        "canary",
    ],
)
def test_a_malformed_one_is_refused_by_the_name_of_its_variable(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^REDIS_URL ") as refusal:
        redis_url("REDIS_URL", url)
    shown = "".join(traceback.format_exception(refusal.value))
    assert url not in shown
    assert "canary" not in shown


@pytest.mark.parametrize("scheme", ["sentinel", "redis+sentinel", "redis+cluster"])
def test_several_servers_are_refused_by_what_they_are(scheme: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="Sentinel and Cluster are not supported"):
        redis_url("REDIS_URL", f"{scheme}://a:26379")


@pytest.mark.parametrize("word", ["required", "optional", "none"])
def test_python_s_names_of_the_checks_of_a_certificate_are_known(word: str) -> None:
    url = f"rediss://:word@a/0?ssl_cert_reqs=CERT_{word.upper()}&ssl_ca_certs=/etc/ca.pem"
    read = redis_url("REDIS_URL", url)
    assert parse_url(read)["ssl_cert_reqs"] == redis_parts(read)["ssl_cert_reqs"] == word
    assert f"ssl_cert_reqs={word}" in celery_broker(read)


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[int]:
    """The port of a server with TLS whose certificate nobody has signed."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]),
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, unsealed = serialization.Encoding.PEM, serialization.NoEncryption()
    both = certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unsealed)
    (tmp_path / "both.pem").write_bytes(both)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=shake_hands, args=(listener, context), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the test is over
            return
        with connection:
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:  # refused, as it should be
                continue


@pytest.mark.parametrize("options", ["", "?ssl_check_hostname=false"])
def test_the_password_goes_to_no_broker_whose_certificate_is_not_good(impostor: int, options: str) -> None:
    url = redis_url("REDIS_URL", f"rediss://:word@127.0.0.1:{impostor}/0{options}")
    with (
        Connection(celery_broker(url)) as broker,
        pytest.raises(broker.connection_errors, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        broker.connect()
