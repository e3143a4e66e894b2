"""The links and codes that mails carry. Neither is stored: both are an HMAC of their row's id and purpose.

A dump of the database, the queue or the outbox therefore opens nothing, and a mail that is rendered again carries the
same link. MAIL_TOKEN_KEYS can rotate: the first key signs, all of them verify.
"""

import hashlib
import hmac
import re
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Exists
from django.db.models.functions import Now

from accounts.kit import base64url, typed_codes
from accounts.models import AddressChange, MailToken, PendingRegistration, User

Purpose = MailToken.Purpose

LIFETIMES = {
    Purpose.VERIFY: settings.VERIFY_EMAIL_LIFETIME,
    Purpose.RESET: settings.PASSWORD_RESET_LIFETIME,
    Purpose.CHANGE_EMAIL: settings.CHANGE_EMAIL_LIFETIME,
    Purpose.UNDO_EMAIL: settings.UNDO_EMAIL_CHANGE_LIFETIME,
    Purpose.KEEP_FACTORS: settings.FACTOR_RESET_DELAY + timedelta(days=1),  # voided when the delay is over
    Purpose.STAFF_ENROL: settings.STAFF_ENROL_LIFETIME,
}
CODE_LIFETIMES = {Purpose.VERIFY: settings.EMAIL_CODE_LIFETIME}
NO_CODE = timedelta(0)  # already expired when issued
CODE_TRIES = 5
CODE_LENGTH = 8
CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # 20 letters: no vowels, so no words

# A link is used for its purpose or, in the mail about a registration, to refuse that registration.
LINK = "link"
REFUSE = "refuse"

_ID_BYTES = 16
_LINK_FORM = re.compile(r"[A-Za-z0-9_-]{64}")  # 16 bytes of id and 32 of HMAC

# The user's row is locked first, as everywhere (User.objects.locked), so that attempts and uses cannot deadlock. The
# condition is MailToken.objects.unspent(), written out because one statement counts the attempt and returns the tokens.
_COUNT_TRY = """
UPDATE accounts_mailtoken SET code_tries = code_tries + 1
WHERE user_id = (SELECT id FROM accounts_user WHERE email = %s FOR NO KEY UPDATE)
  AND purpose = %s AND used_at IS NULL AND voided_at IS NULL
  AND code_expires_at > clock_timestamp() AND code_tries < %s
RETURNING id
"""


def issue(
    purpose: Purpose,
    *,
    user_id: UUID,
    email: str,
    registration: PendingRegistration | None = None,
    change: AddressChange | None = None,
) -> MailToken:
    """Issue a token, and void older ones for the same purpose and the same registration or change.

    Registrations of one address coexist, and so do their links: a stranger's link voids nobody else's. The rights to
    undo several changes of one address coexist too.
    """
    MailToken.objects.filter(
        user_id=user_id, purpose=purpose, registration=registration, change=change
    ).void()
    return MailToken.objects.create(
        user_id=user_id,
        purpose=purpose,
        email=email,
        registration=registration,
        change=change,
        expires_at=Now() + LIFETIMES[purpose],
        code_expires_at=Now() + CODE_LIFETIMES.get(purpose, NO_CODE),
    )


def void_all(*, user_id: UUID) -> None:
    """Void the user's tokens, after a change of password or address.

    Only the rights to undo a change, and to keep the factors, outlive it.
    """
    outliving = [Purpose.UNDO_EMAIL, Purpose.KEEP_FACTORS]
    MailToken.objects.filter(user_id=user_id).exclude(purpose__in=outliving).void()


def use(token_id: UUID, purpose: Purpose) -> bool:
    """Use up the token. Return True to exactly one of any number of concurrent callers."""
    return MailToken.objects.live().filter(pk=token_id, purpose=purpose).update(used_at=Now()) == 1


def holder(token_id: UUID, purpose: Purpose) -> User | None:
    """Return the user to whom a live token was mailed, if they still have that address. The token is not used up."""
    live = MailToken.objects.live().filter(pk=token_id, purpose=purpose)
    user: User | None = User.objects.mailed(token_id).filter(Exists(live)).first()
    return user


def link_token(token: MailToken, *, use: str = LINK) -> str:
    """Return the token for a link: the row's id and its HMAC, 256 bits that only we can compute."""
    proof = _proof(settings.MAIL_TOKEN_KEYS[0], use, token.purpose, token.pk)
    return base64url.encode(token.pk.bytes + proof)


def code(token: MailToken) -> str:
    """Return the code to type from the mail: 20^8 possibilities, 5 attempts."""
    return _code(settings.MAIL_TOKEN_KEYS[0], token.purpose, token.pk)


def id_from_link(text: str, purpose: Purpose, *, use: str = LINK) -> UUID | None:
    """Return the row's id if the link is genuine, live or not; otherwise None."""
    if not _LINK_FORM.fullmatch(text):
        return None
    raw = base64url.decode(text.encode())
    token_id, proof = UUID(bytes=raw[:_ID_BYTES]), raw[_ID_BYTES:]
    proofs = [_proof(key, use, purpose, token_id) for key in settings.MAIL_TOKEN_KEYS]
    return token_id if any(hmac.compare_digest(proof, one) for one in proofs) else None


def id_from_code(text: str, *, email: str, purpose: Purpose) -> UUID | None:
    """Return the id of the live row with this code. The attempt is counted for good before anything is compared."""
    typed = typed_codes.letters(text).encode()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_TRY, [email, purpose, CODE_TRIES])
        candidates = [row[0] for row in cursor.fetchall()]
    return next((token_id for token_id in candidates if _is_code(typed, purpose, token_id)), None)


def user_of(text: str, purpose: Purpose) -> User | None:
    """Return the user to whom a genuine link, live or not, was mailed, if they still have that address."""
    token_id = id_from_link(text, purpose)
    user: User | None = None if token_id is None else User.objects.mailed(token_id).first()
    return user


def user_of_used(text: str, purpose: Purpose) -> User | None:
    """Return the user whose genuine link was used before, if they still have the address that it was mailed to."""
    token_id = id_from_link(text, purpose)
    if token_id is None:
        return None
    used = MailToken.objects.filter(pk=token_id, purpose=purpose, used_at__isnull=False)
    user: User | None = User.objects.mailed(token_id).filter(Exists(used)).first()
    return user


def user_of_used_code(text: str, *, email: str, purpose: Purpose) -> User | None:
    """Return the user whose code was used before and has not expired.

    The answer says no more than the mail did, so no attempt is counted.
    """
    used = MailToken.objects.filter(
        email=email, purpose=purpose, used_at__isnull=False, code_expires_at__gt=Now()
    )
    typed = typed_codes.letters(text).encode()
    mine = [token for token in used if _is_code(typed, purpose, token.pk)]
    user: User | None = User.objects.mailed(mine[0].pk).first() if mine else None
    return user


def _is_code(typed: bytes, purpose: str, token_id: UUID) -> bool:
    codes = (_code(key, purpose, token_id).encode() for key in settings.MAIL_TOKEN_KEYS)
    return any(hmac.compare_digest(typed, code) for code in codes)


def _proof(key: str, form: str, purpose: str, token_id: UUID) -> bytes:
    return hmac.digest(key.encode(), f"{form}:{purpose}:{token_id}".encode(), hashlib.sha256)


def _code(key: str, purpose: str, token_id: UUID) -> str:
    """Return the HMAC's last digits in base 20. Reducing 256 bits leaves a bias below 2^-220."""
    number, letters = int.from_bytes(_proof(key, "code", purpose, token_id)), ""
    for _ in range(CODE_LENGTH):
        number, digit = divmod(number, len(CODE_ALPHABET))
        letters += CODE_ALPHABET[digit]
    return letters
