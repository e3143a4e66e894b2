"""What an account has left is forfeited when it is erased. Users erased before this are left for the next sweep."""

from django.db import migrations, models

TYPES = [
    ("purchase", "Purchase"),
    ("subscription", "Subscription"),
    ("bonus", "Bonus"),
    ("trial", "Trial"),
    ("refund", "Refund"),
    ("adjustment", "Adjustment"),
    ("chargeback", "Chargeback"),
    ("use", "Use"),
    ("expiry", "Expiry"),
    ("hold", "Hold"),
    ("release", "Release"),
    ("forfeit", "Forfeit"),
]
# A sweep takes up users with something due. Nothing else touches the rows of erased ones.
LEFT_FOR_THE_SWEEP = """
UPDATE credits_usercredit AS row SET due_at = least(row.due_at, credits_now())
FROM accounts_user AS owner
WHERE owner.id = row.user_id AND owner.status = 'deleted' AND row.balance - row.held + row.debt > 0
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("credits", "0007_no_grant_is_overfull")]

    operations = [
        migrations.AlterField("creditday", "type", models.CharField(max_length=12, choices=TYPES)),
        migrations.AlterField("creditlot", "source", models.CharField(max_length=16, choices=TYPES)),
        migrations.AlterField("credittransaction", "type", models.CharField(max_length=12, choices=TYPES)),
        migrations.RunSQL(LEFT_FOR_THE_SWEEP, migrations.RunSQL.noop),
    ]
