"""An index of open holds, made beside whatever is being written."""

from django.db import migrations, models

from accounts.kit.repeatable import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("credits", "0004_journal_by_day_and_type")]

    operations = [
        AddIndexConcurrently(
            model_name="creditlot",
            index=models.Index(
                condition=models.Q(("kind", "hold"), ("status", "open")),
                fields=["service", "-id"],
                name="lot_open_holds",
            ),
        ),
    ]
