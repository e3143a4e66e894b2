"""What the lists of the admin are called: people's words instead of ours."""

from django.db import migrations

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0011_event_sender_backend"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="eventdelivery",
            options={"verbose_name": "webhook delivery", "verbose_name_plural": "webhook deliveries"},
        ),
        migrations.AlterModelOptions(
            name="eventsubscription",
            options={"verbose_name": "webhook"},
        ),
        migrations.AlterModelOptions(
            name="factorreset",
            options={"verbose_name": "removal of factors", "verbose_name_plural": "removals of factors"},
        ),
        migrations.AlterModelOptions(
            name="mailtoken",
            options={"verbose_name": "mailed link"},
        ),
        migrations.AlterModelOptions(
            name="outboxmessage",
            options={"verbose_name": "mail"},
        ),
        migrations.AlterModelOptions(
            name="pendingregistration",
            options={"verbose_name": "registration"},
        ),
        migrations.AlterModelOptions(
            name="serviceevent",
            options={"verbose_name": "event for services", "verbose_name_plural": "events for services"},
        ),
    ]
    operations = [AtOnce(operations)]
