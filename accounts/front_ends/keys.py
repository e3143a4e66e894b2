"""Make and revoke the keys with which servers of front ends sign assertions: what `manage.py front_end_key` calls.

Such a key opens nothing. Only its public half is kept; the private one is in the answer to its maker alone.
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
    """The request breaks a rule; the message says which, for people."""


class MadeKey(NamedTuple):
    """A key just made. `jwk` (RFC 8037) is shown once and kept nowhere."""

    id: str
    name: str
    jwk: dict[str, str]


@transaction.atomic
def make(*, name: str, actor: str) -> MadeKey:
    """Make a key for a front end's server. Those that it has stay good, so that they rotate. Raises KeyRefused."""
    if not names.OPERATORS.fullmatch(name):
        raise KeyRefused(
            f"{name!r} is not a valid name: a letter from a to z, then up to 39 of a-z, 0-9, - and _."
        )
    private, kid = Ed25519PrivateKey.generate(), secrets.token_hex(6)
    public = private.public_key().public_bytes_raw()
    FrontEndKey.objects.create(id=kid, name=name, public_key=public)
    _audit(Event.FRONT_END_KEY_MADE, kid, name, actor)
    halves = {"x": base64url.encode(public), "d": base64url.encode(private.private_bytes_raw())}
    return MadeKey(kid, name, {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, **halves})


@transaction.atomic
def revoke(*, key_id: str, actor: str) -> bool:
    """End a key for good, from the next assertion on. False where it was revoked before. Raises KeyRefused."""
    key = FrontEndKey.objects.filter(pk=key_id).first()
    if key is None:
        raise KeyRefused(f"Key {key_id!r} not found.")
    if not FrontEndKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=Now()):
        return False
    _audit(Event.FRONT_END_KEY_REVOKED, key.pk, key.name, actor)
    return True


def _audit(event: Event, key_id: str, name: str, actor: str) -> None:
    audit.record(event, user_id=None, actor=actor, detail={"front_end": name, "key": key_id})
