"""Plainer words for what staff read: nothing in the database changes."""

from django.db import migrations

from accounts.kit.at_once import AtOnce


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0020_daily_budget"),
    ]

    operations = [
        migrations.AlterModelOptions(name="accountday", options={"verbose_name": "daily statistic"}),
        migrations.AlterModelOptions(name="mailtoken", options={"verbose_name": "email link"}),
        migrations.AlterModelOptions(name="outboxmessage", options={"verbose_name": "email"}),
        migrations.AlterModelOptions(
            name="factorreset",
            options={"verbose_name": "MFA reset", "verbose_name_plural": "MFA resets"},
        ),
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": (
                    ("change_status", "Can suspend and reactivate users"),
                    ("end_sessions", "Can sign users out"),
                    ("reset_factors", "Can start the removal of all second factors of a user"),
                    ("send_mails", "Can send links to users, and retry dead emails and events"),
                )
            },
        ),
    ]
    operations = [AtOnce(operations)]
