"""Cuts the journal and the lots of a new installation into LEDGER_PARTITIONS hash partitions by holder.

Tables that hold something already are left as they are: `manage.py partition_ledger` cuts them while the service runs.
"""

from typing import Any

import structlog
from django.conf import settings
from django.db import migrations

from credits.partitions import shape

log = structlog.get_logger("ledger")


def forwards(apps: Any, schema_editor: Any) -> None:
    count = settings.LEDGER_PARTITIONS
    for table in shape.TABLES:
        if count < 2 or shape.partitions(table):
            continue
        if shape.is_empty(table):
            shape.reshape(table, count)
        else:
            log.warning(
                "ledger_not_partitioned", table=table, what_does=f"manage.py partition_ledger {count}"
            )


def backwards(apps: Any, schema_editor: Any) -> None:
    """Leave what holds something: the version before reads and writes partitions as well."""
    for table in shape.TABLES:
        if shape.partitions(table) and shape.is_empty(table):
            shape.reshape(table, 0)


class Migration(migrations.Migration):
    dependencies = [("credits", "0016_use")]

    operations = [migrations.RunPython(forwards, backwards)]
