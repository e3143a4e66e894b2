"""Production refuses to start on a secret or an address that is missing, weak or shared; it names the variable only."""

import os
import resource
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from accounts.service_keys.form import generate
from config.settings.environment import choice, env
from tests.settings_process import load_settings

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 10
SECRETS = (
    "SECRET_KEY",
    "JWT_KEYS",
    "REFRESH_TOKEN_KEYS",
    "MAIL_TOKEN_KEYS",
    "LEDGER_DIGEST_KEYS",
    "FIELD_ENCRYPTION_KEYS",
)
PREFIX = {"JWT_KEYS": "k1:HS256:", "REFRESH_TOKEN_KEYS": "k1:", "FIELD_ENCRYPTION_KEYS": "k1:"}
LOAD_SETTINGS: tuple[str, ...] = ()  # no program: a process that reads the settings and ends
CHECK = ("manage.py", "check")
SERVE = (
    "-m",
    "gunicorn",
    "config.wsgi:application",
    "--bind",
    "127.0.0.1:0",
    "--workers",
    "1",
    "--no-control-socket",
)


def production(**changes: str | None) -> dict[str, str]:
    """A whole environment of production with fresh secrets; a change of None leaves the variable away."""
    environment: dict[str, str | None] = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "LISTENER": "public",
        **{name: PREFIX.get(name, "") + fresh() for name in SECRETS},
        "INTERNAL_API_KEYS": f"shop={generate('live').text}:credits:read",
        "DATABASE_URL": "postgresql://auth_app@database.internal/auth",
        "DATABASE_MIGRATE_URL": "postgresql://auth_owner@database.internal/auth",
        "REDIS_URL": "rediss://redis.internal/0",
        "EMAIL_URL": "smtp+tls://mailer:word@smtp.internal:587",
        "MAIL_FROM": "no-reply@auth.internal",
        "ALLOWED_HOSTS": "auth.internal",
        "PUBLIC_BASE_URL": "https://auth.internal",
        **changes,
    }
    return {name: value for name, value in environment.items() if value is not None}


def fresh() -> str:
    return secrets.token_urlsafe(48)


def run(program: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str]:
    if program == LOAD_SETTINGS:
        return load_settings(environment)
    before = processor_seconds()
    done = subprocess.run(
        [sys.executable, *program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS * 6,
    )
    assert processor_seconds() - before < SECONDS
    return done.returncode, done.stdout + done.stderr


def processor_seconds() -> float:
    """Return that of the processes that ended so far: what a start takes on a machine that does nothing else."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def refused(program: tuple[str, ...], environment: dict[str, str], variable: str) -> str:
    """The message of a process that ended; it names the variable and repeats no secret."""
    status, output = run(program, environment)
    assert status != 0
    assert variable in output
    for name in (*SECRETS, "INTERNAL_API_KEYS"):
        for value in environment.get(name, "").split(";"):
            material = value.rpartition(":")[2]
            assert len(material) < 6 or material not in output
    return output


def test_a_whole_environment_starts() -> None:
    assert run(LOAD_SETTINGS, production()) == (0, "")


EVERYWHERE = "0.0.0.0"  # noqa: S104 -- what is refused, or behind a proxy


class TestBinding:
    """The public listener is open to the network only behind a proxy that buffers."""

    @pytest.mark.parametrize("address", [EVERYWHERE, "::", "[::]", "192.0.2.7", "auth.internal"])
    def test_beyond_this_machine(self, address: str) -> None:
        refused(LOAD_SETTINGS, production(BIND=address), "BEHIND_BUFFERING_PROXY")
        refused(
            LOAD_SETTINGS, production(BIND=address, BEHIND_BUFFERING_PROXY="no"), "BEHIND_BUFFERING_PROXY"
        )
        assert run(LOAD_SETTINGS, production(BIND=address, BEHIND_BUFFERING_PROXY="true")) == (0, "")

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost", "unix:/run/auth/web"]
    )
    def test_on_this_machine(self, address: str) -> None:
        assert run(LOAD_SETTINGS, production(BIND=address)) == (0, "")

    def test_the_other_listeners_are_bound_as_they_are_told(self) -> None:
        assert run(LOAD_SETTINGS, production(INTERNAL_BIND=EVERYWHERE, ADMIN_BIND=EVERYWHERE)) == (0, "")


class TestSecrets:
    @pytest.mark.parametrize("variable", SECRETS)
    def test_missing(self, variable: str) -> None:
        for value in (None, "", " ", ";"):
            refused(LOAD_SETTINGS, production(**{variable: value}), variable)

    @pytest.mark.parametrize("variable", SECRETS)
    def test_short(self, variable: str) -> None:
        refused(
            LOAD_SETTINGS,
            production(**{variable: PREFIX.get(variable, "") + secrets.token_urlsafe(16)}),
            variable,
        )

    @pytest.mark.parametrize("variable", SECRETS)
    def test_of_one_letter(self, variable: str) -> None:
        refused(LOAD_SETTINGS, production(**{variable: PREFIX.get(variable, "") + "a" * 64}), variable)

    @pytest.mark.parametrize("variable", SECRETS)
    def test_default(self, variable: str) -> None:
        value = PREFIX.get(variable, "") + "django-insecure-changeme-" + secrets.token_hex(16)
        refused(LOAD_SETTINGS, production(**{variable: value}), variable)

    @pytest.mark.parametrize("variable", SECRETS[1:])
    def test_used_twice(self, variable: str) -> None:
        shared = fresh()
        for twin in (shared, shared + "="):
            environment = production(**{variable: PREFIX.get(variable, "") + twin}, SECRET_KEY=shared)
            assert "SECRET_KEY" in refused(LOAD_SETTINGS, environment, variable)

    @pytest.mark.parametrize("variable", SECRETS)
    def test_an_older_key_of_a_list_is_checked_too(self, variable: str) -> None:
        prefix = PREFIX.get(variable, "")
        value = f"{prefix}{fresh()};{prefix.replace('k1', 'k0')}{secrets.token_urlsafe(16)}"
        refused(LOAD_SETTINGS, production(**{variable: value}), variable)

    @pytest.mark.parametrize(
        "form", ["{key}", "k1:{key}", "k1:HS256:{key}%%%%", ":HS256:{key}", "k1:HS256:{key};k1:HS256:{other}"]
    )
    def test_a_malformed_key_ring(self, form: str) -> None:
        refused(LOAD_SETTINGS, production(JWT_KEYS=form.format(key=fresh(), other=fresh())), "JWT_KEYS")


class TestOtherSettings:
    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("DATABASE_URL", None),
            ("DATABASE_URL", "sqlite:///auth.db"),
            ("DATABASE_URL", "postgresql://auth_app@/auth?host=/var/tmp/auth-service-postgres"),
            ("DATABASE_URL", f"postgresql://auth_app@/auth?host={ROOT}/var/postgres"),
            ("DATABASE_URL", "postgresql://auth_app@/auth?host=/run/postgresql,/tmp/postgres"),
            ("DATABASE_URL", "postgresql://auth_app@one:x,two:5432/auth"),
            ("REDIS_URL", None),
            ("REDIS_URL", f"unix://{ROOT}/var/valkey/socket?db=0"),
            ("REDIS_URL", "unix:///tmp/socket"),
            ("REDIS_URL", "unix://:word@/tmp/socket"),
            ("REDIS_URL", "redis://:word#word@redis.internal/0"),
            ("ALLOWED_HOSTS", None),
            ("ALLOWED_HOSTS", "*"),
            ("PUBLIC_BASE_URL", None),
            ("PUBLIC_BASE_URL", "http://auth.internal"),
            ("FRONTEND_URL", "http://app.internal"),
            ("DATABASE_URL", "postgres://user:12/x@host"),
            ("DATABASE_POOL", "statement"),
            ("REDIS_URL", "sentinel://sentinel.internal:26379"),
            ("CELERY_BROKER_URL", "amqp://user:word@rabbit.internal"),
            ("DATABASE_PREPARED_STATEMENTS", "perhaps"),
            ("EMAIL_URL", None),
            ("MAIL_FROM", None),
            ("RATE_LIMITS_FACTOR", "10"),
            ("RATE_LIMITS_FACTOR", "many"),
            ("TRUSTED_PROXY_COUNT", "one"),
            ("PASSWORD_MIN_LENGTH", "long"),
            ("LOGIN_REQUIRES_VERIFIED_EMAIL", "ture"),
            ("LISTENER", "everything"),
            ("GOOGLE_AUTHORIZATION_URL", "http://google.internal/auth"),
            ("GOOGLE_TOKEN_URL", "http://google.internal/token"),
            ("GOOGLE_JWKS_URL", "http://google.internal/keys"),
            ("GOOGLE_ISSUERS", "https://accounts.google.com,http://google.internal"),
            ("METRICS_BIND", "metrics.internal"),
            ("METRICS_BIND", "127.0.0.1:9800"),
            ("EVENT_WEBHOOK_HOSTS", "shop.internal:x"),
            ("EVENT_WEBHOOK_HOSTS", "shop.internal=127.0.0.0/8"),
        ],
    )
    def test_is_refused(self, variable: str, value: str | None) -> None:
        refused(LOAD_SETTINGS, production(**{variable: value}), variable)

    @pytest.mark.parametrize("empty", ["", "  ", "\r"])
    def test_a_text_that_is_empty_has_the_default(self, monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
        """Compose makes one of what its own environment lacks (`${TOKEN_AUDIENCE:-}`)."""
        for variable in ("TOKEN_AUDIENCE", "SERVICE_NAME", "STATIC_ROOT", "LOG_FORMAT", "BILLING_FREEZE_ON"):
            monkeypatch.setenv(variable, empty)
        assert env.str("TOKEN_AUDIENCE") == "ecosystem"
        assert env.str("SERVICE_NAME") == "Auth Service"
        assert env.str("STATIC_ROOT", default="var/static") == "var/static"
        assert choice("LOG_FORMAT") == "json"
        assert env.list("BILLING_FREEZE_ON") == []

    def test_a_text_ends_before_its_line_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file of Windows, or of a secret, ends its lines otherwise than a shell."""
        monkeypatch.setenv("TOKEN_ISSUER", "https://auth.example.com\r\n")
        assert env.str("TOKEN_ISSUER") == "https://auth.example.com"

    def test_a_socket_of_the_system_is_accepted(self) -> None:
        environment = production(
            DATABASE_URL="postgresql://auth_app@/auth?host=/run/postgresql",
            REDIS_URL="unix:///run/valkey/socket",
        )
        assert run(LOAD_SETTINGS, environment) == (0, "")


class TestProcesses:
    """The same refusals from the programs that operators start."""

    def test_a_web_process_without_a_secret_ends(self) -> None:
        refused(SERVE, production(LEDGER_DIGEST_KEYS=None), "LEDGER_DIGEST_KEYS")

    def test_a_web_process_with_a_malformed_service_key_ends(self) -> None:
        refused(SERVE, production(INTERNAL_API_KEYS=f"shop={generate('live').text}x"), "INTERNAL_API_KEYS")

    def test_a_web_process_that_does_not_say_its_listener_ends(self) -> None:
        refused(SERVE, production(LISTENER=None), "LISTENER")

    def test_migrations_through_the_pooler_end(self) -> None:
        """Refuse another role than the service's, too."""
        pooler = "@pooler.internal:6432/auth"
        urls = {"DATABASE_URL": f"postgresql://auth_app{pooler}", "DATABASE_POOL": "transaction"}
        changed = production(**urls, DATABASE_MIGRATE_URL=f"postgresql://auth_owner{pooler}")
        refused(("manage.py", "migrate"), changed, "DATABASE_MIGRATE_URL")

    def test_without_a_settings_module_production_applies(self) -> None:
        refused(CHECK, production(DJANGO_SETTINGS_MODULE=None, SECRET_KEY=None), "SECRET_KEY")

    @pytest.mark.parametrize("listener", ["public", "internal", "admin"])
    def test_the_deployment_check_is_clean(self, listener: str) -> None:
        status, output = run((*CHECK, "--deploy", "--fail-level", "WARNING"), production(LISTENER=listener))
        assert status == 0, output

    def test_the_deployment_check_names_a_single_database_role(self) -> None:
        environment = production(LISTENER="admin", DATABASE_MIGRATE_URL=None)
        status, output = run((*CHECK, "--deploy", "--fail-level", "WARNING"), environment)
        assert status != 0
        assert "accounts.W001" in output
