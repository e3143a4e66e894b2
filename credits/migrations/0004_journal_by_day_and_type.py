"""Indexes of the journal for the admin, made beside whatever is being written."""

import django.contrib.postgres.indexes
from django.db import migrations, models

from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("credits", "0003_adjustments_and_days")]

    operations = [
        migrations.AlterModelOptions(name="usercredit", options={"verbose_name": "balance"}),
        AddIndexConcurrently(
            model_name="credittransaction",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["at"], name="transaction_day", pages_per_range=32
            ),
        ),
        AddIndexConcurrently(
            model_name="credittransaction",
            index=models.Index(
                condition=models.Q(("type__in", ["use", "hold", "release"]), _negated=True),
                fields=["type", "-id"],
                name="transaction_seldom",
            ),
        ),
    ]
