"""The rings of secrets, and how to rotate each so that nothing made with an old one fails early.

A rotation always has three steps, each a new environment and a restart of every process. The new key is appended, where
it only verifies, so that no process meets a token that it cannot verify. Then it moves to the front, where it signs.
Old keys are removed when nothing made with them is live. The printed lines are for a shell, or a file that a shell
reads: existing secrets stay behind `$`, and only the new one is written out.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.utils import timezone

from accounts.kit import base64url
from accounts.kit.key_ring import ALGORITHMS
from accounts.mail import tokens
from accounts.sessions import key_use
from accounts.upkeep import sealed_columns

SECRET_BYTES = 48


class Ring(NamedTuple):
    """A variable: the algorithms of its entries (none for plain secrets), its purpose, and when old ones can go."""

    variable: str
    algorithms: tuple[str, ...]
    purpose: str
    retire: str

    @property
    def names_keys(self) -> bool:
        return bool(self.algorithms)

    @property
    def names_algorithms(self) -> bool:
        return len(self.algorithms) > 1


class RingKey(NamedTuple):
    """An entry of a ring, without its secret. Plain secrets have no algorithm, and a fingerprint as their id."""

    variable: str
    kid: str
    algorithm: str
    makes: bool
    needed: str  # what still needs it, as far as is known; empty: nothing


class Step(NamedTuple):
    when: str
    line: str


def rings() -> dict[str, Ring]:
    access = settings.SIMPLE_JWT["ACCESS_TOKEN_LIFETIME"] + timedelta(seconds=settings.SIMPLE_JWT["LEEWAY"])
    found = (
        Ring(
            "JWT_KEYS",
            ALGORITHMS,
            "access tokens",
            f"{_words(access)} after the last process has been restarted; `signing_keys check` says when",
        ),
        Ring(
            "REFRESH_TOKEN_KEYS",
            ("HS256",),
            "refresh tokens",
            "once no live session has a token signed with the old key (`signing_keys check` counts them), after "
            f"{_words(settings.SIMPLE_JWT['REFRESH_TOKEN_LIFETIME'])} at most",
        ),
        Ring(
            "FIELD_ENCRYPTION_KEYS",
            ("A256GCM",),
            "sealed columns",
            "after `manage.py reencrypt_fields`, when `signing_keys check` finds nothing under the old key",
        ),
        Ring(
            "MAIL_TOKEN_KEYS",
            (),
            "emailed links and codes",
            f"{_words(max(tokens.LIFETIMES.values()))} later, when the last link from an older email has expired",
        ),
        Ring(
            "SECRET_KEY",
            (),
            "list cursors, the admin's sessions and forms; names of limits, which start over with a new key",
            f"{_words(timedelta(seconds=settings.SESSION_COOKIE_AGE))} later, when no sign-in to the admin "
            "predates the new key",
        ),
        Ring(
            "LEDGER_DIGEST_KEYS",
            (),
            "digests of requests in the journal, signatures of anchors",
            "only if repeats of older calls and older anchors need not be recognised",
        ),
    )
    return {ring.variable: ring for ring in found}


def entries() -> list[RingKey]:
    """Return every key that this process is configured with, in the order of each ring."""
    return [key for ring in rings().values() for key in _entries(ring)]


def new_entry(ring: Ring, algorithm: str, *, kid: str = "") -> str:
    """Return a new key in the form that the variable expects."""
    if not ring.names_keys:
        return secrets.token_urlsafe(SECRET_BYTES)
    name = kid or _free_kid(ring)
    middle = f"{algorithm}:" if ring.names_algorithms else ""
    return f"{name}:{middle}{_material(algorithm)}"


def plan(ring: Ring, entry: str) -> list[Step]:
    """Return the three environments of a rotation to the entry. The second removes it from the end again."""
    name = ring.variable
    return [
        Step(
            "Set this now and restart every process. All of them then accept the new key; the old one stays in use.",
            f'{name}="${name};{entry}"',
        ),
        Step(
            "Set this once every process has it, and restart again. The new key is in use; the old one is accepted.",
            f'{name}="{entry};${{{name}%;*}}"',
        ),
        Step(f"Remove the old key {ring.retire}.", f'{name}="${{{name}%%;*}}"'),
    ]


def _entries(ring: Ring) -> list[RingKey]:
    if not ring.names_keys:
        configured = _secrets(ring)
        return [
            RingKey(ring.variable, _fingerprint(secret), "", number == 0, "")
            for number, secret in enumerate(configured)
        ]
    configured = getattr(settings, ring.variable)
    return [
        RingKey(ring.variable, key.kid, key.algorithm, number == 0, _needed(ring, key.kid))
        for number, key in enumerate(configured)
    ]


def _secrets(ring: Ring) -> list[str]:
    if ring.variable == "SECRET_KEY":
        return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return list(getattr(settings, ring.variable))


def _needed(ring: Ring, kid: str) -> str:
    if ring.variable == "FIELD_ENCRYPTION_KEYS":
        sealed = sum(sealed_columns.keys_in_use(column)[kid] for column in sealed_columns.columns())
        return _counted(sealed, "sealed text") if sealed else ""
    need = key_use.need(ring.variable, kid)
    if need is None:
        return ""
    if need.until is not None:
        return f"access tokens until {need.until:%Y-%m-%dT%H:%M:%SZ}"
    return _counted(need.sessions, "live session")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _fingerprint(secret: str) -> str:
    """Return a text that distinguishes secrets and reveals nothing about them: they are at least 32 random bytes."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def _free_kid(ring: Ring) -> str:
    taken, today = {key.kid for key in getattr(settings, ring.variable)}, f"{timezone.now():%Y-%m-%d}"
    names = (today, *(f"{today}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _material(algorithm: str) -> str:
    raw = secrets.token_bytes(32) if algorithm in {"HS256", "A256GCM"} else _private_key(algorithm)
    return base64url.encode(raw)


def _private_key(algorithm: str) -> bytes:
    made: Any = generate_private_key(SECP256R1()) if algorithm == "ES256" else Ed25519PrivateKey.generate()
    raw: bytes = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return raw


def _words(duration: timedelta) -> str:
    for seconds, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if duration >= timedelta(seconds=2 * seconds):
            return f"{-(-duration.total_seconds() // seconds):.0f} {word}"
    return f"{duration.total_seconds():.0f} seconds"
