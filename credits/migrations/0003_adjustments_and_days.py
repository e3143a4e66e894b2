"""What staff ask for and decide, and what a day came to."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_service_events"),
        ("credits", "0002_ledger_functions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AdjustmentRequest",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjustment_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("amount", models.BigIntegerField()),
                ("reason", models.CharField(max_length=500)),
                (
                    "requested_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjustments_requested",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("requested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("direct", "made at once"),
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("refused", "Refused"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjustments_decided",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "transaction",
                    models.OneToOneField(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="adjustment_request",
                        to="credits.credittransaction",
                    ),
                ),
            ],
            options={
                "permissions": (
                    ("adjust_credits", "Can adjust balances, above the daily limit with another's approval"),
                    ("approve_adjustment", "Can approve and refuse adjustments of others"),
                ),
            },
        ),
        migrations.CreateModel(
            name="CreditDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("purchase", "Purchase"),
                            ("subscription", "Subscription"),
                            ("bonus", "Bonus"),
                            ("trial", "Trial"),
                            ("refund", "Refund"),
                            ("adjustment", "Adjustment"),
                            ("chargeback", "Chargeback"),
                            ("use", "Use"),
                            ("expiry", "Expiry"),
                            ("hold", "Hold"),
                            ("release", "Release"),
                        ],
                        max_length=12,
                    ),
                ),
                ("given", models.BigIntegerField()),
                ("taken", models.BigIntegerField()),
                ("count", models.BigIntegerField()),
                ("final", models.BooleanField()),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "overview",
            },
        ),
        migrations.CreateModel(
            name="TopUser",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("used", models.BigIntegerField()),
                ("uses", models.BigIntegerField()),
                ("counted_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Grant",
            fields=[],
            options={
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("credits.creditlot",),
        ),
        migrations.CreateModel(
            name="Hold",
            fields=[],
            options={
                "permissions": (("release_hold", "Can release a hold of any service"),),
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("credits.creditlot",),
        ),
        migrations.AddConstraint(
            model_name="creditday",
            constraint=models.UniqueConstraint(fields=("day", "type"), name="day_once_by_type"),
        ),
        migrations.AddIndex(
            model_name="adjustmentrequest",
            index=models.Index(fields=["requested_by", "requested_at"], name="adjustment_by_asker"),
        ),
        migrations.AddIndex(
            model_name="adjustmentrequest",
            index=models.Index(
                condition=models.Q(("decision", "pending")),
                fields=["requested_at"],
                name="adjustment_pending",
            ),
        ),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by__isnull", True),
                    models.Q(("decided_by", models.F("requested_by")), _negated=True),
                    _connector="OR",
                ),
                name="adjustment_not_decided_by_its_asker",
            ),
        ),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("decided_at__isnull", True),
                        ("decided_by__isnull", True),
                        ("decision__in", ["direct", "pending"]),
                    ),
                    models.Q(
                        ("decided_at__isnull", False),
                        ("decided_by__isnull", False),
                        ("decision__in", ["approved", "refused"]),
                    ),
                    _connector="OR",
                ),
                name="adjustment_decided_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("transaction__isnull", True), ("decision__in", ["direct", "approved"]), _connector="OR"
                ),
                name="adjustment_posted_only_if_agreed",
            ),
        ),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount", 0), _negated=True), name="adjustment_not_zero"
            ),
        ),
    ]
    operations = [AtOnce(operations)]
