"""Records of what happened to accounts, and of how often someone tried."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models.users import User


class AuditEvent(models.Model):
    """Something that happened to an account, recorded in its transaction, without address or name."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="audit_events")
    type = models.CharField(max_length=48)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    session_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=64, blank=True, default="")  # who did it, if not the user
    ip = models.GenericIPAddressField(null=True)
    asserted_ip = models.GenericIPAddressField(null=True)  # as asserted by the front end's server at `ip`
    user_agent = models.CharField(max_length=255, blank=True, default="")
    detail = models.JSONField(default=dict)

    class Meta:
        indexes = (
            models.Index(fields=["user", "-created_at", "-id"], name="audit_by_user"),
            # Rare events, newest first; and those by staff.
            models.Index(
                fields=["type", "-id"],
                condition=~Q(type__in=["signed_in", "sign_in_failed", "signed_out"]),
                name="audit_seldom",
            ),
            models.Index(fields=["actor", "-id"], condition=~Q(actor=""), name="audit_by_actor"),
            # The table is in time order on disk, so an index of a few kilobytes finds the rows to purge.
            BrinIndex(fields=["created_at"], autosummarize=True, name="audit_by_time"),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pk}"


class AccountDay(models.Model):
    """The count of one day (UTC) for the admin's plots, by accounts/upkeep/days.py. A final day is counted once."""

    class Measure(models.TextChoices):
        REGISTERED = "registered"
        SIGNED_IN = "signed_in"
        REFUSED = "refused"  # sign-ins with a wrong password or factor
        MAILS = "mails"
        SESSIONS = "sessions"  # live at the end of the day, or now

    day = models.DateField()
    measure = models.CharField(max_length=12, choices=Measure.choices)
    count = models.BigIntegerField()
    final = models.BooleanField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["day", "measure"], name="account_day_once"),)
        verbose_name = "daily statistic"

    def __str__(self) -> str:
        return f"{self.day} {self.measure}"


class RateLimitWindow(models.Model):
    """One limit's hits on one subject while Redis is down (accounts/kit/throttles.py). Keys are keyed hashes."""

    key = models.CharField(max_length=96, primary_key=True)
    hits = ArrayField(
        models.BigIntegerField()
    )  # hits in the window, in microseconds since 1970, oldest first
    allowed = models.BooleanField()  # whether the last hit was allowed
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.key


class SigningKeyUse(models.Model):
    """When a key last signed a token, to within minutes (accounts/sessions/key_use.py); nothing secret or personal."""

    ring = models.CharField(max_length=32)
    kid = models.CharField(max_length=200)
    last_signed_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["ring", "kid"], name="signing_key_use_once"),)

    def __str__(self) -> str:
        return f"{self.ring} {self.kid}"
