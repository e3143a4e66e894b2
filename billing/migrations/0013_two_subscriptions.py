"""Let the later of two subscriptions of one user renew no more."""

from django.conf import settings
from django.db import migrations, models

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0012_strangers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="customerchange",
            name="change_names_its_subscription",
        ),
        migrations.AlterField(
            model_name="customerchange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("email", "Email"),
                    ("end_at_period", "End At Period"),
                    ("end_subscription", "End Subscription"),
                    ("end_renewal", "End Renewal"),
                    ("delete", "Delete"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="customerchange",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind__in", ["end_subscription", "end_renewal"]),
                        models.Q(("subscription", ""), _negated=True),
                    ),
                    models.Q(
                        models.Q(("kind__in", ["end_subscription", "end_renewal"]), _negated=True),
                        ("subscription", ""),
                    ),
                    _connector="OR",
                ),
                name="change_names_its_subscription",
            ),
        ),
    ]
    operations = [AtOnce(operations)]
