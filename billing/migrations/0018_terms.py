"""A request keeps all terms of the plan that it offered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0017_changes_of_plan"),
    ]

    operations = [
        migrations.AddField(
            model_name="request",
            name="terms",
            field=models.JSONField(null=True),
        ),
    ]
