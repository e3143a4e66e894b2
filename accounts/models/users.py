"""Holds users, and the registrations of an address that nobody has confirmed yet."""

import uuid
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.functional import cached_property

from accounts import passwords
from accounts.kit import email_address


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> Self:
        return self.filter(status="active")

    def present(self) -> Self:
        """Return users other services may see: neither on their way out nor gone."""
        return self.filter(status__in=["active", "suspended"])

    def locked(self) -> Self:
        """Hold the rows until the transaction ends, against all but new rows that refer to them.

        Where a transaction touches a user's row and others of that user, the user's row comes first.
        """
        return self.select_for_update(no_key=True, of=("self",))

    def as_judged(self, user: "User") -> Self:
        """The user's row while it is as `user` was judged: a new password or a sign-out everywhere leaves none."""
        return self.filter(pk=user.pk, password=user.password, token_version=user.token_version)

    def mailed(self, token_id: uuid.UUID) -> Self:
        """Whom this link or code was mailed to, while they still have that address."""
        return self.filter(mail_tokens=token_id, mail_tokens__email=F("email"))

    def by_email(self, email: str) -> Self:
        """The holder of an address in any spelling of it."""
        return self.filter(email=email_address.normalize(email))

    def by_id_or_email(self, text: str) -> Self:
        """Find what a person at a command line types: an id, or an address in any spelling."""
        try:
            return self.filter(pk=uuid.UUID(text))
        except ValueError:
            return self.by_email(text)


class UserManager(BaseUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user: User = self.model(email=email_address.normalize(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Make an account that may do everything. Raises ValidationError: staff are held to the rules of everybody."""
        wrong = email_address.faults(email)
        if password is not None:
            wrong += passwords.faults(password, known=(email,))
        if wrong:
            raise ValidationError([detail for _, _, detail in wrong])
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, email_verified_at=timezone.now(), **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return whom Django's own sign-in (the admin's) means: the holder of the address in any spelling."""
        user: User = self.by_email(username or "").get()
        return user


class SearchParts(models.Func):
    """Every three letters that follow each other in these texts, capitals and small ones alike (migration 0009).

    An index of them finds a user by any part of the address or name. pg_trgm would do, but is an extension: not every
    PostgreSQL has it, the embedded one does not.
    """

    function = "accounts_search_parts"
    output_field = ArrayField(models.TextField())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The identity is the id, never the address; an erased user keeps the id and nothing else."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        PENDING_DELETION = "pending_deletion"
        DELETED = "deleted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Stored as accounts.kit.email_address.normalize gives it; null once erased or lost to a verified newcomer.
    email = models.CharField(max_length=254, unique=True, null=True, blank=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    display_name = models.CharField(max_length=100, blank=True, default="")
    locale = models.CharField(max_length=16, blank=True, default="en")
    timezone = models.CharField(max_length=64, blank=True, default="UTC")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    deletes_at = models.DateTimeField(null=True, blank=True)
    # Since when staff have to decide about it (accounts/identity/contests.py); null: it is not contested.
    contested_at = models.DateTimeField(null=True, blank=True, editable=False)
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
        permissions = (
            ("change_status", "Can suspend and reactivate users"),
            ("end_sessions", "Can sign users out"),
            ("reset_factors", "Can start the removal of all second factors of a user"),
            ("send_mails", "Can send links to users, and retry dead emails and events"),
        )
        indexes = (
            GinIndex(SearchParts("email", "display_name"), name="user_search"),
            # What the admin lists, each the beginning of an index.
            models.Index(fields=["-created_at", "-id"], name="user_newest"),
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(email_verified_at__isnull=True),
                name="user_unverified",
            ),
            models.Index(
                fields=["status", "-created_at", "-id"], condition=~Q(status="active"), name="user_not_active"
            ),
            models.Index(fields=["-created_at", "-id"], condition=Q(is_staff=True), name="user_staff"),
            models.Index(
                fields=["contested_at"], condition=Q(contested_at__isnull=False), name="user_contested"
            ),
            models.Index(
                fields=["deletes_at"], condition=Q(deletes_at__isnull=False), name="user_to_be_erased"
            ),
        )

    def __str__(self) -> str:
        return email_address.shown(self.email) if self.email else str(self.pk)

    def set_password(self, raw_password: str | None) -> None:
        super().set_password(None if raw_password is None else passwords.canonical(raw_password))

    def check_password(self, raw_password: str | None) -> bool:
        return raw_password is not None and super().check_password(passwords.canonical(raw_password))

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return what a session of the admin is bound to: a sign-out everywhere ends it, as a new password does."""
        text = f"{self.password}\0{self.token_version}"
        return salted_hmac("accounts.admin.session", text, secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Django's word for it; only an active user signs in or holds a live session."""
        return self.status == self.Status.ACTIVE

    def admits(self, token_version: int) -> bool:
        """Return whether tokens of this version open anything: not after a sign-out everywhere, nor while suspended."""
        return self.is_active and self.token_version == token_version

    def state(self) -> bytes:
        """Return a keyed hash that a new password, another address or a sign-out everywhere changes.

        What was begun with the account as it was keeps it, and is void once it differs.
        """
        text = f"{self.password}\0{self.email}\0{self.token_version}"
        return salted_hmac("accounts.exchange.state", text, algorithm="sha256").digest()

    @cached_property
    def mfa_enabled(self) -> bool:
        """Return whether there is a second factor. The statement that reads a session has the answer already."""
        found: bool = self.authenticator_set.exists()  # type: ignore[attr-defined]  # allauth's
        return found

    @cached_property
    def google_linked(self) -> bool:
        """The statement that reads a session has the answer already."""
        found: bool = self.socialaccount_set.exists()  # type: ignore[attr-defined]  # allauth's
        return found

    @property
    def email_verified(self) -> bool:
        return self.email_verified_at is not None


class PendingRegistrationQuerySet(models.QuerySet["PendingRegistration"]):
    def waiting(self) -> Self:
        """Return registrations that are neither confirmed nor void."""
        return self.filter(confirmed_at=None, voided_at=None)

    def void(self) -> int:
        """End those that wait, with all that was typed."""
        return self.waiting().update(voided_at=Now(), password="", display_name="")


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

    objects: ClassVar[PendingRegistrationQuerySet] = PendingRegistrationQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "registration"
        indexes = (
            models.Index(
                fields=["user"],
                condition=Q(confirmed_at__isnull=True, voided_at__isnull=True),
                name="registration_open",
            ),
            models.Index(fields=["-created_at", "-id"], name="registration_newest"),
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
