"""Tokens for a front end of its own: the browser brings it a code, which it exchanges once and within a minute.

A sign-in that ends in a redirect must not put tokens into an address. The code is an HMAC of its row's id and stored
nowhere; it says who has signed in, and the exchange lets them in or not, as any other path
(accounts/sign_in/admission.py).
"""

from datetime import timedelta
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models.functions import Now
from django.utils.crypto import constant_time_compare

from accounts.errors import TokenInvalid
from accounts.kit import throttles
from accounts.kit.client import Client, network
from accounts.models import ExchangeCode, User
from accounts.sessions import TokenPair
from accounts.sign_in import admission

LIFETIME = timedelta(seconds=60)
GOOGLE = "google"  # the claim `amr` of who came by Google; RFC 8176 has no value for it
_LONGEST_CODE = 128


def issue(user: User, *, cancel_deletion: bool) -> str:
    """A code for who has just signed in with Google."""
    row = ExchangeCode.objects.create(
        user=user,
        cancel_deletion=cancel_deletion,
        account_state=user.state().hex(),
        expires_at=Now() + LIFETIME,
    )
    return _signer().sign(row.pk.hex)


@admission.metered("exchange")
def use(code: str, *, client: Client) -> TokenPair:
    """Raises TokenInvalid for a code that is unknown, used, expired, or older than a change of password or address;
    RateLimited; and whatever `admit` says of the account.
    """
    throttles.take(throttles.hit("google", network(client.ip)))
    code_id = _id_in(code)
    if code_id is None or not _spend(code_id):
        raise TokenInvalid
    row = ExchangeCode.objects.select_related("user").get(pk=code_id)
    if not constant_time_compare(row.account_state, row.user.state().hex()):
        raise TokenInvalid
    pair = admission.admit(row.user, methods=[GOOGLE], cancel_deletion=row.cancel_deletion, client=client)
    if pair is None:
        raise TokenInvalid  # the account changed in between
    return pair


def _id_in(code: str) -> UUID | None:
    try:
        return UUID(hex=_signer().unsign(code)) if len(code) <= _LONGEST_CODE else None
    except (BadSignature, ValueError):
        return None


def _spend(code_id: UUID) -> bool:
    live = ExchangeCode.objects.filter(pk=code_id, used_at=None, expires_at__gt=Now())
    return live.update(used_at=Now()) == 1


def _signer() -> Signer:
    return Signer(salt="accounts.exchange", algorithm="sha256")
