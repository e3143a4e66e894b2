"""Settings that contradict one another are named by a system check."""

import subprocess
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django import DjangoAssertNumQueries, Settings

import valkey
from accounts import checks
from accounts.service_keys import form
from free_ports import free_port
from tests.waiting import eventually


def found(*, deploy: bool = False) -> set[str]:
    return {str(message.id) for message in run_checks(tags=[checks.TAG], include_deployment_checks=deploy)}


def der(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def ring(algorithm: str, material: bytes) -> list[SimpleNamespace]:
    return [SimpleNamespace(kid="k1", algorithm=algorithm, material=material)]


P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
PUBLIC = bytes(P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
PEM = bytes(P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def test_the_settings_of_the_tests_are_clean() -> None:
    assert found() == set()


@pytest.mark.django_db
def test_no_check_reads_a_table(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """`migrate` runs them before there are any, and PostgreSQL would log errors at the first start."""
    with django_assert_num_queries(0):
        run_checks(databases=["default"])


class TestRedis:
    def test_the_tests_own_is_no_cluster(self) -> None:
        assert not found(deploy=True) & {"accounts.E018", "accounts.I003"}

    def test_one_in_cluster_mode_is_named(self, settings: Settings, tmp_path: Path) -> None:
        path = tmp_path / "socket"
        bus = f"--bind 127.0.0.1 --port 0 --cluster-enabled yes --cluster-port {free_port()}"
        options = [*bus.split(), "--unixsocket", str(path), "--dir", str(tmp_path)]
        server = subprocess.Popen([str(valkey.program()), *options], stdout=subprocess.DEVNULL)
        try:
            settings.REDIS_URL = f"unix://{path}?db=0"
            eventually(lambda: "accounts.I003" not in found(deploy=True))
            assert "accounts.E018" in found(deploy=True)
        finally:
            server.kill()
            server.wait()

    def test_one_that_is_away_was_not_asked(self, settings: Settings, tmp_path: Path) -> None:
        settings.REDIS_URL = f"unix://{tmp_path}/socket?db=0"
        assert "accounts.I003" in found(deploy=True)


class TestSigningKeys:
    @pytest.mark.parametrize(
        ("algorithm", "material"),
        [("HS256", b"x" * 32), ("ES256", der(P256)), ("EdDSA", der(ED25519))],
        ids=["secret", "p256", "ed25519"],
    )
    def test_fit(self, settings: Settings, algorithm: str, material: bytes) -> None:
        settings.JWT_KEYS = ring(algorithm, material)
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "ALGORITHM": algorithm}
        assert found() == set()

    @pytest.mark.parametrize(
        ("algorithm", "material"),
        [
            ("none", b"x" * 32),
            ("HS512", b"x" * 64),
            ("RS256", der(RSA)),
            ("HS256", PUBLIC),
            ("HS256", PEM),
            ("HS256", der(P256)),
            ("ES256", b"x" * 32),
            ("ES256", der(P384)),
            ("ES256", der(ED25519)),
            ("ES256", PUBLIC),
            ("EdDSA", der(P256)),
            ("EdDSA", b"x" * 32),
        ],
        ids=lambda value: value if isinstance(value, str) else "",  # the keys are other ones in each process
    )
    def test_do_not_fit(self, settings: Settings, algorithm: str, material: bytes) -> None:
        settings.JWT_KEYS = ring(algorithm, material)
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "ALGORITHM": algorithm}
        assert found() == {"accounts.E001"}

    def test_simplejwt_is_told_another_algorithm(self, settings: Settings) -> None:
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, "ALGORITHM": "ES256"}
        assert found() == {"accounts.E002"}

    def test_refresh_tokens_sign_with_something_else(self, settings: Settings) -> None:
        settings.REFRESH_TOKEN_KEYS = ring("ES256", der(P256))
        assert found() == {"accounts.E003"}


class TestLifetimes:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"ACCESS_TOKEN_LIFETIME": timedelta(days=14)}, "accounts.E004"),
            ({"REFRESH_TOKEN_LIFETIME": timedelta(days=91)}, "accounts.E005"),
            ({"ACCESS_TOKEN_LIFETIME": timedelta(seconds=60)}, "accounts.E006"),
        ],
    )
    def test_contradict(self, settings: Settings, changes: dict[str, timedelta], expected: str) -> None:
        settings.SIMPLE_JWT = {**settings.SIMPLE_JWT, **changes}
        assert found() == {expected}

    def test_of_the_admin_contradict(self, settings: Settings) -> None:
        settings.ADMIN_SESSION_IDLE = settings.ADMIN_SESSION_LIFETIME + timedelta(seconds=1)
        assert found() == {"accounts.E017"}


class TestLimits:
    @pytest.mark.parametrize(
        ("rule", "count"), [("session_factor_pauses", 100), ("mails_but_resets", 5), ("factor_pauses", 50)]
    )
    def test_leave_the_room_that_others_need(self, settings: Settings, rule: str, count: int) -> None:
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, rule: (count, 3600)}
        assert found() == {"accounts.E018"}


class TestStaffRoles:
    @pytest.mark.parametrize("permission", ["accounts.view_nobody", "auth.view_group", "billing.sell_*"])
    def test_grant_what_does_not_exist(self, settings: Settings, permission: str) -> None:
        settings.STAFF_ROLES = {**settings.STAFF_ROLES, "reader": ["credits.view_*", permission]}
        assert found() == {"accounts.E019"}


class TestInternalApiKeys:
    def test_malformed(self, settings: Settings) -> None:
        settings.INTERNAL_API_KEYS = "shop=not-a-key"
        assert found() == {"accounts.E007"}

    def test_one_key_for_two_services(self, settings: Settings) -> None:
        text = form.generate("test").text
        settings.INTERNAL_API_KEYS = f"shop={text}:*;till={text}:*"
        assert found() == {"accounts.E008"}


class TestAddresses:
    @pytest.mark.parametrize("name", ["PUBLIC_BASE_URL", "FRONTEND_URL"])
    @pytest.mark.parametrize(
        "url",
        [
            "auth.test",
            "ftp://auth.test",
            "https://",
            "https://a?b=c",
            "https://a#b",
            "https://u:p@a",
            "https://[a",
        ],
    )
    def test_no_base_of_a_link(self, settings: Settings, name: str, url: str) -> None:
        setattr(settings, name, url)
        assert found() == {"accounts.E009"}

    def test_plain_http_only_outside_production(self, settings: Settings) -> None:
        settings.FRONTEND_URL = "http://127.0.0.1:3000/app"
        assert found() == set()
        settings.ENVIRONMENT = "live"
        assert found() == {"accounts.E009"}


class TestNumbers:
    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("PASSWORD_MIN_LENGTH", 7, "accounts.E010"),
            ("PASSWORD_MIN_LENGTH", 257, "accounts.E010"),
            ("RATE_LIMITS_FACTOR", 0, "accounts.E011"),
            ("TRUSTED_PROXY_COUNT", -1, "accounts.E012"),
            ("LOGIN_REQUIRES_VERIFIED_EMAIL", "false", "accounts.E013"),
        ],
    )
    def test_out_of_range(self, settings: Settings, name: str, value: object, expected: str) -> None:
        setattr(settings, name, value)
        assert found() == {expected}


class TestGoogle:
    def test_a_client_without_its_secret(self, settings: Settings) -> None:
        settings.GOOGLE_CLIENT_SECRET = ""
        assert found() == {"accounts.E014"}
        settings.GOOGLE_CLIENT_IDS = []
        assert found() == set()


class TestDatabaseRoles:
    def test_one_role_is_worth_a_warning_at_deployment(self, settings: Settings) -> None:
        assert "accounts.W001" not in found(deploy=True)
        settings.SERVING_ROLE = settings.MIGRATION_DATABASE["USER"]
        assert "accounts.W001" in found(deploy=True)


class TestStart:
    def test_is_refused_and_says_why(self, settings: Settings) -> None:
        checks.refuse_contradictions()
        settings.RATE_LIMITS_FACTOR = 0
        with pytest.raises(ImproperlyConfigured, match="RATE_LIMITS_FACTOR"):
            checks.refuse_contradictions()
