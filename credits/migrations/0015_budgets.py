"""What was given of a budget on its last day."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0014_selling_and_old_requests"),
    ]

    operations = [
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("name", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("given", models.BigIntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("given__gte", 0)), name="budget_not_negative")
                ],
            },
        ),
    ]
