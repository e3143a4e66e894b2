"""Second factors: the rows that supplement allauth's Authenticator rows, which hold the factors themselves.

Whatever may happen only once (a code's step, a challenge, a half sign-in) is a row here, because it must not depend on
a store that forgets.
"""

import uuid
from typing import ClassVar, Self

from allauth.mfa.models import Authenticator
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.sessions import Session
from accounts.models.users import User


class TOTPEnrolment(models.Model):
    """An authenticator app that was shown its secret, but has not yet proved that it holds it. The newest wins."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    # The requesting session, which alone may confirm. Null for a member of staff with a one-time link.
    session = models.ForeignKey(Session, models.CASCADE, null=True, related_name="+")
    secret = models.TextField()  # sealed: accounts/kit/sealing.py
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"enrolment of {self.user_id}"


class UsedTOTPStep(models.Model):
    """A time step whose code was accepted; RFC 6238, 5.2 forbids accepting it again."""

    authenticator = models.ForeignKey(Authenticator, models.CASCADE, related_name="+")
    step = models.BigIntegerField()
    used_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = (models.UniqueConstraint(fields=["authenticator", "step"], name="totp_step_once"),)

    def __str__(self) -> str:
        return f"step {self.step} of {self.authenticator_id}"


class MFATokenQuerySet(models.QuerySet["MFAToken"]):
    def live(self) -> Self:
        """Return half sign-ins that can still be finished, as far as their own row says."""
        return self.filter(used_at=None, expires_at__gt=Now(), tries__lt=MFAToken.TRIES)


class MFAToken(models.Model):
    """A sign-in that lacks only its second factor. The token is random; only its SHA-256 is stored."""

    TRIES = 5

    class Door(models.TextChoices):
        API = "api"
        ADMIN = "admin"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    door = models.CharField(max_length=8, choices=Door.choices)
    digest = models.BinaryField(unique=True)
    # What was already proved (RFC 8176), and the account's state (User.state): a change of it voids the token.
    methods = ArrayField(models.CharField(max_length=16))
    cancel_deletion = models.BooleanField()
    state_digest = models.BinaryField()
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    objects: ClassVar[MFATokenQuerySet] = MFATokenQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"half sign-in {self.pk}"


class PasskeyChallenge(models.Model):
    """A challenge for an authenticator to sign, once. It grants nothing by itself, so it is stored in plain form."""

    class Purpose(models.TextChoices):
        SIGN_IN = "sign_in"
        SECOND_FACTOR = "second_factor"
        REGISTER = "register"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    challenge = models.BinaryField(unique=True)
    purpose = models.CharField(max_length=16, choices=Purpose.choices)
    session = models.ForeignKey(
        Session, models.CASCADE, null=True, related_name="+"
    )  # the registering session
    mfa_token = models.ForeignKey(MFAToken, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(purpose="sign_in", session=None, mfa_token=None)
                | Q(purpose="second_factor", session=None, mfa_token__isnull=False)
                | Q(purpose="register", session__isnull=False, mfa_token=None),
                name="challenge_belongs",
            ),
        )

    def __str__(self) -> str:
        return f"challenge {self.pk}"


class FactorResetQuerySet(models.QuerySet["FactorReset"]):
    def open(self) -> Self:
        """Return resets that are neither applied nor cancelled."""
        return self.filter(applied_at=None, cancelled_at=None)

    def due(self) -> Self:
        return self.open().filter(applies_at__lte=Now())

    def cancel(self) -> int:
        return self.open().update(cancelled_at=Now())


class FactorReset(models.Model):
    """A removal, scheduled by staff, of every factor of a user who has lost them all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="factor_resets")
    reason = models.CharField(max_length=500, blank=True)
    actor = models.CharField(max_length=64)
    email = models.CharField(
        max_length=254, blank=True
    )  # the notified address; if it changes, the reset is cancelled
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    applies_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    objects: ClassVar[FactorResetQuerySet] = FactorResetQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = "MFA reset"
        verbose_name_plural = "MFA resets"
        indexes = (
            models.Index(
                fields=["applies_at"],
                condition=Q(applied_at__isnull=True, cancelled_at__isnull=True),
                name="factor_reset_waiting",
            ),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(applied_at__isnull=True, cancelled_at__isnull=True),
                name="factor_reset_one_open",
            ),
            models.CheckConstraint(
                condition=Q(applied_at__isnull=True) | Q(cancelled_at__isnull=True),
                name="factor_reset_one_end",
            ),
        )

    def __str__(self) -> str:
        return f"factor reset {self.pk}"
