"""A sign-in between its two steps: what the first one proved, and a token for the second.

The token lives for five minutes, is used once and allows five attempts. It is void if the account's state has changed
since the first step, which someone else may have taken.
"""

import hashlib
import secrets
from collections.abc import Sequence

from django.conf import settings
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.errors import MFATokenInvalid
from accounts.models import MFAToken, User

PREFIX = "mfa_"


def issue(user: User, *, methods: Sequence[str], cancel_deletion: bool) -> str:
    """Start a half sign-in at the API, and return its token."""
    text = PREFIX + secrets.token_urlsafe(32)
    begin(
        user, methods=methods, cancel_deletion=cancel_deletion, door=MFAToken.Door.API, digest=_digest(text)
    )
    return text


def begin(
    user: User,
    *,
    methods: Sequence[str],
    cancel_deletion: bool,
    door: MFAToken.Door,
    digest: bytes | None = None,
) -> MFAToken:
    """Start a half sign-in. Without a digest no token opens it, and the caller continues by its id."""
    token: MFAToken = MFAToken.objects.create(
        user=user,
        door=door,
        digest=digest or secrets.token_bytes(32),
        methods=list(methods),
        cancel_deletion=cancel_deletion,
        state_digest=user.state(),
        expires_at=Now() + settings.MFA_TOKEN_LIFETIME,
    )
    return token


def live(*, door: MFAToken.Door) -> QuerySet[MFAToken]:
    return MFAToken.objects.live().select_related("user").filter(door=door)


def find(text: str) -> MFAToken | None:
    """Return the live half sign-in of this token if the account is unchanged. No attempt is counted."""
    token = live(door=MFAToken.Door.API).filter(digest=_digest(text)).first()
    return token if token is not None and is_of(token, token.user) else None


def count_try(token: MFAToken) -> bool:
    """Count an attempt, permanently. Return False if none is left or the token is no longer live."""
    return MFAToken.objects.live().filter(pk=token.pk).update(tries=F("tries") + 1) == 1


def use(token: MFAToken, user: User) -> bool:
    """Use up the token. Return True to exactly one caller, and only if the user is unchanged since the first step."""
    if not is_of(token, user):
        return False
    return MFAToken.objects.filter(pk=token.pk, used_at=None).update(used_at=Now()) == 1


def require_unused(token: MFAToken) -> None:
    """Raise MFATokenInvalid if the token was used a moment ago: a second click is not a wrong guess."""
    if not MFAToken.objects.filter(pk=token.pk, used_at=None).exists():
        raise MFATokenInvalid


def is_of(token: MFAToken, user: User) -> bool:
    return user.is_in(bytes(token.state_digest))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
