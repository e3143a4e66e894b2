"""Create and revoke the keys with which front ends' servers sign assertions, for `manage.py front_end_key`.

Such a key grants nothing. Only its public half is stored; the private half exists only in the response to its creator.
"""

import re
import secrets
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from accounts.audit import Event
from accounts.kit import base64url, names
from accounts.models import FrontEndKey

ID_FORM = re.compile(r"[0-9a-f]{12}")


class KeyRefused(Exception):
    """The request breaks a rule; the message, meant for people, says which."""


class MadeKey(NamedTuple):
    """A new key. `jwk` (RFC 8037) is shown once and never stored."""

    id: str
    name: str
    jwk: dict[str, str]


@transaction.atomic
def make(*, name: str, actor: str) -> MadeKey:
    """Create a key for a front end's server. Its other keys stay valid, so that keys can rotate. Raise KeyRefused."""
    if not names.OPERATORS.fullmatch(name):
        raise KeyRefused(
            f"{name!r} is not a valid name: use a letter from a to z, then up to 39 of a-z, 0-9, - and _."
        )
    private, kid = Ed25519PrivateKey.generate(), secrets.token_hex(6)
    public = private.public_key().public_bytes_raw()
    FrontEndKey.objects.create(id=kid, name=name, public_key=public)
    _audit(Event.FRONT_END_KEY_MADE, kid, name, actor)
    halves = {"x": base64url.encode(public), "d": base64url.encode(private.private_bytes_raw())}
    return MadeKey(kid, name, {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, **halves})


@transaction.atomic
def revoke(*, key_id: str, actor: str) -> bool:
    """Revoke a key for good, from the next assertion on. Return False if it was already revoked. Raise KeyRefused."""
    key = FrontEndKey.objects.filter(pk=key_id).first()
    if key is None:
        raise KeyRefused(f"Key {key_id!r} not found.")
    if not FrontEndKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=Now()):
        return False
    _audit(Event.FRONT_END_KEY_REVOKED, key.pk, key.name, actor)
    return True


def _audit(event: Event, key_id: str, name: str, actor: str) -> None:
    audit.record(event, user_id=None, actor=actor, detail={"front_end": name, "key": key_id})
