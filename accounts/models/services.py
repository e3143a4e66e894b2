"""Other services and their keys, and the keys of front ends."""

from typing import ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Service(models.Model):
    """A named service. Names are never reused, because history and idempotency keys belong to the name."""

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


class ServiceKeyQuerySet(models.QuerySet["ServiceKey"]):
    def unrevoked(self) -> Self:
        return self.filter(revoked_at=None)

    def live(self) -> Self:
        """Return keys that are usable now."""
        unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=Now())
        return self.unrevoked().filter(unexpired, service__disabled_at=None)


class ServiceKey(models.Model):
    """A service's credential. Only the key's SHA-256 is stored; several may be live, so that keys can be rotated."""

    id = models.CharField(max_length=12, primary_key=True)  # the id inside the key
    service = models.ForeignKey(Service, models.PROTECT, related_name="keys")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    # Credits that it may grant per day (UTC); null: no limit. credits/ledger/budgets.py counts them.
    daily_budget = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[ServiceKeyQuerySet] = ServiceKeyQuerySet.as_manager()  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.service_id} {self.id}"


class FrontEndKey(models.Model):
    """A key that verifies the assertions of a front end's server (accounts/front_ends). It grants nothing."""

    id = models.CharField(max_length=12, primary_key=True)  # the `kid` of its assertions
    name = models.CharField(max_length=40)  # the front end, whose keys share one ceiling
    public_key = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} {self.pk}"
