"""Users' credits: three tables and one lock.

`UserCredit` rows are the only ones that are ever locked. `CreditLot`s are the grants and holds that make up a balance.
`CreditTransaction` is the append-only journal and the idempotency record. Only the modules of credits/ledger write
here; constraints and triggers (migration 0002) refuse what no correct writer would do.

Every row belongs to a holder, who is a user: there is no foreign key for that, and every statement names the holder, so
that the tables can be distributed by holder. In the database the primary keys of lots and journal are id and holder;
Django's admin and relations need a single column, so here it is `id`, with a constraint of the same name as the key.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Least, Now
from django.db.models.lookups import GreaterThanOrEqual

from accounts import approvals
from credits.identifiers import uuid7

BALANCE_LIMIT = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259, 6)
LARGEST_AMOUNT = 10**12  # credits of one request, price or grant
LONGEST_DESCRIPTION, LONGEST_KEY = 500, 255
VERSION = 2  # by which rows are chained that are written now
FOREVER = datetime.max.replace(tzinfo=UTC)


class TransactionType(models.TextChoices):
    """The kinds of journal rows. Giving, taking, either sign, and rows that only move credits in and out of holds."""

    PURCHASE = "purchase"
    SUBSCRIPTION = "subscription"
    BONUS = "bonus"
    TRIAL = "trial"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"
    CHARGEBACK = "chargeback"
    USE = "use"
    EXPIRY = "expiry"
    HOLD = "hold"
    RELEASE = "release"
    FORFEIT = "forfeit"  # what an account had left when it was erased


class KeyHash(models.Func):
    """Sixteen bytes that stand for a service's key in the index that makes it count once (migration 0011).

    A look-up compares these and the key, but not the service: given the service as well, a planner that takes the
    journal for small would read all of the service's rows.
    """

    function = "credits_key_hash"
    output_field = models.UUIDField()


class UserCredit(models.Model):
    """One user's credits: `balance` is owned, `held` is set aside by holds, `debt` is still owed after a chargeback.

    To the ledger, a holder without a row here, or with a closed one, does not exist. Accounts has the row created with
    the user, and closed when the user is erased.

    What can be spent is balance - held + debt, exactly the live grants. One grant is open: its remainder is stored
    here, in `open_left`, so that the usual use changes only this row.
    """

    holder_id = models.UUIDField(primary_key=True)
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    debt = models.BigIntegerField(default=0)
    blocked = ArrayField(
        models.CharField(max_length=32), default=list, blank=True
    )  # reasons that block spending
    open_lot = models.BigIntegerField(null=True)
    open_left = models.BigIntegerField(default=0)
    due_at = models.DateTimeField(null=True)  # when the next grant or hold runs out
    alert_below = models.BigIntegerField(null=True)
    at = models.DateTimeField()  # time of the last journal row: strictly increasing
    hash = models.BinaryField(default=b"")  # hash of the last journal row: the head of the chain
    closed_at = models.DateTimeField(null=True)  # when the user was erased; not served since then

    class Meta:
        constraints = (
            # PostgreSQL parses all of them for each use: they are few and short, and none follows from the others.
            models.CheckConstraint(
                condition=GreaterThanOrEqual(Least("held", "debt", "open_left"), 0),
                name="credit_nothing_negative",
            ),
            models.CheckConstraint(
                condition=Q(open_left__lte=F("balance") - F("held") + F("debt")), name="credit_no_overdraft"
            ),
            models.CheckConstraint(
                condition=Q(debt=0) | Q(balance=F("held") - F("debt")),
                name="credit_debt_only_when_nothing_is_left",
            ),
            models.CheckConstraint(condition=Q(balance__lte=BALANCE_LIMIT), name="credit_balance_limit"),
            models.CheckConstraint(
                condition=Q(open_lot__isnull=False) | Q(open_left=0), name="credit_open_grant"
            ),
        )
        indexes = (
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="credit_due"),
            models.Index(fields=["-holder_id"], condition=Q(debt__gt=0), name="credit_in_debt"),
        )
        verbose_name = "balance"

    def __str__(self) -> str:
        return f"credits of {self.holder_id}"

    @property
    def available(self) -> int:
        """Return what could be spent if nothing were blocked."""
        return max(0, self.balance - self.held)


class CreditLot(models.Model):
    """A grant or a hold. Live grants are drawn in burn order: by priority, expiry, age and id."""

    class Kind(models.TextChoices):
        GRANT = "grant"
        HOLD = "hold"

    CHANGING = ("remaining", "expired", "charged_back", "captured", "status")
    # For rows; for objects, `burn_order`. Ids of lots that were made on different servers say nothing about their age.
    BURN_ORDER = ("priority", F("expires_at").asc(nulls_last=True), "created_at", "id")

    class Status(models.TextChoices):
        OPEN = "open"
        CAPTURED = "captured"
        RELEASED = "released"
        EXPIRED = "expired"

    id = models.BigAutoField(primary_key=True)  # 0 stands for debt in the journal's lists
    holder_id = models.UUIDField()
    kind = models.CharField(max_length=8, choices=Kind.choices)
    source = models.CharField(max_length=16, choices=TransactionType.choices)
    priority = models.SmallIntegerField(default=0)
    issued = models.BigIntegerField()
    remaining = (
        models.BigIntegerField()
    )  # 0 while this is the open grant: then UserCredit.open_left has its remainder
    expired = models.BigIntegerField(default=0)
    charged_back = models.BigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    # The journal row that made it, whose id is a hold's public id. Both are written in one transaction, the lot first.
    transaction_id = models.UUIDField()
    transaction = models.ForeignObject(
        "CreditTransaction",
        models.DO_NOTHING,
        from_fields=("holder_id", "transaction_id"),
        to_fields=("holder_id", "id"),
        related_name="lots_made",
    )
    # For a hold: what it was drawn from, [[lot, credits], ...] in burn order, and how it ended.
    drawn = models.JSONField(null=True)
    captured = models.BigIntegerField(default=0)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    service = models.CharField(max_length=40)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(remaining__gte=0, remaining__lte=F("issued")), name="lot_remaining_range"
            ),
            # For the open grant, a trigger on the balance row checks `open_left` in the same way (migration 0007).
            models.CheckConstraint(
                condition=Q(remaining__lte=F("issued") - F("expired") - F("charged_back")),
                name="lot_within_its_issue",
            ),
            models.CheckConstraint(condition=Q(issued__gt=0), name="lot_issued_positive"),
            models.CheckConstraint(
                condition=Q(expired__gte=0, charged_back__gte=0, captured__gte=0), name="lot_nothing_negative"
            ),
            models.CheckConstraint(
                condition=Q(kind="grant", drawn__isnull=True)
                | Q(kind="hold", drawn__isnull=False, expires_at__isnull=False),
                name="lot_hold_knows_its_grants",
            ),
            models.UniqueConstraint(fields=["holder_id", "id"], name="lot_of_holder"),
            models.UniqueConstraint(
                fields=["holder_id", "transaction_id"], condition=Q(kind="hold"), name="lot_of_hold"
            ),
        )
        indexes = (
            models.Index(
                fields=["holder_id", "priority", "expires_at", "created_at", "id"],
                condition=Q(kind="grant", remaining__gt=0),
                name="lot_burns",
            ),
            models.Index(fields=["holder_id", "expires_at"], condition=Q(remaining__gt=0), name="lot_due"),
            models.Index(fields=["id"], name="lot_by_id"),
            models.Index(fields=["source", "-id"], condition=Q(kind="grant"), name="lot_by_source"),
            models.Index(fields=["service", "-id"], condition=Q(kind="hold"), name="lot_holds_of_service"),
            # After a crash, a service asks for its few open holds among all that it ever placed.
            models.Index(
                fields=["service", "-id"], condition=Q(kind="hold", status="open"), name="lot_open_holds"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def burn_order(self) -> tuple[int, datetime, datetime, int]:
        """Return the key that sorts lots as BURN_ORDER does. A lot that is not posted yet counts as the youngest."""
        return (
            self.priority,
            self.expires_at or FOREVER,
            self.created_at or FOREVER,  # type: ignore[truthy-bool] # none until it is posted
            self.pk,
        )

    @property
    def room(self) -> int:
        """Return how many credits can come back: those issued that are not here, expired or charged back."""
        return max(0, self.issued - self.expired - self.charged_back - self.remaining)

    @property
    def state(self) -> tuple[Any, ...]:
        """Return the values of the columns that may change."""
        return _state_of_lot(self)


_state_of_lot: Callable[[CreditLot], tuple[Any, ...]] = attrgetter(*CreditLot.CHANGING)


class CreditTransaction(models.Model):
    """One row of the journal: what happened, the balance after it, the lots it moved, its place in the user's chain.

    A row with a key is also the record that answers a repeat of its request. Rows are never updated or deleted; only
    their texts (description, reference, metadata, feature, quantity) can be erased (set to null with their salt), and
    the chain still holds, since it covers `text_digest`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    holder_id = models.UUIDField()
    at = models.DateTimeField()
    type = models.CharField(max_length=12, choices=TransactionType.choices)
    amount = models.BigIntegerField()  # signed
    balance = models.BigIntegerField()  # after this row
    held = models.BigIntegerField()  # after this row
    lots = models.JSONField(
        default=list
    )  # [[lot, signed credits], ...] in the order of drawing; lot 0 is debt
    service = models.CharField(max_length=40)
    key = models.CharField(max_length=LONGEST_KEY, null=True)  # noqa: DJ001
    digest = models.BinaryField(null=True)  # keyed, of the request that brought the key
    description = models.CharField(max_length=LONGEST_DESCRIPTION, null=True)  # noqa: DJ001
    reference = models.CharField(max_length=255, null=True)  # noqa: DJ001
    metadata = models.JSONField(null=True)
    salt = models.BinaryField(null=True)
    text_digest = models.BinaryField(null=True)  # covers the salt and the texts
    refund_of = models.UUIDField(null=True)
    hold = models.UUIDField(null=True)
    hash = models.BinaryField()
    version = models.SmallIntegerField(null=True)  # how the chain covers the row; null is the first version
    unit_price = models.BigIntegerField(
        null=True
    )  # for a use by feature and quantity, which count as texts and can be erased
    feature = models.CharField(max_length=100, null=True)  # noqa: DJ001
    quantity = models.BigIntegerField(null=True)

    replayed = False  # True if this row answers a repeated request

    class Meta:
        constraints = (
            # The id first: rows arrive in its order, and a public id alone finds its row.
            models.UniqueConstraint(fields=["id", "holder_id"], name="transaction_of_holder"),
            models.UniqueConstraint(fields=["holder_id", "at"], name="transaction_one_at_a_time"),
            models.UniqueConstraint(
                F("holder_id"),
                KeyHash("service", "key"),
                condition=Q(key__isnull=False),
                name="transaction_once_by_key",
            ),
            models.CheckConstraint(
                condition=Q(key__isnull=True) | Q(digest__isnull=False), name="transaction_key_has_digest"
            ),
        )
        indexes = (
            models.Index(fields=["service", "id"], name="transaction_of_service"),
            models.Index(
                fields=["service", "reference"],
                condition=Q(reference__isnull=False),
                name="transaction_by_reference",
            ),
            models.Index(
                fields=["refund_of"], condition=Q(refund_of__isnull=False), name="transaction_refunds"
            ),
            # The journal is stored in time order: a few kilobytes find a day's rows, at no cost to a use.
            BrinIndex(fields=["at"], autosummarize=True, pages_per_range=32, name="transaction_day"),
            # Rare rows, newest first. A use, which is not one of them, does not touch this index.
            models.Index(
                fields=["type", "-id"],
                condition=~Q(type__in=["use", "hold", "release"]),
                name="transaction_seldom",
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.amount}"


def placed_by(ids: Collection[UUID]) -> Q:
    """Return the condition for holds with these public ids, which are those of the rows that placed them."""
    placed = CreditTransaction.objects.filter(pk__in=ids)
    return Q(kind=CreditLot.Kind.HOLD, transaction_id__in=ids, holder_id__in=placed.values("holder_id"))


def with_key(holder_id: UUID, service: str, key: str) -> models.QuerySet[CreditTransaction]:
    """Return a query for the row that a service's key made for a holder, if there is one."""
    hashed = CreditTransaction.objects.alias(key_hash=KeyHash("service", "key"))
    return hashed.filter(holder_id=holder_id, key=key, key_hash=KeyHash(Value(service), Value(key)))


class Grant(CreditLot):
    """Lots that are grants, as the admin lists them."""

    class Meta:
        proxy = True


class Hold(CreditLot):
    """Lots that are holds, as the admin lists them."""

    class Meta:
        proxy = True
        permissions = (("release_hold", "Can release a hold of any service"),)


class FeaturePrice(models.Model):
    """The price of one unit of a feature, in credits. A change applies to later uses only."""

    feature = models.CharField(max_length=100, primary_key=True)
    credits = models.BigIntegerField(help_text="Whole credits for one unit.")
    description = models.CharField(max_length=200, blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(credits__gte=1, credits__lte=LARGEST_AMOUNT), name="price_range"
            ),
        )

    def __str__(self) -> str:
        return f"{self.feature}: {self.credits}"


class Budget(models.Model):
    """The credits given on the last day (UTC) that had any. The limit is stored with the key that it binds.

    Only credits/ledger/budgets.py writes here.
    """

    name = models.CharField(max_length=80, primary_key=True)  # `key:<id>` for a service's key
    day = models.DateField()
    given = models.BigIntegerField()

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(given__gte=0), name="budget_not_negative"),)

    def __str__(self) -> str:
        return f"{self.name}: {self.given} on {self.day}"


class AdjustmentRequest(models.Model):
    """A correction of a balance by staff: made at once within the daily limit, above it once a second person agrees.

    The id comes from the form, so a form that is sent twice is one request. Only credits/adjustments.py writes here.
    """

    Decision = approvals.Decision

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="adjustment_requests")
    amount = models.BigIntegerField()  # signed
    reason = models.CharField(max_length=500)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="adjustments_requested", db_index=False
    )
    requested_at = models.DateTimeField(db_default=Now())
    decision = models.CharField(max_length=8, choices=Decision.choices)
    # Made before the rule that nobody adjusts their own balance: the migration that added the rule found such rows.
    before_rule = models.BooleanField(default=False, db_default=False, editable=False)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        related_name="adjustments_decided",
        db_index=False,
    )
    decided_at = models.DateTimeField(null=True)
    # Without a constraint in the database, like everything that points into the journal.
    transaction = models.OneToOneField(
        CreditTransaction, models.PROTECT, null=True, related_name="adjustment_request", db_constraint=False
    )

    class Meta:
        permissions = (
            ("adjust_credits", "Can adjust balances, above the daily limit with another's approval"),
            ("approve_adjustment", "Can approve and refuse adjustments of others"),
        )
        constraints = (
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("requested_by")),
                name="adjustment_not_decided_by_its_asker",
            ),
            models.CheckConstraint(
                condition=Q(before_rule=True)
                | ~Q(user=F("requested_by")) & (Q(decided_by__isnull=True) | ~Q(user=F("decided_by"))),
                name="adjustment_not_for_oneself",
            ),
            models.CheckConstraint(
                condition=Q(
                    decision__in=["direct", "pending", "expired"],
                    decided_by__isnull=True,
                    decided_at__isnull=True,
                )
                | Q(decision__in=["approved", "refused"], decided_by__isnull=False, decided_at__isnull=False),
                name="adjustment_decided_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(transaction__isnull=True) | Q(decision__in=["direct", "approved"]),
                name="adjustment_posted_only_if_agreed",
            ),
            models.CheckConstraint(condition=~Q(amount=0), name="adjustment_not_zero"),
        )
        indexes = (
            models.Index(fields=["requested_by", "requested_at"], name="adjustment_by_asker"),
            models.Index(fields=["requested_at"], condition=Q(decision="pending"), name="adjustment_pending"),
        )

    def __str__(self) -> str:
        return f"{self.amount:+} ({self.decision})"


class CreditDay(models.Model):
    """The sum of one type of journal row on one day (UTC), for plots. credits/days.py computes it from the journal."""

    day = models.DateField()
    type = models.CharField(max_length=12, choices=TransactionType.choices)
    given = models.BigIntegerField()  # the sum of the positive amounts
    taken = models.BigIntegerField()  # the sum of the negative ones, without the sign
    count = models.BigIntegerField()
    final = models.BooleanField()  # no more rows can be added to this day
    counted_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["day", "type"], name="day_once_by_type"),)
        verbose_name_plural = "overview"

    def __str__(self) -> str:
        return f"{self.day} {self.type}"


class TopUser(models.Model):
    """One of the users who used most in the last 30 days, as credits/days.py last counted them."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+")
    used = models.BigIntegerField()
    uses = models.BigIntegerField()
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id}: {self.used}"
