"""Users, and registrations of addresses that are not confirmed yet."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractBaseUser, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.functional import cached_property

from accounts import passwords
from accounts.kit import email_address


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> Self:
        return self.filter(status="active")

    def present(self) -> Self:
        """Return users whom other services may see: neither being deleted nor deleted."""
        return self.filter(status__in=["active", "suspended"])

    def locked(self) -> Self:
        """Lock the rows until the transaction ends, against everything except new rows that refer to them.

        A transaction that touches a user's row and other rows of that user locks the user's row first.
        """
        return self.select_for_update(no_key=True, of=("self",))

    def as_judged(self, user: "User") -> Self:
        """Return the user's row if unchanged since `user` was checked.

        A new password or a sign-out everywhere leaves no row.
        """
        return self.filter(pk=user.pk, password=user.password, token_version=user.token_version)

    def mailed(self, token_id: uuid.UUID) -> Self:
        """Return the user to whom this link or code was mailed, if they still have that address."""
        return self.filter(mail_tokens=token_id, mail_tokens__email=F("email"))

    def by_email(self, email: str) -> Self:
        """Return the holder of an address, in any spelling."""
        return self.filter(email=email_address.normalize(email))

    def by_id_or_email(self, text: str) -> Self:
        """Return the user that an operator's argument means: an id, or an address in any spelling."""
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
        """Create an account with every permission. Raise ValidationError: staff follow the same rules as everybody."""
        wrong = email_address.faults(email)
        if password is not None:
            wrong += passwords.faults(password, known=(email,))
        if wrong:
            raise ValidationError([detail for _, _, detail in wrong])
        return self.create_user(
            email, password, is_staff=True, is_superuser=True, email_verified_at=timezone.now(), **fields
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the holder of the address in any spelling, for Django's own sign-in (the admin's)."""
        user: User = self.by_email(username or "").get()
        return user


class SearchParts(models.Func):
    """Every three consecutive letters of these texts, ignoring case (migration 0009).

    An index on them finds a user by any part of the address or name. pg_trgm would do, but it is an extension, and not
    every PostgreSQL has it; the embedded one does not.
    """

    function = "accounts_search_parts"
    output_field = ArrayField(models.TextField())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. The id is the identity, never the address; an erased user keeps the id and nothing else."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        SUSPENDED = "suspended"
        PENDING_DELETION = "pending_deletion"
        DELETED = "deleted"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # As returned by accounts.kit.email_address.normalize; null once erased, or lost to someone who verified the
    # address.
    email = models.CharField(max_length=254, unique=True, null=True, blank=True)
    email_verified_at = models.DateTimeField(null=True, blank=True)
    display_name = models.CharField(max_length=100, blank=True, default="")
    locale = models.CharField(max_length=16, blank=True, default="en")
    timezone = models.CharField(max_length=64, blank=True, default="UTC")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.ACTIVE)
    deletes_at = models.DateTimeField(null=True, blank=True)
    # Since when staff have had to decide about the account (accounts/identity/contests.py); null: not contested.
    contested_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Incremented to end every session at once; access tokens carry the value at their issue.
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
            # The admin's lists, each the start of an index.
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
        """Return what binds an admin session to the account: a sign-out everywhere ends it, as does a new password."""
        text = f"{self.password}\0{self.token_version}"
        return salted_hmac("accounts.admin.session", text, secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Return whether the user may sign in and have live sessions. The name is Django's."""
        return self.status == self.Status.ACTIVE

    def admits(self, token_version: int) -> bool:
        """Return whether tokens of this version are valid: the user is active, and has not signed out everywhere."""
        return self.is_active and self.token_version == token_version

    def state(self, secret: str | None = None) -> bytes:
        """Return a keyed hash that changes with a new password, another address or a sign-out everywhere.

        Whatever is begun on the account stores the hash, and is void once `is_in` it no longer.
        """
        text = f"{self.password}\0{self.email}\0{self.token_version}"
        return salted_hmac("accounts.exchange.state", text, secret=secret, algorithm="sha256").digest()

    def is_in(self, state: bytes) -> bool:
        """Return whether the account is in this state, hashed by a process with any of the secrets."""
        secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
        return any(constant_time_compare(state, self.state(secret)) for secret in secrets)

    @cached_property
    def mfa_enabled(self) -> bool:
        """Return whether there is a second factor. Already set if the user was read with a session."""
        found: bool = self.authenticator_set.exists()  # type: ignore[attr-defined]  # allauth's
        return found

    @cached_property
    def google_linked(self) -> bool:
        """Return whether a Google account is linked. Already set if the user was read with a session."""
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
        """Void the waiting registrations, and clear what was typed."""
        return self.waiting().update(voided_at=Now(), password="", display_name="")


class PendingRegistration(models.Model):
    """A registration of an address that is not confirmed yet. Several of one address may coexist.

    If the address already has a verified owner, the row exists only for equal work: it has no password, and is never
    confirmed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="pending_registrations")
    # The first one created the user row, which therefore has its password.
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
