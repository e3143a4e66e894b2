"""The two ceremonies of WebAuthn (Level 3, 7.1 and 7.2) on python-fido2: options out, checked answers in.

Challenges are rows and used once. Nothing is kept of an answer that is refused, and whatever a stranger sends is
refused as `CeremonyRefused`, never raised as something else.
"""

import secrets
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models.functions import Now
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.factors import relying_party
from accounts.models import MFAToken, PasskeyChallenge, Session, User

Purpose = PasskeyChallenge.Purpose
LONGEST_CREDENTIAL_ID = 1023  # bytes: WebAuthn, 7.1
# Signing in by the passkey alone makes it both factors, so it must have verified its user.
VERIFICATION = {
    Purpose.SIGN_IN: UserVerificationRequirement.REQUIRED,
    Purpose.SECOND_FACTOR: UserVerificationRequirement.PREFERRED,
    Purpose.REGISTER: UserVerificationRequirement.PREFERRED,
}


class CeremonyRefused(Exception):
    """The answer does not prove what was asked, or is none."""


class Assertion(NamedTuple):
    """A right answer: which credential, what it counts, the challenge that it used, and what it says of itself."""

    credential_id: bytes
    sign_count: int
    challenge: bytes
    is_user_verified: bool
    is_backed_up: bool


def ask(
    purpose: Purpose,
    *,
    session: Session | None = None,
    mfa_token: MFAToken | None = None,
) -> bytes:
    """A fresh challenge, as a row."""
    challenge = secrets.token_bytes(32)
    PasskeyChallenge.objects.create(
        challenge=challenge,
        purpose=purpose,
        session_id=session.pk if session is not None else None,
        mfa_token=mfa_token,
        expires_at=Now() + settings.PASSKEY_CHALLENGE_LIFETIME,
    )
    return challenge


def use(
    challenge: bytes,
    purpose: Purpose,
    *,
    session: Session | None = None,
    mfa_token: MFAToken | None = None,
) -> bool:
    """Use up a challenge that was given for this: True for exactly one caller."""
    live = PasskeyChallenge.objects.filter(
        challenge=challenge,
        purpose=purpose,
        session=session.pk if session is not None else None,
        mfa_token=mfa_token.pk if mfa_token is not None else None,
        used_at=None,
        expires_at__gt=Now(),
    )
    return live.update(used_at=Now()) == 1


def creation_options(user: User, challenge: bytes, known: list[bytes]) -> dict[str, Any]:
    """For navigator.credentials.create: a discoverable credential, so that it signs in without an address."""
    options, _ = _server().register_begin(
        PublicKeyCredentialUserEntity(
            id=user.pk.bytes, name=user.email or str(user.pk), display_name=user.display_name or user.email
        ),
        credentials=[_descriptor(one) for one in known],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=VERIFICATION[Purpose.REGISTER],
        challenge=challenge,
        extensions={"credProps": True},
    )
    return _as_json(options.public_key)


def request_options(purpose: Purpose, challenge: bytes, known: list[bytes]) -> dict[str, Any]:
    """For navigator.credentials.get; without `known` ones the authenticator offers what it has."""
    options, _ = _server().authenticate_begin(
        credentials=[_descriptor(one) for one in known],
        user_verification=VERIFICATION[purpose],
        challenge=challenge,
    )
    return _as_json(options.public_key)


def check_registration(credential: dict[str, Any]) -> tuple[AuthenticatorData, bytes]:
    """The authenticator data of a right registration, and the challenge it answers. Raises CeremonyRefused."""
    try:
        response = RegistrationResponse.from_dict(credential)
        client_data = response.response.client_data
        state = _state(client_data.challenge, Purpose.REGISTER)
        data = _server().register_complete(state, response)
    except Exception as error:  # whatever the library raises over a stranger's bytes
        raise CeremonyRefused from error
    made = data.credential_data
    if client_data.cross_origin or made is None or response.raw_id != made.credential_id:
        raise CeremonyRefused
    known_algorithm = made.public_key.get(3) in CoseKey.supported_algorithms()
    if not known_algorithm or len(made.credential_id) > LONGEST_CREDENTIAL_ID:
        raise CeremonyRefused
    return data, client_data.challenge


def check_assertion(
    purpose: Purpose, credential: dict[str, Any], known: list[AttestedCredentialData]
) -> Assertion:
    """Return what a right answer by one of the known credentials says. Raises CeremonyRefused."""
    try:
        response = AuthenticationResponse.from_dict(credential)
        client_data = response.response.client_data
        used = _server().authenticate_complete(_state(client_data.challenge, purpose), known, response)
    except Exception as error:  # whatever the library raises over a stranger's bytes
        raise CeremonyRefused from error
    if client_data.cross_origin:
        raise CeremonyRefused
    data = response.response.authenticator_data
    return Assertion(
        used.credential_id,
        data.counter,
        client_data.challenge,
        is_user_verified=data.is_user_verified(),
        is_backed_up=data.is_backed_up(),
    )


def user_handle(credential: dict[str, Any]) -> bytes | None:
    """Whose credential it claims to be: a claim, until the signature is checked."""
    try:
        return AuthenticationResponse.from_dict(credential).response.user_handle
    except Exception as error:  # as above
        raise CeremonyRefused from error


def _state(challenge: bytes, purpose: Purpose) -> dict[str, Any]:
    """The library compares the challenge with itself here: that it is ours is what `use` finds out."""
    return {"challenge": websafe_encode(challenge), "user_verification": VERIFICATION[purpose]}


def _server() -> Fido2Server:
    allowed = relying_party.origins()
    return Fido2Server(relying_party.entity(), verify_origin=lambda origin: origin in allowed)


def _descriptor(credential_id: bytes) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=credential_id)


def _as_json(options: Any) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(dict(options))
    return plain


def _plain(value: Any) -> Any:
    """The library's mappings as dictionaries, for the JSON renderer."""
    if hasattr(value, "items"):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, str) else value
