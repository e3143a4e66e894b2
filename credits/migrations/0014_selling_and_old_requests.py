"""A service that books purchases needs a scope for it, and a request that nobody decides expires.

Keys of services that have booked purchases get the scope, and are named in the log; `manage.py settlement_report` names
the services before. Operators give it to keys of INTERNAL_API_KEYS themselves.
"""

from typing import Any

import structlog
from django.db import migrations, models

from accounts.kit.at_once import AtOnce

log = structlog.get_logger("accounts")

GIVE_SCOPE = """
UPDATE accounts_servicekey AS key SET scopes = key.scopes || '["credits:sell"]'::jsonb
WHERE key.scopes @> '["credits:add"]'::jsonb AND NOT key.scopes @> '["credits:sell"]'::jsonb
    AND EXISTS (SELECT FROM credits_credittransaction AS row WHERE row.service = key.service_id AND row.type = 'purchase')
RETURNING key.id, key.service_id
"""


def give_scope(apps: Any, schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(GIVE_SCOPE)
        for key_id, service in cursor.fetchall():
            log.info("key_may_sell", key=key_id, service=service)


class Migration(migrations.Migration):
    dependencies = [
        ("credits", "0013_fewer_checks"),
        ("accounts", "0018_folded_addresses"),
    ]

    operations = [
        migrations.RunPython(give_scope, migrations.RunPython.noop, elidable=False),
        migrations.AlterField(
            model_name="adjustmentrequest",
            name="decision",
            field=models.CharField(
                choices=[
                    ("direct", "made at once"),
                    ("pending", "Pending"),
                    ("approved", "Approved"),
                    ("refused", "Refused"),
                    ("expired", "Expired"),
                ],
                max_length=8,
            ),
        ),
        migrations.RemoveConstraint(
            model_name="adjustmentrequest",
            name="adjustment_decided_by_somebody",
        ),
        migrations.AddConstraint(
            model_name="adjustmentrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_at__isnull", True),
                    ("decided_by__isnull", True),
                    ("decision__in", ["direct", "pending", "expired"]),
                )
                | models.Q(
                    ("decided_at__isnull", False),
                    ("decided_by__isnull", False),
                    ("decision__in", ["approved", "refused"]),
                ),
                name="adjustment_decided_by_somebody",
            ),
        ),
    ]
    operations = [operations[0], AtOnce(operations[1:])]
