"""A service's key may have a daily budget of credits that it gives."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0019_client_assertions"),
    ]

    operations = [
        migrations.AddField(
            model_name="servicekey",
            name="daily_budget",
            field=models.BigIntegerField(blank=True, null=True),
        ),
    ]
