"""System checks for settings that contradict one another. Errors keep every process from starting (config/wsgi.py)."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured

from accounts.kit.key_ring import ALGORITHMS, RingEntry
from accounts.service_keys.registry import from_environment
from accounts.upkeep import session_settings, staff_roles

TAG = "service_settings"
_TO_FILL_IN = ("DATABASE_URL", "DATABASE_MIGRATE_URL", "REDIS_URL", "EMAIL_URL")
_PLACEHOLDER = re.compile(r"CHANGE-ME|:PASSWORD@|[@.]example\.(com|net|org)\b")
SHORTEST_PASSWORD = 8  # the minimum that a verifier may require: NIST SP 800-63B-4, 3.1.1.2


def _error(number: int, text: str) -> Error:
    return Error(text, id=f"accounts.E{number:03}")


@register(TAG)
def signing_keys(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Require each key of a ring to fit its algorithm, and simplejwt to be configured with the signing one."""
    for variable, ring in (
        ("JWT_KEYS", settings.JWT_KEYS),
        ("REFRESH_TOKEN_KEYS", settings.REFRESH_TOKEN_KEYS),
    ):
        for entry in ring:
            fault = _fault_of_key(entry)
            if fault:
                yield _error(1, f"{variable}, key {entry.kid}: {fault}.")
    if settings.SIMPLE_JWT["ALGORITHM"] != settings.JWT_KEYS[0].algorithm:
        yield _error(
            2, "SIMPLE_JWT['ALGORITHM'] is not the algorithm of the first key in JWT_KEYS, which signs."
        )
    if any(entry.algorithm != "HS256" for entry in settings.REFRESH_TOKEN_KEYS):
        yield _error(
            3, "REFRESH_TOKEN_KEYS must use HS256, so that the same successor always has the same bytes."
        )


def _fault_of_key(entry: RingEntry) -> str | None:
    if entry.algorithm not in ALGORITHMS:
        return f"the algorithm must be one of {', '.join(sorted(ALGORITHMS))}"
    if entry.algorithm == "HS256":
        return "an asymmetric key cannot be used with HS256" if _is_asymmetric(entry.material) else None
    try:
        key = load_der_private_key(entry.material, password=None)
    except (ValueError, TypeError):
        return f"{entry.algorithm} needs a private key in PKCS #8 DER, base64url-encoded"
    if entry.algorithm == "EdDSA":
        return None if isinstance(key, Ed25519PrivateKey) else "EdDSA needs an Ed25519 key"
    on_curve = isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    return None if on_curve else "ES256 needs a key on the curve P-256"


def _is_asymmetric(material: bytes) -> bool:
    """Return whether this is an asymmetric key: a public one as a shared secret lets everybody sign (RFC 8725, 2.1)."""
    for load in (load_der_public_key, lambda data: load_der_private_key(data, password=None)):
        try:
            load(material)
        except Exception:  # noqa: BLE001, S112 -- whatever the objection, it is not such a key
            continue
        return True
    return material.lstrip().startswith((b"-----BEGIN", b"ssh-"))


@register(TAG)
def lifetimes(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Require access token < refresh token <= session; otherwise a token outlives what it represents."""
    access = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"]
    refresh = settings.SIMPLE_JWT["REFRESH_TOKEN_LIFETIME"]
    if not timedelta(0) < access < refresh:
        yield _error(4, "ACCESS_TOKEN_LIFETIME must be positive and shorter than REFRESH_TOKEN_LIFETIME.")
    if refresh > settings.SESSION_ABSOLUTE_LIFETIME:
        yield _error(5, "REFRESH_TOKEN_LIFETIME must not exceed SESSION_ABSOLUTE_LIFETIME.")
    if not timedelta(0) <= settings.REFRESH_GRACE < access:
        yield _error(6, "REFRESH_GRACE must be shorter than ACCESS_TOKEN_LIFETIME.")
    if settings.ADMIN_SESSION_IDLE > settings.ADMIN_SESSION_LIFETIME:
        yield _error(17, "ADMIN_SESSION_IDLE must not exceed ADMIN_SESSION_LIFETIME.")


@register(TAG)
def limits(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Require that a session leaves its account some attempts, and strangers' mails leave room for a reset link."""
    rules = settings.RATE_LIMITS
    for less, more in (
        ("session_factor_pauses", "factor_pauses"),
        ("mails_but_resets", "mails_by_strangers"),
    ):
        if rules[less][0] >= rules[more][0]:
            yield _error(18, f"LIMIT_{less.upper()} must be lower than LIMIT_{more.upper()}.")


@register(TAG)
def roles_of_staff(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    declared = staff_roles.declared()
    for role, patterns in settings.STAFF_ROLES.items():
        if not all(fnmatch.filter(declared, pattern) for pattern in patterns):
            yield _error(19, f"STAFF_ROLES gives the role {role} a permission that does not exist.")


@register(TAG)
def internal_api_keys(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    try:
        credentials = list(from_environment(settings.INTERNAL_API_KEYS))
    except ImproperlyConfigured as error:
        yield _error(7, str(error))
        return
    if any(count > 1 for count in Counter(credential.key_id for credential in credentials).values()):
        yield _error(8, "INTERNAL_API_KEYS contains the same key twice: every entry needs its own.")


@register(TAG)
def addresses(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Require the base URLs of mailed links to be absolute, with nothing after the path, and https in production."""
    schemes = {"https"} if settings.ENVIRONMENT == "live" else {"https", "http"}
    for variable in ("PUBLIC_BASE_URL", "FRONTEND_URL"):
        url = getattr(settings, variable)
        if not url and variable == "FRONTEND_URL":
            continue
        if not _is_base(url, schemes):
            yield _error(
                9, f"{variable} must be {' or '.join(sorted(schemes))}://host[/path], with nothing after it."
            )


def _is_base(url: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(
        parts.scheme in schemes and host and not (parts.query or parts.fragment or "@" in parts.netloc)
    )


@register(TAG)
def numbers(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    if not SHORTEST_PASSWORD <= settings.PASSWORD_MIN_LENGTH <= settings.PASSWORD_MAX_LENGTH:
        yield _error(
            10, f"PASSWORD_MIN_LENGTH must be {SHORTEST_PASSWORD} to {settings.PASSWORD_MAX_LENGTH}."
        )
    if settings.RATE_LIMITS_FACTOR < 1:
        yield _error(11, "RATE_LIMITS_FACTOR must be 1 or more: it raises the limits and never lowers them.")
    if settings.TRUSTED_PROXY_COUNT < 0:
        yield _error(12, "The count of trusted proxies must be 0 or more.")
    if settings.LOGIN_REQUIRES_VERIFIED_EMAIL not in {True, False}:
        yield _error(13, "LOGIN_REQUIRES_VERIFIED_EMAIL must be true or false.")


@register(TAG)
def google(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    if settings.GOOGLE_CLIENT_IDS and not settings.GOOGLE_CLIENT_SECRET:
        yield _error(
            14, "GOOGLE_CLIENT_ID is set but GOOGLE_CLIENT_SECRET is not, so no sign-in could be completed."
        )


@register(TAG)
def breached_passwords(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Require https in production, since part of a hash is sent, and a final slash, since the digits come last."""
    schemes = {"https"} if settings.ENVIRONMENT == "live" else {"https", "http"}
    url = settings.BREACHED_PASSWORDS_URL
    if url and not (_is_base(url, schemes) and url.endswith("/")):
        yield _error(
            15,
            f"BREACHED_PASSWORDS_URL must be {' or '.join(sorted(schemes))}://host/path/, ending with a slash.",
        )


@register(TAG, deploy=True)
def placeholders(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Name the variables with placeholders from deploy/new_environment.py, but not their values, which are secrets."""
    for name in _TO_FILL_IN:
        if _PLACEHOLDER.search(os.environ.get(name, "")):
            yield _error(16, f"{name} still contains a placeholder: fill in your server, user and password.")


@register(TAG, deploy=True)
def database_roles(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    if settings.MIGRATION_DATABASE["USER"] == settings.SERVING_ROLE:
        yield Warning(
            "One database role both migrates and serves, so an attacker in a web process could change "
            "tables and triggers.",
            hint="Use the role that owns the tables in DATABASE_MIGRATE_URL, and another one in "
            "DATABASE_URL.",
            id="accounts.W001",
        )


@register(TAG, deploy=True)
def database_sessions(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Check the limits that a real session has, whether from the URL, the role or neither."""
    try:
        unlimited = session_settings.without_limit()
    except (psycopg.Error, ImproperlyConfigured):
        yield Info(
            "The database is not responding, so its sessions' time-outs could not be checked.",
            id="accounts.I001",
        )
        return
    if unlimited:
        role = settings.SERVING_ROLE or "CURRENT_USER"
        yield Warning(
            f"Database sessions have no {', '.join(unlimited)}: one stuck statement can hold a thread forever.",
            hint=" ".join(
                f"ALTER ROLE {role} SET {name} = '{settings.SESSION_SETTINGS[name]}';" for name in unlimited
            ),
            id="accounts.W002",
        )
    if settings.DATABASE_POOL != "none":
        yield from faults_of_pooler(session_settings.pooler_version())


@register(TAG, deploy=True)
def redis_alone(app_configs: Sequence[AppConfig] | None, **_: Any) -> Iterator[CheckMessage]:
    """Refuse a Redis cluster, with which the database would keep all limits for ever, and no task could be sent."""
    import redis

    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            said: Any = client.info("cluster")
    except redis.RedisError:
        yield Info(
            "Redis is not responding, so whether it belongs to a cluster could not be checked.",
            id="accounts.I003",
        )
        return
    if said.get("cluster_enabled"):
        yield _error(18, "REDIS_URL leads to a server in cluster mode, which is not supported.")


def faults_of_pooler(version: tuple[int, ...] | None) -> Iterator[CheckMessage]:
    if version is None:
        yield Info(
            "PgBouncer did not report its version: add the role of DATABASE_URL to its stats_users.",
            id="accounts.I002",
        )
        return
    said, safe = (".".join(map(str, numbers)) for numbers in (version, session_settings.SAFE_POOLER))
    mixes_up = settings.DATABASE_POOL == "transaction" and settings.DATABASE_PREPARED_STATEMENTS
    if mixes_up and version < session_settings.KNOWS_PREPARED_STATEMENTS:
        yield _error(
            17,
            f"PgBouncer {said} loses prepared statements between transactions: set "
            f"DATABASE_PREPARED_STATEMENTS=false, or install {safe}.",
        )
    if version < session_settings.SAFE_POOLER:
        yield Warning(
            f"PgBouncer {said} has known vulnerabilities: install {safe} or later.", id="accounts.W003"
        )


def refuse_contradictions() -> None:
    """Raise ImproperlyConfigured if a check of this module fails. A web process calls it before it serves."""
    faults = [message.msg for message in run_checks(tags=[TAG]) if message.is_serious()]
    if faults:
        raise ImproperlyConfigured(" ".join(faults))
