"""A plan keeps the prices that it was sold at, says of how many intervals its period is, and a request what it offered."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0014_nightly_round"),
    ]

    operations = [
        migrations.AddField(
            model_name="plan",
            name="interval_count",
            field=models.PositiveSmallIntegerField(
                db_default=1, default=1, help_text="3 with the interval month is a quarter."
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("interval_count", 1),
                    models.Q(("interval_count__gte", 1), ("kind", "subscription")),
                    _connector="OR",
                ),
                name="plan_interval_count_fits",
            ),
        ),
        migrations.CreateModel(
            name="FormerPrice",
            fields=[
                ("price", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("replaced_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_prices",
                        to="billing.plan",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="request",
            name="plan",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="billing.plan",
            ),
        ),
        migrations.AddField(
            model_name="request",
            name="credits",
            field=models.BigIntegerField(null=True),
        ),
    ]
    operations = [AtOnce(operations)]
