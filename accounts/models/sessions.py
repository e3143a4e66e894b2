"""Signed-in devices."""

import uuid
from typing import ClassVar, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.users import User


class SessionQuerySet(models.QuerySet["Session"]):
    def unended(self) -> Self:
        """Return sessions that nothing has ended; they may have expired."""
        return self.filter(ended_at=None)

    def live(self) -> Self:
        """Return sessions whose refresh token would still be accepted, as far as their own row says.

        The account must be unchanged as well: see `User.admits`.
        """
        return self.unended().filter(expires_at__gt=Now(), current_expires_at__gt=Now())

    def end(self, reason: "Session.EndReason") -> int:
        """End those that have not ended, at once, and return how many."""
        return self.unended().update(ended_at=Now(), end_reason=reason)


class Session(models.Model):
    """A signed-in device: a lineage of refresh tokens with one live token, against which access tokens are checked."""

    class Door(models.TextChoices):
        API = "api"
        ADMIN = "admin"  # has a cookie and no token (accounts/sessions/of_staff.py)

    MFA = "mfa"  # among `methods` (RFC 8176): the session has shown a second factor

    class EndReason(models.TextChoices):
        LOGOUT = "logout"
        LOGOUT_ALL = "logout_all"
        REUSE = "refresh_reuse"
        PASSWORD = "password_changed"  # noqa: S105
        EMAIL = "email_changed"
        ADDRESS_CONTESTED = "address_contested"
        SUSPENDED = "suspended"
        DELETED = "deleted"
        ENDED_BY_USER = "ended_by_user"
        FACTORS_RESET = "factors_reset"
        ENDED_BY_STAFF = "ended_by_staff"
        TOO_MANY = "too_many"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sessions")
    door = models.CharField(max_length=8, choices=Door.choices, default=Door.API, db_default="api")
    current_jti = models.UUIDField()
    current_issued_at = models.DateTimeField()
    current_expires_at = models.DateTimeField()
    previous_jti = models.UUIDField(null=True)
    rotated_at = models.DateTimeField(null=True)
    # The HMAC of the last rotation's idempotency key, and until when the key gets the same successor; null once one of
    # the successor's tokens is used.
    retry_key = models.BinaryField(null=True)
    retry_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(db_default=Now())
    # The previous version records each proof here, although its tokens carry the time. A later version drops the
    # column.
    authenticated_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=24, choices=EndReason.choices, blank=True, default="")
    methods = ArrayField(
        models.CharField(max_length=16), default=list
    )  # RFC 8176 values, as in the `amr` claim
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=255, blank=True, default="")

    objects: ClassVar[SessionQuerySet] = SessionQuerySet.as_manager()  # type: ignore[assignment]

    # When sessions.read read this row, by the database's clock in seconds since 1970.
    read_at: float
    # When the bearer of the access token last proved who they are, and how (its claims `auth_time` and `amr`).
    proved_at: int
    proofs: list[str]

    class Meta:
        indexes = (
            models.Index(
                fields=["user", "-last_used_at"], condition=Q(ended_at__isnull=True), name="session_live"
            ),
            models.Index(fields=["-created_at", "-id"], name="session_newest"),
            models.Index(
                fields=["end_reason", "-created_at", "-id"],
                condition=Q(ended_at__isnull=False),
                name="session_by_end",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, end_reason="")
                | Q(ended_at__isnull=False) & ~Q(end_reason=""),
                name="session_end_has_reason",
            ),
        )

    def __str__(self) -> str:
        return f"session {self.pk}"
