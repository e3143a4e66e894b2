"""A request keeps all terms of the plan that it offered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0016_settle_first"),
    ]

    operations = [
        migrations.AddField(
            model_name="request",
            name="terms",
            field=models.JSONField(null=True),
        ),
    ]
