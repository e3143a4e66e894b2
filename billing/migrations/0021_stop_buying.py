"""Tell Stripe what a user who may buy nothing now had begun to buy."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0020_prefix_search")]

    operations = [
        migrations.AlterField(
            model_name="customerchange",
            name="kind",
            field=models.CharField(
                choices=[
                    ("email", "Email"),
                    ("stop_buying", "Stop Buying"),
                    ("end_at_period", "End At Period"),
                    ("end_subscription", "End Subscription"),
                    ("end_renewal", "End Renewal"),
                    ("delete", "Delete"),
                ],
                max_length=16,
            ),
        ),
    ]
