"""Changes of address, and the rights that mailed links and codes grant."""

import uuid
from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.sessions import Session
from accounts.models.users import PendingRegistration, User


class AddressChange(models.Model):
    """A change of a user's address: requested, perhaps confirmed, perhaps undone.

    While it can be undone (accounts/identity/address_change.py), nobody else can confirm the old address.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="address_changes")
    # The requesting session: when it ends, so does the change. Null once the session's row has been purged.
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
            models.Index(fields=["-created_at", "-id"], name="address_change_newest"),
        )

    def __str__(self) -> str:
        return f"address change {self.pk}"


class MailTokenQuerySet(models.QuerySet["MailToken"]):
    def unspent(self) -> Self:
        """Return tokens that are neither used nor void; they may have expired."""
        return self.filter(used_at=None, voided_at=None)

    def live(self) -> Self:
        """Return tokens whose links would still be accepted; a code expires earlier."""
        return self.unspent().filter(expires_at__gt=Now())

    def void(self) -> int:
        return self.unspent().update(voided_at=Now())


class MailToken(models.Model):
    """The right to do one thing once, proved by a mailed link or code.

    Neither is stored: both are HMACs of this row's id (accounts/mail/tokens.py).
    """

    class Purpose(models.TextChoices):
        VERIFY = "verify_email"
        RESET = "password_reset"
        CHANGE_EMAIL = "change_email"
        UNDO_EMAIL = "undo_email"
        KEEP_FACTORS = "keep_factors"
        STAFF_ENROL = "staff_enrol"

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

    objects: ClassVar[MailTokenQuerySet] = MailTokenQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "email link"
        indexes = (
            models.Index(
                fields=["user", "purpose"],
                condition=Q(used_at__isnull=True, voided_at__isnull=True),
                name="mail_token_live",
            ),
            models.Index(fields=["-created_at", "-id"], name="mail_token_newest"),
            models.Index(fields=["purpose", "-created_at", "-id"], name="mail_token_by_purpose"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(voided_at__isnull=True), name="mail_token_one_end"
            ),
        )

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"
