"""Who a user is, and everything that is kept about how they come in.

Truth lives in PostgreSQL: single use, uniqueness and revocation are constraints and single statements on these tables.
"""

import uuid
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts import passwords
from accounts.managers import UserManager


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The identity is the id, never the address; an erased user keeps the id and nothing else."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        PENDING_DELETION = "pending_deletion"
        DELETED = "deleted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Stored as accounts.email_address.normalize gives it; null once erased or lost to a verified newcomer.
    email = models.CharField(max_length=254, unique=True, null=True, blank=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    display_name = models.CharField(max_length=100, blank=True, default="")
    locale = models.CharField(max_length=16, blank=True, default="en")
    timezone = models.CharField(max_length=64, blank=True, default="UTC")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    deletes_at = models.DateTimeField(null=True, blank=True)
    # Raised to end every session at once; access tokens carry the value they were made under.
    token_version = models.PositiveIntegerField(default=0)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(status__in=["active", "suspended", "pending_deletion", "deleted"]),
                name="user_status_known",
            ),
            models.CheckConstraint(
                condition=Q(email__isnull=False) | Q(email_verified_at__isnull=True),
                name="user_verified_has_email",
            ),
        )
        permissions = (("change_status", "Can suspend and reactivate users"),)
        indexes = (
            models.Index(
                fields=["deletes_at"], condition=Q(deletes_at__isnull=False), name="user_to_be_erased"
            ),
        )

    def __str__(self) -> str:
        return self.email or str(self.pk)

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else passwords.canonical(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        return raw_password is not None and super().check_password(passwords.canonical(raw_password))

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Django's word for it; only an active user signs in or holds a live session."""
        return self.status == self.Status.ACTIVE

    @property
    def email_verified(self) -> bool:
        return self.email_verified_at is not None


class PendingRegistration(models.Model):
    """One registration of an address that nobody has confirmed yet. Several may stand side by side.

    Where the address already has a verified owner the row is only equal work: without a password, never confirmed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="pending_registrations")
    # The first one made the user row, whose password is therefore this one's.
    founding = models.BooleanField()
    password = models.CharField(max_length=128, blank=True)  # cleared when confirmed or voided
    display_name = models.CharField(max_length=100, blank=True, default="")
    locale = models.CharField(max_length=16, blank=True, default="en")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["user"],
                condition=Q(confirmed_at__isnull=True, voided_at__isnull=True),
                name="registration_open",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["user"], condition=Q(founding=True), name="registration_one_founding"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_at__isnull=True) | Q(voided_at__isnull=True),
                name="registration_one_end",
            ),
        )

    def __str__(self) -> str:
        return f"registration {self.pk}"


class Session(models.Model):
    """One signed-in device: a refresh lineage of one live token, and what its access tokens are checked against."""

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

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="sessions")
    current_jti = models.UUIDField()
    current_issued_at = models.DateTimeField()
    current_expires_at = models.DateTimeField()
    previous_jti = models.UUIDField(null=True)
    rotated_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(db_default=Now())
    # When the person last proved who they are (claim `auth_time`); sensitive calls want it recent.
    authenticated_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=24, choices=EndReason.choices, blank=True, default="")
    methods = ArrayField(models.CharField(max_length=16), default=list)  # RFC 8176 values, the claim `amr`
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=255, blank=True, default="")

    # When sessions.read read this row, in seconds since 1970 of the database's clock.
    read_at: float

    class Meta:
        indexes = (
            models.Index(
                fields=["user", "-last_used_at"], condition=Q(ended_at__isnull=True), name="session_live"
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


class AddressChange(models.Model):
    """One change of a user's address: asked for, perhaps confirmed, perhaps undone.

    While it can be undone (accounts/address_change.py) nobody else gets the old address confirmed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="address_changes")
    # The one that asked: the change dies with it. Null once the session's row has been purged.
    session = models.ForeignKey(Session, models.SET_NULL, null=True, related_name="address_changes")
    old_email = models.CharField(max_length=254)
    new_email = models.CharField(max_length=254)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # replaced by a later request, cancelled, or undone

    class Meta:
        indexes = (
            models.Index(
                fields=["old_email"],
                condition=Q(confirmed_at__isnull=False, ended_at__isnull=True),
                name="address_reserved",
            ),
            models.Index(fields=["user", "-created_at"], name="address_changes_of_user"),
        )

    def __str__(self) -> str:
        return f"address change {self.pk}"


class MailToken(models.Model):
    """The right to do one thing once, proved by a mailed link or code.

    Neither link nor code is stored: both are HMACs of this row's id (accounts/mail_tokens.py).
    """

    class Purpose(models.TextChoices):
        VERIFY = "verify_email"
        RESET = "password_reset"
        CHANGE_EMAIL = "change_email"
        UNDO_EMAIL = "undo_email"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="mail_tokens")
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    email = models.CharField(max_length=254)
    registration = models.ForeignKey(
        PendingRegistration, models.CASCADE, null=True, related_name="mail_tokens"
    )
    change = models.ForeignKey(AddressChange, models.CASCADE, null=True, related_name="mail_tokens")
    session = models.ForeignKey(Session, models.CASCADE, null=True, related_name="mail_tokens")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    code_expires_at = models.DateTimeField()
    code_tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["user", "purpose"],
                condition=Q(used_at__isnull=True, voided_at__isnull=True),
                name="mail_token_live",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(voided_at__isnull=True), name="mail_token_one_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"


class OutboxMessage(models.Model):
    """A mail (later: an event) that must leave, written in the transaction of its cause. Holds ids, never a secret."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=48)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="outbox_messages")
    token = models.ForeignKey(MailToken, models.CASCADE, null=True, related_name="+")
    # What a notice is about: its time, and where it came from.
    event = models.ForeignKey("AuditEvent", models.CASCADE, null=True, related_name="+")
    # What was asked for an address that may belong to nobody, or the one that a notice goes to; cleared when handled.
    requested_email = models.CharField(max_length=254, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now())
    leased_until = models.DateTimeField(null=True, blank=True)  # a worker is at it until then
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(
        null=True, blank=True
    )  # dealt with; `last_error` says why where nothing was sent
    dead_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        indexes = (
            models.Index(
                fields=["due_at"],
                condition=Q(sent_at__isnull=True, dead_at__isnull=True),
                name="outbox_waiting",
            ),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(dead_at__isnull=True), name="outbox_one_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class AuditEvent(models.Model):
    """What happened to an account, written in the transaction that did it. Kept without address or name."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="audit_events")
    type = models.CharField(max_length=48)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    session_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=64, blank=True, default="")  # who did it, when not the user
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=255, blank=True, default="")
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = (
            models.Index(fields=["user", "-created_at", "-id"], name="audit_by_user"),
            # On disk in the order of time: a few kilobytes find what is to be purged.
            BrinIndex(fields=["created_at"], autosummarize=True, name="audit_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class RateLimitWindow(models.Model):
    """The hits of one limit on one subject while Redis is down (accounts/throttles.py). Keys are keyed hashes."""

    key = models.CharField(max_length=96, primary_key=True)
    hits = ArrayField(
        models.BigIntegerField()
    )  # microseconds since 1970 of each hit within the window, oldest first
    allowed = models.BooleanField()  # whether the last one was
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class Service(models.Model):
    """A named neighbour service. Names are never reused: history and idempotency keys belong to the name."""

    RESERVED = frozenset({"billing", "admin", "system"})

    name = models.CharField(max_length=40, primary_key=True)
    description = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    disabled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(name__regex=r"^[a-z][a-z0-9_-]{0,39}$"), name="service_name_form"
            ),
            models.CheckConstraint(
                condition=~Q(name__in=["billing", "admin", "system"]), name="service_name_not_reserved"
            ),
        )

    def __str__(self) -> str:
        return self.name


class ServiceKey(models.Model):
    """One credential of a service. Only the SHA-256 of the key is kept; several may be live, so that they rotate."""

    id = models.CharField(max_length=12, primary_key=True)  # the id inside the key
    service = models.ForeignKey(Service, models.PROTECT, related_name="keys")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return f"{self.service_id} {self.id}"


class ServiceEvent(models.Model):
    """Something that neighbour services want to know, written in the transaction in which it happened.

    `position` is its place in the feed. It is given after the commit, by one hand at a time (accounts/events.py), so a
    reader who has seen a position has seen all before it, however late their transactions committed.
    """

    id = models.BigAutoField(primary_key=True)
    position = models.BigIntegerField(null=True, unique=True, editable=False)
    type = models.CharField(max_length=48)
    user_id = models.UUIDField()
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = (
            models.Index(fields=["id"], condition=Q(position__isnull=True), name="event_without_position"),
            models.Index(fields=["type", "position"], name="event_by_type"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"
