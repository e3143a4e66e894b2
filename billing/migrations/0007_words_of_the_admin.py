"""What the lists of the admin are called: people's words instead of ours."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_billing_account_newest"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="customerchange",
            options={"verbose_name": "change for Stripe", "verbose_name_plural": "changes for Stripe"},
        ),
        migrations.AlterModelOptions(
            name="inboxevent",
            options={
                "permissions": (("replay_event", "Can have given up events carried out again"),),
                "verbose_name": "event from Stripe",
                "verbose_name_plural": "events from Stripe",
            },
        ),
    ]
