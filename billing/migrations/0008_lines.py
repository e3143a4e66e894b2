"""Payments have lines: what each bought stands in a row of its own. The next migration makes those of earlier payments.

The version before goes on serving beside this one: its columns stay, and what it settles gets its line at the next
settlement.
"""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0007_words_of_the_admin"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PaymentLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("line", models.CharField(blank=True, max_length=255)),
                ("price", models.CharField(blank=True, max_length=255)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("pack", "Pack"),
                            ("subscription", "Subscription"),
                            ("trial", "Trial"),
                            ("proration", "Proration"),
                            ("nothing", "Nothing"),
                            ("open", "Open"),
                        ],
                        default="open",
                        max_length=12,
                    ),
                ),
                ("quantity", models.PositiveIntegerField(default=1)),
                ("credits", models.BigIntegerField(default=0)),
                ("due", models.BigIntegerField()),
                ("covered", models.BigIntegerField(default=0)),
                ("expires_at", models.DateTimeField(null=True)),
                ("granted_by", models.UUIDField(null=True, unique=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_frozen_whole",
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_proration_gives_nothing",
        ),
        migrations.RemoveConstraint(
            model_name="payment",
            name="payment_disputed_is_not_kept",
        ),
        migrations.RemoveConstraint(
            model_name="plan",
            name="plan_credits_range",
        ),
        migrations.AddField(
            model_name="payment",
            name="from_balance",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="payment",
            name="refunded",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="plan",
            name="grace_debit_hours",
            field=models.PositiveIntegerField(
                db_default=192, default=192, help_text="The same, for debits that take days."
            ),
        ),
        migrations.AddField(
            model_name="plan",
            name="grace_hours",
            field=models.PositiveIntegerField(
                db_default=72,
                default=72,
                help_text="How long a period's credits outlive it, until a card has paid the next one.",
            ),
        ),
        migrations.AddField(
            model_name="plan",
            name="grace_invoice_hours",
            field=models.PositiveIntegerField(
                db_default=792,
                default=792,
                help_text="The same, where invoices are sent and paid within some weeks.",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="kind",
            field=models.CharField(
                blank=True,
                choices=[
                    ("pack", "Pack"),
                    ("subscription", "Subscription"),
                    ("trial", "Trial"),
                    ("proration", "Proration"),
                    ("nothing", "Nothing"),
                    ("open", "Open"),
                ],
                default="",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("credits__isnull", True),
                        ("granted_by__isnull", True),
                        ("kept__isnull", True),
                        ("kind", ""),
                        ("paid__isnull", True),
                        ("plan__isnull", True),
                        ("settled_at__isnull", True),
                    ),
                    models.Q(
                        ("credits__gte", 0),
                        ("paid__gte", 0),
                        ("quantity__gte", 0),
                        ("settled_at__isnull", False),
                        ("kept__gte", 0),
                        (
                            "kept__lte",
                            django.db.models.expressions.CombinedExpression(
                                models.F("paid"), "+", models.F("from_balance")
                            ),
                        ),
                        ("paid_at__isnull", False),
                        models.Q(("kind", ""), _negated=True),
                        models.Q(("currency", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="payment_frozen_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(("disputed__gte", 0), ("from_balance__gte", 0), ("refunded__gte", 0)),
                name="payment_nothing_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("credits__gte", 0), ("credits__lte", 1000000000000)),
                name="plan_credits_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("credits__gte", 1), ("active", False), _connector="OR"),
                name="plan_that_gives_nothing_is_not_sold",
            ),
        ),
        migrations.AddField(
            model_name="paymentline",
            name="payment",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="lines",
                to="billing.payment",
            ),
        ),
        migrations.AddField(
            model_name="paymentline",
            name="plan",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="billing.plan",
            ),
        ),
        migrations.AddIndex(
            model_name="paymentline",
            index=models.Index(condition=models.Q(("kind", "open")), fields=["price"], name="line_open"),
        ),
        migrations.AddIndex(
            model_name="paymentline",
            index=models.Index(
                condition=models.Q(("credits__gt", 0), ("granted_by__isnull", True)),
                fields=["payment"],
                name="line_not_granted",
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentline",
            constraint=models.UniqueConstraint(fields=("payment", "line"), name="line_once"),
        ),
        migrations.AddConstraint(
            model_name="paymentline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("covered__gte", 0),
                    ("covered__lte", models.F("due")),
                    ("credits__gte", 0),
                    ("due__gte", 0),
                ),
                name="line_is_covered_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("credits", 0), ("granted_by__isnull", True)),
                    ("plan__isnull", False),
                    _connector="OR",
                ),
                name="line_credits_come_from_a_plan",
            ),
        ),
        migrations.AddConstraint(
            model_name="paymentline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind__in", ["open", "nothing"]), _negated=True),
                    ("credits", 0),
                    _connector="OR",
                ),
                name="line_without_plan_gives_nothing",
            ),
        ),
    ]
    operations = [AtOnce(operations)]
