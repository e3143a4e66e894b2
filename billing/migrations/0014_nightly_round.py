"""Each hour of the nightly round remembers how far it came, and each day's sum is kept beside Stripe's."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0013_two_subscriptions"),
    ]

    operations = [
        migrations.AddField(
            model_name="progress",
            name="after",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.CreateModel(
            name="PaymentDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("currency", models.CharField(max_length=3)),
                ("at_stripe", models.BigIntegerField()),
                ("here", models.BigIntegerField()),
                ("looked_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("at_stripe", models.F("here")), _negated=True),
                        fields=["day"],
                        name="payment_day_differs",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("day", "currency"), name="payment_day_once")],
            },
        ),
    ]
