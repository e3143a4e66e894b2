"""When a subscription ends whose end is planned."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0009_lines_of_earlier_payments"),
    ]

    operations = [
        migrations.AddField(
            model_name="billingaccount",
            name="cancel_at",
            field=models.DateTimeField(null=True),
        ),
    ]
