"""One-time links for staff to enrol their first second factor. Only operators create them (`manage.py staff_enrol`)."""

from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.audit import Event
from accounts.errors import TokenInvalid
from accounts.mail import tokens
from accounts.mail.tokens import Purpose
from accounts.models import User


class LinkRefused(Exception):
    """No link can be created; the message says why."""


@transaction.atomic
def make_link(user: User, *, actor: str) -> str:
    """Return a one-time enrolment link, valid for 24 hours; the password is still required. Raise LinkRefused."""
    if not (user.is_staff and user.is_active and user.email):
        raise LinkRefused("Only active staff with an address can enrol.")
    if user.mfa_enabled:
        raise LinkRefused("The user already has a second factor. If it is lost, use `manage.py mfa_reset`.")
    token = tokens.issue(Purpose.STAFF_ENROL, user_id=user.pk, email=user.email)
    audit.record(Event.STAFF_LINK_MADE, user_id=user.pk, actor=actor)
    path = f"/admin/enrol/?{urlencode({'token': tokens.link_token(token)})}"
    return f"{settings.ADMIN_BASE_URL}{path}"


def enrolling(text: str) -> tuple[UUID, User]:
    """Return the token id and the user of a link, without using it up. Raise TokenInvalid."""
    token_id = tokens.id_from_link(text, Purpose.STAFF_ENROL)
    user = tokens.holder(token_id, Purpose.STAFF_ENROL) if token_id else None
    if token_id is None or user is None or user.mfa_enabled or not (user.is_staff and user.is_active):
        raise TokenInvalid
    return token_id, user
