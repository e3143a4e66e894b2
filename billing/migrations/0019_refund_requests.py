"""Refunds that staff order: alone within a limit, with a second person above it."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0018_terms"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RefundRequest",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("refund", "Refund"), ("undo", "end and refund")], max_length=8
                    ),
                ),
                ("amount", models.BigIntegerField(null=True)),
                ("at_stake", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(max_length=500)),
                ("requested_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("direct", "made at once"),
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("refused", "Refused"),
                            ("expired", "Expired"),
                        ],
                        max_length=8,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds_decided",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refund_requests",
                        to="billing.payment",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds_requested",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refund_requests",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "permissions": (("approve_refund", "Can approve and refuse refunds of others"),),
                "indexes": [
                    models.Index(fields=["requested_by", "requested_at"], name="refund_by_asker"),
                    models.Index(
                        condition=models.Q(("decision", "pending")),
                        fields=["requested_at"],
                        name="refund_pending",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("amount__isnull", True),
                            models.Q(("amount", models.F("at_stake")), ("amount__gt", 0)),
                            _connector="OR",
                        ),
                        name="refund_amount_is_at_stake",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("at_stake__gte", 0)), name="refund_not_negative"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("user", models.F("requested_by")), _negated=True),
                            models.Q(
                                ("decided_by__isnull", True),
                                models.Q(
                                    models.Q(("user", models.F("decided_by")), _negated=True),
                                    models.Q(("decided_by", models.F("requested_by")), _negated=True),
                                ),
                                _connector="OR",
                            ),
                        ),
                        name="refund_not_for_oneself",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_at__isnull", True),
                                ("decided_by__isnull", True),
                                ("decision__in", ["direct", "pending", "expired"]),
                            ),
                            models.Q(
                                ("decided_at__isnull", False),
                                ("decided_by__isnull", False),
                                ("decision__in", ["approved", "refused"]),
                            ),
                            _connector="OR",
                        ),
                        name="refund_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("done_at__isnull", True),
                            ("decision__in", ["direct", "approved"]),
                            _connector="OR",
                        ),
                        name="refund_done_only_if_agreed",
                    ),
                ],
            },
        ),
    ]
