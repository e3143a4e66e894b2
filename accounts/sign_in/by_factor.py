"""The second step of a sign-in, and sign-in with a passkey alone. Both end in accounts/sign_in/admission.py."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction

from accounts import audit, factors, mail
from accounts.audit import Event
from accounts.errors import MFAInvalidCode, MFATokenInvalid, PasskeyInvalid
from accounts.factors import passkeys, proofs, totp
from accounts.factors.proofs import FactorWrong
from accounts.kit import throttles
from accounts.kit.client import Client
from accounts.models import MFAToken, User
from accounts.sessions import TokenPair
from accounts.sign_in import admission, half_sign_ins

Type = Authenticator.Type
# A passkey with user verification proves possession together with knowledge or biometrics (RFC 8176).
PASSKEY_ALONE = ["pop", "user", factors.MFA]


@admission.metered("mfa")
def finish(
    *, mfa_token: str, code: str | None, credential: dict[str, Any] | None, client: Client
) -> TokenPair:
    """Complete a sign-in by its second step, and open the session.

    Raise MFATokenInvalid, MFAInvalidCode, AccountSuspended, DeletionPending, RateLimited or ServiceUnavailable.
    """
    throttles.take(*throttles.from_network("login_mfa", client.limited_ip))
    token = half_sign_ins.find(mfa_token)
    if token is None:
        raise MFATokenInvalid

    def attempt() -> TokenPair | None:
        if not half_sign_ins.count_try(token):
            raise MFATokenInvalid
        return _open(token, proof_of(token, code=code, credential=credential, client=client), client)

    try:
        return proofs.judged(token.user, attempt, client=client, guessable=credential is None)
    except FactorWrong as error:
        raise MFAInvalidCode from error


def options_for(mfa_token: str | None, *, client: Client) -> dict[str, Any]:
    """Return the request options for a passkey, for a sign-in by passkey or as a second step. Raise MFATokenInvalid."""
    throttles.take(*throttles.from_network("passkey_options", client.limited_ip))
    if mfa_token is None:
        return passkeys.sign_in_options()
    token = half_sign_ins.find(mfa_token)
    if token is None:
        raise MFATokenInvalid
    return passkeys.second_factor_options(token)


@admission.metered("passkey")
def by_passkey(*, credential: dict[str, Any], cancel_deletion: bool, client: Client) -> TokenPair:
    """Open a session by a passkey alone. Nothing can be guessed here, so nothing is counted per account.

    Raise PasskeyInvalid, AccountSuspended, DeletionPending or RateLimited.
    """
    throttles.take(*throttles.from_network("passkey_login", client.limited_ip))
    claimed = passkeys.owner(credential)
    pair = None
    if claimed is not None and admission.may_sign_in(claimed):
        pair = _open_by_passkey(claimed, credential, client, cancel_deletion=cancel_deletion)
    if pair is None:
        audit.record(Event.SIGN_IN_FAILED, user_id=None, client=client, detail={"method": "passkey"})
        raise PasskeyInvalid
    return pair


def note_use(user: User, row: Authenticator, *, client: Client) -> None:
    """Notify the owner if a recovery code was used: few are left, and it may have been someone else."""
    if row.type == Type.RECOVERY_CODES:
        event = audit.record(Event.RECOVERY_CODE_USED, user_id=user.pk, client=client)
        mail.notify(mail.RECOVERY_CODE_USED, user=user, event=event)


# ---------------------------------------------------------------- steps

Proof = Callable[[User], Authenticator | None]


def proof_of(
    token: MFAToken, *, code: str | None, credential: dict[str, Any] | None, client: Client
) -> Proof:
    """Return a function that checks the code or passkey credential against a user's factors."""
    if credential is not None:
        return lambda user: passkeys.use(user.pk, credential, client=client, mfa_token=token)
    return lambda user: totp.use_code(user.pk, code or "")


@transaction.atomic
def _open(token: MFAToken, proof: Proof, client: Client) -> TokenPair | None:
    """Use up the factor and the half sign-in, and open the session: all three or none."""
    user = User.objects.locked().get(pk=token.user_id)
    row = proof(user)
    if row is None:
        half_sign_ins.require_unused(token)
        return None
    if not half_sign_ins.use(token, user):
        raise MFATokenInvalid
    note_use(user, row, client=client)
    pair = admission.admit(
        user,
        methods=factors.with_factor(token.methods, row.type),
        cancel_deletion=token.cancel_deletion,
        client=client,
    )
    if pair is None:
        raise MFATokenInvalid  # the account was deleted or closed a moment ago
    return pair


@transaction.atomic
def _open_by_passkey(
    claimed: User, credential: dict[str, Any], client: Client, *, cancel_deletion: bool
) -> TokenPair | None:
    user = User.objects.locked().get(pk=claimed.pk)
    if passkeys.use(user.pk, credential, client=client, alone=True) is None:
        return None
    return admission.admit(user, methods=PASSKEY_ALONE, cancel_deletion=cancel_deletion, client=client)
