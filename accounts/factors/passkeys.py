"""An account's passkeys: registered, used to sign in or as the second factor, removed.

A counter that runs backwards means that two copies of a key exist (WebAuthn, 6.1.1). The response is refused, audited
and mailed, and the key stays, for its owner to decide. Synchronised keys do not count, and are not checked. A key that
was created as backup-eligible, and is backed up, has copies by design, and a restored one may start counting from zero:
it is accepted, audited, and mailed about once.

A key that has never verified its user while another factor vouched for them cannot sign in alone, since its finder
could set its PIN (WebAuthn Level 3, 7.2, uvInitialized). It can once it has verified them as the second step.
"""

from typing import Any
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.fields.json import KT
from django.db.models.functions import Now
from fido2.webauthn import AttestedCredentialData, AuthenticatorData, RegistrationResponse

from accounts import audit, mail
from accounts.audit import Event
from accounts.errors import PasskeyLimit, PasskeyRefused
from accounts.factors import rows as factors
from accounts.factors import webauthn
from accounts.factors.webauthn import Assertion, CeremonyRefused, Purpose
from accounts.kit import base64url
from accounts.kit.client import Client
from accounts.models import MFAToken, Session, User

Type = Authenticator.Type

# One statement checks and moves the counter, so that if two copies are used at once, one is found to be behind.
_COUNT = """
UPDATE mfa_authenticator
SET data = jsonb_set(data, '{sign_count}', to_jsonb(%(count)s::bigint)), last_used_at = clock_timestamp()
WHERE id = %(id)s
  AND ((data->>'sign_count')::bigint < %(count)s::bigint OR (data->>'sign_count')::bigint = 0 AND %(count)s::bigint = 0)
RETURNING id
"""


def registration_options(session: Session) -> dict[str, Any]:
    known = [one.credential_id for one in credentials(session.user_id).values()]
    if len(known) >= settings.MOST_PASSKEYS:
        raise PasskeyLimit
    challenge = webauthn.ask(Purpose.REGISTER, session=session)
    return webauthn.creation_options(session.user, challenge, known)


def register(session: Session, credential: dict[str, Any], *, name: str) -> Authenticator:
    """Create a passkey for the session's user, whose row is locked. Raise PasskeyRefused or PasskeyLimit."""
    try:
        data, challenge = webauthn.check_registration(credential)
    except CeremonyRefused as error:
        raise PasskeyRefused from error
    made = data.credential_data
    if made is None or _is_known(made.credential_id):
        raise PasskeyRefused
    if factors.of(session.user_id, Type.WEBAUTHN).count() >= settings.MOST_PASSKEYS:
        raise PasskeyLimit
    if not webauthn.use(challenge, Purpose.REGISTER, session=session):
        raise PasskeyRefused
    kept = {part: credential[part] for part in ("id", "rawId", "response", "type") if part in credential}
    kept["id"] = kept["rawId"] = base64url.encode(made.credential_id)
    kept["response"] = {
        part: credential["response"][part] for part in ("clientDataJSON", "attestationObject")
    }
    return _store(session.user_id, {"name": name, "credential": kept, "sign_count": data.counter})


def _store(user_id: UUID, data: dict[str, Any]) -> Authenticator:
    try:
        with transaction.atomic():
            row: Authenticator = Authenticator.objects.create(
                user_id=user_id, type=Type.WEBAUTHN, data=data, created_at=Now()
            )
    except IntegrityError as error:  # someone else registered it a moment ago
        raise PasskeyRefused from error
    row.refresh_from_db()
    return row


def second_factor_options(token: MFAToken) -> dict[str, Any]:
    known = [one.credential_id for one in credentials(token.user_id).values()]
    challenge = webauthn.ask(Purpose.SECOND_FACTOR, mfa_token=token)
    return webauthn.request_options(Purpose.SECOND_FACTOR, challenge, known)


def sign_in_options() -> dict[str, Any]:
    return webauthn.request_options(Purpose.SIGN_IN, webauthn.ask(Purpose.SIGN_IN), [])


def owner(credential: dict[str, Any]) -> User | None:
    """Return the user whose passkey the response claims to be from."""
    try:
        handle = webauthn.user_handle(credential)
    except CeremonyRefused:
        return None
    if handle is None or len(handle) != 16:
        return None
    user: User | None = User.objects.filter(pk=UUID(bytes=handle)).first()
    return user


def use(
    user_id: UUID,
    credential: dict[str, Any],
    *,
    client: Client,
    mfa_token: MFAToken | None = None,
    alone: bool = False,
) -> Authenticator | None:
    """Return the user's passkey that answered a challenge of this sign-in; None if the response proves nothing.

    Without a half sign-in the passkey must have verified its user; with `alone`, it must also have done so before. Call
    it with the user's row locked.
    """
    purpose = Purpose.SIGN_IN if mfa_token is None else Purpose.SECOND_FACTOR
    known = credentials(user_id)
    try:
        answer = webauthn.check_assertion(purpose, credential, list(known.values()))
    except CeremonyRefused:
        return None
    if not webauthn.use(answer.challenge, purpose, mfa_token=mfa_token):
        return None
    pk = next(pk for pk, one in known.items() if one.credential_id == answer.credential_id)
    row: Authenticator = factors.of(user_id).get(pk=pk)
    if alone and not verifies_user(row):
        return None
    if not _count(row, answer.sign_count) and not _is_restored(row, answer, client):
        return None
    if mfa_token is not None and answer.is_user_verified and not verifies_user(row):
        _note(row, uv_initialized=True)
    return row


def verifies_user(row: Authenticator) -> bool:
    """Return whether the passkey has verified its user, either at its creation or later next to another factor."""
    return bool(row.data.get("uv_initialized")) or _as_made(row).is_user_verified()


def any_signs_in_alone(user_id: UUID) -> bool:
    return any(verifies_user(row) for row in factors.of(user_id, Type.WEBAUTHN))


def credentials(user_id: UUID) -> dict[int, AttestedCredentialData]:
    """Return the public keys of the user's passkeys, keyed by their rows' ids."""
    rows = factors.of(user_id, Type.WEBAUTHN).order_by("pk")
    return {row.pk: _public_key(row) for row in rows}


def _public_key(row: Authenticator) -> AttestedCredentialData:
    data: AttestedCredentialData | None = _as_made(row).credential_data
    if data is None:
        raise ValueError(f"passkey {row.pk} has no public key")
    return data


def _as_made(row: Authenticator) -> AuthenticatorData:
    data: AuthenticatorData = RegistrationResponse.from_dict(
        row.data["credential"]
    ).response.attestation_object.auth_data
    return data


def _is_known(credential_id: bytes) -> bool:
    passkeys = Authenticator.objects.filter(type=Type.WEBAUTHN)
    same = passkeys.alias(known=KT("data__credential__id")).filter(known=base64url.encode(credential_id))
    return bool(same.exists())


def _count(row: Authenticator, sign_count: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"id": row.pk, "count": sign_count})
        return cursor.fetchone() is not None


def _is_restored(row: Authenticator, answer: Assertion, client: Client) -> bool:
    """Audit and mail a counter that went back, and return whether it is harmless: the key is backed up by design.

    The key must have declared itself backup-eligible at its creation, since a copied key could do so later.
    """
    backed_up = answer.is_backed_up and _as_made(row).is_backup_eligible()
    detail = {"factor": "passkey", "row": row.pk, "backed_up": backed_up}
    event = audit.record(Event.PASSKEY_COPIED, user_id=row.user_id, client=client, detail=detail)
    if not (backed_up and row.data.get("counter_told")):
        mail.notify(mail.PASSKEY_COPIED, user=User.objects.get(pk=row.user_id), event=event)
    if backed_up:
        _note(row, sign_count=answer.sign_count, counter_told=True)
    return backed_up


def _note(row: Authenticator, **facts: Any) -> None:
    """Store these facts with the passkey. The user's row is locked, so nobody else writes here."""
    row.refresh_from_db()
    row.data |= facts
    row.last_used_at = Now()
    row.save(update_fields=["data", "last_used_at"])
    row.refresh_from_db()
