"""A session may end because its user opened too many others. Only Django's idea of the column changes."""

from django.db import migrations, models

REASONS = [
    ("logout", "Logout"),
    ("logout_all", "Logout All"),
    ("refresh_reuse", "Reuse"),
    ("password_changed", "Password"),
    ("email_changed", "Email"),
    ("address_contested", "Address Contested"),
    ("suspended", "Suspended"),
    ("deleted", "Deleted"),
    ("ended_by_user", "Ended By User"),
    ("factors_reset", "Factors Reset"),
    ("ended_by_staff", "Ended By Staff"),
    ("too_many", "Too Many"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0016_contested_accounts"),
    ]

    operations = [
        migrations.AlterField(
            model_name="session",
            name="end_reason",
            field=models.CharField(blank=True, choices=REASONS, default="", max_length=24),
        ),
    ]
