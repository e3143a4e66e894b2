"""Google down, slow, rude, or with another's certificate: 503 within five seconds, and nobody else notices.

That the seconds are few is asserted of the settings; here, that they end the wait for a Google that never answers.
"""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from accounts.google import client as google_client
from accounts.google import id_tokens, network
from accounts.kit.slots import Slots
from accounts.tests.conftest import PASSWORD, at_once, forget_google, outcome, post
from accounts.tests.google_steps import begin, id_token, rows
from accounts.tests.strangers import silent_port
from free_ports import free_port
from tests.listeners import ListenerClient
from tests.waiting import eventually

AWAY = (503, "google_unavailable")


def come_back(client, google):
    """Return the answer of the callback. Nothing may have changed."""
    brought = google.authorize(begin(client), "600")
    before = rows()
    answer = post(client, "google/callback", **brought)
    assert answer.status_code != 503 or answer["Retry-After"]
    assert rows() == before
    return outcome(answer)


def test_each_question_ends_within_five_seconds():
    assert google_client.SECONDS_FOR_CODE + id_tokens.SECONDS_FOR_KEYS < 5


@pytest.mark.django_db
class TestTokenEndpoint:
    def test_down(self, public, google, settings):
        settings.GOOGLE_TOKEN_URL = f"http://127.0.0.1:{free_port()}/token"
        assert come_back(public, google) == AWAY

    def test_silent(self, public, google, settings):
        with silent_port() as port:
            settings.GOOGLE_TOKEN_URL = f"http://127.0.0.1:{port}/token"
            assert come_back(public, google) == AWAY

    def test_slow(self, public, google):
        google.order(delay=6)  # then it would be a success
        assert come_back(public, google) == AWAY

    @pytest.mark.parametrize("status", [500, 502, 429, 302])
    def test_failing(self, public, google, status):
        google.order(status=status)
        assert come_back(public, google) == AWAY

    @pytest.mark.parametrize("error", ["redirect_uri_mismatch", "unauthorized_client", "invalid_client"])
    def test_a_code_made_elsewhere_stops_nobody_else(self, public, google, error):
        google.order(status=400, error=error)
        assert come_back(public, google) == AWAY
        google.order()
        brought = google.authorize(begin(public), "600")
        assert post(public, "google/callback", **brought).status_code == 200

    def test_afterwards_it_is_not_asked_for_a_while_and_then_again(
        self, public, google, settings, monkeypatch
    ):
        monkeypatch.setattr(network.rest, "seconds", 3600)
        good, settings.GOOGLE_TOKEN_URL = settings.GOOGLE_TOKEN_URL, f"http://127.0.0.1:{free_port()}/token"
        come_back(public, google)
        settings.GOOGLE_TOKEN_URL = good
        before = google.order()["tokens"]
        assert (come_back(public, google), google.order()["tokens"]) == (AWAY, before)
        network.rest.end()
        brought = google.authorize(begin(public), "600")
        assert post(public, "google/callback", **brought).status_code == 200


@pytest.mark.django_db
class TestKeys:
    def token(self, public, google):
        forget_google()
        before = rows()
        answer = post(public, "google/token", id_token=id_token(public, google, "600"))
        assert rows() == before
        return outcome(answer)

    def test_down(self, public, google, settings):
        settings.GOOGLE_JWKS_URL = f"http://127.0.0.1:{free_port()}/keys"
        assert self.token(public, google) == AWAY

    def test_silent(self, public, google, settings):
        with silent_port() as port:
            settings.GOOGLE_JWKS_URL = f"http://127.0.0.1:{port}/keys"
            assert self.token(public, google) == AWAY

    def test_no_keys_at_all(self, public, google, settings):
        settings.GOOGLE_JWKS_URL = f"{google.url}/"  # a page of HTML
        assert self.token(public, google) == AWAY

    def test_of_a_server_with_another_certificate(self, public, google, settings, tmp_path):
        with impostor(tmp_path) as port:
            settings.GOOGLE_JWKS_URL = f"https://127.0.0.1:{port}/keys"
            assert self.token(public, google) == AWAY
            settings.GOOGLE_TOKEN_URL = f"https://127.0.0.1:{port}/token"
            network.rest.end()
            assert come_back(public, google) == AWAY

    def test_those_that_are_known_go_on(self, public, google, settings):
        assert post(public, "google/token", id_token=id_token(public, google, "601")).status_code == 200
        network.rest.begin()
        assert post(public, "google/token", id_token=id_token(public, google, "602")).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_class_that_signs_in_at_one_moment_gets_in(google, settings, monkeypatch):
    """They were told that Google is away, all but three of a process, and had to begin again there."""
    settings.RATE_LIMITS_FACTOR = 100
    # Places count here, not how fast this machine is.
    places = Slots(running=settings.GOOGLE_AT_ONCE, waiting=settings.GOOGLE_QUEUE, patience=60)
    monkeypatch.setattr(network, "_slots", places)
    monkeypatch.setattr(google_client, "SECONDS_FOR_CODE", 60)
    clients = [ListenerClient("public") for _ in range(20)]
    brought = [google.authorize(begin(client), "600") for client in clients]
    google.order(delay=0.1)
    answers = at_once(20, lambda one: post(clients[one], "google/callback", **brought[one]).status_code)
    assert answers == [200] * 20


@pytest.mark.django_db(transaction=True)
def test_few_threads_wait_for_it_and_passwords_go_on(google, settings, make_user, monkeypatch):
    make_user("ada@example.com", password=PASSWORD)
    clients = [ListenerClient("public") for _ in range(12)]
    brought = [google.authorize(begin(client), "600") for client in clients]
    monkeypatch.setattr(google_client, "SECONDS_FOR_CODE", 3600)  # until the port is closed, that is
    answers = []

    def come(number):
        answers.append(outcome(post(clients[number], "google/callback", **brought[number])))

    crowd = threading.Thread(target=at_once, args=(12, come))
    with silent_port() as port:
        settings.GOOGLE_TOKEN_URL = f"http://127.0.0.1:{port}/token"
        crowd.start()
        eventually(
            lambda: len(answers) == 12 - settings.GOOGLE_AT_ONCE, "the answers to those who found no place"
        )
        login = post(ListenerClient("public"), "login", email="ada@example.com", password=PASSWORD)
        assert (login.status_code, len(answers)) == (200, 12 - settings.GOOGLE_AT_ONCE)
    crowd.join()
    assert answers == [AWAY] * 12


class impostor:  # noqa: N801  used as a function
    """An HTTPS server whose certificate nobody has signed."""

    def __init__(self, directory):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )  # fmt: skip
        self.file = directory / "impostor.pem"
        self.file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )

    def __enter__(self):
        self.server = QuietServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_port

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class QuietServer(HTTPServer):
    def handle_error(self, request, client_address):
        """That the client hangs up is what is wanted."""
