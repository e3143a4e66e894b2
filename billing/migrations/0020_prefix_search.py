"""Ids of Stripe are found by their beginnings, by indexes made beside whatever is being written; plainer words."""

from django.db import migrations, models

from accounts.kit.at_once import AtOnce
from accounts.kit.repeatable import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("billing", "0019_refund_requests"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="customerchange",
            options={
                "verbose_name": "pending Stripe update",
                "verbose_name_plural": "pending Stripe updates",
            },
        ),
        migrations.AlterModelOptions(
            name="inboxevent",
            options={
                "permissions": (("replay_event", "Can retry Stripe events that were given up"),),
                "verbose_name": "event from Stripe",
                "verbose_name_plural": "events from Stripe",
            },
        ),
        migrations.AlterModelOptions(
            name="strangerpayment",
            options={
                "permissions": (("assign_payment", "Can assign an unknown customer's payment"),),
                "verbose_name": "payment by an unknown customer",
                "verbose_name_plural": "payments by unknown customers",
            },
        ),
        migrations.AlterField(
            model_name="plan",
            name="currency",
            field=models.CharField(help_text="ISO 4217, lower case.", max_length=3),
        ),
        migrations.AlterField(
            model_name="plan",
            name="trial_credits",
            field=models.BigIntegerField(
                blank=True,
                help_text="Credits of the trial; they end with it. Empty: as many as a period has.",
                null=True,
            ),
        ),
        AddIndexConcurrently(
            model_name="billingaccount",
            index=models.Index(
                condition=models.Q(("subscription", ""), _negated=True),
                fields=["subscription"],
                name="account_subscription_like",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="inboxevent",
            index=models.Index(
                condition=models.Q(("customer", ""), _negated=True),
                fields=["customer"],
                name="inbox_customer_like",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("subscription", ""), _negated=True),
                fields=["subscription"],
                name="payment_subscription_like",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="payment",
            index=models.Index(
                condition=models.Q(("payment_intent", ""), _negated=True),
                fields=["payment_intent"],
                name="payment_intent_like",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        AddIndexConcurrently(
            model_name="strangerpayment",
            index=models.Index(
                condition=models.Q(("customer", ""), _negated=True),
                fields=["customer"],
                name="stranger_customer_like",
                opclasses=["varchar_pattern_ops"],
            ),
        ),
        RemoveIndexConcurrently(
            model_name="inboxevent",
            name="inbox_by_customer",
        ),
        RemoveIndexConcurrently(
            model_name="payment",
            name="payment_by_subscription",
        ),
        RemoveIndexConcurrently(
            model_name="strangerpayment",
            name="stranger_by_customer",
        ),
    ]
    operations = [AtOnce(operations)]
