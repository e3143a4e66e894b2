"""WebAuthn's two ceremonies (Level 3, 7.1 and 7.2) on python-fido2: options out, checked responses in.

Challenges are rows and used once. Nothing of a refused response is stored, and whatever a stranger sends is refused as
`CeremonyRefused`, never raised as something else.
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
# A passkey that signs in alone is both factors, so it must verify its user.
VERIFICATION = {
    Purpose.SIGN_IN: UserVerificationRequirement.REQUIRED,
    Purpose.SECOND_FACTOR: UserVerificationRequirement.PREFERRED,
    Purpose.REGISTER: UserVerificationRequirement.PREFERRED,
}


class CeremonyRefused(Exception):
    """The response is malformed, or does not prove what was requested."""


class Assertion(NamedTuple):
    """A correct response: the credential, its counter, the challenge it answers, and the flags it reports."""

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
    """Store and return a new challenge."""
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
    """Use up a challenge that was issued for this purpose. Return True to exactly one caller."""
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
    """Return options for navigator.credentials.create.

    The credential is discoverable, so that it signs in without an address.
    """
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
    """Return options for navigator.credentials.get; without `known` ones the authenticator offers what it has."""
    options, _ = _server().authenticate_begin(
        credentials=[_descriptor(one) for one in known],
        user_verification=VERIFICATION[purpose],
        challenge=challenge,
    )
    return _as_json(options.public_key)


def check_registration(credential: dict[str, Any]) -> tuple[AuthenticatorData, bytes]:
    """Return the authenticator data of a correct registration, and the challenge it answers. Raise CeremonyRefused."""
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
    """Return the content of a correct response by one of the known credentials. Raise CeremonyRefused."""
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
    """Return the user handle that the response claims: only a claim until the signature is checked."""
    try:
        return AuthenticationResponse.from_dict(credential).response.user_handle
    except Exception as error:  # as above
        raise CeremonyRefused from error


def _state(challenge: bytes, purpose: Purpose) -> dict[str, Any]:
    """Return the ceremony's state. The library compares the challenge with itself; `use` checks that it is ours."""
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
    """Convert the library's mappings to dictionaries, for the JSON renderer."""
    if hasattr(value, "items"):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, str) else value
