"""What the admin counts and searches: days, and the parts of an address or a name."""

from django.db import migrations, models

MAKE_SEARCH_PARTS = """
CREATE FUNCTION accounts_search_parts(VARIADIC texts text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 5000 -- made for every row of a scan it would take minutes
RETURN (
    SELECT coalesce(array_agg(DISTINCT substr(word, place, 3)), '{}')
    FROM (SELECT upper(text) AS word FROM unnest(texts) AS text) AS words, generate_series(1, length(word) - 2) AS place
)
"""
DROP_SEARCH_PARTS = "DROP FUNCTION accounts_search_parts(text[])"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_event_deliveries")]

    operations = [
        migrations.RunSQL(MAKE_SEARCH_PARTS, DROP_SEARCH_PARTS),
        migrations.CreateModel(
            name="AccountDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                (
                    "measure",
                    models.CharField(
                        choices=[
                            ("registered", "Registered"),
                            ("signed_in", "Signed In"),
                            ("refused", "Refused"),
                            ("mails", "Mails"),
                            ("sessions", "Sessions"),
                        ],
                        max_length=12,
                    ),
                ),
                ("count", models.BigIntegerField()),
                ("final", models.BooleanField()),
                ("counted_at", models.DateTimeField()),
            ],
            options={
                "verbose_name": "counted day",
            },
        ),
        migrations.AlterModelOptions(
            name="user",
            options={
                "permissions": (
                    ("change_status", "Can suspend and reactivate users"),
                    ("end_sessions", "Can sign users out"),
                    ("reset_factors", "Can promise the removal of all second factors of a user"),
                    ("send_mails", "Can send links to users, and dead mails and events again"),
                )
            },
        ),
        migrations.AlterField(
            model_name="session",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
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
                ],
                default="",
                max_length=24,
            ),
        ),
        migrations.AddConstraint(
            model_name="accountday",
            constraint=models.UniqueConstraint(fields=("day", "measure"), name="account_day_once"),
        ),
    ]
